internal import Foundation
internal import Glibc
internal import ServiceKit

/// A private PostgreSQL below the data directory: on a Unix socket only, run by an unprivileged user when we are root,
/// stopped with us. One that a killed service left behind is taken over.
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

    private let server: Guarded<Server>
    private let stopped = Gate()
    private let supervisor = Guarded<WorkerThread?>(nil)
    private let log = Log("postgres")
    /// False when the cluster was running before: somebody else stops it.
    public var isOwn: Bool { server.withLock { $0.child != nil } }

    static let userWhenRoot = "postgres"

    /// - Parameters:
    ///   - directory: for data, log and socket; made when missing.
    ///   - settings: added to the cluster's configuration at each start.
    ///   - endsWithUs: shut down when the thread that starts it ends, whatever ends it. (A service's goes on: the next one takes
    ///     it over.)
    public init(directory: String, settings: [String: String] = [:], endsWithUs: Bool = false) throws {
        let binaries = try Self.findBinaries()
        let files = FileManager.default
        let root = Self.home(for: directory)
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
        conninfo = "host=\(socket) port=5432 user=backfeed dbname=postgres application_name=backfeed"
        serviceConninfo = conninfo.replacing("user=backfeed", with: "user=\(Migrator.serviceRole)")

        if !files.fileExists(atPath: "\(data)/PG_VERSION") {
            log.info("making a cluster", ["directory": data])
            let code = try ChildProcess(
                prefix + [
                    "\(binaries)/initdb", "-D", data, "-U", "backfeed", "-A", "peer", "--encoding=UTF8", "--locale=C",
                    "--no-instructions",
                ], outputPath: "\(root)/initdb.log"
            ).wait()
            guard code == 0 else {
                throw StoreError(
                    .setUpFailed, "initdb",
                    message:
                        "exit code \(code); see \(root)/initdb.log. As root, every directory above must be open to user \(Self.userWhenRoot)"
                )
            }
            try "local all all peer map=owner\n".write(
                toFile: "\(data)/pg_hba.conf", atomically: false, encoding: .utf8)
        }
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
        ].merging(settings) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { arguments += ["-c", "\(key)=\(value)"] }
        logPath = "\(root)/postgres.log"
        command = arguments
        self.data = data
        if let running = Self.runningProcess(data) {
            log.info("using the cluster that is running", ["pid": "\(running)"])
            server = Guarded(Server(processID: running))
        } else {
            let process = try ChildProcess(command, outputPath: logPath)
            server = Guarded(Server(processID: process.processID, child: process))
        }
        try waitUntilReady(logPath)
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
                let process = try ChildProcess(command, outputPath: logPath)
                server.withLock {
                    $0.processID = process.processID
                    $0.child = process
                }
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

    private func waitUntilReady(_ logPath: String) throws {
        var last = ""
        var starts = 0
        for _ in 0..<600 {
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
                guard starts < 10 else {
                    throw StoreError(
                        .setUpFailed, "start PostgreSQL", message: "it ended with code \(code); see \(logPath)")
                }
                SystemClock.pause(milliseconds: 400)
                let again = try ChildProcess(command, outputPath: logPath)
                server.withLock { $0 = Server(processID: again.processID, child: again) }
            }
            SystemClock.pause(milliseconds: 100)
        }
        throw StoreError(.setUpFailed, "start PostgreSQL", message: "not ready after 60 s: \(last); see \(logPath)")
    }

    /// Fast shutdown: open transactions are rolled back. Waits for the end.
    public func stop() {
        stopped.open()
        supervisor.withLock { $0 }?.join()
        let last = server.withLock { $0 }
        kill(last.processID, SIGINT)
        if let child = last.child {
            child.wait()
        } else {
            for _ in 0..<300 where kill(last.processID, 0) == 0 { SystemClock.pause(milliseconds: 100) }
        }
    }

    private static func runningProcess(_ data: String) -> Int32? {
        guard let text = try? String(contentsOfFile: "\(data)/postmaster.pid", encoding: .utf8),
            let first = text.split(separator: "\n").first, let number = Int32(first), kill(number, 0) == 0,
            let command = try? String(contentsOfFile: "/proc/\(number)/cmdline", encoding: .utf8),
            command.contains("postgres")
        else { return nil }
        return number
    }

    private static func findBinaries() throws -> String {
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
