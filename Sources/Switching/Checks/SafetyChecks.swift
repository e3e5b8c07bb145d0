internal import GridModel

/// T4, T9 and S: tags, grounds and clearances. None of these can be overridden.
enum SafetyChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        var findings = live(context, context.simulation.initial)
        for (before, after) in context.simulation.transitions {
            guard let step = after.step else { continue }
            findings += live(context, after)
            switch step.action {
            case .open, .close: findings += operated(context, before, after, step)
            case .issueClearance: findings += isolated(context, before, step)
            case .placeGround: findings += grounded(context, before, step)
            case .removeTag: findings += untagged(context, before, step)
            case .releaseClearance: findings += released(context, before, step)
            case .enableReclosing where before.state.isTagged(step.element, "HOTLINE"):
                findings.append(
                    Finding(
                        "S5", step: step.sequence, .blockHard, elements: [step.element],
                        "Step \(step.sequence) enables reclosing of \(step.element), which bears a HOTLINE tag.",
                        remedy: "Have the live-line work ended and the tag removed first."))
            case .placeTag, .removeGround, .disableReclosing, .enableReclosing, .control, .verify, .text: break
            }
        }
        return findings
    }

    /// T4: nothing that is grounded or cleared may be live, in any state.
    private static func live(_ context: CheckContext, _ stage: PlanSimulation.Stage) -> [Finding] {
        func isLive(_ element: String) -> Bool {
            context.zones.isLive(element, stage.topology, stage.state.traced)
        }
        let grounded = stage.state.grounds.filter(isLive).sorted()
        let cleared = stage.state.clearances.filter { isLive($0.element) }.sorted {
            ($0.element, $0.holder) < ($1.element, $1.holder)
        }
        return grounded.map { element in
            Finding(
                "T4", step: stage.finding, .blockHard, elements: [element],
                "\(element) is grounded and would be live \(context.when(stage)).",
                remedy: "Remove the ground, by the one who placed it, before anything is closed towards it.")
        }
            + cleared.map { clearance in
                Finding(
                    "T4", step: stage.finding, .blockHard, elements: [clearance.element],
                    "\(clearance.element) is cleared for work\(by(clearance.holder)) and would be live \(context.when(stage)).",
                    remedy: "Have the clearance released by its holder before anything is closed towards it.")
            }
    }

    private static func by(_ holder: String) -> String { holder.isEmpty ? "" : " by \(holder)" }

    /// S2, S4, S5: switches that bear a tag, and sections that are not free.
    private static func operated(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ after: PlanSimulation.Stage,
        _ step: SwitchingPlan.Step
    ) -> [Finding] {
        var findings: [Finding] = []
        if before.state.isTagged(step.element, "HOLD") {
            findings.append(
                Finding(
                    "S4", step: step.sequence, .blockHard, elements: [step.element],
                    "Step \(step.sequence) operates \(step.element), which bears a HOLD tag.",
                    remedy: "Have the tag removed by the one who placed it first."))
        }
        guard step.action == .close, let number = context.graph.switchIndex[step.element] else { return findings }
        let item = context.network.switches[number]
        let ends = [item.node, item.element].compactMap { context.graph.nodeIndex[$0] }
        let sides = context.zones.joins(number, context.network, before.state.traced).map { [$0.0, $0.1] } ?? ends
        let feeders = Set(sides.map { before.topology.feeder[$0] }.filter { $0 >= 0 })
        for tag in before.state.tags.filter({ $0.kind == "HOTLINE" }).sorted(by: { $0.element < $1.element }) {
            let isHere = tag.element == step.element
            let near = context.graph.switchIndex[tag.element]
                .flatMap { context.graph.nodeIndex[context.network.switches[$0].node] }
                .map { feeders.contains(before.topology.feeder[$0]) }
            guard isHere || near ?? false else { continue }
            findings.append(
                Finding(
                    "S5", step: step.sequence, .blockHard, elements: [step.element, tag.element],
                    isHere
                        ? "Step \(step.sequence) closes \(step.element), which bears a HOTLINE tag."
                        : "Step \(step.sequence) closes \(step.element) onto a feeder where \(tag.element) bears a HOTLINE tag.",
                    remedy: "Have the live-line work ended and the tag removed first."))
        }
        // The re-energise gate: what becomes live with this step has neither ground, nor clearance, nor tag on its way in.
        for element in Set(after.state.grounds).union(after.state.clearances.map(\.element)).sorted()
        where !context.zones.isLive(element, before.topology, before.state.traced)
            && context.zones.isLive(element, after.topology, after.state.traced)
        {
            findings.append(
                Finding(
                    "S2", step: step.sequence, .blockHard, elements: [step.element, element],
                    "Step \(step.sequence) closes \(step.element) towards \(element), which is not free: ground or clearance.",
                    remedy: "Remove all grounds, have all clearances released and all tags removed first."))
        }
        return findings
    }

    /// T9: for a clearance every way in is open and tagged, and the section is dead.
    private static func isolated(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step
    ) -> [Finding] {
        let positions = before.state.traced
        guard let zone = context.zones.zone(of: step.element, positions) else { return [] }
        var findings: [Finding] = []
        if zone.nodes.contains(where: { before.topology.energised[$0] })
            || context.zones.isLive(step.element, before.topology, positions)
        {
            findings.append(
                Finding(
                    "T9", step: step.sequence, .blockHard, elements: [step.element],
                    "Step \(step.sequence) clears \(step.element), which is live.",
                    remedy: "Open every way from every source first."))
        }
        let untagged = zone.border.map { context.network.switches[$0].id }.filter {
            !before.state.isTagged($0, "HOLD")
        }.sorted()
        if !untagged.isEmpty {
            findings.append(
                Finding(
                    "T9", step: step.sequence, .blockHard, elements: untagged,
                    "Step \(step.sequence) clears \(step.element), but \(Say.list(untagged)) \(untagged.count == 1 ? "is" : "are") open without a HOLD tag.",
                    remedy: "Tag every open switch around the section, also at its remote control."))
        }
        let ders = context.injections.balance(of: zone.nodes).ders
        if !ders.isEmpty {
            findings.append(
                Finding(
                    "T9", step: step.sequence, .condition, elements: ders.sorted(), value: Double(ders.count),
                    unit: "DER",
                    "\(Say.count(ders.count, "DER", "DER")) in the cleared section: each must be isolated, or the zone grounded.",
                    remedy: "A clearance never rests on anti-islanding: test and ground, or open each DER."))
        }
        return findings
    }

    /// S1, S7, S8: grounds are placed last, where it is dead, tested, tagged and cleared.
    private static func grounded(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step
    ) -> [Finding] {
        let positions = before.state.traced
        guard let zone = context.zones.zone(of: step.element, positions) else { return [] }
        var findings: [Finding] = []
        func hard(_ check: String, _ text: String, _ remedy: String) {
            findings.append(
                Finding(check, step: step.sequence, .blockHard, elements: [step.element], text, remedy: remedy))
        }
        if context.zones.isLive(step.element, before.topology, positions)
            || zone.nodes.contains(where: { before.topology.energised[$0] })
        {
            hard(
                "S8", "Step \(step.sequence) grounds \(step.element), which is live.",
                "Open every way from every source first.")
        }
        let inZone = zone.nodes.map(context.name)
        if before.state.testedDead.isDisjoint(with: inZone + [step.element]) {
            hard(
                "S1", "Step \(step.sequence) grounds \(step.element) before it was tested dead.",
                "Put the step verify on it before this one.")
        }
        let untagged = zone.border.map { context.network.switches[$0].id }.filter {
            !before.state.isTagged($0, "HOLD")
        }.sorted()
        if !untagged.isEmpty {
            hard(
                "S1",
                "Step \(step.sequence) grounds \(step.element) before \(Say.list(untagged)) \(untagged.count == 1 ? "was" : "were") tagged.",
                "Tag every open switch around the section first.")
        }
        findings.append(
            Finding(
                "S7", step: step.sequence, .condition, elements: [step.element],
                "Whether the ground at \(step.element) carries the short-circuit current is not known.",
                remedy: "Check the ground's rating against the fault level there."))
        return findings
    }

    /// S1: tags stay until the clearances behind them are released.
    private static func untagged(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step
    ) -> [Finding] {
        guard let number = context.graph.switchIndex[step.element] else { return [] }
        return before.state.clearances.filter {
            context.zones.zone(of: $0.element, before.state.traced)?.border.contains(number) ?? true
        }.map(\.element).sorted().map { element in
            Finding(
                "S1", step: step.sequence, .blockHard, elements: [step.element, element],
                "Step \(step.sequence) takes a tag from \(step.element) while \(element) is still cleared.",
                remedy: "Have the clearance released first.")
        }
    }

    /// S1, S3, S6: who holds a clearance releases it, when the grounds are gone.
    private static func released(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step
    ) -> [Finding] {
        let here = before.state.clearances.filter { $0.element == step.element }
        var findings: [Finding] = []
        func hard(_ check: String, _ text: String, _ remedy: String) {
            findings.append(
                Finding(check, step: step.sequence, .blockHard, elements: [step.element], text, remedy: remedy))
        }
        if here.isEmpty {
            hard("S1", "Step \(step.sequence) releases \(step.element), which is not cleared.", "Correct the section.")
        } else if let holder = step.value, !here.contains(where: { $0.holder == holder }) {
            hard(
                "S3",
                "Step \(step.sequence) has \(holder) release \(step.element), which is held by \(Say.list(here.map(\.holder).sorted())).",
                "Only the holder releases, or the one it was handed to on record.")
        } else if step.value == nil, here.count > 1 {
            hard(
                "S6",
                "Step \(step.sequence) releases \(step.element) for nobody by name, and \(here.count) crews hold it.",
                "Name the crew in value; each releases its own.")
        }
        let zone = context.zones.zone(of: step.element, before.state.traced)?.nodes.map(context.name) ?? []
        let grounds = before.state.grounds.intersection(zone + [step.element]).sorted()
        if !grounds.isEmpty {
            hard(
                "S1", "Step \(step.sequence) releases \(step.element) while \(Say.list(grounds)) is still grounded.",
                "Remove the grounds first.")
        }
        return findings
    }
}
