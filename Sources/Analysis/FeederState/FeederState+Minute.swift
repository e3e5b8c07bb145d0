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
}

extension FeederState {
    /// Finishes the next minute: fleet sums, the profile row, and the detectors that live on minutes.
    mutating func finishMinute(
        _ devices: inout [DeviceState], _ context: inout Context, nativeRatio: (median: Double, sigma: Double)?
    ) -> (reports: [AdvisoryReport], rows: [FeederMinute]) {
        let start = nextMinute
        nextMinute = start + Self.minute
        let end = nextMinute
        let registry = context.model.registry
        let settings = context.settings

        var row = FeederMinute(feeder: id, normalFeeder: id, area: area, time: start)
        summariseHead(start, end, &row)

        // The fleet, by the feeder the devices belong to in the normal state.
        var fleets: [String: FleetPower] = [id: FleetPower()]
        var sums: [DeviceKind: (power: Double, reporting: Double, total: Double)] = [:]
        var (reporting, sites) = (0, 0)
        for number in ders {
            let device = registry.devices[number]
            let power = devices[number].signal.bin(start, width: Self.minute, hold: settings.derHold, .activePower).mean
            devices[number].minutes.append(Float(power))
            if devices[number].hasVoltage { binVoltage(number, start, &devices, registry) }
            let charge =
                device.kind == .battery
                ? devices[number].signal.held(at: end, hold: settings.derHold, .stateOfCharge) : nil
            devices[number].sign.step(
                kind: device.kind, rating: device.rating, power: power, charge: charge, end: end)
            var sum = sums[device.kind] ?? (0, 0, 0)
            sum.total += device.rating
            if power.isNaN {
                context.injections[number] = nil
            } else {
                reporting += 1
                if device.kind == .photovoltaic { sites += 1 }
                sum.power += power
                sum.reporting += device.rating
                context.injections[number] = power
                if device.normalFeeder != id {
                    fleets[device.normalFeeder, default: FleetPower()][device.kind] += power
                }
            }
            sums[device.kind] = sum
            devices[number].signal.discard(before: end)
        }
        for group in groups {
            for number in group.points where !registry.devices[number].kind.isDER {
                binVoltage(number, start, &devices, registry)
                devices[number].signal.discard(before: end)
            }
        }
        let rated = sums.values.reduce(0) { $0 + $1.total }
        let heard = sums.values.reduce(0) { $0 + $1.reporting }
        row.derCoverage = rated > 0 ? heard / rated : 1
        var moved = FleetPower()
        for (feeder, fleet) in fleets where feeder != id {
            for kind in [DeviceKind.photovoltaic, .battery, .electricVehicleCharger, .otherGenerator] {
                moved[kind] += fleet[kind]
            }
        }
        // What does not report is taken to do as its kind does, if a fifth of the kind's rating reports.
        var fleet = FleetPower()
        for (kind, sum) in sums.sorted(by: { $0.key.rawValue < $1.key.rawValue }) where sum.reporting > 0 {
            let scale = sum.reporting >= 0.2 * sum.total ? sum.total / sum.reporting : 1
            fleet[kind] += sum.power * scale
        }
        row.fleet = fleet
        for kind in [DeviceKind.photovoltaic, .battery, .electricVehicleCharger, .otherGenerator] {
            row.fleet[kind] -= moved[kind]
        }
        if let net = row.net { row.native = net.mean + fleet.total }
        let photovoltaic = sums[.photovoltaic] ?? (0, 0, 0)
        minutes.append(
            FleetMinute(
                start: start, fleet: fleet, reporting: reporting, derCoverage: row.derCoverage,
                monitored: photovoltaic.power, monitoredRating: photovoltaic.reporting, sites: sites,
                net: row.net?.mean ?? .nan, sourceVoltage: row.voltage?.mean ?? .nan))

        var reports = stepGaps(start, end, &devices, row.derCoverage, context)
        reports += stepSigns(start, end, devices, context)
        reports += stepVoltage(start, end, devices, row.voltage?.mean ?? .nan, context)
        reports += stepEstimate(start, end, photovoltaic, fleet, sites, nativeRatio, context)
        reports += settleRampCause(start, end, devices, context)

        var rows = [row]
        for (feeder, fleet) in fleets.sorted(by: { $0.key < $1.key }) where feeder != id {
            var extra = FeederMinute(feeder: id, normalFeeder: feeder, area: area, time: start)
            extra.fleet = fleet
            extra.derCoverage = row.derCoverage
            rows.append(extra)
        }
        return (reports, rows)
    }

    private func summariseHead(_ start: Timestamp, _ end: Timestamp, _ row: inout FeederMinute) {
        var power: [Double] = []
        var (reactive, voltage): ([Double], [Double]) = ([], [])
        var coverage = 0.0
        for bin in headBins.newest(480).reversed() {
            if bin.start < start { break }
            if bin.start >= end { continue }
            coverage += bin.coverage
            if !bin.power.isNaN { power.append(bin.power) }
            if !bin.reactive.isNaN { reactive.append(bin.reactive) }
            if !bin.voltage.isNaN { voltage.append(bin.voltage) }
        }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        row.headCoverage = min(1, coverage / 6)
        guard power.count >= 3 else { return }
        row.net = (mean(power), power.min() ?? .nan, power.max() ?? .nan)
        row.reverseEnergy = power.reduce(0) { $0 + max(0, -$1) * Self.headBin / 3600 }
        row.forwardEnergy = power.reduce(0) { $0 + max(0, $1) * Self.headBin / 3600 }
        if !reactive.isEmpty { row.reactive = mean(reactive) }
        if !voltage.isEmpty { row.voltage = (mean(voltage), voltage.min() ?? .nan, voltage.max() ?? .nan) }
    }

    private func binVoltage(
        _ number: Int, _ start: Timestamp, _ devices: inout [DeviceState], _ registry: DeviceRegistry
    ) {
        let base = registry.devices[number].voltageBase
        let rms = devices[number].signal.bin(start, width: Self.minute, hold: 90, .voltage).rms
        devices[number].voltages.append(Float(base > 0 ? rms / base : .nan))
    }

    // MARK: Data gaps

    private mutating func stepGaps(
        _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ coverage: Double, _ context: Context
    ) -> [AdvisoryReport] {
        var reports: [AdvisoryReport] = []
        var (silentRating, knownRating, silentCount) = (0.0, 0.0, 0)
        let threshold = context.settings.derGap + slack
        for number in ders where devices[number].signal.count > 0 {
            let device = context.model.registry.devices[number]
            let age = end - devices[number].signal.last
            let isSilent = age > threshold
            knownRating += device.rating
            if isSilent {
                silentRating += device.rating
                silentCount += 1
            }
            guard context.settings.perDeviceGaps, isSilent || devices[number].gap?.isActive == true else { continue }
            var tracker =
                devices[number].gap
                ?? AdvisoryTracker(
                    .dataGap, feeder: id, element: device.name, timing: .init(on: 0, off: 0),
                    rearm: context.settings.rearm)
            if !tracker.isActive || isSilent { devices[number].samplesAtGapEnd = devices[number].signal.count }
            let back = devices[number].signal.count - devices[number].samplesAtGapEnd >= 3
            let last = devices[number].signal.last
            reports += tracker.step(
                start, width: Self.minute, .bin(on: isSilent, off: back, value: age, badness: age, severity: .note),
                unit: "s", watermark: end
            ) { facts in
                facts.detector = "DQ_GAP"
                facts.limit = .init(value: threshold, unit: "s", source: "setting data_gap.der_s (B.4.1)")
                facts.message =
                    facts.clearedAt == nil
                    ? "\(device.name) (\(device.kind.rawValue), feeder \(id)) has been silent since \(last)."
                    : "\(device.name) (\(device.kind.rawValue), feeder \(id)) reports again."
                facts.response = "No action on shift; its aggregator should look after it."
                facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
            }
            devices[number].gap = tracker
        }
        let share = knownRating > 0 ? silentRating / knownRating : 0
        var tracker = fleetGap
        reports += tracker.step(
            start, width: Self.minute,
            .bin(
                on: share > context.settings.fleetGapShare, off: share <= context.settings.fleetGapShare / 2,
                value: share * 100, badness: share, severity: .medium),
            unit: "%", watermark: end
        ) { facts in
            facts.detector = "DQ_FLEET_GAP"
            facts.limit = .init(
                value: context.settings.fleetGapShare * 100, unit: "%",
                source: "setting data_gap.fleet_share_pct (B.4.1)")
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): \(silentCount) DER with \(Words.decimal(share * 100, 0)) % of the rating are silent; "
                    + "its generation is not known."
                : "Feeder \(id): its DER report again."
            facts.response = "Treat generation as unknown when switching; ask the aggregator."
            facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
        }
        fleetGap = tracker
        return reports
    }

    // MARK: Signs

    /// One advisory a feeder, whoever publishes how many devices the wrong way round: the cause is one.
    private mutating func stepSigns(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        let wrong = ders.filter { devices[$0].sign.isWrong == true }
        let isNews = wrong != wrongSigns
        wrongSigns = wrong
        guard !wrong.isEmpty || signs.isActive else { return [] }
        let registry = context.model.registry
        func describe(_ facts: inout AdvisoryFacts) {
            facts.detector = "DQ_SIGN"
            facts.limit = .init(
                value: SignWatch.quiet * 100, unit: "% of rating",
                source: "B.4.6: half an hour against what its kind can do")
            facts.contributors = wrong.prefix(10).map { number in
                .init(
                    device: registry.devices[number].name, kind: registry.devices[number].kind,
                    activePowerW: (context.injections[number] ?? .nan).isNaN
                        ? 0 : (context.injections[number] ?? 0).rounded(),
                    share: 0)
            }
            facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
            facts.evidence.notes["devices"] = Double(wrong.count)
            let names = wrong.prefix(3).map { registry.devices[$0].name }.joined(separator: ", ")
            let more = wrong.count > 3 ? " and \(wrong.count - 3) more" : ""
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): \(wrong.count) DER report\(wrong.count == 1 ? "s" : "") power with the wrong sign: \(names)\(more)."
                : "Feeder \(id): no DER reports power with the wrong sign any more."
            facts.response =
                "Generation and native load of the feeder are wrong by twice their power. Have the aggregator turn the sign: positive is into the grid."
        }
        var tracker = signs
        defer { signs = tracker }
        let reports = tracker.step(
            start, width: Self.minute,
            .bin(
                on: !wrong.isEmpty, off: wrong.isEmpty, value: Double(wrong.count), badness: Double(wrong.count),
                severity: .medium),
            unit: "devices", watermark: end, compose: describe)
        guard reports.isEmpty, isNews, tracker.isActive else { return reports }
        return tracker.amend(end, describe).map { [$0] } ?? []
    }

    // MARK: Voltage

    private mutating func stepVoltage(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ sourceVoltage: Double, _ context: Context
    ) -> [AdvisoryReport] {
        var reports: [AdvisoryReport] = []
        // European windows are aligned to the clock, American ones slide.
        let isWindowEnd = context.settings.standard == .us || end == end.floored(toSeconds: 600)
        for place in groups.indices {
            let injected = groups[place].ders.reduce(0.0) { $0 + (context.injections[$1] ?? 0) }
            groups[place].power.append(Float(injected))
            reports += stepGroup(place, start, end, devices, isWindowEnd, injected, context)
        }
        return reports
    }

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
        reports += stepRise(&group, start, end, devices, highest, maximum, injected, context, series)
        groups[place] = group
        return reports
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

    // MARK: Estimated head

    private mutating func stepEstimate(
        _ start: Timestamp, _ end: Timestamp, _ photovoltaic: (power: Double, reporting: Double, total: Double),
        _ fleet: FleetPower, _ sites: Int, _ ratio: (median: Double, sigma: Double)?, _ context: Context
    ) -> [AdvisoryReport] {
        guard !(limits.isMetered ?? hasSeenHead) else { return [] }
        let threshold = limits.reverseOnThreshold
        var input = ThresholdDetector.Input.missing
        var nearInput = ThresholdDetector.Input.missing
        var estimate: ReversePower.Estimate?
        if let ratio, photovoltaic.total > 0, photovoltaic.reporting > 0 {
            let made = ReversePower.Estimate(
                nativeLoad: ratio.median * nominalLoad, loadSigma: ratio.sigma * nominalLoad,
                monitored: photovoltaic.power, monitoredRating: photovoltaic.reporting,
                totalRating: photovoltaic.total, sites: sites, otherInjection: fleet.total - fleet.photovoltaic)
            estimate = made
            let severity = ReversePower.severity(
                reverseW: max(0, -made.head), limitW: limits.effectiveReverseLimit,
                permission: limits.reversePermission, feedsReversedBank: context.reversedBanks.contains(bank)
            ).milder(by: 1)
            let isSure = made.isSurelyBelow(threshold)
            input = .bin(
                on: isSure, off: made.head >= -0.5 * threshold, value: made.head, badness: -made.head,
                severity: severity)
            let probability = made.probabilityBelow(threshold)
            nearInput = .bin(
                on: !isSure && probability >= 0.5, off: isSure || probability < 0.35, value: made.head,
                badness: -made.head, severity: .note)
        }
        func describe(_ facts: inout AdvisoryFacts, _ detector: String) {
            facts.detector = detector
            facts.confidence = .low
            facts.limit = .init(
                value: -limits.effectiveReverseLimit, unit: "W",
                source: "reverse.limit_w, by default half of the rating")
            facts.contributors = contributors(context)
            facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
            if let estimate {
                facts.evidence.notes["estimate_w"] = estimate.head.rounded()
                facts.evidence.notes["sigma_w"] = estimate.sigma.rounded()
                facts.evidence.notes["probability"] = (estimate.probabilityBelow(threshold) * 100).rounded() / 100
            }
            let power = Words.power(-(estimate?.head ?? facts.peak.value))
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id) has no head meter; it \(detector == "RPF_EST" ? "very probably" : "may") feed"
                    + "\(detector == "RPF_EST" ? "s" : "") \(power) back (estimated)."
                : "Feeder \(id): reverse power is no longer estimated."
            facts.response = "An estimate: have it measured before relying on it."
        }
        var (sure, maybe) = (estimated, near)
        defer { (estimated, near) = (sure, maybe) }
        return sure.step(start, width: Self.minute, input, unit: "W", watermark: end) { describe(&$0, "RPF_EST") }
            + maybe.step(start, width: Self.minute, nearInput, unit: "W", watermark: end) { describe(&$0, "RPF_NEAR") }
    }

    // MARK: Cause of a ramp

    /// The fleet's minutes are final a minute after the head's bins: then the cause of a ramp can be told.
    private mutating func settleRampCause(
        _ start: Timestamp, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        guard let ramp = rampStarted, end >= ramp.end else { return [] }
        rampStarted = nil
        let window = minutes.newest(8).filter { $0.start + Self.minute > ramp.start }
        guard let first = window.first, let last = window.last, window.count >= 2 else { return [] }
        var seen = Ramp.Circumstances(headChange: ramp.change)
        seen.photovoltaicChange = last.fleet.photovoltaic - first.fleet.photovoltaic
        seen.chargerChange = last.fleet.charger - first.fleet.charger
        seen.batteryChange = last.fleet.battery - first.fleet.battery
        seen.reportingChange =
            first.reporting > 0 ? Double(last.reporting - first.reporting) / Double(first.reporting) : 0
        seen.headFlagged = headGap.isActive
        seen.switched = abs(switchedAt - ramp.end) <= 420
        let direction = seen.photovoltaicChange < 0 ? -1.0 : 1.0
        for number in ders where context.model.registry.devices[number].kind == .photovoltaic {
            let values = devices[number].minutes.newest(window.count)
            guard let from = values.first, let to = values.last, !from.isNaN, !to.isNaN else { continue }
            let rating = max(1, context.model.registry.devices[number].rating)
            if Double(to - from) * direction > 0.01 * rating { seen.sitesMovedTogether += 1 }
        }
        let found = Ramp.cause(seen)
        var tracker = self.ramp
        defer { self.ramp = tracker }
        return tracker.amend(end) { facts in
            facts.cause = found.cause.rawValue
            if let share = found.share { facts.evidence.notes["cause_share"] = (share * 1000).rounded() / 1000 }
            facts.contributors = contributors(context)
            if facts.clearedAt == nil, !facts.message.contains("cause:") {
                facts.message = "\(facts.message.dropLast()); cause: \(found.cause.rawValue)."
            }
        }.map { [$0] } ?? []
    }
}
