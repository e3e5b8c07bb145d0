/// Messages of a stream that have not come, with the times of the data on both sides of them.
public struct MissingRange: Hashable, Sendable {
    public var sequences: ClosedRange<UInt64>
    /// Newest sample before the gap, oldest behind it; `nil`: not known.
    public var after: Timestamp?
    public var before: Timestamp?

    public init(_ sequences: ClosedRange<UInt64>, after: Timestamp? = nil, before: Timestamp? = nil) {
        self.sequences = sequences
        self.after = after
        self.before = before
    }

    public var count: UInt64 { sequences.upperBound - sequences.lowerBound + 1 }
}

/// Messages that will never come.
public struct LostRange: Hashable, Sendable {
    public enum Reason: String, Sendable {
        /// The aggregator said that it no longer keeps them.
        case gone
        /// The publisher started afresh: what it had sent last, and what was missing then, cannot be asked for.
        case epochReplaced = "epoch_replaced"
        /// Nobody answered for longer than `control.give_up_s`.
        case givenUp = "given_up"
    }

    public var aggregator: String
    public var epoch: UInt64
    public var first: UInt64
    /// `nil`: nobody knows how many followed.
    public var last: UInt64?
    public var after: Timestamp?
    public var before: Timestamp?
    public var reason: Reason

    public init(
        aggregator: String, epoch: UInt64, first: UInt64, last: UInt64?, after: Timestamp?, before: Timestamp?,
        reason: Reason
    ) {
        self.aggregator = aggregator
        self.epoch = epoch
        self.first = first
        self.last = last
        self.after = after
        self.before = before
        self.reason = reason
    }
}

/// Where one aggregator's stream of messages stands: what has come, what is missing.
public struct StreamPosition: Sendable, Equatable {
    /// Microseconds since 1970 when the publisher's journal was started.
    public var epoch: UInt64
    /// Highest sequence known of in this epoch; 0: none yet.
    public var last: UInt64
    /// Ranges up to `last` that have not come, ascending.
    public var missing: [MissingRange]
    /// Newest sample that has come.
    public var newest: Timestamp?

    public init(epoch: UInt64, last: UInt64, missing: [MissingRange] = [], newest: Timestamp? = nil) {
        self.epoch = epoch
        self.last = last
        self.missing = missing
        self.newest = newest
    }

    public var missingCount: UInt64 { missing.reduce(0) { $0 + $1.count } }

    /// Everything up to here has come, or is declared lost.
    public var contiguous: UInt64 { missing.first.map { $0.sequences.lowerBound - 1 } ?? last }
}
