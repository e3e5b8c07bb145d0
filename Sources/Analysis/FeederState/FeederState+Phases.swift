internal import GridModel

/// Phases that differ: power that flows back in one of them, and voltages that are not alike.
extension FeederState {
    /// One phase feeds back while the head as a whole does not (B.1.1): mostly PV of one phase.
    mutating func stepPhase(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        guard hasPhases else { return [] }
        let threshold = 0.5 * limits.reverseOnThreshold
        var input = ThresholdDetector.Input.missing
        if !bin.leastPhase.isNaN, !bin.power.isNaN, !headSign.isWrong, !isOut {
            // What flows back as a whole is said by RPF_HEAD.
            input = .bin(
                on: bin.leastPhase <= -threshold && bin.power > 0,
                off: bin.leastPhase >= -0.5 * threshold || bin.power <= 0, value: bin.leastPhase,
                badness: -bin.leastPhase, severity: .note)
        }
        guard let news = phase.detect(bin.start, width: Self.headBin, input) else { return [] }
        var tracker = phase
        defer { phase = tracker }
        return tracker.say(news, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_PHASE"
            facts.limit = .init(
                value: -threshold, unit: "W", source: "B.1.1: half of the threshold of reverse power, in a phase")
            facts.confidence = bin.usable ? .low : .high
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.leastPhase }
            facts.contributors = contributors(context)
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id) takes \(Words.power(bin.power)) as a whole, but one phase feeds back up to \(Words.power(-facts.peak.value))."
                : bin.power <= 0
                    ? "Feeder \(id) does not take power as a whole any more."
                    : "No phase of feeder \(id) feeds back any more."
            facts.response = "No action on shift; have the DER spread over the phases if it happens often."
        }
    }

    /// The worst of the feeder's points that send three voltages (B.2.4): a ten-minute mean over half an hour.
    mutating func stepUnbalance(
        _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        guard !unbalances.isEmpty else { return [] }
        let limit = context.settings.unbalanceLimit
        var worst: (device: Int, percent: Double)?
        for (number, ring) in unbalances.sorted(by: { $0.key < $1.key }) {
            let known = ring.newest(10).filter { !$0.isNaN }
            guard known.count >= 5 else { continue }
            let mean = Double(known.reduce(0, +)) / Double(known.count)
            if mean > worst?.percent ?? -1 { worst = (number, mean) }
            if mean > limit { unequal.insert(number) } else if mean < 0.9 * limit { unequal.remove(number) }
        }
        var input = ThresholdDetector.Input.missing
        // A point that was beyond the limit and says nothing now is not alike again.
        let isUnknown = unbalance.isActive && unequal.contains { (unbalances[$0]?.last).map(\.isNaN) ?? true }
        if let worst, worst.percent >= 0.9 * limit || !isUnknown {
            input = .bin(
                on: worst.percent > limit, off: worst.percent < 0.9 * limit, value: worst.percent,
                badness: worst.percent, severity: worst.percent > limit + 1 ? .high : .medium)
        }
        guard let news = unbalance.detect(start, width: Self.minute, input) else { return [] }
        var tracker = unbalance
        defer { unbalance = tracker }
        return tracker.say(news, unit: "%", watermark: end) { facts in
            facts.detector = "V_UNBALANCE"
            facts.limit = .init(value: limit, unit: "%", source: "setting voltage.unbalance_pct (B.2.4)")
            let place = worst.map { context.model.registry.devices[$0.device].name } ?? "?"
            facts.evidence = evidence(unit: "pu", bins: 60, end, context, steps: 1e5) { $0.voltage }
            if let worst {
                facts.evidence.notes["unbalance_pct"] = (worst.percent * 1000).rounded() / 1000
                facts.evidence.notes["points"] = Double(unbalances.count)
            }
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): the phase voltages at \(place) differ by \(Words.decimal(worst?.percent ?? facts.peak.value, 1)) %, allowed are \(Words.decimal(limit, 1)) %."
                : "Feeder \(id): the phase voltages are alike again."
            facts.response =
                "Look for an open phase, a blown fuse or a load on one phase; three-phase motors may trip or overheat."
        }
    }

    /// Ten-minute unbalance of one more minute; call before the minute's samples are discarded.
    mutating func binUnbalance(_ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState]) {
        for number in unbalances.keys {
            var value = Double.nan
            if number == headDevice {
                let bins = headBins.newest(480).filter {
                    $0.start >= start && $0.start < end && !$0.unbalance.isNaN
                }
                if !bins.isEmpty { value = bins.reduce(0) { $0 + $1.unbalance } / Double(bins.count) }
            } else {
                value = devices[number].signal.bin(start, width: Self.minute, hold: 90, .unbalance).mean
            }
            unbalances[number]?.append(Float(value))
        }
    }
}
