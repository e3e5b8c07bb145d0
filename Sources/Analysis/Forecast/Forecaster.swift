public import GridModel

/// One feeder's forecast: what it has learned from its own runs, and the next run (`domain-rules.md` B.5).
///
/// All memory comes from ``learn(_:)``, so that the stored runs of the last weeks, taken again in order, give the same
/// forecaster.
public struct Forecaster: Sendable {
    /// What a run starts from. W; `NaN`: not known.
    public struct Observation: Sendable {
        public var time: Timestamp
        public var net, native: Double
        public var photovoltaic, photovoltaicRating: Double
        public var other: Double
        /// Part of a level plane's clear-sky power in the middle of the half hour that PV is the mean of, and then; `NaN`:
        /// nobody knows where the network is.
        public var clearNow: Double
        public var clearThen: [Double]
        public var isSwitched: Bool
        /// var at the head.
        public var reactive: Double

        public init(
            time: Timestamp, net: Double, native: Double, photovoltaic: Double, photovoltaicRating: Double,
            other: Double, clearNow: Double, clearThen: [Double], isSwitched: Bool, reactive: Double
        ) {
            self.time = time
            self.net = net
            self.native = native
            self.photovoltaic = photovoltaic
            self.photovoltaicRating = photovoltaicRating
            self.other = other
            self.clearNow = clearNow
            self.clearThen = clearThen
            self.isSwitched = isSwitched
            self.reactive = reactive
        }
    }

    /// Of the head: W and VA.
    public struct Limits: Sendable {
        public var reverseThreshold, rating, emergencyRating: Double
        public init(reverseThreshold: Double, rating: Double, emergencyRating: Double) {
            (self.reverseThreshold, self.rating, self.emergencyRating) = (reverseThreshold, rating, emergencyRating)
        }
    }

    /// Days from which the usual load, and days from which errors are known.
    static let loadDays = 56.0
    static let errorDays = 28.0
    /// Fewer known errors of a kind than this say nothing; more than this many are not kept.
    private static let fewestErrors = 200
    private static let mostErrors = 500
    /// Days that are looked at to judge the method, and lessons that a day needs to count.
    private static let judgedDays = 14
    private static let lessonsOfDay = 24
    /// Clear-sky output of PV over that of a level plane, until days are known.
    private static let usualYield = 0.8

    private struct Error: Sendable {
        var day: Int32
        var value: Float
    }

    private struct Day: Sendable {
        var day: Int32
        var count = [Int](repeating: 0, count: ForecastRun.horizons.count)
        /// Squared errors of the model, and of taking the present for the future.
        var model = [Double](repeating: 0, count: ForecastRun.horizons.count)
        var persistence = [Double](repeating: 0, count: ForecastRun.horizons.count)
        /// Highest sun, and with the sun near noon the highest part of a level plane's clear-sky power that PV gave: tilted
        /// PV gives more than that in winter, and in the morning or the evening far more.
        var sun = 0.0
        var yield = 0.0
    }

    private var load = LoadHistory()
    /// By horizon and sky.
    private var errors = [[Error]](
        repeating: [], count: ForecastRun.horizons.count * ForecastRun.Sky.allCases.count)
    private var days: [Day] = []
    private var lessons: [ForecastRun] = []
    private var clearness = Float(1)

    public init() {}

    // MARK: A run

    public func run(
        _ seen: Observation, _ limits: Limits, _ calendar: LocalCalendar, feeder: String, area: String
    ) -> ForecastRun {
        let yield = self.yield
        let rating = seen.photovoltaicRating
        let now = seen.native - seen.net - seen.other
        // PV where there should be no sun: what is known of the place or of the time is wrong, and says nothing.
        let hasSun = !seen.clearNow.isNaN && !(now > 0.05 * rating && seen.clearNow * yield * rating < 0.3 * now)
        let clear = hasSun ? seen.clearNow * yield * rating : .nan
        let clearness =
            ForecastRules.clearness(seen.photovoltaic, clear: clear, rating: rating) ?? Double(self.clearness)
        let usualNow = load.usual(at: calendar.place(of: seen.time))
        let horizons = ForecastRun.horizons.indices.map { place in
            let seconds = ForecastRun.horizons[place]
            let clearThen = seen.clearThen[place] * yield * rating
            let usualThen = load.usual(at: calendar.place(of: seen.time + seconds))
            var native = seen.native
            if let usualNow, let usualThen, !seen.isSwitched {
                native = ForecastRules.load(seen.native, usualNow: usualNow, usualThen: usualThen, after: seconds)
            }
            // The half hour's clearness is steady, but late: what the last minutes differ from it goes on for a while.
            let late = now - clearness * clear
            let photovoltaic =
                clear.isNaN
                ? now
                : min(max(0, clearness * clearThen + ForecastRules.persisting(late, after: seconds)), 1.2 * clearThen)
            let model = Float(native - photovoltaic - seen.other)
            let isTrusted = !seen.isSwitched && !hasNoSkill(place)
            let sky = clear.isNaN ? .mixed : ForecastRules.sky(clearness, clearThen: clearThen, rating: rating)
            let spread = spread(place, sky, seen, limits)
            let centre = isTrusted ? Double(model) : Double(Float(seen.net))
            // What the head may carry of active power beside the reactive power that it carries now.
            let (free, most) = (
                Self.room(limits.rating, seen.reactive), Self.room(limits.emergencyRating, seen.reactive)
            )
            func outside(_ room: Double) -> Float {
                Float(spread.below(-room - centre) + 1 - spread.below(room - centre))
            }
            return ForecastRun.Horizon(
                seconds: seconds, load: Float(native), photovoltaic: Float(photovoltaic), model: model,
                method: isTrusted ? .profile : .persistence, sky: sky,
                quantiles: ForecastRun.levels.map { Float(centre + spread.quantile($0)) },
                reverse: Float(spread.below(-limits.reverseThreshold - centre)), overload: outside(free),
                emergency: outside(most))
        }
        return ForecastRun(
            feeder: feeder, area: area, madeAt: seen.time, net: Float(seen.net), native: Float(seen.native),
            photovoltaic: Float(seen.photovoltaic), photovoltaicRating: Float(rating), other: Float(seen.other),
            clearness: Float(clearness), isSwitched: seen.isSwitched, horizons: horizons)
    }

    private static func room(_ rating: Double, _ reactive: Double) -> Double {
        max(0, rating * rating - (reactive.isNaN ? 0 : reactive * reactive)).squareRoot()
    }

    private func spread(
        _ horizon: Int, _ sky: ForecastRun.Sky, _ seen: Observation, _ limits: Limits
    ) -> ErrorSpread {
        let first = Self.day(of: seen.time) - Int32(Self.errorDays)
        let known = errors[Self.kind(horizon, sky)].filter { $0.day >= first }
        guard known.count >= Self.fewestErrors else {
            return .assumed(
                sigma: ForecastRules.assumedSigma(
                    photovoltaicRating: seen.photovoltaicRating, headRating: limits.rating))
        }
        return .known(known.map { Double($0.value) }.sorted())
    }

    /// The model was worse than taking the present for the future, over the last days that count.
    public func hasNoSkill(_ horizon: Int) -> Bool {
        let judged = days.filter { $0.count[horizon] >= Self.lessonsOfDay }.suffix(Self.judgedDays)
        guard judged.count == Self.judgedDays else { return false }
        return judged.reduce(0) { $0 + $1.model[horizon] } > judged.reduce(0) { $0 + $1.persistence[horizon] }
    }

    private var yield: Double {
        let seen = days.reduce(0) { max($0, $1.yield) }
        return seen > 0 ? min(3, max(0.4, seen)) : Self.usualYield
    }

    // MARK: Learning

    /// - Parameter clear: part of a level plane's clear-sky power in the middle of the run's half hour.
    public mutating func learn(_ run: ForecastRun, _ calendar: LocalCalendar, clear: Double) {
        guard run.isLesson else { return }
        let day = Self.day(of: run.madeAt)
        if days.last?.day != day {
            days.append(Day(day: day))
            let first = day - Int32(Self.errorDays)
            days.removeAll { $0.day < first }
        }
        if !clear.isNaN { days[days.count - 1].sun = max(days[days.count - 1].sun, clear) }
        clearness = run.clearness
        lessons.removeAll { run.madeAt - $0.madeAt > ForecastRun.horizons.reduce(0, max) }
        if !run.isSwitched, !run.net.isNaN {
            for made in lessons where !made.isSwitched { compare(made, with: run) }
            if !run.native.isNaN { load.add(run.native, at: calendar.place(of: run.madeAt)) }
            let noon = days.dropLast().last?.sun ?? .infinity
            if clear >= max(0.05, 0.9 * noon), run.photovoltaicRating > 0 {
                let yield = Double(run.photovoltaic / run.photovoltaicRating) / clear
                days[days.count - 1].yield = max(days[days.count - 1].yield, yield)
            }
        }
        lessons.append(run)
    }

    private mutating func compare(_ made: ForecastRun, with run: ForecastRun) {
        for (place, horizon) in made.horizons.enumerated() where made.madeAt + horizon.seconds == run.madeAt {
            let kind = Self.kind(place, horizon.sky)
            errors[kind].append(Error(day: Self.day(of: run.madeAt), value: run.net - made.centre(horizon)))
            if errors[kind].count > Self.mostErrors { errors[kind].removeFirst() }
            let (model, persistence) = (Double(run.net - horizon.model), Double(run.net - made.net))
            days[days.count - 1].count[place] += 1
            days[days.count - 1].model[place] += model * model
            days[days.count - 1].persistence[place] += persistence * persistence
        }
    }

    private static func kind(_ horizon: Int, _ sky: ForecastRun.Sky) -> Int {
        horizon * ForecastRun.Sky.allCases.count + sky.rawValue
    }

    private static func day(of time: Timestamp) -> Int32 { Int32(time.microseconds / 86_400_000_000) }
}
