internal import GridModel
internal import PowerFlow

/// What load takes when it comes back after an outage: for a while everything runs at once.
struct ColdLoad {
    /// The stage from which on it is fed again.
    let stage: Int
    let nodes: [Int]
    /// Hours without supply; `nil`: not known, the longest is assumed.
    let hours: Double?
    /// Of what it takes otherwise.
    let factor: Double
    /// The stage's MASKED case with that load.
    let flow: Result<FlowSolution, PowerFlowError>

    /// Factor on the load of a part that was dead, in the first minutes (domain rules B.3.4).
    static func factor(hours: Double?) -> Double {
        guard let hours else { return 2.5 }
        return switch hours {
        case ..<(5.0 / 60): 1
        case ..<0.5: 1.3
        case ..<2: 1.6
        case ..<6: 2
        default: 2.5
        }
    }

    /// For every stage that feeds something again that was dead before the plan.
    static func study(
        _ simulation: PlanSimulation, _ snapshot: GridSnapshot, masked: (watts: [Double], vars: [Double]),
        scale: Double,
        _ solver: inout StateSolver
    ) -> [Self] {
        let dead = Set(simulation.initial.topology.deadIslands.joined())
        guard !dead.isEmpty, scale > 0 else { return [] }
        var known: Set<[Int]> = []
        var found: [Self] = []
        for (place, stage) in simulation.stages.enumerated().dropFirst() {
            let nodes = dead.filter { stage.topology.energised[$0] && snapshot.loadWatts[$0] > 0 }.sorted()
            guard !nodes.isEmpty, known.insert(nodes).inserted else { continue }
            let since = nodes.map { snapshot.deadSince[$0] }
            let hours = since.contains(nil) ? nil : since.compactMap { $0.map { (snapshot.time - $0) / 3600 } }.max()
            let factor = 1 + (Self.factor(hours: hours) - 1) * scale
            guard factor > 1 else { continue }
            var (watts, vars) = masked
            let loads = snapshot.largestLoadWatts ?? snapshot.loadWatts
            for node in nodes {
                watts[node] += loads[node] * (factor - 1)
                vars[node] += snapshot.loadVars[node] * (factor - 1)
            }
            let flow = solver.solve(
                FlowState(
                    isClosed: stage.state.traced.map { $0 == .closed }, openPoles: stage.state.openPoles,
                    taps: snapshot.taps, watts: watts, vars: vars))
            found.append(Self(stage: place, nodes: nodes, hours: hours, factor: factor, flow: flow))
        }
        return found
    }
}
