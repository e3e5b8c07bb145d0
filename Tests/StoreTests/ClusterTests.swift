import Foundation
import GridModel
import ServiceKit
import Store
import TestSupport
import Testing

/// Ownership of a private PostgreSQL: whose it is, and who stops it.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ClusterTests {
    private static func folder() -> String { "/tmp/backfeed-cluster-\(SystemClock.nowMicroseconds)" }

    private static func answers(_ cluster: EmbeddedCluster) -> Bool {
        guard var connection = try? PostgresConnection(cluster.conninfo) else { return false }
        return (try? connection.query("SELECT 1", as: "ask")) != nil
    }

    private static func process(_ folder: String) throws -> Int32? {
        let text = try String(contentsOfFile: "\(folder)/data/postmaster.pid", encoding: .utf8)
        return text.split(separator: "\n").first.flatMap { Int32($0) }
    }

    @Test func theLastUserEndsIt() throws {
        let folder = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let first = try EmbeddedCluster(directory: folder, settings: ["fsync": "off"])
        let second = try EmbeddedCluster(directory: folder)
        // The one that started it is stopped first.
        first.stop()
        #expect(Self.answers(second))
        let process = try #require(try Self.process(folder))
        second.stop()
        #expect(!Self.answers(second))

        // A server that somebody else started is never stopped by us.
        let own = try EmbeddedCluster(directory: folder, settings: ["fsync": "off"])
        try "\(process)\n".write(toFile: "\(folder)/started", atomically: true, encoding: .utf8)
        let guest = try EmbeddedCluster(directory: folder)
        guest.stop()
        #expect(Self.answers(guest))
        own.stop()
        #expect(!Self.answers(own))
    }

    /// The number is that of another PostgreSQL of the same user: to PostgreSQL itself a reason not to start.
    @Test func aLockFileThatNamesAnotherProgramDoesNotStopTheStart() throws {
        let folder = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try EmbeddedCluster(directory: folder, settings: ["fsync": "off"]).stop()
        let other = try TestCluster.shared.get()
        let number = try #require(
            try PostgresConnection.first(
                "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)", other.conninfo))
        try "\(number)\n\(folder)/data\n1700000000\n5432\n\(folder)\n\n  5432001         0\nready\n".write(
            toFile: "\(folder)/data/postmaster.pid", atomically: false, encoding: .utf8)
        let cluster = try EmbeddedCluster(directory: folder, settings: ["fsync": "off"])
        #expect(Self.answers(cluster) && Self.answers(other))
        // As a start that finds the number of another program in the place of its own server's would.
        EmbeddedCluster.end(in: folder)
        #expect(!Self.answers(cluster) && Self.answers(other))
        cluster.stop()
    }

    @Test func aDatabaseBelongsToOneServiceAndSaysWhose() throws {
        let conninfo = try TestCluster.migrated()
        let now = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast
        var first = ServiceLock(
            conninfo: conninfo, owner: ServiceOwner(process: 1, host: "one", since: now, directory: "/a"))
        var second = ServiceLock(
            conninfo: conninfo, owner: ServiceOwner(process: 2, host: "two", since: now, directory: "/b"))
        #expect(try first.take() == nil && first.take() == nil)
        #expect(try first.mark().mark == 1 && first.mark().mark == 2)
        let holder = try #require(try second.take())
        #expect(holder == "process 1 on one, since 2026-06-21T08:00:00Z, data directory /a")
        // The connection is lost: who comes first has it, and the other one is told.
        var admin = try PostgresConnection(conninfo)
        try admin.query(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7316004",
            as: "cut off")
        #expect(throws: StoreError.self) { try first.take() }
        #expect(try second.take() == nil)
        #expect(try second.mark().mark == 3)
        #expect(try first.take()?.hasPrefix("process 2 on two") == true)
    }

    @Test func aFileLockEndsWithItsHolder() throws {
        let path = Self.folder()
        defer { unlink(path) }
        var holder: FileLock? = try FileLock(path: path)
        let other = try FileLock(path: path)
        #expect(holder?.take(.exclusive) == true && !other.take(.shared))
        holder?.note = "mine"
        #expect(other.note == "mine")
        holder = nil
        #expect(other.take(.exclusive, within: 1000))
    }
}

extension PostgresConnection {
    fileprivate static func first(_ sql: String, _ conninfo: String) throws -> String? {
        var connection = try PostgresConnection(conninfo)
        return try connection.query(sql, as: "ask").first?[0]
    }
}
