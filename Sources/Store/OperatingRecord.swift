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

    /// How often advisories of severity 1 to 3 have begun, ended or changed their severity on a feeder or bank.
    public struct Activity: Sendable, Codable {
        public var feeder: String
        public var number: Int64
    }

    public struct Plan: Sendable, Codable {
        public var id: String
        public var state: PlanState
        public var elements, feeders: [String]
        public var from, until: Timestamp
    }

    public var revision: Int
    /// Every switch of which anything was ever said.
    public var switches: [SwitchRecord]
    /// When a switch last moved, or its position became doubtful, by the database's clock.
    public var movedAt: Timestamp?
    public var advisories: [Active]
    public var items: [SafetyRegister.Item]
    /// Changes of advisories so far.
    public var advisoryActivity: [Activity]
    /// Acts of the register so far: placed, removed, handed over, declared.
    public var registerActs: Int64
    /// Who said that the register is complete; `nil`: nobody.
    public var declaredBy: String?
    /// That reserve something.
    public var plans: [Plan]
    /// Author and approver of a plan have signed in; false: there are no accounts, and names are what people give.
    public var hasAccounts: Bool
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
            'switches', (SELECT coalesce(jsonb_agg(record ORDER BY switch), '[]') FROM backfeed_store.switch_state), \
            'moved_at', (SELECT \(SQL.rfc3339("max(moved_at)")) FROM backfeed_store.switch_state), \
            'advisory_activity', (SELECT coalesce(jsonb_agg(jsonb_build_object('feeder', feeder, 'number', number)), '[]') \
            FROM backfeed_store.advisory_activity), \
            'register_acts', (SELECT sum(number) FROM backfeed_store.register_activity), \
            'advisories', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'kind', kind, 'severity', severity, \
            'feeder', feeder, 'element', element, 'is_evaluated', state <> 'out_of_service') ORDER BY id), '[]') FROM backfeed_store.advisory \
            WHERE concerns), \
            'items', (SELECT coalesce(jsonb_agg(\(SafetyRegister.json) ORDER BY id), '[]') \
            FROM backfeed_store.safety_item WHERE removed_at IS NULL), \
            'restored_at', (SELECT \(SQL.rfc3339("max(restored_at)")) FROM backfeed_store.restore), \
            'confirmed', (SELECT coalesce(jsonb_agg(s.switch), '[]') FROM backfeed_store.switch_state s, \
            (SELECT max(restored_at) AS at FROM backfeed_store.restore) r WHERE \(Restoration.confirming)), \
            'declared_by', (SELECT max(declared_by) FROM backfeed_store.safety_register), \
            'plans', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'state', state, 'elements', elements, \
            'feeders', feeders, 'from', \(SQL.rfc3339("reserved_from")), 'until', \(SQL.rfc3339("reserved_until"))) \
            ORDER BY id), '[]') FROM backfeed_store.switching_plan \
            WHERE state IN ('approved', 'recheck', 'executing', 'hold')), \
            'has_accounts', EXISTS (SELECT FROM backfeed_store.account))
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
