internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// Messages from socket to table through the running service, against raw COPY BINARY of the same rows into the same
/// table: interleaved pairs in one run, so that a noisy machine troubles both alike.
struct IngestBench {
    private let conninfo: String
    private let directory: String
    private let rows: Int
    private let pairs: Int
    private let devices: [Int]
    private let securities: [String]
    private let shapes: [LoadPublisher.Shape]
    private let seconds: Int
    private let python: String?

    init(_ invocation: Invocation, _ conninfo: String, directory: String) throws {
        let arguments = invocation.arguments
        self.conninfo = conninfo
        self.directory = directory
        rows = Int(try arguments.number("rows", in: 20_000...50_000_000) ?? 400_000)
        pairs = Int(try arguments.number("pairs", in: 1...101) ?? 5)
        devices = try arguments.number("devices", in: 10...1_000_000).map { [Int($0)] } ?? [2000, 100_000]
        let security = try arguments.choice("security", ["plain", "curve", "both"], otherwise: "both")
        securities = security == "both" ? ["plain", "curve"] : [security]
        let names = LoadPublisher.Shape.all.map(\.name)
        let shape = try arguments.choice("shape", names + ["all"], otherwise: "all")
        shapes = LoadPublisher.Shape.all.filter { shape == "all" || $0.name == shape }
        seconds = Int(try arguments.number("latency-seconds", in: 0...3600) ?? 10)
        python = arguments.text("python")
    }

    /// One row of the result.
    private struct Line {
        var what: String
        var security: String
        var devices: Int
        var ratios: [Double]
        var rates: [Double]
        var ingest: [Double]
        var analyser: [Double]
        var peakMegabytes: Int
    }

    func run() throws -> BenchResult {
        var result = BenchResult()
        var lines: [Line] = []
        var latencies: [[String]] = []
        var peers: [[String]] = []
        // Each run has its own stretch of one day, so that nothing of it comes late.
        var clock = Timestamp(microseconds: (SystemClock.nowMicroseconds / 86_400_000_000 - 2) * 86_400_000_000)
        var published = 0
        for count in devices {
            _ = try NetworkStore.importRevision(
                BenchCommand.network(feeders: LoadPublisher.feeders, devices: count), by: "bench", conninfo)
            guard let stored = try NetworkStore.load(conninfo) else { throw UsageError("the network is not there") }
            let raw = RawCopy(conninfo: conninfo, stored: stored, rows: rows, devices: count)
            for security in securities {
                let service = try BenchService(
                    conninfo: conninfo, directory: directory, isSecured: security == "curve")
                defer { service.stop() }
                let key = security == "curve" ? try makeKey() : nil
                for shape in shapes {
                    var line = Line(
                        what: shape.name, security: security, devices: count, ratios: [], rates: [], ingest: [],
                        analyser: [], peakMegabytes: 0)
                    for pair in 0...pairs {
                        var load = LoadPublisher.Load(shape: shape, rows: rows, devices: count, key: key)
                        load.start = clock.microseconds
                        func through() throws -> BenchService.Passage {
                            published += rows
                            return try service.pass(load, report: "\(directory)/publisher")
                        }
                        // Whoever comes second finds a warmer machine: they take turns.
                        let ceiling: Double
                        let passage: BenchService.Passage
                        if pair.isMultiple(of: 2) {
                            passage = try through()
                            ceiling = try raw.run(start: clock)
                        } else {
                            ceiling = try raw.run(start: clock)
                            passage = try through()
                        }
                        published += rows
                        clock = clock + Double((rows - 1) / count + 1)
                        complain(
                            "\(shape.name) \(security) \(count) devices, \(pair == 0 ? "warm-up" : "pair \(pair)"): "
                                + "\(Int(Double(rows) / passage.seconds)) rows/s, raw COPY \(Int(Double(rows) / ceiling)), "
                                + "ratio \(Self.text(ceiling / passage.seconds)), CPU \(Self.text(passage.ingestCPU)) + \(Self.text(passage.analyserCPU)) s/M"
                        )
                        guard pair > 0 else { continue }
                        line.ratios.append(ceiling / passage.seconds)
                        line.rates.append(Double(rows) / passage.seconds)
                        line.ingest.append(passage.ingestCPU)
                        line.analyser.append(passage.analyserCPU)
                    }
                    line.peakMegabytes = ProcessFigures.peakResidentBytes(of: service.process.processID) >> 20
                    lines.append(line)
                }
                guard count == devices[0], seconds > 0 else { continue }
                for rate in [10_000, 50_000] {
                    // In the stretch of the runs before: samples of now would make all of the next runs' late.
                    var load = LoadPublisher.Load(
                        shape: shapes[0], rows: rate * seconds, devices: count, rate: Double(rate), key: key)
                    load.start = clock.microseconds
                    clock = clock + Double((load.rows - 1) / count + 1)
                    published += load.rows
                    let found = try service.pass(load, report: "\(directory)/publisher").latencies.sorted()
                    latencies.append(
                        [shapes[0].name, security, "\(rate)"]
                            + [0.5, 0.9, 0.99, 1].map { share in
                                let place = min(found.count - 1, Int(Double(found.count) * share))
                                return "\(Int((found[place] * 1000).rounded()))"
                            })
                }
            }
            if let python, count == devices[0] {
                peers = try comparePeers(python, clock, published: &published)
                clock = clock + 1000
            }
        }
        try check(published)
        result.figures = [("rows_a_run", "\(rows)"), ("pairs", "\(pairs)"), ("rows_in_table", "\(published)")]
        for line in lines {
            let prefix = "\(line.what)_\(line.security)_\(line.devices)"
            result.figures += [
                ("\(prefix)_ratio_median", Self.text(Self.median(line.ratios))),
                ("\(prefix)_cpu_s_per_million", Self.text(Self.median(line.ingest))),
                ("\(prefix)_peak_mb", "\(line.peakMegabytes)"),
            ]
        }
        result.tables.append(
            table(
                [
                    "messages", "security", "devices", "ratio to raw COPY", "from", "to", "rows/s", "CPU s/M ingest",
                    "CPU s/M rest", "peak MB",
                ],
                lines.map {
                    [
                        $0.what, $0.security, "\($0.devices)", Self.text(Self.median($0.ratios)),
                        Self.text($0.ratios.min() ?? 0), Self.text($0.ratios.max() ?? 0),
                        "\(Int(Self.median($0.rates)))", Self.text(Self.median($0.ingest)),
                        Self.text(Self.median($0.analyser)), "\($0.peakMegabytes)",
                    ]
                }))
        if !latencies.isEmpty {
            result.tables.append(
                "Published to visible, milliseconds (flush 100 ms):\n"
                    + table(["messages", "security", "samples/s", "p50", "p90", "p99", "max"], latencies))
        }
        if !peers.isEmpty {
            result.tables.append(
                "What one would write instead, one sample a JSON message:\n"
                    + table(["program", "rows/s", "CPU s/M"], peers))
        }
        return result
    }

    /// Nothing is measured that lost or doubled a row.
    private func check(_ published: Int) throws {
        var connection = try PostgresConnection(conninfo)
        let rows = try connection.query("SELECT count(*) FROM backfeed_store.sample", as: "count the rows")
        guard rows.first?[0] == "\(published)" else {
            throw UsageError("\(published) rows went in and \(rows.first?[0] ?? "none") are in the table")
        }
    }

    private func makeKey() throws -> String {
        let path = "\(directory)/bench.key"
        if FileManager.default.fileExists(atPath: path) { return path }
        let server = try String(contentsOfFile: "\(directory)/data/curve-server.key", encoding: .utf8)
        guard let pair = CurveKeyPair(secretKey: server.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw UsageError("the service made no key")
        }
        let file = KeyFile(
            aggregator: LoadPublisher.aggregator, own: try CurveKeyPair.make(), serverKey: pair.publicKey)
        try file.write(to: path)
        var keys = PublisherKeys(conninfo: conninfo)
        _ = try keys.add(LoadPublisher.aggregator, publicKey: file.own.publicKey, by: "bench")
        return path
    }

    private func comparePeers(_ python: String, _ clock: Timestamp, published: inout Int) throws -> [[String]] {
        let peers = PythonPeers(python: python, conninfo: conninfo, directory: directory)
        guard let shape = LoadPublisher.Shape.all.last else { return [] }
        var load = LoadPublisher.Load(shape: shape, rows: 100_000, devices: devices[0])
        load.start = clock.microseconds
        let service = try BenchService(conninfo: conninfo, directory: directory, isSecured: false)
        let ours = try service.pass(load, report: "\(directory)/publisher")
        service.stop()
        published += load.rows
        var lines = [["backfeed", "\(Int(Double(load.rows) / ours.seconds))", Self.text(ours.ingestCPU)]]
        for (method, name) in [("copy", "pyzmq, json, psycopg COPY"), ("executemany", "pyzmq, json, executemany")] {
            complain("\(name): \(load.rows) rows")
            let figures = try peers.run(method, load)
            published += load.rows
            lines.append([name, "\(Int(figures.rowsPerSecond))", Self.text(figures.cpuSecondsPerMillion)])
        }
        return lines
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    private static func text(_ value: Double) -> String { String(format: "%.3f", value) }
}
