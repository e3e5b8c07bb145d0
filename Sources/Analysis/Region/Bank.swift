internal import GridModel

/// A substation's transformers that feed the same busbars, and the feeders on them (`domain-rules.md` B.1.5).
struct BankState: Sendable {
    let id: String
    let area: String
    let substation: String
    let feeders: [Int]
    /// DER connected to the busbar itself.
    let busbarDevices: [Int]
    let ratingVA: Double
    let hasZeroSequence: Bool?
    let reverseLimit: Double
    var nextMinute = Timestamp.distantPast
    /// The furthest of its feeders, and one of those that it waited for last.
    var newestMinute = Timestamp.distantPast
    var awaited: Int
    var reverse: AdvisoryTracker
    /// GLR_HIGH for five minutes, and GLR_WATCH for a quarter of an hour while it is not that high.
    var ratio: AdvisoryTracker
    var watch: AdvisoryTracker
    var steps = StepWatch()
    /// `nil`: not all that is connected to its busbars has a meter.
    var balance: BankBalance?
    var bins = Ring<(start: Timestamp, power: Double)>(capacity: 60)
    /// Data faults of DER and meters at its busbars.
    var clocks, ranges, unusables: DeviceFault
    /// Changes of their values so far.
    var variations = 0

    init(
        id: String, area: String, substation: String, feeders: [Int], busbarDevices: [Int], ratingVA: Double,
        hasZeroSequence: Bool?, reverseLimit: Double, rearm: Double, gap: Double
    ) {
        self.id = id
        self.area = area
        self.substation = substation
        self.feeders = feeders
        awaited = feeders[0]
        self.busbarDevices = busbarDevices
        self.ratingVA = ratingVA
        self.hasZeroSequence = hasZeroSequence
        self.reverseLimit = reverseLimit
        reverse = AdvisoryTracker(
            .reversePowerBank, feeder: id, element: id, timing: .init(on: 60, off: 300, gap: gap), rearm: rearm)
        func ratioTracker(_ element: String, on: Double) -> AdvisoryTracker {
            AdvisoryTracker(
                .generationLoadRatio, feeder: id, element: element, timing: .init(on: on, off: 900, gap: gap),
                rearm: rearm)
        }
        ratio = ratioTracker(id, on: 300)
        watch = ratioTracker("\(id)/watch", on: 900)
        func fault(_ kind: AdvisoryKind, _ name: String) -> DeviceFault {
            DeviceFault(
                tracker: AdvisoryTracker(
                    kind, feeder: id, element: "\(id)/\(name)", timing: .init(on: 0, off: 0), rearm: rearm))
        }
        clocks = fault(.clockSuspect, "clock")
        ranges = fault(.dataImplausible, "range")
        unusables = fault(.dataImplausible, "unusable")
    }

    /// What the DER at the busbar give together, W, INJ.
    struct Bounds: Equatable {
        /// Of those that speak; and with those that never did at their rating.
        private(set) var least = 0.0
        private(set) var most = 0.0
        /// False: one that used to speak is silent.
        var isKnown = true

        mutating func add(_ power: Double) {
            least += power
            most += power
        }

        mutating func add(upTo device: Device) {
            if device.kind != .electricVehicleCharger { most += device.rating }
        }
    }

    mutating func withTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        body(&reverse)
        body(&ratio)
        body(&watch)
        body(&clocks.tracker)
        body(&ranges.tracker)
        body(&unusables.tracker)
        steps.withTrackers(body)
        if var found = balance {
            body(&found.tracker)
            balance = found
        }
    }

    /// Worst values that have become worse.
    mutating func worsened(_ end: Timestamp) -> [AdvisoryReport] {
        guard end == end.floored(toSeconds: AdvisoryTracker.worstEvery) else { return [] }
        var reports: [AdvisoryReport] = []
        withTrackers { if let report = $0.worsened(end) { reports.append(report) } }
        return reports
    }

    private static func evidence(
        _ unit: String, _ bins: Ring<(start: Timestamp, power: Double)>, _ settings: AnalysisSettings, _ revision: Int
    ) -> AdvisoryFacts.Evidence {
        let window = bins.newest(60)
        let missing = window.filter(\.power.isNaN).count
        let share = (Double(missing) / Double(max(1, window.count)) * 1000).rounded() / 10
        return AdvisoryFacts.Evidence(
            series: window.map { .init(time: $0.start, value: $0.power.isNaN ? nil : $0.power.rounded()) },
            unit: unit, binS: 60, goodPct: 100 - share, usablePct: 0, missingPct: share,
            settingsHash: settings.hash, topologyRevision: revision)
    }

    /// Faults of DER and meters at the busbars themselves.
    mutating func stepFaults(
        _ start: Timestamp, _ devices: [DeviceState], _ context: FeederState.Context
    ) -> [AdvisoryReport] {
        let all = busbarDevices + (balance?.meters ?? [])
        let clocked = all.filter { devices[$0].unusable.clock.isOn }
        let ranged = all.filter { devices[$0].unusable.range.isOn }
        let invalid = all.filter { devices[$0].unusable.other.isOn }
        func step(_ fault: inout DeviceFault, _ found: [Int], _ wording: DeviceFault.Wording) -> [AdvisoryReport] {
            guard !found.isEmpty || fault.isOpen else { return [] }
            return fault.step(found, start, start + 60, "Bank \(id)", context, wording) {
                Self.evidence("W", bins, context.settings, context.model.revision)
            }
        }
        var (clocks, ranges, unusables) = (clocks, ranges, unusables)
        defer { (self.clocks, self.ranges, self.unusables) = (clocks, ranges, unusables) }
        return step(&clocks, clocked, .clock) + step(&ranges, ranged, .range)
            + step(&unusables, invalid, .unusable(Set(invalid.map { devices[$0].unusable.words })))
    }

    /// - Parameters:
    ///   - heads: Σ of the heads' minute means, W; NaN when one is missing.
    ///   - injection: Σ of all DER on feeders, W.
    ///   - busbar: Σ of the busbar DER, W.
    mutating func step(
        _ start: Timestamp, heads: Double, injection: Double, busbar: Bounds, settings: AnalysisSettings, revision: Int
    ) -> [AdvisoryReport] {
        let end = start + 60
        nextMinute = end
        // With what is known of them, and with all that they may give.
        let power = busbar.isKnown ? heads - busbar.least : .nan
        let lowest = busbar.isKnown ? heads - busbar.most : .nan
        let isExact = busbar.least == busbar.most
        bins.append((start, power))
        let threshold = max(100_000, 0.005 * ratingVA)
        var input = ThresholdDetector.Input.missing
        var ratioInput = ThresholdDetector.Input.missing
        var watchInput = ThresholdDetector.Input.missing
        var glr = Double.nan
        if !power.isNaN {
            let exceeds = reverseLimit > 0 && -power > reverseLimit
            let severity: Severity = hasZeroSequence == true ? (exceeds ? .high : .medium) : .urgent
            // What may flow back is no all-clear.
            let mayReverse = power > -threshold && lowest < -0.5 * threshold
            if isExact || !mayReverse {
                input = .bin(
                    on: power <= -threshold, off: lowest >= -0.5 * threshold, value: power, badness: -power,
                    severity: severity)
            }
            func ratio(_ given: Double) -> Double {
                ReversePower.generationLoadRatio(injection: injection + given, bank: heads - given) ?? .infinity
            }
            glr = ratio(busbar.least)
            let most = ratio(busbar.most)
            // Without load there is no ratio: the largest that is stored stands for all beyond it, and is never told.
            let shown = min(glr, 1000)
            if isExact || glr >= 0.9 || most < 0.85 {
                ratioInput = .bin(on: glr >= 0.9, off: most < 0.85, value: shown, badness: glr, severity: .medium)
            }
            if isExact || glr >= 0.67 || most < 0.6 {
                watchInput = .bin(
                    on: glr >= 0.67 && glr < 0.9, off: most < 0.6 || glr >= 0.9, value: shown, badness: glr,
                    severity: .note)
            }
        }
        func evidence(_ unit: String) -> AdvisoryFacts.Evidence {
            var made = Self.evidence(unit, bins, settings, revision)
            if glr.isFinite { made.notes["generation_load_ratio"] = (glr * 1000).rounded() / 1000 }
            return made
        }
        let reports = reverse.step(start, width: 60, input, unit: "W", watermark: end) { facts in
            facts.detector = hasZeroSequence == true ? "RPF_BANK" : "RPF_BANK_NO3V0"
            facts.limit = .init(value: -reverseLimit, unit: "W", source: "setting bank.reverse_limit_w (B.1.5)")
            facts.evidence = evidence("W")
            let protection =
                hasZeroSequence == true
                ? "" : " Nothing says that it has zero-sequence overvoltage (3V0) protection."
            facts.message =
                facts.clearedAt == nil
                ? "Bank \(id) feeds \(Words.power(-(power.isNaN ? facts.peak.value : power))) back to the high-voltage "
                    + "grid since \(Words.clock(facts.onset)).\(protection)"
                : "Bank \(id) imports again since \(Words.clock(facts.endedAt ?? facts.onset))."
            facts.response =
                hasZeroSequence == true
                ? "Check tap control and the agreed export; tell the transmission operator if asked to."
                : "Confirm 3V0 protection or reduce generation: a line fault above could leave the bank energised."
        }
        func describe(_ facts: inout AdvisoryFacts, _ detector: String, _ limit: Double) {
            facts.detector = detector
            facts.limit = .init(value: limit, unit: "1", source: "B.1.5")
            facts.evidence = evidence("W")
            facts.message =
                facts.clearedAt == nil
                ? "Bank \(id): generation is \(Words.times(glr.isNaN ? facts.peak.value : glr, "the load"))."
                : "Bank \(id): generation is below its limit again."
            facts.response = "Expect reverse flow at the bank; avoid leaving it islanded with this generation."
        }
        var (high, low) = (ratio, watch)
        defer { (ratio, watch) = (high, low) }
        return reports
            + high.step(start, width: 60, ratioInput, unit: "1", watermark: end) { describe(&$0, "GLR_HIGH", 0.9) }
            + low.step(start, width: 60, watchInput, unit: "1", watermark: end) { describe(&$0, "GLR_WATCH", 0.67) }
    }
}
