internal import GridModel

/// One possible advisory: a detector, the identity it has while it lasts, and what was last said of it.
///
/// Small: a feeder has dozens, and nearly none of them ever has anything to say.
struct AdvisoryTracker: Sendable {
    /// What never changes.
    private final class Subject: Sendable {
        let kind: AdvisoryKind
        let feeder, element: String
        let rearm: Double
        /// Seconds its end must last when nothing chatters.
        let usualOff: Double

        init(_ kind: AdvisoryKind, _ feeder: String, _ element: String, rearm: Double, usualOff: Double) {
            self.kind = kind
            self.feeder = feeder
            self.element = element
            self.rearm = rearm
            self.usualOff = usualOff
        }
    }

    private indirect enum Said: Sendable {
        case nothing
        case last(AdvisoryFacts)
    }

    private let subject: Subject
    private(set) var detector: ThresholdDetector
    private var said = Said.nothing
    /// The newest ends of bins at which it started or cleared.
    private var turns: [Timestamp] = []

    init(
        _ kind: AdvisoryKind, feeder: String, element: String, timing: ThresholdDetector.Timing, rearm: Double
    ) {
        subject = Subject(kind, feeder, element, rearm: rearm, usualOff: timing.off)
        detector = ThresholdDetector(timing)
    }

    var kind: AdvisoryKind { subject.kind }
    var feeder: String { subject.feeder }
    var element: String { subject.element }

    /// What was said last; `nil`: nothing yet.
    private(set) var facts: AdvisoryFacts? {
        get { if case .last(let facts) = said { facts } else { nil } }
        set { said = newValue.map { .last($0) } ?? .nothing }
    }

    var isActive: Bool { detector.isActive }

    /// What makes it the same advisory: family, element.
    var key: String { "\(kind.rawValue)|\(element)" }

    /// Before a warm-up: what is open by the store is taken to be active from its beginning, so that the warm-up finds
    /// how much of its end has passed.
    mutating func prepare(_ stored: AdvisoryFacts?) {
        guard let stored else { return }
        if let off = stored.evidence.notes[Chatter.note] { detector.timing.off = off }
        if stored.clearedAt == nil { resume(stored) }
    }

    private mutating func resume(_ stored: AdvisoryFacts) {
        detector.restore(
            onset: stored.onset, severity: stored.severity, peak: stored.peak.value, peakAt: stored.peak.at,
            badness: stored.peak.badness, said: stored.watermark, uncertain: stored.uncertain)
    }

    /// Takes over what the store knows of the latest advisory with this key.
    mutating func restore(_ stored: AdvisoryFacts) {
        facts = stored
        turns = stored.turns ?? []
        detector.timing.off = stored.evidence.notes[Chatter.note] ?? subject.usualOff
        if let end = stored.clearedAt {
            if detector.isActive { detector.reset(endedAt: end) }
            return
        }
        resume(stored)
    }

    /// Nothing is stored under this key: an activity that the warm-up found never became an advisory.
    mutating func forget() {
        (facts, turns) = (nil, [])
        detector.timing.off = subject.usualOff
        if detector.isActive { detector.reset() }
    }

    /// What a bin has brought that is to be said.
    struct News {
        var outputs: [ThresholdDetector.Output]
        var start: Timestamp
        var width: Double
    }

    /// Takes a bin; nearly none brings news. Apart from ``say(_:unit:watermark:compose:)``, because a tracker is large and its caller
    /// has to copy it to describe it.
    mutating func detect(_ start: Timestamp, width: Double, _ input: ThresholdDetector.Input) -> News? {
        let outputs = detector.step(start, width: width, input)
        return outputs.isEmpty ? nil : News(outputs: outputs, start: start, width: width)
    }

    mutating func step(
        _ start: Timestamp, width: Double, _ input: ThresholdDetector.Input, unit: String, watermark: Timestamp,
        compose: (inout AdvisoryFacts) -> Void
    ) -> [AdvisoryReport] {
        guard let news = detect(start, width: width, input) else { return [] }
        return say(news, unit: unit, watermark: watermark, compose: compose)
    }

    /// - Parameter compose: fills in severity-dependent and descriptive facts.
    mutating func say(
        _ news: News, unit: String, watermark: Timestamp, compose: (inout AdvisoryFacts) -> Void
    ) -> [AdvisoryReport] {
        let (start, width) = (news.start, news.width)
        let end = start + width
        noteTurns(news.outputs, end)
        return news.outputs.compactMap { output in
            let change: AdvisoryReport.Change
            switch output {
            case .start(let onset, let severity):
                change = .start
                let again = facts.flatMap { old in
                    old.clearedAt.flatMap { onset - $0 <= subject.rearm ? old : nil }
                }
                let id = again?.id ?? makeID(onset)
                facts = AdvisoryFacts(
                    id: id, kind: kind, detector: "", feeder: feeder, element: element, severity: severity,
                    onset: again?.onset ?? onset, raisedAt: end, peak: .init(value: .nan, unit: unit, at: start),
                    limit: .init(value: 0, unit: unit, source: ""), message: "", response: "",
                    evidence: .init(
                        series: [], unit: unit, binS: width, goodPct: 0, usablePct: 0, missingPct: 0,
                        settingsHash: "", topologyRevision: 0),
                    occurrence: (again?.occurrence ?? 0) + 1, watermark: watermark)
            case .severity(let severity):
                change = .severity
                facts?.severity = severity
            case .uncertain:
                change = .uncertain
                facts?.uncertain = true
            case .certain:
                change = .certain
                facts?.uncertain = false
            case .clear(let clearOnset):
                change = .clear
                facts?.endedAt = clearOnset
                facts?.clearedAt = end
            }
            guard var now = facts else { return nil }
            let badness = detector.peakBadness
            now.peak = .init(
                value: detector.peak.value, unit: unit, at: detector.peak.at, badness: badness.isFinite ? badness : nil)
            now.watermark = watermark
            Dated.compose(&now, at: end, isBlind: change == .uncertain, compose)
            now.turns = turns
            if detector.timing.off != subject.usualOff { now.evidence.notes[Chatter.note] = detector.timing.off }
            facts = now
            return AdvisoryReport(change: change, facts: now)
        }
    }

    /// What goes on and off all the time takes longer to be over, until it has been quiet.
    private mutating func noteTurns(_ outputs: [ThresholdDetector.Output], _ end: Timestamp) {
        for output in outputs {
            switch output {
            case .start:
                if let last = turns.last, end - last > Chatter.span { detector.timing.off = subject.usualOff }
            case .clear: break
            default: continue
            }
            turns.append(end)
            if turns.count > Chatter.turns { turns.removeFirst() }
            guard turns.count == Chatter.turns, end - turns[0] <= Chatter.span else { continue }
            turns = [end]
            detector.timing.off = min(Chatter.longestOff, 2 * max(detector.timing.off, Chatter.shortestOff))
        }
    }

    /// Says more about an advisory that stands or has just cleared, without touching its condition.
    mutating func amend(_ watermark: Timestamp, _ change: (inout AdvisoryFacts) -> Void) -> AdvisoryReport? {
        guard var now = facts else { return nil }
        Dated.compose(&now, at: watermark, change)
        guard now != facts else { return nil }
        now.watermark = watermark
        // Whoever restores it takes the worst value to be that of the watermark.
        if let worst { now.peak = worst }
        facts = now
        return AdvisoryReport(change: .cause, facts: now)
    }

    /// Seconds of data between two looks at worst values.
    static let worstEvery: Int64 = 300

    /// Its worst value, where that has become worse since it was last said: a restart would find only what the samples of its
    /// warm-up show, and who looks wants to know how bad it has been.
    mutating func worsened(_ watermark: Timestamp) -> AdvisoryReport? {
        guard var now = facts, let worst else { return nil }
        now.peak = worst
        now.watermark = watermark
        facts = now
        return AdvisoryReport(change: .peak, facts: now)
    }

    /// The worst value, where it is not the one that was said last.
    private var worst: AdvisoryFacts.Peak? {
        guard detector.isActive, let facts, facts.clearedAt == nil, detector.peak.at > facts.peak.at else { return nil }
        let badness = detector.peakBadness
        return .init(
            value: detector.peak.value, unit: facts.peak.unit, at: detector.peak.at,
            badness: badness.isFinite ? badness : nil)
    }

    private func makeID(_ onset: Timestamp) -> String {
        let prefix =
            switch kind {
            case .reversePower: "rp"
            case .reversePowerBank: "rpb"
            case .reversePowerDevice: "rpd"
            case .transformerExport: "te"
            case .regulatorRunaway: "rr"
            case .regulatorHunting: "rh"
            case .generationLoadRatio: "glr"
            case .voltageHigh: "vh"
            case .voltageLow: "vl"
            case .voltageRise: "vr"
            case .fastRamp: "ramp"
            case .fleetRamp: "framp"
            case .dataGap: "gap"
            case .signSuspect: "sign"
            case .clockSuspect: "clock"
            case .dataFrozen: "frozen"
            case .dataImplausible: "range"
            case .modelMismatch: "model"
            case .topologyMismatch: "topo"
            case .voltageExtreme: "vx"
            case .voltageStep: "vs"
            case .voltageUnbalance: "vu"
            case .outage: "out"
            case .chatter: "chat"
            case .reversePowerForecast: "fcr"
            case .voltageForecast: "fcv"
            case .overloadForecast: "fco"
            }
        return "\(prefix)-\(StableHash("\(key)|\(onset.microseconds)").hexadecimal)"
    }
}
