public import GridModel

/// What stands at a desk now.
public struct DeskLoad: Sendable, Encodable {
    public var desk: String
    public var feeders: [String]?
    public var rates: AdvisoryRates
    /// Active, not part of another, not silenced: by severity 1 to 3.
    public var standing: [String: Int]
    public var unacknowledged: Int
    /// Standing for more than a day.
    public var stale: Int
    public var shelved, outOfService: Int
    /// `nil`: there is no flood.
    public var floodSince: Timestamp?
}

extension AdvisoryStore {
    public mutating func deskLoads(
        _ desks: [Desk], from: Timestamp, until: Timestamp
    ) throws(StoreError) -> [DeskLoad] {
        try session.use { connection throws(StoreError) in
            let happenings = try Self.happenings(from: from, until: until, &connection)
            let open = try connection.query(
                """
                SELECT feeder, severity, state, is_active, changed_at < now() - interval '24 hours' \
                FROM backfeed_store.advisory WHERE state NOT IN ('closed', 'suppressed')
                """, as: "read standing advisories")
            let floods = try connection.query(
                "SELECT desk, \(SQL.rfc3339("started_at")) FROM backfeed_store.advisory_flood WHERE ended_at IS NULL",
                as: "read floods")
            return desks.map { desk in
                let mine = open.filter { desk.covers($0[0] ?? "", among: desks) }
                let serious = mine.filter { ($0[1].flatMap(Int.init) ?? 4) <= 3 }
                let standing = serious.filter { $0[3] == "t" && $0[2]?.hasSuffix("_active") ?? false }
                return DeskLoad(
                    desk: desk.name, feeders: desk.feeders?.sorted(),
                    rates: AdvisoryRates(
                        happenings.filter { desk.covers($0.feeder, among: desks) }, from: from, until: until),
                    standing: Dictionary(
                        ["1", "2", "3"].map { severity in (severity, standing.count { $0[1] == severity }) },
                        uniquingKeysWith: { first, _ in first }),
                    unacknowledged: serious.count { $0[2]?.contains("unacknowledged") ?? false },
                    stale: standing.count { $0[4] == "t" }, shelved: mine.count { $0[2] == "shelved" },
                    outOfService: mine.count { $0[2] == "out_of_service" },
                    floodSince: floods.first { $0[0] == desk.name }.flatMap { $0[1].flatMap { Timestamp($0) } })
            }
        }
    }

    private static func happenings(
        from: Timestamp, until: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [AdvisoryRates.Happening] {
        try connection.query(
            """
            SELECT e.annunciates, e.type, \(SQL.rfc3339("e.recorded_at")), a.id, a.kind, a.feeder, a.element, e.severity \
            FROM backfeed_store.advisory_event e JOIN backfeed_store.advisory a ON a.id = e.advisory_id \
            WHERE e.recorded_at >= $1 AND e.recorded_at < $2 \
            AND (e.annunciates OR e.type IN ('acknowledged', 'cleared') \
            OR e.type = 'closed' AND e.actor NOT IN ('analyser', 'service')) ORDER BY e.sequence
            """, [from.description, until.description], as: "read what was annunciated"
        ).compactMap { row in
            guard let time = row[2].flatMap({ Timestamp($0) }), let id = row[3], let kind = row[4],
                let feeder = row[5], let element = row[6],
                let severity = row[7].flatMap(Int.init).flatMap(Severity.init(rawValue:))
            else { return nil }
            let what: AdvisoryRates.Happening.What =
                row[0] == "t" ? .annunciated : row[1] == "cleared" ? .cleared : .acknowledged
            return .init(
                what, at: time, advisory: id, kind: kind, feeder: feeder, element: element, severity: severity)
        }
    }

    /// Begins and ends floods: new in ten minutes, more than `above` begin one, fewer than `below` end it.
    ///
    /// - Returns: what began or ended, in words.
    public mutating func watchFloods(
        _ desks: [Desk], above: Int = 10, below: Int = 5, now: Timestamp
    ) throws(StoreError) -> [String] {
        try session.use { connection throws(StoreError) in
            let recent = try Self.happenings(from: now - 600, until: now + 60, &connection)
                .filter { $0.what == .annunciated && $0.severity >= .medium }
            let floods = Set(
                try connection.query(
                    "SELECT desk FROM backfeed_store.advisory_flood WHERE ended_at IS NULL", as: "read floods"
                ).compactMap { $0[0] })
            var said: [String] = []
            for desk in desks {
                let count = recent.count { desk.covers($0.feeder, among: desks) }
                if !floods.contains(desk.name), count > above {
                    let feeders = desk.feeders.map { "{\($0.sorted().joined(separator: ","))}" }
                    try connection.query(
                        "INSERT INTO backfeed_store.advisory_flood VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        [desk.name, feeders, now.description], as: "begin flood")
                    said.append("\(desk.name): \(count) new advisories in 10 minutes, a flood begins")
                } else if floods.contains(desk.name), count < below {
                    try connection.query(
                        "UPDATE backfeed_store.advisory_flood SET ended_at = $2 WHERE desk = $1 AND ended_at IS NULL",
                        [desk.name, now.description], as: "end flood")
                    said.append("\(desk.name): \(count) new advisories in 10 minutes, the flood is over")
                }
            }
            return said
        }
    }

    /// In a flood only what is serious, or has others as its parts, asks for attention; the rest is listed in silence.
    static func isFlooded(_ feeder: String, _ connection: inout PostgresConnection) throws(StoreError) -> Bool {
        try !connection.query(
            """
            SELECT FROM backfeed_store.advisory_flood WHERE ended_at IS NULL AND (feeders IS NULL OR $1 = ANY (feeders))
            """, [feeder], as: "read floods"
        ).isEmpty
    }
}
