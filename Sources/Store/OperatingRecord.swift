public import GridModel

/// What the database says of the network at one moment, read by one statement: positions, register, advisories and other
/// plans belong together.
public struct OperatingRecord: Sendable, Codable {
    public struct Active: Sendable, Codable {
        public var id: String
        public var kind: AdvisoryKind
        public var severity: Severity
        public var feeder, element: String
        /// False: out of service, so nothing is known of it.
        public var isEvaluated: Bool
    }

    public struct Position: Sendable, Codable {
        public var id: String
        public var position: SwitchPosition
    }

    public struct Plan: Sendable, Codable {
        public var id: String
        public var state: PlanState
        public var elements, feeders: [String]
        public var from, until: Timestamp
    }

    public var revision: Int
    /// Newest known position of every switch that was ever reported.
    public var positions: [Position]
    /// When the newest position was recorded, by the database's clock.
    public var movedAt: Timestamp?
    public var advisories: [Active]
    public var items: [SafetyRegister.Item]
    /// Who said that the register is complete; `nil`: nobody.
    public var declaredBy: String?
    /// That reserve something.
    public var plans: [Plan]
    /// When the database was last restored; `nil`: never. What moved since the time that it was restored to is not known.
    public var restoredAt: Timestamp?
    /// Switches whose position was stated by a person, or measured, after that.
    public var confirmed: [String]

    /// - Throws: also when any row cannot be read: none may get lost here.
    public static func read(_ connection: inout PostgresConnection) throws(StoreError) -> Self {
        let rows = try connection.query(
            """
            SELECT jsonb_build_object( \
            'revision', (SELECT coalesce(max(id), 0) FROM backfeed_store.network_revision), \
            'positions', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', switch, 'position', position)), '[]') FROM (SELECT DISTINCT ON (switch) switch, \
            position FROM backfeed_store.switch_position ORDER BY switch, time DESC, recorded_at DESC) AS newest), \
            'moved_at', (SELECT \(SQL.rfc3339("max(recorded_at)")) FROM backfeed_store.switch_position), \
            'advisories', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'kind', kind, 'severity', severity, \
            'feeder', feeder, 'element', element, 'is_evaluated', state <> 'out_of_service') ORDER BY id), '[]') FROM backfeed_store.advisory \
            WHERE concerns), \
            'items', (SELECT coalesce(jsonb_agg(\(SafetyRegister.json) ORDER BY id), '[]') \
            FROM backfeed_store.safety_item WHERE removed_at IS NULL), \
            'restored_at', (SELECT \(SQL.rfc3339("max(restored_at)")) FROM backfeed_store.restore), \
            'confirmed', (SELECT coalesce(jsonb_agg(DISTINCT switch), '[]') FROM backfeed_store.switch_position p, \
            (SELECT max(restored_at) AS at FROM backfeed_store.restore) r WHERE \(Restoration.confirming)), \
            'declared_by', (SELECT max(declared_by) FROM backfeed_store.safety_register), \
            'plans', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'state', state, 'elements', elements, \
            'feeders', feeders, 'from', \(SQL.rfc3339("reserved_from")), 'until', \(SQL.rfc3339("reserved_until"))) \
            ORDER BY id), '[]') FROM backfeed_store.switching_plan \
            WHERE state IN ('approved', 'recheck', 'executing', 'hold')))
            """, as: "read operating record")
        guard let text = rows.first?[0] else {
            throw StoreError(.conflict, "read operating record", message: "no row")
        }
        do {
            return try JSONCoding.decode(Self.self, text)
        } catch {
            throw StoreError(.conflict, "read operating record", message: "it cannot be read: \(error)")
        }
    }
}
