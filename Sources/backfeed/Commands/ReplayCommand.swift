internal import DataDirectory
internal import Foundation
internal import Glibc
internal import GridModel
internal import Messaging
internal import ServiceKit

enum ReplayCommand {
    static let command = Command(
        "replay", operands: "DIR --window W --to ENDPOINT",
        "publish a data directory's telemetry as its aggregators would",
        detail: """
            Device samples, head meters and voltage meters by the replay specification, deterministic by --seed. The
            replay channel (--control) is not served yet: what a fault loses stays lost, and shows as a sequence gap.
            """,
        options: [
            Option("window", "W", "window of DIR/profiles"),
            Option("to", "ENDPOINT", "the service's telemetry endpoint"),
            Option("speed", "X|max", "seconds of data a second (default 1)"),
            Option("from", "T", "first instant, RFC 3339 (default: the window's start)"),
            Option("until", "T", "first instant left out (default: the window's end)"),
            Option("shift-to", "now", "move all times so that the replay's end is now"),
            Option("encoding", "json|protobuf", "payload (default protobuf)"),
            Option("feeders", "F,F", "only these feeders"),
            Option("seed", "N", "of every random draw (default 20260101)"),
            Option("loss", "P", "probability that a sample is never sent"),
            Option("duplicate", "P", "probability that a sample is sent twice"),
            Option("late", "P", "probability that a sample is sent late, by 2 min on average"),
            Option("skew", "S", "largest clock error of a device, seconds (default 2)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let directory = try arguments.operand(0, "DIR")
        guard let window = arguments.text("window") else {
            throw UsageError(
                "--window is missing; \(directory) has \(ProfileWindow.names(in: directory).joined(separator: ", "))")
        }
        guard let endpoint = arguments.text("to") else {
            throw UsageError("--to is missing, for example tcp://127.0.0.1:5560")
        }
        let seed = try arguments.number("seed", in: 0...9e15) ?? 20_260_101
        var faults = ReplayModel.Faults()
        faults.loss = try arguments.number("loss", in: 0...1) ?? 0
        faults.duplicate = try arguments.number("duplicate", in: 0...1) ?? 0
        faults.late = try arguments.number("late", in: 0...1) ?? 0
        faults.skew = try arguments.number("skew", in: 0...86_400)
        let feeders = arguments.text("feeders").map { Set($0.split(separator: ",").map(String.init)) }
        var plan = try ReplayPlan(
            directory: directory, window: window, seed: UInt64(seed), feeders: feeders, faults: faults)
        if let text = arguments.text("speed"), text != "max" {
            guard let speed = Double(text), speed > 0, speed <= 1e6 else {
                throw UsageError("--speed: expected a number above 0 or max, got \"\(text)\"")
            }
            plan.speed = speed
        } else {
            plan.speed = arguments.text("speed") == "max" ? nil : 1
        }
        if let from = try invocation.time("from") { plan.from = from - plan.start }
        if let until = try invocation.time("until") { plan.until = until - plan.start }
        guard plan.from < plan.until else { throw UsageError("--from must be before --until") }
        if let shift = arguments.text("shift-to") {
            guard shift == "now" else { throw UsageError("--shift-to: expected now, got \"\(shift)\"") }
            plan.shiftsToNow = true
        }
        plan.encoding =
            try arguments.choice("encoding", ["json", "protobuf"], otherwise: "protobuf") == "json" ? .json : .protobuf
        let isTerminal = isatty(2) == 1
        var lastShown = 0.0
        let signal = Guarded(false)
        _ = WorkerThread(name: "signals") {
            _ = ShutdownSignal.wait()
            signal.withLock { $0 = true }
        }
        let sent = try Replayer.run(plan, to: endpoint, stop: { signal.withLock { $0 } }) { progress in
            guard progress.share - lastShown >= (isTerminal ? 0.002 : 0.1) || progress.share >= 1 else { return }
            lastShown = progress.share
            let line =
                "\(progress.time)  \(Int(progress.share * 100)) %  \(progress.samples) samples  \(progress.messages) messages  \(Int(progress.rate)) samples/s"
            if isTerminal { complain("\r\u{1b}[2K\(line)", terminator: "") } else { complain(line) }
        }
        if isTerminal { complain("") }
        say("sent \(sent.samples) samples in \(sent.messages) messages of \(sent.aggregators) aggregators")
        return .done
    }
}

/// What is to be replayed, and how.
struct ReplayPlan: Sendable {
    let model: ReplayModel
    let start: Timestamp
    /// Registry of the directory, for the voltage bases.
    let bases: [String: Double]
    /// Seconds since the window's start.
    var from = 0.0
    var until: Double
    /// `nil`: as fast as it is taken.
    var speed: Double?
    var shiftsToNow = false
    var encoding = TelemetryFrame.Encoding.protobuf

    init(
        directory: String, window: String, seed: UInt64, feeders: Set<String>? = nil,
        faults: ReplayModel.Faults = .init()
    ) throws {
        let network = try NetworkReader.read(directory).network
        let profile = try ProfileWindow(directory: directory, name: window, network: network)
        guard TruthWindow.exists(in: directory, window: window) else {
            throw UsageError(
                "\(directory)/truth/\(window): head meters and voltage meters need the truth tables, and they are not there"
            )
        }
        let truth = try TruthWindow(directory: directory, window: window, start: profile.start, step: profile.step)
        model = ReplayModel(
            network: network, window: profile, truth: truth, seed: seed, feeders: feeders, faults: faults)
        start = profile.start
        until = profile.end - profile.start
        let devices = DeviceRegistry.devices(of: network, graph: NetworkGraph(network))
        bases = Dictionary(devices.map { ($0.name, $0.voltageBase) }, uniquingKeysWith: { first, _ in first })
    }
}

enum Replayer {
    struct Progress: Sendable {
        var time: Timestamp
        var share: Double
        var samples: Int
        var messages: Int
        var rate: Double
        var aggregators = 0
    }

    /// Publishes until the plan's end. Blocks. One socket for all aggregators: their order is then the order sent.
    static func run(
        _ plan: ReplayPlan, to endpoint: String, stop: () -> Bool, _ show: (Progress) -> Void
    ) throws -> Progress {
        let context = try MessagingContext()
        var socket = try Socket(.announcedPublish, in: context)
        try socket.limitQueues(sending: 1000)
        try socket.blockWhenFull()
        try socket.limitSending(milliseconds: 500)
        try socket.linger(milliseconds: 20_000)
        try socket.connect(endpoint)
        var waited = 0
        while try !socket.waitForSubscriber(milliseconds: 250) {
            waited += 1
            if stop() { return Progress(time: plan.start, share: 0, samples: 0, messages: 0, rate: 0) }
            if waited == 20 { complain("waiting for a service at \(endpoint) …") }
        }
        let duration = plan.until - plan.from
        let began = SystemClock.nowMicroseconds
        var shift = 0.0
        if plan.shiftsToNow {
            let wall = plan.speed.map { duration / $0 } ?? 0
            shift = Double(began - (plan.start + plan.until).microseconds) / 1e6 + wall
        }
        let epoch = UInt64(began)
        var sequences: [String: UInt64] = [:]
        var pending: [ReplayModel.Reading] = []
        var progress = Progress(time: plan.start + plan.from, share: 0, samples: 0, messages: 0, rate: 0)
        // Portions of data time: long enough to be worth a pass over all streams, short enough to pace evenly.
        let portion = 5.0
        var at = plan.from
        while at < plan.until || !pending.isEmpty {
            let end = at + portion
            if at < plan.until { pending += plan.model.readings(from: at, to: min(end, plan.until)) }
            pending.sort { ($0.sent, $0.stream, $0.instant) < ($1.sent, $1.stream, $1.instant) }
            let count = pending.firstIndex { $0.sent >= end } ?? pending.count
            var place = 0
            while place < count {
                // What leaves within the same second leaves together.
                let second = pending[place].sent.rounded(.down)
                var next = place
                while next < count, pending[next].sent.rounded(.down) == second { next += 1 }
                if let speed = plan.speed {
                    let due = began + Int64((pending[next - 1].sent - plan.from) / speed * 1e6)
                    while SystemClock.nowMicroseconds < due, !stop() {
                        SystemClock.pause(
                            milliseconds: UInt32(min(100, max(1, (due - SystemClock.nowMicroseconds) / 1000))))
                    }
                }
                if stop() { return progress }
                try send(pending[place..<next], plan, shift, epoch, &sequences, &socket, &progress, stop)
                place = next
            }
            pending.removeFirst(count)
            at = end
            progress.time = plan.start + min(at, plan.until) + shift
            progress.share = min(1, (at - plan.from) / duration)
            let elapsed = Double(SystemClock.nowMicroseconds - began) / 1e6
            progress.rate = Double(progress.samples) / max(elapsed, 1e-3)
            progress.aggregators = sequences.count
            show(progress)
        }
        return progress
    }

    private static func send(
        _ readings: ArraySlice<ReplayModel.Reading>, _ plan: ReplayPlan, _ shift: Double, _ epoch: UInt64,
        _ sequences: inout [String: UInt64], _ socket: inout Socket, _ progress: inout Progress, _ stop: () -> Bool
    ) throws {
        var batches: [String: [TelemetryEncoder.Row]] = [:]
        var order: [String] = []
        for reading in readings {
            let stream = plan.model.streams[Int(reading.stream)]
            if batches[stream.aggregator] == nil { order.append(stream.aggregator) }
            batches[stream.aggregator, default: []].append(
                TelemetryEncoder.Row(
                    device: stream.device, time: plan.start + (reading.stamped + shift),
                    activePower: reading.kilowatts * 1000, reactivePower: reading.kilovars * 1000,
                    voltage: reading.perUnit * (plan.bases[stream.device] ?? .nan)))
        }
        for aggregator in order {
            let rows = batches[aggregator] ?? []
            for from in stride(from: 0, to: rows.count, by: 2000) {
                let part = Array(rows[from..<min(from + 2000, rows.count)])
                sequences[aggregator, default: 0] += 1
                let frame = TelemetryFrame(
                    aggregator: aggregator, encoding: plan.encoding, epoch: epoch, sequence: sequences[aggregator] ?? 0)
                let message = [Array(frame.topic.utf8), frame.position, TelemetryEncoder.encode(part, plan.encoding)]
                while true {
                    do throws(MessagingError) {
                        try socket.send(message)
                        break
                    } catch {
                        // The service is away or slower than we are: wait, as an aggregator with a journal would.
                        guard error.code == .timedOut else { throw error }
                        if stop() { return }
                    }
                }
                progress.samples += part.count
                progress.messages += 1
            }
        }
    }
}
