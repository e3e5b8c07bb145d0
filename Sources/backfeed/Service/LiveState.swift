internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

/// What the service knows right now, for the API, the heartbeat and the console: newest values with their two ages.
final class LiveState: Sendable {
    struct Head: Sendable {
        var power: Float
        /// var, of the same sample; it takes no room beside a `Float`.
        var reactive: Float = .nan
        var time: Timestamp
        /// Monotonic clock, microseconds; 0: never.
        var receivedAt: Int64

        static let never = Self(power: .nan, time: .distantPast, receivedAt: 0)
    }

    /// pu of the device's own base.
    struct Voltage: Sendable {
        var perUnit: Float
        var time: Timestamp
        /// Monotonic clock, microseconds; 0: never.
        var receivedAt: Int64

        static let never = Self(perUnit: .nan, time: .distantPast, receivedAt: 0)
    }

    /// What is newest of a device; before its first value, `never`.
    struct Newest: Sendable {
        var power = Head.never
        var voltage = Voltage.never
    }

    /// The newest values of a head, or of a meter on a line or at a transformer: quantities arrive alone or together.
    struct Flow: Sendable {
        var watts = Head.never
        var vars = Head.never
        var amperes = Head.never
    }

    struct Contents: Sendable {
        var heads: [String: Head] = [:]
        /// By measuring point.
        var flows: [Flow]
        /// By registry index.
        var newest: [Newest]
        var positions: [String: Analyser.Position] = [:]
        /// Records of every switch that was ever reported or stated, as in the database.
        var switches: [String: SwitchRecord] = [:]
        var topology: Topology
        /// Newest closed minute of each feeder: part of the DER rating that reported.
        var derCoverage: [String: Double] = [:]
        var lastStored: Int64 = 0
        var lastPublished: Int64 = 0
        /// Problems that parts of the service have now.
        var problems: [Health.Problem] = []
    }

    let stored: StoredNetwork
    let graph: NetworkGraph
    let health = Health()
    /// Per device: the feeder it is the head of.
    private let headOf: [String?]
    /// Per device: V of 1 pu, 0 unknown.
    private let bases: [Float]
    /// Devices that measure a flow.
    let points: MeasuringPoints
    /// Place among them, by device: few of all, and behind the DER.
    private let pointOf: [Int32: Int]
    private let contents: Guarded<Contents>

    init(_ stored: StoredNetwork) {
        self.stored = stored
        graph = NetworkGraph(stored.network)
        let devices = stored.registry.devices
        bases = devices.map { Float($0.voltageBase) }
        headOf = devices.map { $0.kind == .feederHead ? $0.normalFeeder : nil }
        points = MeasuringPoints(stored.network, graph, stored.registry)
        pointOf = Dictionary(
            points.all.enumerated().map { ($1.number, $0) }, uniquingKeysWith: { first, _ in first })
        var start = Contents(
            flows: Array(repeating: Flow(), count: points.all.count),
            newest: Array(repeating: Newest(), count: devices.count),
            topology: Topology(graph, positions: graph.positions(live: stored.livePositions)))
        start.switches = stored.switches
        contents = Guarded(start)
    }

    var now: Contents {
        var now = contents.withLock { $0 }
        now.problems = health.problems
        return now
    }

    /// A part alone: who holds ``now`` when values come makes a copy of those of all devices.
    func read<Part: Sendable>(_ part: (Contents) -> Part) -> Part { contents.withLock { part($0) } }

    func update<R: Sendable>(_ change: (inout Contents) -> R) -> R { contents.withLock { change(&$0) } }

    /// A sample may be so far ahead of our clock, seconds: beyond that its time keeps no later one out.
    private static let tolerated = 5.0

    /// Takes stored samples over, after their commit: good ones only. Late ones are history, not now; those of bad quality
    /// are nothing to be shown or judged by.
    ///
    /// - Parameter currents: of those at measuring points.
    func observe(_ samples: [Sample], currents: [SampleBatch.Current] = [], at moment: Moment) {
        let latest = moment.wall + Self.tolerated
        contents.withLock { contents in
            var heads: [Int32] = []
            take(flows: samples, currents, at: moment, into: &contents.flows)
            // Memory that is looked up once, and not for each sample.
            contents.newest.withUnsafeMutableBufferPointer { newest in
                for sample in samples where sample.isOfNow {
                    let index = Int(sample.device)
                    let time = sample.time
                    func isNews(_ known: Timestamp) -> Bool { known <= time || known > latest }
                    // What comes again is no fresher for it.
                    func first(_ receivedAt: Int64, _ known: Timestamp, _ time: Timestamp) -> Int64 {
                        known == time ? receivedAt : moment.monotonic
                    }
                    if !sample.voltage.isNaN, bases[index] > 0, isNews(newest[index].voltage.time) {
                        newest[index].voltage = Voltage(
                            perUnit: sample.voltage / bases[index], time: time,
                            receivedAt: first(newest[index].voltage.receivedAt, newest[index].voltage.time, time))
                    }
                    guard !sample.activePower.isNaN, isNews(newest[index].power.time) else { continue }
                    newest[index].power = Head(
                        power: sample.activePower, reactive: sample.reactivePower, time: time,
                        receivedAt: first(newest[index].power.receivedAt, newest[index].power.time, time))
                    if headOf[index] != nil { heads.append(sample.device) }
                }
            }
            for index in heads {
                if let feeder = headOf[Int(index)] { contents.heads[feeder] = contents.newest[Int(index)].power }
            }
            contents.lastStored = moment.wall.microseconds
        }
    }

    /// s: a mean over longer says nothing of now.
    private static let longestMean: Float = 60

    private func take(
        flows samples: [Sample], _ currents: [SampleBatch.Current], at moment: Moment, into flows: inout [Flow]
    ) {
        let latest = moment.wall + Self.tolerated
        func put(_ value: Float, _ sample: Sample, into newest: inout Head) {
            guard !value.isNaN, newest.time <= sample.time || newest.time > latest else { return }
            newest = Head(
                power: value, time: sample.time,
                receivedAt: newest.time == sample.time ? newest.receivedAt : moment.monotonic)
        }
        let first = Int32(stored.network.ders.count)
        for sample in samples where sample.device >= first && sample.isOfNow {
            guard !sample.activePower.isNaN || !sample.reactivePower.isNaN, sample.interval <= Self.longestMean,
                let place = pointOf[sample.device]
            else { continue }
            put(sample.activePower, sample, into: &flows[place].watts)
            put(sample.reactivePower, sample, into: &flows[place].vars)
        }
        for current in currents {
            let sample = samples[current.sample]
            guard sample.isOfNow, sample.interval <= Self.longestMean,
                let place = pointOf[sample.device]
            else { continue }
            put(current.amperes, sample, into: &flows[place].amperes)
        }
    }

    /// Where a switch stands by the record, or normally when nothing was ever said of it.
    func position(of id: String, _ contents: Contents) -> SwitchPosition? {
        graph.switchIndex[id].map { contents.switches[id]?.judged ?? graph.normalPositions[$0] }
    }

    /// Takes records over as they were committed, in whatever order they arrive here.
    ///
    /// - Returns: those that say something else than before.
    func take(_ records: [SwitchRecord]) -> [SwitchRecord] {
        guard !records.isEmpty else { return [] }
        let graph = graph
        return contents.withLock { contents in
            var moved: [SwitchRecord] = []
            for record in records where record.version > contents.switches[record.id]?.version ?? 0 {
                let before = contents.switches[record.id]
                contents.switches[record.id] = record
                if before?.moves != record.moves || before?.judged != record.judged { moved.append(record) }
            }
            if !moved.isEmpty {
                contents.topology = Topology(
                    graph, positions: graph.positions(live: contents.switches.compactMapValues(\.judged)))
            }
            return moved
        }
    }
}

extension Sample {
    /// Good enough to be shown and judged by, and not late.
    fileprivate var isOfNow: Bool { !quality.contains(.late) && quality.grade != .bad }
}
