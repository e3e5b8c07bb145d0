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
            let device = context.model.registry.devices[number]
            let age = end - max(devices[number].signal.last, devices[number].heard)
            let isSilent = age > threshold
            knownRating += device.rating
            if isSilent {
                silentRating += device.rating
                silentCount += 1
            }
            guard context.settings.perDeviceGaps, isSilent || devices[number].hasActiveGap else { continue }
            var tracker =
                devices[number].gap
                ?? AdvisoryTracker(
                    .dataGap, feeder: id, element: device.name, timing: .init(on: 0, off: 0),
                    rearm: context.settings.rearm)
            if !tracker.isActive || isSilent { devices[number].samplesAtGapEnd = devices[number].signal.count }
            let back = devices[number].signal.count - devices[number].samplesAtGapEnd >= 3
            let last = devices[number].signal.last
            let isStale = devices[number].late > last
            reports += tracker.step(
                start, width: Self.minute, .bin(on: isSilent, off: back, value: age, badness: age, severity: .note),
                unit: "s", watermark: end
            ) { facts in
                facts.detector = isStale || facts.detector == "DQ_STALE" ? "DQ_STALE" : "DQ_GAP"
                facts.limit = .init(value: threshold, unit: "s", source: "setting data_gap.der_s (B.4.1)")
                facts.message =
                    facts.clearedAt == nil
                    ? isStale
                        ? "\(device.name) (\(device.kind.rawValue), feeder \(id)) reports, but too late to count since \(last)."
                        : "\(device.name) (\(device.kind.rawValue), feeder \(id)) has been silent since \(last)."
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
}
