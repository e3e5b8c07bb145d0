internal import GridModel
internal import PowerFlow

/// C1–C8 and T8: what a switch interrupts, closes onto, and joins. Where the network carries a rating for any
/// switch, one that it does not carry is not known.
enum DeviceChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        let network = context.network
        let hasBreakRatings = network.switches.contains { $0.loadBreakAmperes != nil }
        let hasMakeRatings = network.switches.contains { $0.faultMakeKiloamperes != nil }
        let hasRemotes = network.switches.contains { $0.remote != nil }
        var (blocked, told): (Set<String>, Set<String>) = ([], [])
        var findings: [Finding] = []
        for (place, (before, after)) in context.simulation.transitions.enumerated() {
            guard let step = after.step else { continue }
            if case .groundTrip(let isBlocked) = context.command(step) {
                if isBlocked { blocked.insert(step.element) } else { blocked.remove(step.element) }
                told.remove(step.element)
            }
            let moving = step.action.movesSwitch ? context.graph.switchIndex[step.element] : nil
            let isApart = moving.map { context.isOfSinglePoles(step, $0) } ?? false
            for number in Set(after.state.openPoles.keys).union(isApart ? moving.map { [$0] } ?? [] : []).sorted() {
                findings += residuals(context, before, after, number, blocked, told: &told)
            }
            guard step.action.movesSwitch, let number = context.graph.switchIndex[step.element] else { continue }
            if hasRemotes { findings += remote(context, step, number) }
            if before.state.openPoles[number] != after.state.openPoles[number] {
                findings += [apart(context, after, number)].compactMap { $0 }
            }
            findings += ferroresonance(context, before, after, step, number)
            if step.action == .open {
                findings += interrupts(context, before, step, number, hasBreakRatings)
            } else {
                findings += phases(context, step, number)
                findings += elbow(context, before, step, number)
                if hasMakeRatings { findings += makes(context, before, after, step, number, stage: place + 1) }
            }
        }
        return findings
    }

    /// C1, C2 and C8: the largest current of any load case, against what the device interrupts.
    private static func interrupts(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step, _ number: Int,
        _ hasRatings: Bool
    ) -> [Finding] {
        let item = context.network.switches[number]
        let kind = item.kind.uppercased()
        let worst = context.cases.compactMap { loadCase in
            before.flow(loadCase).map { (amperes: context.amperes(through: number, $0), loadCase: loadCase) }
        }.max { $0.amperes < $1.amperes }
        guard let worst, worst.amperes > context.limits.noLoadAmperes + 1e-9 else { return [] }
        func hard(_ check: String, _ what: String, _ limit: Double, _ source: String) -> [Finding] {
            [
                Finding(
                    check, step: step.sequence, .blockHard, elements: [item.id], value: worst.amperes, limit: limit,
                    unit: "A", limitSource: source, loadCase: worst.loadCase,
                    "Step \(step.sequence) opens \(item.id), \(what), under \(Say.amperes(worst.amperes)).",
                    remedy: "Open a load-break switch or breaker in series first.")
            ]
        }
        if let rating = item.loadBreakAmperes, rating > 0 {
            guard worst.amperes > rating + 1e-9 else { return [] }
            return hard("C1", "which breaks \(Say.amperes(rating))", rating, "load_break_a of the switch")
        }
        if kind == "ELBOW_NLB" {
            return hard("C8", "an elbow that breaks no load", context.limits.noLoadAmperes, "limits.no_load_a")
        }
        if Network.Switch.noLoadKinds.contains(kind) {
            let what = kind == "DS" || kind == "DISCONNECT" ? "a disconnector" : "a device that breaks no load"
            return hard("C2", what, context.limits.noLoadAmperes, "limits.no_load_a")
        }
        if !item.isOfKnownKind, item.loadBreakAmperes == nil,
            context.network.switches.contains(where: { !$0.kind.isEmpty })
        {
            return [
                Finding(
                    "C2", step: step.sequence, .unknown, elements: [item.id],
                    "\(item.kind.isEmpty ? "The kind of switch \(item.id) is not known" : "What a switch of kind \(item.kind) may interrupt is not known"); step \(step.sequence) opens \(item.id) under \(Say.amperes(worst.amperes)).",
                    remedy: "Enter its kind, or its load-break rating, in the network.")
            ]
        }
        guard hasRatings, !item.isBreaker else { return [] }
        if item.loadBreakAmperes == 0 { return hard("C1", "which breaks no load", 0, "load_break_a of the switch") }
        return [
            Finding(
                "C1", step: step.sequence, .unknown, elements: [item.id],
                "What \(item.id) may interrupt is not known; step \(step.sequence) opens it under \(Say.amperes(worst.amperes)).",
                remedy: "Enter its load-break rating in the network.")
        ]
    }

    /// C7: who is to work it, when its remote control is not as it should be.
    private static func remote(_ context: CheckContext, _ step: SwitchingPlan.Step, _ number: Int) -> [Finding] {
        let item = context.network.switches[number]
        switch item.remote {
        // One that is worked by hand needs no remote control.
        case Network.Switch.Remote.none?, .healthy?: return []
        case .faulty?:
            return [
                Finding(
                    "C7", step: step.sequence, .condition, elements: [item.id],
                    "The remote control of \(item.id) is not healthy.",
                    remedy: "Work \(item.id) on site, and look at its battery, gas and communication.")
            ]
        case nil:
            return [
                Finding(
                    "C7", step: step.sequence, .unknown, elements: [item.id],
                    "Whether \(item.id) can be worked remotely is not known.",
                    remedy: "Enter the state of its remote control in the network.")
            ]
        }
    }

    /// C8: an elbow neither makes nor breaks a tie between two live parts.
    private static func elbow(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step, _ number: Int
    ) -> [Finding] {
        let item = context.network.switches[number]
        let isElbow = item.kind.uppercased().hasPrefix("ELBOW")
        // Beside switches whose kind is known, one whose kind is not may be an elbow.
        guard isElbow || !item.isOfKnownKind && context.network.switches.contains(where: { !$0.kind.isEmpty }),
            let (a, b) = context.zones.joins(number, context.network, before.state.traced),
            before.topology.energised[a], before.topology.energised[b]
        else { return [] }
        guard isElbow else {
            return [
                Finding(
                    "C8", step: step.sequence, .unknown, elements: [item.id], limitSource: "kind of the switch",
                    "Step \(step.sequence) closes \(item.id) between two live parts; whether it is an elbow is not known.",
                    remedy: "Enter its kind in the network.")
            ]
        }
        return [
            Finding(
                "C8", step: step.sequence, .blockHard, elements: [item.id],
                "Step \(step.sequence) closes \(item.id), an elbow, between two live parts.",
                remedy: "Make the tie with a switch.")
        ]
    }

    /// C3: what was dead before the plan may be faulted.
    private static func makes(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ after: PlanSimulation.Stage,
        _ step: SwitchingPlan.Step, _ number: Int, stage: Int
    ) -> [Finding] {
        let dead = Set(context.simulation.initial.topology.deadIslands.joined())
        let revived = dead.filter { !before.topology.energised[$0] && after.topology.energised[$0] }
        guard !revived.isEmpty else { return [] }
        let item = context.network.switches[number]
        func finding(_ severity: Finding.Severity, _ text: String, _ remedy: String) -> [Finding] {
            [
                Finding(
                    "C3", step: step.sequence, severity, elements: [item.id],
                    value: item.faultMakeKiloamperes, unit: item.faultMakeKiloamperes == nil ? nil : "kA",
                    "Step \(step.sequence) closes \(item.id) onto \(Say.list(revived.sorted().map(context.name))), which may be faulted: \(text).",
                    remedy: remedy)
            ]
        }
        if item.isBreaker {
            guard !after.state.reclosingDisabled.contains(item.id) else { return [] }
            return finding(.condition, "it would reclose onto the fault", "Disable its reclosing before the step.")
        }
        let patrolled = context.plan.steps.prefix { $0.sequence != step.sequence }.contains { earlier in
            earlier.action == .verify && earlier.value?.lowercased() == "patrolled"
                && context.zones.ends(of: earlier.element).contains(where: revived.contains)
        }
        if patrolled { return [] }
        let remedy =
            "Patrol it and say so (a verify step with value \"patrolled\"), or close with a breaker or recloser."
        guard let rating = item.faultMakeKiloamperes else {
            return finding(.unknown, "what it may close onto is not known", remedy)
        }
        let peak = (context.faults?.closing[stage] ?? nil).map { $0 * 2.6 / 1000 }
        guard let peak else {
            return rating > 0
                ? finding(.unknown, "the fault current there is not known", remedy)
                : finding(.blockSoft, "it is not made to close onto a fault", remedy)
        }
        guard peak > rating else { return [] }
        // With a source that holds its voltage the current is the most that there can be, and says no more.
        if let unknown = context.faults?.unknownSources {
            return finding(.unknown, "the fault current there is not known without \(unknown)", remedy)
        }
        return finding(
            .blockSoft, "a fault draws \(Say.decimals(peak)) kA at its peak, it makes \(Say.decimals(rating)) kA",
            remedy)
    }

    /// T8: what is joined has the same phases.
    private static func phases(_ context: CheckContext, _ step: SwitchingPlan.Step, _ number: Int) -> [Finding] {
        guard let edge = context.graph.edge(ofSwitch: number) else { return [] }
        let ends = context.graph.edgeEnds[edge]
        let sides = [Int(ends.from), Int(ends.to)].map { context.network.nodes[$0] }
        guard let one = sides[0].phases, let other = sides[1].phases else {
            let unknown = sides.filter { $0.phases == nil }.map(\.id)
            guard context.network.nodes.contains(where: { $0.phases != nil }) else { return [] }
            return [
                Finding(
                    "T8", step: step.sequence, .unknown, elements: [step.element] + unknown,
                    "Which phases \(Say.list(unknown)) \(unknown.count == 1 ? "has" : "have"), which step \(step.sequence) joins, is not known.",
                    remedy: "Enter the phases of the node in the network.")
            ]
        }
        guard Set(one).isDisjoint(with: other) else { return [] }
        return [
            Finding(
                "T8", step: step.sequence, .blockHard, elements: [step.element],
                "Step \(step.sequence) joins phase \(one) of \(sides[0].id) to phase \(other) of \(sides[1].id).",
                remedy: "Join equal phases only; check on site which they are.")
        ]
    }

    /// C6: a lightly loaded bank that one pole feeds over a cable. Its iron and the cable's capacitance can resonate.
    private static func ferroresonance(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ after: PlanSimulation.Stage,
        _ step: SwitchingPlan.Step, _ number: Int
    ) -> [Finding] {
        guard context.isOfSinglePoles(step, number) else { return [] }
        let (network, graph) = (context.network, context.graph)
        let loaded = step.action == .open ? before : after
        // What hangs on the switch: live with it, dead without.
        var without = loaded.state.traced
        without[number] = .open
        let dead = Topology(graph, positions: without).energised
        let behind = Set(network.nodes.indices.filter { loaded.topology.energised[$0] && !dead[$0] })
        let lines = network.lines.filter { line in
            [line.from, line.to].contains { graph.nodeIndex[$0].map(behind.contains) ?? false }
        }
        let hasCables = network.lines.contains { $0.construction != nil && $0.kilometres != nil }
        guard hasCables, network.transformers.contains(where: { $0.windings != nil }) else { return [] }
        let cable = lines.filter { $0.construction == "cable" }.reduce(0) { $0 + ($1.kilometres ?? 0) }
        // Lines that may be cables, or of which nobody knows how long they are.
        let doubtful = lines.filter { line in
            line.construction == nil || line.construction == "cable" && line.kilometres == nil
        }
        return network.transformers.compactMap { unit in
            guard let high = graph.nodeIndex[unit.highNode], let low = graph.nodeIndex[unit.lowNode],
                behind.contains(high)
            else { return nil }
            // Above 15 kV any cable is enough, up to there more than 30 m.
            let isLong = network.nodes[high].nominalKilovolts > 15 ? cable > 0 : cable > 0.03
            guard isLong || !doubtful.isEmpty else { return nil }
            let load = context.injections.balance(of: [low, high]).load
            let share = load / (unit.ratedKVA * 1000)
            guard share < 0.1 else { return nil }
            guard isLong, let windings = unit.windings else {
                let unknown = unit.windings == nil ? [unit.id] : doubtful.map(\.id)
                return Finding(
                    "C6", step: step.sequence, .unknown, elements: unknown + [step.element],
                    "Step \(step.sequence) operates a pole of \(step.element) alone: whether \(unit.id) may go into ferroresonance is not known without \(unit.windings == nil ? "its windings" : "construction and length_km of \(Say.list(unknown))").",
                    remedy: "Use a gang-operated switch, or complete the network's data.")
            }
            return Finding(
                "C6", step: step.sequence, .blockSoft, elements: [unit.id, step.element], value: share * 100, limit: 10,
                unit: "% load", limitSource: "domain rules C6",
                "Step \(step.sequence) operates a pole of \(step.element) alone: \(unit.id) (\(windings)), loaded with \(Say.percent(share * 100)) behind \(Say.decimals(cable * 1000)) m of cable, may go into ferroresonance.",
                remedy: "Use a gang-operated switch, or switch at the bank's terminals.")
        }
    }

    /// C4: who has a phase missing while poles stand apart.
    private static func apart(_ context: CheckContext, _ after: PlanSimulation.Stage, _ number: Int) -> Finding? {
        guard let open = after.state.openPoles[number] else { return nil }
        let item = context.network.switches[number]
        let what = "\(context.when(after)) phase \(open.letters) of \(item.id) is open alone"
        guard let phases = after.flow(.now)?.phases else {
            return Finding(
                "C4", step: after.finding, .unknown, elements: [item.id],
                "\(what.prefix(1).uppercased() + what.dropFirst()); what that does is not known without a load flow.",
                remedy: "Operate all poles together, or complete the network's data (see the finding LF).")
        }
        let missing = phases.whole.indices.filter { node in
            after.topology.energised[node] && !phases.whole[node].isSuperset(of: phases.present[node])
        }
        let customers = context.customers(missing)
        let stays = context.simulation.final.state.openPoles[number] != nil
        let isBlock = stays && ![.plannedOutage, .clearance, .emergency].contains(context.plan.kind)
        return Finding(
            "C4", step: after.finding, isBlock ? .blockSoft : .condition,
            elements: [item.id] + missing.map(context.name), value: Double(customers.known), unit: "customers",
            "\(what.prefix(1).uppercased() + what.dropFirst()): \(Say.count(missing.count, "node")) with \(customers.text) lack a phase\(stays ? " and go on lacking it" : "").",
            remedy: isBlock
                ? "Operate its other poles, too."
                : "Have three-phase motors behind it stopped, and operate its other poles at once.")
    }

    /// C5: poles apart make a residual current that ground relays see.
    ///
    /// - Parameter told: relays that were named already, and are still not blocked.
    private static func residuals(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ after: PlanSimulation.Stage,
        _ number: Int, _ blocked: Set<String>, told: inout Set<String>
    ) -> [Finding] {
        let item = context.network.switches[number]
        guard let step = after.step, let node = context.graph.nodeIndex[item.node] else { return [] }
        let isMoved = step.element == item.id && step.action.movesSwitch
        let loaded = isMoved && step.action == .open ? before : after
        let zones = ProtectionZones(context.network, context.graph, loaded.state.traced)
        guard let flow = loaded.flow(.now) else { return [] }
        // With balanced load, and one or two poles open, the residual is what a phase carries.
        let estimate = context.amperes(through: number, flow)
        // Where no relay has a ground element that is known, the check is not run.
        let isJudged = context.network.switches.contains { $0.relay?.groundPickup != nil }
        var findings: [Finding] = []
        var device = zones.device[node]
        while let upstream = device {
            device = zones.zones[upstream]?.upstream
            let relayed = context.network.switches[upstream]
            guard !blocked.contains(relayed.id), isJudged else { continue }
            let solved = after.flow(.now).flatMap { context.residual(through: upstream, $0) } ?? 0
            let residual = max(estimate, solved)
            guard let pickup = relayed.relay?.groundPickup else {
                guard residual > context.limits.noLoadAmperes, told.insert(relayed.id).inserted else { continue }
                findings.append(
                    Finding(
                        "C5", step: step.sequence, .unknown, elements: [relayed.id, item.id], value: residual,
                        unit: "A",
                        limitSource: "ground_pickup_a of the switch", loadCase: .now,
                        "The poles of \(item.id) stand apart \(context.when(after)): \(relayed.id) sees \(Say.amperes(residual)) to ground, and its pickup is not known.",
                        remedy: "Enter ground_pickup_a in the network, or block its ground trip before."))
                continue
            }
            guard residual >= 0.8 * pickup - 1e-9, told.insert(relayed.id).inserted else { continue }
            findings.append(
                Finding(
                    "C5", step: step.sequence, .blockSoft, elements: [relayed.id, item.id], value: residual,
                    limit: 0.8 * pickup, unit: "A", limitSource: "ground_pickup_a of the switch", loadCase: .now,
                    "The poles of \(item.id) stand apart \(context.when(after)): \(relayed.id) sees \(Say.amperes(residual)) to ground, its pickup is \(Say.amperes(pickup)).",
                    remedy:
                        "Block its ground trip before (a control step on \(relayed.id) with value block_ground), and unblock it once the poles are together."
                ))
        }
        return findings
    }
}
