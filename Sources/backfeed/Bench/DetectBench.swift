internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From the publish of the sample that makes an advisory possible to the advisory on PUB, while other samples flow.
///
/// A head sample decides when it moves the feeder's clock past the end of the sixth reverse 10-s bin plus the lateness.
struct DetectBench {
    private let settings: Settings
    private let conninfo: String
    private let rate: Int
    private let feeders = 200
    private let devices = 4000

    init(_ invocation: Invocation, _ conninfo: String) throws {
        rate = Int(try invocation.arguments.number("rate", in: 0...1_000_000) ?? 10_000)
        let flush = Int(try invocation.arguments.number("flush-ms", in: 1...10_000) ?? 100)
        settings = try Settings(
            definitions: SettingsCatalogue.all,
            assignments: [
                "telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*", "spool.directory=off",
                "advisories.bind=tcp://127.0.0.1:*", "validator.bind=tcp://127.0.0.1:*", "http.listen=127.0.0.1:0",
                "data_gap.per_device=false", "ingest.flush_ms=\(flush)",
            ])
        self.conninfo = conninfo
    }

    func run() throws -> [(String, String)] {
        _ = try NetworkStore.importRevision(
            BenchCommand.network(feeders: feeders, devices: devices), by: "bench", conninfo)
        let service = try Service(settings: settings, conninfo: conninfo, dataDirectory: "")
        defer { service.stop() }
        let heard = Guarded<[String: Int64]>([:])
        let ended = Guarded(false)
        let endpoint = service.endpoints.advisories
        let listening = Gate()
        let listener = WorkerThread(name: "bench.listen") {
            do throws(MessagingError) {
                let context = try MessagingContext()
                var socket = try Socket(.subscribe, in: context)
                try socket.subscribe("advisory/1/")
                try socket.subscribe("heartbeat/1")
                try socket.connect(endpoint)
                let wake = WakeDescriptor()
                var message = MessageBuffer()
                while !ended.withLock({ $0 }) {
                    _ = try socket.wait(alsoFor: wake.rawValue, milliseconds: 100)
                    while try socket.receive(into: &message) {
                        let now = SystemClock.nowMicroseconds
                        let topic = String(decoding: message.bytes(0), as: UTF8.self).split(separator: "/")
                        if topic[0] == "heartbeat" { listening.open() }
                        guard topic.count == 4, topic[3] == "reverse_power" else { continue }
                        let feeder = String(topic[2])
                        heard.withLock { if $0[feeder] == nil { $0[feeder] = now } }
                    }
                }
            } catch { complain("listening ended: \(error)") }
        }
        listening.wait()
        let context = try MessagingContext()
        var socket = try Socket(.announcedPublish, in: context)
        try socket.limitQueues(sending: 1000)
        try socket.blockWhenFull()
        try socket.connect(service.endpoints.telemetry)
        while try !socket.waitForSubscriber(milliseconds: 100) {}

        let epoch = UInt64(SystemClock.nowMicroseconds)
        var sequence: UInt64 = 0
        func publish(_ rows: [TelemetryEncoder.Row], _ socket: inout Socket) throws {
            sequence += 1
            let frame = TelemetryFrame(aggregator: "bench", encoding: .protobuf, epoch: epoch, sequence: sequence)
            try socket.send([Array(frame.topic.utf8), frame.position, TelemetryEncoder.encode(rows, .protobuf)])
        }
        // Ten ticks a second carry the load; every tick one feeder's deciding sample goes out between two of them.
        let base = Timestamp(microseconds: (SystemClock.nowMicroseconds / 60_000_000 - 10) * 60_000_000)
        var sentAt: [String: Int64] = [:]
        let began = SystemClock.nowMicroseconds
        var loaded = 0
        for feeder in 0..<feeders {
            let head = "FH-F\(feeder)"
            let early = stride(from: 0.0, through: 85, by: 5).map {
                TelemetryEncoder.Row(device: head, time: base + $0, activePower: -2_000_000)
            }
            try publish(early, &socket)
            for slot in 0..<10 {
                let due = began + Int64(feeder * 100 + slot * 10) * 1000
                while SystemClock.nowMicroseconds < due { SystemClock.pause(milliseconds: 1) }
                if rate > 0 {
                    let count = max(1, rate / 100)
                    let now = base + Double(loaded / devices)
                    try publish(
                        (0..<count).map {
                            .init(device: "pv-\((loaded + $0) % devices)", time: now, activePower: 4000)
                        }, &socket)
                    loaded += count
                }
                if slot == 7 {
                    sentAt["F\(feeder)"] = SystemClock.nowMicroseconds
                    try publish([.init(device: head, time: base + 90, activePower: -2_000_000)], &socket)
                }
            }
        }
        let took = Double(SystemClock.nowMicroseconds - began) / 1e6
        for _ in 0..<100 where heard.withLock({ $0.count }) < feeders { SystemClock.pause(milliseconds: 50) }
        ended.withLock { $0 = true }
        listener.join()
        let arrived = heard.withLock { $0 }
        let latencies = sentAt.compactMap { feeder, at in arrived[feeder].map { Double($0 - at) / 1000 } }.sorted()
        guard !latencies.isEmpty else { throw UsageError("no advisory arrived") }
        func quantile(_ share: Double) -> String {
            "\((latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))] * 10).rounded() / 10)"
        }
        return [
            ("background_samples_per_s", "\(Int(Double(loaded) / took))"), ("deciding_samples", "\(feeders)"),
            ("advisories_heard", "\(latencies.count)"), ("flush_ms", settings.text("ingest.flush_ms")),
            ("p50_ms", quantile(0.5)), ("p90_ms", quantile(0.9)), ("p99_ms", quantile(0.99)),
            ("max_ms", "\((latencies[latencies.count - 1] * 10).rounded() / 10)"),
        ]
    }
}
