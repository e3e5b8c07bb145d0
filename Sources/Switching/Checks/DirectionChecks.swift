internal import GridModel
internal import PowerFlow

/// F2, F3 and R7: devices through which power comes back, and devices that are fed from their other side.
enum DirectionChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        let switches = context.network.switches
        let hasDirections = switches.contains { $0.relay?.isDirectional != nil }
        let hasGroups = switches.contains { $0.relay?.hasAlternateSettings != nil }
        // Beside switches whose kind is known, one whose kind is not may be a protector.
        let hasKinds = switches.contains { !$0.kind.isEmpty }
        let protectors = switches.indices.filter {
            switches[$0].kind.uppercased() == "NETWORK_PROTECTOR" || hasKinds && !switches[$0].isOfKnownKind
        }
        let silent = switches.indices.filter { hasDirections && switches[$0].isBreaker && switches[$0].relay == nil }
        guard hasDirections || hasGroups || !protectors.isEmpty else { return [] }
        var findings: [Finding] = []
        var told: Set<String> = []
        var alternate: Set<String> = []
        let first = ProtectionZones(context.network, context.graph, context.simulation.initial.state.traced)
        for stage in context.simulation.stages.dropFirst() {
            if let step = stage.step, case .settings(let isAlternate) = context.command(step) {
                if isAlternate { alternate.insert(step.element) } else { alternate.remove(step.element) }
            }
            // In a loop there is no side that power comes from.
            guard stage.topology.isRadial else { continue }
            let zones = ProtectionZones(context.network, context.graph, stage.state.traced)
            var found = protectors.compactMap { protector(context, stage, zones, $0, first) }
            found += silent.compactMap { breaker(context, stage, zones, $0, first) }
            for device in zones.zones.keys.sorted() {
                if hasDirections { found += direction(context, stage, zones, device, first) }
                if hasGroups { found += settings(context, stage, zones, device, first, alternate) }
            }
            // What stays as a step left it is said once.
            findings += found.filter { told.insert("\($0.check) \($0.severity) \($0.elements)").inserted }
        }
        return findings
    }

    /// The largest current that comes back through a switch to its source, as measured or at most.
    private static func back(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ number: Int
    ) -> (amperes: Double, loadCase: Finding.LoadCase)? {
        guard let isFedFrom = zones.isFedFromFirstEnd(number, context.graph) else { return nil }
        return [Finding.LoadCase.now, .export].compactMap { loadCase in
            guard let flow = stage.flow(loadCase) else { return nil }
            let branch = context.branch(of: number, flow)
            // Into it at the end where its source is: negative comes back. Below 1 kW it is the noise of the load flow.
            guard (isFedFrom ? branch.fromWatts : branch.toWatts) < -1000 else { return nil }
            return (context.amperes(through: number, flow), loadCase)
        }.max { $0.amperes < $1.amperes }
    }

    /// F3: a network protector opens on any power that comes back.
    private static func protector(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ number: Int,
        _ first: ProtectionZones
    ) -> Finding? {
        guard let (amperes, loadCase) = back(context, stage, zones, number) else { return nil }
        let item = context.network.switches[number]
        guard item.isOfKnownKind else {
            return Finding(
                "F3", step: stage.finding, .unknown, elements: [item.id], value: amperes, unit: "A",
                limitSource: "kind of the switch", loadCase: loadCase,
                "\(item.id) has \(Say.amperes(amperes)) coming back \(context.when(stage)); whether it is a network protector is not known.",
                remedy: "Enter the kind of the switch in the network.")
        }
        let isOld = amperes <= (back(context, context.simulation.initial, first, number)?.amperes ?? 0) * 1.01
        return Finding(
            "F3", step: stage.finding, isOld ? .note : .blockHard, elements: [item.id], value: amperes, limit: 0,
            unit: "A", limitSource: "domain rules F3", loadCase: loadCase,
            "\(item.id), a network protector, has \(Say.amperes(amperes)) coming back \(context.when(stage))\(isOld ? ", as before the plan" : ""): it opens.",
            remedy: isOld ? nil : "Curtail DER behind it, or transfer another part.")
    }

    /// F2: a breaker of which no settings are known, beside others.
    private static func breaker(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ number: Int,
        _ first: ProtectionZones
    ) -> Finding? {
        let item = context.network.switches[number]
        guard stage.state.positions[number] == .closed, let edge = context.graph.edge(ofSwitch: number),
            [Int(context.graph.edgeEnds[edge].from), Int(context.graph.edgeEnds[edge].to)]
                .contains(where: { stage.topology.feeder[$0] >= 0 }),
            let (amperes, loadCase) = back(context, stage, zones, number)
        else { return nil }
        let earlier = back(context, context.simulation.initial, first, number)?.amperes ?? 0
        guard amperes > earlier * 1.01 else { return nil }
        return Finding(
            "F2", step: stage.finding, .unknown, elements: [item.id], value: amperes, unit: "A",
            limitSource: "phase_pickup_a of the switch", loadCase: loadCase,
            "\(item.id) has \(Say.amperes(amperes)) coming back \(context.when(stage)), and what trips it is not known.",
            remedy: "Enter the relay's settings in the network.")
    }

    /// F2: what cannot tell directions takes power that comes back for a fault.
    private static func direction(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ number: Int,
        _ first: ProtectionZones
    ) -> [Finding] {
        let item = context.network.switches[number]
        guard let relay = item.relay, relay.isDirectional != true,
            let (amperes, loadCase) = back(context, stage, zones, number), amperes >= 0.8 * relay.phasePickup - 1e-9
        else { return [] }
        let earlier = back(context, context.simulation.initial, first, number)?.amperes ?? 0
        let isOld = amperes <= earlier * 1.01
        return [
            Finding(
                "F2", step: stage.finding, isOld ? .note : relay.isDirectional == nil ? .unknown : .blockSoft,
                elements: [item.id], value: amperes, limit: 0.8 * relay.phasePickup, unit: "A",
                limitSource: "phase_pickup_a of the switch", loadCase: loadCase,
                "\(item.id) \(relay.isDirectional == nil ? "may not tell" : "does not tell") directions and has \(Say.amperes(amperes)) coming back \(context.when(stage))\(isOld ? ", as before the plan" : ""); its pickup is \(Say.amperes(relay.phasePickup)).",
                remedy: isOld ? nil : "Curtail DER behind it, or raise its setting for this feed.")
        ]
    }

    /// R7: a device that is fed from its other side has settings for that, and they are used.
    private static func settings(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ number: Int,
        _ first: ProtectionZones, _ alternate: Set<String>
    ) -> [Finding] {
        let item = context.network.switches[number]
        guard let before = first.isFedFromFirstEnd(number, context.graph),
            let now = zones.isFedFromFirstEnd(number, context.graph), before != now,
            let relay = item.relay, relay.hasAlternateSettings != false, !alternate.contains(item.id)
        else { return [] }
        let isKnown = relay.hasAlternateSettings == true
        return [
            Finding(
                "R7", step: stage.finding, isKnown ? .condition : .unknown, elements: [item.id],
                isKnown
                    ? "\(item.id) is fed from its other side \(context.when(stage)), and its settings for that are not used."
                    : "\(item.id) is fed from its other side \(context.when(stage)); whether it has settings for that is not known.",
                remedy: isKnown
                    ? "Change them before (a control step on \(item.id) with value alternate_settings)."
                    : "Enter in the network whether it has alternate settings.")
        ]
    }
}
