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
            let age = end - max(devices[number].signal.last, devices[number].heard)
            let isSilent = age > threshold
            knownRating += rating
            if isSilent {
                silentRating += rating
                silentCount += 1
            }
            if context.settings.perDeviceGaps {
                reports += watchGap(number, start, end, threshold, .note, &devices, context)
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

    /// What is on a line is watched like a meter of the control system, a transformer's meter like DER.
    private func stepGap(
        _ point: LinePoint, _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        guard case .transformer = point.role else {
            return watchGap(point.device, start, end, context.settings.lineGap + slack, .medium, &devices, context)
        }
        guard context.settings.perDeviceGaps else { return [] }
        // One that sends means is not silent while they are being made.
        let means = point.readings.last.map { 3 * ($0.end - $0.start) } ?? 0
        let threshold = max(context.settings.derGap, means) + slack
        return watchGap(point.device, start, end, threshold, .note, &devices, context)
    }

    /// One device that was heard and is silent for longer than `threshold`, in seconds.
    private func watchGap(
        _ number: Int, _ start: Timestamp, _ end: Timestamp, _ threshold: Double, _ severity: Severity,
        _ devices: inout [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        let age = end - max(devices[number].signal.last, devices[number].heard)
        let isSilent = age > threshold
        guard isSilent || devices[number].hasActiveGap else { return [] }
        let device = context.model.registry.devices[number]
        var tracker =
            devices[number].gap
            ?? AdvisoryTracker(
                .dataGap, feeder: id, element: device.name, timing: .init(on: 0, off: 0), rearm: context.settings.rearm)
        // Of the minute and before: what came since does not count yet, however far ahead other devices are.
        let signal = devices[number].signal
        let count = signal.count - signal.window.count(from: end)
        if !tracker.isActive || isSilent { devices[number].samplesAtGapEnd = count }
        let back = count - devices[number].samplesAtGapEnd >= 3
        let last = devices[number].signal.last
        let isStale = devices[number].late > last
        defer { devices[number].gap = tracker }
        return tracker.step(
            start, width: Self.minute, .bin(on: isSilent, off: back, value: age, badness: age, severity: severity),
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
                    ? "\(name) reports, but too late to count since \(last)." : "\(name) has been silent since \(last)."
            facts.response =
                severity == .note
                ? "No action on shift; its aggregator should look after it."
                : "What it measures is not known: do not rely on its direction or tap. Check its link."
            facts.evidence = evidence(unit: "W", bins: 1, end, context) { $0.power }
        }
    }
}
