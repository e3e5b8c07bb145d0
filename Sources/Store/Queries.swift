public import GridModel

/// What the API and the commands read. JSON comes from PostgreSQL itself: it is quicker at it, and nothing is kept twice.
public struct Queries: ~Copyable {
    var session: DatabaseSession
    private let conninfo: String

    public init(conninfo: String, deadlineMilliseconds: Int = 60_000) {
        self.conninfo = conninfo
        session = DatabaseSession(conninfo, deadlineMilliseconds: deadlineMilliseconds)
    }

    /// Runs a statement on this session; for the few writes that belong to no store of their own.
    public mutating func use<R>(_ body: (inout PostgresConnection) throws(StoreError) -> R) throws(StoreError) -> R {
        try session.use(body)
    }

    /// The networks of a time; `known` is loaded already.
    public func networks(from: Timestamp, until: Timestamp, known: StoredNetwork) throws -> NetworkHistory {
        try NetworkHistory.load(from: from, until: until, known: known, conninfo)
    }

    public mutating func probe() throws(StoreError) {
        try session.use { connection throws(StoreError) in _ = try connection.query("SELECT 1", as: "probe") }
    }

    public struct AdvisoryFilter: Sendable {
        public var activeOnly = false
        public var openOnly = false
        public var state: String?
        public var feeder: String?
        public var kind: String?
        public var since: Timestamp?
        public var limit = 500
        public var offset = 0
        public init() {}
    }

    /// Advisories as JSON texts, newest onset first.
    public mutating func advisories(_ filter: AdvisoryFilter) throws(StoreError) -> [String] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT \(Advisory.json) FROM backfeed_store.advisory \
                WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR feeder = $2) \
                AND ($3::text IS NULL OR kind = $3) AND ($4::timestamptz IS NULL OR raised_at >= $4 OR cleared_at >= $4) \
                AND ($5::bool IS FALSE OR is_active) \
                AND ($6::bool IS FALSE OR state <> 'closed') \
                ORDER BY onset DESC, id LIMIT $7 OFFSET $8
                """,
                [
                    filter.state, filter.feeder, filter.kind, filter.since?.description, filter.activeOnly ? "t" : "f",
                    filter.openOnly ? "t" : "f", String(filter.limit), String(filter.offset),
                ], as: "list advisories"
            ).compactMap { $0[0] }
        }
    }

    /// One advisory with its history, its parts and the newest verdict of each plan that was judged with it, as JSON; `nil`
    /// when there is none.
    public mutating func advisory(_ id: String) throws(StoreError) -> String? {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT \(Advisory.json) || jsonb_build_object('history', (SELECT coalesce(jsonb_agg(jsonb_build_object( \
                'sequence', e.sequence, 'type', e.type, 'actor', e.actor, 'note', e.note, 'recorded_at', \(SQL.rfc3339("e.recorded_at")), \
                'version', (e.event::jsonb #> '{data,version}'), 'severity', (e.event::jsonb #> '{data,severity}'), 'state', (e.event::jsonb #> '{data,state}')) \
                ORDER BY e.sequence), '[]') FROM backfeed_store.advisory_event e WHERE e.advisory_id = a.id), 'children', (SELECT coalesce(jsonb_agg(c.id ORDER BY c.id), '[]') \
                FROM backfeed_store.advisory c WHERE c.parent = a.id), 'amendments', (SELECT coalesce(jsonb_agg(\(Self.amendment) ORDER BY m.number), '[]') \
                FROM backfeed_store.advisory_amendment m WHERE m.advisory_id = a.id), 'plans', (SELECT coalesce(jsonb_agg(jsonb_build_object('plan', v.plan, \
                'decision', v.decision, 'assessed_at', \(SQL.rfc3339("v.assessed_at"))) ORDER BY v.plan), '[]') FROM (SELECT DISTINCT ON (plan) plan, decision, \
                assessed_at FROM backfeed_store.switching_verdict WHERE document::jsonb #> '{evidence,advisories}' ? a.id ORDER BY plan, id DESC) v)) \
                FROM backfeed_store.advisory a WHERE id = $1
                """, [id], as: "read advisory"
            ).first?[0]
        }
    }

    /// One amendment as JSON, from a row `m` of `backfeed_store.advisory_amendment`.
    private static let amendment = """
        jsonb_build_object('number', m.number, 'recorded_at', \(SQL.rfc3339("m.recorded_at")), 'change', m.change, 'retro', m.advisory_id IS NULL, \
        'advisory', m.advisory_id, 'kind', m.kind, 'feeder', m.feeder, 'element', m.element, 'said', m.said, \
        'before', \(said("m.before")), 'after', \(said("m.after")), 'watermark', \(SQL.rfc3339("m.watermark")), \
        'late', jsonb_build_object('from', \(SQL.rfc3339("m.late_from")), 'until', \(SQL.rfc3339("m.late_until")), 'samples', m.late_samples))
        """

    /// What counts of a stored spell.
    private static func said(_ column: String) -> String {
        let fields = [
            "detector", "severity", "onset", "raised_at", "ended_at", "cleared_at", "peak", "cause", "message",
            "watermark",
        ].map { "'\($0)', \(column) -> '\($0)'" }.joined(separator: ", ")
        return "CASE WHEN \(column) IS NULL THEN NULL ELSE jsonb_build_object(\(fields)) END"
    }

    /// What late samples changed in what had been said, as JSON texts, the newest first.
    ///
    /// - Parameter since: recorded then or later.
    public mutating func amendments(
        feeder: String?, since: Timestamp?, until: Timestamp?, limit: Int, offset: Int
    ) throws(StoreError) -> [String] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT \(Self.amendment) FROM backfeed_store.advisory_amendment m WHERE ($1::text IS NULL OR m.feeder = $1) \
                AND ($2::timestamptz IS NULL OR m.recorded_at >= $2) AND ($3::timestamptz IS NULL OR m.recorded_at < $3) \
                ORDER BY m.number DESC LIMIT $4 OFFSET $5
                """,
                [feeder, since?.description, until?.description, String(limit), String(offset)],
                as: "list amendments"
            ).compactMap { $0[0] }
        }
    }

    /// Active advisories of a feeder, by severity.
    public struct ActiveCounts: Sendable {
        /// Those that stand for themselves; and whatever is of severity 1 or 2 and told at another place.
        public var own: [Int: Int] = [:]
        /// Milder ones that are part of what is told at another place.
        public var parts: [Int: Int] = [:]
        public init() {}
    }

    /// Active advisories by feeder. What is part of another at the same feeder stands in that, which has the worse severity
    /// of both.
    public mutating func activeCounts() throws(StoreError) -> [String: ActiveCounts] {
        try session.use { connection throws(StoreError) in
            var counts: [String: ActiveCounts] = [:]
            for row in try connection.query(
                """
                SELECT a.feeder, a.severity, a.state = 'suppressed' AND a.severity > 2 AND p.id IS NOT NULL, count(*) \
                FROM backfeed_store.advisory a LEFT JOIN backfeed_store.advisory p ON p.id = a.parent AND p.is_active \
                WHERE a.is_active AND (a.state <> 'suppressed' OR p.id IS NULL OR p.feeder <> a.feeder) GROUP BY 1, 2, 3
                """, as: "count advisories")
            {
                guard let feeder = row[0], let severity = row[1].flatMap(Int.init), let count = row[3].flatMap(Int.init)
                else { continue }
                if row[2] == "t" {
                    counts[feeder, default: ActiveCounts()].parts[severity] = count
                } else {
                    counts[feeder, default: ActiveCounts()].own[severity] = count
                }
            }
            return counts
        }
    }

    /// The newest profile minute of each feeder, to show something before the first new one arrives.
    public mutating func latestMinutes() throws(StoreError) -> [[String?]] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT DISTINCT ON (feeder) feeder, \(SQL.rfc3339("time")), net_w, der_coverage \
                FROM backfeed_store.feeder_profile_1m WHERE feeder = normal_feeder ORDER BY feeder, time DESC
                """, as: "read latest minutes")
        }
    }

    // MARK: Profiles

    /// Buckets and the table each is read from: the finest that divides it.
    public static let buckets: [String: (interval: String, table: String)] = [
        "1m": ("1 minute", "1m"), "5m": ("5 minutes", "1m"), "15m": ("15 minutes", "15m"), "1h": ("1 hour", "15m"),
        "1d": ("1 day", "1d"),
    ]

    /// Columns of a profile row behind `time`, in order.
    public static let profileColumns = [
        "net_w", "net_min_w", "net_max_w", "reactive_var", "voltage_pu", "voltage_min_pu", "voltage_max_pu", "pv_w",
        "battery_w", "ev_charger_w", "other_der_w", "native_w", "reverse_wh", "forward_wh", "head_coverage",
        "der_coverage",
    ]

    /// A row of a table: its time, then numbers, NaN where there is none. False ends the reading.
    public typealias NumberRow = (Timestamp, UnsafeBufferPointer<Double>) -> Bool

    /// Which DER are a feeder's. What its head measures is as it was switched, in any case.
    public enum DERView: String, Sendable, CaseIterable {
        /// Those that it fed at the time.
        case switched
        /// Those that it feeds in the normal switching state, wherever they were fed.
        case normal
    }

    /// Profile of a feeder, row by row: ``profileColumns``.
    public mutating func profile(
        feeder: String, from: Timestamp, until: Timestamp, bucket: String, view: DERView = .switched, _ body: NumberRow
    ) throws(StoreError) {
        guard let bucket = Self.buckets[bucket] else {
            throw StoreError(.setUpFailed, "read profile", message: "no bucket \(bucket)")
        }
        let table = "backfeed_store.feeder_profile_\(bucket.table)"
        // Of a feeder that is fed in parts from elsewhere, a time has several rows.
        let parts: [String: String] = ["pv_w": "sum", "battery_w": "sum", "ev_charger_w": "sum", "other_der_w": "sum"]
        let whole: [String: String] = [
            "net_min_w": "min", "net_max_w": "max", "voltage_min_pu": "min", "voltage_max_pu": "max",
            "reverse_wh": "sum",
            "forward_wh": "sum",
        ]
        let columns = Self.profileColumns
        try session.use { connection throws(StoreError) in
            // With its area the feeder's rows are one stretch of the primary key, in order of time.
            let areas = try connection.query(
                """
                SELECT id FROM backfeed_store.area a WHERE EXISTS (SELECT FROM \(table) p WHERE p.area_id = a.id AND p.feeder = $1)
                """, [feeder], as: "find area"
            ).compactMap { $0[0] }
            guard !areas.isEmpty || view == .normal else { return }
            let here =
                areas.isEmpty
                ? "IN (NULL)" : areas.count == 1 ? "= \(areas[0])" : "IN (\(areas.joined(separator: ", ")))"
            let range = "time >= \(SQL.literal(from.description)) AND time < \(SQL.literal(until.description))"
            let own = "area_id \(here) AND feeder = \(SQL.literal(feeder)) AND \(range)"
            let source =
                switch view {
                case .switched: "\(table) WHERE \(own)"
                case .normal:
                    """
                    (SELECT * FROM \(table) WHERE \(own) AND normal_feeder = feeder UNION ALL SELECT * FROM \(table) \
                    WHERE normal_feeder = \(SQL.literal(feeder)) AND feeder <> normal_feeder AND \(range)) AS own
                    """
                }
            let switched = """
                SELECT time, \(columns.map { "\(parts[$0] ?? "max")(\($0)) AS \($0)" }.joined(separator: ", ")) FROM \(source) GROUP BY time
                """
            let binned = """
                SELECT date_bin('\(bucket.interval)', time, 'epoch') AS time, \
                \(columns.map { "\(whole[$0] ?? "avg")(\($0)) AS \($0)" }.joined(separator: ", ")) FROM (\(switched)) AS switched GROUP BY 1
                """
            let isStored = Self.stored.contains(bucket.interval)
            try Self.numbers(
                "SELECT time, \(columns.map { "\($0)::float8" }.joined(separator: ", ")) FROM (\(isStored ? switched : binned)) AS rows ORDER BY time",
                count: columns.count, as: "read profile", &connection, body)
        }
    }

    /// Buckets that are stored as they are.
    private static let stored: Set<String> = ["1 minute", "15 minutes", "1 day"]

    /// - Parameter select: a timestamptz, then `count` columns of float8.
    private static func numbers(
        _ select: String, count: Int, as operation: String, _ connection: inout PostgresConnection, _ body: NumberRow
    ) throws(StoreError) {
        let values = UnsafeMutableBufferPointer<Double>.allocate(capacity: count)
        defer { values.deallocate() }
        // A row that is not as asked for must not look like the end of the table.
        var isMalformed = false
        try connection.copyOut(select, as: operation) { bytes in
            var row = CopyRow(bytes)
            let time = row.time()
            for column in 0..<count { values[column] = row.float8() }
            guard let time, !row.isMalformed else {
                isMalformed = true
                return false
            }
            return body(time, UnsafeBufferPointer(values))
        }
        if isMalformed { throw StoreError(.conflict, operation, message: "a row is not a time and \(count) numbers") }
    }

    /// First and last time of a feeder's profile; `nil` without one.
    public mutating func profileRange(feeder: String) throws(StoreError) -> (first: Timestamp, last: Timestamp)? {
        try session.use { connection throws(StoreError) in
            let row = try connection.query(
                "SELECT \(SQL.rfc3339("min(time)")), \(SQL.rfc3339("max(time)")) FROM backfeed_store.feeder_profile_1m WHERE feeder = $1",
                [feeder], as: "read profile range"
            ).first
            guard let first = row?[0].flatMap({ Timestamp($0) }), let last = row?[1].flatMap({ Timestamp($0) }) else {
                return nil
            }
            return (first, last)
        }
    }

    /// Columns of a sample behind `time`, in order; `quality` is a set of bits.
    public static let sampleColumns = [
        "active_power_w", "reactive_power_var", "voltage_v", "current_a", "frequency_hz", "state_of_charge_pct",
        "interval_s", "quality",
    ]

    /// Raw samples of a device, row by row: ``sampleColumns``.
    public mutating func samples(
        device: String, from: Timestamp, until: Timestamp, _ body: NumberRow
    ) throws(StoreError) {
        let columns = Self.sampleColumns.map { "s.\($0)::float8" }.joined(separator: ", ")
        try session.use { connection throws(StoreError) in
            try Self.numbers(
                """
                SELECT s.time, \(columns) FROM backfeed_store.sample s JOIN backfeed_store.device d ON d.id = s.device_id \
                WHERE d.name = \(SQL.literal(device)) AND s.time >= \(SQL.literal(from.description)) \
                AND s.time < \(SQL.literal(until.description)) ORDER BY s.time
                """, count: Self.sampleColumns.count, as: "read samples", &connection, body)
        }
    }

    /// What `doctor` looks at.
    public struct Health: Sendable {
        /// Reason, count, time of the newest.
        public var rejects: [[String?]]
        /// Aggregator, gaps that are open, messages in them.
        public var gaps: [[String?]]
        /// Aggregator, reason, first and last message (null: not known), from, until; of the last seven days.
        public var losses: [[String?]]
        public var defaultRows: Int
    }

    public mutating func health() throws(StoreError) -> Health {
        try session.use { connection throws(StoreError) in
            Health(
                rejects: try connection.query(
                    "SELECT reason, count(*), \(SQL.rfc3339("max(received_at)")) FROM backfeed_store.rejected_sample GROUP BY 1 ORDER BY 2 DESC",
                    as: "count rejects"),
                gaps: try connection.query(
                    "SELECT aggregator, count(*), sum(last_sequence - first_sequence + 1) FROM backfeed_store.stream_gap GROUP BY 1 ORDER BY 1",
                    as: "count gaps"),
                losses: try connection.query(
                    """
                    SELECT aggregator, reason, first_sequence, last_sequence, \(SQL.rfc3339("after_time")), \
                    \(SQL.rfc3339("before_time")) FROM backfeed_store.data_gap \
                    WHERE declared_at > now() - interval '7 days' ORDER BY declared_at DESC LIMIT 20
                    """, as: "list losses"),
                defaultRows: try connection.query(
                    "SELECT count(*) FROM backfeed_store.sample_default", as: "count default partition"
                ).first?[0].flatMap(Int.init) ?? 0)
        }
    }
}
