public import GridModel

/// What is due after completed plans.
public enum DueConditions {
    public struct Due: Sendable, Encodable, Equatable {
        public var plan: String
        public var key: String
        /// What is to be done.
        public var text: String
        public var dueAt: Timestamp
        public var overdue: Bool
    }

    private static let isOpen = """
        NOT EXISTS (SELECT FROM backfeed_store.switching_condition m \
        WHERE m.plan = d.plan AND m.version = d.version AND m.key = d.key)
        """

    /// From now on it is due; in the transaction that has just completed the plan.
    ///
    /// - Parameter hours: from the plan's completion.
    public static func add(
        _ plan: SwitchingStore.Plan, key: String, text: String, hours: Double, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.switching_due (plan, version, key, text, due_at) \
            SELECT id, version, $3, $4, changed_at + $5::float8 * interval '1 hour' \
            FROM backfeed_store.switching_plan WHERE id = $1 AND version = $2 ON CONFLICT DO NOTHING
            """, [plan.id, String(plan.version), key, text, String(hours)], as: "note what is due")
    }

    /// What nobody has met yet, the oldest first.
    public static func open(_ connection: inout PostgresConnection) throws(StoreError) -> [Due] {
        try rows(
            """
            SELECT d.plan, d.key, d.text, \(SQL.rfc3339("d.due_at")), d.due_at <= clock_timestamp() \
            FROM backfeed_store.switching_due d WHERE \(isOpen) ORDER BY d.due_at, d.plan, d.key
            """, &connection)
    }

    /// What has become overdue since this was last asked: each is given once, whoever asks.
    public static func takeOverdue(_ connection: inout PostgresConnection) throws(StoreError) -> [Due] {
        try rows(
            """
            UPDATE backfeed_store.switching_due d SET told_at = clock_timestamp() \
            WHERE d.told_at IS NULL AND d.due_at <= clock_timestamp() AND \(isOpen) \
            RETURNING d.plan, d.key, d.text, \(SQL.rfc3339("d.due_at")), true
            """, &connection)
    }

    private static func rows(
        _ statement: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [Due] {
        var due: [Due] = []
        for row in try connection.query(statement, as: "read what is due") {
            guard let plan = row[0], let key = row[1], let text = row[2], let at = row[3].flatMap({ Timestamp($0) })
            else { throw StoreError(.conflict, "read what is due", message: "a row cannot be read") }
            due.append(Due(plan: plan, key: key, text: text, dueAt: at, overdue: row[4] == "t"))
        }
        return due
    }
}
