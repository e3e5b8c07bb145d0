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

    struct Contents: Sendable {
        var heads: [String: Head] = [:]
        /// Newest value of each device, by registry index; before its first one, ``Head/never``.
        var devices: [Head]
        /// Newest voltage of each device, by registry index.
        var voltages: [Voltage]
        var positions: [String: Analyser.Position] = [:]
        var switches: [String: SwitchPosition] = [:]
        var topology: Topology
        /// Newest closed minute of each feeder: part of the DER rating that reported.
        var derCoverage: [String: Double] = [:]
        var storeProblem: String?
        var lastStored: Int64 = 0
        var lastPublished: Int64 = 0
    }

    let stored: StoredNetwork
    let graph: NetworkGraph
    /// Per device: the feeder it is the head of.
    private let headOf: [String?]
    private let contents: Guarded<Contents>

    init(_ stored: StoredNetwork) {
        self.stored = stored
        graph = NetworkGraph(stored.network)
        let devices = stored.registry.devices
        headOf = devices.map { $0.kind == .feederHead ? $0.normalFeeder : nil }
        var start = Contents(
            devices: Array(repeating: .never, count: devices.count),
            voltages: Array(repeating: .never, count: devices.count),
            topology: Topology(graph, positions: graph.positions(live: stored.livePositions)))
        start.switches = stored.livePositions
        contents = Guarded(start)
    }

    var now: Contents { contents.withLock { $0 } }

    func update<R: Sendable>(_ change: (inout Contents) -> R) -> R { contents.withLock { change(&$0) } }

    /// Takes stored samples over, after their commit. Late ones are history, not now.
    func observe(_ samples: [Sample], receivedAt: Int64) {
        let (headOf, registry) = (headOf, stored.registry)
        contents.withLock { contents in
            for sample in samples where !sample.voltage.isNaN && !sample.quality.contains(.late) {
                let index = Int(sample.device)
                let base = registry.devices[index].voltageBase
                guard base > 0, contents.voltages[index].time <= sample.time else { continue }
                contents.voltages[index] = Voltage(
                    perUnit: sample.voltage / Float(base), time: sample.time, receivedAt: receivedAt)
            }
            for sample in samples where !sample.activePower.isNaN && !sample.quality.contains(.late) {
                let index = Int(sample.device)
                guard contents.devices[index].time <= sample.time else { continue }
                let head = Head(power: sample.activePower, time: sample.time, receivedAt: receivedAt)
                contents.devices[index] = head
                if let feeder = headOf[index] { contents.heads[feeder] = head }
            }
            contents.lastStored = receivedAt
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
