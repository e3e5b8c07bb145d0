internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

/// What the service knows right now, for the API, the heartbeat and the console: newest values with their two ages.
final class LiveState: Sendable {
    struct Head: Sendable {
        var power: Float
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

    struct Contents: Sendable {
        var heads: [String: Head] = [:]
        /// By registry index.
        var newest: [Newest]
        var positions: [String: Analyser.Position] = [:]
        /// Of every switch of which anything was ever said, as in the database.
        var switches: [String: SwitchRecord] = [:]
        var topology: Topology
        /// Newest closed minute of each feeder: part of the DER rating that reported.
        var derCoverage: [String: Double] = [:]
        var lastStored: Int64 = 0
        var lastPublished: Int64 = 0
        /// What parts of the service cannot do, as of now.
        var problems: [Health.Problem] = []
    }

    let stored: StoredNetwork
    let graph: NetworkGraph
    let health = Health()
    /// Per device: the feeder it is the head of.
    private let headOf: [String?]
    /// Per device: V of 1 pu, 0 unknown.
    private let bases: [Float]
    private let contents: Guarded<Contents>

    init(_ stored: StoredNetwork) {
        self.stored = stored
        graph = NetworkGraph(stored.network)
        let devices = stored.registry.devices
        bases = devices.map { Float($0.voltageBase) }
        headOf = devices.map { $0.kind == .feederHead ? $0.normalFeeder : nil }
        var start = Contents(
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
    func observe(_ samples: [Sample], at moment: Moment) {
        let latest = moment.wall + Self.tolerated
        contents.withLock { contents in
            var heads: [Int32] = []
            // Memory that is looked up once, and not for each sample.
            contents.newest.withUnsafeMutableBufferPointer { newest in
                for sample in samples where !sample.quality.contains(.late) && sample.quality.grade != .bad {
                    let index = Int(sample.device)
                    let time = sample.time
                    func isNews(_ known: Timestamp) -> Bool { known <= time || known > latest }
                    if !sample.voltage.isNaN, bases[index] > 0, isNews(newest[index].voltage.time) {
                        newest[index].voltage = Voltage(
                            perUnit: sample.voltage / bases[index], time: time, receivedAt: moment.monotonic)
                    }
                    guard !sample.activePower.isNaN, isNews(newest[index].power.time) else { continue }
                    newest[index].power = Head(
                        power: sample.activePower, time: time, receivedAt: moment.monotonic)
                    if headOf[index] != nil { heads.append(sample.device) }
                }
            }
            for index in heads {
                if let feeder = headOf[Int(index)] { contents.heads[feeder] = contents.newest[Int(index)].power }
            }
            contents.lastStored = moment.wall.microseconds
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
