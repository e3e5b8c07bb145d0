internal import GridModel

/// What goes into a substation's busbars against what goes out (`domain-rules.md` B.4.8 c): where every branch is metered, the
/// sum is nothing, whatever is switched beyond.
struct BankBalance: Sendable {
    /// Meters of the transformers, all of them.
    let meters: [Int]
    /// Couplers of its busbars, which stand as normal when the sum is one of these feeders.
    let couplers: [Int]
    let ratingVA: Double
    /// W of the loads at the busbars themselves: what they take now is not known.
    let unmetered: Double
    var tracker: AdvisoryTracker
    private var bins = Ring<(start: Timestamp, difference: Double)>(capacity: 60)

    /// - Returns: `nil`: a branch has no meter.
    init?(
        _ bank: String, busbars: [String], feeders: [Int], ratingVA: Double, _ model: AnalysisModel, rearm: Double,
        gap: Double
    ) {
        let (network, registry) = (model.network, model.registry)
        let units = network.transformers.filter { busbars.contains($0.lowNode) }
        let found = units.compactMap { registry.index["TM-\($0.id)"].map(Int.init) }
        guard !units.isEmpty, found.count == units.count else { return nil }
        let heads = Set(feeders.map { network.feeders[$0].headLine })
        let ends = network.lines.filter { busbars.contains($0.from) || busbars.contains($0.to) }
        guard ends.allSatisfy({ heads.contains($0.id) }) else { return nil }
        meters = found
        couplers = network.switches.indices.filter {
            let item = network.switches[$0]
            return item.connects == .bus && (busbars.contains(item.node) || busbars.contains(item.element))
        }
        self.ratingVA = ratingVA
        unmetered = network.loads.reduce(0) { $0 + (busbars.contains($1.node) ? $1.kilowatts * 1000 : 0) }
        tracker = AdvisoryTracker(
            .topologyMismatch, feeder: bank, element: "\(bank)/balance", timing: .init(on: 900, off: 900, gap: gap),
            rearm: rearm)
    }

    /// - Parameters:
    ///   - measured: Σ of the transformers' meters over the minute, W into the busbars; NaN when one is missing.
    ///   - power: Σ of the heads less what DER at the busbars inject, W; NaN when one is missing.
    mutating func step(
        _ start: Timestamp, bank: String, measured: Double, power: Double, settings: AnalysisSettings, revision: Int
    ) -> [AdvisoryReport] {
        let end = start + 60
        let difference = measured - power
        bins.append((start, difference))
        let limit = settings.balanceShare * max(abs(measured), abs(power)) + settings.meterError * ratingVA + unmetered
        var input = ThresholdDetector.Input.missing
        if !difference.isNaN {
            input = .bin(
                on: abs(difference) > limit, off: abs(difference) < 0.8 * limit, value: difference,
                badness: abs(difference), severity: .high)
        }
        guard let news = tracker.detect(start, width: 60, input) else { return [] }
        let window = bins.newest(60)
        let missing = (Double(window.filter(\.difference.isNaN).count) / Double(window.count) * 1000).rounded() / 10
        return tracker.say(news, unit: "W", watermark: end) { facts in
            facts.detector = "DQ_TOPO"
            // While a meter is silent there are no sums, and no limit for them: those of before stay.
            if limit.isFinite {
                facts.limit = .init(
                    value: limit, unit: "W", source: "settings topology.balance_pct, topology.meter_error_pct (B.4.8 c)"
                )
            }
            facts.evidence = .init(
                series: window.map {
                    .init(time: $0.start, value: $0.difference.isNaN ? nil : $0.difference.rounded())
                }, unit: "W", binS: 60, goodPct: 100 - missing, usablePct: 0, missingPct: missing,
                settingsHash: settings.hash, topologyRevision: revision)
            if !difference.isNaN {
                facts.evidence.notes["transformers_w"] = measured.rounded()
                facts.evidence.notes["feeders_w"] = power.rounded()
            }
            guard facts.clearedAt != nil || !difference.isNaN else { return }
            facts.message =
                facts.clearedAt == nil
                ? "Bank \(bank): its transformers carry \(Words.power(measured)), its feeders \(Words.power(power)): a meter is wrong, or something is connected that the model does not have."
                : "Bank \(bank): what its transformers and its feeders carry is the same again."
            facts.response =
                "Do not rely on these meters for switching. Compare each head with what its relay shows; look for a bypass or a second supply."
        }
    }
}
