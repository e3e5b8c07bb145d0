internal import GridModel

/// Which head shows the steps of a large device (B.4.8 d).
enum StepMatch {
    /// W that a device must change by within a minute.
    static let smallest = 1e6
    /// Shares of the step that may remain at the head that shows it, and that must at the one that does not.
    static let fits = 0.2
    static let differs = 0.5

    /// - Parameters:
    ///   - step: W by which the device's injection changed.
    ///   - own: W by which its own head changed.
    ///   - others: the same of the other heads, by name.
    /// - Returns: the only other head that shows it, when its own does not.
    static func stranger(_ step: Double, own: Double, others: [(feeder: String, change: Double)]) -> String? {
        guard abs(step) >= smallest, abs(own + step) > differs * abs(step) else { return nil }
        let fitting = others.filter { abs($0.change + step) < fits * abs(step) }
        return fitting.count == 1 ? fitting[0].feeder : nil
    }
}

/// Steps of devices that another head showed: two of one device, and it is modelled on the wrong feeder.
struct StepWatch: Sendable {
    struct Step: Sendable {
        var device: Int
        var home, other: String
        var at: Timestamp
    }

    static let needed = 2
    static let span = 86_400.0
    private var seen: [Step] = []
    private var trackers: [String: AdvisoryTracker] = [:]

    mutating func note(_ step: Step) { seen.append(step) }

    mutating func withTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        for key in trackers.keys.sorted() {
            if var tracker = trackers[key] {
                body(&tracker)
                trackers[key] = tracker
            }
        }
    }

    /// Makes the trackers of the bank's feeders, so that a restart finds them.
    mutating func watch(_ feeders: [String], rearm: Double) {
        for feeder in feeders {
            trackers[feeder] = AdvisoryTracker(
                .topologyMismatch, feeder: feeder, element: "\(feeder)/steps", timing: .init(on: 0, off: 0),
                rearm: rearm)
        }
    }

    mutating func step(
        _ start: Timestamp, _ model: AnalysisModel, _ settings: AnalysisSettings
    ) -> [AdvisoryReport] {
        let end = start + 60
        seen.removeAll { end - $0.at > Self.span }
        var reports: [AdvisoryReport] = []
        for feeder in trackers.keys.sorted() {
            guard var tracker = trackers[feeder] else { continue }
            let own = Dictionary(grouping: seen.filter { $0.home == feeder }) { $0.device }
            let strange = own.filter { $0.value.count >= Self.needed }
            guard !strange.isEmpty || tracker.isActive else { continue }
            reports += tracker.step(
                start, width: 60,
                .bin(
                    on: !strange.isEmpty, off: strange.isEmpty, value: Double(strange.count),
                    badness: Double(strange.count), severity: .high),
                unit: "devices", watermark: end
            ) { facts in
                facts.detector = "DQ_TOPO"
                facts.limit = .init(
                    value: StepMatch.smallest, unit: "W", source: "B.4.8: two steps of this size within a day")
                facts.evidence = .init(
                    series: [], unit: "W", binS: 60, goodPct: 100, usablePct: 0, missingPct: 0,
                    settingsHash: settings.hash, topologyRevision: model.revision)
                let says = strange.sorted { $0.key < $1.key }.prefix(3).map { device, steps in
                    "steps of \(model.registry.devices[device].name) show at feeder \(steps[0].other)"
                }
                facts.message =
                    facts.clearedAt == nil
                    ? "Feeder \(feeder): topology mismatch suspected: \(says.joined(separator: "; ")), not here."
                    : "Feeder \(feeder): for a day no device's steps have shown elsewhere."
                facts.response =
                    "Do not rely on these feeders' model for switching. Find out which feeder the device is on."
            }
            trackers[feeder] = tracker
        }
        return reports
    }
}
