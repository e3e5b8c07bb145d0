/// Where one aggregator's stream of messages stands: what has come, what is missing.
public struct StreamPosition: Sendable, Equatable {
    public var epoch: UInt64
    /// Highest sequence taken in this epoch.
    public var last: UInt64
    /// Ranges below `last` that have not come, ascending.
    public var missing: [ClosedRange<UInt64>]

    public init(epoch: UInt64, last: UInt64, missing: [ClosedRange<UInt64>] = []) {
        self.epoch = epoch
        self.last = last
        self.missing = missing
    }

    public var missingCount: UInt64 { missing.reduce(0) { $0 + $1.upperBound - $1.lowerBound + 1 } }
}

/// Decides for each message whether it is new. A pure value: positions are loaded from and stored with the rows.
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
    }

    /// More open ranges than this are joined to one: memory stays bounded, and what came between counts as missing.
    public static let maximumRanges = 256

    public private(set) var streams: [String: StreamPosition]

    public init(streams: [String: StreamPosition] = [:]) { self.streams = streams }

    public mutating func judge(_ aggregator: String, epoch: UInt64, sequence: UInt64) -> Verdict {
        guard var stream = streams[aggregator], epoch <= stream.epoch else {
            // First message, or a publisher that starts afresh: what it sent before this one never reached us.
            let missing: [ClosedRange<UInt64>] = sequence > 1 ? [1...(sequence - 1)] : []
            streams[aggregator] = StreamPosition(epoch: epoch, last: sequence, missing: missing)
            return missing.first.map { .gap($0) } ?? .next
        }
        guard epoch == stream.epoch else { return .oldEpoch }
        if sequence == stream.last + 1 {
            streams[aggregator]?.last = sequence
            return .next
        }
        if sequence > stream.last {
            let range = (stream.last + 1)...(sequence - 1)
            stream.missing.append(range)
            if stream.missing.count > Self.maximumRanges {
                let joined = stream.missing[0].lowerBound...stream.missing[1].upperBound
                stream.missing.replaceSubrange(0...1, with: [joined])
            }
            stream.last = sequence
            streams[aggregator] = stream
            return .gap(range)
        }
        guard let place = stream.missing.firstIndex(where: { $0.contains(sequence) }) else { return .duplicate }
        let range = stream.missing[place]
        var rest: [ClosedRange<UInt64>] = []
        if range.lowerBound < sequence { rest.append(range.lowerBound...(sequence - 1)) }
        if sequence < range.upperBound { rest.append((sequence + 1)...range.upperBound) }
        stream.missing.replaceSubrange(place...place, with: rest)
        streams[aggregator] = stream
        return .filled
    }
}
