internal import Foundation
internal import Glibc
internal import ServiceKit
internal import Store

/// The service as a user runs it, in a process of its own: what it costs is then all that is counted.
final class BenchService {
    let process: ChildProcess
    let telemetry: String
    /// Port of the API.
    let httpPort: UInt16
    private let conninfo: String

    init(conninfo: String, directory: String, isSecured: Bool, extra: [String] = []) throws {
        self.conninfo = conninfo
        let output = "\(directory)/service-\(UUID().uuidString).log"
        let settings =
            [
                "database.url=\(conninfo)", "telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*",
                "advisories.bind=tcp://127.0.0.1:*", "validator.bind=tcp://127.0.0.1:*", "http.listen=127.0.0.1:0",
                "telemetry.security=\(isSecured ? "curve" : "plain")",
                // A benchmark is a flood: what is measured is what is behind the limits.
                "telemetry.max_messages_per_s=0", "telemetry.max_bytes_per_s=0",
                // The table is measured as it is while it is written: an index comes when a day is over.
                "ingest.index_after_s=604800",
            ] + extra
        process = try ChildProcess(
            [Resources.program, "run", "--data-dir", "\(directory)/data", "--log-level", "warning"]
                + settings.flatMap { ["--set", $0] }, outputPath: output, endsWithUs: true)
        // What the runs before have stored is in the analyser's window, and read again.
        for _ in 0..<12_000 {
            let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
            if let line = text.split(separator: "\n").first(where: { $0.hasPrefix("ready ") }),
                let field = line.split(separator: " ").first(where: { $0.hasPrefix("telemetry=") })
            {
                telemetry = String(field.dropFirst("telemetry=".count))
                let port = line.split(separator: " ").first { $0.hasPrefix("http=") }?.split(separator: ":").last
                httpPort = port.flatMap { UInt16($0) } ?? 0
                return
            }
            if let code = process.poll() { throw UsageError("the service ended with \(code): \(text)") }
            SystemClock.pause(milliseconds: 50)
        }
        process.send(signal: SIGKILL)
        throw UsageError("the service was not ready within 10 min: see \(output)")
    }

    func stop() {
        process.send(signal: SIGTERM)
        process.wait()
    }

    struct Passage {
        /// From the first message's publishing to the moment the last was visible to another connection.
        var seconds: Double
        /// Of the service's threads, a million samples.
        var ingestCPU, analyserCPU: Double
        /// Of each message, seconds from publishing to visible; only for loads with a rate.
        var latencies: [Double]
    }

    /// Publishes a load and watches it become visible, over a connection of our own.
    func pass(_ load: LoadPublisher.Load, report: String) throws -> Passage {
        unlink(report)
        var queries = try PostgresConnection(conninfo)
        let before = ProcessFigures.cpuSeconds(ofThreadsOf: process.processID)
        let old = try lastPosition(&queries).epoch
        let publisher = try LoadPublisher.spawn(load, to: telemetry, report: report)
        defer { publisher.wait() }
        let messages = (load.rows + load.shape.samplesPerMessage - 1) / load.shape.samplesPerMessage
        var seen: [(last: Int, at: Int64)] = []
        let deadline = SystemClock.monotonicNanoseconds + 600_000_000_000
        while seen.last?.last != messages {
            let position = try lastPosition(&queries)
            let now = SystemClock.nowMicroseconds
            if position.epoch != old, position.last != seen.last?.last { seen.append((position.last, now)) }
            guard SystemClock.monotonicNanoseconds < deadline else {
                throw UsageError("\(seen.last?.last ?? 0) of \(messages) messages arrived within 600 s")
            }
            // What watching costs is charged to the service: seldom enough not to matter, often enough to be exact.
            SystemClock.pause(milliseconds: load.rate == nil ? 10 : 2)
        }
        publisher.wait()
        let after = ProcessFigures.cpuSeconds(ofThreadsOf: process.processID)
        let sent = try LoadPublisher.Report(report)
        func cost(_ isCounted: (String) -> Bool) -> Double {
            after.filter { isCounted($0.key) }.map { $0.value - (before[$0.key] ?? 0) }.reduce(0, +) / Double(load.rows)
                * 1e6
        }
        var latencies: [Double] = []
        if load.rate != nil {
            var place = 0
            for (number, moment) in sent.moments.enumerated() {
                while seen[place].last < number + 1 { place += 1 }
                latencies.append(Double(seen[place].at - moment) / 1e6)
            }
        }
        return Passage(
            seconds: Double((seen.last?.at ?? 0) - sent.moments[0]) / 1e6,
            ingestCPU: cost { $0.hasPrefix("ingest") || $0.hasPrefix("ZMQ") },
            analyserCPU: cost { !$0.hasPrefix("ingest") && !$0.hasPrefix("ZMQ") }, latencies: latencies)
    }

    private func lastPosition(_ queries: inout PostgresConnection) throws -> (epoch: UInt64, last: Int) {
        let rows = try queries.query(
            "SELECT epoch, last_sequence FROM backfeed_store.stream_position WHERE aggregator = $1",
            [LoadPublisher.aggregator], as: "watch the position")
        guard let row = rows.first, let epoch = row[0].flatMap({ UInt64($0) }), let last = row[1].flatMap({ Int($0) })
        else { return (0, 0) }
        return (epoch, last)
    }
}
