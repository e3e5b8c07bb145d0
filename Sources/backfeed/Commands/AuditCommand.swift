internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

enum AuditCommand {
    static let verify = Command(
        "verify-log", "check the hash chain of the audit log",
        detail: """
            Computes every record's SHA-256 again and follows the chain to its end. Exit 1 at the first record that is missing
            or was changed, named. The end's digest is printed: whoever keeps it elsewhere can prove with --expect that
            the log still goes through it.
            """,
        options: [
            Option("from", "TIME", "records from then on (default: the first)"),
            Option("until", "TIME", "records before then (default: the last)"),
            Option("expect", "NUMBER:DIGEST", "a record that was seen before, as printed by an earlier check"),
        ]
    ) { invocation in
        let (from, until) = (try invocation.time("from"), try invocation.time("until"))
        let expected = try invocation.arguments.text("expect").map(seen)
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var connection = try PostgresConnection(database.conninfo)
        let check = try AuditLog.verify(from: from, until: until, &connection)
        if let problem = check.problem {
            complain("broken: \(problem)\n\(check.count - 1) records before it are as they were written")
            return .negative
        }
        if let expected {
            let found = try AuditLog.read(after: expected.number - 1, limit: 1, &connection).first
            guard found?.number == expected.number, found?.digest == expected.digest else {
                complain(
                    check.restored.isEmpty
                        ? "broken: record \(expected.number) does not have the digest that was seen: the log was written anew"
                        : "broken: record \(expected.number) is not the one that was seen; the database was restored, and the log says so:\n\(check.restored.joined(separator: "\n"))"
                )
                return .negative
            }
        }
        guard let first = check.first, let last = check.last else {
            say("no records")
            return .done
        }
        say("intact: \(check.count) records, \(first) to \(last)\nend \(last):\(check.lastDigest)")
        for line in check.restored {
            say("restored: \(line): records that were written between are not in this log")
        }
        if try !AuditLog.isProtected(&connection) {
            complain(
                "note: this role could change the log, so only the digests protect it; see docs/audit.md, \"Who owns the log\""
            )
        }
        return .done
    }

    private static func seen(_ text: String) throws -> (number: Int64, digest: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let number = Int64(parts[0]), parts[1].count == 64 else {
            throw UsageError("--expect: expected NUMBER:DIGEST with 64 hexadecimal digits, got \"\(text)\"")
        }
        return (number, String(parts[1]))
    }
}
