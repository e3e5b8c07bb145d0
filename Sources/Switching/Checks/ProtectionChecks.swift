internal import GridModel
internal import PowerFlow

/// R1–R6 and P6: does protection still see, wait and tell apart what the plan makes of the network? Only where the network
/// carries relay settings, and only devices whose zone or feed the plan changes.
enum ProtectionChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        guard let study = context.faults else { return [] }
        var findings = meshed(context)
        var told: Set<String> = []
        for (stage, studied) in zip(context.simulation.stages, study.stages).dropFirst() {
            guard let studied else { continue }
            if let problem = studied.problem {
                findings.append(
                    Finding(
                        "R1", step: stage.finding, .unknown,
                        "Fault currents \(context.when(stage)) are not known: \(problem).",
                        remedy: "Complete the network's data."))
                continue
            }
            let found =
                studied.reach.values.sorted { $0.zone.device < $1.zone.device }.flatMap { reach in
                    self.reach(context, stage, studied, reach, study.before[reach.zone.device])
                        + coordination(context, stage, reach, studied)
                } + notKnown(context, stage, studied) + encroachment(context, stage, studied)
                + reclosing(context, stage, studied)
                + levels(context, stage, studied) + unprotected(context, stage, studied)
            // What stays as a step left it is said once.
            for finding in found
            where told.insert("\(finding.check) \(finding.severity) \(finding.elements)").inserted {
                findings.append(finding)
            }
        }
        return findings
    }

    /// R1: where a loop or a second source stays that was there before, reach, coordination and direction are not judged.
    private static func meshed(_ context: CheckContext) -> [Finding] {
        let (first, last) = (context.simulation.initial, context.simulation.final)
        guard !first.topology.isRadial, !last.topology.isRadial, first.state.traced != last.state.traced,
            context.network.switches.contains(where: { $0.relay != nil })
        else { return [] }
        return [
            Finding(
                "R1", step: last.finding, .unknown,
                "The network is not radial \(context.when(last)), as before the plan: whether its protection still works is not known.",
                remedy: "Have reach, coordination and directions judged by an engineer.")
        ]
    }

    private static func relay(_ context: CheckContext, _ device: Int) -> (id: String, relay: Network.Relay)? {
        let item = context.network.switches[device]
        return item.relay.map { (item.id, $0) }
    }

    /// R1 and R2: a fault at the end of a zone is seen. An infeed of DER behind the device takes current from it.
    private static func reach(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage, _ reach: FaultStudy.Reach,
        _ before: FaultStudy.Reach?
    ) -> [Finding] {
        guard let (id, relay) = relay(context, reach.zone.device), let end = reach.end, let current = reach.atEnd else {
            return []
        }
        let limits = context.limits
        let balance = context.injections.balance(of: Set(studied.zones.nodes(behind: reach.zone.device)))
        let infeed = balance.generation > 0.5 * balance.load ? 0.9 : 1
        func judge(
            _ check: String, _ amperes: Double, _ pickup: Double, _ earlier: Double?, _ minimum: Double,
            _ wanted: Double,
            _ what: String
        ) -> Finding? {
            let ratio = amperes * infeed / pickup
            guard ratio < wanted - 1e-9 else {
                // With a source that holds its voltage the current is the most that there can be.
                return context.faults?.unknownSources.map {
                    Finding(
                        check, step: stage.finding, .unknown, elements: [id, context.name(end)], limitSource: "sk_mva",
                        "Whether \(id) sees \(what.prefix(1).lowercased() + what.dropFirst()) at \(context.name(end)) \(context.when(stage)) is not known without \($0).",
                        remedy: "Enter sk_mva of the sources in the network.")
                }
            }
            let isBlock = ratio < minimum - 1e-9
            let isOld = earlier.map { $0 / pickup <= ratio * 1.01 } ?? false
            return Finding(
                check, step: stage.finding, isOld ? .note : isBlock ? .blockSoft : .condition,
                elements: [id, context.name(end)], value: ratio, limit: isBlock ? minimum : wanted, unit: "of pickup",
                limitSource: "limits.\(check == "R1" ? "phase" : "ground")_reach",
                "\(what) at \(context.name(end)) gives \(id) \(Say.amperes(amperes)), \(Say.decimals(ratio)) times its pickup of \(Say.amperes(pickup)), \(context.when(stage))\(isOld ? ", as before the plan" : "").",
                remedy: isOld ? nil : "Set the relay for this feed, put a device between, or transfer less.")
        }
        let phases = judge(
            "R1", current * 0.866, relay.phasePickup, before?.atEnd.map { $0 * 0.866 }, limits.phaseReachMinimum,
            limits.phaseReach, "A fault between two phases")
        let ground: Finding? =
            if let bank = studied.zones.bank(of: reach.zone.nodes.first, context.network),
                bank.neutral?.isOnlySignalled ?? false
            {
                Finding(
                    "R2", step: stage.finding, .note, elements: [bank.id],
                    "Behind \(bank.id) a fault to ground is signalled, and not tripped by its current: its neutral is \(bank.neutral?.rawValue ?? "")."
                )
            } else if let pickup = relay.groundPickup, let amperes = reach.toGround {
                judge(
                    "R2", amperes, pickup, before?.toGround, limits.groundReachMinimum, limits.groundReach,
                    "A fault to ground")
            } else { groundNotKnown(context, stage, id, relay) }
        return [phases, ground].compactMap { $0 }
    }

    /// R2: others have a ground element, or lines their zero sequence, and what this one needs is missing.
    private static func groundNotKnown(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ id: String, _ relay: Network.Relay
    ) -> Finding? {
        let hasGround = context.network.switches.contains { $0.relay?.groundPickup != nil }
        guard hasGround, DataNeeds.hasZeroSequence(context.network) else { return nil }
        let lines = context.network.lines.filter { $0.zeroResistance == nil || $0.zeroReactance == nil }.map(\.id)
        let what =
            relay.groundPickup == nil ? "its ground_pickup_a" : "r0_ohm and x0_ohm of \(Say.list(lines))"
        guard relay.groundPickup == nil || !lines.isEmpty else { return nil }
        return Finding(
            "R2", step: stage.finding, .unknown, elements: [id] + (relay.groundPickup == nil ? [] : lines),
            "Whether \(id) sees a fault to ground \(context.when(stage)) is not known without \(what).",
            remedy: "Complete the network's data.")
    }

    /// R1: breakers inside feeders, beside others with settings, where the plan changes what protects what.
    private static func notKnown(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        guard stage.topology.isRadial else { return [] }
        let changed = Set(studied.reach.values.flatMap(\.zone.nodes))
        let network = context.network
        guard !changed.isEmpty else { return [] }
        let silent = network.switches.indices.filter { number in
            let item = network.switches[number]
            guard item.isBreaker, item.relay == nil, item.connects != .transformer,
                stage.state.positions[number] == .closed, let edge = context.graph.edge(ofSwitch: number)
            else { return false }
            let ends = context.graph.edgeEnds[edge]
            return [Int(ends.from), Int(ends.to)].contains { stage.topology.feeder[$0] >= 0 && changed.contains($0) }
        }.map { network.switches[$0].id }
        guard !silent.isEmpty else { return [] }
        return [
            Finding(
                "R1", step: stage.finding, .unknown, elements: silent,
                "What \(Say.list(silent)) \(silent.count == 1 ? "protects" : "protect"), and when \(silent.count == 1 ? "it trips" : "they trip"), \(context.when(stage)) is not known.",
                remedy: "Enter the relay's settings in the network.")
        ]
    }

    /// R3: load stays clear of the pickup, as measured, without DER, and later.
    private static func encroachment(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        let limits = context.limits
        var flows = [Finding.LoadCase.now, .masked].compactMap { loadCase in
            stage.flow(loadCase).map { (loadCase: loadCase, flow: $0) }
        }
        if stage.sequence == context.simulation.final.sequence {
            flows += context.outlook.compactMap { moment in (try? moment.flow.get()).map { (.now, $0) } }
        }
        let initial =
            [Finding.LoadCase.now, .masked].compactMap { context.simulation.initial.flow($0) }
            + context.outlook.compactMap(\.before)
        return studied.zones.zones.keys.sorted().compactMap { device in
            guard let (id, relay) = relay(context, device) else { return nil }
            let worst = flows.map { ($0.loadCase, context.amperes(through: device, $0.flow)) }.max { $0.1 < $1.1 }
            guard let worst, worst.1 > limits.encroachment * relay.phasePickup + 1e-9 else { return nil }
            let earlier = initial.map { context.amperes(through: device, $0) }.max() ?? 0
            let isOld = worst.1 <= earlier * 1.01
            let isBlock = worst.1 > limits.encroachmentMaximum * relay.phasePickup + 1e-9
            return Finding(
                "R3", step: stage.finding, isOld ? .note : isBlock ? .blockSoft : .condition, elements: [id],
                value: worst.1 / relay.phasePickup * 100,
                limit: (isBlock ? limits.encroachmentMaximum : limits.encroachment) * 100, unit: "%",
                limitSource: "limits.load_encroachment_pct", loadCase: worst.0,
                "\(id) carries \(Say.amperes(worst.1)) of its pickup of \(Say.amperes(relay.phasePickup)) \(context.when(stage))\(isOld ? ", as before the plan" : "").",
                remedy: isOld ? nil : "Transfer less, or raise the setting for this feed.")
        }
    }

    /// R5: the device nearer to the fault trips first, by a margin, at the largest and at the smallest current.
    private static func coordination(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ reach: FaultStudy.Reach, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        // Where no relay has a curve, the check is not run.
        guard DataNeeds.hasCurves(context.network), let upstream = reach.zone.upstream,
            let (downID, down) = relay(context, reach.zone.device),
            let (upID, up) = relay(context, upstream)
        else { return [] }
        guard down.curve != nil, down.timeDial != nil, up.curve != nil, up.timeDial != nil else {
            return [
                Finding(
                    "R5", step: stage.finding, .unknown, elements: [downID, upID],
                    "Whether \(upID) waits for \(downID) is not known: a curve or time dial is missing.",
                    remedy: "Complete the relay settings.")
            ]
        }
        let margins = [reach.closeIn, reach.atEnd.map { $0 * 0.866 }].compactMap { $0 }.compactMap {
            amperes -> (amperes: Double, margin: Double)? in
            guard let below = down.tripSeconds(amperes: amperes), let above = up.tripSeconds(amperes: amperes) else {
                return nil
            }
            return (amperes, above - below)
        }
        guard let worst = margins.min(by: { $0.margin < $1.margin }),
            worst.margin < context.limits.coordinationSeconds - 1e-9
        else {
            guard let unknown = context.faults?.unknownSources else { return [] }
            return [
                Finding(
                    "R5", step: stage.finding, .unknown, elements: [downID, upID], limitSource: "sk_mva",
                    "Whether \(upID) waits for \(downID) \(context.when(stage)) is not known without \(unknown).",
                    remedy: "Enter sk_mva of the sources in the network.")
            ]
        }
        return [
            Finding(
                "R5", step: stage.finding, worst.margin < 0 ? .blockSoft : .condition, elements: [downID, upID],
                value: worst.margin, limit: context.limits.coordinationSeconds, unit: "s",
                limitSource: "limits.coordination_s",
                worst.margin < 0
                    ? "At \(Say.amperes(worst.amperes)) \(upID) would trip \(Say.decimals(-worst.margin)) s before \(downID) \(context.when(stage))."
                    : "At \(Say.amperes(worst.amperes)) \(upID) waits only \(Say.decimals(worst.margin)) s for \(downID) \(context.when(stage)).",
                remedy: "Change the setting of \(upID), or the settings group for this feed.")
        ]
    }

    /// R6: a device that recloses at once onto DER that may not have tripped yet.
    private static func reclosing(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        guard DataNeeds.hasReclosing(context.network) else { return [] }
        return studied.reach.keys.sorted().compactMap { device in
            guard let (id, relay) = relay(context, device), relay.recloses != false,
                relay.firstReclose ?? 0 < 2, !stage.state.reclosingDisabled.contains(id)
            else { return nil }
            let balance = context.injections.balance(of: Set(studied.zones.nodes(behind: device)))
            let ratio = balance.load > 0 ? balance.generation / balance.load : balance.generation > 0 ? .infinity : 0
            guard ratio >= context.limits.islandSustainable else { return nil }
            guard let wait = relay.firstReclose else {
                return Finding(
                    "R6", step: stage.finding, .unknown, elements: [id], value: ratio.isFinite ? ratio : nil,
                    limit: context.limits.islandSustainable, unit: "generation/load", limitSource: "domain rules D.3",
                    "Whether \(id) recloses, and how soon, onto a part whose DER give \(Say.power(balance.generation)) to \(Say.power(balance.load)) of load \(context.when(stage)), is not known.",
                    remedy: "Disable reclosing of \(id) before the step, or enter first_reclose_s (none: it does not).")
            }
            return Finding(
                "R6", step: stage.finding, .condition, elements: [id], value: ratio.isFinite ? ratio : nil,
                limit: context.limits.islandSustainable, unit: "generation/load", limitSource: "domain rules D.3",
                "\(id) recloses after \(Say.decimals(wait)) s onto a part whose DER give \(Say.power(balance.generation)) to \(Say.power(balance.load)) of load \(context.when(stage)).",
                remedy: "Disable reclosing of \(id) before the step.")
        }
    }

    /// P6: breakers can interrupt what flows while sources are in parallel.
    private static func levels(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        studied.levels.keys.sorted().compactMap { breaker in
            let item = context.network.switches[breaker]
            guard let current = studied.levels[breaker] else { return nil }
            let earlier = context.faults?.firstLevels[breaker] ?? 0
            guard let rating = item.interruptKiloamperes else {
                guard current > earlier * 1.01 else { return nil }
                return Finding(
                    "P6", step: stage.finding, .unknown, elements: [item.id], value: current / 1000, unit: "kA",
                    limitSource: "interrupt_ka of the switch",
                    "What \(item.id) interrupts is not known; a fault there draws more \(context.when(stage)) than before.",
                    remedy: "Enter interrupt_ka of the switch in the network, or open before closing.")
            }
            guard current > 0.875 * rating * 1000 else { return nil }
            // With a source that holds its voltage the current is the most that there can be, and says no more.
            if let unknown = context.faults?.unknownSources {
                return Finding(
                    "P6", step: stage.finding, .unknown, elements: [item.id], limit: rating, unit: "kA",
                    limitSource: "interrupt_ka of the switch",
                    "What a fault at \(item.id) draws \(context.when(stage)) is not known without \(unknown); it interrupts \(Say.decimals(rating)) kA.",
                    remedy: "Enter sk_mva of the sources in the network, or open before closing.")
            }
            let isOver = current > rating * 1000
            return Finding(
                "P6", step: stage.finding, isOver ? .blockSoft : .condition, elements: [item.id], value: current / 1000,
                limit: isOver ? rating : 0.875 * rating, unit: "kA", limitSource: "interrupt_ka of the switch",
                "A fault at \(item.id) draws \(Say.decimals(current / 1000)) kA \(context.when(stage)); it interrupts \(Say.decimals(rating)) kA.",
                remedy: "Open before closing.")
        }
    }

    /// Nodes that come under a device whose settings nobody has given.
    private static func unprotected(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ studied: FaultStudy.Stage
    ) -> [Finding] {
        guard stage.topology.isRadial, let first = context.faults?.stages.first ?? nil else { return [] }
        let nodes = context.network.nodes.indices.filter { node in
            stage.topology.feeder[node] >= 0 && studied.zones.device[node] == nil
                && (first.zones.device[node] != nil
                    || stage.topology.feeder[node] != context.simulation.initial.topology.feeder[node])
        }
        guard !nodes.isEmpty else { return [] }
        return [
            Finding(
                "R1", step: stage.finding, .unknown, elements: nodes.map(context.name),
                "What protects \(Say.list(nodes.map(context.name))) \(context.when(stage)) has no known settings.",
                remedy: "Enter the relay's settings in the network.")
        ]
    }
}
