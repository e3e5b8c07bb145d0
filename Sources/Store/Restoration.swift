public import GridModel
internal import ServiceKit

/// Where a database stands, as far as a restore changes it.
public struct DatabaseState: Sendable, Codable, Equatable {
    /// The cluster's system identifier, as `initdb` made it.
    public var system: String
    public var timeline: Int
    /// Counts the looks of the services that had it: never less than it was, unless the database is of an earlier time.
    public var mark: Int64
    /// End of the audit log.
    public var auditNumber: Int64
    public var auditDigest: String

    public init(system: String, timeline: Int, mark: Int64, auditNumber: Int64, auditDigest: String) {
        self.system = system
        self.timeline = timeline
        self.mark = mark
        self.auditNumber = auditNumber
        self.auditDigest = auditDigest
    }

    static func read(_ connection: inout PostgresConnection) throws(StoreError) -> Self {
        let row = try connection.query(
            """
            SELECT (SELECT system_identifier FROM pg_control_system()), pg_walfile_name(pg_current_wal_lsn()), \
            coalesce((SELECT mark FROM backfeed_store.service_owner), 0), number, digest FROM backfeed_store.audit_head
            """, as: "read state of the database"
        ).first
        guard let row, let system = row[0], let timeline = row[1].flatMap({ Int($0.prefix(8), radix: 16) }),
            let mark = row[2].flatMap(Int64.init), let number = row[3].flatMap(Int64.init), let digest = row[4]
        else { throw StoreError(.statementFailed, "read state of the database", message: "no row") }
        return Self(system: system, timeline: timeline, mark: mark, auditNumber: number, auditDigest: digest)
    }
}

/// The state in which a database was last seen, kept beside it: the database itself cannot know that it was set back.
public struct SeenState: Sendable, Codable, Equatable {
    public var state: DatabaseState
    /// The service that saw it ended in order: nothing was stored behind this.
    public var isFinal: Bool

    public init(state: DatabaseState, isFinal: Bool) {
        self.state = state
        self.isFinal = isFinal
    }

    /// Why the database must be taken for a restored one; `nil`: it goes on from where it was seen.
    ///
    /// - Parameters:
    ///   - seen: `nil`: nothing is known beside the database.
    ///   - isRunning: it was seen seconds ago, by the service that asks: another timeline then is a failover.
    ///   - digest: of the record that was the audit log's last when it was seen; `nil`: there is no such record.
    public static func restoration(
        _ seen: Self?, _ now: DatabaseState, digest: String?, isRunning: Bool = false
    ) -> String? {
        guard let seen else {
            return now.mark == 0
                ? nil
                : "what was last seen of it is not known here: another service had it, or the data directory is new"
        }
        let before = seen.state
        if now.system != before.system {
            return "it is another cluster (system identifier \(now.system), before \(before.system))"
        }
        if now.timeline < before.timeline { return "its timeline is \(now.timeline), and was \(before.timeline)" }
        if now.auditNumber < before.auditNumber {
            return "its audit log ends at record \(now.auditNumber), and had \(before.auditNumber)"
        }
        if before.auditNumber > 0, digest != before.auditDigest {
            return "record \(before.auditNumber) of its audit log is not the one that was seen"
        }
        if now.mark < before.mark { return "it is of an earlier time (look \(now.mark), and \(before.mark) was seen)" }
        if now.timeline > before.timeline, !seen.isFinal, !isRunning {
            return "its timeline is \(now.timeline), and was \(before.timeline): what was stored last may be missing"
        }
        return nil
    }
}

/// Marks a database as restored: nobody may rely on anything that may have changed since the backup.
public enum Restoration {
    private struct Content: Encodable {
        var reason: String
        var until, base: String?
        var seenRecord: Int64?
    }

    /// Whether the position of a switch `s` was stated by a person, or measured, after the restore `r`.
    static let confirming = """
        ((s.record #>> '{statement,recorded_at}')::timestamptz > r.at \
        OR (s.record #>> '{telemetry,recorded_at}')::timestamptz > r.at AND (s.record #>> '{telemetry,time}')::timestamptz >= r.at)
        """

    /// Event numbers that were given after the time of the restore are not given again.
    public static let numbersLeftOut: Int64 = 1_000_000

    /// In one transaction: the safety register is no longer declared, no switch position is certain, approvals, conditions met,
    /// overrides and proposals are void, sessions end, event numbers jump, and an event and an audit record say so.
    ///
    /// - Parameters:
    ///   - until: time that it was restored to, where that is known.
    ///   - seen: last record of the audit log that was seen before.
    public static func declare(
        reason: String, by actor: String, until: String? = nil, base: String? = nil, seen: Int64? = nil,
        _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.transaction("declare restored") { connection throws(StoreError) in
            try AdvisoryStore.lock(&connection)
            try connection.query(
                "INSERT INTO backfeed_store.restore (noticed_by, reason, until, base) VALUES ($1, $2, $3, $4)",
                [actor, reason, until, base], as: "record restore")
            try connection.query(
                """
                DELETE FROM backfeed_store.safety_register; DELETE FROM backfeed_store.console_session; \
                UPDATE backfeed_store.switching_watch SET watched_at = '-infinity'; \
                UPDATE backfeed_store.event_counter SET last = last + \(numbersLeftOut); \
                DELETE FROM backfeed_store.switching_condition c USING backfeed_store.switching_plan p \
                WHERE p.id = c.plan AND p.version = c.version AND p.state NOT IN ('completed', 'cancelled'); \
                UPDATE backfeed_store.switching_override o SET expires_at = least(o.expires_at, now()) \
                FROM backfeed_store.switching_plan p \
                WHERE p.id = o.plan AND p.version = o.version AND p.state NOT IN ('completed', 'cancelled')
                """, as: "void what was before the restore")
            for row in try connection.query(
                "SELECT id, state FROM backfeed_store.switching_plan WHERE state IN ('approved', 'executing') ORDER BY id",
                as: "find approvals")
            {
                guard let id = row[0], let state = row[1].flatMap(PlanState.init(rawValue:)),
                    case .moved(let next) = PlanLifecycle.outcome(of: .evidenceChanged, in: state)
                else { continue }
                let why = "the database was restored: what was done since is not known"
                try SwitchingStore.move(id, to: next, reason: why, &connection)
                try AuditLog.append(
                    actor: actor, "plan.\(next.rawValue)", subject: id, ["reason": why], &connection)
            }
            let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
            for var row in try AdvisoryRow.read(where: "proposed_at IS NOT NULL", [], &connection) {
                row.held = nil
                _ = try row.take(
                    .init(row.state ?? .closed, isActive: row.isActive, "updated"), actor: "service",
                    note: "the database was restored: the proposal is void", at: now, &connection)
            }
            try announce(reason, now, &connection)
            try AuditLog.append(
                actor: actor, "database.restored", subject: "database",
                Content(reason: reason, until: until, base: base, seenRecord: seen), &connection)
        }
    }

    private struct Event: Encodable {
        var specversion = "1.0"
        var id, source, type: String
        var time: Timestamp
        var sequence: Int64
        var data: [String: String]
    }

    private static func announce(
        _ reason: String, _ now: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        let rows = try connection.query(
            "UPDATE backfeed_store.event_counter SET last = last + 1 RETURNING last", as: "number event")
        let sequence = rows.first?[0].flatMap(Int64.init) ?? numbersLeftOut
        let event = Event(
            id: "restored/\(sequence)", source: "/backfeed/service", type: "org.backfeed.restored", time: now,
            sequence: sequence, data: ["reason": reason])
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory_event (sequence, area_id, type, actor, topic, event, annunciates, severity) \
            VALUES ($1, 0, 'restored', 'service', 'restored/1', $2, false, 1)
            """, [String(sequence), JSONCoding.encode(event)], as: "store event")
    }

    /// When the database was last restored; `nil`: never. And switches that nobody has confirmed since, of those that are asked for.
    public static func unconfirmed(
        _ switches: [String], _ connection: inout PostgresConnection
    ) throws(StoreError) -> (since: Timestamp, switches: [String])? {
        let rows = try connection.query(
            """
            SELECT \(SQL.rfc3339("r.at")), s.switch FROM (SELECT max(restored_at) AS at FROM backfeed_store.restore) r \
            LEFT JOIN backfeed_store.switch_state s ON \(confirming) WHERE r.at IS NOT NULL
            """, as: "read positions confirmed")
        guard let at = rows.first?[0].flatMap({ Timestamp($0) }) else { return nil }
        let confirmed = Set(rows.compactMap { $0[1] })
        return (at, switches.filter { !confirmed.contains($0) })
    }
}
