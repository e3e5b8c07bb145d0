internal import GridModel

/// What the feeder will do in the next hour, every five minutes (`domain-rules.md` B.5).
extension FeederState {
    /// - Parameters:
    ///   - stored: the run as it was made before a restart.
    ///   - isLoud: false before a restart's position: what was not stored then was not made.
    mutating func stepForecast(
        _ end: Timestamp, _ devices: [DeviceState], _ context: Context, stored: ForecastRun?, isLoud: Bool
    ) -> (reports: [AdvisoryReport], run: ForecastRun?) {
        let isMetered =
            limits.isMetered ?? hasSeenHead || reverseForecast.isActive || overloadForecast.isActive
            || voltageForecast.isActive
        guard isMetered, end.microseconds % Int64(ForecastRun.cadence * 1e6) == 0 else { return ([], nil) }
        let run = stored ?? (isLoud ? makeRun(end, context) : nil)
        if let run { forecaster.learn(run, context.calendar, clear: context.clearSky(end - 900)) }
        return (
            stepReverseForecast(run, end, context) + stepOverloadForecast(run, end, context)
                + stepVoltageForecast(run, end, devices, context), run
        )
    }

    /// `nil`: what is needed is not known.
    private func makeRun(_ end: Timestamp, _ context: Context) -> ForecastRun? {
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        // A fifth of the fleet's rating must report, as for the profiles.
        let fleet = minutes.newest(30).filter { $0.start >= end - 1800 && $0.derCoverage >= 0.2 }
        let now = fleet.filter { $0.start >= end - ForecastRun.cadence && !$0.net.isNaN }
        guard !isOut, now.count >= 3 else { return nil }
        let rating = ders.reduce(0.0) { sum, number in
            let device = context.model.registry.devices[number]
            return device.kind == .photovoltaic ? sum + device.rating : sum
        }
        let bins = headBins.newest(30).map(\.reactive).filter { !$0.isNaN }
        let seen = Forecaster.Observation(
            time: end, net: mean(now.map(\.net)), native: mean(now.map { $0.net + $0.fleet.total }),
            photovoltaic: mean(fleet.map(\.fleet.photovoltaic)), photovoltaicRating: rating,
            other: mean(now.map { $0.fleet.total - $0.fleet.photovoltaic }), clearNow: context.clearSky(end - 900),
            clearThen: ForecastRun.horizons.map { context.clearSky(end + $0) }, isSwitched: isSwitched,
            reactive: bins.isEmpty ? .nan : mean(bins))
        return forecaster.run(
            seen,
            .init(
                reverseThreshold: limits.reverseOnThreshold, rating: limits.rating,
                emergencyRating: limits.emergencyRating ?? .infinity),
            context.calendar, feeder: id, area: area)
    }

    private mutating func stepReverseForecast(
        _ run: ForecastRun?, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let (start, settings) = (end - ForecastRun.cadence, context.settings)
        var input = expired(reverseExpectedAt, end)
        var expected: ForecastRun.Horizon?
        if let run {
            // What is measured is no forecast any more.
            let isNow = reverse.isActive || Double(run.net) <= -limits.reverseOnThreshold
            let worst = run.horizons.map(\.reverse).reduce(0, max)
            expected =
                run.horizons.first { Double($0.reverse) >= settings.forecastStart }
                ?? run.horizons.first { $0.reverse == worst }
            let value = expected.map { Double($0.quantiles[2]) } ?? .nan
            input = .bin(
                on: !isNow && Double(worst) >= settings.forecastStart,
                off: isNow || Double(worst) < settings.forecastClear, value: value, badness: -value,
                severity: context.banksWithoutZeroSequence.contains(bank) ? .medium : .note)
            if !isNow, Double(worst) >= settings.forecastClear, let expected {
                reverseExpectedAt = end + expected.seconds
            }
        }
        let isMeasured = reverse.isActive
        var tracker = reverseForecast
        defer { reverseForecast = tracker }
        return tracker.step(start, width: ForecastRun.cadence, input, unit: "W", watermark: end) { facts in
            facts.detector = "FC_RPF"
            facts.limit = .init(
                value: -limits.reverseOnThreshold, unit: "W",
                source: "B.5: expected beyond it with a probability of forecast.start_probability")
            facts.contributors = contributors(context)
            describe(&facts, run, expected, probability: expected?.reverse, end, context)
            if facts.clearedAt != nil {
                facts.message =
                    isMeasured
                    ? "Feeder \(id) feeds back now, as was expected."
                    : "Feeder \(id) is not expected to feed back within the hour any more."
            } else if let expected {
                facts.message =
                    "Feeder \(id) will probably feed back \(Words.expectation(expected, end)).\(Words.method(expected))"
            }
            facts.response =
                "No action yet. Keep it in mind before switching, and when protection or taps do not allow it."
        }
    }

    /// Probabilities of more than the emergency rating (B.5), with a deadband.
    private static let (emergencyStart, emergencyClear) = (Float(0.3), Float(0.2))

    private mutating func stepOverloadForecast(
        _ run: ForecastRun?, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let (start, settings) = (end - ForecastRun.cadence, context.settings)
        var input = expired(overloadExpectedAt, end)
        var expected: ForecastRun.Horizon?
        if let run {
            let normal = run.horizons.map(\.overload).reduce(0, max)
            let emergency = run.horizons.map(\.emergency).reduce(0, max)
            let isSerious = emergency >= Self.emergencyStart
            let isOver = Double(normal) >= settings.forecastOverload || isSerious
            expected =
                run.horizons.first { Double($0.overload) >= settings.forecastOverload }
                ?? run.horizons.first { $0.overload == normal }
            let value = expected.map { Double($0.quantiles[2]) } ?? .nan
            input = .bin(
                on: isOver, off: Double(normal) < settings.forecastClear && emergency < Self.emergencyClear,
                value: value,
                badness: abs(value), severity: isSerious ? .high : .medium)
            if Double(normal) >= settings.forecastClear, let expected { overloadExpectedAt = end + expected.seconds }
        }
        var tracker = overloadForecast
        defer { overloadForecast = tracker }
        return tracker.step(start, width: ForecastRun.cadence, input, unit: "W", watermark: end) { facts in
            facts.detector = "FC_OVERLOAD"
            facts.limit = .init(
                value: limits.rating, unit: "VA",
                source: "B.5: expected beyond the head's rating with a probability of forecast.overload_probability")
            describe(&facts, run, expected, probability: expected?.overload, end, context)
            if facts.clearedAt != nil {
                facts.message = "Feeder \(id) is not expected to be overloaded within the hour any more."
            } else if let expected {
                facts.message =
                    "The head of feeder \(id) will probably carry more than \(limits.isRatingAssumed ? "what is assumed for its rating, which is not known," : "its rating of") \(Words.power(limits.rating)) "
                    + "\(Words.expectation(expected, end)).\(Words.method(expected))"
            }
            facts.response =
                "Prepare to take load off it, or generation if it feeds back; move chargers and batteries first."
        }
    }

    /// A forecast that nothing renews ends with the time that it was for; until then silence says nothing.
    func expired(_ expectedAt: Timestamp, _ end: Timestamp) -> ThresholdDetector.Input {
        guard end > expectedAt else { return .missing }
        return .bin(on: false, off: true, value: .nan, badness: -.infinity, severity: .note)
    }

    private func describe(
        _ facts: inout AdvisoryFacts, _ run: ForecastRun?, _ expected: ForecastRun.Horizon?, probability: Float?,
        _ end: Timestamp, _ context: Context
    ) {
        facts.confidence = .low
        facts.evidence = evidence(unit: "W", bins: 180, end, context) { $0.power }
        guard let run, let expected, let probability else { return }
        facts.evidence.notes["probability"] = (Double(probability) * 100).rounded() / 100
        facts.evidence.notes["in_min"] = expected.seconds / 60
        facts.evidence.notes["expected_w"] = Double(expected.quantiles[2]).rounded()
        facts.evidence.notes["low_w"] = Double(expected.quantiles[0]).rounded()
        facts.evidence.notes["high_w"] = Double(expected.quantiles[4]).rounded()
        facts.evidence.notes["load_w"] = Double(expected.load).rounded()
        facts.evidence.notes["pv_w"] = Double(expected.photovoltaic).rounded()
        facts.evidence.notes["clearness"] = (Double(run.clearness) * 100).rounded() / 100
    }
}
