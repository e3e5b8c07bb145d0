public import GridModel

/// Rated generation over the least load of a bank's last year (`domain-rules.md` B.1.5, GLR_STATIC): looked at once a
/// day, from the profiles, and not from the stream.
public struct StaticRatio: Sendable {
    /// A bank's year.
    public struct Year: Sendable, Equatable {
        public var bank: String
        /// W, AC, of all DER that can feed in.
        public var generation: Double
        /// W: fifth lowest quarter hour of native load between 10 and 14 h local; `nil`: too little is known.
        public var minimumLoad: Double?
        /// 0 to 1: quarter hours of the window in which all feeders of the bank are known.
        public var completeness: Double
        public init(bank: String, generation: Double, minimumLoad: Double?, completeness: Double) {
            self.bank = bank
            self.generation = generation
            self.minimumLoad = minimumLoad
            self.completeness = completeness
        }
    }

    /// Part of the window's quarter hours that must be known, and quarter hours that must be at least: ninety days.
    public static let needed = (share: 0.9, quarters: 1440)

    private var trackers: [String: AdvisoryTracker] = [:]
    private let hasZeroSequence: [String: Bool]
    private let hash: String
    private let revision: Int

    /// - Parameter analyser: knows the banks.
    public init(_ analyser: Analyser) {
        let settings = analyser.settings
        hash = settings.hash
        revision = analyser.model.revision
        hasZeroSequence = Dictionary(
            analyser.banks.compactMap { bank in bank.hasZeroSequence.map { (bank.id, $0) } },
            uniquingKeysWith: { first, _ in first })
        for bank in analyser.banks.map(\.id) {
            trackers[bank] = AdvisoryTracker(
                .generationLoadRatio, feeder: bank, element: "\(bank)/static",
                timing: .init(on: 0, off: 0, gap: 2 * 86_400), rearm: settings.rearm)
        }
    }

    /// - Parameter latest: what the store has of each kind and element.
    public mutating func restore(_ latest: [AdvisoryFacts]) {
        for facts in latest where facts.kind == .generationLoadRatio && trackers[facts.feeder]?.element == facts.element
        {
            trackers[facts.feeder]?.restore(facts)
        }
    }

    /// - Parameter day: the begin of the day that is reported.
    public mutating func report(_ year: Year, day: Timestamp) -> [AdvisoryReport] {
        guard var tracker = trackers[year.bank] else { return [] }
        defer { trackers[year.bank] = tracker }
        let isProtected = hasZeroSequence[year.bank] == true
        var input = ThresholdDetector.Input.missing
        var ratio = Double.nan
        if isProtected {
            input = .bin(on: false, off: true, value: 0, badness: 0, severity: .medium)
        } else if let load = year.minimumLoad {
            ratio = load > 0 ? min(1000, year.generation / load) : 1000
            input = .bin(on: ratio >= 1, off: ratio < 0.95, value: ratio, badness: ratio, severity: .medium)
        }
        return tracker.step(day, width: 86_400, input, unit: "1", watermark: day + 86_400) { facts in
            facts.detector = "GLR_STATIC"
            facts.limit = .init(value: 1, unit: "1", source: "B.1.5: 100 % of the minimum daytime load (SGIP)")
            facts.evidence = .init(
                series: [], unit: "1", binS: 86_400, goodPct: (year.completeness * 1000).rounded() / 10, usablePct: 0,
                missingPct: ((1 - year.completeness) * 1000).rounded() / 10, settingsHash: hash,
                topologyRevision: revision)
            facts.evidence.notes["generation_w"] = year.generation.rounded()
            facts.evidence.notes["minimum_daytime_load_w"] = year.minimumLoad?.rounded()
            let shown = Words.times(
                ratio.isNaN ? facts.peak.value : ratio, "its minimum daytime load of the last year")
            facts.message =
                facts.clearedAt == nil
                ? "Bank \(year.bank): its DER are rated \(shown), and nothing says that it has zero-sequence overvoltage (3V0) protection."
                : isProtected
                    ? "Bank \(year.bank) has zero-sequence overvoltage (3V0) protection."
                    : "Bank \(year.bank): its DER are rated below its minimum daytime load again."
            facts.response =
                "No action on shift. Have 3V0 protection confirmed or installed before more DER are admitted."
        }
    }
}
