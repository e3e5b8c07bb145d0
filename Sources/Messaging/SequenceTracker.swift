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

    /// Streams and their aggregators, in the order in which they were first heard of.
    private var positions: [StreamPosition] = []
    private var aggregators: [String] = []
    private var places: [String: Int] = [:]
    /// Place of the newest message's stream: most messages come from where the one before came from.
    private var recent = -1
    /// Declared lost since ``takeLost()`` was last called.
    private var lost: [LostRange] = []
    /// Aggregators with a loss whose end is not known before their next message.
    private var openEnded: Set<String>
    private var ends: [String: Timestamp] = [:]

    public init(streams: [String: StreamPosition] = [:], openEnded: Set<String> = []) {
        self.openEnded = openEnded
        for (name, position) in streams { set(name, position) }
    }

    /// Every stream, by aggregator. Made anew each time: for one, ask ``subscript(_:)``.
    public var streams: [String: StreamPosition] {
        Dictionary(uniqueKeysWithValues: zip(aggregators, positions))
    }

    public subscript(aggregator: String) -> StreamPosition? { places[aggregator].map { positions[$0] } }

    private mutating func set(_ aggregator: String, _ position: StreamPosition) {
        if let place = places[aggregator] {
            positions[place] = position
        } else {
            places[aggregator] = positions.count
            positions.append(position)
            aggregators.append(aggregator)
        }
    }

    private mutating func place(of aggregator: String) -> Int? {
        if recent >= 0, aggregators[recent] == aggregator { return recent }
        guard let place = places[aggregator] else { return nil }
        recent = place
        return place
    }

    // MARK: Messages

    public mutating func judge(_ aggregator: String, epoch: UInt64, sequence: UInt64) -> Verdict {
        let known = place(of: aggregator)
        // Nearly every message: without a copy of the stream's state.
        if let known, positions[known].epoch == epoch, positions[known].last + 1 == sequence {
            positions[known].last = sequence
            return .next
        }
        guard let known, epoch <= positions[known].epoch else {
            // First message, or a publisher that starts afresh: what it sent before this one never reached us.
            var fresh = open(aggregator, epoch: epoch)
            fresh.last = sequence
            if sequence > 1 { fresh.missing = [MissingRange(1...(sequence - 1), after: fresh.newest)] }
            set(aggregator, fresh)
            return fresh.missing.first.map { .gap($0.sequences) } ?? .next
        }
        var stream = positions[known]
        guard epoch == stream.epoch else { return .oldEpoch }
        if sequence > stream.last {
            guard stream.missing.count < Self.maximumRanges else { return .tooManyGaps }
            let range = (stream.last + 1)...(sequence - 1)
            stream.missing.append(MissingRange(range, after: stream.newest))
            stream.last = sequence
            positions[known] = stream
            return .gap(range)
        }
        guard let gap = Self.place(of: sequence, in: stream.missing) else { return .duplicate }
        let rest = Self.cut(sequence...sequence, from: stream.missing[gap])
        guard stream.missing.count + rest.count - 1 <= Self.maximumRanges else { return .tooManyGaps }
        stream.missing.replaceSubrange(gap...gap, with: rest)
        positions[known] = stream
        return .filled
    }

    /// The times of a message that was taken: they bound the gaps beside it.
    public mutating func note(_ aggregator: String, sequence: UInt64, oldest: Timestamp, newest: Timestamp) {
        guard let place = place(of: aggregator) else { return }
        if sequence == positions[place].last, positions[place].newest.map({ $0 < newest }) ?? true {
            positions[place].newest = newest
        }
        for item in positions[place].missing.indices where positions[place].missing[item].before == nil {
            guard positions[place].missing[item].sequences.upperBound < sequence else { break }
            positions[place].missing[item].before = oldest
        }
        if !openEnded.isEmpty, openEnded.remove(aggregator) != nil { ends[aggregator] = oldest }
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
        if self[aggregator].map({ $0.epoch < epoch }) ?? true { set(aggregator, open(aggregator, epoch: epoch)) }
        guard let place = places[aggregator], positions[place].epoch == epoch, through > positions[place].last else {
            return 0
        }
        let range = (positions[place].last + 1)...through
        // Joins the gap that is last, if that is where the stream ends: no room of its own is needed then.
        if let end = positions[place].missing.last, end.sequences.upperBound == positions[place].last {
            positions[place].missing[positions[place].missing.count - 1].sequences =
                end.sequences.lowerBound...through
        } else {
            guard positions[place].missing.count < Self.maximumRanges else { return 0 }
            positions[place].missing.append(MissingRange(range, after: positions[place].newest))
        }
        positions[place].last = through
        return through - range.lowerBound + 1
    }

    /// What is missing of `range` will not come. Returns whether anything was.
    @discardableResult
    public mutating func giveUp(
        _ aggregator: String, epoch: UInt64, _ range: ClosedRange<UInt64>, _ reason: LostRange.Reason
    ) -> Bool {
        guard var stream = self[aggregator], stream.epoch == epoch else { return false }
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
        set(aggregator, stream)
        return true
    }

    /// Forgets where a stream stood: its next message may come from any epoch. What was missing is lost.
    ///
    /// - Returns: whether there was such a stream.
    public mutating func reset(_ aggregator: String) -> Bool {
        guard let stream = self[aggregator], stream.epoch > 0 else { return false }
        set(aggregator, open(aggregator, epoch: 0))
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

    /// The start of a new epoch: what was missing of the old one, and whatever it had sent last, cannot be asked for any more.
    private mutating func open(_ aggregator: String, epoch: UInt64) -> StreamPosition {
        let old = self[aggregator]
        let fresh = StreamPosition(epoch: epoch, last: 0, newest: old?.newest)
        // Epoch 0: what there was to lose was declared when the stream was reset.
        guard let old, old.epoch > 0 else { return fresh }
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
        return fresh
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
