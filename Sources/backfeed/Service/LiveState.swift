internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

/// What the service knows right now, for the API, the heartbeat and the console: newest values with their two ages.
final class LiveState: Sendable {
    struct Head: Sendable {
        var power: Float
        var time: Timestamp
        /// Wall clock, microseconds.
        var receivedAt: Int64

        static let never = Self(power: .nan, time: .distantPast, receivedAt: 0)
    }

    /// pu of the device's own base.
    struct Voltage: Sendable {
        var perUnit: Float
        var time: Timestamp
        /// Wall clock, microseconds.
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
        var switches: [String: SwitchPosition] = [:]
        var topology: Topology
        /// Newest closed minute of each feeder: part of the DER rating that reported.
        var derCoverage: [String: Double] = [:]
        var lastStored: Int64 = 0
        var lastPublished: Int64 = 0
        /// Switches whose position nobody has confirmed since the database was restored.
        var inDoubt: Set<String> = []
        /// `nil`: never restored.
        var restoredAt: Timestamp?
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
        start.switches = stored.livePositions
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

    /// Takes stored samples over, after their commit. Late ones are history, not now.
    func observe(_ samples: [Sample], receivedAt: Int64) {
        contents.withLock { contents in
            var heads: [Int32] = []
            // Memory that is looked up once, and not for each sample.
            contents.newest.withUnsafeMutableBufferPointer { newest in
                for sample in samples where !sample.quality.contains(.late) {
                    let index = Int(sample.device)
                    let time = sample.time
                    if !sample.voltage.isNaN, bases[index] > 0, newest[index].voltage.time <= time {
                        newest[index].voltage = Voltage(
                            perUnit: sample.voltage / bases[index], time: time, receivedAt: receivedAt)
                    }
                    guard !sample.activePower.isNaN, newest[index].power.time <= time else { continue }
                    newest[index].power = Head(power: sample.activePower, time: time, receivedAt: receivedAt)
                    if headOf[index] != nil { heads.append(sample.device) }
                }
            }
            for index in heads {
                if let feeder = headOf[Int(index)] { contents.heads[feeder] = contents.newest[Int(index)].power }
            }
            contents.lastStored = receivedAt
        }
    }

    /// After a restore a position that is measured is worth recording also when it is no news.
    ///
    /// - Returns: whether it was in doubt, and is not any more.
    func confirm(_ id: String, at time: Timestamp) -> Bool {
        contents.withLock { contents in
            guard let since = contents.restoredAt, time >= since else { return false }
            return contents.inDoubt.remove(id) != nil
        }
    }

    /// A switch has moved: returns whether that is news.
    func moveSwitch(_ id: String, to position: SwitchPosition) -> Bool {
        let graph = graph
        return contents.withLock { contents in
            guard let number = graph.switchIndex[id] else { return false }
            let before = contents.switches[id] ?? graph.normalPositions[number]
            guard before != position else { return false }
            contents.switches[id] = position
            contents.topology = Topology(graph, positions: graph.positions(live: contents.switches))
            return true
        }
    }
}
