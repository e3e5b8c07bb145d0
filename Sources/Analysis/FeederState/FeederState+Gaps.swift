internal import GridModel

/// Devices that have fallen silent.
extension FeederState {
    mutating func stepGaps(
        _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ coverage: Double, _ context: Context
    ) -> [AdvisoryReport] {
        var reports: [AdvisoryReport] = []
        var (silentRating, knownRating, silentCount) = (0.0, 0.0, 0)
        let threshold = context.settings.derGap + slack
        for number in ders where devices[number].signal.count > 0 {
            let rating = context.given.traits[number].rating
            // By field: of many devices, none is copied for the question.
            let isSilent =
                end - devices[number].since > threshold && devices[number].since != .distantPast
                && end - devices[number].unusable.last > threshold && !speaks(devices[number].signal, behind: end)
            knownRating += rating
            if isSilent {
                silentRating += rating
                silentCount += 1
            }
            if context.settings.perDeviceGaps, isSilent || devices[number].hasActiveGap {
                let since = devices[number].since
                reports += watchGap(
                    number, start, end, threshold, isSilent ? end - since : nil, since: since, .note, &devices, context)
            }
        }
        for point in linePoints where devices[point.device].signal.count > 0 {
            reports += stepGap(point, start, end, &devices, context)
        }
        let share = knownRating > 0 ? silentRating / knownRating : 0
        let news = fleetGap.detect(
            start, width: Self.minute,
            .bin(
                on: share > context.settings.fleetGapShare, off: share <= context.settings.fleetGapShare / 2,
                value: share * 100, badness: share, severity: .medium))
        guard let news else { return reports }
        var tracker = fleetGap
        defer { fleetGap = tracker }
        return reports
            + tracker.say(news, unit: "%", watermark: end) { facts in
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
    }

    /// A DER that has said nothing of use for too long may have spoken since, behind the minute that is looked at.
    private func speaks(_ signal: HeldSignal, behind end: Timestamp) -> Bool {
        signal.last >= end && signal.window.samples.contains { $0.time >= end && !$0.activePower.isNaN }
    }

    /// What is on a line is watched like a meter of the control system, a transformer's meter like DER.
    private func stepGap(
        _ point: LinePoint, _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        guard case .transformer = point.role else {
            return watchGap(
                point.device, start, end, context.settings.lineGap + slack, point.silentFor, since: point.silence.since,
                back: point.silence.count - point.silence.countAtSilence, .medium, &devices, context)
        }
        guard context.settings.perDeviceGaps else { return [] }
        // One that sends means is not silent while they are being made.
        let means = point.readings.last.map { 3 * ($0.end - $0.start) } ?? 0
        let threshold = max(context.settings.derGap, means) + slack
        let age = end - max(devices[point.device].signal.last, devices[point.device].unusable.last)
        return watchGap(
            point.device, start, end, threshold, age > threshold ? age : nil,
            since: devices[point.device].signal.last, .note, &devices, context)
    }

    /// One device that was heard.
    ///
    /// - Parameters:
    ///   - age: s for which it has said nothing, longer than `threshold`; `nil`: it has not been silent.
    ///   - since: when it said something last.
    ///   - back: samples that have come since its silence ended; `nil`: to be counted here.
    private func watchGap(
        _ number: Int, _ start: Timestamp, _ end: Timestamp, _ threshold: Double, _ age: Double?, since: Timestamp,
        back counted: Int? = nil, _ severity: Severity, _ devices: inout [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        guard age != nil || devices[number].hasActiveGap else { return [] }
        let device = context.model.registry.devices[number]
        var tracker =
            devices[number].gap
            ?? AdvisoryTracker(
                .dataGap, feeder: id, element: device.name, timing: .init(on: 0, off: 0), rearm: context.settings.rearm)
        // Of the minute and before: what came since does not count yet, however far ahead other devices are.
        let signal = devices[number].signal
        let count = signal.count - signal.window.count(from: end)
        if !tracker.isActive || age != nil { devices[number].samplesAtGapEnd = count }
        let back = (counted ?? count - devices[number].samplesAtGapEnd) >= 3
        let isStale = devices[number].late > since
        // It speaks, but not of its power.
        let isPowerless = device.kind.isDER && end - signal.last <= threshold
        let hasHadPower = devices[number].isUseful
        // Where it is over, what is left of it is nothing.
        let value = age ?? 0
        defer { devices[number].gap = tracker }
        return tracker.step(
            start, width: Self.minute,
            .bin(on: age != nil, off: back, value: value, badness: value, severity: severity),
            unit: "s", watermark: end
        ) { facts in
            facts.detector = isStale || facts.detector == "DQ_STALE" ? "DQ_STALE" : "DQ_GAP"
            facts.limit = .init(
                value: threshold, unit: "s",
                source: severity == .note ? "setting data_gap.der_s (B.4.1)" : "setting data_gap.line_s (B.4.1)")
            let name = "\(device.name) (\(device.kind.rawValue), feeder \(id))"
            facts.message =
                facts.clearedAt != nil
                ? "\(name) reports again."
                : isStale
                    ? "\(name) reports, but too late to count since \(since)."
                    : isPowerless
                        ? "\(name) reports, but \(hasHadPower ? "has sent no active power since \(since)" : "has never sent an active power") that can be used: a total, or all three phases."
                        : "\(name) has been silent since \(since)."
            facts.response =
                severity == .note
                ? "No action on shift; its aggregator should look after it."
                : "What it measures is not known: do not rely on its direction or tap. Check its link."
            facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
        }
    }
}
