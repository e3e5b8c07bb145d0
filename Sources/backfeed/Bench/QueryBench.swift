internal import DataDirectory
internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

/// What engineers and consoles ask for, on a year of rollups that are made up: a month's profile, a long CSV, many event
/// streams. With a Python beside what one would write instead, on the same tables in the same run.
struct QueryBench {
    private let conninfo, directory: String
    private let feeders, days, rows, requests, clients: Int
    private let python: String?
    /// The year that is made up.
    private let start = Timestamp("2025-01-01T00:00:00Z") ?? .distantPast

    init(_ invocation: Invocation, _ conninfo: String, directory: String) throws {
        let arguments = invocation.arguments
        self.conninfo = conninfo
        self.directory = directory
        feeders = Int(try arguments.number("feeders", in: 1...10_000) ?? 300)
        days = Int(try arguments.number("days", in: 2...3660) ?? 365)
        rows = Int(try arguments.number("rows", in: 1000...50_000_000) ?? 1_000_000)
        requests = Int(try arguments.number("requests", in: 10...100_000) ?? 300)
        clients = Int(try arguments.number("clients", in: 0...1900) ?? 1000)
        python = arguments.text("python")
    }

    func run() throws -> BenchResult {
        _ = try NetworkStore.importRevision(
            BenchCommand.network(feeders: feeders, devices: feeders), by: "bench", conninfo)
        try fill()
        let service = try BenchService(conninfo: conninfo, directory: directory, isSecured: false)
        defer { service.stop() }
        let peer = try python.map { try Peer($0, conninfo) }
        defer { peer?.stop() }
        var targets = [Target(name: "backfeed", port: service.httpPort, process: service.process, path: Self.path)]
        if let peer {
            targets.append(
                Target(name: "FastAPI \(peer.versions)", port: peer.port, process: peer.process, path: Peer.path))
        }
        var lines = targets.map { _ in Line() }
        // One request of each in turn, the first ten not counted.
        let random = ReplayRandom(seed: 20_261_126, stream: "query")
        let month = min(30, days)
        for number in 0..<(requests + 10) {
            let feeder = "F\(Int(random.uniform(number, 0) * Double(feeders)))"
            let from = start + (random.uniform(number, 1) * Double(days - month + 1)).rounded(.down) * 86_400
            for place in targets.indices {
                let answer = try HTTPGet(
                    targets[place].port, targets[place].path(feeder, from, from + Double(month) * 86_400, "15m", "json")
                )
                // Nothing is measured that is not the same answer.
                guard answer.count(of: "\"time\"") == month * 96 else {
                    throw UsageError(
                        "\(targets[place].name) gave \(answer.count(of: "\"time\"")) of \(month * 96) buckets")
                }
                if number >= 10 { lines[place].months.append(answer.seconds * 1000) }
            }
        }
        for place in targets.indices { lines[place].before = targets[place].megabytes("VmHWM") }
        for _ in 0..<3 {
            for place in targets.indices {
                let answer = try HTTPGet(
                    targets[place].port, targets[place].path("F0", start, start + Double(rows) * 60, "1m", "csv"))
                guard answer.count(of: "\n") == rows + 1 else {
                    throw UsageError("\(targets[place].name) gave \(answer.count(of: "\n")) of \(rows + 1) lines")
                }
                lines[place].csv.append(answer.seconds)
                lines[place].bytes = answer.bytes
            }
        }
        for place in targets.indices { lines[place].after = targets[place].megabytes("VmHWM") }
        var result = BenchResult()
        result.tables = [
            table(
                ["server", "month p50 ms", "p99 ms", "CSV rows", "MB", "s", "peak MB before", "peak MB after"],
                zip(targets, lines).map { target, line in line.row(target.name, rows: rows) })
        ]
        result.figures = [
            ("month_p99_ms", Self.text(Line.quantile(lines[0].months, 0.99))),
            ("csv_s", Self.text(Line.quantile(lines[0].csv, 0.5))),
            ("csv_rows", "\(rows)"),
        ]
        if clients > 0 {
            let before = targets[0].megabytes("VmRSS")
            let streams = try StreamClients(clients, port: service.httpPort).run(seconds: 12)
            result.figures += [
                ("stream_clients", "\(clients)"), ("stream_p99_ms", Self.text(streams.p99 * 1000)),
                ("stream_last_ms", Self.text(streams.worst * 1000)), ("service_mb_before", "\(before)"),
                ("service_mb", "\(targets[0].megabytes("VmRSS"))"),
            ]
            result.tables.append(
                table(
                    [
                        "event streams", "heartbeats", "p99 ms behind the first client", "last ms", "service MB before",
                        "with them",
                    ],
                    [
                        [
                            "\(clients)", "\(streams.beats)", Self.text(streams.p99 * 1000),
                            Self.text(streams.worst * 1000), "\(before)",
                            "\(targets[0].megabytes("VmRSS"))",
                        ]
                    ]))
        }
        return result
    }

    /// Rollups of a year for all feeders, and minutes of one.
    private func fill() throws {
        var connection = try PostgresConnection(conninfo)
        let values = """
            1e6 * sin(n / 15.3) + n % 997, 9e5 * sin(n / 15.3), 1.1e6 * sin(n / 15.3), 1e5 * cos(n / 9.0), 1.01 + 0.02 * sin(n / 40.0), \
            1.0 + 0.02 * sin(n / 40.0), 1.02 + 0.02 * sin(n / 40.0), 5e5 + n % 1009, n % 13, -(n % 7) * 1000, 0, 1.2e6 + n % 991, \
            n % 101, n % 103, 1, 0.97, (SELECT min(id) FROM backfeed_store.area)
            """
        let begin = "'\(start)'::timestamptz"
        try connection.query(
            """
            INSERT INTO backfeed_store.feeder_profile_15m SELECT \(begin) + n * interval '15 minutes', \(values), 'F' || f, 'F' || f \
            FROM generate_series(0, \(feeders - 1)) f, generate_series(0, \(days * 96 - 1)) n
            """, as: "make a year")
        try connection.query(
            """
            INSERT INTO backfeed_store.feeder_profile_1m SELECT \(begin) + n * interval '1 minute', \(values), 'F0', 'F0' \
            FROM generate_series(0, \(rows - 1)) n
            """, as: "make minutes")
        try connection.query(
            "VACUUM ANALYZE backfeed_store.feeder_profile_15m, backfeed_store.feeder_profile_1m", as: "vacuum")
    }

    private static func path(
        _ feeder: String, _ from: Timestamp, _ until: Timestamp, _ bucket: String, _ format: String
    )
        -> String
    { "/v1/feeders/\(feeder)/profile?from=\(from)&until=\(until)&bucket=\(bucket)&format=\(format)" }

    fileprivate static func text(_ value: Double) -> String { String(format: "%.2f", value) }

    private struct Target {
        var name: String
        var port: UInt16
        var process: ChildProcess
        var path: (String, Timestamp, Timestamp, String, String) -> String

        /// Of `/proc`: `VmRSS` now, `VmHWM` at most.
        func megabytes(_ field: String) -> Int {
            let status = (try? String(contentsOfFile: "/proc/\(process.processID)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
            return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 / 1024 }
                ?? 0
        }
    }

    private struct Line {
        var months: [Double] = []
        var csv: [Double] = []
        var bytes = 0
        var before = 0
        var after = 0

        static func quantile(_ values: [Double], _ part: Double) -> Double {
            let sorted = values.sorted()
            return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
        }

        func row(_ name: String, rows: Int) -> [String] {
            [
                name, QueryBench.text(Self.quantile(months, 0.5)), QueryBench.text(Self.quantile(months, 0.99)),
                "\(rows)",
                "\(bytes / 1_000_000)", QueryBench.text(Self.quantile(csv, 0.5)), "\(before)", "\(after)",
            ]
        }
    }

    /// The same in FastAPI and psycopg, by `scripts/bench-query`.
    private final class Peer {
        let process: ChildProcess
        let port: UInt16
        let versions: String

        init(_ python: String, _ conninfo: String) throws {
            let output = FileManager.default.temporaryDirectory.appending(path: "bench-query-\(UUID().uuidString)").path
            process = try ChildProcess(
                [python, "\(Resources.root)/scripts/bench-query", conninfo], outputPath: output, endsWithUs: true)
            for _ in 0..<400 {
                let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
                if let line = text.split(separator: "\n").first(where: { $0.hasPrefix("ready ") }) {
                    let words = line.split(separator: " ")
                    port = UInt16(words[1]) ?? 0
                    versions = words.dropFirst(2).joined(separator: " ")
                    return
                }
                if let code = process.poll() {
                    throw UsageError("\(python) scripts/bench-query ended with \(code): \(text)")
                }
                SystemClock.pause(milliseconds: 50)
            }
            process.send(signal: SIGKILL)
            throw UsageError("scripts/bench-query was not ready within 20 s: see \(output)")
        }

        func stop() {
            process.send(signal: SIGTERM)
            process.wait()
        }

        static func path(_ feeder: String, _ from: Timestamp, _ until: Timestamp, _ bucket: String, _ format: String)
            -> String
        { "/profile?feeder=\(feeder)&from=\(from)&until=\(until)&bucket=\(bucket)&format=\(format)" }
    }
}
