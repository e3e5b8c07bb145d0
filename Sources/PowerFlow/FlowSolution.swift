public import GridModel

/// Flow at the two ends of a line, a transformer or a closed bus switch; into the branch is positive. Zero at an open end.
public struct BranchFlow: Sendable, Equatable {
    public var fromWatts = 0.0
    public var fromVars = 0.0
    public var fromAmperes = 0.0
    public var toWatts = 0.0
    public var toVars = 0.0
    public var toAmperes = 0.0

    /// A, of the end that carries more.
    public var amperes: Double { max(fromAmperes, toAmperes) }

    public init() {}

    var isFinite: Bool {
        [fromWatts, fromVars, fromAmperes, toWatts, toVars, toAmperes].allSatisfy(\.isFinite)
    }
}

/// The solved state of a network. Places are those of the `Network`'s arrays.
public struct FlowSolution: Sendable, Equatable {
    /// By node; false for what no source reaches.
    public var isEnergised: [Bool]
    /// By node, of its nominal voltage; 0 where it is dead.
    public var perUnit: [Double]
    /// By node, degrees against the reference of the sources.
    public var degrees: [Double]
    /// By line, transformer (from: high-voltage side) and switch (bus switches only).
    public var lines: [BranchFlow]
    public var transformers: [BranchFlow]
    public var switches: [BranchFlow]
    /// `nil`: the three phases are alike.
    public var phases: PhaseDetail?

    /// pu, of the phase that has least; `nil` where a node is dead, or behind a delta winding that lacks a phase.
    public func lowest(_ node: Int) -> Double? {
        phases?.whole[node].isEmpty ?? false ? nil : extreme(node) { $0.min() }
    }

    /// pu, of the phase that has most; `nil` where a node is dead.
    public func highest(_ node: Int) -> Double? { extreme(node) { $0.max() } }

    private func extreme(_ node: Int, _ choose: ([Double]) -> Double?) -> Double? {
        guard isEnergised[node] else { return nil }
        guard let phases else { return perUnit[node] }
        return choose(phases.live(node).map { phases.perUnit[node][$0] })
    }

    /// W, of all lines and transformers.
    public var lossesWatts: Double {
        (lines + transformers).reduce(0) { $0 + $1.fromWatts + $1.toWatts }
    }
}

/// Where phases differ: a pole that stands open alone, or laterals of one or two phases. `perUnit` of the solution is then
/// the mean of the phases that are live, watts and vars are sums, and amperes those of the phase that carries most.
public struct PhaseDetail: Sendable, Equatable {
    /// By node: phases that a source reaches whole. Behind a delta winding that lacks one it reaches none, and none is dead.
    public var whole: [Phases]
    /// By node: the phases that it has.
    public var present: [Phases]
    /// By node, of A, B and C; what is not live has no meaning.
    public var perUnit: [[Double]]
    /// A, what the three phases do not balance (3·I0): by line, transformer (high-voltage side) and bus switch.
    public var lineResidual, transformerResidual, switchResidual: [Double]

    /// Places in `perUnit` of the phases of a node that have voltage.
    func live(_ node: Int) -> [Int] {
        let phases = whole[node].isEmpty ? present[node] : present[node].intersection(whole[node])
        return Phases.each.indices.filter { phases.contains(Phases.each[$0]) }
    }
}

/// What a load flow is asked for: switches, taps and what every node takes.
public struct FlowState: Sendable, Equatable {
    /// By switch: conducts. An unknown position is for the caller to judge, not for the engine.
    public var isClosed: [Bool]
    /// Poles that stand open in a switch that conducts with the others, by its place.
    public var openPoles: [Int: Phases] = [:]
    /// By transformer; `nil` where it has no taps.
    public var taps: [Int?]
    /// By node, W and var, net consumption: loads less injections.
    public var watts: [Double]
    public var vars: [Double]

    public init(
        isClosed: [Bool], openPoles: [Int: Phases] = [:], taps: [Int?], watts: [Double], vars: [Double]
    ) {
        self.isClosed = isClosed
        self.openPoles = openPoles
        self.taps = taps
        self.watts = watts
        self.vars = vars
    }
}
