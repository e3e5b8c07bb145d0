internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit

/// A publisher of made-up samples, in a process of its own so that its cost is not counted as the service's.
enum LoadPublisher {
    /// What one run publishes. Rows are `start + n / devices` seconds, of ``device(_:of:)``.
    struct Load {
        var shape: Shape
        var rows: Int
        var devices: Int
        /// Samples a second; `nil`: as fast as they are taken.
        var rate: Double?
        /// Microseconds since 1970 of the first row; `nil`: each row has the moment of its publishing.
        var start: Int64?
        var key: String?
    }

    /// How samples are packed.
    struct Shape {
        let name: String
        let encoding: TelemetryFrame.Encoding
        let samplesPerMessage: Int

        static let all = [
            Shape(name: "protobuf", encoding: .protobuf, samplesPerMessage: 200),
            Shape(name: "json", encoding: .json, samplesPerMessage: 200),
            Shape(name: "json_single", encoding: .json, samplesPerMessage: 1),
        ]
    }

    static let aggregator = "bench"
    static let feeders = 20

    /// Whose the row is: the meters at the feeders' heads come first, because without them a feeder's clock waits for
    /// those that may be ahead, and the analyser holds twice as much.
    static func device(_ row: Int, of devices: Int) -> String {
        let place = row % devices
        return place < feeders && devices > feeders ? "FH-F\(place)" : "pv-\(place)"
    }

    static let options = [
        Option("to", "ENDPOINT", "publish: where telemetry is taken"),
        Option("report", "FILE", "publish: takes the moments of publishing"),
        Option("shape", "NAME", "publish: protobuf, json (200 samples a message) or json_single"),
        Option("start", "MICROSECONDS", "publish: time of the first sample (default: each its own moment)"),
        Option("key", "FILE", "publish: key file of the aggregator \"bench\""),
    ]

    /// Starts a publisher in a process of its own.
    static func spawn(_ load: Load, to endpoint: String, report: String) throws -> ChildProcess {
        var arguments = [
            Resources.program, "bench", "publish", "--to", endpoint, "--report", report, "--shape", load.shape.name,
            "--rows", "\(load.rows)", "--devices", "\(load.devices)",
        ]
        if let rate = load.rate { arguments += ["--rate", "\(Int(rate))"] }
        if let start = load.start { arguments += ["--start", "\(start)"] }
        if let key = load.key { arguments += ["--key", key] }
        return try ChildProcess(arguments, outputPath: report + ".log", endsWithUs: true)
    }

    static func command(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        let names = Shape.all.map(\.name)
        let name = try arguments.choice("shape", names, otherwise: names[0])
        guard let shape = Shape.all.first(where: { $0.name == name }), let endpoint = arguments.text("to"),
            let report = arguments.text("report")
        else { throw UsageError("bench publish: --to and --report are needed") }
        let load = Load(
            shape: shape, rows: Int(try arguments.number("rows", in: 1...50_000_000) ?? 400_000),
            devices: Int(try arguments.number("devices", in: 1...1_000_000) ?? 2000),
            rate: try arguments.number("rate", in: 1...10_000_000),
            start: try arguments.number("start", in: 0...4e15).map { Int64($0) }, key: arguments.text("key"))
        try run(load, to: endpoint, report: report)
    }

    private static func run(_ load: Load, to endpoint: String, report: String) throws {
        let size = load.shape.samplesPerMessage
        // Prepared ahead, where the moment of publishing is not part of it: the peer's speed is not what is measured.
        let prepared = load.start.map { start in
            stride(from: 0, to: load.rows, by: size).map { payload(load, from: $0, Timestamp(microseconds: start)) }
        }
        let context = try MessagingContext()
        var socket = try Socket(.announcedPublish, in: context)
        if let path = load.key {
            let key = try KeyFile(path: path)
            try socket.present(key.own, toServer: key.serverKey)
        }
        try socket.limitQueues(sending: 1000)
        try socket.blockWhenFull()
        try socket.connect(endpoint)
        while try !socket.waitForSubscriber(milliseconds: 100) {}
        let epoch = UInt64(SystemClock.nowMicroseconds)
        var moments: [Int64] = []
        let began = SystemClock.nowMicroseconds
        for message in 0..<(load.rows + size - 1) / size {
            if let rate = load.rate {
                let due = began + Int64(Double(message * size) / rate * 1e6)
                while SystemClock.nowMicroseconds < due { SystemClock.pause(milliseconds: 1) }
            }
            let bytes = prepared?[message] ?? payload(load, from: message * size, nil)
            let frame = TelemetryFrame(
                aggregator: Self.aggregator, encoding: load.shape.encoding, epoch: epoch, sequence: UInt64(message + 1))
            if load.rate != nil || message == 0 { moments.append(SystemClock.nowMicroseconds) }
            try socket.send([Array(frame.topic.utf8), frame.position, bytes])
        }
        let lines = ["\(epoch)"] + moments.map(String.init)
        try lines.joined(separator: "\n").write(toFile: report, atomically: true, encoding: .utf8)
    }

    private static func payload(_ load: Load, from first: Int, _ start: Timestamp?) -> [UInt8] {
        let end = min(first + load.shape.samplesPerMessage, load.rows)
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        let rows = (first..<end).map { n -> TelemetryEncoder.Row in
            let time: Timestamp = start.map { $0 + Double(n / load.devices) } ?? now
            let voltage: Double = 230 + Double(n % 13) / 10
            return TelemetryEncoder.Row(
                device: device(n, of: load.devices), time: time, activePower: Double(n % 9973),
                reactivePower: Double(n % 997), voltage: voltage)
        }
        return TelemetryEncoder.encode(rows, load.shape.encoding)
    }

    /// What a publisher wrote down.
    struct Report {
        var epoch: UInt64
        /// Microseconds since 1970: of each message with a rate, else of the first alone.
        var moments: [Int64]

        init(_ path: String) throws {
            let numbers = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap {
                Int64($0)
            }
            guard numbers.count > 1 else { throw UsageError("\(path): the publisher wrote no report") }
            epoch = UInt64(numbers[0])
            moments = Array(numbers.dropFirst())
        }
    }
}
