internal import GridModel

/// The sentences of advisories: what is, since when, against which limit; and what to do. For people on shift.
enum Words {
    static func power(_ watts: Double) -> String {
        guard watts.isFinite else { return "unknown power" }
        let size = abs(watts)
        if size >= 1e6 { return "\(decimal(watts / 1e6, 2)) MW" }
        return size >= 1e3 ? "\(decimal(watts / 1e3, 0)) kW" : "\(decimal(watts, 0)) W"
    }

    static func decimal(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "?" }
        let scale = [1.0, 10, 100, 1000, 10_000][places]
        let scaled = Int64((abs(value) * scale).rounded())
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard places > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % Int64(scale))
        return "\(sign)\(scaled / Int64(scale)).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }

    static func clock(_ time: Timestamp) -> String { "\(time.description.dropFirst(11).prefix(5)) UTC" }

    /// Largest ratio that is told as a number: beyond it the load is next to nothing, and the number says nothing more.
    static let largestRatio = 100.0

    /// `1.25 times its load`; where there is no load to speak of, that.
    static func times(_ ratio: Double, _ load: String) -> String {
        ratio > largestRatio
            ? "more than \(decimal(largestRatio, 0)) times \(load), which is next to nothing"
            : "\(decimal(ratio, 2)) times \(load)"
    }

    /// `, 81 % of its reverse limit of 2.00 MW`; where nothing may come back, that.
    private static func share(_ watts: Double, of limit: Double) -> String {
        limit > 0
            ? ", \(decimal(abs(watts / limit) * 100, 0)) % of its reverse limit of \(power(limit))"
            : ", where nothing may come back (its reverse limit is 0)"
    }

    /// `at 10:35 UTC (in 30 min): 420 kW back, with 90 % between …`
    static func expectation(_ expected: ForecastRun.Horizon, _ now: Timestamp) -> String {
        func flow(_ watts: Float) -> String { watts < 0 ? "\(power(-Double(watts))) back" : power(Double(watts)) }
        let values = expected.quantiles
        return "by \(clock(now + expected.seconds)) (in \(decimal(expected.seconds / 60, 0)) min): \(flow(values[2])) "
            + "expected, with 90 % between \(flow(values[0])) and \(flow(values[4]))"
    }

    static func method(_ expected: ForecastRun.Horizon) -> String {
        expected.method == .persistence ? " The present is taken for the future: nothing better is known." : ""
    }

    static func reverse(_ feeder: String, now: Double, peak: Double, limit: Double, facts: AdvisoryFacts) -> String {
        if facts.clearedAt != nil {
            return "Feeder \(feeder) imports again since \(clock(facts.endedAt ?? facts.onset)); it had fed back up to "
                + "\(power(-peak))."
        }
        return "Feeder \(feeder) feeds \(power(-now)) back to the substation since \(clock(facts.onset))"
            + "\(share(now, of: limit))."
    }

    static func reverseResponse(_ severity: Severity) -> String {
        switch severity {
        case .urgent:
            "Reduce DER output or transfer load now; tell protection: the bank or the limit is not fit for this flow."
        case .high: "Reduce DER output or move load to this feeder; check head protection and voltage."
        case .medium: "Check that reverse flow is agreed for this feeder; watch its limit before any switching."
        case .note: "No action: within the agreed reverse flow. Keep in mind before switching."
        }
    }

    static func ramp(
        _ feeder: String, _ measure: Ramp.Measure, _ limits: FeederLimits, facts: AdvisoryFacts
    ) -> String {
        if facts.clearedAt != nil { return "Feeder \(feeder): the ramp has ended." }
        let direction = measure.change < 0 ? "falls" : "rises"
        let cause = facts.cause.map { "; cause: \($0)" } ?? ""
        let swings =
            facts.evidence.notes["swings"].map { "; it has turned \($0 == 1 ? "once" : "\(decimal($0, 0)) times")" }
            ?? ""
        return "Feeder \(feeder): power \(direction) by \(power(abs(measure.change) / 100 * limits.rating)) in 5 min "
            + "(\(decimal(abs(measure.slope), 1)) % of \(limits.isRatingAssumed ? "an assumed rating" : "rating") a minute)\(swings)\(cause)."
    }

    static func rampResponse(_ facts: AdvisoryFacts) -> String {
        facts.severity >= .high
            ? "Watch loading and voltage; hold switching on this feeder until it is steady."
            : "Watch; be ready for the opposite ramp."
    }

    static func voltage(
        _ group: String, feeder: String, node: String, value: Double, limit: Double, isHigh: Bool, facts: AdvisoryFacts
    ) -> String {
        if facts.clearedAt != nil { return "Voltage at \(group) is back inside its band." }
        return "Voltage at \(node) (\(group), feeder \(feeder)) is \(decimal(value, 3)) pu over ten minutes, "
            + "\(isHigh ? "above" : "below") \(decimal(limit, 3)) pu since \(clock(facts.onset))."
    }

    static func voltageResponse(isHigh: Bool, _ severity: Severity) -> String {
        let urgency = severity >= .high ? "The legal band is broken. " : ""
        return isHigh
            ? urgency + "Lower the tap, absorb vars or reduce DER output near there."
            : urgency + "Raise the tap, inject vars or move load away."
    }
}
