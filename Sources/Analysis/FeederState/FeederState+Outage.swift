internal import GridModel

/// A feeder without voltage, its way back, and steps of its voltage.
extension FeederState {
    /// Shares of the rating and of the voltage below which the head is dead (B.1, edge case b).
    private static let noPower = 0.01
    private static let noVoltage = 0.1

    mutating func stepOutage(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let isQuiet = abs(bin.power) < Self.noPower * limits.rating
        let wasOut = isOut
        var input = ThresholdDetector.Input.missing
        if !bin.power.isNaN || bin.voltage < Self.noVoltage {
            isOut = bin.voltage < Self.noVoltage ? isQuiet || bin.power.isNaN : isSwitchedOff && isQuiet
            // Dead as switched is no voltage, where none is measured.
            let voltage = bin.voltage.isNaN ? 0 : bin.voltage
            input = .bin(
                on: isOut, off: !isOut, value: voltage, badness: -voltage, severity: isOut ? .high : .note)
        }
        if isOut, !wasOut, !outage.isActive {
            let last = minutes.newest(10).last { !$0.net.isNaN && abs($0.net) >= Self.noPower * limits.rating }
            beforeOutage = (last.map { $0.net + $0.fleet.total } ?? .nan, last?.fleet.total ?? .nan)
        }
        if wasOut, !isOut { outageEnded = bin.start }
        let news = outage.detect(bin.start, width: Self.headBin, input)
        guard news != nil || outage.isActive && wasOut != isOut else { return [] }
        var tracker = outage
        defer { outage = tracker }
        func describe(_ facts: inout AdvisoryFacts) {
            facts.detector = "OUTAGE"
            facts.limit = .init(
                value: Self.noVoltage, unit: "pu", source: "B.1: no voltage, less than 1 % of the rating")
            facts.evidence = evidence(unit: "pu", bins: 60, end, context, steps: 1e5) { $0.voltage }
            let cause = isSwitchedOff ? "it is switched off" : "there is no voltage at its head"
            guard !isOut, let back = outageEnded else {
                facts.message = "Feeder \(id) is dead since \(Words.clock(facts.onset)): \(cause)."
                facts.response =
                    "Find out why before anybody closes anything. DER may keep parts alive: test before touching."
                return
            }
            let lasted = back - facts.onset
            let peak = PostOutage.peak(
                load: beforeOutage.native, available: beforeOutage.fleet, outage: lasted)
            if peak.isFinite {
                facts.evidence.notes["expected_peak_w"] = peak.rounded()
                facts.evidence.notes["outage_s"] = lasted
            }
            let expected = peak.isFinite ? "; its head may reach \(Words.power(peak))" : ""
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id) is live again since \(Words.clock(back)); load is high and DER stay away for 5 min\(expected)."
                : "Feeder \(id) has settled after its outage of \(Words.decimal(lasted / 60, 0)) min."
            facts.response = "Watch its loading; expect DER back within 10 min."
        }
        if let news { return tracker.say(news, unit: "pu", watermark: end, compose: describe) }
        return tracker.amend(end, describe).map { [$0] } ?? []
    }

    /// B.2.3: a step of the busbar's voltage.
    mutating func stepVoltageStep(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let isLow = headVoltageBase < 1000
        let limit = StepChange.limit(isLowVoltage: isLow)
        let side = Int(StepChange.side / Self.headBin)
        let window = headBins.newest(2 * side + Int(StepChange.gap / Self.headBin))
        // Two compares for most bins: the new side against the oldest bin.
        var found: Double?
        if let first = window.first, !(abs(bin.voltage - first.voltage) < limit / 2), !isOut {
            found = StepChange.newest(window.map(\.voltage), width: Self.headBin).flatMap {
                abs($0) >= limit ? $0 : nil
            }
        }
        // A step is in sight of several bins in a row: the first names it.
        if let last = voltageSteps.last, bin.start - last.at < 2 * StepChange.side + StepChange.gap { found = nil }
        if let found {
            voltageSteps.append((bin.start, found))
            if let stale = voltageSteps.firstIndex(where: { end - $0.at <= 86_400 }), stale > 0 {
                voltageSteps.removeFirst(stale)
            }
        }
        guard found != nil || steps.isActive else { return [] }
        let size = abs(found ?? 0)
        let tooMany = StepChange.isTooMany(voltageSteps.map { (end - $0.at, abs($0.size)) })
        var tracker = steps
        defer { steps = tracker }
        return tracker.step(
            bin.start, width: Self.headBin,
            found == nil && bin.voltage.isNaN
                ? .missing
                : .bin(
                    on: found != nil, off: found == nil, value: found ?? 0, badness: size,
                    severity: size >= 0.06 ? .high : tooMany ? .medium : .note),
            unit: "pu", watermark: end
        ) { facts in
            facts.detector = "RVC"
            facts.limit = .init(value: limit, unit: "pu", source: "B.2.3: step between two quiet half minutes")
            facts.evidence = evidence(unit: "pu", bins: 60, end, context, steps: 1e5) { $0.voltage }
            facts.evidence.notes["events_in_a_day"] = Double(voltageSteps.count)
            facts.message =
                facts.clearedAt == nil
                ? "Voltage at the head of feeder \(id) stepped by \(Words.decimal(facts.peak.value * 100, 1)) %\(tooMany ? ", too often" : "")."
                : "Voltage at the head of feeder \(id) is steady again."
            facts.response = "Look for switching of capacitors, large motors or a tap changer at that time."
        }
    }
}
