public import GridModel

/// What the loads and the DER of a feeder's normal fleet were in one quarter hour of the day, over some weeks of stored
/// profiles.
public struct ProfileQuantiles: Sendable, Decodable {
    public var feeder: String
    /// Saturday or Sunday, UTC.
    public var isWeekend: Bool
    /// Of the day, UTC: 0 to 95.
    public var quarter: Int
    /// With a known native load.
    public var days: Int
    /// W, 5th, 50th and 95th percentile. Loads take native; DER give the others (chargers: negative).
    public var native, pv, battery, evCharger, other: [Double]

    /// - Parameters:
    ///   - from: of the quarter hours that count, as `until`.
    public static func read(
        from: Timestamp, until: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [Self] {
        func quantiles(_ name: String) -> String {
            "percentile_cont(ARRAY[0.05, 0.5, 0.95]::float8[]) WITHIN GROUP (ORDER BY \(name))"
        }
        let rows = try connection.query(
            """
            SELECT coalesce(jsonb_agg(row), '[]') FROM (SELECT jsonb_build_object('feeder', normal_feeder, 'is_weekend', weekend, \
            'quarter', quarter, 'days', count(*), 'native', \(quantiles("native")), 'pv', \(quantiles("pv")), \
            'battery', \(quantiles("battery")), 'ev_charger', \(quantiles("ev")), 'other', \(quantiles("other"))) AS row FROM ( \
            SELECT normal_feeder, extract(isodow FROM time AT TIME ZONE 'UTC') > 5 AS weekend, \
            (extract(epoch FROM time)::bigint % 86400 / 900)::int AS quarter, \
            max(native_w) FILTER (WHERE feeder = normal_feeder) AS native, sum(pv_w) AS pv, sum(battery_w) AS battery, \
            sum(ev_charger_w) AS ev, sum(other_der_w) AS other FROM backfeed_store.feeder_profile_15m \
            WHERE time >= $1 AND time < $2 GROUP BY normal_feeder, time) AS quarters WHERE native IS NOT NULL \
            GROUP BY normal_feeder, weekend, quarter) AS found
            """, [from.description, until.description], as: "read profile quantiles")
        do {
            return try JSONCoding.decode([Self].self, rows.first?[0] ?? "[]")
        } catch {
            throw StoreError(.conflict, "read profile quantiles", message: "they cannot be read: \(error)")
        }
    }
}
