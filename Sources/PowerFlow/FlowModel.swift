public import GridModel

/// A network as the load-flow engine sees it: positive sequence, every node with one constant-power injection. Where
/// laterals have fewer phases, or poles stand apart, each phase for itself.
///
/// Built once a network revision, then solved for state after state; about a millisecond for 1,000 nodes. One thread at
/// a time: it is neither copyable nor sendable.
public struct FlowModel: ~Copyable {
    private let network: Network
    let plan: EnginePlan
    private let results: EngineResults
    let tapControl: TapControl
    /// `nil` after a change that failed: the engine's model is then undefined, and is built again.
    private var engine: EngineModel?
    private let hasLaterals: Bool
    /// Made when it is first asked for; `nil` while the phases are alike.
    private var phaseModel: PhaseModel?
    /// pu, mean of the sources.
    let sourceVoltage: Double

    /// The zero sequence of every line is known: faults to ground can be calculated.
    public let hasZeroSequence: Bool

    /// - Throws: ``PowerFlowError/Code/missingData`` with every element that lacks something.
    public init(_ network: Network) throws(PowerFlowError) {
        let plan = try EnginePlan(network)
        let engine = try Self.engine(plan, network)
        self.network = network
        self.plan = plan
        results = EngineResults(network, plan)
        tapControl = TapControl(network)
        hasLaterals = network.nodes.contains { node in
            let phases = Phases(letters: node.phases ?? "")
            return !phases.isEmpty && phases != .all
        }
        phaseModel = nil
        hasZeroSequence = network.lines.allSatisfy { $0.zeroResistance != nil && $0.zeroReactance != nil }
        sourceVoltage =
            network.sources.compactMap(\.voltagePerUnit).reduce(0, +) / Double(max(1, network.sources.count))
        self.engine = consume engine
    }

    /// - Throws: what the engine refuses, in the network's names.
    private static func engine(_ plan: EnginePlan, _ network: Network) throws(PowerFlowError) -> EngineModel {
        do throws(PowerFlowError) {
            return try EngineModel(plan.tables, frequency: network.nominalFrequency)
        } catch {
            throw PowerFlowError(error.code, error.operation, plan.naming(error.detail, network))
        }
    }

    /// The state of the network as it is drawn: normal positions and taps, nothing connected.
    public var normalState: FlowState {
        FlowState(
            isClosed: network.switches.map { $0.normalPosition == .closed },
            taps: network.transformers.map(\.tap.position),
            watts: Array(repeating: 0, count: network.nodes.count),
            vars: Array(repeating: 0, count: network.nodes.count))
    }

    /// - Throws: when there is no solution, or one that is no number.
    public mutating func solve(_ state: FlowState) throws(PowerFlowError) -> FlowSolution {
        if hasLaterals || !state.openPoles.isEmpty { return try solveByPhase(state) }
        return try solveAlike(state)
    }

    private mutating func solveByPhase(_ state: FlowState) throws(PowerFlowError) -> FlowSolution {
        try check(state)
        let poles = Set(state.openPoles.keys)
        if phaseModel == nil || !(phaseModel?.poles.isSuperset(of: poles) ?? false) {
            let known = phaseModel?.poles ?? []
            phaseModel = try PhaseModel(network, poles: known.union(poles))
        }
        guard let solution = try phaseModel?.solve(state) else {
            throw PowerFlowError(.invalidInput, "load flow by phase", "there is no model")
        }
        return solution
    }

    /// With the phases alike, whatever stands in the network.
    mutating func solveAlike(_ state: FlowState) throws(PowerFlowError) -> FlowSolution {
        try apply(state)
        results.clear()
        try calculate(.loadFlow, into: results.tables)
        return try results.solution()
    }

    mutating func update(_ tables: [EngineTable]) throws(PowerFlowError) { try engine?.update(tables) }

    /// Gives the engine's model up after a change that failed.
    mutating func drop() { engine = nil }

    mutating func calculate(_ what: EngineModel.Calculation, into tables: [EngineTable]) throws(PowerFlowError) {
        guard engine != nil else { throw PowerFlowError(.invalidInput, "load flow", "there is no model") }
        try engine?.calculate(what, into: tables)
    }

    private func check(_ state: FlowState) throws(PowerFlowError) {
        precondition(state.isClosed.count == network.switches.count && state.watts.count == network.nodes.count)
        guard state.watts.allSatisfy(\.isFinite), state.vars.allSatisfy(\.isFinite) else {
            throw PowerFlowError(.invalidInput, "load flow", "an injection is no number")
        }
    }

    private mutating func apply(_ state: FlowState) throws(PowerFlowError) {
        try check(state)
        if engine == nil { engine = try Self.engine(plan, network) }
        do throws(PowerFlowError) {
            try engine?.update(plan.update(state))
        } catch {
            engine = nil
            throw error
        }
    }
}
