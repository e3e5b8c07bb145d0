internal import GridModel
internal import PowerFlow

/// LF, H1–H4: is there a solution, and does everything carry it?
enum LoadingChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        var findings: [Finding] = []
        for loadCase in context.cases {
            for stage in context.simulation.stages {
                switch stage.flows[loadCase] {
                case .success(let flow)?:
                    // EXPORT asks for voltage and for what flows back.
                    guard stage.step != nil, loadCase != .export else { continue }
                    findings += judge(
                        context, flow, loadCase, step: stage.finding, when: context.when(stage),
                        before: context.simulation.initial.flow(loadCase))
                case .failure(let error)?: findings.append(unsolved(context, stage, loadCase, error))
                case nil:
                    findings.append(
                        Finding(
                            "LF", step: stage.finding, .unknown, loadCase: loadCase,
                            "There is no load flow for \(loadCase.rawValue) \(context.when(stage))."))
                }
            }
        }
        return findings + later(context)
    }

    /// Without a solution nothing is known of loading and voltage, and the state itself is doubtful.
    private static func unsolved(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ loadCase: Finding.LoadCase, _ error: PowerFlowError
    ) -> Finding {
        // What cannot even be asked is missing knowledge; what has no solution is no state to bring a network into.
        let isData = error.code == .missingData || error.code == .invalidInput
        return Finding(
            "LF", step: stage.finding, isData ? .unknown : loadCase == .export ? .blockSoft : .blockHard,
            loadCase: loadCase,
            "The load flow has no solution \(context.when(stage)): \(error).",
            remedy: isData
                ? "Complete the network's data." : "Transfer less load at a time, or support the voltage.")
    }

    /// What carries how much: percent of its rating.
    private struct Load {
        let place: Int
        let isTransformer: Bool
        let id: String
        let percent: Double
        let amount: String
        /// Percent: for hours, and for some hours.
        let normal, emergency: Double
    }

    private static func loads(_ context: CheckContext, _ flow: FlowSolution) -> [Load] {
        let limits = context.limits
        var loads: [Load] = []
        for (place, line) in context.network.lines.enumerated() {
            guard let percent = context.loading.line(flow, place) else { continue }
            loads.append(
                Load(
                    place: place, isTransformer: false, id: line.id, percent: percent,
                    amount: "\(Say.amperes(flow.lines[place].amperes)) of \(Say.amperes(line.ratedAmperes))",
                    normal: limits.lineLoading,
                    emergency: max(
                        limits.lineLoading,
                        line.emergencyAmperes.map { $0 / line.ratedAmperes * 100 } ?? limits.lineEmergency)))
        }
        for (place, unit) in context.network.transformers.enumerated() {
            guard let percent = context.loading.transformer(flow, place) else { continue }
            loads.append(
                Load(
                    place: place, isTransformer: true, id: unit.id, percent: percent,
                    amount:
                        "\(Say.power(percent / 100 * unit.ratedKVA * 1000).replacing("W", with: "VA")) of \(Say.power(unit.ratedKVA * 1000).replacing("W", with: "VA"))",
                    normal: limits.transformerLoading,
                    emergency: max(limits.transformerLoading, limits.transformerEmergency)))
        }
        return loads
    }

    static func judge(
        _ context: CheckContext, _ flow: FlowSolution, _ loadCase: Finding.LoadCase, step: Int?, when: String,
        before: FlowSolution?, check: String? = nil
    ) -> [Finding] {
        let limits = context.limits
        var groups: [String: (severity: Finding.Severity, loads: [Load])] = [:]
        for load in loads(context, flow) {
            guard load.percent > load.normal + 1e-9 else { continue }
            let earlier =
                before.flatMap {
                    load.isTransformer
                        ? context.loading.transformer($0, load.place) : context.loading.line($0, load.place)
                } ?? 0
            let severity: Finding.Severity =
                if earlier > load.normal, load.percent <= earlier + limits.worseLoading {
                    .note
                } else if load.percent <= load.emergency + 1e-9 {
                    .condition
                } else if load.percent <= load.emergency * limits.neverBeyond + 1e-9 {
                    .blockSoft
                } else {
                    .blockHard
                }
            let name = check ?? (loadCase == .masked ? "H4" : load.isTransformer ? "H2" : "H1")
            let key = "\(name) \(load.isTransformer) \(severity.rawValue)"
            groups[key, default: (severity, [])].loads.append(load)
        }
        return groups.sorted { $0.key < $1.key }.map { key, group in
            let loads = group.loads.sorted { ($1.percent, $0.id) < ($0.percent, $1.id) }
            let worst = loads[0]
            let isOver = group.severity > .condition
            return Finding(
                String(key.prefix { $0 != " " }), step: step, group.severity, elements: loads.map(\.id),
                value: worst.percent, limit: isOver ? worst.emergency : worst.normal, unit: "%",
                limitSource:
                    "limits.\(worst.isTransformer ? "transformer" : "line")_\(isOver ? "emergency" : "loading")_pct",
                loadCase: loadCase,
                "\(worst.id) carries \(Say.percent(worst.percent)) of its rating \(when) (\(worst.amount))\(loads.count > 1 ? ", and \(Say.count(loads.count - 1, "other")) too much" : "")\(group.severity == .note ? ", as before the plan" : group.severity == .condition ? ": only for a limited time" : "").",
                remedy: group.severity == .note
                    ? nil
                    : loadCase == .masked
                        ? "Transfer less: without DER the load is more than it seems."
                        : "Transfer less, or relieve it first.")
        }
    }

    /// H3: the final state, as loads and DER are expected to be while it stays.
    private static func later(_ context: CheckContext) -> [Finding] {
        var spans: [String: (first: Timestamp, last: Timestamp, worst: Finding)] = [:]
        var findings: [Finding] = []
        for (time, result, before) in context.outlook {
            guard case .success(let flow) = result else {
                findings.append(
                    Finding(
                        "LF", step: context.simulation.final.finding, .blockHard,
                        "The load flow of the final state has no solution at \(time).",
                        remedy: "Plan for another time, or transfer less."))
                continue
            }
            for finding in judge(
                context, flow, .now, step: context.simulation.final.finding, when: "at \(time)",
                before: before, check: "H3")
            {
                let key = "\(finding.severity.rawValue) \(finding.limitSource ?? "")"
                let known = spans[key]
                let isWorse = (finding.value ?? 0) > (known?.worst.value ?? 0)
                spans[key] = (known?.first ?? time, time, isWorse ? finding : known?.worst ?? finding)
            }
        }
        return findings
            + spans.sorted { $0.key < $1.key }.map { _, span in
                var finding = span.worst
                finding.message = "From \(span.first) to \(span.last): \(finding.message)"
                return finding
            }
    }
}
