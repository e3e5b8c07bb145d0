internal import Foundation
public import GridModel

/// How good a feeder's forecasts were, by week and horizon, beside taking the present for the future (`domain-rules.md` B.5).
///
/// W, unless a name says otherwise. A figure that nothing stands behind is left out.
public struct ForecastSkill: Sendable, Equatable, Encodable {
    /// A forecast beside what was measured; W, FLOW.
    public struct Pair: Sendable, Equatable {
        public var aheadMin: Int
        public var time: Timestamp
        /// At ``ForecastRun/levels``.
        public var quantiles: [Double]
        public var persistence, reverseProbability, measured: Double

        public init(
            aheadMin: Int, time: Timestamp, quantiles: [Double], persistence: Double, reverseProbability: Double,
            measured: Double
        ) {
            self.aheadMin = aheadMin
            self.time = time
            self.quantiles = quantiles
            self.persistence = persistence
            self.reverseProbability = reverseProbability
            self.measured = measured
        }
    }

    public struct Horizon: Sendable, Equatable, Encodable {
        public var aheadMin: Int
        public var runs = 0
        public var rmseW, maeW, biasW, nrmsePct, persistenceRmseW: Double
        /// 1 - RMSE over that of persistence; above 0: better than it.
        public var skill: Double?
        /// Mean over the quantiles that are forecast.
        public var pinballW: Double
        /// Of what was measured, between P20 and P80, and between P05 and P95.
        public var within60Pct, within90Pct: Double
        /// Reverse power beyond the threshold: times that it was, that it was expected, and both.
        public var reversed, expected, hits: Int
        /// hits/reversed, false/expected, hits over all that was either.
        public var detection, falseAlarms, success: Double?
        public var brier: Double

        private enum CodingKeys: String, CodingKey {
            case aheadMin, runs, rmseW, maeW, biasW, nrmsePct, persistenceRmseW, skill, pinballW, reversed, expected,
                hits
            case detection, falseAlarms, success, brier
            case within60Pct = "within_60_pct"
            case within90Pct = "within_90_pct"
        }
    }

    public struct Week: Sendable, Equatable, Encodable {
        /// Monday 00:00 UTC.
        public var starts: Timestamp
        public var horizons: [Horizon]
        /// Onsets of reverse power, those that were expected beforehand, and how long before.
        public var onsets, foreseen: Int
        public var meanLeadMin: Double?
    }

    public var feeder: String
    public var from, until: Timestamp
    public var weeks: [Week] = []

    /// - Parameters:
    ///   - pairs: by time.
    ///   - rating: VA of the head.
    ///   - threshold: W that count as reverse power, positive.
    ///   - start: probability from which it counts as expected.
    public init(
        feeder: String, from: Timestamp, until: Timestamp, pairs: [Pair], rating: Double, threshold: Double,
        start: Double
    ) {
        self.feeder = feeder
        self.from = from
        self.until = until
        let week = 7 * 86_400.0
        // 1970-01-05 was a Monday.
        let monday = Timestamp(microseconds: 4 * 86_400_000_000)
        for (number, members) in Dictionary(grouping: pairs, by: { (($0.time - monday) / week).rounded(.down) }).sorted(
            by: { $0.key < $1.key })
        {
            let horizons = Dictionary(grouping: members, by: \.aheadMin).sorted { $0.key < $1.key }.map {
                Self.judge($0.value, ahead: $0.key, rating, threshold, start)
            }
            var made = Week(starts: monday + number * week, horizons: horizons, onsets: 0, foreseen: 0)
            Self.lead(members, threshold, start, &made)
            weeks.append(made)
        }
    }

    private static func judge(
        _ pairs: [Pair], ahead: Int, _ rating: Double, _ threshold: Double, _ start: Double
    ) -> Horizon {
        let count = Double(pairs.count)
        func mean(_ value: (Pair) -> Double) -> Double { pairs.reduce(0) { $0 + value($1) } / count }
        func round(_ value: Double, _ places: Double = 1) -> Double { (value * places).rounded() / places }
        let rmse = mean { square($0.measured - $0.quantiles[2]) }.squareRoot()
        let persistence = mean { square($0.measured - $0.persistence) }.squareRoot()
        let pinball = mean { pair in
            zip(ForecastRun.levels, pair.quantiles).reduce(0) { sum, item in
                let over = pair.measured - item.1
                return sum + max(item.0 * over, (item.0 - 1) * over)
            } / Double(ForecastRun.levels.count)
        }
        func within(_ low: Int, _ high: Int) -> Double {
            round(
                mean { $0.measured >= $0.quantiles[low] && $0.measured <= $0.quantiles[high] ? 100 : 0 }, 10)
        }
        let reversed = pairs.count { $0.measured <= -threshold }
        let expected = pairs.count { $0.reverseProbability >= start }
        let hits = pairs.count { $0.measured <= -threshold && $0.reverseProbability >= start }
        func share(_ part: Int, _ all: Int) -> Double? { all > 0 ? round(Double(part) / Double(all), 1000) : nil }
        return Horizon(
            aheadMin: ahead, runs: pairs.count, rmseW: round(rmse),
            maeW: round(mean { abs($0.measured - $0.quantiles[2]) }),
            biasW: round(mean { $0.quantiles[2] - $0.measured }), nrmsePct: round(rmse / rating * 100, 100),
            persistenceRmseW: round(persistence), skill: persistence > 0 ? round(1 - rmse / persistence, 1000) : nil,
            pinballW: round(pinball), within60Pct: within(1, 3), within90Pct: within(0, 4), reversed: reversed,
            expected: expected, hits: hits, detection: share(hits, reversed),
            falseAlarms: share(expected - hits, expected),
            success: share(hits, reversed + expected - hits),
            brier: round(mean { square($0.reverseProbability - ($0.measured <= -threshold ? 1 : 0)) }, 10_000))
    }

    private static func square(_ value: Double) -> Double { value * value }

    /// An onset is foreseen by the earliest of the horizons that expected reverse power at its time.
    private static func lead(_ pairs: [Pair], _ threshold: Double, _ start: Double, _ week: inout Week) {
        var previous: (time: Timestamp, measured: Double)?
        var leads = 0.0
        for (time, members) in Dictionary(grouping: pairs, by: \.time).sorted(by: { $0.key < $1.key }) {
            let measured = members[0].measured
            if let previous, time - previous.time <= ForecastRun.cadence, previous.measured > -threshold,
                measured <= -threshold
            {
                week.onsets += 1
                let ahead = members.filter { $0.reverseProbability >= start }.map(\.aheadMin).max()
                if let ahead {
                    week.foreseen += 1
                    leads += Double(ahead)
                }
            }
            previous = (time, measured)
        }
        if week.foreseen > 0 { week.meanLeadMin = (leads / Double(week.foreseen) * 10).rounded() / 10 }
    }
}
