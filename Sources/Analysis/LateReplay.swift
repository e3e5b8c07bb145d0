public import GridModel

/// Two analysers over the same stored samples: one without those that came late, as it was, and one with them in their
/// places. What the two say differently, the late samples have changed, and nothing else has.
public struct LateReplay: Sendable {
    /// What the late samples cannot change: what was expected, what was said about saying, and how the samples came.
    private static let unchanged: Set<AdvisoryKind> = [
        .reversePowerForecast, .overloadForecast, .voltageForecast, .chatter, .clockSuspect,
    ]

    private struct Late: Sendable {
        var from = Timestamp.distantFuture
        var until = Timestamp.distantPast
        var samples = 0

        mutating func note(_ time: Timestamp) {
            from = min(from, time)
            until = max(until, time)
            samples += 1
        }
    }

    private struct Side: Sendable {
        var analyser: Succession
        /// By spell, what was said of it last.
        var spells: [String: AdvisoryFacts] = [:]

        init(
            _ networks: [Succession.Stage], _ settings: AnalysisSettings, from: Timestamp, standing: [AdvisoryFacts]
        ) {
            analyser = Succession(networks, settings: settings)
            analyser.restore(positions: LateReplay.positions(analyser, from), latest: standing)
            for facts in standing where facts.clearedAt == nil { spells[facts.id] = facts }
        }

        mutating func take(_ output: AnalysisOutput) -> [FeederMinute] {
            for report in output.reports where report.change != .peak { spells[report.facts.id] = report.facts }
            return output.minutes
        }
    }

    private var asSaid: Side
    private var amended: Side
    /// Feeders of all networks of the time.
    public let feeders: [String]
    private var late: [String: Late] = [:]
    private var lateOfAll = Late()

    /// - Parameters:
    ///   - networks: of the time, the oldest first.
    ///   - from: on a full minute; what is said after it is compared. The samples must begin ``Analyser/warmUp`` before.
    ///   - said: of each kind and element what had been said last by then.
    ///   - amendments: what late samples had changed by then: the newest of each spell.
    public init(
        networks: [Succession.Stage], settings: AnalysisSettings, from: Timestamp, said: [AdvisoryFacts],
        amendments: [AdvisoryAmendment]
    ) {
        asSaid = Side(networks, settings, from: from, standing: said)
        amended = Side(networks, settings, from: from, standing: Self.amended(said, amendments, at: from))
        feeders = asSaid.analyser.feeders
    }

    /// What was said, as amended: what begins before a time and is over after it, stands at that time.
    private static func amended(
        _ said: [AdvisoryFacts], _ amendments: [AdvisoryAmendment], at time: Timestamp
    ) -> [AdvisoryFacts] {
        func key(_ facts: AdvisoryFacts) -> String { "\(facts.kind.rawValue)|\(facts.element)" }
        var latest = Dictionary(said.map { (key($0), $0) }, uniquingKeysWith: { _, last in last })
        for amendment in amendments {
            if let before = amendment.before, latest[key(before)]?.id == before.id { latest[key(before)] = nil }
            guard var after = amendment.after, after.raisedAt <= time else { continue }
            if let end = after.clearedAt, end > time { (after.clearedAt, after.endedAt) = (nil, nil) }
            latest[key(after)] = after
        }
        return latest.values.sorted { $0.id < $1.id }
    }

    /// Bins are final a little after their end: head bins of 10 s after 30 s, minutes after 90 s. What ended before was
    /// said by then.
    private static func positions(_ analyser: Succession, _ from: Timestamp) -> [String: Analyser.Position] {
        let position = Analyser.Position(head: from - 40, minute: from - 120)
        return Dictionary(uniqueKeysWithValues: analyser.names.map { ($0, position) })
    }

    public mutating func switchMoved(_ id: String, to position: SwitchPosition, at time: Timestamp) {
        asSaid.analyser.switchMoved(id, to: position, at: time)
        amended.analyser.switchMoved(id, to: position, at: time)
    }

    /// - Parameter samples: in order of time, late ones flagged.
    /// - Returns: the minutes that are final, with the late samples in them.
    public mutating func absorb(_ samples: [Sample]) -> [FeederMinute] {
        var inTime = samples
        for place in inTime.indices where inTime[place].quality.contains(.late) {
            inTime[place].quality.remove(.late)
            let sample = inTime[place]
            // Samples that must not be used change nothing, late or not.
            guard sample.quality.grade != .bad else { continue }
            late[asSaid.analyser.feeder(of: sample.device, at: sample.time), default: Late()].note(sample.time)
            lateOfAll.note(sample.time)
        }
        _ = asSaid.take(asSaid.analyser.absorb(samples))
        return amended.take(amended.analyser.absorb(inTime))
    }

    /// Nothing more comes of a feeder until a time.
    public mutating func tick(feeder: String, to time: Timestamp) -> [FeederMinute] {
        _ = asSaid.take(asSaid.analyser.tick(feeder: feeder, to: time))
        return amended.take(amended.analyser.tick(feeder: feeder, to: time))
    }

    /// What the late samples change, in order of onset.
    ///
    /// - Parameters:
    ///   - until: what is said of a later time is not compared.
    ///   - peakTolerance: part of the peak, 0 to 1, by which it may differ and still be the same.
    public func amendments(until: Timestamp, peakTolerance: Double) -> [AdvisoryAmendment] {
        func comparable(_ side: Side) -> [AdvisoryFacts] {
            side.spells.values.filter { !Self.unchanged.contains($0.kind) && $0.raisedAt <= until }
                .sorted { ($0.onset, $0.id) < ($1.onset, $1.id) }
        }
        let pairs = Backtest.pairs(comparable(asSaid), comparable(amended))
        let found: [AdvisoryAmendment] = pairs.compactMap { before, after in
            var said: [String] = []
            if let before, let after {
                if before.agrees(with: after, peakTolerance: peakTolerance) { return nil }
                said = Backtest.moved(before, after)
            }
            let feeder = (before ?? after)?.feeder ?? ""
            let late = late[feeder] ?? lateOfAll
            guard late.samples > 0 else { return nil }
            return AdvisoryAmendment(
                before: before, after: after, said: said, lateFrom: late.from, lateUntil: late.until,
                lateSamples: late.samples)
        }
        return found.sorted {
            ($0.subject?.onset ?? .distantPast, $0.spell) < ($1.subject?.onset ?? .distantPast, $1.spell)
        }
    }
}
