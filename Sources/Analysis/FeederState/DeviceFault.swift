internal import GridModel

/// One fault that several devices of a feeder, or at a bank's busbars, may have: one advisory, which names them. The cause
/// is mostly one.
struct DeviceFault: Sendable {
    var tracker: AdvisoryTracker
    /// Devices that it names.
    var devices: [Int] = []

    /// The wording of a fault.
    struct Wording {
        var detector: String
        var limit: AdvisoryFacts.Limit
        /// Follows the number of devices: "repeat one value".
        var says, response: String

        static var clock: Self {
            Self(
                detector: "DQ_CLOCK",
                limit: .init(value: 0, unit: "s", source: "settings ingest.suspect_future_s, clock.suspect_s (A.7)"),
                says: "devices have a wrong clock",
                response: "Their values are not used. Have the aggregator set their clocks (NTP).")
        }

        static var range: Self {
            Self(
                detector: "DQ_RANGE",
                limit: .init(
                    value: 1.2, unit: "of rating",
                    source: "A.6: DER 1.2 × rating, meters by setting ingest.plausible_rating; 0 to 2 pu, 0 to 100 %"),
                says: "devices report what cannot be",
                response: "Their values are not used. Check unit, scale and rating with the aggregator.")
        }

        /// - Parameter flags: what their sources say of their samples.
        static func unusable(_ flags: Set<String>) -> Self {
            let named = flags.isEmpty ? "" : " (\(flags.sorted().joined(separator: "; ")))"
            return Self(
                detector: "DQ_INVALID",
                limit: .init(
                    value: Double(FlagWatch.minutes), unit: "min",
                    source: "A.6: nothing but values that their source says are not to be used"),
                says: "devices send only values that are not to be used\(named)",
                response: "Their values are not used. Have the devices, or their gateway, looked at by the aggregator.")
        }
    }

    /// There is something to say, or to take back.
    var isOpen: Bool { tracker.isActive || !devices.isEmpty }

    /// - Parameters:
    ///   - found: devices that have it now.
    ///   - place: "Feeder F1".
    mutating func step(
        _ found: [Int], _ start: Timestamp, _ end: Timestamp, _ place: String, _ context: FeederState.Context,
        _ wording: Wording, evidence: () -> AdvisoryFacts.Evidence
    ) -> [AdvisoryReport] {
        let isNews = found != devices
        devices = found
        guard !found.isEmpty || tracker.isActive else { return [] }
        let registry = context.model.registry
        func describe(_ facts: inout AdvisoryFacts) {
            facts.detector = wording.detector
            facts.limit = wording.limit
            facts.contributors = found.prefix(10).map { number in
                let power = context.injection(of: number)
                return .init(
                    device: registry.devices[number].name, kind: registry.devices[number].kind,
                    activePowerW: power.rounded(), share: 0)
            }
            facts.evidence = evidence()
            facts.evidence.notes["devices"] = Double(found.count)
            let names = found.prefix(3).map { registry.devices[$0].name }.joined(separator: ", ")
            let more = found.count > 3 ? " and \(found.count - 3) more" : ""
            facts.message =
                facts.clearedAt == nil
                ? "\(place): \(found.count) \(wording.says): \(names)\(more)."
                : "\(place): no longer: \(wording.says)."
            facts.response = wording.response
        }
        let reports = tracker.step(
            start, width: FeederState.minute,
            .bin(
                on: !found.isEmpty, off: found.isEmpty, value: Double(found.count), badness: Double(found.count),
                severity: .medium),
            unit: "devices", watermark: end, compose: describe)
        guard reports.isEmpty, isNews, tracker.isActive else { return reports }
        return tracker.amend(end, describe).map { [$0] } ?? []
    }
}
