internal import GridModel
internal import PowerFlow

/// Fault currents where a plan changes what protects what, by stage. Devices whose zone and feed stay as they were before the
/// plan are left alone: the plan makes them no better and no worse.
struct FaultStudy {
    /// What a device sees in a stage, and what it saw before the plan.
    struct Reach {
        let zone: ProtectionZones.Zone
        /// A, the smallest, of a fault at the farthest end, three phases; and of one phase to ground (`nil`: not known).
        var atEnd: Double?
        var toGround: Double?
        /// A, three phases, right behind the device: the largest.
        var closeIn: Double?
        var end: Int?
    }

    struct Stage {
        let zones: ProtectionZones
        /// By device, those that changed.
        var reach: [Int: Reach] = [:]
        /// A, three phases, the largest, by breaker; only while sources or loops are in parallel.
        var levels: [Int: Double] = [:]
        var problem: PowerFlowError?
    }

    /// By stage; `nil`: not studied, because it is not radial and nothing has an interrupting rating.
    var stages: [Stage?] = []
    /// Before the plan, of every device that changes.
    var before: [Int: Reach] = [:]
    /// A, three phases, before the plan, by breaker as in ``Stage/levels``.
    var firstLevels: [Int: Double] = [:]
    /// A, three phases, before the step of a stage, where a switch closes that has a fault-making rating.
    var closing: [Int: Double] = [:]
    let hasZeroSequence: Bool
    /// Sources whose short-circuit power is not known, for a sentence: currents are then the most that there can be; `nil`:
    /// none.
    let unknownSources: String?

    init(
        _ network: Network, _ graph: NetworkGraph, _ simulation: PlanSimulation, _ taps: [Int?],
        _ solver: inout StateSolver
    ) {
        hasZeroSequence = solver.hasZeroSequence
        let unknown = network.sources.filter { $0.shortCircuitMVA == nil && $0.isStiff != true }.map(\.id)
        unknownSources = unknown.isEmpty ? nil : "sk_mva of \(Say.list(unknown))"
        let isMaking = network.switches.contains { ($0.faultMakeKiloamperes ?? 0) > 0 }
        // Beside breakers with a rating, those without one matter where more flows than before.
        let hasRatings = network.switches.contains { $0.interruptKiloamperes != nil }
        let breakers = network.switches.indices.filter {
            hasRatings && (network.switches[$0].interruptKiloamperes != nil || network.switches[$0].isBreaker)
        }
        guard network.switches.contains(where: { $0.relay != nil }) || !breakers.isEmpty || isMaking else { return }
        let idle = [Double](repeating: 0, count: network.nodes.count)
        func flowState(_ stage: PlanSimulation.Stage) -> FlowState {
            FlowState(isClosed: stage.state.traced.map { $0 == .closed }, taps: taps, watts: idle, vars: idle)
        }
        let first = ProtectionZones(network, graph, simulation.initial.state.traced)
        for stage in simulation.stages {
            let zones = ProtectionZones(network, graph, stage.state.traced)
            var made = Stage(zones: zones)
            let state = flowState(stage)
            do throws(PowerFlowError) {
                if stage.topology.isRadial {
                    for zone in zones.zones.values where Self.isChanged(zone, zones, first) {
                        made.reach[zone.device] = try Self.reach(zone, network, graph, state, &solver)
                        if before[zone.device] == nil, let old = first.zones[zone.device] {
                            before[zone.device] = try Self.reach(
                                old, network, graph, flowState(simulation.initial), &solver)
                        }
                    }
                } else {
                    let nodes = breakers.map { graph.nodeIndex[network.switches[$0].node] ?? 0 }
                    let currents = try solver.faultCurrents(state, at: nodes, .threePhase, isLargest: true)
                    for (breaker, current) in zip(breakers, currents) { made.levels[breaker] = current }
                    if firstLevels.isEmpty {
                        let initial = try solver.faultCurrents(
                            flowState(simulation.initial), at: nodes, .threePhase, isLargest: true)
                        for (breaker, current) in zip(breakers, initial) { firstLevels[breaker] = current }
                    }
                }
                if isMaking, let step = stage.step, step.action == .close, let number = graph.switchIndex[step.element],
                    let edge = graph.edge(ofSwitch: number)
                {
                    let ends = [Int(graph.edgeEnds[edge].from), Int(graph.edgeEnds[edge].to)]
                    let before = simulation.stages[stages.count - 1]
                    closing[stages.count] = try solver.faultCurrents(
                        flowState(before), at: ends, .threePhase, isLargest: true
                    )
                    .compactMap { $0 }.max()
                }
            } catch {
                made.problem = error
            }
            stages.append(made)
        }
    }

    /// Its zone, or the way over which it is fed, is another.
    private static func isChanged(_ zone: ProtectionZones.Zone, _ now: ProtectionZones, _ first: ProtectionZones)
        -> Bool
    {
        guard let old = first.zones[zone.device], old == zone, let node = zone.nodes.first else { return true }
        func path(_ zones: ProtectionZones) -> [Int] {
            var (edges, at) = ([Int](), node)
            while zones.parentEdge[at] >= 0 {
                edges.append(zones.parentEdge[at])
                at = zones.parentNode[at]
            }
            return edges
        }
        return path(now) != path(first)
    }

    private static func reach(
        _ zone: ProtectionZones.Zone, _ network: Network, _ graph: NetworkGraph, _ state: FlowState,
        _ solver: inout StateSolver
    ) throws(PowerFlowError) -> Reach {
        var reach = Reach(zone: zone)
        guard !zone.ends.isEmpty, let place = graph.nodeIndex[network.switches[zone.device].node] else { return reach }
        let currents = try solver.faultCurrents(state, at: zone.ends, .threePhase)
        reach.closeIn = try solver.faultCurrents(state, at: [place], .threePhase, isLargest: true)[0]
        for (node, current) in zip(zone.ends, currents) {
            guard let current, current < reach.atEnd ?? .infinity else { continue }
            (reach.atEnd, reach.end) = (current, node)
        }
        if solver.hasZeroSequence {
            reach.toGround = try solver.faultCurrents(state, at: zone.ends, .phaseToGround).compactMap { $0 }.min()
        }
        return reach
    }
}
