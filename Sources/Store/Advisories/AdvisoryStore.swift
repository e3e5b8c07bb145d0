public import GridModel

/// An event as published: its number, topic and CloudEvent.
public struct StoredEvent: Sendable, Equatable {
    public var sequence: Int64
    public var topic: String
    public var type: String
    /// CloudEvents 1.0 JSON, one line.
    public var json: String

    /// Its name on server-sent events.
    public var kind: String { topic.hasPrefix("advisory/") ? "advisory" : "restored" }
}

/// Advisories: row, event row and number in one transaction, so that a restart repeats and never skips.
///
/// What the analyser found goes in through ``commit(_:profile:)``, what people do through
/// ``act(_:on:by:role:answersFor:reason:now:)``, what time does through ``expire(now:banks:)``.
public struct AdvisoryStore: ~Copyable {
    var session: DatabaseSession
    let limits: AdvisoryLifecycle.Limits

    /// - Parameters:
    ///   - deadlineMilliseconds: for each call; a server that stands still is then given up as lost.
    ///   - limits: of what people do and time does.
    public init(
        conninfo: String, deadlineMilliseconds: Int = 60_000, lockMilliseconds: Int? = nil,
        limits: AdvisoryLifecycle.Limits = .init()
    ) {
        self.limits = limits
        session = DatabaseSession(
            conninfo, deadlineMilliseconds: deadlineMilliseconds, lockMilliseconds: lockMilliseconds)
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
                let isAdvisory = topic.hasPrefix("advisory/")
                return StoredEvent(
                    sequence: number, topic: topic, type: "org.backfeed.\(isAdvisory ? "advisory." : "")\(type)",
                    json: json)
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
                ORDER BY kind, element, is_active DESC, raised_at DESC
                """, as: "read advisories")
            let latest = rows.compactMap { $0[0].flatMap { try? JSONCoding.decode(AdvisoryFacts.self, $0) } }
            return (positions, latest)
        }
    }
}
