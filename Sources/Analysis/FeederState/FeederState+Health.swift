internal import GridModel

/// What is wrong with the data of a feeder, other than that there is none (`domain-rules.md` B.4).
extension FeederState {
    /// Faults of the devices that this feeder feeds, of its voltage meters, and of what is on its lines.
    mutating func stepFaults(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        let registry = context.model.registry
        let meters = groups.flatMap(\.points).filter { !registry.devices[$0].kind.isDER }
        // Those with a voltage are among the meters; of others nothing good may ever have come.
        let onLines = linePoints.map(\.device).filter { !devices[$0].hasVoltage }
        var all = ders + meters + onLines
        for number in suspects where !devices[number].hasVoltage && !onLines.contains(number) { all.append(number) }
        let head = headDevice >= 0 && headUnusable.range.isOn ? [headDevice] : []
        var reports = step(
            \.signs, ders.filter { devices[$0].sign.isWrong == true }, start, end, context,
            .init(
                detector: "DQ_SIGN",
                limit: .init(
                    value: SignWatch.quiet * 100, unit: "% of rating",
                    source: "B.4.6: half an hour against what its kind can do"),
                says: "DER report power with the wrong sign",
                response:
                    "They are left out of the feeder's generation. Have the aggregator turn the sign: positive is into the grid."
            ))
        reports += step(
            \.frozen, all.filter { devices[$0].frozen.isFrozen }, start, end, context,
            .init(
                detector: "DQ_FROZEN",
                limit: .init(
                    value: FrozenWatch.powerSeconds, unit: "s",
                    source: "B.4.3: 20 samples and 15 min (voltage: 10 min) with one value"),
                says: "devices repeat one value",
                response: "Their values are not used. Have the meter or its gateway restarted by the aggregator."))
        let clocked = all.filter { devices[$0].unusable.clock.isOn }
        reports += step(\.clocks, clocked, start, end, context, .clock)
        let ranged = all.filter { devices[$0].unusable.range.isOn }
        reports += step(\.ranges, head + ranged, start, end, context, .range)
        let invalid = all.filter { devices[$0].unusable.other.isOn }
        reports += step(
            \.unusables, invalid, start, end, context, .unusable(Set(invalid.map { devices[$0].unusable.words })))
        return reports
    }

    /// After a restart: what the store says of devices of which nothing has come since.
    mutating func restoreFaults(
        _ stored: [String: AdvisoryFacts], _ devices: inout [DeviceState], _ model: AnalysisModel
    ) {
        func each(_ fault: DeviceFault, _ body: (Int) -> Void) {
            guard let facts = stored[fault.tracker.key], facts.clearedAt == nil else { return }
            for item in facts.contributors {
                if let number = model.registry.index[item.device].map(Int.init) { body(number) }
            }
        }
        each(frozen) { devices[$0].frozen.restore() }
        each(clocks) { devices[$0].unusable.clock.restore() }
        for fault in [ranges, unusables] {
            each(fault) { number in
                if number == headDevice { headUnusable.range.restore() }
                if fault.tracker.key == ranges.tracker.key {
                    devices[number].unusable.range.restore()
                } else {
                    devices[number].unusable.other.restore()
                }
                let kind = model.registry.devices[number].kind
                guard !kind.isDER, number != headDevice, !devices[number].isSuspect else { return }
                devices[number].isSuspect = true
                suspects.insert(number, at: suspects.firstIndex { $0 > number } ?? suspects.count)
            }
        }
        if headStands.isActive { headFrozen.restore() }
        if headClock.isActive { headUnusable.clock.restore() }
    }

    private mutating func step(
        _ path: WritableKeyPath<Self, DeviceFault>, _ found: [Int], _ start: Timestamp, _ end: Timestamp,
        _ context: Context, _ wording: DeviceFault.Wording
    ) -> [AdvisoryReport] {
        guard !found.isEmpty || self[keyPath: path].isOpen else { return [] }
        var fault = self[keyPath: path]
        defer { self[keyPath: path] = fault }
        return fault.step(found, start, end, "Feeder \(id)", context, wording) {
            evidence(unit: "W", bins: 1, end, context) { $0.power }
        }
    }

    // MARK: The head

    /// Sign, clock and stillness of the head meter.
    mutating func stepHeadHealth(
        _ start: Timestamp, _ end: Timestamp, _ row: FeederMinute, _ fleet: FleetPower, _ context: Context
    ) -> [AdvisoryReport] {
        let isNight =
            context.place.map {
                Sun.elevation(at: end, longitude: $0.longitude, latitude: $0.latitude) < -6
            } ?? false
        let net = row.net?.mean ?? .nan
        let known = row.derCoverage >= 0.8 ? fleet.total : .nan
        let threshold = limits.reverseOnThreshold
        fleetByNight = isNight ? known : .nan
        headSign.step(
            head: net, fleet: known, threshold: threshold, rating: limits.rating, isNight: isNight, end: end)
        headUnusable.finish(good: row.net == nil ? 0 : 1, until: end)
        var reports: [AdvisoryReport] = []
        // Nearly always there is nothing to say; each way of saying it costs more than the question.
        guard
            headSign.isWrong || headSigns.isActive || headFrozen.isFrozen || headStands.isActive
                || headUnusable.clock.isOn
                || headClock.isActive
        else { return reports }
        reports += say(
            \.headSigns, headSign.isWrong, start, end, context, "DQ_SIGN",
            .init(
                value: HeadSignWatch.wrong, unit: "1",
                source: "B.4.6: correlation with the DER over a day, or reverse flow by night that nothing feeds"),
            "counts the wrong way, or something unknown feeds back; reverse flow is not judged",
            "Check the polarity of the meter before relying on its power.")
        if headSign.isWrong || headSigns.isActive, let correlation = headSign.correlation, reports.count == 1 {
            reports[0].facts.evidence.notes["correlation"] = (correlation * 1000).rounded() / 1000
        }
        reports += say(
            \.headStands, headFrozen.isFrozen, start, end, context, "DQ_FROZEN",
            .init(
                value: FrozenWatch.powerSeconds, unit: "s", source: "B.4.3: 20 samples and 15 min with one value"),
            "repeats one value since \(Words.clock(headFrozen.since)); the feeder's power is not known",
            "Treat the feeder's power as unknown. Check the meter and its gateway.")
        reports += say(
            \.headClock, headUnusable.clock.isOn, start, end, context, "DQ_CLOCK",
            .init(value: 0, unit: "s", source: "settings ingest.suspect_future_s, clock.suspect_s (A.7)"),
            "has a wrong clock; the feeder's power is not known",
            "Treat the feeder's power as unknown. Have the clock of the meter or its gateway set.")
        return reports
    }

    private mutating func say(
        _ path: WritableKeyPath<Self, AdvisoryTracker>, _ isOn: Bool, _ start: Timestamp, _ end: Timestamp,
        _ context: Context, _ detector: String, _ limit: AdvisoryFacts.Limit, _ says: String, _ response: String
    ) -> [AdvisoryReport] {
        guard isOn || self[keyPath: path].isActive else { return [] }
        var tracker = self[keyPath: path]
        defer { self[keyPath: path] = tracker }
        return tracker.step(
            start, width: Self.minute,
            .bin(on: isOn, off: !isOn, value: isOn ? 1 : 0, badness: isOn ? 1 : 0, severity: .medium), unit: "1",
            watermark: end
        ) { facts in
            facts.detector = detector
            facts.limit = limit
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): the head meter FH-\(id) \(says)."
                : "Feeder \(id): the head meter FH-\(id) is sound again."
            facts.response = response
        }
    }

    // MARK: The model

    /// B.4.7: what is measured at the head against what load and DER would give.
    mutating func stepModel(
        _ start: Timestamp, _ end: Timestamp, _ net: Double, _ fleet: FleetPower, _ coverage: Double,
        _ ratio: (median: Double, sigma: Double)?, _ context: Context
    ) -> [AdvisoryReport] {
        var residual = Double.nan
        if let ratio, nominalLoad > 0, coverage >= 0.8, !outage.isActive {
            residual = net - (ratio.median * nominalLoad - fleet.total)
        }
        residuals.append(abs(residual))
        let known = residuals.newest(15).filter { !$0.isNaN }
        var input = ThresholdDetector.Input.missing
        let mean = known.reduce(0, +) / Double(max(1, known.count))
        let limit = max(3 * (ratio?.sigma ?? 0) * nominalLoad, 0.1 * limits.rating)
        if known.count >= 8 {
            input = .bin(on: mean > limit, off: mean < limit / 2, value: mean, badness: mean, severity: .medium)
        }
        guard let news = model.detect(start, width: Self.minute, input) else { return [] }
        var tracker = model
        defer { model = tracker }
        return tracker.say(news, unit: "W", watermark: end) { facts in
            facts.detector = "DQ_MODEL"
            facts.limit = .init(value: limit, unit: "W", source: "B.4.7: 3 σ of the load, at least 10 % of the rating")
            facts.confidence = .low
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.evidence.notes["residual_w"] = mean.rounded()
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): its head is \(Words.power(mean)) away from what its load and DER would give; something is modelled or measured wrongly."
                : "Feeder \(id): its head fits its load and DER again."
            facts.response =
                "Do not rely on estimates here. Look for DER, loads or switches that the model has elsewhere."
        }
    }
}
