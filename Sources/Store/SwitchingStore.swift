public import GridModel

/// Rows of kept switching plans. Each function is one statement of a transaction that somebody else holds.
public enum SwitchingStore {
    public struct Plan: Sendable {
        public var id: String
        public var version: Int
        public var state: PlanState
        /// Why it stands in recheck, hold or cancelled.
        public var reason: String
        public var author: String
        public var digest: String
        public var document: String
        public var createdAt, changedAt: Timestamp
        public var approvedBy: String?
        public var approvedAt, validUntil: Timestamp?
        public var verdict: Int64?
        /// What the approval rests on now, as JSON: with each step that is done it moves on.
        public var evidence: String?
    }

    private static let columns = """
        id, version, state, reason, author, digest, document, \(SQL.rfc3339("created_at")), \(SQL.rfc3339("changed_at")), \
        approved_by, \(SQL.rfc3339("approved_at")), \(SQL.rfc3339("valid_until")), verdict_id, evidence
        """

    private static func plan(_ row: PostgresConnection.Row) throws(StoreError) -> Plan {
        guard let id = row[0], let version = row[1].flatMap(Int.init),
            let state = row[2].flatMap(PlanState.init(rawValue:)),
            let author = row[4], let digest = row[5], let document = row[6],
            let created = row[7].flatMap({ Timestamp($0) }), let changed = row[8].flatMap({ Timestamp($0) })
        else { throw StoreError(.conflict, "read plan", message: "it cannot be read: \(row[0] ?? "?")") }
        return Plan(
            id: id, version: version, state: state, reason: row[3] ?? "", author: author, digest: digest,
            document: document, createdAt: created, changedAt: changed, approvedBy: row[9],
            approvedAt: row[10].flatMap { Timestamp($0) }, validUntil: row[11].flatMap { Timestamp($0) },
            verdict: row[12].flatMap(Int64.init), evidence: row[13])
    }

    // MARK: Plans

    /// Locked until the transaction ends.
    public static func lock(_ id: String, _ connection: inout PostgresConnection) throws(StoreError) -> Plan? {
        guard
            let row = try connection.query(
                "SELECT \(columns) FROM backfeed_store.switching_plan WHERE id = $1 FOR UPDATE", [id], as: "read plan"
            ).first
        else { return nil }
        return try plan(row)
    }

    public static func read(_ id: String, _ connection: inout PostgresConnection) throws(StoreError) -> Plan? {
        guard
            let row = try connection.query(
                "SELECT \(columns) FROM backfeed_store.switching_plan WHERE id = $1", [id], as: "read plan"
            ).first
        else { return nil }
        return try plan(row)
    }

    /// Newest change first.
    public static func list(
        states: [PlanState], limit: Int, offset: Int, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [Plan] {
        var plans: [Plan] = []
        for row in try connection.query(
            """
            SELECT \(columns) FROM backfeed_store.switching_plan WHERE state = ANY ($1) \
            ORDER BY changed_at DESC, id LIMIT $2 OFFSET $3
            """, [SQL.array(states.map(\.rawValue)), String(limit), String(offset)], as: "list plans")
        {
            plans.append(try plan(row))
        }
        return plans
    }

    /// False when there is a plan of this name already.
    public static func create(
        _ id: String, author: String, document: String, digest: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Bool {
        try connection.query(
            """
            INSERT INTO backfeed_store.switching_plan (id, version, state, author, digest, document) \
            VALUES ($1, 1, 'draft', $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1
            """, [id, author, digest, document], as: "keep plan"
        ).count == 1
    }

    /// A new version, without any approval.
    public static func replace(
        _ id: String, author: String, document: String, digest: String, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switching_plan SET version = version + 1, state = 'draft', reason = '', author = $2, \
            digest = $3, document = $4, changed_at = clock_timestamp(), approved_by = NULL, approved_at = NULL, \
            valid_until = NULL, verdict_id = NULL, evidence = NULL, elements = '{}', feeders = '{}' WHERE id = $1
            """, [id, author, digest, document], as: "keep plan")
    }

    public static func move(
        _ id: String, to state: PlanState, reason: String = "", _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switching_plan SET state = $2, reason = $3, changed_at = clock_timestamp() WHERE id = $1
            """, [id, state.rawValue, reason], as: "move plan")
    }

    /// What an approved plan keeps for itself.
    public struct Reservation: Sendable {
        public var elements, feeders: [String]
        public var from, until: Timestamp
        public init(elements: [String], feeders: [String], from: Timestamp, until: Timestamp) {
            self.elements = elements
            self.feeders = feeders
            self.from = from
            self.until = until
        }
    }

    /// One approval after the other, whoever grants them: two plans that are in each other's way are judged one knowing
    /// of the other. Held until the transaction ends; to be taken before any plan is locked.
    public static func lockApprovals(_ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query("SELECT pg_advisory_xact_lock(\(AdvisoryLock.approvals.rawValue))", as: "approve plan")
    }

    public static func approve(
        _ id: String, to state: PlanState, by actor: String, verdict: Int64, validUntil: Timestamp, evidence: String,
        _ reservation: Reservation, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switching_plan SET state = $2, reason = '', changed_at = clock_timestamp(), \
            approved_by = $3, approved_at = clock_timestamp(), verdict_id = $4, valid_until = $5, evidence = $6, \
            elements = $7, feeders = $8, reserved_from = $9, reserved_until = $10 WHERE id = $1
            """,
            [
                id, state.rawValue, actor, String(verdict), validUntil.description, evidence,
                SQL.array(reservation.elements), SQL.array(reservation.feeders), reservation.from.description,
                reservation.until.description,
            ], as: "approve plan")
        // Watched from this moment on. Where other approvals stand, only the watch itself may say that it is awake.
        try connection.query(
            """
            UPDATE backfeed_store.switching_watch SET watched_at = clock_timestamp() WHERE NOT EXISTS \
            (SELECT FROM backfeed_store.switching_plan WHERE state IN ('approved', 'executing') AND id <> $1)
            """, [id], as: "begin to watch")
    }

    /// What the approval rests on from now on.
    public static func rebase(
        _ id: String, verdict: Int64?, validUntil: Timestamp?, evidence: String, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switching_plan SET verdict_id = coalesce($2, verdict_id), \
            valid_until = coalesce($3, valid_until), evidence = $4 WHERE id = $1
            """, [id, verdict.map { String($0) }, validUntil?.description, evidence], as: "rest plan on new evidence")
    }

    // MARK: Verdicts

    public static func keep(
        _ verdict: Verdict, version: Int, by actor: String, occasion: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Int64 {
        let row = try connection.query(
            """
            INSERT INTO backfeed_store.switching_verdict (plan, version, decision, assessed_at, valid_until, requested_by, \
            occasion, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
            """,
            [
                verdict.plan, String(version), verdict.verdict.rawValue, verdict.assessedAt.description,
                verdict.validUntil?.description, actor, occasion, JSONCoding.encode(verdict),
            ], as: "keep verdict"
        ).first
        guard let id = row?[0].flatMap(Int64.init) else {
            throw StoreError(.conflict, "keep verdict", message: "no number")
        }
        return id
    }

    /// Newest verdict on a version of a plan.
    public static func newestVerdict(
        _ plan: Plan, _ connection: inout PostgresConnection
    ) throws(StoreError) -> (id: Int64, verdict: Verdict)? {
        let row = try connection.query(
            """
            SELECT id, document FROM backfeed_store.switching_verdict WHERE plan = $1 AND version = $2 \
            ORDER BY id DESC LIMIT 1
            """, [plan.id, String(plan.version)], as: "read verdict"
        ).first
        guard let row, let id = row[0].flatMap(Int64.init), let text = row[1] else { return nil }
        guard let verdict = try? JSONCoding.decode(Verdict.self, text) else {
            throw StoreError(.conflict, "read verdict", message: "verdict \(id) cannot be read")
        }
        return (id, verdict)
    }

    // MARK: Steps

    public struct Step: Sendable, Codable, Equatable {
        public var sequence: Int
        public var issuedBy: String
        public var issuedAt: Timestamp
        public var executedBy: String?
        public var executedAt: Timestamp?
        /// In which order it was executed, from 1.
        public var place: Int?
        public var before: SwitchPosition?
        public var note: String

        /// Issued, and nobody has said yet what became of it.
        public var isPending: Bool { executedAt == nil }
    }

    /// In the order of their issue.
    public static func steps(_ plan: Plan, _ connection: inout PostgresConnection) throws(StoreError) -> [Step] {
        var steps: [Step] = []
        for row in try connection.query(
            """
            SELECT jsonb_build_object('sequence', sequence, 'issued_by', issued_by, 'issued_at', \
            \(SQL.rfc3339("issued_at")), 'executed_by', executed_by, 'executed_at', \(SQL.rfc3339("executed_at")), \
            'place', place, 'before', before, 'note', note) \
            FROM backfeed_store.switching_step WHERE plan = $1 AND version = $2 ORDER BY issued_at, sequence
            """, [plan.id, String(plan.version)], as: "read steps")
        {
            guard let step = row[0].flatMap({ try? JSONCoding.decode(Step.self, $0) }) else {
                throw StoreError(.conflict, "read steps", message: "a step of \(plan.id) cannot be read")
            }
            steps.append(step)
        }
        return steps
    }

    public static func issue(
        _ plan: Plan, _ sequence: Int, before: SwitchPosition?, by actor: String, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.switching_step (plan, version, sequence, issued_by, before) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (plan, version, sequence) DO UPDATE SET issued_by = excluded.issued_by, \
            issued_at = clock_timestamp(), before = excluded.before, executed_by = NULL, executed_at = NULL, note = ''
            """,
            [plan.id, String(plan.version), String(sequence), actor, before?.name], as: "issue step")
    }

    /// - Parameter place: in which order it was executed, from 1; `nil`: it was not done, its switch was found otherwise.
    public static func execute(
        _ plan: Plan, _ sequence: Int, place: Int?, by actor: String, note: String,
        _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switching_step SET executed_by = $4, executed_at = clock_timestamp(), place = $5, note = $6 \
            WHERE plan = $1 AND version = $2 AND sequence = $3
            """, [plan.id, String(plan.version), String(sequence), actor, place.map { String($0) }, note],
            as: "record step")
    }

    // MARK: Conditions and overrides

    public struct Met: Sendable, Codable, Equatable {
        public var key: String
        public var metBy: String
        public var metAt: Timestamp
        public var evidence: String
        /// The value that was seen, in the finding's unit; `nil`: it had none.
        public var value: Double?
    }

    public static func met(_ plan: Plan, _ connection: inout PostgresConnection) throws(StoreError) -> [String: Met] {
        var met: [String: Met] = [:]
        for row in try connection.query(
            """
            SELECT key, met_by, \(SQL.rfc3339("met_at")), evidence, value FROM backfeed_store.switching_condition \
            WHERE plan = $1 AND version = $2
            """, [plan.id, String(plan.version)], as: "read conditions")
        {
            guard let key = row[0], let by = row[1], let at = row[2].flatMap({ Timestamp($0) }) else { continue }
            met[key] = Met(key: key, metBy: by, metAt: at, evidence: row[3] ?? "", value: row[4].flatMap(Double.init))
        }
        return met
    }

    /// One that was met for another value before is met for this one now.
    public static func meet(
        _ plan: Plan, _ key: String, value: Double?, by actor: String, evidence: String,
        _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.switching_condition (plan, version, key, met_by, evidence, value) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (plan, version, key) DO UPDATE SET met_by = excluded.met_by, \
            met_at = clock_timestamp(), evidence = excluded.evidence, value = excluded.value
            """, [plan.id, String(plan.version), key, actor, evidence, value.map { "\($0)" }], as: "meet condition")
    }

    public static func overrides(
        _ plan: Plan, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [Override] {
        var found: [Override] = []
        for row in try connection.query(
            """
            SELECT jsonb_build_object('key', key, 'role', role, 'actor', actor, 'reason', reason, 'value', value, \
            'given_at', \(SQL.rfc3339("given_at")), 'expires_at', \(SQL.rfc3339("expires_at"))) \
            FROM backfeed_store.switching_override WHERE plan = $1 AND version = $2 ORDER BY given_at
            """, [plan.id, String(plan.version)], as: "read overrides")
        {
            guard let item = row[0].flatMap({ try? JSONCoding.decode(Override.self, $0) }) else {
                throw StoreError(.conflict, "read overrides", message: "an override of \(plan.id) cannot be read")
            }
            found.append(item)
        }
        return found
    }

    public static func add(
        _ override: Override, to plan: Plan, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.switching_override (plan, version, key, role, actor, reason, value, given_at, expires_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                plan.id, String(plan.version), override.key, override.role.rawValue, override.actor, override.reason,
                override.value.map { "\($0)" }, override.givenAt.description, override.expiresAt.description,
            ], as: "record override")
    }

    // MARK: Watching

    /// Seconds since all evidence was looked at last.
    public static func unwatched(_ connection: inout PostgresConnection) throws(StoreError) -> Double {
        let row = try connection.query(
            """
            SELECT CASE WHEN isfinite(watched_at) THEN extract(epoch FROM clock_timestamp() - watched_at) ELSE 1e9 END \
            FROM backfeed_store.switching_watch
            """, as: "watch approvals"
        ).first
        // A clock that was set back says nothing of how long ago it was.
        guard let seconds = row?[0].flatMap(Double.init), seconds >= 0 else { return .infinity }
        return seconds
    }

    /// Says that all evidence has been looked at.
    public static func watched(_ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query(
            "UPDATE backfeed_store.switching_watch SET watched_at = clock_timestamp()", as: "watch approvals")
    }
}
