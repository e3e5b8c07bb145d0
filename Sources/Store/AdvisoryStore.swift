public import GridModel

/// An event as published: its number, topic and CloudEvent.
public struct StoredEvent: Sendable, Equatable {
    public var sequence: Int64
    public var topic: String
    public var type: String
    /// CloudEvents 1.0 JSON, one line.
    public var json: String
}

/// A whole advisory, as the interface shows it: what the analyser said and what people did with it.
public struct Advisory: Sendable, Encodable {
    public var facts: AdvisoryFacts
    public var state: AdvisoryState
    public var version: Int
    public var parent: String?
    public var acknowledgedBy: String?
    public var acknowledgedAt: Timestamp?

    private enum Key: String, CodingKey { case state, version, parent, acknowledgedBy, acknowledgedAt }

    public func encode(to encoder: any Encoder) throws {
        try facts.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(state, forKey: .state)
        try container.encode(version, forKey: .version)
        try container.encode(parent, forKey: .parent)
        try container.encode(acknowledgedBy, forKey: .acknowledgedBy)
        try container.encode(acknowledgedAt, forKey: .acknowledgedAt)
    }
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
    var data: Advisory
}

/// Advisories: row, event row and number in one transaction, so that a restart repeats and never skips.
public struct AdvisoryStore: ~Copyable {
    private var session: DatabaseSession

    /// - Parameter deadlineMilliseconds: for each call; a server that stands still is then given up as lost.
    public init(conninfo: String, deadlineMilliseconds: Int = 60_000, lockMilliseconds: Int? = nil) {
        session = DatabaseSession(
            conninfo, deadlineMilliseconds: deadlineMilliseconds, lockMilliseconds: lockMilliseconds)
    }

    /// One analyser output, with the positions it stands for.
    public struct Commit: Sendable {
        public var reports: [AdvisoryReport] = []
        public var areaOfFeeder: [String: Int32] = [:]
        public var positions: [String: (head: Timestamp, minute: Timestamp)] = [:]
        public init() {}
    }

    /// Stores what the analyser found; returns the events to publish, in order.
    ///
    /// - Parameter rollUp: minutes, of this and earlier commits, whose quarter hours and days are now brought up to date.
    ///   It costs more than all the rest, so an advisory does not wait for it.
    public mutating func commit(
        _ commit: Commit, profile: ProfileBatch, rollUp: [ProfileBatch.Row], now: Timestamp
    ) throws(StoreError)
        -> [StoredEvent]
    {
        try session.use { connection throws(StoreError) in
            try connection.transaction("store advisories") { connection throws(StoreError) in
                var events: [StoredEvent] = []
                for report in commit.reports {
                    let area = commit.areaOfFeeder[report.facts.feeder] ?? 0
                    if let event = try Self.apply(report, area: area, now: now, &connection) { events.append(event) }
                }
                try profile.store(&connection)
                if !rollUp.isEmpty { try ProfileBatch.rollUp(rollUp, &connection) }
                if !commit.positions.isEmpty {
                    let positions = commit.positions.map {
                        StoredPosition(name: $0, head: $1.head, minute: $1.minute)
                    }
                    try connection.query(
                        """
                        INSERT INTO backfeed_store.analyser_position SELECT name, head, minute \
                        FROM jsonb_to_recordset($1::jsonb) AS p(name text, head timestamptz, minute timestamptz) \
                        ON CONFLICT (name) DO UPDATE SET head = excluded.head, minute = excluded.minute
                        """, [JSONCoding.encode(positions)], as: "store positions")
                }
                return events
            }
        }
    }

    private struct StoredPosition: Encodable {
        var name: String
        var head: Timestamp
        var minute: Timestamp
    }

    private static func apply(
        _ report: AdvisoryReport, area: Int32, now: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) -> StoredEvent? {
        let facts = report.facts
        let known = try connection.query(
            """
            SELECT state, version, last_rise, severity, acknowledged_by, \(SQL.rfc3339("acknowledged_at")) \
            FROM backfeed_store.advisory WHERE id = $1 FOR UPDATE
            """, [facts.id], as: "read advisory")
        let row = known.first
        let state = row.flatMap { $0[0] }.flatMap(AdvisoryState.init(rawValue:))
        let version = row.flatMap { $0[1] }.flatMap(Int.init) ?? 0
        var lastRise = row.flatMap { $0[2] }.flatMap(Int.init) ?? 0
        let severity = row.flatMap { $0[3] }.flatMap(Int.init).flatMap(Severity.init(rawValue:)) ?? .note
        let event: AdvisoryLifecycle.Event
        switch report.change {
        case .start: event = .start
        case .severity: event = facts.severity > severity ? .severityRose : .severityFell
        case .cause, .uncertain, .certain: event = .amended
        case .clear: event = .clear
        }
        guard case .moved(let next, let type) = AdvisoryLifecycle.outcome(of: event, in: state) else {
            // A cause that is settled after the advisory was cleared: the facts are kept, nobody is told again.
            if report.change == .cause, state != nil {
                try connection.query(
                    "UPDATE backfeed_store.advisory SET facts = $2 WHERE id = $1",
                    [facts.id, JSONCoding.encode(facts)],
                    as: "amend advisory")
            }
            return nil
        }
        if event == .start || event == .severityRose { lastRise = version + 1 }
        var advisory = Advisory(facts: facts, state: next, version: version + 1)
        let keepsAcknowledgement = next == .acknowledgedActive || next == .closed
        advisory.acknowledgedBy = keepsAcknowledgement ? row?[4] : nil
        advisory.acknowledgedAt = keepsAcknowledgement ? row?[5].flatMap { Timestamp($0) } : nil
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory (id, area_id, kind, feeder, element, state, severity, onset, raised_at, \
            ended_at, cleared_at, version, last_rise, acknowledged_by, acknowledged_at, facts) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
            ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity, \
            raised_at = excluded.raised_at, ended_at = excluded.ended_at, cleared_at = excluded.cleared_at, \
            version = excluded.version, last_rise = excluded.last_rise, acknowledged_by = excluded.acknowledged_by, \
            acknowledged_at = excluded.acknowledged_at, facts = excluded.facts
            """,
            [
                facts.id, String(area), facts.kind.rawValue, facts.feeder, facts.element, next.rawValue,
                String(facts.severity.rawValue), facts.onset.description, facts.raisedAt.description,
                facts.endedAt?.description, facts.clearedAt?.description, String(version + 1), String(lastRise),
                advisory.acknowledgedBy, advisory.acknowledgedAt?.description, JSONCoding.encode(facts),
            ], as: "store advisory")
        return try record(advisory, type: type, actor: "analyser", area: area, time: facts.watermark, &connection)
    }

    /// Numbers and stores an event. The counter's row lock keeps the numbers gapless and in commit order.
    private static func record(
        _ advisory: Advisory, type: String, actor: String, area: Int32, time: Timestamp,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> StoredEvent {
        let rows = try connection.query(
            "UPDATE backfeed_store.event_counter SET last = last + 1 RETURNING last", as: "number event")
        guard let sequence = rows.first?[0].flatMap(Int64.init) else {
            throw StoreError(.statementFailed, "number event", message: "the counter is empty")
        }
        let event = CloudEvent(
            id: "\(advisory.facts.id)/\(advisory.version)", source: "/backfeed/analyser",
            type: "org.backfeed.advisory.\(type)", subject: advisory.facts.id, time: time, sequence: sequence,
            data: advisory)
        let stored = StoredEvent(
            sequence: sequence, topic: "advisory/1/\(advisory.facts.feeder)/\(advisory.facts.kind.rawValue)",
            type: event.type, json: JSONCoding.encode(event))
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory_event (sequence, area_id, advisory_id, type, actor, topic, event) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """, [String(sequence), String(area), advisory.facts.id, type, actor, stored.topic, stored.json],
            as: "store event")
        return stored
    }

    /// After a restart: the minutes of the last days whose coarser rows a crash may have left behind.
    public mutating func rollUpRecent() throws(StoreError) {
        try session.use { connection throws(StoreError) in
            for (source, target, width) in [("1m", "15m", "15 minutes"), ("15m", "1d", "1 day")] {
                try connection.query(
                    """
                    SELECT backfeed_store.roll_up('backfeed_store.feeder_profile_\(source)', \
                    'backfeed_store.feeder_profile_\(target)', '\(width)', area_id, ARRAY[feeder], \
                    max(time) - interval '2 days', max(time)) \
                    FROM backfeed_store.feeder_profile_\(source) GROUP BY area_id, feeder
                    """, as: "roll up profile")
            }
        }
    }

    // MARK: People

    public enum Outcome: Sendable {
        case done(StoredEvent)
        case unknown
        case refused(String)
    }

    /// Acknowledges; a refusal is recorded too.
    public mutating func acknowledge(_ id: String, version: Int?, actor: String, now: Timestamp) throws(StoreError)
        -> Outcome
    {
        try session.use { connection throws(StoreError) in
            try connection.transaction("acknowledge") { connection throws(StoreError) in
                let rows = try connection.query(
                    "SELECT state, version, last_rise, facts, area_id FROM backfeed_store.advisory WHERE id = $1 FOR UPDATE",
                    [id], as: "read advisory")
                guard let row = rows.first, let state = row[0].flatMap(AdvisoryState.init(rawValue:)),
                    let current = row[1].flatMap(Int.init), let rise = row[2].flatMap(Int.init),
                    let facts = row[3].flatMap({ try? JSONCoding.decode(AdvisoryFacts.self, $0) })
                else { return .unknown }
                switch AdvisoryLifecycle.outcome(
                    of: .acknowledge(version: version), in: state, version: current, lastRise: rise)
                {
                case .refused(let reason):
                    try AuditLog.append(
                        actor: actor, "advisory.acknowledge.refused", subject: id,
                        ["reason": reason, "version": version.map(String.init) ?? "none"], &connection)
                    return .refused(reason)
                case .moved(let next, let type):
                    try connection.query(
                        """
                        UPDATE backfeed_store.advisory SET state = $2, version = version + 1, acknowledged_by = $3, \
                        acknowledged_at = $4 WHERE id = $1
                        """, [id, next.rawValue, actor, now.description], as: "acknowledge")
                    var advisory = Advisory(facts: facts, state: next, version: current + 1)
                    advisory.acknowledgedBy = actor
                    advisory.acknowledgedAt = now
                    try AuditLog.append(
                        actor: actor, "advisory.acknowledged", subject: id,
                        ["version": "\(current)", "state": next.rawValue], &connection)
                    let area = row[4].flatMap(Int32.init) ?? 0
                    return .done(
                        try Self.record(advisory, type: type, actor: actor, area: area, time: now, &connection))
                }
            }
        }
    }

    // MARK: Reading

    /// Events after a number, oldest first.
    public mutating func events(after sequence: Int64, limit: Int) throws(StoreError) -> [StoredEvent] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT sequence, topic, type, event FROM backfeed_store.advisory_event WHERE sequence > $1 \
                ORDER BY sequence LIMIT $2
                """, [String(sequence), String(limit)], as: "read events"
            ).compactMap { row in
                guard let number = row[0].flatMap(Int64.init), let topic = row[1], let type = row[2], let json = row[3]
                else { return nil }
                return StoredEvent(sequence: number, topic: topic, type: "org.backfeed.advisory.\(type)", json: json)
            }
        }
    }

    /// Number of the newest event that has been published.
    public mutating func published() throws(StoreError) -> Int64 {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query("SELECT published FROM backfeed_store.event_counter", as: "read counter")
            return rows.first?[0].flatMap(Int64.init) ?? 0
        }
    }

    public mutating func markPublished(_ sequence: Int64) throws(StoreError) {
        _ = try session.use { connection throws(StoreError) in
            // Not in the transaction that numbers events: it must never wait for us. A lost update only repeats events.
            try connection.query(
                "UPDATE backfeed_store.event_counter SET published = greatest(published, $1)", [String(sequence)],
                as: "mark published")
        }
    }

    /// What a restarted analyser needs: positions, and the newest advisory of each kind and element.
    public mutating func restartState() throws(StoreError) -> (
        positions: [String: (head: Timestamp, minute: Timestamp)], latest: [AdvisoryFacts]
    ) {
        try session.use { connection throws(StoreError) in
            var positions: [String: (head: Timestamp, minute: Timestamp)] = [:]
            for row in try connection.query(
                "SELECT name, \(SQL.rfc3339("head")), \(SQL.rfc3339("minute")) FROM backfeed_store.analyser_position",
                as: "read positions")
            {
                if let name = row[0], let head = row[1].flatMap({ Timestamp($0) }),
                    let minute = row[2].flatMap({ Timestamp($0) })
                {
                    positions[name] = (head, minute)
                }
            }
            // Open ones, and the newest of each key: a cleared one may be opened again within the re-arm time.
            let rows = try connection.query(
                """
                SELECT DISTINCT ON (kind, element) facts FROM backfeed_store.advisory \
                ORDER BY kind, element, (state IN ('unacknowledged_active', 'acknowledged_active')) DESC, raised_at DESC
                """, as: "read advisories")
            let latest = rows.compactMap { $0[0].flatMap { try? JSONCoding.decode(AdvisoryFacts.self, $0) } }
            return (positions, latest)
        }
    }
}
