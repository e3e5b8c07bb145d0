internal import GridModel
internal import PowerFlow

/// D8: what the active advisories of the feeders concerned mean for the plan. Shelved ones count.
enum AdvisoryChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        let moved = movement(context)
        return context.snapshot.advisories.compactMap { judge(context, $0, moved) }
    }

    /// Feeders that the plan touches, and of them those that have more nodes after it than before.
    private struct Movement {
        var touched: Set<String> = []
        var receiving: Set<String> = []
    }

    private static func movement(_ context: CheckContext) -> Movement {
        var moved = Movement()
        let names = context.graph.feederIDs
        func counts(_ topology: Topology) -> [Int] {
            var counts = [Int](repeating: 0, count: names.count)
            for feeder in topology.feeder where feeder >= 0 { counts[Int(feeder)] += 1 }
            return counts
        }
        let before = counts(context.simulation.initial.topology)
        for stage in context.simulation.stages.dropFirst() {
            for (number, count) in counts(stage.topology).enumerated() where count != before[number] {
                moved.touched.insert(names[number])
                if count > before[number] { moved.receiving.insert(names[number]) }
            }
        }
        moved.touched.formUnion(context.feeders)
        return moved
    }

    private static func judge(
        _ context: CheckContext, _ advisory: GridSnapshot.ActiveAdvisory, _ moved: Movement
    ) -> Finding? {
        let isReceiving = moved.receiving.contains(advisory.feeder)
        let isBank = advisory.kind == .reversePowerBank
        // What is wrong with a bank's meters is wrong for each of its feeders.
        let isOfTouchedBank =
            advisory.kind == .topologyMismatch
            && context.network.feeders.contains { feeder in
                let substation = feeder.substation.isEmpty ? "BANK" : feeder.substation
                return moved.touched.contains(feeder.id)
                    && (advisory.feeder == substation || advisory.feeder.hasPrefix("\(substation)/"))
            }
        guard moved.touched.contains(advisory.feeder) || isOfTouchedBank || isBank && !moved.receiving.isEmpty else {
            return nil
        }
        func finding(_ severity: Finding.Severity, _ text: String, _ remedy: String?) -> Finding {
            Finding(
                "D8", severity, elements: [advisory.element],
                "\(advisory.kind.rawValue) of severity \(advisory.severity.rawValue) is active on \(advisory.element) (\(advisory.feeder)): \(text).",
                remedy: remedy, advisory: advisory.id)
        }
        guard advisory.isEvaluated else {
            return Finding(
                "D8", .unknown, elements: [advisory.element],
                "\(advisory.kind.rawValue) on \(advisory.element) (\(advisory.feeder)) is out of service: nothing is known of it.",
                remedy: "Return it to service, then validate again.", advisory: advisory.id)
        }
        let isSerious = advisory.severity >= .high
        switch advisory.kind {
        case .reversePower, .reversePowerBank:
            guard isReceiving || isBank else { return finding(.note, "this feeder takes nothing over", nil) }
            guard exportsMore(context, isBank ? moved.receiving : [advisory.feeder]) else {
                return finding(.note, "the plan makes it no worse", nil)
            }
            return isSerious
                ? finding(.blockSoft, "the plan adds to it", "Curtail DER behind it first, or transfer less.")
                : finding(.condition, "the plan adds to it", "Watch the head while switching.")
        case .voltageHigh, .voltageLow:
            if advisory.severity == .urgent {
                return finding(.blockSoft, "the voltage is far out", "Bring the voltage back first.")
            }
            guard isSerious else { return finding(.condition, "near the limit", "Watch the voltage while switching.") }
            return movesOut(context, advisory)
                ? finding(.blockSoft, "the plan moves the voltage further out", "Bring the voltage back first.")
                : finding(.condition, "the plan does not move it further out", "Watch the voltage while switching.")
        case .regulatorRunaway:
            return finding(
                .blockSoft, "a regulator is running to the end of its taps", "Block it, or set it to neutral, first.")
        case .reversePowerDevice, .transformerExport:
            return isSerious
                ? finding(.blockSoft, "more comes back through it than it can take", "Curtail DER behind it first.")
                : finding(.condition, "power comes back through it", "Watch it while switching.")
        case .regulatorHunting:
            return finding(.condition, "its tap goes up and down", "Watch the voltage while switching.")
        case .voltageRise:
            return finding(.condition, "DER raise the voltage there", "Watch the voltage while switching.")
        case .fastRamp, .fleetRamp:
            return isSerious
                ? finding(
                    .blockSoft, "load or generation is changing fast", "Wait until it has been quiet for 10 minutes.")
                : finding(
                    advisory.severity == .medium ? .condition : .note, "load or generation is changing",
                    "Compare the load at the step with the one that was judged.")
        case .dataGap:
            return advisory.severity >= .medium
                ? finding(.unknown, "what flows there is not known", "Restore the telemetry, then validate again.")
                : finding(.note, "one device is silent", nil)
        case .signSuspect:
            return finding(
                .unknown, "its numbers may count the wrong way", "Have the sign corrected, then validate again.")
        case .clockSuspect, .dataFrozen:
            return finding(.unknown, "what is measured there is not known", "Have it repaired, then validate again.")
        case .dataImplausible:
            return isSerious || advisory.severity == .medium
                ? finding(.unknown, "what is measured there cannot be", "Have it repaired, then validate again.")
                : finding(.note, "single values are left out", nil)
        case .modelMismatch, .topologyMismatch:
            return finding(
                .unknown, "the model does not fit what is measured",
                "Find what is modelled or switched otherwise, then validate again.")
        case .voltageExtreme:
            return finding(.blockSoft, "the voltage is far out", "Bring the voltage back and reset it first.")
        case .voltageStep, .voltageUnbalance:
            return finding(
                isSerious ? .condition : .note, "the voltage is not steady", "Watch the voltage while switching.")
        case .outage:
            return finding(
                .condition, "the feeder is, or just was, dead",
                "Know why before closing; expect more load than usual, and DER only after 5 min.")
        case .reversePowerForecast:
            return finding(
                .condition, "reverse power is expected within the hour",
                "Finish before then, or judge the plan with it.")
        case .voltageForecast:
            return finding(
                .condition, "high voltage is expected within the hour",
                "Finish before then, or bring the voltage down first.")
        case .overloadForecast:
            return isSerious
                ? finding(
                    .blockSoft, "more than the emergency rating is expected within the hour", "Take load off it first.")
                : finding(
                    .condition, "more than the rating is expected within the hour", "Watch the head while switching.")
        case .chatter: return finding(.note, "an advisory there comes and goes", nil)
        case .generationLoadRatio: return finding(.note, "generation is high beside the load", nil)
        }
    }

    /// Whether any of the feeders takes less, or gives more, after the plan.
    private static func exportsMore(_ context: CheckContext, _ feeders: Set<String>) -> Bool {
        guard let before = context.simulation.initial.flow(.now), let after = context.simulation.final.flow(.now) else {
            return true
        }
        return feeders.contains { name in
            guard let number = context.graph.feederIndex[name] else { return true }
            guard let was = context.heads.flow(number, before), let now = context.heads.flow(number, after) else {
                return true
            }
            return now.watts < was.watts - 1000
        }
    }

    private static func movesOut(_ context: CheckContext, _ advisory: GridSnapshot.ActiveAdvisory) -> Bool {
        guard let before = context.simulation.initial.flow(.now),
            let number = context.graph.feederIndex[advisory.feeder]
        else { return true }
        let isHigh = advisory.kind == .voltageHigh
        let nodes = context.network.nodes.indices.filter {
            context.simulation.initial.topology.feeder[$0] == Int32(number) && before.isEnergised[$0]
        }
        func extreme(_ flow: FlowSolution) -> Double {
            nodes.compactMap { isHigh ? flow.highest($0) : flow.lowest($0).map { -$0 } }.max() ?? 0
        }
        return context.simulation.stages.dropFirst().contains { stage in
            guard let flow = stage.flow(.now) else { return true }
            return extreme(flow) > extreme(before) + context.limits.worseVoltage
        }
    }
}
