internal import GridModel

/// T1–T7: is every step what it says, and is everybody fed, once, when it is done?
enum TopologyChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        positions(context) + consistency(context) + energisation(context) + loops(context) + outages(context)
    }

    /// T1: a position that is not known is nothing to switch on.
    private static func positions(_ context: CheckContext) -> [Finding] {
        let network = context.network
        let acting = context.plan.steps.filter { ![.control, .verify, .text].contains($0.action) }
        let touched = Set(acting.compactMap { context.graph.switchIndex[$0.element] })
        let nodes =
            touched.compactMap { context.graph.nodeIndex[network.switches[$0].node] }
            + acting.compactMap {
                context.zones.zone(of: $0.element, context.simulation.initial.state.traced)?.nodes.first
            }
        let areas = Set(nodes.map { context.graph.nodeArea[$0] })
        return context.simulation.initial.state.positions.enumerated().compactMap { number, position in
            let item = network.switches[number]
            let doubt = context.snapshot.positionDoubts[item.id]
            guard !position.isSettled || doubt != nil else { return nil }
            let near = context.graph.nodeIndex[item.node].map { areas.contains(context.graph.nodeArea[$0]) } ?? true
            guard touched.contains(number) || near else { return nil }
            return Finding(
                "T1", .unknown, elements: [item.id], doubt ?? "The position of \(item.id) is \(position.name).",
                remedy: "Have it read on site and logged, then validate again.")
        }
    }

    /// T2: nothing is opened twice, and nothing is operated that is not there.
    private static func consistency(_ context: CheckContext) -> [Finding] {
        var findings: [Finding] = []
        if !context.plan.steps.contains(where: { $0.action != .text }) {
            findings.append(Finding("T2", .note, "The plan does nothing: it has no step but text."))
        }
        for item in context.plan.initialSwitchStates where context.graph.switchIndex[item.element] == nil {
            findings.append(
                Finding(
                    "T2", .blockSoft, elements: [item.element],
                    "initial_switch_states names \(item.element), which is no switch of this network."))
        }
        for (before, after) in context.simulation.transitions {
            guard let step = after.step else { continue }
            switch step.action {
            case .open, .close:
                guard let number = context.graph.switchIndex[step.element] else {
                    findings.append(unknown(step, "switch"))
                    continue
                }
                let poles = context.graph.switchPoles[number]
                let moved = step.poles.intersection(poles)
                guard !moved.isEmpty else {
                    findings.append(
                        Finding(
                            "T2", step: step.sequence, .blockSoft, elements: [step.element],
                            "Step \(step.sequence) would \(step.action.rawValue) phase \(step.phases) of \(step.element), which has only \(poles.letters).",
                            remedy: "Correct the phases."))
                    continue
                }
                let target: SwitchPosition = step.action == .open ? .open : .closed
                guard [.open, .closed].contains(before.state.positions[number]) else { continue }
                let open = before.state.open(number, context.graph)
                let isDone = step.action == .open ? open.isSuperset(of: moved) : open.isDisjoint(with: moved)
                guard isDone else { continue }
                findings.append(
                    Finding(
                        "T2", step: step.sequence, .blockSoft, elements: [step.element],
                        "Step \(step.sequence) would \(step.action.rawValue) \(moved == poles ? "" : "phase \(moved.letters) of ")\(step.element), which is \(target.name) already.",
                        remedy: "Check the position, then take the step out or correct the one before."))
            case .placeTag, .removeTag, .disableReclosing, .enableReclosing:
                if context.graph.switchIndex[step.element] == nil { findings.append(unknown(step, "switch")) }
            case .placeGround, .removeGround, .issueClearance, .releaseClearance:
                if !context.zones.exists(step.element) {
                    findings.append(unknown(step, "section, transformer or node"))
                }
            case .control where context.command(step) != nil: break
            case .control:
                findings.append(
                    Finding(
                        "V4", step: step.sequence, .unknown, elements: [step.element],
                        "Step \(step.sequence) is a control action, whose effect is not simulated.",
                        remedy: "Have the effect on voltage and flow assessed by an engineer."))
            case .verify, .text: break
            }
        }
        return findings
    }

    private static func unknown(_ step: SwitchingPlan.Step, _ what: String) -> Finding {
        Finding(
            "T2", step: step.sequence, .blockSoft, elements: [step.element],
            "Step \(step.sequence) names \(step.element), which is no \(what) of this network.",
            remedy: "Correct the name.")
    }

    /// T3: what was dead before the plan becomes live only where the plan is made for that.
    private static func energisation(_ context: CheckContext) -> [Finding] {
        let kinds: Set<SwitchingPlan.Kind> = [.restoration, .normalise, .emergency]
        guard !kinds.contains(context.plan.kind) else { return [] }
        let initial = context.simulation.initial.topology.energised
        return context.simulation.transitions.compactMap { before, after in
            let woken = initial.indices.filter {
                !initial[$0] && !before.topology.energised[$0] && after.topology.energised[$0]
            }
            guard !woken.isEmpty, let step = after.step else { return nil }
            return Finding(
                "T3", step: step.sequence, .blockHard, elements: woken.map(context.name),
                value: Double(woken.count), unit: "nodes",
                "Step \(step.sequence) makes \(Say.count(woken.count, "node")) live that had no supply before the plan (\(Say.list(woken.map(context.name)))).",
                remedy: "Find out why it was dead. If it shall be fed, make the plan a RESTORATION.")
        }
    }

    /// T5, T6: no ring and no two sources at once, unless for a moment and declared.
    private static func loops(_ context: CheckContext) -> [Finding] {
        let initial = context.simulation.initial.topology
        func text(_ topology: Topology) -> String {
            [
                topology.loops > initial.loops ? Say.count(topology.loops - initial.loops, "loop") : nil,
                topology.parallelSources > initial.parallelSources
                    ? Say.count(topology.parallelSources - initial.parallelSources, "source") + " in parallel" : nil,
            ].compactMap(\.self).joined(separator: " and ")
        }
        var findings: [Finding] = []
        for stage in context.simulation.stages.dropFirst().dropLast() where !text(stage.topology).isEmpty {
            let isAllowed = context.plan.policy.allowTransientLoop
            findings.append(
                Finding(
                    "T5", step: stage.finding, isAllowed ? .note : .blockSoft, elements: [stage.step?.element ?? ""],
                    value: Double(stage.topology.loops + stage.topology.parallelSources), limit: 0,
                    limitSource: "policy.allow_transient_loop",
                    "There is \(text(stage.topology)) \(context.when(stage))\(isAllowed ? ", as the plan declares" : ", which the plan does not declare").",
                    remedy: isAllowed ? nil : "Open before closing, or declare allow_transient_loop."))
        }
        let final = context.simulation.final
        if !text(final.topology).isEmpty {
            findings.append(
                Finding(
                    "T6", step: final.finding, .blockSoft, elements: [final.step?.element ?? ""],
                    value: Double(final.topology.loops + final.topology.parallelSources), limit: 0,
                    "The plan leaves \(text(final.topology)): the network is not radial.",
                    remedy: "Add the step that opens the loop."))
        } else if !final.topology.isRadial {
            findings.append(
                Finding("T6", .note, "The network was not radial before the plan and is not after it."))
        }
        return findings
    }

    /// T7: who is without supply, and for how long.
    private static func outages(_ context: CheckContext) -> [Finding] {
        let final = Set(context.lost(context.simulation.final))
        var findings: [Finding] = []
        var told: Set<Int> = []
        for stage in context.simulation.stages.dropFirst() {
            let lost = Set(context.lost(stage)).subtracting(told)
            told.formUnion(lost)
            for (nodes, stays) in [(lost.intersection(final), true), (lost.subtracting(final), false)]
            where !nodes.isEmpty {
                findings += outage(context, stage, nodes.sorted(), stays: stays)
            }
        }
        return findings
    }

    private static func outage(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ nodes: [Int], stays: Bool
    ) -> [Finding] {
        let customers = context.customers(nodes)
        let who = "\(Say.count(nodes.count, "node")) with \(customers.text)"
        let isPlanned = [.plannedOutage, .clearance].contains(context.plan.kind)
        let isAllowed = stays ? isPlanned : isPlanned || context.plan.policy.allowTransientOutage
        var findings = [
            Finding(
                "T7", step: stage.finding, isAllowed ? .note : .blockSoft, elements: nodes.map(context.name),
                value: Double(customers.known), limit: 0, unit: "customers",
                limitSource: stays ? "kind \(context.plan.kind.rawValue)" : "policy.allow_transient_outage",
                "\(who) lose supply \(context.when(stage)) \(stays ? "and stay without" : "until a later step").",
                remedy: isAllowed
                    ? nil
                    : stays
                        ? "Feed them another way before, or make the plan a PLANNED_OUTAGE."
                        : "Close before opening, or declare allow_transient_outage.")
        ]
        if stays, isPlanned, !context.plan.policy.outageNotice, customers.areThere {
            findings.append(
                Finding(
                    "T7", step: stage.finding, .condition, value: Double(customers.known), unit: "customers",
                    limitSource: "policy.outage_notice",
                    "The plan does not say that they were told: \(customers.text).",
                    remedy: "Tell them, then set policy.outage_notice."))
        }
        return findings
    }
}
