internal import Foundation

/// Applies `Migrations/NNNN_name.sql`: forward only, one transaction each, safe from two places at once.
public enum Migrator {
    public struct Migration: Sendable, Equatable {
        public let number: Int
        public let name: String
        public let applied: Bool
    }

    /// Name of the role that the service has in its private cluster.
    public static let serviceRole = "backfeed_service"

    /// - Parameters:
    ///   - directory: where the SQL files are.
    ///   - protecting: gives the audit log to an owner that nobody can be, and the rest to ``serviceRole``: for a cluster
    ///     of our own, as its superuser.
    /// - Returns: the migrations that this call applied.
    @discardableResult
    public static func migrate(_ conninfo: String, directory: String, protecting: Bool = false) throws -> [Migration] {
        let files = try self.files(directory)
        var connection = try PostgresConnection(conninfo)
        // A session lock, not one of a transaction: each migration has a transaction of its own.
        try connection.query("SELECT pg_advisory_lock(\(AdvisoryLock.migrations.rawValue))", as: "lock migrations")
        let isPrepared = try isPrepared(&connection)
        if !isPrepared {
            // IF NOT EXISTS would ask a role that may not create tables for that right, though there is nothing to do.
            try connection.query(
                """
                CREATE TABLE public.backfeed_migration (number int PRIMARY KEY, name text NOT NULL, \
                digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
                """, as: "prepare migrations")
        }
        let known = isPrepared ? try applied(&connection) : [:]
        if let newest = known.keys.max(), newest > files.last?.number ?? 0 {
            throw StoreError(
                .setUpFailed, "migrate",
                message: "the database is at migration \(newest), newer than this program: use a newer backfeed")
        }
        var done: [Migration] = []
        for file in files {
            let text = try String(contentsOfFile: file.path, encoding: .utf8)
            let digest = String(
                text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16)
            if let before = known[file.number] {
                guard before == digest else {
                    throw StoreError(
                        .setUpFailed, "migrate", message: "\(file.name) is not the file that was applied before")
                }
                continue
            }
            try connection.transaction("migration \(file.name)") { connection throws(StoreError) in
                try connection.query(text, as: "migration \(file.name)")
                try connection.query(
                    "INSERT INTO public.backfeed_migration VALUES ($1::int, $2, $3)",
                    [String(file.number), file.name, digest], as: "record migration")
            }
            done.append(Migration(number: file.number, name: file.name, applied: true))
        }
        if protecting {
            // Only when something is not handed over yet: it locks every table for a moment.
            try connection.query(
                """
                SELECT backfeed_store.protect($1) WHERE EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p', 'v') \
                AND relnamespace IN ('backfeed'::regnamespace, 'backfeed_store'::regnamespace) \
                AND pg_get_userbyid(relowner) NOT IN ('backfeed_audit', $1))
                """, [serviceRole], as: "protect audit log")
        }
        try connection.query("SELECT pg_advisory_unlock(\(AdvisoryLock.migrations.rawValue))", as: "unlock migrations")
        return done
    }

    /// Every migration and whether the database has it. Changes nothing.
    public static func status(_ conninfo: String, directory: String) throws -> [Migration] {
        var connection = try PostgresConnection(conninfo)
        let known = try isPrepared(&connection) ? applied(&connection) : [:]
        return try files(directory).map {
            Migration(number: $0.number, name: $0.name, applied: known[$0.number] != nil)
        }
    }

    private static func isPrepared(_ connection: inout PostgresConnection) throws(StoreError) -> Bool {
        try connection.query("SELECT to_regclass('public.backfeed_migration') IS NOT NULL", as: "migration status")
            .first?[0] == "t"
    }

    private static func applied(_ connection: inout PostgresConnection) throws(StoreError) -> [Int: String] {
        var known: [Int: String] = [:]
        for row in try connection.query("SELECT number, digest FROM public.backfeed_migration", as: "read migrations") {
            if let number = row[0].flatMap(Int.init) { known[number] = row[1] }
        }
        return known
    }

    private static func files(_ directory: String) throws -> [(number: Int, name: String, path: String)] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".sql") }
            .sorted()
        let files = names.compactMap { name in Int(name.prefix(4)).map { ($0, name, "\(directory)/\(name)") } }
        guard !files.isEmpty else {
            throw StoreError(.setUpFailed, "migrate", message: "no migrations in \(directory)")
        }
        return files
    }
}
