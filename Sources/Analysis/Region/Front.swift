internal import GridModel

/// Ramps of several feeders in one direction at a time: one cause, mostly the sky (`domain-rules.md` C.4). Its parts are
/// the feeders' own ramps.
struct Front: Sendable {
    /// Its name among the positions, and as an element.
    static let name = "bank/network"
    static let element = "network"
    /// Feeders, and seconds between their ramps.
    static let feeders = 2
    static let span = 600.0

    private struct Spell: Sendable {
        var feeder: String
        var sign: Double
        var severity: Severity
        var raised: Timestamp
        var cleared: Timestamp?

        init(_ facts: AdvisoryFacts) {
            feeder = facts.feeder
            sign = facts.detector == "RAMP_DOWN" ? -1 : 1
            severity = facts.severity
            raised = facts.raisedAt
            cleared = facts.clearedAt
        }
    }

    private var spells: [Spell] = []
    /// Bins are looked at up to here.
    private(set) var next = Timestamp.distantPast
    var tracker: AdvisoryTracker

    init(_ settings: AnalysisSettings) {
        tracker = AdvisoryTracker(
            .fastRamp, feeder: Self.element, element: Self.element, timing: .init(on: 0, off: 0), rearm: settings.rearm)
    }

    mutating func note(_ reports: [AdvisoryReport]) {
        for report in reports where report.facts.kind == .fastRamp {
            let place = spells.lastIndex { $0.feeder == report.facts.feeder && $0.cleared == nil }
            switch report.change {
            case .start:
                spells.append(Spell(report.facts))
            case .severity: if let place { spells[place].severity = report.facts.severity }
            case .clear: if let place { spells[place].cleared = report.facts.watermark }
            default: break
            }
        }
    }

    /// A feeder's newest ramp as the store has it, before anything is said again.
    mutating func restore(_ ramp: AdvisoryFacts) {
        if ramp.element != Self.element { spells.append(Spell(ramp)) }
    }

    /// Nothing ramps: there is nothing to look at.
    var isIdle: Bool { spells.isEmpty && !tracker.isActive }

    /// Goes on without looking.
    mutating func skip(to time: Timestamp) { next = time }

    /// Looks at the next bin.
    mutating func advance(_ settings: AnalysisSettings, revision: Int) -> [AdvisoryReport] {
        let start = next
        next = next + FeederState.headBin
        let reports = step(start, settings, revision)
        spells.removeAll { $0.cleared.map { next - $0 > Self.span } ?? false }
        return reports
    }

    private mutating func step(
        _ start: Timestamp, _ settings: AnalysisSettings, _ revision: Int
    ) -> [AdvisoryReport] {
        let end = start + FeederState.headBin
        let active = spells.filter { $0.raised <= end && ($0.cleared.map { $0 > end } ?? true) }
        let rising = active.filter { $0.sign >= 0 }
        let falling = active.filter { $0.sign < 0 }
        let together = rising.count >= falling.count ? rising : falling
        let recent = Set(together.filter { end - $0.raised <= Self.span }.map(\.feeder)).sorted()
        let isOn = recent.count >= Self.feeders
        guard isOn || tracker.isActive else { return [] }
        let worst = max(.high, active.map(\.severity).max() ?? .note)
        let names = Set(active.map(\.feeder)).sorted()
        return tracker.step(
            start, width: FeederState.headBin,
            .bin(
                on: isOn, off: active.isEmpty, value: Double(names.count), badness: Double(names.count),
                // It stays as bad as it was: when it is over, it is over.
                severity: tracker.isActive ? max(worst, tracker.detector.severity) : worst),
            unit: "feeders", watermark: end
        ) { facts in
            facts.detector = "RAMP_FRONT"
            facts.limit = .init(value: Double(Self.feeders), unit: "feeders", source: "C.4: within 10 min, one way")
            facts.evidence = .init(
                series: [], unit: "feeders", binS: FeederState.headBin, goodPct: 100, usablePct: 0, missingPct: 0,
                settingsHash: settings.hash, topologyRevision: revision)
            let direction = together.first.map { $0.sign < 0 ? "falls" : "rises" } ?? "changes"
            facts.message =
                facts.clearedAt == nil
                ? "Power \(direction) fast on several feeders at a time: \(names.joined(separator: ", "))."
                : "No feeder ramps any more."
            facts.response =
                "Look at the sky and at what every feeder of the region does; hold switching until it is steady."
        }
    }
}
