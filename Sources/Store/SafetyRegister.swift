public import GridModel

/// Tags, grounds, clearances, disabled reclosing and restrictions in force.
public enum SafetyRegister {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case tag, ground, clearance
        case reclosingDisabled = "reclosing_disabled"
        case restriction
    }

    public struct Item: Sendable, Codable, Equatable {
        public var id: Int64
        public var kind: Kind
        public var element: String
        /// Of a tag its kind, of a clearance its holder, of a restriction what it is.
        public var value: String
        public var placedBy: String
        public var placedAt: Timestamp
        public var plan: String?
    }

    /// The element of a restriction that is in force everywhere.
    public static let wholeNetwork = "network"

    public enum Outcome: Sendable, Equatable {
        /// - Parameter acts: how many items it placed, removed or handed over.
        case done(acts: Int64)
        case refused(String)
    }

    static let json = """
        jsonb_build_object('id', id, 'kind', kind, 'element', element, 'value', value, 'placed_by', placed_by, \
        'placed_at', \(SQL.rfc3339("placed_at")), 'plan', plan)
        """

    private struct Placed: Encodable {
        var kind: Kind
        var value: String
        var plan: String?
        var reason: String
    }

    public static func place(
        _ kind: Kind, on element: String, value: String, actor: String, reason: String, plan: String?,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> Outcome {
        let isNew =
            try connection.query(
                """
                INSERT INTO backfeed_store.safety_item (kind, element, value, placed_by, plan) VALUES ($1, $2, $3, $4, $5) \
                ON CONFLICT (kind, element, value) WHERE removed_at IS NULL DO NOTHING RETURNING 1
                """, [kind.rawValue, element, value, actor, plan], as: "place safety item"
            ).count == 1
        guard isNew else { return .refused("\(element) has this \(kind.rawValue) already") }
        try AuditLog.append(
            actor: actor, "safety.placed", subject: element,
            Placed(kind: kind, value: value, plan: plan, reason: reason), &connection)
        return try count(1, &connection)
    }

    /// Counts acts, so that one that is taken back at once has happened all the same.
    private static func count(_ acts: Int, _ connection: inout PostgresConnection) throws(StoreError) -> Outcome {
        try connection.query(
            "UPDATE backfeed_store.register_activity SET number = number + $1", [String(acts)], as: "count acts")
        return .done(acts: Int64(acts))
    }

    /// - Parameter value: `nil`: whatever it is.
    public static func remove(
        _ kind: Kind, from element: String, value: String?, actor: String, reason: String, plan: String?,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> Outcome {
        let gone = try connection.query(
            """
            UPDATE backfeed_store.safety_item SET removed_by = $4, removed_at = clock_timestamp() \
            WHERE kind = $1 AND element = $2 AND ($3::text IS NULL OR value = $3) AND removed_at IS NULL RETURNING value
            """, [kind.rawValue, element, value, actor], as: "remove safety item")
        guard !gone.isEmpty else { return .refused("\(element) has no such \(kind.rawValue) in force") }
        for row in gone {
            try AuditLog.append(
                actor: actor, "safety.removed", subject: element,
                Placed(kind: kind, value: row[0] ?? "", plan: plan, reason: reason), &connection)
        }
        return try count(gone.count, &connection)
    }

    private struct Transferred: Encodable {
        var from, to, reason: String
    }

    /// A clearance gets another holder, and the log both.
    public static func transfer(
        _ item: Item, to holder: String, actor: String, reason: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Outcome {
        let isTaken = try !connection.query(
            """
            SELECT 1 FROM backfeed_store.safety_item WHERE kind = 'clearance' AND element = $1 AND value = $2 \
            AND removed_at IS NULL
            """, [item.element, holder], as: "look for clearance"
        ).isEmpty
        guard !isTaken else { return .refused("\(holder) holds a clearance of \(item.element) already") }
        try connection.query(
            "UPDATE backfeed_store.safety_item SET value = $2 WHERE id = $1", [String(item.id), holder],
            as: "transfer clearance")
        try AuditLog.append(
            actor: actor, "safety.transferred", subject: item.element,
            Transferred(from: item.value, to: holder, reason: reason), &connection)
        return try count(1, &connection)
    }

    /// The item in force with a number; locked until the transaction ends.
    public static func item(_ id: Int64, _ connection: inout PostgresConnection) throws(StoreError) -> Item? {
        try connection.query(
            "SELECT \(json) FROM backfeed_store.safety_item WHERE id = $1 AND removed_at IS NULL FOR UPDATE",
            [String(id)],
            as: "read safety item"
        ).first?[0].flatMap { try? JSONCoding.decode(Item.self, $0) }
    }

    /// Somebody says that the register holds everything in force from now on.
    public static func declare(
        actor: String, reason: String, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query("DELETE FROM backfeed_store.safety_register", as: "declare register")
        try connection.query(
            "INSERT INTO backfeed_store.safety_register VALUES ($1, clock_timestamp())", [actor], as: "declare register"
        )
        try AuditLog.append(
            actor: actor, "safety.register_declared", subject: "register", ["reason": reason], &connection)
        _ = try count(1, &connection)
    }

    /// `{"declared": …, "items": […]}`.
    public static func list(_ connection: inout PostgresConnection) throws(StoreError) -> String {
        try connection.query(
            """
            SELECT jsonb_build_object('declared', (SELECT jsonb_build_object('by', declared_by, 'at', \
            \(SQL.rfc3339("declared_at"))) FROM backfeed_store.safety_register), 'items', \
            (SELECT coalesce(jsonb_agg(\(json) ORDER BY id), '[]') FROM backfeed_store.safety_item WHERE removed_at IS NULL))
            """, as: "list safety items"
        ).first?[0] ?? "{}"
    }
}
