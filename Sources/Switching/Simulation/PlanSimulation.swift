internal import GridModel
internal import PowerFlow

/// A plan played through from the snapshot: the state, its topology and its load flows before the first and after every
/// step, in one order of the steps.
struct PlanSimulation {
    /// What the network is after a step.
    struct Stage {
        /// `nil` before the first.
        let step: SwitchingPlan.Step?
        let state: GridState
        let topology: Topology
        /// By load case; the error where there is no solution.
        var flows: [Finding.LoadCase: Result<FlowSolution, PowerFlowError>] = [:]
        /// The same once tap changers have reacted; only where they do.
        var settled: [Finding.LoadCase: Result<FlowSolution, PowerFlowError>] = [:]

        /// Number of the step as people know it; 0 before the first.
        var sequence: Int { step?.sequence ?? 0 }
        /// For a finding: a state before the first step belongs to none.
        var finding: Int? { step?.sequence }

        func flow(_ loadCase: Finding.LoadCase) -> FlowSolution? {
            guard case .success(let solution) = flows[loadCase] else { return nil }
            return solution
        }
    }

    let stages: [Stage]

    var initial: Stage { stages[0] }
    var final: Stage { stages[stages.count - 1] }

    /// Pairs of a stage and the one before it.
    var transitions: Zip2Sequence<[Stage], ArraySlice<Stage>> { zip(stages, stages.dropFirst()) }

    init(
        _ steps: [SwitchingPlan.Step], _ initial: GridState, _ graph: NetworkGraph, cases: [Finding.LoadCase],
        injections: Injections, taps: [Int?],
        solver: inout StateSolver
    ) {
        var state = initial
        var stages: [Stage] = []
        // Every state has the same injections, but for what the plan limits.
        var (limits, consumption) = (
            initial.derLimits, cases.map { injections.consumption($0, limits: initial.derLimits) }
        )
        func stage(_ step: SwitchingPlan.Step?) -> Stage {
            var stage = Stage(
                step: step, state: state, topology: Topology(graph, positions: state.traced))
            let closed = state.traced.map { $0 == .closed }
            if state.derLimits != limits {
                limits = state.derLimits
                consumption = cases.map { injections.consumption($0, limits: limits) }
            }
            for (loadCase, taken) in zip(cases, consumption) {
                let flow = FlowState(
                    isClosed: closed, openPoles: state.openPoles, taps: taps, watts: taken.watts, vars: taken.vars)
                stage.flows[loadCase] = solver.solve(flow, loadCase, limits: limits)
                // While sources are in parallel tap changers stand in manual (P5).
                if stage.topology.isRadial, let solution = stage.flow(loadCase) {
                    stage.settled[loadCase] = solver.settled(flow, from: solution, loadCase, limits: limits)
                }
            }
            return stage
        }
        stages.append(stage(nil))
        for step in steps {
            state.apply(step, graph)
            // A switch that moves may make live what was tested dead: it is tested again.
            if step.action.movesSwitch { state.testedDead = [] }
            stages.append(stage(step))
        }
        self.stages = stages
    }

    /// Every order that free groups allow, at most 120; `nil`: there are more.
    static func orders(_ steps: [SwitchingPlan.Step]) -> [[SwitchingPlan.Step]]? {
        var orders: [[SwitchingPlan.Step]] = [[]]
        var at = 0
        while at < steps.count {
            var end = at + 1
            if let group = steps[at].freeGroup { while end < steps.count, steps[end].freeGroup == group { end += 1 } }
            guard end - at <= 5 else { return nil }
            let variants = permutations(Array(steps[at..<end]))
            guard orders.count * variants.count <= 120 else { return nil }
            orders = orders.flatMap { before in variants.map { before + $0 } }
            at = end
        }
        return orders
    }

    private static func permutations(_ items: [SwitchingPlan.Step]) -> [[SwitchingPlan.Step]] {
        guard items.count > 1 else { return [items] }
        return items.indices.flatMap { place -> [[SwitchingPlan.Step]] in
            var rest = items
            let first = rest.remove(at: place)
            return permutations(rest).map { [first] + $0 }
        }
    }
}

/// Solves states, each only once: orders of a free group share most of theirs.
struct StateSolver: ~Copyable {
    private struct Key: Hashable {
        let closed: [Bool]
        let openPoles: [Int: Phases]
        let loadCase: Finding.LoadCase
        let limits: [String: Double]
    }

    private var model: FlowModel?
    /// There is no model of this network, because of its data; `nil`: there is.
    let problem: PowerFlowError?
    /// Faults to ground can be calculated.
    let hasZeroSequence: Bool
    private struct FaultKey: Hashable {
        let closed: [Bool]
        let nodes: [Int]
        let kind: FaultKind
        let isLargest: Bool
    }

    private var knownFaults: [FaultKey: [Double?]] = [:]
    private var known: [Key: Result<FlowSolution, PowerFlowError>] = [:]
    private var knownSettled: [Key: Result<FlowSolution, PowerFlowError>?] = [:]

    init(_ network: Network) {
        do throws(PowerFlowError) {
            let made = try FlowModel(network)
            problem = nil
            hasZeroSequence = made.hasZeroSequence
            model = consume made
        } catch {
            problem = error
            hasZeroSequence = false
            model = nil
        }
    }

    /// A, by node; see ``PowerFlow/FlowModel/faultCurrents(_:at:_:isLargest:)``.
    mutating func faultCurrents(
        _ state: FlowState, at nodes: [Int], _ kind: FaultKind, isLargest: Bool = false
    ) throws(PowerFlowError) -> [Double?] {
        if let problem { throw problem }
        let key = FaultKey(closed: state.isClosed, nodes: nodes, kind: kind, isLargest: isLargest)
        if let found = knownFaults[key] { return found }
        let found = try model?.faultCurrents(state, at: nodes, kind, isLargest: isLargest) ?? nodes.map { _ in nil }
        knownFaults[key] = found
        return found
    }

    /// - Parameter limits: by which the load case differs from what it is in other states.
    mutating func solve(
        _ state: FlowState, _ loadCase: Finding.LoadCase, limits: [String: Double]
    ) -> Result<FlowSolution, PowerFlowError> {
        let key = Key(closed: state.isClosed, openPoles: state.openPoles, loadCase: loadCase, limits: limits)
        if let found = known[key] { return found }
        let result = solve(state)
        known[key] = result
        return result
    }

    /// Once tap changers have reacted; `nil`: they do not.
    mutating func settled(
        _ state: FlowState, from solution: FlowSolution, _ loadCase: Finding.LoadCase, limits: [String: Double]
    ) -> Result<FlowSolution, PowerFlowError>? {
        let key = Key(closed: state.isClosed, openPoles: state.openPoles, loadCase: loadCase, limits: limits)
        if let found = knownSettled[key] { return found }
        let found = settled(state, from: solution).map { $0.map(\.solution) }
        knownSettled[key] = .some(found)
        return found
    }

    /// - Parameter measured: pu, by node; see ``PowerFlow/FlowModel/settled(_:from:measured:)``.
    mutating func settled(
        _ state: FlowState, from solution: FlowSolution, measured: [Int: Double] = [:]
    ) -> Result<(taps: [Int?], solution: FlowSolution), PowerFlowError>? {
        do throws(PowerFlowError) {
            guard let found = try model?.settled(state, from: solution, measured: measured) else { return nil }
            return .success(found)
        } catch {
            return .failure(error)
        }
    }

    mutating func solve(_ state: FlowState) -> Result<FlowSolution, PowerFlowError> {
        if let problem { return .failure(problem) }
        do throws(PowerFlowError) {
            guard let solution = try model?.solve(state) else {
                throw PowerFlowError(.invalidInput, "load flow", "there is no model")
            }
            return .success(solution)
        } catch {
            return .failure(error)
        }
    }
}
