public import GridModel

/// Closed minutes of feeders on their way into the profile tables.
public struct ProfileBatch: Sendable {
    /// One row as SQL sees it; `nil` is NULL.
    public struct Row: Sendable, Encodable {
        public var time: Timestamp
        public var netW, netMinW, netMaxW, reactiveVar, voltagePu, voltageMinPu, voltageMaxPu: Double?
        public var pvW, batteryW, evChargerW, otherDerW: Double
        public var nativeW, reverseWh, forwardWh: Double?
        public var headCoverage, derCoverage: Double
        public var areaId: Int32
        public var feeder, normalFeeder: String

        public init(
            time: Timestamp, net: (mean: Double, minimum: Double, maximum: Double)?, reactive: Double?,
            voltage: (mean: Double, minimum: Double, maximum: Double)?, pv: Double, battery: Double, charger: Double,
            other: Double, native: Double?, reverse: Double?, forward: Double?, headCoverage: Double,
            derCoverage: Double,
            area: Int32, feeder: String, normalFeeder: String
        ) {
            self.time = time
            (netW, netMinW, netMaxW) = (net?.mean, net?.minimum, net?.maximum)
            reactiveVar = reactive
            (voltagePu, voltageMinPu, voltageMaxPu) = (voltage?.mean, voltage?.minimum, voltage?.maximum)
            (pvW, batteryW, evChargerW, otherDerW) = (pv, battery, charger, other)
            (nativeW, reverseWh, forwardWh) = (native, reverse, forward)
            self.headCoverage = headCoverage
            self.derCoverage = derCoverage
            areaId = area
            self.feeder = feeder
            self.normalFeeder = normalFeeder
        }
    }

    public var rows: [Row] = []
    public init() {}

    private static let columns = """
        time, net_w, net_min_w, net_max_w, reactive_var, voltage_pu, voltage_min_pu, voltage_max_pu, pv_w, battery_w, \
        ev_charger_w, other_der_w, native_w, reverse_wh, forward_wh, head_coverage, der_coverage, area_id, feeder, \
        normal_feeder
        """

    func store(_ connection: inout PostgresConnection) throws(StoreError) {
        guard !rows.isEmpty else { return }
        let updates = Self.columns.split(separator: ", ").dropFirst().dropLast(3).map { "\($0) = excluded.\($0)" }
            .joined(separator: ", ")
        try connection.query(
            """
            INSERT INTO backfeed_store.feeder_profile_1m (\(Self.columns)) SELECT \(Self.columns) \
            FROM jsonb_to_recordset($1::jsonb) AS r(time timestamptz, net_w float8, net_min_w float8, net_max_w float8, \
            reactive_var float8, voltage_pu float8, voltage_min_pu float8, voltage_max_pu float8, pv_w float8, \
            battery_w float8, ev_charger_w float8, other_der_w float8, native_w float8, reverse_wh float8, \
            forward_wh float8, head_coverage float4, der_coverage float4, area_id int4, feeder text, normal_feeder text) \
            ON CONFLICT (area_id, feeder, time, normal_feeder) DO UPDATE SET \(updates)
            """, [JSONCoding.encode(rows)], as: "store profile")
    }

    /// From when to when there are minutes, by feeder.
    public var spans: [ProfileSpan] {
        var found: [ProfileSpan.Key: ProfileSpan] = [:]
        for row in rows {
            let key = ProfileSpan.Key(area: row.areaId, feeder: row.feeder)
            found[key, default: ProfileSpan(key: key, first: row.time, last: row.time)].cover(row.time)
        }
        return Array(found.values)
    }

    /// Brings the coarser profiles up to date with the minutes of `spans`: a recomputation, so doing it late, or twice,
    /// gives the same.
    static func rollUp(_ spans: [ProfileSpan], _ connection: inout PostgresConnection) throws(StoreError) {
        // One at a time: who reads minutes before another's are stored must not write what it read after it.
        try connection.query("SELECT pg_advisory_xact_lock(\(AdvisoryLock.profiles.rawValue))", as: "roll up profile")
        for (area, members) in Dictionary(grouping: spans, by: \.key.area).sorted(by: { $0.key < $1.key }) {
            guard let first = members.map(\.first).min(), let last = members.map(\.last).max() else { continue }
            let feeders = "{" + members.map(\.key.feeder).sorted().map { "\"\($0)\"" }.joined(separator: ",") + "}"
            for (source, target, width) in [("1m", "15m", "15 minutes"), ("15m", "1d", "1 day")] {
                try connection.query(
                    """
                    SELECT backfeed_store.roll_up('backfeed_store.feeder_profile_\(source)', \
                    'backfeed_store.feeder_profile_\(target)', '\(width)', $1, $2, $3, $4)
                    """, [String(area), feeders, first.description, last.description], as: "roll up profile")
            }
        }
    }
}

/// Minutes of a feeder whose quarter hours and days are to be brought up to date.
public struct ProfileSpan: Sendable {
    public struct Key: Sendable, Hashable {
        public var area: Int32
        public var feeder: String
    }

    public let key: Key
    /// Begin of the first and of the last minute.
    public private(set) var first, last: Timestamp

    init(key: Key, first: Timestamp, last: Timestamp) {
        self.key = key
        self.first = first
        self.last = last
    }

    mutating func cover(_ time: Timestamp) {
        first = min(first, time)
        last = max(last, time)
    }

    public mutating func cover(_ other: ProfileSpan) {
        cover(other.first)
        cover(other.last)
    }
}

/// Profiles that late samples change: marks of what is to be made again, and its replacement.
public struct ProfileStore: ~Copyable {
    /// A quarter hour of a feeder whose profile is to be made again.
    public struct Amendment: Sendable, Hashable {
        public var area: Int32
        public var feeder: String
        public var quarter: Timestamp
        /// Grows with each late sample; it is done when it is still the one that was read.
        public var version: Int64
    }

    private var session: DatabaseSession

    public init(conninfo: String, deadlineMilliseconds: Int = 60_000) {
        session = DatabaseSession(conninfo, deadlineMilliseconds: deadlineMilliseconds)
    }

    /// Brings quarter hours and days up to date with the minutes of `spans`, one span a feeder.
    public mutating func rollUp(_ spans: [ProfileSpan]) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("roll up profile") { connection throws(StoreError) in
                try ProfileBatch.rollUp(spans, &connection)
            }
        }
    }

    private struct Mark: Encodable {
        var area: Int32
        var feeder: String
        var quarter: Timestamp
    }

    static func mark(
        _ amended: [String: (area: Int32, quarters: Set<Int64>)], _ connection: inout PostgresConnection
    ) throws(StoreError) {
        let marks = amended.flatMap { feeder, entry in
            entry.quarters.map {
                Mark(area: entry.area, feeder: feeder, quarter: Timestamp(microseconds: $0 * 900_000_000))
            }
        }
        // Ordered, so that two writers wait for each other and do not deadlock.
        try connection.query(
            """
            INSERT INTO backfeed_store.profile_amendment AS a (area_id, feeder, quarter) \
            SELECT area, feeder, quarter FROM jsonb_to_recordset($1::jsonb) AS m(area int4, feeder text, \
            quarter timestamptz) ORDER BY 1, 2, 3 \
            ON CONFLICT (area_id, feeder, quarter) DO UPDATE SET version = a.version + 1, marked_at = now()
            """, [JSONCoding.encode(marks)], as: "mark late samples")
    }

    /// Marks of a stretch of quarter hours that the analysis of their feeders has passed, the oldest first.
    ///
    /// - Parameters:
    ///   - quiet: seconds that nothing came late at all; what waits twelve times as long is not kept waiting.
    ///   - quarters: longest stretch.
    public mutating func due(quiet: Double, quarters: Int) throws(StoreError) -> [Amendment] {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query(
                """
                WITH newest AS (SELECT max(marked_at) AS at FROM backfeed_store.profile_amendment), \
                ready AS (SELECT a.* FROM newest, backfeed_store.profile_amendment a \
                JOIN backfeed_store.analyser_position p ON p.name = a.feeder \
                WHERE quarter + interval '15 minutes' <= p.minute \
                AND (newest.at < now() - make_interval(secs => $1::float8) \
                OR first_marked_at < now() - make_interval(secs => 12 * $1::float8))), \
                first AS (SELECT min(quarter) AS at FROM ready) \
                SELECT area_id, feeder, \(SQL.rfc3339("quarter")), version FROM ready, first \
                WHERE quarter < at + make_interval(mins => 15 * $2::int) ORDER BY quarter, area_id, feeder
                """, [String(quiet), String(quarters)], as: "read amendments")
            return rows.compactMap { row in
                guard let area = row[0].flatMap({ Int32($0) }), let feeder = row[1],
                    let quarter = row[2].flatMap({ Timestamp($0) }), let version = row[3].flatMap({ Int64($0) })
                else { return nil }
                return Amendment(area: area, feeder: feeder, quarter: quarter, version: version)
            }
        }
    }

    /// How many quarter hours wait, and where the analysis of each feeder stands.
    public mutating func standing() throws(StoreError) -> (waiting: Int, positions: [String: Timestamp]) {
        try session.use { connection throws(StoreError) in
            let waiting = try connection.query(
                "SELECT count(*) FROM backfeed_store.profile_amendment", as: "count amendments")
            var positions: [String: Timestamp] = [:]
            for row in try connection.query(
                "SELECT name, \(SQL.rfc3339("minute")) FROM backfeed_store.analyser_position", as: "read positions")
            {
                if let name = row[0], let time = row[1].flatMap({ Timestamp($0) }) { positions[name] = time }
            }
            return (waiting.first?[0].flatMap { Int($0) } ?? 0, positions)
        }
    }

    /// Where the switches stood, and how they moved.
    public mutating func positions(at time: Timestamp, until: Timestamp) throws(StoreError) -> (
        start: [String: SwitchPosition], moves: [NetworkStore.Move]
    ) {
        try session.use { connection throws(StoreError) in
            try NetworkStore.positions(at: time, until: until, &connection)
        }
    }

    private struct Done: Encodable {
        var area: Int32
        var feeder: String
        var quarter: Timestamp
        var version: Int64
    }

    /// Replaces the minutes, their quarter hours and days, and takes the marks away that were not renewed meanwhile.
    public mutating func amend(_ profile: ProfileBatch, done: [Amendment]) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("amend profile") { connection throws(StoreError) in
                try profile.store(&connection)
                if !profile.rows.isEmpty { try ProfileBatch.rollUp(profile.spans, &connection) }
                let marks = done.map {
                    Done(area: $0.area, feeder: $0.feeder, quarter: $0.quarter, version: $0.version)
                }
                try connection.query(
                    """
                    DELETE FROM backfeed_store.profile_amendment a USING jsonb_to_recordset($1::jsonb) \
                    AS d(area int4, feeder text, quarter timestamptz, version int8) WHERE a.area_id = d.area \
                    AND a.feeder = d.feeder AND a.quarter = d.quarter AND a.version = d.version
                    """, [JSONCoding.encode(marks)], as: "take marks away")
            }
        }
    }
}
