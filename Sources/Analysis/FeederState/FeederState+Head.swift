internal import GridModel

/// What a finished 10-s bin of the head gives.
extension FeederState {
    /// Finishes the next head bin and runs the detectors that live on it.
    mutating func finishHeadBin(_ context: Context) -> [AdvisoryReport] {
        let start = nextHead
        nextHead = start + Self.headBin
        let end = nextHead
        let (window, hold) = (head.discard(before: end), context.given.settings.meterHold)
        let power = window.bin(start, width: Self.headBin, hold: hold, .activePower)
        let reactive = window.bin(start, width: Self.headBin, hold: hold, .reactivePower)
        let voltage = window.bin(start, width: Self.headBin, hold: hold, .voltage)
        let samples = window.samples(from: start, until: end)
        for sample in samples { headFrozen.take(sample, kind: .feederHead, rating: limits.rating, &variations) }
        if headFirst == .distantPast, let sample = samples.first { headFirst = sample.time }
        var bin = HeadBin(
            start: start, power: power.mean, reactive: reactive.mean,
            voltage: headVoltageBase > 0 ? voltage.mean / headVoltageBase : .nan, coverage: power.coverage,
            usable: power.usable)
        if hasPhases {
            bin.leastPhase = window.bin(start, width: Self.headBin, hold: hold, .leastPhasePower).mean
        }
        if unbalances[headDevice] != nil {
            bin.unbalance = window.bin(start, width: Self.headBin, hold: hold, .unbalance).mean
        }
        // A meter that stands still says nothing: its power is unknown, whatever it repeats.
        if headFrozen.isFrozen { bin.power = .nan }
        var reports = dropSpike(before: bin, end, context)
        headBins.append(bin)
        silentBins = power.mean.isNaN ? silentBins + 1 : 0
        let gap = stepHeadGap(bin, end, window.carry, samples, context)
        guard hasSeenHead else { return reports + gap }
        reports += stepOutage(bin, end, context)
        reports += gap + stepReverse(bin, end, context) + stepRamp(bin, end, context)
        return reports + stepPhase(bin, end, context) + stepVoltageStep(bin, end, context)
    }

    /// What stood out for one bin only is dropped before any minute is made of it.
    private mutating func dropSpike(before bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        guard let candidate = headBins.last else { return [] }
        var found = false
        // The window is only looked at where the bin moved at all.
        if abs(candidate.power - bin.power) > 0.05 * limits.rating {
            found = Spike.isSpike(
                candidate.power, before: headBins.newest(Spike.window + 1).dropLast().map(\.power), after: bin.power,
                rating: limits.rating)
        }
        if found { headBins.replaceNewest { $0.power = .nan } }
        guard found || spikes.isActive else { return [] }
        var tracker = spikes
        defer { spikes = tracker }
        return tracker.step(
            candidate.start, width: Self.headBin,
            found || !bin.power.isNaN
                ? .bin(on: found, off: !found, value: candidate.power, badness: found ? 1 : 0, severity: .note)
                : .missing, unit: "W",
            watermark: end
        ) { facts in
            facts.detector = "DQ_SPIKE"
            facts.limit = .init(
                value: 0.05 * limits.rating, unit: "W", source: "B.4.5: 6 deviations of 15 bins, and 5 % of the rating")
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): the head meter FH-\(id) jumped to \(Words.power(facts.peak.value)) for one bin; it is left out."
                : "Feeder \(id): the head meter has not jumped for a while."
            facts.response = "No action on shift; have the meter looked at if it happens again."
            facts.evidence = evidence(unit: "W", bins: 30, end, context) { $0.power }
        }
    }

    mutating func stepHeadGap(
        _ bin: HeadBin, _ end: Timestamp, _ carry: Sample?, _ samples: ArraySlice<Sample>, _ context: Context
    ) -> [AdvisoryReport] {
        let (longest, isTooLong) = silence.step(
            samples.lazy.filter { !$0.activePower.isNaN }.map(\.time),
            carry: carry.map { $0.activePower.isNaN ? .distantPast : $0.time } ?? .distantPast,
            heard: limits.isMetered == false ? .distantPast : headFirst, end: end,
            setting: context.settings.headGap, interval: headSlack)
        let limit = isTooLong ? silence.limit(context.settings.headGap, interval: headSlack) : context.settings.headGap
        if isTooLong { countAtGap = silence.countAtSilence }
        // A gap that was reported ahead of the bins stands until the bins reach that time.
        guard !headGap.isActive || end > headGap.facts?.raisedAt ?? .distantPast else { return [] }
        if !headGap.isActive, !isTooLong { countAtGap = silence.count }
        let since = isTooLong ? silence.since : silence.last
        let news = headGap.detect(
            bin.start, width: Self.headBin,
            .bin(
                on: isTooLong, off: silence.count - countAtGap >= 3, value: longest, badness: longest,
                severity: .medium))
        guard let news else { return [] }
        let isStale = headLate > since
        let manner =
            headUnusable.last > since && end - headUnusable.last <= limit
            ? "sends only values that are not to be used (\(headUnusable.words)) since \(since)"
            : isStale
                ? "reports, but too late to count since \(since)"
                : head.last > since && silence.last <= since
                    ? "reports, but no active power since \(since)" : "has been silent since \(since)"
        var tracker = headGap
        defer { headGap = tracker }
        return tracker.say(news, unit: "s", watermark: end) { facts in
            facts.detector = isStale || facts.detector == "DQ_STALE" ? "DQ_STALE" : "DQ_GAP"
            if facts.clearedAt == nil {
                facts.limit = .init(
                    value: limit, unit: "s", source: "setting data_gap.head_s (B.4.1, 3 × 5 s, at least 30 s)")
            }
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): the head meter FH-\(id) \(manner); reverse power cannot be seen."
                : "Feeder \(id): the head meter FH-\(id) reports again."
            facts.response =
                "Treat the feeder's power as unknown. Check the meter, its gateway and the publisher UTIL-SCADA."
            facts.evidence = evidence(unit: "W", bins: 30, end, context) { $0.power }
        }
    }

    private func isReverseDoubtful(_ power: Double) -> Bool {
        power < 0 && (headSign.isWrong || abs(fleetByNight) < 0.05 * abs(power))
    }

    mutating func stepReverse(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let threshold = limits.reverseOnThreshold
        let wasIdle = reverse.detector.phase == .idle
        var input = ThresholdDetector.Input.missing
        // Reverse flow that nothing can feed is no reverse flow but a wrong sign, which is said instead (B.4.6).
        if !bin.power.isNaN, !isReverseDoubtful(bin.power), !isOut {
            let severity = ReversePower.severity(
                reverseW: max(0, -bin.power), limitW: limits.effectiveReverseLimit,
                permission: limits.reversePermission,
                feedsReversedBank: context.reversedBanks.contains(bank),
                passesUnsafeRegulator: linePoints.contains(where: \.isUnsafe))
            input = .bin(
                on: bin.power <= -threshold, off: bin.power >= -0.5 * threshold, value: bin.power, badness: -bin.power,
                severity: severity)
        }
        let news = reverse.detect(bin.start, width: Self.headBin, input)
        let reports = news.map { sayReverse($0, bin, end, context) } ?? []
        // Energy from onset to clear-onset: what flows while clearing counts only if it goes on.
        if reverse.detector.phase != .idle, !bin.power.isNaN {
            if wasIdle { reverseEnergy = 0 }
            reverseEnergy += max(0, -bin.power) * Self.headBin
        }
        return reports
    }

    private mutating func sayReverse(
        _ news: AdvisoryTracker.News, _ bin: HeadBin, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let (threshold, limit) = (limits.reverseOnThreshold, limits.effectiveReverseLimit)
        var tracker = reverse
        defer { reverse = tracker }
        return tracker.say(news, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_HEAD"
            facts.limit = .init(
                value: -limit, unit: "W",
                source: limits.reverseLimit != nil
                    ? "setting reverse.limit_w"
                    : limits.isRatingAssumed
                        ? "assumed: the head's rating is not known" : "default: half of the head's rating")
            facts.confidence = bin.usable ? .low : .high
            facts.contributors = contributors(context)
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.evidence.notes["threshold_w"] = -threshold
            facts.evidence.notes["reverse_energy_wh"] = (reverseEnergy / 3600).rounded()
            let now = bin.power.isNaN ? facts.peak.value : bin.power
            facts.message = Words.reverse(id, now: now, peak: facts.peak.value, limit: limit, facts: facts)
            facts.response = Words.reverseResponse(facts.severity)
        }
    }

    mutating func stepRamp(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let window = headBins.newest(31)
        let rating = limits.rating
        var input = ThresholdDetector.Input.missing
        var measure: Ramp.Measure?
        var swung = false
        if !bin.power.isNaN {
            var (low, high) = (Double.infinity, -Double.infinity)
            var (oldest, known) = (Double.nan, 0)
            for item in window where !item.power.isNaN {
                known += 1
                if oldest.isNaN { oldest = item.power }
                low = min(low, item.power)
                high = max(high, item.power)
            }
            // Theil–Sen is the costly part: with less change than opens the second gate, nothing can start.
            let still = Ramp.Measure(slope: 0, change: (bin.power - oldest) / rating * 100)
            let isNear = known >= Slope.minimumPoints && !Ramp.isFar(still, scale: limits.rampScale)
            let isCalm =
                ramp.isActive
                ? high - low < 0.01 * rating : isNear || high - low < 0.08 * rating * limits.rampScale
            measure = isCalm ? still : Self.rampMeasure(window, end, rating: rating)
            if let measure {
                let level = Ramp.level(measure, scale: limits.rampScale)
                let perMinute = measure.slope / 100 * rating
                let severity = level.map {
                    Ramp.escalated(
                        $0.severity, power: bin.power, slope: perMinute, rating: rating,
                        emergencyRating: limits.emergencyRating)
                }
                if level != nil { swung = noteSwing(measure.change < 0 ? -1 : 1, bin.start) }
                input = .bin(
                    on: level != nil, off: abs(measure.slope) < 1 && level == nil, value: perMinute,
                    badness: abs(perMinute), severity: severity ?? .note)
            }
        }
        let news = ramp.detect(bin.start, width: Self.headBin, input)
        guard news != nil || swung && ramp.isActive else { return [] }
        return sayRamp(news, measure, bin, end, context)
    }

    private static func rampMeasure(
        _ window: ArraySlice<HeadBin>, _ end: Timestamp, rating: Double
    ) -> Ramp.Measure? {
        var (minutes, power): ([Double], [Double]) = ([], [])
        var shortFrom: Int?
        for item in window where !item.power.isNaN {
            if shortFrom == nil, end - item.start <= 70 { shortFrom = minutes.count }
            minutes.append((item.start - (end - 310)) / 60)
            power.append(item.power)
        }
        return Ramp.Measure(minutes: minutes, power: power, rating: rating, shortFrom: shortFrom)
    }

    private mutating func sayRamp(
        _ news: AdvisoryTracker.News?, _ measure: Ramp.Measure?, _ bin: HeadBin, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let rating = limits.rating
        var tracker = ramp
        defer { ramp = tracker }
        guard let news else {
            // An opposite ramp soon after is no second advisory, but one that swings (B.3.2).
            let report = tracker.amend(end) { facts in
                facts.evidence.notes["swings"] = Double(rampSwings)
                if let measure { facts.message = Words.ramp(id, measure, limits, facts: facts) }
            }
            return report.map { [$0] } ?? []
        }
        let reports = tracker.say(news, unit: "W/min", watermark: end) { facts in
            let level = measure.flatMap { Ramp.level($0, scale: limits.rampScale) } ?? .one
            if facts.clearedAt == nil, facts.detector.isEmpty {
                facts.detector = lastRampSign < 0 ? "RAMP_DOWN" : "RAMP_UP"
            }
            facts.limit = .init(
                value: [0.02, 0.04, 0.08][level.rawValue - 1] * rating * limits.rampScale, unit: "W/min",
                source: "B.3.2 level L\(level.rawValue), in % of the head's rating")
            facts.confidence = bin.usable ? .low : .high
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.evidence.notes["slope_pct_per_min"] = measure?.slope
            facts.evidence.notes["change_pct"] = measure?.change
            if rampSwings > 0 { facts.evidence.notes["swings"] = Double(rampSwings) }
            // Without enough bins there is no slope, which is not one of 0: the text stays.
            if let measure = measure ?? (facts.clearedAt != nil ? Ramp.Measure(slope: 0, change: 0) : nil) {
                facts.message = Words.ramp(id, measure, limits, facts: facts)
            }
            facts.response = Words.rampResponse(facts)
        }
        for report in reports where report.change == .start {
            let change = (measure?.change ?? 0) / 100 * rating
            rampStarted = (bin.start - 300, end, change)
        }
        return reports
    }

    /// - Returns: whether the power now goes the other way than at most ten minutes ago.
    private mutating func noteSwing(_ sign: Double, _ time: Timestamp) -> Bool {
        defer { (lastRampSign, lastRampAt) = (sign, time) }
        let isRecent = time - lastRampAt <= 600
        guard isRecent, lastRampSign != 0, sign != lastRampSign else {
            if !isRecent { rampSwings = 0 }
            return false
        }
        rampSwings += 1
        return true
    }
}
