/// How much one desk is asked to look at (`domain-rules.md` C.5). A value: what happened in, figures out. Severity 4 is a
/// note and counts nowhere.
public struct AdvisoryRates: Sendable, Encodable, Equatable {
    /// One moment in the life of an advisory.
    public struct Happening: Sendable, Equatable {
        public enum What: Sendable, Equatable { case annunciated, acknowledged, cleared }
        public var what: What
        public var time: Timestamp
        public var advisory, kind, feeder, element: String
        public var severity: Severity

        public init(
            _ what: What, at time: Timestamp, advisory: String, kind: String, feeder: String, element: String,
            severity: Severity
        ) {
            self.what = what
            self.time = time
            self.advisory = advisory
            self.kind = kind
            self.feeder = feeder
            self.element = element
            self.severity = severity
        }
    }

    public enum Level: String, Sendable, Encodable {
        /// At most 1, 2 and 10 new ones in ten minutes, and more.
        case acceptable, manageable, high, flood
        public init(new: Int) {
            self =
                switch new {
                case ...1: .acceptable
                case 2: .manageable
                case ...10: .high
                default: .flood
                }
        }
    }

    public struct Source: Sendable, Encodable, Equatable {
        public var kind, feeder, element: String
        public var count: Int
        public var sharePct: Double
    }

    public struct Waiting: Sendable, Encodable, Equatable {
        public var count: Int
        public var medianS, p90S: Double?

        private enum CodingKeys: String, CodingKey {
            case count, medianS
            case p90S = "p90_s"
        }
    }

    public var from, until: Timestamp
    /// Annunciated in the last ten minutes, hour and day before `until`.
    public var new10Min, new1H, new24H: Int
    public var level: Level
    /// Of all periods of ten minutes: the largest number, and the share with more than two and more than ten.
    public var max10Min: Int
    public var above2Pct, above10Pct: Double
    /// At most ten, the largest first.
    public var topSources: [Source]
    public var topSourcesSharePct: Double
    /// Sources with three annunciations in a minute, or six in an hour.
    public var chattering: Int
    /// Over within a minute of being annunciated.
    public var fleeting: Int
    /// Shares of severity 1, 2 and 3; about 5, 15 and 80 is meant.
    public var mixPct: [String: Double]
    /// From annunciation to acknowledgement: severity 1 and 2, and all.
    public var acknowledgedSerious, acknowledged: Waiting

    private enum CodingKeys: String, CodingKey {
        case from, until, level, topSources, topSourcesSharePct, chattering, fleeting, mixPct, acknowledgedSerious
        case acknowledged
        case new10Min = "new_10_min"
        case new1H = "new_1_h"
        case new24H = "new_24_h"
        case max10Min = "max_10_min"
        case above2Pct = "above_2_pct"
        case above10Pct = "above_10_pct"
    }

    /// - Parameter happenings: in the order of their time.
    public init(_ happenings: [Happening], from: Timestamp, until: Timestamp) {
        let counted = happenings.filter { $0.severity >= .medium && $0.time >= from && $0.time < until }
        let annunciated = counted.filter { $0.what == .annunciated }
        func new(_ seconds: Double) -> Int { annunciated.count { $0.time >= until - seconds } }
        (self.from, self.until) = (from, until)
        (new10Min, new1H, new24H) = (new(600), new(3600), new(86_400))
        level = Level(new: new10Min)

        let periods = max(1, Int(((until - from) / 600).rounded(.up)))
        var counts = [Int: Int]()
        for item in annunciated { counts[Int((item.time - from) / 600), default: 0] += 1 }
        max10Min = counts.values.max() ?? 0
        above2Pct = Double(counts.values.count { $0 > 2 }) / Double(periods) * 100
        above10Pct = Double(counts.values.count { $0 > 10 }) / Double(periods) * 100

        let bySource = Dictionary(grouping: annunciated) { "\($0.kind)|\($0.element)" }
        let total = Double(max(1, annunciated.count))
        // By name where they are equally many: the same input must give the same words.
        let largest = bySource.sorted {
            ($1.value.count, $0.value[0].element, $0.key) < ($0.value.count, $1.value[0].element, $1.key)
        }
        topSources = largest.prefix(10).map { _, items in
            Source(
                kind: items[0].kind, feeder: items[0].feeder, element: items[0].element, count: items.count,
                sharePct: Double(items.count) / total * 100)
        }
        topSourcesSharePct = topSources.reduce(0) { $0 + $1.sharePct }
        chattering = bySource.values.count { items in
            func within(_ seconds: Double, _ least: Int) -> Bool {
                items.indices.dropFirst(least - 1).contains { items[$0].time - items[$0 - least + 1].time <= seconds }
            }
            return within(60, 3) || within(3600, 6)
        }
        mixPct = Dictionary(
            [Severity.urgent, .high, .medium].map { severity in
                ("\(severity.rawValue)", Double(annunciated.count { $0.severity == severity }) / total * 100)
            }, uniquingKeysWith: { first, _ in first })

        var asked: [String: Happening] = [:]
        var (waits, serious, brief): ([Double], [Double], Int) = ([], [], 0)
        for item in counted {
            switch item.what {
            case .annunciated: asked[item.advisory] = item
            case .acknowledged:
                guard let began = asked.removeValue(forKey: item.advisory) else { continue }
                waits.append(item.time - began.time)
                if began.severity >= .high { serious.append(item.time - began.time) }
            case .cleared:
                if let began = asked[item.advisory], item.time - began.time < 60 { brief += 1 }
            }
        }
        fleeting = brief
        acknowledged = Self.waiting(waits)
        acknowledgedSerious = Self.waiting(serious)
    }

    private static func waiting(_ seconds: [Double]) -> Waiting {
        let sorted = seconds.sorted()
        func quantile(_ share: Double) -> Double? {
            sorted.isEmpty ? nil : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
        }
        return Waiting(count: sorted.count, medianS: quantile(0.5), p90S: quantile(0.9))
    }
}
