internal import Foundation
internal import Glibc
internal import ServiceKit

/// A private PostgreSQL below the data directory: on a Unix socket only, run by an unprivileged user when we are root.
///
/// Whoever uses it holds a shared lock. Its owner, the service, stops it at its end; a command does so only where nobody else
/// uses it and a program of ours started it. One that a killed service left behind is taken over.
public final class EmbeddedCluster: Sendable {
    /// As the cluster's owner, who may do anything: for migrations.
    public let conninfo: String
    /// As the role that everything else uses: it may not touch the audit log. There is one after a migration that protects.
    public let serviceConninfo: String
    private struct Server: Sendable {
        var processID: Int32
        /// `nil`: it was running before us.
        var child: ChildProcess?
    }

    private let command: [String]
    private let data: String
    private let logPath: String
    /// Where data, log and socket are.
    public let root: String

    private let server: Guarded<Server>
    private let stopped = Gate()
    private let supervisor = Guarded<WorkerThread?>(nil)
    private let log = Log("postgres")
    /// Shared: used. Exclusive: being stopped.
    private let use: FileLock
    /// Holds the number of the server that a program of ours started.
    private let started: String

    static let userWhenRoot = "postgres"
    /// ms that another program may take to start or stop the server.
    private static let patience = 90_000

    /// - Parameters:
    ///   - directory: for data, log and socket; made when missing.
    ///   - settings: added to the cluster's configuration at each start.
    ///   - archiver: the program that archives WAL (`wal-archive`), by its path; `nil`: nothing is archived.
    ///   - recovers: it is a restored one, which first reads archived WAL: that may take hours, and a mistake is final.
    ///   - endsWithUs: shut down when the thread that starts it ends, whatever ends it. (A service's goes on: the next one takes
    ///     it over.)
    public init(
        directory: String, settings: [String: String] = [:], archiver: String? = nil, recovers: Bool = false,
        endsWithUs: Bool = false
    ) throws {
        let binaries = try Self.binaries()
        let files = FileManager.default
        let root = Self.home(for: directory)
        self.root = root
        let data = "\(root)/data"
        var socket = root
        // sun_path holds 107 bytes, and PostgreSQL's own part takes 21.
        if socket.utf8.count > 80 {
            socket =
                "/tmp/backfeed-"
                + String(
                    root.utf8.reduce(UInt64(14695981039346656037)) { ($0 ^ UInt64($1)) &* 1099511628211 }, radix: 16)
        }
        for path in [root, socket] { try files.createDirectory(atPath: path, withIntermediateDirectories: true) }
        let ending = endsWithUs ? ["--pdeathsig=INT"] : []
        var prefix: [String] = endsWithUs ? ["setpriv"] + ending + ["--"] : []
        if geteuid() == 0 {
            guard let user = getpwnam(Self.userWhenRoot) else {
                throw StoreError(
                    .setUpFailed, "start PostgreSQL",
                    message:
                        "PostgreSQL refuses to run as root and there is no user \(Self.userWhenRoot): install postgresql-15"
                )
            }
            for path in [root, socket] { chown(path, user.pointee.pw_uid, user.pointee.pw_gid) }
            let owner = ["--reuid=\(user.pointee.pw_uid)", "--regid=\(user.pointee.pw_gid)", "--clear-groups"]
            prefix = ["setpriv"] + owner + ending + ["--"]
        }
        chmod(root, 0o750)
        use = try FileLock(path: "\(root)/use.lock")
        guard use.take(.shared, within: Self.patience) else {
            throw StoreError(.setUpFailed, "start PostgreSQL", message: "another program is stopping it, for too long")
        }
        // Two that start it at once would each take the other's for its own.
        let starting = try FileLock(path: "\(root)/start.lock")
        guard starting.take(.exclusive, within: Self.patience) else {
            throw StoreError(.setUpFailed, "start PostgreSQL", message: "another program is starting it, for too long")
        }
        defer { starting.release() }
        started = "\(root)/started"
        conninfo = "host=\(socket) port=5432 user=backfeed dbname=postgres application_name=backfeed"
        serviceConninfo = conninfo.replacing("user=backfeed", with: "user=\(Migrator.serviceRole)")

        if !files.fileExists(atPath: "\(data)/PG_VERSION") {
            log.info("making a cluster", ["directory": data])
            let code = try ChildProcess(
                prefix + [
                    "\(binaries)/initdb", "-D", data, "-U", "backfeed", "-A", "peer", "--encoding=UTF8", "--locale=C",
                    "--no-instructions", "--data-checksums",
                ], outputPath: "\(root)/initdb.log"
            ).wait()
            guard code == 0 else {
                throw StoreError(
                    .setUpFailed, "initdb",
                    message:
                        "exit code \(code); see \(root)/initdb.log. As root, every directory above must be open to user \(Self.userWhenRoot)"
                )
            }
        }
        // At each start: a cluster of an earlier version lets nobody make a base backup.
        try "local all all peer map=owner\nlocal replication all peer map=owner\n".write(
            toFile: "\(data)/pg_hba.conf", atomically: false, encoding: .utf8)
        // Only whoever runs the service, and the cluster's own user, get in: both by the kernel's word. At each start,
        // because an older cluster does not know the role of the service.
        let people = Set([Self.userWhenRoot, String(cString: getpwuid(geteuid()).pointee.pw_name), "root"])
        let map = people.sorted().flatMap { person in
            ["backfeed", Migrator.serviceRole].map { "owner \(person) \($0)\n" }
        }.joined()
        try map.write(toFile: "\(data)/pg_ident.conf", atomically: false, encoding: .utf8)
        var arguments = prefix + ["\(binaries)/postgres", "-D", data, "-k", socket, "-c", "listen_addresses="]
        let all = [
            "shared_buffers": "256MB", "max_wal_size": "4GB", "wal_compression": "lz4", "jit": "off",
            "max_connections": "60", "logging_collector": "off", "timezone": "UTC", "log_timezone": "UTC",
        ].merging(Self.archiving(root, by: archiver)) { $1 }.merging(settings) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { arguments += ["-c", "\(key)=\(value)"] }
        logPath = "\(root)/postgres.log"
        command = arguments
        self.data = data
        if let running = Self.runningProcess(data) {
            log.info("using the cluster that is running", ["pid": "\(running)"])
            server = Guarded(Server(processID: running))
        } else {
            Self.removeStaleLock(data, log)
            let process = try ChildProcess(command, outputPath: logPath)
            server = Guarded(Server(processID: process.processID, child: process))
            note(process)
        }
        try waitUntilReady(logPath, recovers: recovers)
    }

    /// Archiving is on from the start, because switching it on takes a restart; without a directory it does nothing.
    private static func archiving(_ root: String, by archiver: String?) -> [String: String] {
        guard let archiver else { return ["archive_mode": "off"] }
        let quoted = { (path: String) in "'\(path.replacing("'", with: "'\\''").replacing("%", with: "%%"))'" }
        let command = "test ! -s \(quoted("\(root)/backup")) || \(quoted(archiver)) wal-archive \(quoted(root)) %p"
        // With the timeout, what has come is in the archive a minute later also in quiet times.
        return ["archive_mode": "on", "archive_command": command, "archive_timeout": "60"]
    }

    /// Where WAL goes from now on; empty: nowhere. Makes the folder, for PostgreSQL's user.
    public func archive(to directory: String) throws {
        if !directory.isEmpty {
            let folder = "\(directory)/wal"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Self.give(folder)
        }
        try directory.write(toFile: "\(root)/backup", atomically: true, encoding: .utf8)
        chmod("\(root)/backup", 0o644)
    }

    /// Where WAL goes now; empty: nowhere.
    public static func archive(ofClusterIn root: String) throws -> String {
        let path = "\(root)/backup"
        guard FileManager.default.fileExists(atPath: path) else { return "" }
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    /// WAL segments that wait to be archived; `nil`: that cannot be seen from here.
    public var waitingSegments: Int? {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(data)/pg_wal/archive_status")).map { names in
            names.count { $0.hasSuffix(".ready") }
        }
    }

    /// Gives a folder, with all that is in it, to the user that PostgreSQL runs as, and to nobody else.
    public static func give(_ folder: String) throws {
        chmod(folder, 0o700)
        guard geteuid() == 0, let user = getpwnam(userWhenRoot) else { return }
        let code = try ChildProcess(["chown", "-R", "\(user.pointee.pw_uid):\(user.pointee.pw_gid)", folder]).wait()
        guard code == 0 else {
            throw StoreError(.setUpFailed, "give folder", message: "\(folder) could not be given to \(userWhenRoot)")
        }
    }

    /// Remembers whose the server is. Without the note nobody stops it, which is the lesser evil.
    private func note(_ process: ChildProcess) {
        try? "\(process.processID)\n".write(toFile: started, atomically: true, encoding: .utf8)
    }

    /// Whether a program of ours started this server.
    private func isOurs(_ process: Int32) -> Bool {
        (try? String(contentsOfFile: started, encoding: .utf8)).flatMap { Int32($0.dropLast()) } == process
    }

    /// From now on until ``stop()``, starts the server again when it has ended and nobody asked it to.
    public func supervise() {
        let worker = WorkerThread(name: "postgres") { [self] in watch() }
        supervisor.withLock { $0 = worker }
    }

    private func watch() {
        while !stopped.wait(milliseconds: 500) {
            let now = server.withLock { $0 }
            let hasEnded = now.child.map { $0.poll() != nil } ?? (Self.runningProcess(data) != now.processID)
            guard hasEnded else { continue }
            // An end is told once; a start that fails is tried again.
            server.withLock { $0.child = nil }
            log.error("the server has ended: starting it again", ["pid": "\(now.processID)", "log": logPath])
            do {
                // What it leaves behind when it was killed keeps the memory for a moment; then the next try succeeds.
                Self.removeStaleLock(data, log)
                let process = try ChildProcess(command, outputPath: logPath)
                server.withLock {
                    $0.processID = process.processID
                    $0.child = process
                }
                note(process)
            } catch {
                log.error("the server could not be started", ["error": "\(error)"])
            }
        }
    }

    /// Where the cluster of a directory lives: there, unless we are root and the way to it is closed to PostgreSQL's user
    /// (a checkout below /root); then below /var/lib/backfeed.
    public static func home(for directory: String) -> String {
        let path = URL(fileURLWithPath: directory).standardizedFileURL.path
        guard geteuid() == 0, let user = getpwnam(userWhenRoot) else { return path }
        var folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        while true {
            var info = stat()
            if stat(folder.path, &info) == 0, info.st_mode & 0o001 == 0, info.st_uid != user.pointee.pw_uid {
                let name = String(
                    path.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 },
                    radix: 16)
                return "/var/lib/backfeed/\(name)"
            }
            if folder.path == "/" { return path }
            folder.deleteLastPathComponent()
        }
    }

    private func waitUntilReady(_ logPath: String, recovers: Bool) throws {
        var last = ""
        var starts = 0
        let seconds = recovers ? 86_400 : 60
        for _ in 0..<10 * seconds {
            do {
                var connection = try PostgresConnection(conninfo)
                try connection.query("SELECT 1", as: "probe")
                return
            } catch {
                last = error.debugDescription
            }
            if let code = server.withLock({ $0 }).child?.poll() {
                // What a killed server leaves behind (its backends, their shared memory) is gone after a moment.
                starts += 1
                guard starts < 10, !recovers else {
                    let said = (try? String(contentsOfFile: logPath, encoding: .utf8))?.split(separator: "\n")
                    let fatal = said?.last { $0.contains("FATAL") }.map { ": \($0)" } ?? ""
                    throw StoreError(
                        .setUpFailed, "start PostgreSQL", message: "it ended with code \(code)\(fatal); see \(logPath)")
                }
                SystemClock.pause(milliseconds: 400)
                let again = try ChildProcess(command, outputPath: logPath)
                server.withLock { $0 = Server(processID: again.processID, child: again) }
                note(again)
            }
            SystemClock.pause(milliseconds: 100)
        }
        throw StoreError(
            .setUpFailed, "start PostgreSQL", message: "not ready after \(seconds) s: \(last); see \(logPath)")
    }

    /// This program does not use it any more. Fast shutdown (open transactions are rolled back) where nobody else does and it is
    /// ours; waits for the end.
    ///
    /// - Parameter isOwner: a service ends: after ten seconds also where commands are still using it.
    public func stop(isOwner: Bool = false) {
        stopped.open()
        supervisor.withLock { $0 }?.join()
        defer { use.release() }
        let last = server.withLock { $0 }
        let isAlone = use.take(.exclusive, within: isOwner ? 10_000 : 0)
        guard isAlone || isOwner else { return log.info("others use the cluster: it goes on") }
        if let child = last.child {
            guard child.poll() == nil else { return }
            child.send(signal: SIGINT)
            child.wait()
        } else if Self.runningProcess(data) == last.processID, isOurs(last.processID) {
            kill(last.processID, SIGINT)
            for _ in 0..<300 where Self.isServer(last.processID, of: data) { SystemClock.pause(milliseconds: 100) }
        }
    }

    /// Ends a server that runs on the cluster of a directory, whoever started it, at once: its data are about to be removed.
    public static func end(in directory: String) {
        let data = "\(home(for: directory))/data"
        guard let process = runningProcess(data) else { return }
        kill(process, SIGQUIT)
        for _ in 0..<100 where isServer(process, of: data) { SystemClock.pause(milliseconds: 50) }
    }

    /// The server of this data directory, if it runs. The number alone proves nothing: it may be another program's by now.
    private static func runningProcess(_ data: String) -> Int32? {
        guard let number = recordedProcess(data), isServer(number, of: data) else { return nil }
        return number
    }

    private static func recordedProcess(_ data: String) -> Int32? {
        (try? String(contentsOfFile: "\(data)/postmaster.pid", encoding: .utf8))?.split(separator: "\n").first.flatMap {
            Int32($0)
        }
    }

    private static func isServer(_ number: Int32, of data: String) -> Bool {
        let words = (FileManager.default.contents(atPath: "/proc/\(number)/cmdline") ?? Data()).split(separator: 0).map
        {
            String(decoding: $0, as: UTF8.self)
        }
        guard let program = words.first, program.split(separator: "/").last == "postgres" else { return false }
        return words.contains(data) || isIn(data, "\(number)")
    }

    /// Whether a process stands in the data directory, as PostgreSQL's own do.
    private static func isIn(_ data: String, _ process: String) -> Bool {
        guard let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd") else {
            return false
        }
        return place == URL(fileURLWithPath: data).resolvingSymlinksInPath().path
    }

    /// PostgreSQL does not start while the number in its lock file is that of any process of its user. Where that is
    /// another program, and none is left of the server that wrote it, the file is removed.
    private static func removeStaleLock(_ data: String, _ log: Log) {
        guard let number = recordedProcess(data), number > 0, kill(number, 0) == 0 || errno == EPERM,
            !isServer(number, of: data)
        else { return }
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        guard !processes.contains(where: { Int32($0) != nil && isIn(data, $0) }) else { return }
        log.warning("the lock file of the server names another program: removed", ["pid": "\(number)"])
        unlink("\(data)/postmaster.pid")
    }

    /// Folder of PostgreSQL's programs, of the newest version there is.
    public static func binaries() throws -> String {
        let installed = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        for version in installed.compactMap(Int.init).sorted(by: >) {
            let path = "/usr/lib/postgresql/\(version)/bin"
            if access("\(path)/initdb", X_OK) == 0 { return path }
        }
        throw StoreError(
            .setUpFailed, "start PostgreSQL",
            message:
                "no PostgreSQL server in /usr/lib/postgresql: run scripts/install-dependencies, or set database.url")
    }
}
