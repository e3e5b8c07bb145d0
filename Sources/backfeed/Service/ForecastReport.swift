internal import Analysis
internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// A forecast as people and programs see it. W, negative: reverse.
struct ForecastReport: Encodable {
    struct Horizon: Encodable {
        var time: Timestamp
        var aheadMin: Int
        var p05W, p20W, p50W, p80W, p95W, loadW, pvW: Double
        var reverseProbability, overloadProbability: Double
        var method: String
    }

    var feeder: String
    var madeAt: Timestamp
    var netW, pvW, clearness: Double
    var isSwitched: Bool
    var horizons: [Horizon]

    init(_ run: ForecastRun) {
        func whole(_ value: Float) -> Double { Double(value).rounded() }
        func share(_ value: Float) -> Double { (Double(value) * 1000).rounded() / 1000 }
        feeder = run.feeder
        madeAt = run.madeAt
        (netW, pvW, clearness) = (whole(run.net), whole(run.photovoltaic), share(run.clearness))
        isSwitched = run.isSwitched
        horizons = run.horizons.map { item in
            Horizon(
                time: run.madeAt + item.seconds, aheadMin: Int(item.seconds / 60), p05W: whole(item.quantiles[0]),
                p20W: whole(item.quantiles[1]), p50W: whole(item.quantiles[2]), p80W: whole(item.quantiles[3]),
                p95W: whole(item.quantiles[4]), loadW: whole(item.load), pvW: whole(item.photovoltaic),
                reverseProbability: share(item.reverse), overloadProbability: share(item.overload),
                method: item.method.rawValue)
        }
    }

    /// Days of skill without a range.
    private static let standardDays = 28.0

    /// - Returns: `nil`: there is no forecast.
    static func skill(
        _ feeder: String, from: Timestamp?, until: Timestamp?, settings: Settings, stored: StoredNetwork,
        _ queries: inout Queries
    ) throws -> ForecastSkill? {
        guard let range = try queries.forecastRange(feeder: feeder) else { return nil }
        let until = until ?? range.last + ForecastRun.cadence
        let from = from ?? max(range.first, until - standardDays * 86_400)
        var pairs: [ForecastSkill.Pair] = []
        try queries.forecastErrors(feeder: feeder, from: from, until: until) { row in
            let numbers = row.map { $0.flatMap(Double.init) ?? .nan }
            if let time = row[2].flatMap({ Timestamp($0) }) {
                pairs.append(
                    .init(
                        aheadMin: Int(numbers[0]), time: time, quantiles: Array(numbers[3..<8]),
                        persistence: numbers[8], reverseProbability: numbers[9], measured: numbers[10]))
            }
            return true
        }
        let analysis = settings.analysis(nominalFrequency: stored.network.nominalFrequency)
        let limits = analysis.limits(of: feeder, registry: stored.registry)
        return ForecastSkill(
            feeder: feeder, from: from, until: until, pairs: pairs, rating: limits.rating,
            threshold: limits.reverseOnThreshold, start: analysis.forecastStart)
    }
}

/// That there is none is an answer too: a page that asks every minute has no error to show.
struct NoForecast: Encodable {
    var feeder: String
    var horizons: [ForecastReport.Horizon] = []
    var reason = "there is no forecast: the feeder's head has not been measured for long enough"
}

extension ServiceBackend {
    func forecast(feeder: String) throws -> String? {
        guard live.graph.feederIndex[feeder] != nil else { return nil }
        return try sessions.use { queries throws in
            guard let run = try queries.newestForecast(feeder: feeder) else {
                return JSONCoding.encode(NoForecast(feeder: feeder))
            }
            return JSONCoding.encode(ForecastReport(run))
        }
    }

    func forecastSkill(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String? {
        guard live.graph.feederIndex[feeder] != nil else { return nil }
        return try sessions.use { queries throws in
            guard
                let made = try ForecastReport.skill(
                    feeder, from: from, until: until, settings: settings, stored: live.stored, &queries)
            else { throw APIError.notFound("feeder \(feeder) has no forecast yet") }
            return JSONCoding.encode(made)
        }
    }
}
