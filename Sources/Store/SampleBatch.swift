public import GridModel

/// What one flush writes: rows ready for COPY, the samples for the analyser, and the positions that make it count once.
///
/// Built by the ingest thread, then handed over whole: never touched by two threads at a time, hence
/// `@unchecked Sendable`.
public final class SampleBatch: @unchecked Sendable {
    /// A refused sample or message.
    public struct Reject: Sendable {
        public var aggregator: String
        public var reason: String
        public var detail: String
        public var bytes: [UInt8]

        public init(aggregator: String, reason: String, detail: String, bytes: [UInt8]) {
            self.aggregator = aggregator
            self.reason = reason
            self.detail = detail
            self.bytes = bytes
        }
    }

    public struct Current: Sendable {
        /// Place in ``SampleBatch/samples``.
        public var sample: Int
        /// A
        public var amperes: Float

        public init(sample: Int, amperes: Float) {
            self.sample = sample
            self.amperes = amperes
        }
    }

    /// Where a stream stands after this batch, and its version in the table before: `nil`, it was not there.
    public struct Stream: Sendable, Equatable {
        public var position: StreamPosition
        public var versionBefore: Int64?

        public init(position: StreamPosition, versionBefore: Int64?) {
            self.position = position
            self.versionBefore = versionBefore
        }

        public var version: Int64 { (versionBefore ?? 0) + 1 }
    }

    /// A device, by its number in the table, and the aggregator that spoke for it.
    public struct Claim: Sendable {
        public var id: Int32
        public var aggregator: String

        public init(id: Int32, aggregator: String) {
            self.id = id
            self.aggregator = aggregator
        }
    }

    // One thread at a time owns a batch, so the run-time check of each access would only cost: three for each sample.
    @exclusivity(unchecked) var rows: CopyBuffer
    var extra: CopyBuffer
    /// The same samples as values, in arrival order.
    @exclusivity(unchecked) public private(set) var samples: [Sample] = []
    /// A of those among them that measure a flow; of others nobody asks for it before it is in the table.
    @exclusivity(unchecked) public private(set) var currents: [Current] = []
    public var rejects: [Reject] = []
    /// Streams that moved, by aggregator.
    public var streams: [String: Stream] = [:]
    /// Messages declared lost.
    public var lost: [LostRange] = []
    /// Ends, by aggregator, of losses that were declared before their end was known.
    public var lostEnds: [String: Timestamp] = [:]
    /// The messages that the batch was made of, as they were received: kept until it is committed, so that they can go
    /// to the spool when the database is away.
    @exclusivity(unchecked) public var messages = MessageLog()
    /// Counts batches in the order they are written.
    public var number = 0
    /// Devices that their aggregator spoke for the first time.
    public var claims: [Claim] = []
    /// Numbers of operators' orders that were obeyed.
    public var orders: [Int64] = []
    /// Positions of switches, good ones only, in the order in which they came.
    public var positions: [SwitchStore.Report] = []
    /// Clocks of feeders after this batch, by feeder.
    public var clocks: [String: (area: Int32, time: Timestamp)] = [:]
    /// Ticks of silence, to be seen by the analyser in order behind the samples.
    public var ticks: [(feeder: String, time: Timestamp)] = []
    /// Days (since 1970) that samples are of, each with the aggregator whose sample came first.
    public private(set) var days: [Int64: String] = [:]
    /// The publisher whose message is being taken in.
    public var speaker = ""
    /// Heads of feeders that have said nothing until a time of their data, likewise.
    public var silences: [(feeder: String, time: Timestamp)] = []
    /// By feeder, quarter hours (since 1970) whose profile a late sample changes: it is made again from what is stored.
    public private(set) var amended: [String: (area: Int32, quarters: Set<Int64>)] = [:]
    private var lastAmended: (feeder: String, quarters: ClosedRange<Int64>) = ("", 0...0)
    @exclusivity(unchecked) private var lastDay = Int64.min

    private let capacity: Int

    public init(capacity: Int) {
        self.capacity = capacity
        rows = CopyBuffer(capacity: capacity * 96)
        extra = CopyBuffer()
        samples.reserveCapacity(capacity)
    }

    public var count: Int { rows.rows }
    /// Bytes of the messages that are kept with it.
    public var messageBytes: Int { messages.byteCount }
    public var isEmpty: Bool {
        rows.rows == 0 && rejects.isEmpty && streams.isEmpty && ticks.isEmpty && silences.isEmpty && claims.isEmpty
            && lost.isEmpty
            && lostEnds.isEmpty && orders.isEmpty
    }

    /// Empties the batch for its next use; keeps its memory.
    public func reset() {
        rows.reset()
        extra.reset()
        samples.removeAll(keepingCapacity: true)
        // They were handed over, memory and all: grown anew by halves it would be copied several times.
        samples.reserveCapacity(capacity)
        currents.removeAll(keepingCapacity: true)
        rejects.removeAll()
        streams.removeAll()
        lost.removeAll()
        lostEnds.removeAll()
        messages.reset()
        claims.removeAll()
        positions.removeAll()
        orders.removeAll()
        clocks.removeAll()
        ticks.removeAll()
        silences.removeAll()
        days.removeAll()
        lastDay = .min
        amended.removeAll()
        lastAmended = ("", 0...0)
    }

    /// Adds one sample. `NaN` is absent.
    ///
    /// - Parameter measured: A, kept beside the sample for the comparison with the load flow.
    public func append(
        _ sample: Sample, deviceID: Int32, areaID: Int32, current: Float, frequency: Float,
        state: UInt8, measured: Float = .nan
    ) {
        let day = sample.time.microseconds / 86_400_000_000
        if day != lastDay {
            if days[day] == nil { days[day] = speaker }
            lastDay = day
        }
        if !measured.isNaN { currents.append(Current(sample: samples.count, amperes: measured)) }
        samples.append(sample)
        rows.sample(
            sample, deviceID: deviceID, areaID: areaID, current: current, frequency: frequency, state: state)
    }

    /// A late sample changes the profile of its feeder from `from` to `until`.
    public func noteLate(feeder: String, area: Int32, from: Timestamp, until: Timestamp) {
        let width: Int64 = 900_000_000
        let first = from.floored(toSeconds: 900).microseconds / width
        let last = until.floored(toSeconds: 900).microseconds / width
        // No sample speaks for more than the two hours before it.
        let quarters = max(first, last - 8)...last
        guard lastAmended.feeder != feeder || lastAmended.quarters != quarters else { return }
        lastAmended = (feeder, quarters)
        amended[feeder, default: (area, [])].quarters.formUnion(quarters)
    }

    /// The samples, handed over: the batch is then free for its next use while they are still read.
    public func takeSamples() -> [Sample] {
        defer { samples = [] }
        return samples
    }

    public func appendExtra(time: Timestamp, deviceID: Int32, areaID: Int32, _ quantity: Quantity, _ value: Double) {
        extra.beginRow(fields: 5)
        extra.time(time.microseconds)
        extra.float8(value)
        extra.int4(deviceID)
        extra.int4(areaID)
        extra.int2(Int16(quantity.rawValue))
    }

    /// The rows as they go to COPY, for the benchmark that sends the same bytes without us.
    package func copyBytes() -> [UInt8] { Array(rows.finished()) }
}

/// Messages one after the other in one piece of memory.
public struct MessageLog: Sendable {
    /// Frames of a message: topic, position, payload.
    public typealias Frames = (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)

    private var bytes: [UInt8] = []
    private var ends: [(Int, Int, Int)] = []

    public init() {}

    public var count: Int { ends.count }
    public var byteCount: Int { bytes.count }
    /// What one large message needed is not kept for the next batch.
    private static let usual = 8 << 20

    mutating func reset() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 2 * Self.usual)
        ends.removeAll(keepingCapacity: true)
    }

    public mutating func append(_ frames: Frames) {
        let topic = bytes.count + frames.0.count
        let position = topic + frames.1.count
        let size = frames.0.count + frames.1.count + frames.2.count
        if let start = frames.0.baseAddress, frames.1.baseAddress == start + frames.0.count,
            frames.2.baseAddress == start + frames.0.count + frames.1.count
        {
            // As they come from the receive buffer: one piece.
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: size))
        } else {
            bytes.append(contentsOf: frames.0)
            bytes.append(contentsOf: frames.1)
            bytes.append(contentsOf: frames.2)
        }
        ends.append((topic, position, bytes.count))
    }

    /// Calls `body` with each message, in order.
    public func forEach<Failure: Error>(_ body: (Frames) throws(Failure) -> Void) throws(Failure) {
        var start = 0
        for (topic, position, end) in ends {
            var problem: Failure?
            bytes.withUnsafeBytes { all in
                do throws(Failure) {
                    try body(
                        (
                            UnsafeRawBufferPointer(rebasing: all[start..<topic]),
                            UnsafeRawBufferPointer(rebasing: all[topic..<position]),
                            UnsafeRawBufferPointer(rebasing: all[position..<end])
                        ))
                } catch {
                    problem = error
                }
            }
            if let problem { throw problem }
            start = end
        }
    }
}
