public import GridModel

/// Decides for each message whether it is new, and keeps account of what is missing. A pure value: positions are loaded
/// from and stored with the rows.
public struct SequenceTracker: Sendable {
    public enum Verdict: Sendable, Equatable {
        case next
        /// New, but these are missing before it.
        case gap(ClosedRange<UInt64>)
        /// New: it was missing until now.
        case filled
        case duplicate
        /// From an epoch that a newer one has replaced.
        case oldEpoch
        /// Taking it would open one gap more than are kept account of. Not taken: it counts as missing, and comes again
        /// when the gaps before it are filled.
        case tooManyGaps

        public var isTaken: Bool {
            switch self {
            case .next, .gap, .filled: true
            case .duplicate, .oldEpoch, .tooManyGaps: false
            }
        }
    }

    /// More open ranges than this are not opened: memory, and the rows that store them, stay bounded.
    public static let maximumRanges = 1024

    public private(set) var streams: [String: StreamPosition]
    /// Declared lost since ``takeLost()`` was last called.
    private var lost: [LostRange] = []
    /// Aggregators with a loss whose end is not known before their next message.
    private var openEnded: Set<String>
    private var ends: [String: Timestamp] = [:]

    public init(streams: [String: StreamPosition] = [:], openEnded: Set<String> = []) {
        self.streams = streams
        self.openEnded = openEnded
    }

    // MARK: Messages

    public mutating func judge(_ aggregator: String, epoch: UInt64, sequence: UInt64) -> Verdict {
        // Nearly every message: without a copy of the stream's state.
        if let place = streams.index(forKey: aggregator), streams.values[place].epoch == epoch,
            streams.values[place].last + 1 == sequence
        {
            streams.values[place].last = sequence
            return .next
        }
        guard var stream = streams[aggregator], epoch <= stream.epoch else {
            // First message, or a publisher that starts afresh: what it sent before this one never reached us.
            open(aggregator, epoch: epoch)
            let missing = sequence > 1 ? [MissingRange(1...(sequence - 1), after: streams[aggregator]?.newest)] : []
            streams[aggregator]?.last = sequence
            streams[aggregator]?.missing = missing
            return missing.first.map { .gap($0.sequences) } ?? .next
        }
        guard epoch == stream.epoch else { return .oldEpoch }
        if sequence > stream.last {
            guard stream.missing.count < Self.maximumRanges else { return .tooManyGaps }
            let range = (stream.last + 1)...(sequence - 1)
            stream.missing.append(MissingRange(range, after: stream.newest))
            stream.last = sequence
            streams[aggregator] = stream
            return .gap(range)
        }
        guard let place = Self.place(of: sequence, in: stream.missing) else { return .duplicate }
        let rest = Self.cut(sequence...sequence, from: stream.missing[place])
        guard stream.missing.count + rest.count - 1 <= Self.maximumRanges else { return .tooManyGaps }
        stream.missing.replaceSubrange(place...place, with: rest)
        streams[aggregator] = stream
        return .filled
    }

    /// The times of a message that was taken: they bound the gaps beside it.
    public mutating func note(_ aggregator: String, sequence: UInt64, oldest: Timestamp, newest: Timestamp) {
        guard let place = streams.index(forKey: aggregator) else { return }
        if sequence == streams.values[place].last, streams.values[place].newest.map({ $0 < newest }) ?? true {
            streams.values[place].newest = newest
        }
        if !streams.values[place].missing.isEmpty {
            var missing = streams.values[place].missing
            for item in missing.indices where missing[item].before == nil {
                guard missing[item].sequences.upperBound < sequence else { break }
                missing[item].before = oldest
            }
            streams.values[place].missing = missing
        }
        if openEnded.remove(aggregator) != nil { ends[aggregator] = oldest }
        for item in lost.indices where lost[item].aggregator == aggregator && lost[item].before == nil {
            lost[item].before = oldest
        }
    }

    // MARK: What the aggregator says

    /// The aggregator has sent everything up to `through`: what has not come of it is missing.
    ///
    /// - Returns: how many messages are newly known to be missing.
    @discardableResult
    public mutating func expect(_ aggregator: String, epoch: UInt64, through: UInt64) -> UInt64 {
        if streams[aggregator].map({ $0.epoch < epoch }) ?? true { open(aggregator, epoch: epoch) }
        guard let stream = streams[aggregator], stream.epoch == epoch, through > stream.last else { return 0 }
        let range = (stream.last + 1)...through
        // Joins the gap that is last, if that is where the stream ends: no room of its own is needed then.
        if let end = stream.missing.last, end.sequences.upperBound == stream.last {
            streams[aggregator]?.missing[stream.missing.count - 1].sequences = end.sequences.lowerBound...through
        } else {
            guard stream.missing.count < Self.maximumRanges else { return 0 }
            streams[aggregator]?.missing.append(MissingRange(range, after: stream.newest))
        }
        streams[aggregator]?.last = through
        return through - range.lowerBound + 1
    }

    /// What is missing of `range` will not come. Returns whether anything was.
    @discardableResult
    public mutating func giveUp(
        _ aggregator: String, epoch: UInt64, _ range: ClosedRange<UInt64>, _ reason: LostRange.Reason
    ) -> Bool {
        guard var stream = streams[aggregator], stream.epoch == epoch else { return false }
        var kept: [MissingRange] = []
        var found = false
        for item in stream.missing {
            guard item.sequences.overlaps(range) else {
                kept.append(item)
                continue
            }
            found = true
            let gone = item.sequences.clamped(to: range)
            lost.append(
                LostRange(
                    aggregator: aggregator, epoch: epoch, first: gone.lowerBound, last: gone.upperBound,
                    after: item.after, before: item.before, reason: reason))
            kept += Self.cut(gone, from: item)
        }
        guard found else { return false }
        stream.missing = kept
        streams[aggregator] = stream
        return true
    }

    /// Ranges declared lost, once; they belong into the transaction that stores the positions.
    public mutating func takeLost() -> [LostRange] {
        for item in lost where item.before == nil { openEnded.insert(item.aggregator) }
        defer { lost.removeAll() }
        return lost
    }

    /// Ends of losses that were declared before they were known, by aggregator, once.
    public mutating func takeEnds() -> [String: Timestamp] {
        defer { ends.removeAll() }
        return ends
    }

    public var hasNews: Bool { !lost.isEmpty || !ends.isEmpty }

    // MARK: Parts

    /// A new epoch: what was missing of the old one, and whatever it had sent last, cannot be asked for any more.
    private mutating func open(_ aggregator: String, epoch: UInt64) {
        let old = streams[aggregator]
        streams[aggregator] = StreamPosition(epoch: epoch, last: 0, newest: old?.newest)
        guard let old else { return }
        for item in old.missing {
            lost.append(
                LostRange(
                    aggregator: aggregator, epoch: old.epoch, first: item.sequences.lowerBound,
                    last: item.sequences.upperBound, after: item.after, before: item.before, reason: .epochReplaced))
        }
        lost.append(
            LostRange(
                aggregator: aggregator, epoch: old.epoch, first: old.last + 1, last: nil, after: old.newest,
                before: nil, reason: .epochReplaced))
    }

    private static func place(of sequence: UInt64, in missing: [MissingRange]) -> Int? {
        var (low, high) = (0, missing.count)
        while low < high {
            let middle = (low + high) / 2
            if missing[middle].sequences.upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low < missing.count && missing[low].sequences.contains(sequence) ? low : nil
    }

    private static func cut(_ gone: ClosedRange<UInt64>, from item: MissingRange) -> [MissingRange] {
        var rest: [MissingRange] = []
        if item.sequences.lowerBound < gone.lowerBound {
            rest.append(
                MissingRange(
                    item.sequences.lowerBound...(gone.lowerBound - 1), after: item.after, before: item.before))
        }
        if gone.upperBound < item.sequences.upperBound {
            rest.append(
                MissingRange(
                    (gone.upperBound + 1)...item.sequences.upperBound, after: item.after, before: item.before))
        }
        return rest
    }
}
