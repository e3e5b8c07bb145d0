internal import GridModel

/// Fast changes of all DER of a feeder together (`domain-rules.md` B.3.2). Where the head is measured it shows most of
/// them too, and this is then a part of what is said there; a step milder, because the head is what carries it.
extension FeederState {
    /// %/min of the fleet's rating that so many sites hardly reach together: more likely they tripped, or are not heard.
    private static let suspicious = (percent: 40.0, sites: 10)

    mutating func stepFleetRamp(
        _ start: Timestamp, _ end: Timestamp, _ rated: Double, _ context: Context
    ) -> [AdvisoryReport] {
        guard rated > 0 else { return [] }
        let rating = limits.rating
        let window = minutes.newest(6)
        var input = ThresholdDetector.Input.missing
        var measure: Ramp.Measure?
        var isHeard = window.count == 6
        var (fewest, most) = (Int.max, 0)
        var (low, high) = (Double.infinity, -Double.infinity)
        for minute in window {
            isHeard = isHeard && minute.derCoverage >= 0.2 && minute.start > start - 301
            (fewest, most) = (min(fewest, minute.reporting), max(most, minute.reporting))
            (low, high) = (min(low, minute.fleet.total), max(high, minute.fleet.total))
        }
        // Who comes and goes takes power along that nobody made or lost.
        let isSteady = Double(most - fewest) < 0.1 * Double(max(1, most))
        if isHeard, isSteady {
            // Theil–Sen is the costly part: a window that never leaves 8 % of the rating cannot open the second gate.
            let isCalm = !fleetRamp.isActive && high - low < 0.08 * rating * limits.rampScale
            let found =
                isCalm
                ? Ramp.Measure(slope: 0, change: 0)
                : Ramp.Measure(
                    minutes: window.map { ($0.start - start) / 60 }, power: window.map(\.fleet.total), rating: rating)
            measure = found
            if let found {
                let level = Ramp.level(found, scale: limits.rampScale)
                let perMinute = found.slope / 100 * rating
                input = .bin(
                    on: level != nil, off: abs(found.slope) < 1 && level == nil, value: perMinute,
                    badness: abs(perMinute), severity: level?.severity.milder(by: hasSeenHead ? 1 : 0) ?? .note)
            }
        }
        guard let news = fleetRamp.detect(start, width: Self.minute, input) else { return [] }
        var tracker = fleetRamp
        defer { fleetRamp = tracker }
        return tracker.say(news, unit: "W/min", watermark: end) { facts in
            let measure = measure ?? Ramp.Measure(slope: 0, change: 0)
            let level = Ramp.level(measure, scale: limits.rampScale) ?? .one
            if facts.clearedAt == nil, facts.detector.isEmpty {
                facts.detector = measure.change < 0 ? "RAMP_DOWN" : "RAMP_UP"
            }
            facts.limit = .init(
                value: [0.02, 0.04, 0.08][level.rawValue - 1] * rating * limits.rampScale, unit: "W/min",
                source: "B.3.2 level L\(level.rawValue), in % of the head's rating")
            let ofFleet = abs(measure.slope) * rating / rated
            let isSuspicious =
                ofFleet > Self.suspicious.percent && (window.last?.sites ?? 0) >= Self.suspicious.sites
            if isSuspicious { facts.cause = "trip_or_data" }
            facts.confidence = isSuspicious || (window.last?.derCoverage ?? 0) < 0.8 ? .low : .high
            facts.contributors = contributors(context)
            facts.evidence = AdvisoryFacts.Evidence(
                series: minutes.newest(60).map { .init(time: $0.start, value: $0.fleet.total.rounded()) }, unit: "W",
                binS: Self.minute, goodPct: 100, usablePct: 0, missingPct: 0, settingsHash: context.settings.hash,
                topologyRevision: context.model.revision)
            facts.evidence.notes["slope_pct_per_min"] = measure.slope
            facts.evidence.notes["change_pct"] = measure.change
            facts.evidence.notes["fleet_pct_per_min"] = (ofFleet * 10).rounded() / 10
            let change = Words.power(abs(measure.change) / 100 * rating)
            let doubt = isSuspicious ? "; so many sites hardly do that by themselves: they may have tripped" : ""
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): its DER give \(change) \(measure.change < 0 ? "less" : "more") than 5 min ago "
                    + "(\(Words.decimal(ofFleet, 1)) % of their rating a minute)\(doubt)."
                : "Feeder \(id): its DER are steady again."
            facts.response =
                isSuspicious
                ? "Look for a voltage trip, or ask the aggregator; expect the load to show at the head."
                : "Watch; be ready for the opposite ramp."
        }
    }
}
