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

/// Voltage that is high, low, or rises along the feeder.
extension FeederState {
    mutating func stepVoltage(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ sourceVoltage: Double, _ context: Context
    ) -> [AdvisoryReport] {
        var reports: [AdvisoryReport] = []
        // European windows are aligned to the clock, American ones slide.
        let isWindowEnd = context.settings.standard == .us || end == end.floored(toSeconds: 600)
        for place in groups.indices {
            let injected = groups[place].ders.reduce(0.0) { $0 + context.injection(of: $1) }
            groups[place].power.append(Float(injected))
            reports += stepGroup(place, start, end, devices, isWindowEnd, injected, context)
        }
        // First the feeder's, so that it stands when its parts are told.
        return stepMany(\.manyHigh, \.high, start, end, context) + stepMany(\.manyLow, \.low, start, end, context)
            + reports
    }

    /// Many places of one feeder that are high, or low, are one advisory with a list (C.4).
    private mutating func stepMany(
        _ path: WritableKeyPath<Self, AdvisoryTracker>, _ part: KeyPath<VoltageGroup, AdvisoryTracker>,
        _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        let active = groups.filter { $0[keyPath: part].isActive }
        guard active.count >= 2 || self[keyPath: path].isActive else { return [] }
        let isHigh = path == \.manyHigh
        let names = active.map(\.id)
        let isMany = active.count >= Self.manyGroups
        let severity = active.compactMap { $0[keyPath: part].facts?.severity }.max() ?? .medium
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
        _ place: Int, _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ isWindowEnd: Bool,
        _ injected: Double, _ context: Context
    ) -> [AdvisoryReport] {
        var group = groups[place]
        let registry = context.model.registry
        // Worst point of the group: over ten minutes for START, over this minute for CLEAR.
        var highest: (device: Int, ten: Double)?
        var lowest: (device: Int, ten: Double)?
        var (maximum, minimum) = (-Double.infinity, Double.infinity)
        for number in group.points {
            let ring = devices[number].voltages
            if let now = ring.last, !now.isNaN {
                maximum = max(maximum, Double(now))
                minimum = min(minimum, Double(now))
            }
            guard isWindowEnd, let ten = Voltage.tenMinute(ring.newest(10)) else { continue }
            if ten > highest?.ten ?? -.infinity { highest = (number, ten) }
            if ten < lowest?.ten ?? .infinity { lowest = (number, ten) }
        }
        guard maximum.isFinite else {
            var reports: [AdvisoryReport] = []
            reports += group.high.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
            reports += group.low.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
            reports += group.rise.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
            reports += group.extreme.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
            groups[place] = group
            return reports
        }
        let bands = group.bands
        func series(_ number: Int) -> AdvisoryFacts.Evidence {
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
        // The trackers of `group` are being changed while this runs: it reads a copy.
        let described = group
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
            let device = worst?.device ?? described.points[0]
            facts.message = Words.voltage(
                described.id, feeder: id, node: registry.devices[device].node, value: worst?.ten ?? facts.peak.value,
                limit: limit, isHigh: isHigh, facts: facts)
            facts.response = Words.voltageResponse(isHigh: isHigh, facts.severity)
            facts.evidence = series(device)
            if isHigh { facts.contributors = groupContributors(described, context) }
        }
        var reports = group.high.step(
            start, width: Self.minute,
            .bin(
                on: highest.map { $0.ten > bands.warnHigh } ?? false, off: maximum < bands.warnHigh - Voltage.deadband,
                value: maximum, badness: maximum,
                severity: highest.map { $0.ten > bands.high ? .high : .medium } ?? group.high.detector.severity),
            unit: "pu", watermark: end
        ) { describe(&$0, isHigh: true, worst: highest) }
        reports += group.low.step(
            start, width: Self.minute,
            .bin(
                on: lowest.map { $0.ten < bands.warnLow } ?? false, off: minimum > bands.warnLow + Voltage.deadband,
                value: minimum, badness: -minimum,
                severity: lowest.map { $0.ten < bands.low ? .high : .medium } ?? group.low.detector.severity),
            unit: "pu", watermark: end
        ) { describe(&$0, isHigh: false, worst: lowest) }
        reports += stepExtreme(&group, start, end, devices, maximum, minimum, injected, context, series)
        reports += stepRise(&group, start, end, devices, highest, maximum, injected, context, series)
        groups[place] = group
        return reports
    }

    private func stepExtreme(
        _ group: inout VoltageGroup, _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState],
        _ maximum: Double, _ minimum: Double, _ injected: Double, _ context: Context,
        _ series: (Int) -> AdvisoryFacts.Evidence
    ) -> [AdvisoryReport] {
        let found = group.points.first { devices[$0].extreme != 0 }
        guard found != nil || group.extreme.isActive else { return [] }
        let isHigh = found.map { devices[$0].extreme > 0 } ?? (group.extreme.detector.peak.value > 1)
        let value = isHigh ? maximum : minimum
        let limits = Voltage.extremes(context.settings.standard)
        let described = group
        return group.extreme.step(
            start, width: Self.minute,
            .bin(
                on: found != nil, off: found == nil && maximum < described.bands.high && minimum > described.bands.low,
                value: value, badness: abs(value - 1), severity: .urgent),
            unit: "pu", watermark: end
        ) { facts in
            facts.detector = "V_EXTREME"
            facts.limit = .init(
                value: isHigh ? limits.high : limits.low, unit: "pu",
                source: "\(context.settings.standard.rawValue), two samples in a row (B.2.1)")
            let device = found ?? described.points[0]
            let node = context.model.registry.devices[device].node
            facts.message =
                facts.clearedAt == nil
                ? "Voltage at \(node) (\(described.id), feeder \(id)) is \(Words.decimal(value, 3)) pu: far \(isHigh ? "too high" : "too low")."
                : "Voltage at \(described.id) has come back into its band; look for damage before resetting."
            facts.response =
                isHigh
                ? "Take generation off there now, or open the section; expect DER to trip."
                : "Take load off there now; look for a broken neutral or phase."
            facts.evidence = series(device)
            // IEEE 1547 makes DER trip at 1.10 pu after 13 s.
            if isHigh, value >= 1.1 { facts.evidence.notes["expected_der_trip_w"] = max(0, injected).rounded() }
            if isHigh { facts.contributors = groupContributors(described, context) }
        }
    }

    private func stepRise(
        _ group: inout VoltageGroup, _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState],
        _ highest: (device: Int, ten: Double)?, _ maximum: Double, _ injected: Double, _ context: Context,
        _ series: (Int) -> AdvisoryFacts.Evidence
    ) -> [AdvisoryReport] {
        let sources = minutes.newest(60).map(\.sourceVoltage)
        let recent = sources.suffix(10).filter { !$0.isNaN }
        guard let now = sources.last, !now.isNaN, recent.count >= 5 else {
            return group.rise.step(start, width: Self.minute, .missing, unit: "pu", watermark: end) { _ in }
        }
        let source = recent.reduce(0, +) / Double(recent.count)
        let limits = Voltage.riseLimits(isLowVoltage: group.isLowVoltage)
        let rise = highest.map { $0.ten - source }
        let device = highest?.device ?? group.points[0]
        let power = group.power.newest(60).map(Double.init)
        let rating = group.rating
        let ders = group
        var tracker = group.rise
        defer { group.rise = tracker }
        return tracker.step(
            start, width: Self.minute,
            .bin(
                on: rise.map { $0 >= limits.open } ?? false, off: maximum - now < 0.8 * limits.open,
                value: maximum - now, badness: maximum - now,
                severity: rise.map { $0 >= limits.severe ? .high : .medium } ?? tracker.detector.severity),
            unit: "pu", watermark: end
        ) { facts in
            facts.detector = "V_RISE"
            facts.limit = .init(
                value: facts.severity >= .high ? limits.severe : limits.open, unit: "pu",
                source: "VDE-AR-N 4105/4110 planning rise, B.2.2")
            let voltages = devices[device].voltages.newest(60).map(Double.init)
            let attribution = VoltageAttribution(
                voltage: voltages, power: power, source: Array(sources), rating: rating, rise: rise ?? maximum - now,
                injection: injected)
            if let attribution, facts.clearedAt == nil {
                facts.cause = attribution.cause.rawValue
                facts.evidence.notes = [:]
            }
            let text = Words.decimal((rise ?? facts.peak.value) * 100, 1)
            let node = context.model.registry.devices[device].node
            facts.message =
                facts.clearedAt == nil
                ? "Voltage at \(node) (\(ders.id), feeder \(id)) stands \(text) % above the busbar since "
                    + "\(Words.clock(facts.onset))\(facts.cause.map { ", caused by \($0)" } ?? "")."
                : "Voltage rise at \(ders.id) is back below its limit."
            // A rise is a planning limit: whether the legal band is broken is what V_HIGH says.
            facts.response = Words.voltageResponse(isHigh: true, .medium)
            facts.contributors = groupContributors(ders, context)
            facts.evidence = series(device)
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
