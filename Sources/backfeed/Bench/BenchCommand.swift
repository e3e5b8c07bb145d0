internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

/// What a benchmark found: figures for programs, tables for people.
struct BenchResult {
    var figures: [(String, String)] = []
    var tables: [String] = []
}

enum BenchCommand {
    static let command = Command(
        "bench", operands: "ingest|detect|query|forecast|validate|trace|publish",
        "reproducible measurements on this machine",
        detail: """
            ingest   messages from socket to table through the running service, against raw COPY BINARY of the same rows
                     into the same table; from publishing to visible; with --python beside what one would write instead
            detect   publish of the deciding sample to the advisory on PUB, under load; and the analyser alone, all detectors, 1,000
                     feeders and 100,000 devices; with --python beside the rule for reverse power in Bytewax
            query    a month's profile and a long CSV over HTTP from a year of made-up rollups, and event streams for many clients; with
                     --python beside FastAPI and psycopg on the same tables
            forecast errors of the forecast on a window of a data directory, beside taking the present for the future
            validate load flow of one changed state at 100, 1,000 and 10,000 nodes, and verdicts on a plan of 20 steps
            trace    energisation trace of a 10,000-node network
            publish  the made-up load of ingest, alone: to any service, from this process
            ingest, detect and query make a database of their own below --data-dir (default var) and remove it.
            """,
        options: [
            Option(
                "rows", "N", "samples a run of ingest (default 400000); minutes in the CSV of query (default 1000000)"),
            Option("pairs", "N", "interleaved pairs of ingest, after one to warm up (default 5)"),
            Option("devices", "N", "devices of ingest (default 2000, then 100000)"),
            Option("security", "plain|curve|both", "keys of ingest (default both)"),
            Option("latency-seconds", "N", "seconds of ingest at each rate for latency; 0: none (default 10)"),
            Option(
                "python", "FILE",
                "a Python to compare with: pyzmq and psycopg for ingest, Bytewax for detect, FastAPI for query, pandapower for validate"
            ),
            Option("rate", "N", "samples a second: background of detect (default 10000), publish (default: all)"),
            Option("flush-ms", "N", "ingest.flush_ms of detect, which is most of its latency (default 100)"),
            Option("feeders", "N", "feeders of query (default 300)"),
            Option("days", "N", "days of query (default 365)"),
            Option("requests", "N", "months asked for by query (default 300)"),
            Option("clients", "N", "event streams of query; 0: none (default 1000)"),
            Option("data", "DIR", "data directory of forecast (default: the shipped one)"),
            Option("window", "NAME", "window of forecast, with truth (default summer)"),
            Option("format", "table|json", "how to print it (default table)"),
        ] + LoadPublisher.options
    ) { invocation in
        let json = try invocation.arguments.choice("format", ["table", "json"], otherwise: "table") == "json"
        let what = try invocation.arguments.operand(0, "ingest, detect, query, forecast, validate, trace or publish")
        var result = BenchResult()
        switch what {
        case "publish":
            try LoadPublisher.command(invocation)
            return .done
        case "validate": result = try ValidateBench.run(python: invocation.arguments.text("python"))
        case "forecast":
            let directory = invocation.arguments.text("data") ?? "\(Resources.root)/data/semiurb"
            let window = invocation.arguments.text("window") ?? "summer"
            let rows = try ForecastBench(directory: directory, window: window).run(
                invocation.settings.analysis(nominalFrequency: 50))
            result.figures = rows.map { ("skill_\($0[0])_min", $0[4]) }
            result.tables = [
                table(
                    [
                        "min", "forecasts", "RMSE MW", "persistence MW", "skill", "in 60 %", "in 90 %", "detection",
                        "false alarms", "Brier",
                    ], rows)
            ]
        case "trace": result.figures = TraceBench.run()
        case "ingest":
            result = try withDatabase(invocation) { try IngestBench(invocation, $0, directory: $1).run() }
        case "query":
            result = try withDatabase(invocation) { try QueryBench(invocation, $0, directory: $1).run() }
        case "detect":
            result.figures = try withDatabase(invocation) { conninfo, _ in try DetectBench(invocation, conninfo).run() }
            let rows = try AnalyserBench(python: invocation.arguments.text("python")).run()
            result.figures.append(("analyser_cpu_s_per_million", rows[0][2]))
            result.tables = [
                table(["figure", "value"], result.figures.map { [$0.0, $0.1] }),
                table(
                    [
                        "analyser", "samples/s", "CPU s/M", "p50 ms", "p99 ms", "reverse power starts",
                        "advisories of all kinds",
                    ], rows),
            ]
        default:
            throw UsageError("expected ingest, detect, query, forecast, validate, trace or publish, got \"\(what)\"")
        }
        if json {
            say(
                "{"
                    + result.figures.map { "\"\($0.0)\":\(Double($0.1) == nil ? "\"\($0.1)\"" : $0.1)" }
                    .joined(separator: ",") + "}")
        } else if result.tables.isEmpty {
            say(table(["figure", "value"], result.figures.map { [$0.0, $0.1] }))
        } else {
            say(result.tables.joined(separator: "\n\n"))
        }
        return .done
    }

    /// - Parameter body: gets the database and a directory for what it needs beside it.
    private static func withDatabase<R>(_ invocation: Invocation, _ body: (String, String) throws -> R) throws -> R {
        let directory = "\(invocation.dataDirectory)/bench-\(getpid())"
        let cluster = try EmbeddedCluster(directory: "\(directory)/postgres", endsWithUs: true)
        defer {
            cluster.stop()
            try? FileManager.default.removeItem(atPath: directory)
        }
        try Migrator.migrate(cluster.conninfo, directory: "\(Resources.root)/Migrations", protecting: true)
        return try body(cluster.serviceConninfo, directory)
    }

    /// A network of `feeders` radial feeders with `devices` PV systems in all, for load.
    static func network(feeders: Int, devices: Int) -> Network {
        var network = Network(id: "bench")
        network.nodes = [
            .init(id: "HV", nominalKilovolts: 110, kind: "hv_busbar", substation: "S"),
            .init(id: "MV", nominalKilovolts: 20, kind: "mv_busbar", substation: "S"),
        ]
        network.sources = [.init(id: "SRC", node: "HV")]
        network.transformers = [.init(id: "T", highNode: "HV", lowNode: "MV", ratedKVA: 400_000)]
        for number in 0..<feeders {
            network.nodes.append(.init(id: "N\(number)", nominalKilovolts: 20, kind: "mv_node"))
            network.lines.append(.init(id: "L\(number)", from: "MV", to: "N\(number)", ratedAmperes: 300))
            network.feeders.append(
                .init(id: "F\(number)", substation: "S", busbar: "MV", headLine: "L\(number)", ratedAmperes: 300))
        }
        for number in 0..<devices {
            network.ders.append(
                .init(id: "pv-\(number)", kind: .photovoltaic, node: "N\(number % feeders)", ratedKW: 10))
        }
        return network
    }
}

enum TraceBench {
    static func run() -> [(String, String)] {
        var network = Network(id: "trace")
        let count = 10_000
        network.nodes = [.init(id: "B", nominalKilovolts: 20, kind: "mv_busbar", substation: "S")]
        network.sources = [.init(id: "SRC", node: "B")]
        for number in 1..<count {
            let parent = number <= 20 ? "B" : "N\(number - 20)"
            network.nodes.append(.init(id: "N\(number)", nominalKilovolts: 20, kind: "mv_node"))
            network.lines.append(.init(id: "L\(number)", from: parent, to: "N\(number)"))
            network.switches.append(.init(id: "S\(number)", connects: .line, node: parent, element: "L\(number)"))
            if number <= 20 { network.feeders.append(.init(id: "F\(number)", busbar: "B", headLine: "L\(number)")) }
        }
        let graph = NetworkGraph(network)
        var times: [Double] = []
        var fed = 0
        for round in 0..<200 {
            var positions = graph.normalPositions
            positions[(round * 37) % positions.count] = .open
            let started = SystemClock.monotonicNanoseconds
            let topology = Topology(graph, positions: positions)
            times.append(Double(SystemClock.monotonicNanoseconds - started) / 1e6)
            fed += topology.energised.filter { $0 }.count
        }
        times.sort()
        return [
            ("nodes", "\(count)"), ("edges", "\(graph.edgeIDs.count)"), ("traces", "\(times.count)"),
            ("median_ms", "\((times[times.count / 2] * 1000).rounded() / 1000)"),
            ("p99_ms", "\((times[times.count * 99 / 100] * 1000).rounded() / 1000)"),
            ("energised_nodes_mean", "\(fed / times.count)"),
        ]
    }
}
