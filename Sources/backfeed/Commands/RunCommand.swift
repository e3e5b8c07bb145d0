internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

enum RunCommand {
    static let run = Command(
        "run", "run the whole service in one process",
        detail: """
            Starts PostgreSQL (unless database.url is set), ingest, analyser, API and console, and prints one line
            beginning with "ready" on standard output when every part accepts work. SIGTERM or Ctrl-C stops it.
            """
    ) { invocation in
        let directory = invocation.dataDirectory
        try Service.checkEndpoints(invocation.settings)
        return try serve(invocation, directory, try DataDirectoryLock.take(directory)) { _, _ in nil }
    }

    static let demo = Command(
        "demo", "run, with the shipped network and a replay of its recorded day",
        detail: """
            The day is shifted so that it ends when the replay ends. Keeps its state in var/demo and starts it afresh each
            time; nothing outside this machine is needed. Settings are those of data/demo.toml unless --config names others.
            """,
        options: [
            Option("speed", "X", "seconds of the day a second (default 60; 1 to 3600)"),
            Option("from", "HH:MM", "time of day to start at (default 00:00)"),
        ], standardConfiguration: "data/demo.toml"
    ) { invocation in
        let speed = try invocation.arguments.number("speed", in: 1...3600) ?? 60
        let start = try startOfDay(invocation.arguments.text("from") ?? "00:00")
        let directory = invocation.arguments.text("data-dir") ?? "var/demo"
        let lock = try DataDirectoryLock.take(directory)
        if invocation.settings.text("database.url").isEmpty { try discardOldDemo(directory) }
        return try serve(invocation, directory, lock) { database, service in
            let source = "\(Resources.root)/data/semiurb"
            if service == nil {
                _ = try NetworkCommand.importDirectory(source, conninfo: database.conninfo, isQuiet: true)
                return nil
            }
            guard let service else { return nil }
            var plan = try ReplayPlan(directory: source, window: "day", seed: 20_260_101)
            plan.speed = speed
            plan.from = start
            plan.shiftsToNow = true
            let log = Log("demo")
            log.info("replaying a recorded day", ["speed": "\(speed)", "console": service.endpoints.http])
            var way = Replayer.Way(telemetry: service.endpoints.telemetry)
            way.control = service.endpoints.control
            let preparedWay = way
            let prepared = plan
            let stopping = Guarded(false)
            let thread = WorkerThread(name: "demo.replay") {
                do {
                    let sent = try Replayer.run(prepared, preparedWay, stop: { stopping.withLock { $0 } }) { _ in }
                    log.info("the recorded day has ended", ["samples": "\(sent.samples)"])
                } catch {
                    log.error("the replay ended", ["error": "\(error)"])
                }
            }
            return {
                stopping.withLock { $0 = true }
                thread.join()
            }
        }
    }

    /// Runs the service until a signal; starts it again when another network revision is imported.
    ///
    /// - Parameters:
    ///   - lock: on the data directory, held until the end.
    ///   - companion: called once before the service (to prepare the database) and once after its first start; returns what
    ///     must be called before it stops.
    private static func serve(
        _ invocation: Invocation, _ dataDirectory: String, _ lock: FileLock,
        companion: (Service.Database, Service?) throws -> (() -> Void)?
    ) throws -> ExitCode {
        defer { lock.release() }
        let database = try Service.Database.open(invocation.settings, dataDirectory: dataDirectory)
        defer { database.close(isOwner: true) }
        do {
            try database.cluster?.archive(to: invocation.settings.text("backup.directory"))
        } catch {
            // A disk for backups that is away must not keep the service: its health says so.
            Log("postgres").error("WAL cannot be archived", ["error": "\(error)"])
        }
        database.cluster?.supervise()
        let keeper = try DatabaseKeeper(
            conninfo: database.conninfo, owner: .this(dataDirectory), dataDirectory: dataDirectory)
        defer { keeper.stop() }
        _ = try companion(database, nil)
        let signal = Guarded<Int32?>(nil)
        let ended = Gate()
        _ = WorkerThread(name: "signals") {
            let number = ShutdownSignal.wait()
            signal.withLock { $0 = number }
            ended.open()
        }
        var service = try Service(
            settings: invocation.settings, conninfo: database.conninfo, cluster: database.cluster,
            dataDirectory: dataDirectory)
        say(service.readyLine)
        ServiceManager.ready()
        let farewell = try companion(database, service)
        // Short: a database that stands still must not keep this thread from saying that the service lives.
        var queries = Queries(conninfo: database.conninfo, deadlineMilliseconds: 5000)
        var accounts = Accounts(conninfo: database.conninfo, limits: invocation.settings.accountLimits)
        let healthFile = HealthFile(dataDirectory)
        while !ended.wait(milliseconds: 1000) {
            healthFile.write(service.problems)
            let stalled = service.stalledParts
            if stalled.isEmpty {
                ServiceManager.alive()
            } else {
                ServiceManager.status("hangs: \(stalled.joined(separator: ", "))")
                Log("service").error("a part hangs", ["parts": stalled.joined(separator: ",")])
            }
            service.endStreamsOfStrangers(&accounts)
            let isStale = keeper.takeStale()
            guard isStale || service.isOutdated(&queries) else { continue }
            Log("service").info(
                isStale
                    ? "the database was restored: starting the parts again"
                    : "a new network revision: starting the parts again")
            service.stop()
            guard let next = try restarted(invocation.settings, database, dataDirectory, unless: ended) else {
                ServiceManager.stopping()
                farewell?()
                return .done
            }
            service = next
        }
        ServiceManager.stopping()
        farewell?()
        service.stop()
        return .done
    }

    /// All parts once more, as soon as the database answers: it may go away just when a revision is taken over.
    ///
    /// - Returns: `nil` when the service is told to end before that.
    private static func restarted(
        _ settings: Settings, _ database: Service.Database, _ dataDirectory: String, unless ended: Gate
    ) throws -> Service? {
        while true {
            do {
                return try Service(
                    settings: settings, conninfo: database.conninfo, cluster: database.cluster,
                    dataDirectory: dataDirectory)
            } catch let error as StoreError where error.isRetriable {
                ServiceManager.alive()
                Log("service").error("the parts cannot start, trying again", ["error": "\(error)"])
                if ended.wait(milliseconds: 1000) { return nil }
            }
        }
    }

    private static func startOfDay(_ text: String) throws -> Double {
        let parts = text.split(separator: ":").compactMap { Int($0) }
        guard parts.count == 2, (0..<24).contains(parts[0]), (0..<60).contains(parts[1]) else {
            throw UsageError("--from: expected HH:MM, got \"\(text)\"")
        }
        return Double(parts[0] * 3600 + parts[1] * 60)
    }

    /// Only what an earlier demo made is removed: its marker says so.
    private static func discardOldDemo(_ directory: String) throws {
        let marker = "\(directory)/demo"
        let files = FileManager.default
        let cluster = EmbeddedCluster.home(for: "\(directory)/postgres")
        if files.fileExists(atPath: marker) {
            EmbeddedCluster.end(in: "\(directory)/postgres")
            // The lock is ours, and stays.
            let lock = DataDirectoryLock.path(directory)
            for item in try files.contentsOfDirectory(atPath: directory).map({ "\(directory)/\($0)" })
            where item != lock {
                try files.removeItem(atPath: item)
            }
            if files.fileExists(atPath: cluster) { try files.removeItem(atPath: cluster) }
        } else if files.fileExists(atPath: cluster) {
            throw UsageError("\(directory) holds a database that no demo made: choose another --data-dir")
        }
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try "made by backfeed demo; removed by the next one\n".write(toFile: marker, atomically: true, encoding: .utf8)
    }
}

enum MigrateCommand {
    static let command = Command(
        "migrate", "bring the database to this program's version",
        detail: "Safe to run twice, and from two machines at once.",
        options: [Option("status", nil, "only say which migrations are applied")]
    ) { invocation in
        let url = invocation.settings.text("database.url")
        let cluster =
            url.isEmpty
            ? try EmbeddedCluster(directory: "\(invocation.dataDirectory)/postgres", archiver: Resources.program) : nil
        defer { cluster?.stop() }
        let conninfo = cluster?.conninfo ?? url
        let directory = "\(Resources.root)/Migrations"
        if invocation.arguments.has("status") {
            let list = try Migrator.status(conninfo, directory: directory)
            say(table(["migration", "state"], list.map { [$0.name, $0.applied ? "applied" : "missing"] }))
            return list.allSatisfy(\.applied) ? .done : .negative
        }
        let done = try Migrator.migrate(conninfo, directory: directory, protecting: cluster != nil)
        say(done.isEmpty ? "nothing to do" : done.map { "applied \($0.name)" }.joined(separator: "\n"))
        return .done
    }
}

enum SettingsCommand {
    static let command = Command(
        "settings", "list every setting with its default, unit and source",
        options: [Option("format", "table|markdown", "how to print it (default table)")]
    ) { invocation in
        let format = try invocation.arguments.choice("format", ["table", "markdown"], otherwise: "table")
        let rows = SettingsCatalogue.all.map { item in
            [
                item.key, Masking.text(invocation.settings.text(item.key)), item.unit, item.perFeeder ? "yes" : "",
                item.summary,
                item.source,
            ]
        }
        let header = ["setting", "value", "unit", "per feeder", "what", "source of the default"]
        if format == "markdown" {
            say("| \(header.joined(separator: " | ")) |\n|\(String(repeating: "---|", count: header.count))")
            for row in rows {
                say("| `\(row[0])` | \(row[1].isEmpty ? "" : "`\(row[1])`") | \(row[2...].joined(separator: " | ")) |")
            }
        } else {
            say(table(header, rows))
        }
        return .done
    }
}
