internal import GridModel

/// Devices that have fallen silent, and DER that count the wrong way.
extension FeederState {
    mutating func stepGaps(
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
    mutating func stepSigns(
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
}
