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

    /// W, of all lines and transformers.
    public var lossesWatts: Double {
        (lines + transformers).reduce(0) { $0 + $1.fromWatts + $1.toWatts }
    }
}

/// What a load flow is asked for: switches, taps and what every node takes.
public struct FlowState: Sendable, Equatable {
    /// By switch: conducts. An unknown position is for the caller to judge, not for the engine.
    public var isClosed: [Bool]
    /// By transformer; `nil` where it has no taps.
    public var taps: [Int?]
    /// By node, W and var, net consumption: loads less injections.
    public var watts: [Double]
    public var vars: [Double]

    public init(isClosed: [Bool], taps: [Int?], watts: [Double], vars: [Double]) {
        self.isClosed = isClosed
        self.taps = taps
        self.watts = watts
        self.vars = vars
    }
}
