internal import GridModel

/// What a finished minute gives.
extension FeederState {
    /// Finishes the next minute: fleet sums, the profile row, and the detectors that live on minutes.
    mutating func finishMinute(
        _ devices: inout [DeviceState], _ context: inout Context, nativeRatio: (median: Double, sigma: Double)?
    ) -> (reports: [AdvisoryReport], rows: [FeederMinute]) {
        let start = nextMinute
        nextMinute = start + Self.minute
        let end = nextMinute
        let given = context.given

        var row = FeederMinute(feeder: id, normalFeeder: id, area: area, time: start)
        row.summarise(headBins.newest(480), from: start, until: end)
        binUnbalance(start, end, devices)

        // The fleet, by the feeder the devices belong to in the normal state.
        var fleets: [String: FleetPower] = [id: FleetPower()]
        var sums = KindSums()
        var (reporting, sites) = (0, 0)
        for number in ders {
            let device = given.traits[number]
            let power = devices[number].finishMinute(start, end, device, given, &variations)
            context.injections[number] = power
            sums[device.kind].total += device.rating
            guard !power.isNaN else { continue }
            reporting += 1
            if device.kind == .photovoltaic { sites += 1 }
            sums[device.kind].power += power
            sums[device.kind].reporting += device.rating
            let home = given.model.registry.devices[number].normalFeeder
            if home != id { fleets[home, default: FleetPower()][device.kind] += power }
        }
        let line = stepLine(start, end, &devices, context)
        for place in groups.indices {
            for number in groups[place].points where !given.traits[number].kind.isDER {
                let window = devices[number].signal.discard(before: end)
                devices[number].inspect(window, start, end, given.traits[number], &variations)
                devices[number].binVoltage(
                    window, start, end, given.traits[number].voltageBase, given.settings.standard)
            }
        }
        for number in suspects where !devices[number].hasVoltage && !linePoints.contains(where: { $0.device == number })
        {
            let window = devices[number].signal.discard(before: end)
            devices[number].inspect(window, start, end, given.traits[number], &variations)
        }
        let alive = darkDevices.isEmpty ? [] : aliveInTheDark(start, end, &devices, context)
        let rated = DeviceKind.allCases.reduce(0) { $0 + sums[$1].total }
        let heard = DeviceKind.allCases.reduce(0) { $0 + sums[$1].reporting }
        row.derCoverage = rated > 0 ? heard / rated : 1
        var moved = FleetPower()
        for (feeder, fleet) in fleets where feeder != id {
            for kind in [DeviceKind.photovoltaic, .battery, .electricVehicleCharger, .otherGenerator] {
                moved[kind] += fleet[kind]
            }
        }
        // What does not report is taken to do as its kind does, if a fifth of the kind's rating reports.
        var fleet = FleetPower()
        for kind in DeviceKind.allCases where sums[kind].reporting > 0 {
            let sum = sums[kind]
            let scale = sum.reporting >= 0.2 * sum.total ? sum.total / sum.reporting : 1
            fleet[kind] += sum.power * scale
        }
        row.fleet = fleet
        for kind in [DeviceKind.photovoltaic, .battery, .electricVehicleCharger, .otherGenerator] {
            row.fleet[kind] -= moved[kind]
        }
        if let net = row.net { row.native = net.mean + fleet.total }
        let photovoltaic = sums[.photovoltaic]
        minutes.append(
            FleetMinute(
                start: start, fleet: fleet, reporting: reporting, derCoverage: row.derCoverage,
                monitored: photovoltaic.power, monitoredRating: photovoltaic.reporting, sites: sites,
                net: row.net?.mean ?? .nan, sourceVoltage: row.voltage?.mean ?? .nan))

        var reports = stepGaps(start, end, &devices, row.derCoverage, context)
        reports += stepFaults(start, end, devices, context)
        reports += stepHeadHealth(start, end, row, fleet, context)
        reports += stepModel(start, end, row.net?.mean ?? .nan, fleet, row.derCoverage, nativeRatio, context)
        reports += stepMismatch(start, end, alive, devices, context)
        noteOutside(&devices)
        reports += stepVoltage(start, end, devices, row.voltage?.mean ?? .nan, context)
        reports += stepUnbalance(start, end, context)
        reports += stepNear(start, end, context)
        reports += stepEstimate(start, end, photovoltaic, fleet, sites, nativeRatio, context)
        reports += settleRampCause(start, end, devices, context)
        reports += line + stepFleetRamp(start, end, rated, context)

        var rows = [row]
        for (feeder, fleet) in fleets.sorted(by: { $0.key < $1.key }) where feeder != id {
            var extra = FeederMinute(feeder: id, normalFeeder: feeder, area: area, time: start)
            extra.fleet = fleet
            extra.derCoverage = row.derCoverage
            rows.append(extra)
        }
        return (reports, rows)
    }

    // MARK: Near reverse

    /// Whether reverse power stood at a time: head bins are further than minutes, by what DER take for their means.
    private func isReverse(_ time: Timestamp) -> Bool {
        guard let facts = reverse.facts else { return reverse.isActive }
        return facts.raisedAt <= time && facts.clearedAt.map { $0 > time } ?? true
    }

    /// A metered head that is about to feed back: a notice, no alarm (B.1.1).
    private mutating func stepNear(
        _ start: Timestamp, _ end: Timestamp, _ context: Context
    ) -> [AdvisoryReport] {
        guard limits.isMetered ?? hasSeenHead else { return [] }
        var input = ThresholdDetector.Input.missing
        if let now = minutes.last?.net, !now.isNaN {
            let isReverse = isReverse(end + context.settings.gatewayLateness - context.settings.scadaLateness)
            let isLow = now > 0 && now < 0.02 * limits.rating && !isReverse && !isOut
            var slope: Double?
            if isLow {
                let window = minutes.newest(10).filter { !$0.net.isNaN }
                slope = Slope.theilSen(window.map { ($0.start - start) / 60 }, window.map(\.net))
            }
            input = .bin(
                on: isLow && slope ?? 0 < 0, off: now > 0.03 * limits.rating || isReverse || isOut, value: now,
                badness: -now, severity: .note)
        }
        guard let news = near.detect(start, width: Self.minute, input) else { return [] }
        var tracker = near
        defer { near = tracker }
        return tracker.say(news, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_NEAR"
            facts.limit = .init(
                value: 0.02 * limits.rating, unit: "W", source: "B.1.1: 2 % of the head's rating, falling")
            facts.contributors = contributors(context)
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id) takes \(Words.power(minutes.last?.net ?? .nan)) only, and less every minute: it may soon feed back."
                : "Feeder \(id) is no longer about to feed back."
            facts.response = "No action. Keep in mind before switching."
        }
    }

    // MARK: Estimated head

    private mutating func stepEstimate(
        _ start: Timestamp, _ end: Timestamp, _ photovoltaic: KindSums.Sum,
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
        seen.headFlagged = headGap.isActive || headFrozen.isFrozen || headSign.isWrong
        seen.reconnected = outageEnded.map { ramp.end - $0 <= 1800 && ramp.end >= $0 } ?? false
        seen.nearTariffBoundary = context.settings.isNearTariffBoundary(ramp.start, ramp.end)
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

extension FeederMinute {
    /// Of the head's bins, those of the minute.
    fileprivate mutating func summarise(_ bins: ArraySlice<HeadBin>, from start: Timestamp, until end: Timestamp) {
        var power: [Double] = []
        var (reactive, voltage): ([Double], [Double]) = ([], [])
        var coverage = 0.0
        for bin in bins.reversed() {
            if bin.start < start { break }
            if bin.start >= end { continue }
            coverage += bin.coverage
            if !bin.power.isNaN { power.append(bin.power) }
            if !bin.reactive.isNaN { reactive.append(bin.reactive) }
            if !bin.voltage.isNaN { voltage.append(bin.voltage) }
        }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        headCoverage = min(1, coverage / 6)
        guard power.count >= 3 else { return }
        net = (mean(power), power.min() ?? .nan, power.max() ?? .nan)
        reverseEnergy = power.reduce(0) { $0 + max(0, -$1) * FeederState.headBin / 3600 }
        forwardEnergy = power.reduce(0) { $0 + max(0, $1) * FeederState.headBin / 3600 }
        if !reactive.isEmpty { self.reactive = mean(reactive) }
        if !voltage.isEmpty { self.voltage = (mean(voltage), voltage.min() ?? .nan, voltage.max() ?? .nan) }
    }
}
