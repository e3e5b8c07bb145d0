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
    }

    struct Contents: Sendable {
        var heads: [String: Head] = [:]
        /// Newest value of each device, by registry index.
        var devices: [Int32: Head] = [:]
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
    private let contents: Guarded<Contents>

    init(_ stored: StoredNetwork) {
        self.stored = stored
        graph = NetworkGraph(stored.network)
        var start = Contents(topology: Topology(graph, positions: graph.positions(live: stored.livePositions)))
        start.switches = stored.livePositions
        contents = Guarded(start)
    }

    var now: Contents { contents.withLock { $0 } }

    func update<R: Sendable>(_ change: (inout Contents) -> R) -> R { contents.withLock { change(&$0) } }

    /// Takes stored samples over, after their commit. Late ones are history, not now.
    func observe(_ samples: [Sample], receivedAt: Int64) {
        let registry = stored.registry
        contents.withLock { contents in
            for sample in samples where !sample.activePower.isNaN && !sample.quality.contains(.late) {
                let known = contents.devices[sample.device]
                guard known.map({ $0.time <= sample.time }) ?? true else { continue }
                let head = Head(power: sample.activePower, time: sample.time, receivedAt: receivedAt)
                contents.devices[sample.device] = head
                let device = registry.devices[Int(sample.device)]
                if device.kind == .feederHead { contents.heads[device.normalFeeder] = head }
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
