public import GridModel

/// What the analyser would have said of a time, beside what was said (`domain-rules.md`: the same input always gives the
/// same advisories). A value: spells of both in, differences and counts out.
public struct Backtest: Sendable, Encodable {
    public enum Change: String, Sendable, Encodable { case new, gone, moved }

    public struct Difference: Sendable, Encodable {
        public var change: Change
        public var kind: AdvisoryKind
        public var detector, feeder, element: String
        public var severity: Severity
        public var raisedAt: Timestamp
        public var clearedAt: Timestamp?
        /// Of a moved one: what is not as it was, `field: before → after`.
        public var moved: [String]
    }

    public var differences: [Difference] = []
    /// Spells of before that come out as they were, and of these, those that are the same byte by byte.
    public var asBefore = 0
    public var identical = 0
    /// Of those as before, what else was said of them otherwise: words, contributors, evidence.
    public var saidOtherwise: [SaidOtherwise] = []

    public struct SaidOtherwise: Sendable, Encodable {
        public var kind: AdvisoryKind
        public var element: String
        public var raisedAt: Timestamp
        public var fields: [String]
    }

    /// - Parameters:
    ///   - before: what was said last of each spell, up to the end of the time.
    ///   - after: the same, as it comes out now.
    public init(before: [AdvisoryFacts], after: [AdvisoryFacts]) {
        for (old, new) in Self.pairs(before, after) {
            switch (old, new) {
            case (let old?, let new?): compare(old, new)
            case (let old?, nil): differences.append(Self.difference(.gone, old, []))
            case (nil, let new?): differences.append(Self.difference(.new, new, []))
            case (nil, nil): break
            }
        }
        differences.sort { ($0.raisedAt, $0.element, $0.kind.rawValue) < ($1.raisedAt, $1.element, $1.kind.rawValue) }
    }

    private mutating func compare(_ old: AdvisoryFacts, _ new: AdvisoryFacts) {
        let moved = Self.moved(old, new)
        guard moved.isEmpty else {
            differences.append(Self.difference(.moved, new, moved))
            return
        }
        asBefore += 1
        let (one, other) = (Self.bytes(old), Self.bytes(new))
        guard one != other else {
            identical += 1
            return
        }
        let fields = zip(Mirror(reflecting: one).children, Mirror(reflecting: other).children).compactMap {
            String(describing: $0.value) == String(describing: $1.value) ? nil : $0.label
        }
        saidOtherwise.append(
            SaidOtherwise(kind: new.kind, element: new.element, raisedAt: new.raisedAt, fields: fields))
    }

    /// Spells of both that are the same: by id, else, because another onset makes another id, those of one kind and
    /// element that were there at one time.
    static func pairs(
        _ before: [AdvisoryFacts], _ after: [AdvisoryFacts]
    ) -> [(before: AdvisoryFacts?, after: AdvisoryFacts?)] {
        var rest = Dictionary(before.map { ($0.id, $0) }, uniquingKeysWith: { _, last in last })
        var found: [(before: AdvisoryFacts?, after: AdvisoryFacts?)] = []
        var unmatched: [AdvisoryFacts] = []
        for item in after {
            if let old = rest.removeValue(forKey: item.id) { found.append((old, item)) } else { unmatched.append(item) }
        }
        for item in unmatched {
            let overlapping = rest.values.sorted { $0.id < $1.id }.filter {
                $0.kind == item.kind && $0.element == item.element && Self.overlap($0, item)
            }
            let old = overlapping.min { abs($0.onset - item.onset) < abs($1.onset - item.onset) }
            if let old { rest[old.id] = nil }
            found.append((old, item))
        }
        return found + rest.values.sorted { $0.id < $1.id }.map { ($0, nil) }
    }

    private static func difference(_ change: Change, _ facts: AdvisoryFacts, _ moved: [String]) -> Difference {
        Difference(
            change: change, kind: facts.kind, detector: facts.detector, feeder: facts.feeder, element: facts.element,
            severity: facts.severity, raisedAt: facts.raisedAt, clearedAt: facts.clearedAt, moved: moved)
    }

    private static func overlap(_ one: AdvisoryFacts, _ other: AdvisoryFacts) -> Bool {
        one.onset <= other.clearedAt ?? .distantFuture && other.onset <= one.clearedAt ?? .distantFuture
    }

    static func moved(_ old: AdvisoryFacts, _ new: AdvisoryFacts) -> [String] {
        var moved: [String] = []
        func note<Value: Equatable>(_ name: String, _ path: (AdvisoryFacts) -> Value, _ say: (Value) -> String) {
            if path(old) != path(new) { moved.append("\(name): \(say(path(old))) → \(say(path(new)))") }
        }
        let time = { (time: Timestamp?) in time.map { "\($0)" } ?? "not yet" }
        note("onset", { Optional($0.onset) }, time)
        note("raised_at", { Optional($0.raisedAt) }, time)
        note("cleared_at", \.clearedAt, time)
        note("severity", \.severity.rawValue) { "\($0)" }
        note("detector", \.detector) { $0 }
        note("peak", \.peak.value) { "\($0)" }
        note("cause", \.cause) { $0 ?? "unknown" }
        return moved
    }

    /// Everything that was said but for what settings and network were called then.
    private static func bytes(_ facts: AdvisoryFacts) -> AdvisoryFacts {
        var facts = facts
        facts.evidence.settingsHash = ""
        facts.evidence.topologyRevision = 0
        return facts
    }
}
