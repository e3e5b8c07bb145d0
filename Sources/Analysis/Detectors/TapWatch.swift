public import GridModel

/// Steps of a regulator's tap changer (`domain-rules.md` B.1.4).
public struct TapWatch: Sendable, Equatable {
    /// s in which steps one way are a run, and turns are hunting.
    static let span = 900.0
    static let run = 3
    static let turns = 4
    static let operationsPerDay = 60
    /// Steps from neutral of usually sixteen: there is hardly anything left.
    public static let nearlyOut = 14
    /// Steps from neutral that no tap changer has: what says more is no position.
    static let furthest: Float = 64

    private struct Move: Sendable, Equatable {
        var time: Timestamp
        /// Steps, signed.
        var steps: Int
    }

    public private(set) var heardAt = Timestamp.distantPast
    /// NaN before the first.
    public private(set) var position = Float.nan
    /// Of the last day, oldest first.
    private var moves: [Move] = []

    public init() {}

    /// In time order.
    public mutating func take(_ position: Float, at time: Timestamp) {
        guard abs(position) <= Self.furthest else { return }
        defer { (self.position, heardAt) = (position, time) }
        guard !self.position.isNaN else { return }
        let steps = Int((position - self.position).rounded(.toNearestOrAwayFromZero))
        guard steps != 0 else { return }
        moves.append(Move(time: time, steps: steps))
        if moves.count > 1000 { moves.removeFirst(500) }
    }

    /// Forgets what was more than a day before.
    public mutating func forget(before time: Timestamp) {
        while let first = moves.first, time - first.time > 86_400 { moves.removeFirst() }
    }

    private func recent(_ time: Timestamp) -> ArraySlice<Move> {
        let first = moves.firstIndex { time - $0.time <= Self.span } ?? moves.endIndex
        return moves[first...]
    }

    /// Steps that it made one way, without a turn, in the last quarter of an hour; signed.
    public func run(at time: Timestamp) -> Int {
        var steps = 0
        for move in recent(time).reversed() {
            guard steps == 0 || (move.steps > 0) == (steps > 0) else { break }
            steps += move.steps
        }
        return steps
    }

    /// How often it turned in the last quarter of an hour.
    public func turns(at time: Timestamp) -> Int {
        zip(recent(time), recent(time).dropFirst()).count { ($0.steps > 0) != ($1.steps > 0) }
    }

    /// Operations of the last day, as far as they were seen.
    public var operations: Int { moves.reduce(0) { $0 + abs($1.steps) } }

    public func isHunting(at time: Timestamp) -> Bool {
        turns(at: time) >= Self.turns || operations > Self.operationsPerDay
    }

    /// Whether it runs away while power comes back: three steps one way while the voltage moves off, or nearly at the end.
    ///
    /// - Parameter movesOff: the voltage goes away from its nominal value; `nil`: not known, which is taken as yes.
    public func isRunningAway(at time: Timestamp, movesOff: Bool?) -> Bool {
        abs(position) >= Float(Self.nearlyOut) || abs(run(at: time)) >= Self.run && movesOff ?? true
    }
}
