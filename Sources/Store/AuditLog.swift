public import GridModel
internal import ServiceKit

/// Who did what: append-only, each record chained to the one before by SHA-256. Every write is part of the transaction
/// that it records, so neither stands without the other.
public enum AuditLog {
    public struct Record: Sendable, Equatable {
        public var number: Int64
        /// RFC 3339 with microseconds, as it went into the digest.
        public var recordedAt: String
        public var actor, action, subject: String
        /// JSON.
        public var content: String
        public var previous, digest: String

        /// What the digest must be.
        public var expectedDigest: String {
            Digest.sha256([previous, String(number), recordedAt, actor, action, subject, content])
        }

        /// One JSON object.
        public var json: String {
            let head = JSONCoding.encode(
                Head(
                    number: number, recordedAt: recordedAt, actor: actor, action: action, subject: subject,
                    previous: previous, digest: digest))
            return "\(head.dropLast()),\"content\":\(content)}"
        }

        private struct Head: Encodable {
            var number: Int64
            var recordedAt, actor, action, subject, previous, digest: String
        }
    }

    /// - Parameter content: encoded to JSON.
    public static func append(
        actor: String, _ action: String, subject: String, _ content: some Encodable,
        _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            "SELECT backfeed_store.audit($1, $2, $3, $4)", [actor, action, subject, JSONCoding.encode(content)],
            as: "write audit record")
    }

    private static let columns =
        "number, \(SQL.rfc3339("recorded_at")), actor, action, subject, content, previous, digest"

    private static func record(_ row: PostgresConnection.Row) -> Record? {
        guard let number = row[0].flatMap(Int64.init), let time = row[1], let actor = row[2], let action = row[3],
            let subject = row[4], let content = row[5], let previous = row[6], let digest = row[7]
        else { return nil }
        return Record(
            number: number, recordedAt: time, actor: actor, action: action, subject: subject, content: content,
            previous: previous, digest: digest)
    }

    /// Records in order.
    public static func read(
        from: Timestamp? = nil, until: Timestamp? = nil, subject: String? = nil, after: Int64 = 0, limit: Int,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> [Record] {
        try connection.query(
            """
            SELECT \(columns) FROM backfeed_store.audit_record WHERE number > $1 \
            AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND ($3::timestamptz IS NULL OR recorded_at < $3) \
            AND ($4::text IS NULL OR subject = $4) ORDER BY number LIMIT $5
            """, [String(after), from?.description, until?.description, subject, String(limit)], as: "read audit log"
        ).compactMap(record)
    }

    public struct Check: Sendable, Equatable {
        /// Records looked at, and the first and last number of them.
        public var count: Int64 = 0
        public var first, last: Int64?
        public var lastDigest = ""
        /// Records that say that the database was put back to an earlier time: what was written after that time is not in the log.
        public var restored: [String] = []
        /// What is wrong, with the record's number; the first only: behind a break nothing can be said.
        public var problem: String?
        public init() {}
    }

    /// Follows the chain over all records, or over those of a time. Digests are computed here, not by the database.
    public static func verify(
        from: Timestamp? = nil, until: Timestamp? = nil, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Check {
        var chain = AuditChain(isWhole: from == nil)
        try connection.stream(
            """
            SELECT \(columns) FROM backfeed_store.audit_record WHERE ($1::timestamptz IS NULL OR recorded_at >= $1) \
            AND ($2::timestamptz IS NULL OR recorded_at < $2) ORDER BY number
            """, [from?.description, until?.description], as: "verify audit log"
        ) { row in
            guard let record = record(row) else {
                chain.check.problem = "record \(row[0] ?? "?") cannot be read"
                return false
            }
            return chain.take(record)
        }
        guard chain.check.problem == nil, until == nil else { return chain.check }
        let head = try connection.query("SELECT number, digest FROM backfeed_store.audit_head", as: "read audit head")
        chain.end(number: head.first?[0].flatMap(Int64.init) ?? -1, digest: head.first?[1] ?? "")
        return chain.check
    }

    /// Whether the database itself keeps this session's role from changing the log: it neither owns it nor is a superuser.
    public static func isProtected(_ connection: inout PostgresConnection) throws(StoreError) -> Bool {
        try connection.query(
            """
            SELECT NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \
            AND NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'backfeed_store.audit_record'::regclass), 'MEMBER') \
            AND NOT has_table_privilege('backfeed_store.audit_record', 'UPDATE, DELETE, TRUNCATE, INSERT') \
            AND NOT has_any_column_privilege('backfeed_store.audit_record', 'UPDATE, INSERT')
            """, as: "look at the audit log's grants"
        ).first?[0] == "t"
    }
}

/// Follows the chain record by record.
struct AuditChain {
    var check = AuditLog.Check()
    /// From the very first record on.
    private let isWhole: Bool

    init(isWhole: Bool) { self.isWhole = isWhole }

    /// False when the chain is broken here.
    mutating func take(_ record: AuditLog.Record) -> Bool {
        let before = check.last
        check.first = check.first ?? record.number
        check.count += 1
        let named =
            "record \(record.number) (\(record.recordedAt), \(record.action) of \(record.subject) by \(record.actor))"
        let expected = before.map { $0 + 1 } ?? (isWhole ? 1 : record.number)
        if record.number != expected {
            check.problem = "record \(expected) is missing: \(named) comes in its place"
        } else if record.digest != record.expectedDigest {
            check.problem = "\(named) was changed: its content does not have its digest"
        } else if before != nil || isWhole, record.previous != (before == nil ? Self.origin : check.lastDigest) {
            check.problem = "\(named) does not follow the record before it"
        }
        guard check.problem == nil else { return false }
        (check.last, check.lastDigest) = (record.number, record.digest)
        if record.action == "database.restored" {
            check.restored.append(
                "record \(record.number) (\(record.recordedAt) by \(record.actor)): \(record.content)")
        }
        return true
    }

    /// The end of the chain must be the one that the database remembers.
    mutating func end(number: Int64, digest: String) {
        // Nothing in the time that was asked for: there is no end to compare.
        guard check.last != nil || isWhole else { return }
        let last = check.last ?? 0
        if last != number {
            check.problem = "the log ends at record \(last), but \(number) were written: the end is missing"
        } else if number > 0, digest != check.lastDigest {
            check.problem = "record \(number) is not the one that was written last"
        }
    }

    private static let origin = String(repeating: "0", count: 64)
}
