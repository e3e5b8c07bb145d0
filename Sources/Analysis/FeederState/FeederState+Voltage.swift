internal import GridModel

/// Voltage points that share one advisory: a low-voltage grid, or the medium-voltage part of a feeder.
struct VoltageGroup: Sendable {
    let id: String
    let isLowVoltage: Bool
    let bands: Voltage.Bands
    var points: [Int] = []
    /// DER whose injection lifts this group, and their rating, W.
    var ders: [Int] = []
    var rating = 0.0
    /// W of those DER by minute, for attribution.
    var power = Ring<Float>(capacity: 60)
    var high: AdvisoryTracker
    var low: AdvisoryTracker
    var rise: AdvisoryTracker
    var extreme: AdvisoryTracker

    mutating func withTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        body(&high)
        body(&low)
        body(&rise)
        body(&extreme)
    }
}

extension DeviceState {
    /// - Parameter voltage: pu of a minute.
    mutating func noteOutside(_ voltage: Double, _ bands: Voltage.Bands) {
        if voltage > bands.warnHigh {
            outside |= 1
        } else if outside & 1 != 0, voltage < bands.warnHigh - Voltage.deadband {
            outside &= ~1
        }
        if voltage < bands.warnLow {
            outside |= 2
        } else if outside & 2 != 0, voltage > bands.warnLow + Voltage.deadband {
            outside &= ~2
        }
    }
}

/// Voltage that is high, low, or rises along the feeder.
extension FeederState {
    mutating func stepVoltage(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ sourceVoltage: Double,
        _ context: Context
    ) -> [AdvisoryReport] {
        var reports: [AdvisoryReport] = []
        // European windows are aligned to the clock, American ones slide.
        let isWindowEnd = context.settings.standard == .us || end == end.floored(toSeconds: 600)
        let busbar = busbar()
        for place in groups.indices {
            let injected = groups[place].ders.reduce(0.0) { $0 + context.injection(of: $1) }
            groups[place].power.append(Float(injected))
            reports += stepGroup(place, start, end, devices, busbar, isWindowEnd, injected, context)
        }
        // First the feeder's, so that it stands when its parts are told.
        return stepMany(\.manyHigh, isHigh: true, start, end, context)
            + stepMany(\.manyLow, isHigh: false, start, end, context) + reports
    }

    /// Marks points that are beyond the band of their group. Call it before ``stepVoltage(_:_:_:_:_:)``, which only
    /// reads the marks.
    func noteOutside(_ devices: inout [DeviceState]) {
        for group in groups {
            let bands = group.bands
            for number in group.points {
                guard let now = devices[number].voltages.last, !now.isNaN else { continue }
                let voltage = Double(now)
                guard voltage > bands.warnHigh || voltage < bands.warnLow || devices[number].outside != 0 else {
                    continue
                }
                devices[number].noteOutside(voltage, bands)
            }
        }
    }

    /// Many places of one feeder that are high, or low, are one advisory with a list (C.4).
    private mutating func stepMany(
        _ path: WritableKeyPath<Self, AdvisoryTracker>, isHigh: Bool, _ start: Timestamp, _ end: Timestamp,
        _ context: Context
    ) -> [AdvisoryReport] {
        let active = groups.indices.filter { isHigh ? groups[$0].high.isActive : groups[$0].low.isActive }
        guard active.count >= 2 || (isHigh ? manyHigh.isActive : manyLow.isActive) else { return [] }
        let names = active.map { groups[$0].id }
        let isMany = active.count >= Self.manyGroups
        let severity =
            active.compactMap { (isHigh ? groups[$0].high : groups[$0].low).facts?.severity }.max() ?? .medium
        var tracker = self[keyPath: path]
        defer { self[keyPath: path] = tracker }
        func describe(_ facts: inout AdvisoryFacts) {
            let level = facts.severity >= .high ? "B" : "A"
            if facts.clearedAt == nil { facts.detector = "V_\(isHigh ? "HIGH" : "LOW")_\(level)" }
            facts.limit = .init(value: Double(Self.manyGroups), unit: "places", source: "C.4")
            facts.evidence = evidence(unit: "pu", bins: 60, end, context, steps: 1e5) { $0.voltage }
            facts.evidence.notes["places"] = Double(names.count)
            let more = names.count > 3 ? " and \(names.count - 3) more" : ""
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): voltage is \(isHigh ? "high" : "low") at \(names.count) places: "
                    + "\(names.prefix(3).joined(separator: ", "))\(more)."
                : "Feeder \(id): voltage is no longer \(isHigh ? "high" : "low") at several places."
            facts.response = Words.voltageResponse(isHigh: isHigh, facts.severity)
            if isHigh { facts.contributors = contributors(context) }
        }
        let reports = tracker.step(
            start, width: Self.minute,
            .bin(
                on: isMany, off: active.count < 2, value: Double(active.count), badness: Double(active.count),
                severity: severity),
            unit: "places", watermark: end, compose: describe)
        guard reports.isEmpty, tracker.isActive, tracker.facts?.evidence.notes["places"] != Double(names.count) else {
            return reports
        }
        return tracker.amend(end, describe).map { [$0] } ?? []
    }

    /// Places of one feeder from which on they are one advisory.
    static let manyGroups = 3

    private mutating func stepGroup(
        _ place: Int, _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ busbar: Busbar?,
        _ isWindowEnd: Bool, _ injected: Double, _ context: Context
    ) -> [AdvisoryReport] {
        // Worst point of the group: over ten minutes for START, over this minute for CLEAR.
        var highest: (device: Int, ten: Double)?
        var lowest: (device: Int, ten: Double)?
        var (maximum, minimum) = (-Double.infinity, Double.infinity)
        // A point that was beyond the band and is now unknown keeps the condition open, whatever the other points show.
        var (isHighUnknown, isLowUnknown) = (false, false)
        let bands = groups[place].bands
        for number in groups[place].points {
            if let now = devices[number].voltages.last, !now.isNaN {
                maximum = max(maximum, Double(now))
                minimum = min(minimum, Double(now))
            } else if devices[number].outside != 0 {
                isHighUnknown = isHighUnknown || devices[number].outside & 1 != 0
                isLowUnknown = isLowUnknown || devices[number].outside & 2 != 0
            }
            guard isWindowEnd, let ten = Voltage.tenMinute(devices[number].voltages.newest(10)) else { continue }
            if ten > highest?.ten ?? -.infinity { highest = (number, ten) }
            if ten < lowest?.ten ?? .infinity { lowest = (number, ten) }
        }
        guard maximum.isFinite else {
            var reports: [AdvisoryReport] = []
            groups[place].withTrackers {
                reports += $0.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
            }
            return reports
        }
        func input(_ isUnknown: Bool, _ on: Bool, _ off: Bool, _ value: Double, _ badness: Double, _ severity: Severity)
            -> ThresholdDetector.Input
        {
            isUnknown && off && !on
                ? .missing : .bin(on: on, off: off, value: value, badness: badness, severity: severity)
        }
        let highNews = groups[place].high.detect(
            start, width: Self.minute,
            input(
                isHighUnknown && groups[place].high.isActive, highest.map { $0.ten > bands.warnHigh } ?? false,
                maximum < bands.warnHigh - Voltage.deadband, maximum, maximum,
                highest.map { $0.ten > bands.high ? .high : .medium } ?? groups[place].high.detector.severity))
        let lowNews = groups[place].low.detect(
            start, width: Self.minute,
            input(
                isLowUnknown && groups[place].low.isActive, lowest.map { $0.ten < bands.warnLow } ?? false,
                minimum > bands.warnLow + Voltage.deadband, minimum, -minimum,
                lowest.map { $0.ten < bands.low ? .high : .medium } ?? groups[place].low.detector.severity))
        let found = groups[place].points.first { devices[$0].extreme != 0 }
        let isFarHigh =
            found.map { devices[$0].extreme > 0 } ?? (groups[place].extreme.detector.peak.value > 1)
        let far = isFarHigh ? maximum : minimum
        var extremeNews: AdvisoryTracker.News?
        if found != nil || groups[place].extreme.isActive {
            extremeNews = groups[place].extreme.detect(
                start, width: Self.minute,
                input(
                    isFarHigh ? isHighUnknown : isLowUnknown, found != nil,
                    found == nil && maximum < bands.high && minimum > bands.low, far, abs(far - 1), .urgent))
        }
        let riseNews = detectRise(
            place, start, busbar, highest?.ten, maximum, isUnknown: isHighUnknown && groups[place].rise.isActive)
        guard highNews != nil || lowNews != nil || extremeNews != nil || riseNews != nil else { return [] }
        // What is told reads the group while its trackers change: from a copy.
        let group = groups[place]
        let registry = context.model.registry
        func describe(_ facts: inout AdvisoryFacts, isHigh: Bool, worst: (device: Int, ten: Double)?) {
            let limit =
                isHigh
                ? (facts.severity >= .high ? bands.high : bands.warnHigh)
                : (facts.severity >= .high ? bands.low : bands.warnLow)
            if facts.clearedAt == nil {
                facts.detector = "V_\(isHigh ? "HIGH" : "LOW")_\(facts.severity >= .high ? "B" : "A")"
            }
            facts.limit = .init(
                value: limit, unit: "pu",
                source: "\(context.settings.standard.rawValue) band, B.2.1 (setting voltage.*)")
            let device = worst?.device ?? group.points[0]
            // Between windows there is no new mean: the text stays that of the last one.
            if let value = worst?.ten ?? (facts.clearedAt != nil ? facts.peak.value : nil) {
                facts.message = Words.voltage(
                    group.id, feeder: id, node: registry.devices[device].node, value: value, limit: limit,
                    isHigh: isHigh, facts: facts)
            }
            facts.response = Words.voltageResponse(isHigh: isHigh, facts.severity)
            facts.evidence = series(device, end, devices, context)
            if isHigh { facts.contributors = groupContributors(group, context) }
        }
        var (high, low) = (group.high, group.low)
        var reports =
            highNews.map {
                high.say($0, unit: "pu", watermark: end) { describe(&$0, isHigh: true, worst: highest) }
            } ?? []
        reports +=
            lowNews.map {
                low.say($0, unit: "pu", watermark: end) { describe(&$0, isHigh: false, worst: lowest) }
            } ?? []
        (groups[place].high, groups[place].low) = (high, low)
        if let extremeNews {
            reports += sayExtreme(
                extremeNews, place, end, devices, found, isHigh: isFarHigh, far, injected, context)
        }
        if let riseNews {
            reports += sayRise(riseNews, place, end, devices, busbar, highest, maximum, injected, context)
        }
        return reports
    }

    /// The voltage of a device over the last hour, by minutes.
    private func series(
        _ number: Int, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> AdvisoryFacts.Evidence {
        var made = evidence(unit: "pu", bins: 1, end, context) { $0.voltage }
        let values = devices[number].voltages.newest(60)
        made.series = values.enumerated().map { place, value in
            .init(
                time: end - Double(values.count - place) * Self.minute,
                value: value.isNaN ? nil : (Double(value) * 1e5).rounded() / 1e5)
        }
        made.binS = Self.minute
        return made
    }

    private mutating func sayExtreme(
        _ news: AdvisoryTracker.News, _ place: Int, _ end: Timestamp, _ devices: [DeviceState], _ found: Int?,
        isHigh: Bool, _ value: Double, _ injected: Double, _ context: Context
    ) -> [AdvisoryReport] {
        let limits = Voltage.extremes(context.settings.standard)
        let group = groups[place]
        var tracker = group.extreme
        defer { groups[place].extreme = tracker }
        return tracker.say(news, unit: "pu", watermark: end) { facts in
            facts.detector = "V_EXTREME"
            facts.limit = .init(
                value: isHigh ? limits.high : limits.low, unit: "pu",
                source: "\(context.settings.standard.rawValue), two samples in a row (B.2.1)")
            let device = found ?? group.points[0]
            let node = context.model.registry.devices[device].node
            facts.message =
                facts.clearedAt == nil
                ? "Voltage at \(node) (\(group.id), feeder \(id)) is \(Words.decimal(value, 3)) pu: far \(isHigh ? "too high" : "too low")."
                : "Voltage at \(group.id) has come back into its band; look for damage before resetting."
            facts.response =
                isHigh
                ? "Take generation off there now, or open the section; expect DER to trip."
                : "Take load off there now; look for a broken neutral or phase."
            facts.evidence = series(device, end, devices, context)
            // IEEE 1547 makes DER trip at 1.10 pu after 13 s.
            if isHigh, value >= 1.1 { facts.evidence.notes["expected_der_trip_w"] = max(0, injected).rounded() }
            if isHigh { facts.contributors = groupContributors(group, context) }
        }
    }

    /// What a rise is measured from: pu at the busbar now, and over ten minutes.
    private struct Busbar {
        var now, mean: Double
    }

    private func busbar() -> Busbar? {
        let newest = minutes.newest(10)
        let known = newest.map(\.sourceVoltage).filter { !$0.isNaN }
        guard let now = newest.last?.sourceVoltage, !now.isNaN, known.count >= 5 else { return nil }
        return Busbar(now: now, mean: known.reduce(0, +) / Double(known.count))
    }

    private mutating func detectRise(
        _ place: Int, _ start: Timestamp, _ busbar: Busbar?, _ highest: Double?, _ maximum: Double, isUnknown: Bool
    ) -> AdvisoryTracker.News? {
        let open = Voltage.riseLimits(isLowVoltage: groups[place].isLowVoltage).open
        guard let busbar, !isUnknown || maximum - busbar.now >= 0.8 * open else {
            return groups[place].rise.detect(start, width: Self.minute, .missing)
        }
        let limits = Voltage.riseLimits(isLowVoltage: groups[place].isLowVoltage)
        let rise = highest.map { $0 - busbar.mean }
        return groups[place].rise.detect(
            start, width: Self.minute,
            .bin(
                on: rise.map { $0 >= limits.open } ?? false, off: maximum - busbar.now < 0.8 * limits.open,
                value: maximum - busbar.now, badness: maximum - busbar.now,
                severity: rise.map { $0 >= limits.severe ? .high : .medium } ?? groups[place].rise.detector.severity))
    }

    private mutating func sayRise(
        _ news: AdvisoryTracker.News, _ place: Int, _ end: Timestamp, _ devices: [DeviceState], _ busbar: Busbar?,
        _ highest: (device: Int, ten: Double)?, _ maximum: Double, _ injected: Double, _ context: Context
    ) -> [AdvisoryReport] {
        let group = groups[place]
        var tracker = group.rise
        defer { groups[place].rise = tracker }
        guard let busbar else { return tracker.say(news, unit: "pu", watermark: end) { _ in } }
        let sources = minutes.newest(60).map(\.sourceVoltage)
        let limits = Voltage.riseLimits(isLowVoltage: group.isLowVoltage)
        let rise = highest.map { $0.ten - busbar.mean }
        let device = highest?.device ?? group.points[0]
        let power = group.power.newest(60).map(Double.init)
        return tracker.say(news, unit: "pu", watermark: end) { facts in
            facts.detector = "V_RISE"
            facts.limit = .init(
                value: facts.severity >= .high ? limits.severe : limits.open, unit: "pu",
                source: "VDE-AR-N 4105/4110 planning rise, B.2.2")
            let voltages = devices[device].voltages.newest(60).map(Double.init)
            let attribution = VoltageAttribution(
                voltage: voltages, power: power, source: sources, rating: group.rating,
                rise: rise ?? maximum - busbar.now,
                injection: injected)
            if let attribution, facts.clearedAt == nil {
                facts.cause = attribution.cause.rawValue
                facts.evidence.notes = [:]
            }
            let node = context.model.registry.devices[device].node
            if facts.clearedAt != nil {
                facts.message = "Voltage rise at \(group.id) is back below its limit."
            } else if let rise {
                facts.message =
                    "Voltage at \(node) (\(group.id), feeder \(id)) stands \(Words.decimal(rise * 100, 1)) % above the busbar since "
                    + "\(Words.clock(facts.onset))\(facts.cause.map { ", caused by \($0)" } ?? "")."
            }
            // A rise is a planning limit: whether the legal band is broken is what V_HIGH says.
            facts.response = Words.voltageResponse(isHigh: true, .medium)
            facts.contributors = groupContributors(group, context)
            facts.evidence = series(device, end, devices, context)
            if let attribution {
                facts.evidence.notes["share"] = (attribution.share * 1000).rounded() / 1000
                facts.evidence.notes["pairs"] = Double(attribution.pairs)
            }
        }
    }

    private func groupContributors(_ group: VoltageGroup, _ context: Context) -> [AdvisoryFacts.Contributor] {
        var narrowed = self
        narrowed.ders = group.ders
        return narrowed.contributors(context)
    }
}
