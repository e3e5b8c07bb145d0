public import GridModel

/// A whole advisory, as the interface shows it: what the analyser said and what people did with it.
public struct Advisory: Sendable, Encodable {
    /// Shelved or out of service.
    public struct Hold: Sendable, Encodable, Equatable {
        public var by: String
        public var until: Timestamp
        public var reason: String
        /// Out of service: somebody else has not agreed yet.
        public var isProposed: Bool
    }

    public var facts: AdvisoryFacts
    public var state: AdvisoryState
    public var isActive: Bool
    public var version: Int
    public var parent: String?
    public var acknowledgedBy: String?
    public var acknowledgedAt: Timestamp?
    public var held: Hold?

    private enum Key: String, CodingKey {
        case state, isActive, version, parent, acknowledgedBy, acknowledgedAt, held
    }

    public func encode(to encoder: any Encoder) throws {
        try facts.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(state, forKey: .state)
        try container.encode(isActive, forKey: .isActive)
        try container.encode(version, forKey: .version)
        try container.encode(parent, forKey: .parent)
        try container.encode(acknowledgedBy, forKey: .acknowledgedBy)
        try container.encode(acknowledgedAt, forKey: .acknowledgedAt)
        try container.encode(held, forKey: .held)
    }

    /// The same in SQL, from a row of `backfeed_store.advisory`.
    static let json = """
        facts || jsonb_build_object('id', id, 'severity', severity, 'onset', \(SQL.rfc3339("onset")), \
        'occurrence', occurrence, 'state', state, 'is_active', is_active, 'version', version, 'parent', parent, \
        'acknowledged_by', acknowledged_by, 'acknowledged_at', \(SQL.rfc3339("acknowledged_at")), \
        'held', CASE WHEN held_by IS NULL THEN NULL ELSE jsonb_build_object('by', held_by, 'until', \
        \(SQL.rfc3339("held_until")), 'reason', held_reason, 'is_proposed', proposed_by IS NOT NULL) END)
        """
}

private struct CloudEvent: Encodable {
    var specversion = "1.0"
    var id: String
    var source: String
    var type: String
    var subject: String
    var time: Timestamp
    var datacontenttype = "application/json"
    var sequence: Int64
    var note: String?
    var data: Advisory
}

/// A row of `backfeed_store.advisory`, locked while it is changed.
struct AdvisoryRow {
    var id: String
    var area: Int32
    /// `nil`: not stored yet.
    var state: AdvisoryState?
    var isActive = false
    /// Its own, or the worst of what is part of it.
    var severity: Severity
    var version = 0
    var lastRise = 0
    var occurrence = 1
    /// The analyser's id of the spell that stands in it; `facts` has it, too.
    var spell: String
    var onset: Timestamp
    var parent: String?
    var acknowledgedBy: String?
    var acknowledgedAt: Timestamp?
    var held: Advisory.Hold?
    var facts: AdvisoryFacts

    /// Kinds that must be reset once their condition is over, and those that an operator may not reset (C.1, C.2).
    private static let latching: Set<String> = ["RPF_BANK_NO3V0", "REG_RUNAWAY", "V_EXTREME"]
    private static let guarded: Set<String> = ["RPF_BANK_NO3V0", "DQ_TOPO"]

    var situation: AdvisorySituation {
        AdvisorySituation(
            state: state, isActive: isActive, severity: severity, isLatching: Self.latching.contains(facts.detector),
            isGuarded: Self.guarded.contains(facts.detector), version: version, lastRise: lastRise)
    }
    /// Something that is part of it has made it worse than it is by itself.
    var hasChildren: Bool { severity > facts.severity }

    init(_ facts: AdvisoryFacts, area: Int32) {
        self.facts = facts
        self.area = area
        id = facts.id
        spell = facts.id
        severity = facts.severity
        onset = facts.onset
        occurrence = facts.occurrence
    }

    private static let columns = """
        id, area_id, state, is_active, severity, version, last_rise, occurrence, spell, \(SQL.rfc3339("onset")), parent, \
        acknowledged_by, \(SQL.rfc3339("acknowledged_at")), held_by, \(SQL.rfc3339("held_until")), held_reason, \
        proposed_by, facts
        """

    private init?(_ row: [String?]) {
        guard row.count == 18, let id = row[0], let area = row[1].flatMap(Int32.init),
            let state = row[2].flatMap(AdvisoryState.init(rawValue:)),
            let severity = row[4].flatMap(Int.init).flatMap(Severity.init(rawValue:)),
            let version = row[5].flatMap(Int.init), let lastRise = row[6].flatMap(Int.init),
            let occurrence = row[7].flatMap(Int.init), let onset = row[9].flatMap({ Timestamp($0) }),
            let facts = row[17].flatMap({ try? JSONCoding.decode(AdvisoryFacts.self, $0) })
        else { return nil }
        self.id = id
        self.area = area
        self.state = state
        isActive = row[3] == "t"
        self.severity = severity
        self.version = version
        self.lastRise = lastRise
        self.occurrence = occurrence
        spell = row[8] ?? id
        self.onset = onset
        parent = row[10]
        acknowledgedBy = row[11]
        acknowledgedAt = row[12].flatMap { Timestamp($0) }
        if let by = row[13], let until = row[14].flatMap({ Timestamp($0) }) {
            held = .init(by: by, until: until, reason: row[15] ?? "", isProposed: row[16] != nil)
        }
        self.facts = facts
    }

    static func read(
        where condition: String, _ values: [String?], _ connection: inout PostgresConnection
    ) throws(StoreError) -> [AdvisoryRow] {
        let rows = try connection.query(
            "SELECT \(columns) FROM backfeed_store.advisory WHERE \(condition) FOR UPDATE", values,
            as: "read advisories")
        var found: [AdvisoryRow] = []
        for row in rows {
            guard let item = AdvisoryRow(row) else {
                throw StoreError(
                    .conflict, "read advisories", message: "\((row.first ?? nil) ?? "a row") cannot be read")
            }
            found.append(item)
        }
        return found
    }

    /// The row that a spell stands in; where it starts, the open one of the same cause takes it over.
    static func find(
        spell facts: AdvisoryFacts, area: Int32, isStart: Bool, _ connection: inout PostgresConnection
    ) throws(StoreError) -> AdvisoryRow? {
        if let row = try read(where: "spell = $1", [facts.id], &connection).first { return row }
        guard isStart else { return nil }
        return try read(
            where: "area_id = $1 AND kind = $2 AND element = $3 AND state <> 'closed'",
            [String(area), facts.kind.rawValue, facts.element], &connection
        ).first
    }

    /// Goes to another state, and says so.
    ///
    /// - Parameters:
    ///   - rises: raised or worse: an acknowledgement for an earlier version is refused from now on.
    ///   - isPart: it is about to become a part of another, which is what people are asked to look at.
    ///   - time: of the data, or of the act.
    mutating func take(
        _ move: AdvisoryLifecycle.Move, rises: Bool = false, isPart: Bool = false, actor: String, note: String? = nil,
        at time: Timestamp,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> StoredEvent {
        let isNew = state != move.state
        var annunciates = move.state == .unacknowledgedActive && (isNew || rises) && !isPart
        if annunciates, severity <= .medium, !hasChildren {
            annunciates = try !AdvisoryStore.isFlooded(facts.feeder, &connection)
        }
        version += 1
        if rises || isNew && move.state == .unacknowledgedActive { lastRise = version }
        (state, isActive) = (move.state, move.isActive)
        if ![.acknowledgedActive, .latchedAcknowledged, .closed].contains(move.state) {
            (acknowledgedBy, acknowledgedAt) = (nil, nil)
        }
        let isHeld = move.state == .shelved || move.state == .outOfService
        if isNew, !isHeld { held = nil }
        // Only what holds, and is looked at, is part of something that does.
        if isHeld || !move.isActive && move.state != .suppressed { parent = nil }
        try store(isNew: isNew, &connection)
        return try record(
            type: move.type, actor: actor, note: note, annunciates: annunciates, at: time, &connection)
    }

    func store(isNew: Bool = false, _ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory (id, area_id, kind, feeder, element, state, severity, onset, raised_at, \
            ended_at, cleared_at, version, last_rise, acknowledged_by, acknowledged_at, facts, is_active, occurrence, \
            spell, parent, held_by, held_until, held_reason, proposed_by) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
            $22, $23, $24) ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity, \
            raised_at = excluded.raised_at, ended_at = excluded.ended_at, cleared_at = excluded.cleared_at, \
            version = excluded.version, last_rise = excluded.last_rise, acknowledged_by = excluded.acknowledged_by, \
            acknowledged_at = excluded.acknowledged_at, facts = excluded.facts, is_active = excluded.is_active, \
            occurrence = excluded.occurrence, spell = excluded.spell, parent = excluded.parent, \
            held_by = excluded.held_by, held_until = excluded.held_until, held_reason = excluded.held_reason, \
            proposed_by = excluded.proposed_by, proposed_at = CASE WHEN excluded.proposed_by IS NULL THEN NULL \
            WHEN excluded.proposed_by = backfeed_store.advisory.proposed_by THEN backfeed_store.advisory.proposed_at \
            ELSE now() END, \
            changed_at = CASE WHEN $25 THEN now() ELSE backfeed_store.advisory.changed_at END
            """,
            [
                id, String(area), facts.kind.rawValue, facts.feeder, facts.element, state?.rawValue,
                String(severity.rawValue), onset.description, facts.raisedAt.description, facts.endedAt?.description,
                facts.clearedAt?.description, String(version), String(lastRise), acknowledgedBy,
                acknowledgedAt?.description, JSONCoding.encode(facts), isActive ? "t" : "f", String(occurrence), spell,
                parent, held?.by, held?.until.description, held?.reason, held?.isProposed ?? false ? held?.by : nil,
                isNew ? "t" : "f",
            ], as: "store advisory")
    }

    var advisory: Advisory {
        var shown = facts
        (shown.id, shown.severity, shown.onset, shown.occurrence) = (id, severity, onset, occurrence)
        return Advisory(
            facts: shown, state: state ?? .closed, isActive: isActive, version: version, parent: parent,
            acknowledgedBy: acknowledgedBy, acknowledgedAt: acknowledgedAt, held: held)
    }

    /// Numbers and stores an event. The counter's row lock keeps the numbers gapless and in commit order.
    private func record(
        type: String, actor: String, note: String?, annunciates: Bool, at time: Timestamp,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> StoredEvent {
        let rows = try connection.query(
            "UPDATE backfeed_store.event_counter SET last = last + 1 RETURNING last", as: "number event")
        guard let sequence = rows.first?[0].flatMap(Int64.init) else {
            throw StoreError(.statementFailed, "number event", message: "the counter is empty")
        }
        let event = CloudEvent(
            id: "\(id)/\(version)", source: "/backfeed/analyser", type: "org.backfeed.advisory.\(type)", subject: id,
            time: time, sequence: sequence, note: note, data: advisory)
        let stored = StoredEvent(
            sequence: sequence, topic: "advisory/1/\(facts.feeder)/\(facts.kind.rawValue)", type: event.type,
            json: JSONCoding.encode(event))
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory_event (sequence, area_id, advisory_id, type, actor, topic, event, \
            annunciates, severity, feeder, note, spell, own_severity, own_onset, own_occurrence, watermark) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
            """,
            [
                String(sequence), String(area), id, type, actor, stored.topic, stored.json, annunciates ? "t" : "f",
                String(severity.rawValue), facts.feeder, note, spell, String(facts.severity.rawValue),
                facts.onset.description, String(facts.occurrence), facts.watermark.description,
            ], as: "store event")
        return stored
    }
}
