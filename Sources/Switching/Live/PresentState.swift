internal import GridModel
internal import PowerFlow

/// The network as it is before anything is judged: loads estimated with losses, taps where measured voltages say they
/// are, and what does not fit together.
struct PresentState {
    var snapshot: GridSnapshot
    var contradicted: Set<String> = []
    var unmeasured: Set<String> = []
    var contradictions: [Contradiction] = []
}

extension PlanValidator {
    /// - Parameter isBefore: no step has been done: the plan starts from what is now.
    func present(_ snapshot: GridSnapshot, isBefore: Bool, _ solver: inout StateSolver) -> PresentState {
        guard let live = snapshot.measured else { return PresentState(snapshot: snapshot) }
        var present = PresentState(snapshot: snapshot)
        let traced = GridState(snapshot).traced
        let topology = Topology(graph, positions: traced)
        let estimate = LoadEstimate(network, graph, topology, live, positions: traced)
        var loads = estimate.loads(losses: nil)
        var taps = snapshot.taps
        let volts = Self.busbarVoltages(live)
        func state() -> FlowState {
            var copy = snapshot
            copy.take(loads)
            let now = Injections(network, copy).consumption(.now)
            return FlowState(isClosed: traced.map { $0 == .closed }, taps: taps, watts: now.watts, vars: now.vars)
        }
        /// Once taps stand where they are now.
        func solve() -> FlowSolution? {
            let asked = state()
            guard case .success(let first) = solver.solve(asked) else { return nil }
            guard case .success(let moved)? = solver.settled(asked, from: first, measured: volts) else { return first }
            taps = moved.taps
            return moved.solution
        }
        // Without a solution LF says so, on the loads that there are.
        if let first = solve() {
            loads = estimate.loads(losses: estimate.losses(first))
            if let second = solve() {
                present.contradictions = ModelComparison(
                    network: network, graph: graph, topology: topology, conducts: graph.conducting(traced), live: live,
                    estimate: estimate, loads: loads, solution: second
                ).contradictions()
            }
            // Steps that were done may have moved them: then they are where the measured voltages say, or not known.
            present.snapshot.taps = taps
            present.snapshot.hasMeasuredTaps = isBefore || !volts.isEmpty
        }
        present.snapshot.take(loads)
        present.snapshot.modelDoubts += ModelComparison.doubts(present.contradictions, live)
        present.contradicted = loads.contradicted.union(present.contradictions.flatMap(\.feeders))
        present.unmeasured = loads.unmeasured
        return present
    }

    /// pu, by node: in the middle of what is measured there.
    private static func busbarVoltages(_ live: LiveMeasurements) -> [Int: Double] {
        Dictionary(grouping: live.voltages, by: \.node).compactMapValues { found in
            let sorted = found.map(\.perUnit).sorted()
            let middle = sorted[sorted.count / 2]
            // Beyond no tap changer takes it: it is a meter that is wrong.
            return middle > 0.8 && middle < 1.2 ? middle : nil
        }
    }
}
