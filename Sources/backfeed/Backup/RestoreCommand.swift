internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

/// From a base backup and archived WAL to a database as it was at a moment.
enum RestoreCommand {
    static let command = Command(
        "restore", operands: "DIRECTORY", "restore a private cluster, into a data directory that is empty",
        detail: """
            DIRECTORY is a backup.directory. Without --until as far as the archive reaches. Afterwards the safety register is not declared, switch
            positions are to be confirmed (backfeed switches confirm), approvals and proposals are void, and sessions have ended; events go on
            with numbers that were never given. Settings come to restored.toml in the data directory; nothing is started.
            """,
        options: [
            Option("until", "TIME", "the moment, as 2026-06-21T11:00:00Z: what was committed until then"),
            Option("base", "NAME", "a base backup by its name (default: the newest that ended before the moment)"),
            Option(
                "old-data-dir", "DIR",
                "data directory of the database as it was, to name keys and accounts revoked since"),
        ]
    ) { invocation in
        let set = BackupSet(
            directory: URL(fileURLWithPath: try invocation.arguments.operand(0, "DIRECTORY")).standardizedFileURL.path)
        let until = try invocation.time("until")
        let all = set.bases()
        guard !all.isEmpty else { throw UsageError("there is no base backup in \(set.directory)") }
        let wanted = invocation.arguments.text("base")
        let fitting = all.last { base in wanted.map { $0 == base.name } ?? until.map { base.endedAt <= $0 } ?? true }
        guard let base = fitting, until.map({ base.endedAt <= $0 }) ?? true else {
            throw UsageError(
                wanted.map { "--base: there is no \($0) that ended before that moment" }
                    ?? "--until: the oldest base backup ended at \(all[0].endedAt)")
        }
        if until == nil, let first = WALName(base.firstWAL), let gap = set.gap(from: first) {
            throw BackupCommands.Failure(
                "the archive has a gap at \(gap): give --until, a moment before it, or --base, a base backup behind it")
        }
        try refuseUnlessEmpty(invocation.dataDirectory)
        let lock = try DataDirectoryLock.take(invocation.dataDirectory)
        defer { lock.release() }
        let cluster = try recover(set, base, until: until, dataDirectory: invocation.dataDirectory)
        cluster.stop(isOwner: true)
        try putFiles(set, base, invocation)
        // As a start would: migrated, and from now on with its own settings.
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close(isOwner: true) }
        let moment = until?.description ?? "the end of the archive"
        var connection = try PostgresConnection(database.conninfo)
        try Restoration.declare(
            reason: "restored by command to \(moment), from base backup \(base.name)", by: NSUserName(),
            until: moment, base: base.name, &connection)
        var mark = ServiceLock(conninfo: database.conninfo, owner: .this(invocation.dataDirectory))
        try SeenFile(invocation.dataDirectory).write(SeenState(state: try mark.mark(), isFinal: true))
        say("restored to \(moment), from base backup \(base.name)")
        try tellOfRevoked(invocation, &connection)
        say(
            "next: start the service; declare the safety register; confirm switch positions (backfeed switches confirm); validate and approve plans anew"
        )
        return .done
    }

    static let declare = Command(
        "restore declare", "say that the database was restored by other means, and cannot have noticed",
        detail: """
            A copy of the whole machine, data directory and all, looks to the service as if no time had passed. This has the same consequences
            as a restore that is noticed. Run it while the service is stopped.
            """, options: [Option("reason", "TEXT", "what was done")]
    ) { invocation in
        guard let reason = invocation.arguments.text("reason"), !reason.isEmpty else {
            throw UsageError("--reason is missing")
        }
        let lock = try DataDirectoryLock.take(invocation.dataDirectory)
        defer { lock.release() }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var connection = try PostgresConnection(database.conninfo)
        try Restoration.declare(reason: reason, by: NSUserName(), &connection)
        say("declared: register, positions, approvals, proposals and sessions no longer count")
        return .done
    }

    private static func refuseUnlessEmpty(_ directory: String) throws {
        let there = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
            $0 != "service.lock"
        }
        let cluster = EmbeddedCluster.home(for: "\(directory)/postgres")
        guard there.isEmpty, !FileManager.default.fileExists(atPath: "\(cluster)/data") else {
            throw UsageError("--data-dir: \(directory) is not empty: move away what is there (it is never overwritten)")
        }
    }

    /// Copies the base backup and has PostgreSQL read the WAL. The cluster runs then, and takes writes.
    static func recover(
        _ set: BackupSet, _ base: BaseBackup, until: Timestamp?, dataDirectory: String, endsWithUs: Bool = false
    ) throws -> EmbeddedCluster {
        let root = EmbeddedCluster.home(for: "\(dataDirectory)/postgres")
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let data = "\(root)/data"
        try BackupCommands.run(["cp", "-a", "\(set.folder(base.name))/data", data], log: "\(root)/restore.log")
        try "".write(toFile: "\(data)/recovery.signal", atomically: false, encoding: .utf8)
        try EmbeddedCluster.give(data)
        let folder = set.wal.replacing("'", with: "'\\''").replacing("%", with: "%%")
        var settings = [
            "restore_command": "gzip -dc '\(folder)/%f.gz' > \"%p\"", "recovery_target_action": "promote",
            "recovery_target_timeline": "latest",
        ]
        // Without an offset in digits PostgreSQL refuses it: Z is an abbreviation, which it does not know that early.
        if let until { settings["recovery_target_time"] = until.description.replacing("Z", with: "+00") }
        Log("postgres").info("restoring", ["base": base.name, "until": until?.description ?? "end of the archive"])
        return try EmbeddedCluster(
            directory: "\(dataDirectory)/postgres", settings: settings, recovers: true, endsWithUs: endsWithUs)
    }

    private static func putFiles(_ set: BackupSet, _ base: BaseBackup, _ invocation: Invocation) throws {
        let files = "\(set.folder(base.name))/files"
        let key = ServerKey.path(invocation.settings, dataDirectory: invocation.dataDirectory)
        let places = [("curve-server.key", key), ("backfeed.toml", "\(invocation.dataDirectory)/restored.toml")]
        for (name, path) in places where FileManager.default.fileExists(atPath: "\(files)/\(name)") {
            guard !FileManager.default.fileExists(atPath: path) else {
                say("\(path) is there and stays; the one of the backup is \(files)/\(name)")
                continue
            }
            try FileManager.default.copyItem(atPath: "\(files)/\(name)", toPath: path)
        }
        for path in base.notIncluded where !FileManager.default.fileExists(atPath: path) {
            say("not in the backup, and missing here: \(path)")
        }
    }

    /// Keys, tokens and accounts that were revoked after the moment are valid again.
    private static func tellOfRevoked(_ invocation: Invocation, _ connection: inout PostgresConnection) throws {
        let end = try connection.query("SELECT number FROM backfeed_store.audit_head", as: "read end").first?[0] ?? "0"
        guard let old = invocation.arguments.text("old-data-dir") else {
            return say(
                "keys, tokens and accounts that were revoked after that moment are valid again: look at backfeed access list, and revoke them anew"
            )
        }
        let cluster = try EmbeddedCluster(directory: "\(old)/postgres")
        defer { cluster.stop() }
        var before = try PostgresConnection(cluster.conninfo)
        // Records of the two logs are the same up to where they part.
        let revoked = try before.query(
            """
            SELECT number, recorded_at, action, subject, actor FROM backfeed_store.audit_record \
            WHERE action LIKE '%revoked%' ORDER BY number
            """, as: "read old log")
        let ours = Set(
            try connection.query(
                "SELECT digest FROM backfeed_store.audit_record WHERE number <= $1", [end], as: "read log"
            ).compactMap { $0[0] })
        var parted: Int64 = 0
        for row in try before.query(
            "SELECT number, digest FROM backfeed_store.audit_record ORDER BY number", as: "read old log")
        {
            guard let number = row[0].flatMap(Int64.init), let digest = row[1], ours.contains(digest) else { break }
            parted = number
        }
        let since = revoked.filter { ($0[0].flatMap(Int64.init) ?? 0) > parted }
        for row in since {
            say(
                "revoked since: \(row[3] ?? "?") (\(row[2] ?? "?") by \(row[4] ?? "?") at \(row[1] ?? "?")): if it is valid again, revoke it anew"
            )
        }
        if since.isEmpty { say("nothing was revoked after that moment") }
    }
}
