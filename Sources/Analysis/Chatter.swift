internal import GridModel

/// Advisories that go on and off all the time (`domain-rules.md` C.3).
enum Chatter {
    /// Starts and ends within this many seconds that are chatter.
    static let turns = 6
    static let span = 3600.0
    /// Seconds: what a detector without an off-delay has doubled, and the longest one.
    static let shortestOff = 60.0
    static let longestOff = 1800.0
    /// The note in the evidence: seconds that the end must last now.
    static let note = "chatter_off_s"
}

/// Says which advisories chatter, so that somebody looks at their limits: `ADV_CHATTER`.
struct ChatterWatch: Sendable {
    private struct Case: Sendable {
        var tracker: AdvisoryTracker
        var detector: String
        var lastTurn: Timestamp
    }

    private var cases: [String: Case] = [:]

    /// - Returns: what is new, for the same feeders.
    mutating func observe(_ reports: [AdvisoryReport], rearm: Double) -> [AdvisoryReport] {
        var news: [AdvisoryReport] = []
        for report in reports where report.change == .start || report.change == .clear {
            let facts = report.facts
            let key = "\(facts.element)/\(facts.kind.rawValue)"
            let end = facts.watermark
            guard let off = facts.evidence.notes[Chatter.note] else {
                cases[key]?.lastTurn = end
                continue
            }
            var item =
                cases[key]
                ?? Case(tracker: Self.tracker(facts.feeder, key, rearm), detector: facts.detector, lastTurn: end)
            item.lastTurn = end
            news += item.tracker.step(
                end - 60, width: 60, .bin(on: true, off: false, value: off, badness: off, severity: .note), unit: "s",
                watermark: end
            ) { Self.describe(&$0, item.detector, facts.element, off, facts.evidence) }
            cases[key] = item
        }
        return news
    }

    /// Call with each minute of a feeder: what has been quiet for long enough is over.
    mutating func step(_ start: Timestamp, feeder: String) -> [AdvisoryReport] {
        var news: [AdvisoryReport] = []
        for key in cases.keys.sorted() {
            guard var item = cases[key], item.tracker.feeder == feeder, item.tracker.isActive,
                start + 60 - item.lastTurn > Chatter.span, let facts = item.tracker.facts
            else { continue }
            news += item.tracker.step(
                start, width: 60, .bin(on: false, off: true, value: 0, badness: 0, severity: .note), unit: "s",
                watermark: start + 60
            ) { Self.describe(&$0, item.detector, facts.element, 0, facts.evidence) }
            cases[key] = item
        }
        return news
    }

    /// Takes over what the store knows of one.
    /// - Parameter of: the newest of the advisory that chatters, as far as the store has it.
    mutating func restore(_ facts: AdvisoryFacts, of chattering: AdvisoryFacts?, rearm: Double) {
        var item = Case(
            tracker: Self.tracker(facts.feeder, facts.element, rearm), detector: chattering?.detector ?? "",
            lastTurn: chattering?.turns?.last ?? facts.watermark)
        item.tracker.restore(facts)
        cases[facts.element] = item
    }

    private static func tracker(_ feeder: String, _ element: String, _ rearm: Double) -> AdvisoryTracker {
        AdvisoryTracker(.chatter, feeder: feeder, element: element, timing: .init(on: 0, off: 0), rearm: rearm)
    }

    private static func describe(
        _ facts: inout AdvisoryFacts, _ detector: String, _ element: String, _ off: Double,
        _ evidence: AdvisoryFacts.Evidence
    ) {
        facts.detector = "ADV_CHATTER"
        facts.limit = .init(value: Double(Chatter.turns), unit: "turns an hour", source: "C.3")
        facts.evidence = evidence
        facts.evidence.notes = [:]
        facts.message =
            facts.clearedAt == nil
            ? "\(detector) at \(element) came and went \(Chatter.turns) times within an hour; its end must now last \(Words.decimal(off, 0)) s."
            : "\(facts.element) has been quiet for an hour."
        facts.response = "Look at its limit and delays: it stands close to one of them."
    }
}
