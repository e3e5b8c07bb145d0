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
            Device samples, head meters and voltage meters by the replay specification, deterministic by --seed. With
            --control it keeps a journal, sends again what the service misses, and ends when everything is durable; the
            same call with the same --journal goes on where a killed one stopped.
            """,
        options: [
            Option("window", "W", "window of DIR/profiles"),
            Option("to", "ENDPOINT", "the service's telemetry endpoint"),
            Option("control", "ENDPOINT", "the service's control endpoint"),
            Option("journal", "DIR", "where the journals are kept (default: a temporary directory)"),
            Option("key", "FILE", "key of one aggregator, from access add-publisher; may stand several times"),
            Option("patience", "S", "seconds to wait at the end for everything to be durable (default 120)"),
            Option("drop", "P", "probability that a message is written to the journal but not published"),
            Option("speed", "X|max", "seconds of data a second (default 1)"),
            Option("from", "T", "first instant, RFC 3339 (default: the window's start)"),
            Option("until", "T", "first instant left out (default: the window's end)"),
            Option("shift-to", "now", "move all times so that the replay's end is now"),
            Option("encoding", "protobuf|json|senml", "payload (default protobuf)"),
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
            TelemetryFrame.Encoding(
                rawValue: try arguments.choice(
                    "encoding", TelemetryFrame.Encoding.allCases.map(\.rawValue), otherwise: "protobuf")) ?? .protobuf
        let isTerminal = isatty(2) == 1
        var lastShown = 0.0
        let signal = Guarded(false)
        _ = WorkerThread(name: "signals") {
            _ = ShutdownSignal.wait()
            signal.withLock { $0 = true }
        }
        var way = Replayer.Way(telemetry: endpoint)
        way.control = arguments.text("control")
        way.journal = arguments.text("journal")
        way.keys = try arguments.all("key").map { try KeyFile(path: $0) }
        way.patience = try arguments.number("patience", in: 0...86_400) ?? 120
        way.drop = try arguments.number("drop", in: 0...1) ?? 0
        guard way.control != nil || way.journal == nil && way.drop == 0 else {
            throw UsageError("--journal and --drop need --control")
        }
        let sent = try Replayer.run(plan, way, stop: { signal.withLock { $0 } }) { progress in
            guard progress.share - lastShown >= (isTerminal ? 0.002 : 0.1) || progress.share >= 1 else { return }
            lastShown = progress.share
            let line =
                "\(progress.time)  \(Int(progress.share * 100)) %  \(progress.samples) samples  \(progress.messages) messages  \(Int(progress.rate)) samples/s"
            if isTerminal { complain("\r\u{1b}[2K\(line)", terminator: "") } else { complain(line) }
        }
        if isTerminal { complain("") }
        say("sent \(sent.samples) samples in \(sent.messages) messages of \(sent.aggregators) aggregators")
        guard way.control != nil else { return .done }
        let waiting = sent.undurable.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        say(
            waiting.isEmpty
                ? "all durable; \(sent.sentAgain) messages were sent again"
                : "not durable: \(waiting.joined(separator: ", ")) messages; they stay in the journal")
        for rejection in sent.rejections.prefix(20) { complain(rejection) }
        return waiting.isEmpty ? .done : .negative
    }
}
