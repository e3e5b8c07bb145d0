internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

/// Base backups and archived WAL of the private cluster.
enum BackupCommands {
    /// Something that stands in the way, for whoever called.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    static func set(_ settings: Settings) throws -> BackupSet {
        let directory = settings.text("backup.directory")
        guard directory.hasPrefix("/") else {
            throw UsageError("backup.directory: expected a path from / on, got \"\(directory)\"")
        }
        return BackupSet(directory: directory)
    }

    // MARK: WAL

    static let archive = Command(
        "wal-archive", operands: "CLUSTER FILE", "put a segment of WAL into the archive: called by PostgreSQL",
        detail: """
            Writes FILE, compressed, to wal below the directory that the service was started with (backup.directory), and returns when it
            is on the disk. One that is there already must have the same bytes. Where it cannot be written and the disk of the database is
            90 % full, it is given up, and the file archive-gap beside the database says so: the service goes on.
            """
    ) { invocation in
        let cluster = try invocation.arguments.operand(0, "CLUSTER")
        let path = try invocation.arguments.operand(1, "FILE")
        let directory = try EmbeddedCluster.archive(ofClusterIn: cluster)
        guard !directory.isEmpty else { return .done }
        let name = URL(fileURLWithPath: path).lastPathComponent
        do {
            try put(path, "\(directory)/wal/\(name).gz")
        } catch {
            guard Disk.usedShare(path) ?? 0 >= 0.9 else { throw error }
            let line = "\(Timestamp(microseconds: SystemClock.nowMicroseconds)) \(name) \(error)\n"
            let gaps = "\(cluster)/archive-gap"
            let before = (try? String(contentsOfFile: gaps, encoding: .utf8)) ?? ""
            try (before + line).write(toFile: gaps, atomically: true, encoding: .utf8)
            complain("wal-archive: \(name) is given up, the disk is full: the archive has a gap: \(error)")
        }
        return .done
    }

    private static func put(_ path: String, _ target: String) throws {
        let bytes = try Compression.readFile(path, maximumBytes: 1 << 30)
        if FileManager.default.fileExists(atPath: target) {
            guard try Compression.readFile(target, maximumBytes: 1 << 30) == bytes else {
                throw Failure(
                    "\(target) is there already, with other content: another cluster archives to the same place")
            }
            return
        }
        let unfinished = "\(target).tmp"
        try Compression.writeFile(unfinished, bytes)
        guard rename(unfinished, target) == 0 else { throw Failure("\(target): \(String(cString: strerror(errno)))") }
        try Compression.sync(URL(fileURLWithPath: target).deletingLastPathComponent().path)
    }

    // MARK: Base backup

    static let make = Command(
        "backup", "make a base backup of the private cluster, and remove old ones",
        detail: """
            Goes to backup.directory, with the service's key and its settings, without the spool; verified (pg_verifybackup). WAL since then is
            archived there by the running service, so that restore can go to any moment. Base backups older than backup.keep_days are
            removed. backfeed-backup.timer calls it each night.
            """
    ) { invocation in
        let set = try set(invocation.settings)
        guard invocation.settings.text("database.url").isEmpty else {
            throw UsageError(
                "database.url names a database of your own: docs/installation.md says how that is backed up")
        }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard let cluster = database.cluster else { return .unavailable }
        if try EmbeddedCluster.archive(ofClusterIn: cluster.root) != set.directory {
            guard DataDirectoryLock.holder(invocation.dataDirectory) == nil else {
                throw Failure(
                    "the running service does not archive WAL to \(set.directory): set backup.directory in its settings, and start it again"
                )
            }
            try cluster.archive(to: set.directory)
        }
        let base = try make(set, cluster, invocation)
        let limit =
            Timestamp(microseconds: SystemClock.nowMicroseconds) - invocation.settings.number("backup.keep_days")
            * 86_400
        let gone = try set.prune(before: limit)
        say("base backup \(base.name) in \(set.directory), verified")
        if !gone.isEmpty { say("removed \(gone.joined(separator: ", "))") }
        if let first = set.bases().first.flatMap({ WALName($0.firstWAL) }), let gap = set.gap(from: first) {
            complain(
                "the archive has a gap at \(gap): restore goes only to moments before it, or behind the next base backup"
            )
        }
        return .done
    }

    private static func make(_ set: BackupSet, _ cluster: EmbeddedCluster, _ invocation: Invocation) throws
        -> BaseBackup
    {
        let files = FileManager.default
        let started = Timestamp(microseconds: SystemClock.nowMicroseconds)
        let name = started.description.prefix(19).replacing(":", with: "-") + "Z"
        let (folder, unfinished) = (set.folder(String(name)), set.folder("\(name).tmp"))
        try files.createDirectory(atPath: "\(set.directory)/base", withIntermediateDirectories: true)
        chmod("\(set.directory)/base", 0o700)
        // Remains of a backup that was interrupted.
        for item in try files.contentsOfDirectory(atPath: "\(set.directory)/base") where item.hasSuffix(".tmp") {
            try files.removeItem(atPath: set.folder(item))
        }
        try files.createDirectory(atPath: unfinished, withIntermediateDirectories: false)
        var connection = try PostgresConnection(cluster.conninfo)
        let known = try connection.query(
            "SELECT (SELECT system_identifier FROM pg_control_system()), number FROM backfeed_store.audit_head",
            as: "read state"
        ).first
        let binaries = try EmbeddedCluster.binaries()
        // Waits until the WAL that it needs is archived: without that it is no backup.
        try run(
            [
                "\(binaries)/pg_basebackup", "-d", cluster.conninfo, "-D", "\(unfinished)/data", "-X", "none", "-c",
                "fast",
                "--manifest-checksums=SHA256",
            ], log: "\(unfinished)/log")
        try run(["\(binaries)/pg_verifybackup", "-n", "-q", "\(unfinished)/data"], log: "\(unfinished)/log")
        let label = try String(contentsOfFile: "\(unfinished)/data/backup_label", encoding: .utf8)
        guard let first = label.split(separator: "(file ").dropFirst().first?.prefix(24), WALName(first) != nil else {
            throw Failure("the base backup does not say which WAL it begins with")
        }
        let beside = try copyFiles(to: "\(unfinished)/files", invocation)
        let base = BaseBackup(
            name: String(name), program: Program.version, startedAt: started,
            endedAt: Timestamp(microseconds: SystemClock.nowMicroseconds), firstWAL: String(first),
            systemIdentifier: known?[0] ?? "", auditNumber: known?[1].flatMap(Int64.init) ?? 0, files: beside.files,
            notIncluded: beside.others)
        try set.write(base, in: unfinished)
        try Compression.sync("\(unfinished)/backup.json")
        guard rename(unfinished, folder) == 0 else { throw Failure("\(folder): \(String(cString: strerror(errno)))") }
        try Compression.sync("\(set.directory)/base")
        return base
    }

    /// Keys and settings. The spool is not among them: what is in it is stored again by whoever finds it.
    private static func copyFiles(to folder: String, _ invocation: Invocation) throws -> (
        files: [String: String], others: [String]
    ) {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        var files: [String: String] = [:]
        let key = ServerKey.path(invocation.settings, dataDirectory: invocation.dataDirectory)
        let settings = invocation.arguments.text("config") ?? ProcessInfo.processInfo.environment["BACKFEED_CONFIG"]
        for (name, path) in [("curve-server.key", key), ("backfeed.toml", settings ?? "")]
        where !path.isEmpty && FileManager.default.fileExists(atPath: path) {
            try FileManager.default.copyItem(atPath: path, toPath: "\(folder)/\(name)")
            chmod("\(folder)/\(name)", 0o600)
            files[name] = URL(fileURLWithPath: path).standardizedFileURL.path
        }
        let others = ["http.tls_certificate", "http.tls_key"].map { invocation.settings.text($0) }.filter {
            !$0.isEmpty
        }
        return (files, others)
    }

    static func run(_ words: [String], log: String) throws {
        let code = try ChildProcess(words, outputPath: log).wait()
        guard code == 0 else {
            let said = ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").suffix(3)
            throw Failure("\(words[0]) ended with code \(code): \(said.joined(separator: "; "))")
        }
    }

    // MARK: Test

    static let test = Command(
        "backup test", "restore the newest base backup to a place of its own, and look whether it is whole",
        detail: """
            Below backup.directory, with all archived WAL: checks the audit log's chain, counts records and samples, and removes it again.
            backfeed-backup-test.timer calls it each month. A backup that nobody restored is a hope.
            """
    ) { invocation in
        let set = try set(invocation.settings)
        guard let base = set.bases().last else {
            complain("there is no base backup in \(set.directory)")
            return .negative
        }
        let folder = "\(set.directory)/test"
        let remove = {
            for path in [folder, EmbeddedCluster.home(for: "\(folder)/postgres")]
            where FileManager.default.fileExists(atPath: path) {
                try FileManager.default.removeItem(atPath: path)
            }
        }
        EmbeddedCluster.end(in: "\(folder)/postgres")
        try remove()
        let cluster = try RestoreCommand.recover(set, base, until: nil, dataDirectory: folder, endsWithUs: true)
        defer {
            cluster.stop()
            try? remove()
        }
        var connection = try PostgresConnection(cluster.conninfo)
        let check = try AuditLog.verify(&connection)
        let samples = try connection.query("SELECT count(*) FROM backfeed_store.sample", as: "count samples").first?[0]
        guard check.problem == nil, check.last ?? 0 >= base.auditNumber, let samples = samples.flatMap(Int64.init)
        else {
            complain(
                "\(base.name) is restored, but not whole: \(check.problem ?? "its audit log ends at \(check.last ?? 0), and had \(base.auditNumber)")"
            )
            return .negative
        }
        try set.write(
            BackupSet.Tested(
                at: Timestamp(microseconds: SystemClock.nowMicroseconds), base: base.name, auditRecords: check.count,
                samples: samples))
        say("\(base.name) can be restored: audit log intact (\(check.count) records), \(samples) samples")
        return .done
    }
}

/// How full a file system is.
enum Disk {
    /// 0 to 1, of what the user may use; `nil`: it cannot be asked.
    static func usedShare(_ path: String) -> Double? {
        var info = statvfs()
        guard statvfs(path, &info) == 0, info.f_blocks > 0 else { return nil }
        let used = Double(info.f_blocks - info.f_bfree)
        return used / max(1, used + Double(info.f_bavail))
    }
}
