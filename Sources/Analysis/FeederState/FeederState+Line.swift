internal import GridModel

/// Regulators, reclosers and service transformers of the feeder (`domain-rules.md` B.1.3, B.1.4).
extension FeederState {
    /// Call before the minute's samples are discarded.
    mutating func stepLine(
        _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        guard !linePoints.isEmpty else { return [] }
        var reports: [AdvisoryReport] = []
        // With one owner only: as a copy each would have its minutes copied.
        var points = linePoints
        linePoints = []
        for place in points.indices {
            let (number, role) = (points[place].device, points[place].role)
            points[place].take(start, end, devices[number], context.given, slack: slack)
            // Where it reports no voltage it is in no voltage group, which would do this.
            if !devices[number].hasVoltage {
                let window = devices[number].signal.discard(before: end)
                devices[number].inspect(window, start, end, context.given.traits[number], &variations)
            }
            switch role {
            case .regulator:
                reports += stepRegulator(&points[place], start, end, context)
                reports += stepTaps(&points[place], start, end, context)
            case .recloser(let pickup): reports += stepRecloser(&points[place], pickup, start, end, context)
            case .transformer: reports += stepTransformer(&points[place], start, end, context)
            }
        }
        linePoints = points
        return reports
    }

    private func stepRegulator(
        _ point: inout LinePoint, _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        guard let bin = point.bins.last, case .regulator(let mode) = point.role else { return [] }
        var input = ThresholdDetector.Input.missing
        let outcome = point.onReversal(bin) ?? .unsafe
        if !bin.power.isNaN {
            let severity: Severity =
                switch outcome {
                case .safe: .note
                case .caution: .medium
                case .unsafe: .urgent
                }
            input = .bin(
                on: bin.power <= -point.threshold, off: bin.power >= -0.5 * point.threshold, value: bin.power,
                badness: -bin.power, severity: severity)
        }
        // The point is being changed while this runs: it reads a copy.
        let (seen, isMoved, name, limit) = (point, point.isMoved, point.name, -point.threshold)
        return point.reverse.step(start, width: Self.minute, input, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_REG"
            facts.limit = .init(value: limit, unit: "W", source: "B.1.4: 2 % of the regulator's rating, at least 25 kW")
            facts.confidence = bin.usable ? .low : .high
            facts.contributors = contributors(context)
            facts.evidence = lineEvidence(seen, context)
            facts.cause = isMoved == true ? "moved" : "der"
            let why =
                isMoved == nil
                ? "from which side it is fed is not known"
                : isMoved == true ? "its source is on the other side" : "DER feed back through it"
            let then =
                switch outcome {
                case .safe: "its control goes on holding the voltage"
                case .caution: "it does not regulate meanwhile"
                case .unsafe: "its control would run to the end of its taps"
                }
            facts.message =
                facts.clearedAt == nil
                ? "Regulator \(name) of feeder \(id) (\(mode.rawValue)) has \(Words.power(-bin.power)) coming back: \(why); \(then)."
                : "Regulator \(name) of feeder \(id) has no power coming back any more."
            facts.response =
                switch outcome {
                case .safe: "No action. Its line-drop compensation may be off."
                case .caution: "Watch the voltage behind it."
                case .unsafe: "Block its control, or set it to neutral by hand, or curtail DER behind it."
                }
        }
    }

    private func stepTaps(
        _ point: inout LinePoint, _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let taps = point.taps
        guard !taps.position.isNaN || point.runaway.isActive || point.hunting.isActive else { return [] }
        let name = point.name
        let (seen, position) = (point, Double(taps.position))
        func note(_ facts: inout AdvisoryFacts) {
            facts.evidence = lineEvidence(seen, context)
            facts.evidence.notes["tap_position"] = position.isNaN ? nil : position
            facts.evidence.notes["taps_one_way"] = Double(taps.run(at: end))
            facts.evidence.notes["turns"] = Double(taps.turns(at: end))
            facts.evidence.notes["operations"] = Double(taps.operations)
        }
        // Only what is measured now says that power comes back: an advisory that stands without data does not.
        var input = ThresholdDetector.Input.missing
        if let bin = point.bins.last, !bin.power.isNaN, !position.isNaN {
            let isReversed = point.reverse.isActive && bin.power < 0
            let runs = isReversed && taps.isRunningAway(at: end, movesOff: point.voltageMovesOff)
            input = .bin(on: runs, off: !runs, value: position, badness: abs(position), severity: .urgent)
        }
        let reports = point.runaway.step(start, width: Self.minute, input, unit: "taps", watermark: end) { facts in
            facts.detector = "REG_RUNAWAY"
            facts.limit = .init(
                value: Double(TapWatch.nearlyOut), unit: "taps",
                source: "B.1.4: or three steps one way in 15 min while the voltage moves off, with power coming back")
            note(&facts)
            facts.message =
                facts.clearedAt == nil
                ? "Regulator \(name) of feeder \(id) runs away at tap \(Words.decimal(position, 0)) while power comes back through it."
                : "Regulator \(name) of feeder \(id) no longer runs away."
            facts.response =
                "Block its control now; set it to neutral by hand; check the voltage of the customers behind it."
        }
        let count = Double(taps.turns(at: end))
        var turns = ThresholdDetector.Input.missing
        if end - taps.heardAt <= TapWatch.span {
            let isHunting = taps.isHunting(at: end)
            turns = .bin(on: isHunting, off: !isHunting, value: count, badness: count, severity: .medium)
        }
        return reports
            + point.hunting.step(start, width: Self.minute, turns, unit: "turns", watermark: end) { facts in
                facts.detector = "REG_HUNT"
                facts.limit = .init(
                    value: Double(TapWatch.turns), unit: "turns",
                    source: "B.1.4: in 15 min, or \(TapWatch.operationsPerDay) operations in a day")
                note(&facts)
                facts.message =
                    facts.clearedAt == nil
                    ? "Regulator \(name) of feeder \(id) hunts: \(Words.decimal(count, 0)) turns in 15 min, \(taps.operations) operations in a day."
                    : "Regulator \(name) of feeder \(id) is steady again."
                facts.response =
                    "No action on shift; have its bandwidth and delay, and those of regulators before it, checked."
            }
    }

    private func stepRecloser(
        _ point: inout LinePoint, _ pickup: Double, _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        guard let bin = point.bins.last else { return [] }
        var input = ThresholdDetector.Input.missing
        // A, by the voltage that is measured, or the nominal one.
        let volts = (bin.voltage.isNaN || bin.voltage < 0.5 ? 1 : bin.voltage) * point.voltageBase
        let reactive = bin.reactive.isNaN ? 0 : bin.reactive
        let amperes =
            (bin.power * bin.power + reactive * reactive).squareRoot() / (3.0.squareRoot() * max(1, volts))
        if !bin.power.isNaN {
            let back = bin.power <= -point.threshold ? amperes : 0
            input = .bin(
                on: back >= 0.5 * pickup, off: back < 0.45 * pickup, value: bin.power, badness: back,
                severity: back >= 0.8 * pickup ? .high : .medium)
        }
        let (seen, name) = (point, point.name)
        return point.reverse.step(start, width: Self.minute, input, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_REC"
            facts.limit = .init(
                value: 0.5 * pickup, unit: "A",
                source: "B.1.4: half of the pickup of its phase elements, \(Words.decimal(pickup, 0)) A")
            facts.confidence = bin.usable || bin.reactive.isNaN ? .low : .high
            facts.contributors = contributors(context)
            facts.evidence = lineEvidence(seen, context)
            facts.evidence.notes["current_a"] = amperes.rounded()
            facts.message =
                facts.clearedAt == nil
                ? "Recloser \(name) of feeder \(id) has \(Words.decimal(amperes, 0)) A coming back, \(Words.decimal(amperes / pickup * 100, 0)) % of its pickup; it does not tell the direction."
                : "Recloser \(name) of feeder \(id) has no such current coming back any more."
            facts.response = "It may trip without a fault: curtail DER behind it, or have directional elements set."
        }
    }

    private func stepTransformer(
        _ point: inout LinePoint, _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        guard point.rating > 0 else { return [] }
        var input = ThresholdDetector.Input.missing
        let share = point.exportShare(at: end)
        if let share {
            let severity: Severity = share >= 1.5 ? .urgent : share >= 1.2 ? .high : .medium
            input = .bin(
                on: share >= 1, off: share < 0.95, value: share * point.rating, badness: share, severity: severity)
        }
        let (seen, name, rating) = (point, point.name, point.rating)
        return point.reverse.step(start, width: Self.minute, input, unit: "VA", watermark: end) { facts in
            facts.detector = "RPF_XFMR"
            facts.limit = .init(value: rating, unit: "VA", source: "B.1.3: its rating, as a mean of 30 min")
            facts.contributors = contributors(context)
            facts.evidence = lineEvidence(seen, context)
            facts.message =
                facts.clearedAt == nil
                ? "Transformer \(name.dropFirst(3)) of feeder \(id) gives back \(Words.decimal((share ?? .nan) * 100, 0)) % of its rating (half-hour mean)."
                : "Transformer \(name.dropFirst(3)) of feeder \(id) gives back less than its rating again."
            facts.response =
                "Curtail DER behind it before it overheats; have the transformer or the DER's limit changed."
        }
    }

    private func lineEvidence(_ point: LinePoint, _ context: Context) -> AdvisoryFacts.Evidence {
        if case .transformer = point.role, let last = point.readings.last {
            return AdvisoryFacts.Evidence(
                series: point.readings.newest(60).map { .init(time: $0.start, value: $0.power.rounded()) }, unit: "W",
                binS: last.end - last.start, goodPct: 100, usablePct: 0, missingPct: 0,
                settingsHash: context.settings.hash, topologyRevision: context.model.revision)
        }
        let window = point.bins.newest(60)
        let all = Double(max(1, window.count))
        func percent(_ count: Int) -> Double { (Double(count) / all * 1000).rounded() / 10 }
        let missing = window.count { $0.power.isNaN }
        let usable = window.count { !$0.power.isNaN && $0.usable }
        return AdvisoryFacts.Evidence(
            series: window.map { .init(time: $0.start, value: $0.power.isNaN ? nil : $0.power.rounded()) }, unit: "W",
            binS: Self.minute, goodPct: percent(window.count - missing - usable), usablePct: percent(usable),
            missingPct: percent(missing), settingsHash: context.settings.hash, topologyRevision: context.model.revision)
    }
}

extension LinePoint {
    fileprivate mutating func take(
        _ start: Timestamp, _ end: Timestamp, _ device: DeviceState, _ given: FeederState.Context.Given, slack: Double
    ) {
        let window = device.signal.window
        // A transformer's meter that sends no means may speak as seldom as DER do.
        let hold = if case .transformer = role { given.settings.derHold } else { given.settings.meterHold }
        func mean(_ measure: HeldSignal.Measure) -> SignalWindow.Bin {
            window.bin(start, width: FeederState.minute, hold: hold, measure)
        }
        let power = mean(.activePower)
        bins.append(
            Bin(
                start: start, power: device.frozen.isFrozen ? .nan : power.mean, reactive: mean(.reactivePower).mean,
                voltage: voltageBase > 0 ? mean(.voltage).mean / voltageBase : .nan, usable: power.usable))
        if case .transformer = role {
            read(window, start, end, isKnown: !device.frozen.isFrozen)
        } else {
            let gap = silence.step(
                window.samples(from: start, until: end).lazy.map(\.time), carry: window.carry?.time ?? .distantPast,
                heard: .distantPast, end: end, setting: given.settings.lineGap + slack, interval: 0)
            silentFor = gap.isTooLong && end - device.unusable.last > given.settings.lineGap ? gap.longest : nil
        }
        guard case .regulator = role else { return }
        for sample in window.samples(from: start, until: end) { taps.take(sample.tapPosition, at: sample.time) }
        taps.forget(before: end)
    }

    /// Whether the voltage is further from nominal than a quarter of an hour ago; `nil`: not measured.
    fileprivate var voltageMovesOff: Bool? {
        let known = bins.newest(15).map(\.voltage).filter { !$0.isNaN }
        guard let first = known.first, let last = known.last, known.count >= 2 else { return nil }
        return abs(last - 1) >= abs(first - 1) + 0.005
    }

    /// Meters of transformers are read by the minute, or send means of a quarter of an hour: those are known only when
    /// they are over, and nobody waits for them.
    private mutating func read(_ window: SignalWindow, _ start: Timestamp, _ end: Timestamp, isKnown: Bool) {
        func add(_ from: Timestamp, _ until: Timestamp, _ power: Double, _ reactive: Double) {
            guard !power.isNaN else { return }
            let other = reactive.isNaN ? 0 : reactive
            let back = power < 0 ? (power * power + other * other).squareRoot() : 0
            readings.append(Reading(start: from, end: until, power: power, back: back))
        }
        guard isKnown else { return }
        let means = window.samples(from: start, until: end).filter { $0.interval > 60 && !$0.activePower.isNaN }
        for mean in means {
            add(mean.time - Double(mean.interval), mean.time, Double(mean.activePower), Double(mean.reactivePower))
        }
        if means.isEmpty, let bin = bins.last, !isReadByMeans(end) { add(start, end, bin.power, bin.reactive) }
    }

    private func isReadByMeans(_ time: Timestamp) -> Bool {
        readings.last.map { $0.end - $0.start > 60 && time - $0.end <= 2 * ($0.end - $0.start) } ?? false
    }

    /// Mean of what came back in the newest half hour that is known, as part of the rating; `nil`: less than twenty
    /// minutes of it are, or it is over for more than two readings.
    fileprivate func exportShare(at time: Timestamp) -> Double? {
        guard let newest = readings.last, time - newest.end <= max(180, 2 * (newest.end - newest.start)) else {
            return nil
        }
        let begin = newest.end - 1800
        var (known, sum) = (0.0, 0.0)
        for reading in readings.newest(60) where reading.end > begin {
            let seconds = reading.end - max(reading.start, begin)
            known += seconds
            sum += reading.back * seconds
        }
        return known >= 1200 ? sum / known / rating : nil
    }
}
