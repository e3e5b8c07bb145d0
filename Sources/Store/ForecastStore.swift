public import GridModel

/// Forecasts as the store keeps them: a row a run, arrays by horizon.
struct ForecastRow: Encodable {
    private var madeAt: Timestamp
    private var netW, nativeW, pvW, pvRatingW, otherW, clearness: Float
    private var isSwitched: Bool
    private var loadW, pvForecastW, modelW, p05W, p20W, p50W, p80W, p95W: [Float]
    private var reverseProbability, overloadProbability, emergencyProbability: [Float]
    private var isPersistence: [Bool]
    private var sky: [Int]
    private var areaId: Int32
    private var feeder: String

    init(_ run: ForecastRun, area: Int32) {
        madeAt = run.madeAt
        (netW, nativeW, pvW, pvRatingW) = (run.net, run.native, run.photovoltaic, run.photovoltaicRating)
        (otherW, clearness, isSwitched) = (run.other, run.clearness, run.isSwitched)
        func each(_ value: (ForecastRun.Horizon) -> Float) -> [Float] { run.horizons.map(value) }
        (loadW, pvForecastW, modelW) = (each(\.load), each(\.photovoltaic), each(\.model))
        (p05W, p20W, p50W) = (each { $0.quantiles[0] }, each { $0.quantiles[1] }, each { $0.quantiles[2] })
        (p80W, p95W) = (each { $0.quantiles[3] }, each { $0.quantiles[4] })
        (reverseProbability, overloadProbability) = (each(\.reverse), each(\.overload))
        emergencyProbability = each(\.emergency)
        isPersistence = run.horizons.map { $0.method == .persistence }
        sky = run.horizons.map(\.sky.rawValue)
        areaId = area
        feeder = run.feeder
    }

    private static let columns = """
        made_at, net_w, native_w, pv_w, pv_rating_w, other_w, clearness, is_switched, load_w, pv_forecast_w, model_w, p05_w, \
        p20_w, p50_w, p80_w, p95_w, reverse_probability, overload_probability, emergency_probability, is_persistence, sky, \
        area_id, feeder
        """

    static func store(_ rows: [ForecastRow], _ connection: inout PostgresConnection) throws(StoreError) {
        guard !rows.isEmpty else { return }
        try connection.query(
            """
            INSERT INTO backfeed_store.forecast (\(columns)) SELECT \(columns) \
            FROM jsonb_populate_recordset(NULL::backfeed_store.forecast, $1::jsonb) \
            ON CONFLICT (area_id, feeder, made_at) DO NOTHING
            """, [JSONCoding.encode(rows)], as: "store forecasts")
    }

    static let selected =
        "feeder, \(SQL.rfc3339("made_at")), net_w, native_w, pv_w, pv_rating_w, other_w, clearness, is_switched, "
        + [
            "load_w", "pv_forecast_w", "model_w", "reverse_probability", "overload_probability",
            "emergency_probability", "p05_w", "p20_w", "p50_w", "p80_w", "p95_w", "is_persistence::int[]", "sky",
        ].map { "array_to_string(\($0), ',')" }.joined(separator: ", ")

    /// A row of ``selected``; `nil`: it does not have the form of one.
    static func run(_ row: [String?]) -> ForecastRun? {
        let numbers = row[2..<8].map { $0.flatMap(Float.init) ?? .nan }
        let lists = row[9...].map { $0?.split(separator: ",").compactMap { Float($0) } ?? [] }
        let count = ForecastRun.horizons.count
        guard let feeder = row[0], let madeAt = row[1].flatMap({ Timestamp($0) }),
            lists.count == 13, lists.allSatisfy({ $0.count == count })
        else { return nil }
        let horizons = (0..<count).map { place in
            ForecastRun.Horizon(
                seconds: ForecastRun.horizons[place], load: lists[0][place], photovoltaic: lists[1][place],
                model: lists[2][place], method: lists[11][place] == 1 ? .persistence : .profile,
                sky: ForecastRun.Sky(rawValue: Int(lists[12][place])) ?? .mixed,
                quantiles: (6...10).map { lists[$0][place] }, reverse: lists[3][place], overload: lists[4][place],
                emergency: lists[5][place])
        }
        return ForecastRun(
            feeder: feeder, area: "", madeAt: madeAt, net: numbers[0], native: numbers[1], photovoltaic: numbers[2],
            photovoltaicRating: numbers[3], other: numbers[4], clearness: numbers[5], isSwitched: row[8] == "t",
            horizons: horizons)
    }
}

extension AdvisoryStore {
    /// Stored runs, oldest first, in portions of a day: those that something is learned from, and all from a time on.
    public mutating func forecasts(
        from: Timestamp, until: Timestamp, allFrom: Timestamp, _ body: ([ForecastRun]) -> Void
    ) throws(StoreError) {
        var day = from
        while day <= until {
            let next = day + 86_400
            let rows = try session.use { connection throws(StoreError) in
                try connection.query(
                    """
                    SELECT \(ForecastRow.selected) FROM backfeed_store.forecast \
                    WHERE made_at >= $1 AND made_at < $2 AND made_at <= $3 \
                    AND (made_at >= $4 OR extract(epoch FROM made_at)::int8 % \(Int(ForecastRun.lesson)) = 0) \
                    ORDER BY made_at, feeder
                    """, [day.description, next.description, until.description, allFrom.description],
                    as: "read forecasts")
            }
            body(rows.compactMap(ForecastRow.run))
            day = next
        }
    }

    /// Drops runs that nothing is learned from any more.
    ///
    /// - Parameter days: that are kept, back from the newest run.
    public mutating func dropForecasts(olderThanDays days: Int) throws(StoreError) {
        _ = try session.use { connection throws(StoreError) in
            try connection.query(
                """
                DELETE FROM backfeed_store.forecast \
                WHERE made_at < (SELECT max(made_at) FROM backfeed_store.forecast) - make_interval(days => $1)
                """, [String(days)], as: "drop old forecasts")
        }
    }
}

extension Queries {
    /// The newest run of a feeder; `nil`: there is none.
    public mutating func newestForecast(feeder: String) throws(StoreError) -> ForecastRun? {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT \(ForecastRow.selected) FROM backfeed_store.forecast WHERE feeder = $1 \
                ORDER BY made_at DESC LIMIT 1
                """, [feeder], as: "read forecast"
            ).first.flatMap(ForecastRow.run)
        }
    }

    /// Forecasts beside what was measured, oldest first: minutes ahead, made, for, P05, P20, P50, P80, P95, net when made,
    /// probability of reverse power, measured.
    public mutating func forecastErrors(
        feeder: String, from: Timestamp, until: Timestamp, _ body: ([String?]) -> Bool
    ) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.stream(
                """
                SELECT ahead_min, \(SQL.rfc3339("made_at")), \(SQL.rfc3339("time")), p05_w, p20_w, p50_w, p80_w, p95_w, \
                net_then_w, reverse_probability, measured_w FROM backfeed.forecast_error \
                WHERE feeder = $1 AND time >= $2 AND time < $3 ORDER BY time, ahead_min
                """, [feeder, from.description, until.description], as: "read forecast errors", body)
        }
    }

    /// Time of the newest run of a feeder, and of the first.
    public mutating func forecastRange(feeder: String) throws(StoreError) -> (first: Timestamp, last: Timestamp)? {
        try session.use { connection throws(StoreError) in
            let row = try connection.query(
                "SELECT \(SQL.rfc3339("min(made_at)")), \(SQL.rfc3339("max(made_at)")) FROM backfeed_store.forecast WHERE feeder = $1",
                [feeder], as: "read forecast range"
            ).first
            guard let first = row?[0].flatMap({ Timestamp($0) }), let last = row?[1].flatMap({ Timestamp($0) }) else {
                return nil
            }
            return (first, last)
        }
    }
}
