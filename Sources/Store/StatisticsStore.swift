public import GridModel

extension Queries {
    /// Quarter hours of a feeder with their local time: time, month, quarter of the day, ISO weekday, net, native, PV,
    /// chargers, reverse Wh, head and DER coverage, and whether switching had changed the feeder (`t`).
    ///
    /// - Parameter zone: IANA name.
    public mutating func quarterHours(
        feeder: String, from: Timestamp, until: Timestamp, zone: String, _ body: ([String?]) -> Bool
    ) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.stream(
                """
                WITH here AS (SELECT time, max(net_w) AS net_w, max(native_w) AS native_w, sum(pv_w) AS pv_w, \
                sum(ev_charger_w) AS ev_w, \
                max(reverse_wh) AS reverse_wh, max(head_coverage) AS head, max(der_coverage) AS der, count(*) > 1 AS moved_here \
                FROM backfeed_store.feeder_profile_15m WHERE feeder = $1 AND time >= $2 AND time < $3 GROUP BY time), \
                away AS (SELECT DISTINCT time FROM backfeed_store.feeder_profile_15m \
                WHERE normal_feeder = $1 AND feeder <> $1 AND time >= $2 AND time < $3) \
                SELECT \(SQL.rfc3339("h.time")), extract(month FROM l.at)::int, \
                (extract(hour FROM l.at) * 4 + floor(extract(minute FROM l.at) / 15))::int, extract(isodow FROM l.at)::int, \
                net_w, native_w, pv_w, ev_w, reverse_wh, head, der, moved_here OR away.time IS NOT NULL, l.at::date - date '1970-01-01' \
                FROM here h LEFT JOIN away ON away.time = h.time \
                CROSS JOIN LATERAL (SELECT h.time AT TIME ZONE $4 AS at) AS l ORDER BY h.time
                """, [feeder, from.description, until.description, zone], as: "read quarter hours", body)
        }
    }

    /// Native load of some feeders together between 10 and 14 h local: its fifth lowest quarter hour (the lowest ones are
    /// mostly bad data), the quarter hours in which all of them are known, and these as part of all since the first.
    ///
    /// - Returns: load in W, `nil` with fewer than five quarter hours; completeness 0 to 1.
    public mutating func minimumDaytimeLoad(
        feeders: [String], from: Timestamp, until: Timestamp, zone: String
    ) throws(StoreError) -> (load: Double?, quarters: Int, completeness: Double) {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query(
                """
                WITH quarter AS (SELECT time, sum(native_w) AS load, count(native_w) AS known \
                FROM backfeed_store.feeder_profile_15m WHERE feeder = ANY ($1) AND normal_feeder = feeder \
                AND time >= $2 AND time < $3 AND head_coverage >= 0.5 AND der_coverage >= 0.8 \
                AND extract(hour FROM time AT TIME ZONE $4) BETWEEN 10 AND 13 GROUP BY time), \
                whole AS (SELECT load FROM quarter WHERE known = cardinality($1::text[])) \
                SELECT (SELECT load FROM whole ORDER BY load OFFSET 4 LIMIT 1), (SELECT count(*) FROM whole), \
                (SELECT count(*) FROM whole) / greatest(1, 16 * ceil(extract(epoch FROM $3::timestamptz - min(time)) / 86400)) \
                FROM quarter
                """, [SQL.array(feeders), from.description, until.description, zone], as: "read minimum daytime load")
            guard let row = rows.first else { return (nil, 0, 0) }
            return (
                row[0].flatMap { Double($0) }, row[1].flatMap { Int($0) } ?? 0,
                min(1, row[2].flatMap { Double($0) } ?? 0)
            )
        }
    }

    /// A device while it was at home at a feeder.
    public struct Stay: Sendable {
        /// `device.id`, and V of 1 pu.
        public var id: Int32
        public var voltageBase: Double
        public var from, until: Timestamp

        public init(id: Int32, voltageBase: Double, from: Timestamp, until: Timestamp) {
            self.id = id
            self.voltageBase = voltageBase
            self.from = from
            self.until = until
        }
    }

    /// Ten-minute voltages of a feeder's points by device and local week: device, Monday, whether low voltage, valid
    /// windows, within ±10 %, within the outer limits. Windows of an interruption are left out.
    public mutating func voltageWeeks(
        of stays: [Stay], zone: String
    ) throws(StoreError) -> [[String?]] {
        func list(_ item: (Stay) -> String) -> String { "{\(stays.map(item).joined(separator: ","))}" }
        guard !stays.isEmpty else { return [] }
        return try session.use { connection throws(StoreError) in
            try connection.query(
                """
                WITH stay AS (SELECT * FROM unnest($1::int4[], $2::float8[], $3::timestamptz[], $4::timestamptz[]) \
                AS p(id, base, since, until)), \
                windows AS (SELECT d.name, p.base < 1000 AS is_low, \
                date_trunc('week', date_bin('10 minutes', s.time, 'epoch') AT TIME ZONE $5) AS week, \
                sqrt(avg((s.voltage_v::float8 / p.base) ^ 2)) AS pu, min(s.voltage_v / p.base) AS lowest \
                FROM stay p JOIN backfeed_store.device d ON d.id = p.id \
                JOIN backfeed_store.sample s ON s.device_id = p.id AND s.time >= p.since AND s.time < p.until \
                WHERE s.voltage_v IS NOT NULL AND s.quality & 4095 = 0 \
                AND s.time >= (SELECT min(since) FROM stay) AND s.time < (SELECT max(until) FROM stay) \
                GROUP BY d.name, is_low, week, date_bin('10 minutes', s.time, 'epoch')) \
                SELECT name, week::date, is_low, count(*), count(*) FILTER (WHERE pu BETWEEN 0.9 AND 1.1), \
                count(*) FILTER (WHERE pu BETWEEN 0.85 AND CASE WHEN is_low THEN 1.1 ELSE 1.15 END) \
                FROM windows WHERE lowest >= 0.1 GROUP BY name, week, is_low ORDER BY week, name
                """,
                [
                    list { "\($0.id)" }, list { "\($0.voltageBase)" }, list { $0.from.description },
                    list { $0.until.description }, zone,
                ], as: "read voltage weeks")
        }
    }
}
