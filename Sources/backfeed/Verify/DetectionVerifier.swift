internal import Analysis
internal import DataDirectory
internal import GridModel

/// Runs the product's detectors over a window that carries truth, and compares.
///
/// Two kinds of comparison. *Engine*: the common detector engine with the truth's own rules, interval by interval.
/// *Product*: the whole analyser with its shipped rules, against an independent application of the same rules to the
/// truth's series (by run lengths, not by the engine).
struct DetectionVerifier {
    let network: Network
    let window: ProfileWindow
    let truth: TruthWindow
    private let bin = 10.0

    struct Result {
        var comparisons: [Comparison]
        var advisories: [AdvisoryFacts]
        /// What one desk for all feeders would have been asked to look at.
        var rates: AdvisoryRates
    }

    func run(settings: AnalysisSettings) -> Result {
        let (advisories, spells, banks) = analyse(settings)
        var list = [reverseEngine(), rampEngine(1), rampEngine(-1)]
        list += [voltageEngine(truth.overVoltage, isHigh: true), voltageEngine(truth.underVoltage, isHigh: false)]
        list.append(reverseProduct(settings, advisories))
        for isHigh in [true, false] {
            let windows = voltageWindows(settings, isHigh: isHigh)
            list.append(voltageProduct(advisories, windows, isHigh: isHigh))
            if let many = manyProduct(spells, windows, isHigh: isHigh) { list.append(many) }
        }
        if let bank = bankProduct(settings, advisories) { list.append(bank) }
        let happenings = AdvisoryRates.annunciated(advisories, banks: banks).sorted { $0.time < $1.time }
        return Result(
            comparisons: list, advisories: advisories,
            rates: AdvisoryRates(happenings, from: truth.start, until: end))
    }

    var end: Timestamp { truth.start + Double(window.rows) * window.step }

    // MARK: The engine with the truth's rules

    private func engine(
        _ element: String, _ values: [Double], step: Double, on: (Int) -> Bool, off: (Int) -> Bool
    ) -> [Interval] {
        var detector = ThresholdDetector(.init(on: 0, off: 0, gap: .infinity))
        var intervals: [Interval] = []
        for k in values.indices {
            let input = ThresholdDetector.Input.bin(
                on: on(k), off: off(k), value: values[k], badness: abs(values[k]), severity: .note)
            for output in detector.step(truth.start + Double(k) * step, width: step, input) {
                switch output {
                case .start(let onset, _): intervals.append(Interval(element: element, start: onset, end: end))
                case .clear(let clearOnset): intervals[intervals.count - 1].end = clearOnset
                default: break
                }
            }
        }
        return intervals
    }

    private func reverseEngine() -> Comparison {
        let found = truth.heads.flatMap { head in
            engine(
                head.feeder, head.kilowatts, step: truth.step, on: { head.kilowatts[$0] <= -50 },
                off: { head.kilowatts[$0] >= 0 })
        }
        let feeders = Set(truth.heads.map(\.feeder))
        let expected = truth.reverse.filter { $0.rule == "hyst" && feeders.contains($0.element) }
        return Comparing.pairwise(
            "reverse flow at feeder heads (engine)", rule: "truth's rule hyst: on at ≤ -50 kW, off at ≥ 0",
            truth: expected.map { Interval(element: $0.element, start: $0.start, end: $0.end) }, found: found,
            tolerance: truth.step)
    }

    private func rampEngine(_ sign: Double) -> Comparison {
        let span = max(1, Int(truth.rampWindow / truth.step))
        let direction = sign > 0 ? "up" : "down"
        var found: [Interval] = []
        for threshold in Set(truth.ramps.map(\.threshold)).union(window.rampThresholds ?? []).sorted() {
            for head in truth.heads {
                let rates = head.kilowatts.indices.map { k in
                    k < span ? 0 : sign * (head.kilowatts[k] - head.kilowatts[k - span]) / (truth.rampWindow / 60)
                }
                found += engine(
                    "\(head.feeder) \(threshold)", rates, step: truth.step, on: { rates[$0] >= threshold },
                    off: { rates[$0] < threshold })
            }
        }
        return Comparing.pairwise(
            "ramps \(direction) at feeder heads (engine)",
            rule: "truth's rule: |P(t) - P(t-\(Int(truth.rampWindow)) s)| a minute ≥ threshold",
            truth: truth.ramps.filter { $0.direction == direction }.map {
                Interval(element: "\($0.element) \($0.threshold)", start: $0.start, end: $0.end)
            }, found: found, tolerance: truth.step)
    }

    private func voltageEngine(_ events: [TruthWindow.Interval], isHigh: Bool) -> Comparison {
        var found: [Interval] = []
        for threshold in isHigh ? [1.05, 1.10] : [0.95, 0.90] {
            for (place, node) in truth.voltageNodes.enumerated() {
                let values = truth.voltages[place].map(Double.init)
                // Values carry five decimals: a float's rounding must not decide about the limit itself.
                let beyond = values.map { isHigh ? $0 > threshold + 2e-7 : $0 < threshold - 2e-7 }
                guard beyond.contains(true) else { continue }
                found += engine(
                    "\(node) \(threshold)", values, step: truth.voltageStep, on: { beyond[$0] }, off: { !beyond[$0] })
            }
        }
        let what = "\(isHigh ? "over" : "under")-voltage at nodes (engine)"
        let rule = "truth's rule: strictly \(isHigh ? "above 1.05, 1.10" : "below 0.95, 0.90") pu"
        let expected = events.map { Interval(element: "\($0.element) \($0.threshold)", start: $0.start, end: $0.end) }
        guard truth.voltageStep > truth.step else {
            // The table is rounded to five decimals, the events are not: one bin either way at the limit itself.
            return Comparing.overlap(
                what, rule: rule, truth: expected, found: found, slack: truth.voltageStep, least: 0, required: 0.98)
        }
        return Comparing.overlap(
            what, rule: "\(rule); the table has every \(Int(truth.voltageStep)) s only", truth: expected, found: found,
            slack: truth.voltageStep, least: 2 * truth.voltageStep, required: 0.98)
    }

    // MARK: The product with its own rules

    /// An advisory from when it was raised until it was cleared; one that comes again soon has several.
    struct Spell {
        var kind: AdvisoryKind
        var feeder, element: String
        var raised, cleared: Timestamp
    }

    /// Feeds heads, every node's voltage and busbar DER as interval means, and keeps each advisory's last word.
    private func analyse(
        _ settings: AnalysisSettings
    ) -> (advisories: [AdvisoryFacts], spells: [Spell], banks: [String: Set<String>]) {
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: settings)
        var latest: [String: AdvisoryFacts] = [:]
        var spells: [Spell] = []
        func take(_ output: AnalysisOutput) {
            for report in output.reports {
                let facts = report.facts
                latest[facts.id] = facts
                if report.change == .start {
                    spells.append(
                        .init(
                            kind: facts.kind, feeder: facts.feeder, element: facts.element, raised: facts.raisedAt,
                            cleared: end))
                } else if report.change == .clear, let cleared = facts.clearedAt,
                    let place = spells.lastIndex(where: { $0.kind == facts.kind && $0.element == facts.element })
                {
                    spells[place].cleared = cleared
                }
            }
        }
        let meters = truth.voltageNodes.enumerated().compactMap { place, node -> (Int32, Float, Int)? in
            guard let number = registry.index["VM-\(node)"] else { return nil }
            return (number, Float(registry.devices[Int(number)].voltageBase), place)
        }
        let heads = truth.heads.enumerated().compactMap { place, head -> (Int32, Float, Int)? in
            guard let number = registry.index["FH-\(head.feeder)"] else { return nil }
            return (number, Float(registry.devices[Int(number)].voltageBase), place)
        }
        let busbars = Set(network.nodes.filter(\.isBusbar).map(\.id))
        let ders = network.ders.enumerated().filter { busbars.contains($1.node) }.compactMap { place, der in
            registry.index[der.id].map { ($0, place) }
        }
        let stride = max(1, Int(truth.voltageStep / truth.step))
        for k in 0..<(truth.heads.first?.kilowatts.count ?? 0) {
            var samples: [Sample] = []
            let time = truth.start + Double(k + 1) * truth.step
            for (number, place) in ders {
                let kilowatts = window.ders[place].kilowatts(at: Double(k) * truth.step)
                samples.append(
                    Sample(
                        device: number, time: time, activePower: Float(kilowatts * 1000), interval: Float(truth.step)))
            }
            if k % stride == 0 {
                for (number, base, place) in meters where k / stride < truth.voltages[place].count {
                    samples.append(
                        Sample(
                            device: number, time: truth.start + Double(k) * truth.step + truth.voltageStep,
                            voltage: truth.voltages[place][k / stride] * base, interval: Float(truth.voltageStep)))
                }
            }
            for (number, base, place) in heads {
                let head = truth.heads[place]
                samples.append(
                    Sample(
                        device: number, time: time, activePower: Float(head.kilowatts[k] * 1000),
                        reactivePower: Float(head.kilovars[k] * 1000), voltage: Float(head.busbarPerUnit[k]) * base,
                        interval: Float(truth.step)))
            }
            take(analyser.absorb(samples))
        }
        for feeder in network.feeders { take(analyser.tick(feeder: feeder.id, to: end + truth.voltageStep + 100)) }
        // Silence after the end of the recording is no finding.
        let found = latest.values.filter { $0.onset < end }
        return (found.sorted { ($0.onset, $0.id) < ($1.onset, $1.id) }, spells, analyser.banksByFeeder)
    }

    /// The rule of B.0 applied to a series by run lengths: on for at least `on` seconds, until off for `off` seconds.
    static func reference(
        _ element: String, start: Timestamp, bin: Double, values: [Double], threshold: Double, on: Double, off: Double,
        rearm: Double, end: Timestamp
    ) -> [Interval] {
        var intervals: [(start: Int, end: Int, cleared: Int)] = []
        let needOn = max(1, Int((on / bin).rounded(.up)))
        let needOff = max(1, Int((off / bin).rounded(.up)))
        var k = 0
        while k < values.count {
            guard values[k] <= -threshold else {
                k += 1
                continue
            }
            let first = k
            while k < values.count, values[k] <= -threshold { k += 1 }
            guard k - first >= needOn else { continue }
            // Active: look for the first run of `needOff` bins at or above half the threshold.
            var j = first + needOn
            var finish = values.count
            var cleared = values.count
            while j < values.count {
                guard values[j] >= -0.5 * threshold else {
                    j += 1
                    continue
                }
                let from = j
                while j < values.count, values[j] >= -0.5 * threshold, j - from < needOff { j += 1 }
                if j - from >= needOff {
                    finish = from
                    cleared = j
                    break
                }
            }
            if let last = intervals.last, Double(first - last.cleared) * bin <= rearm {
                intervals[intervals.count - 1].end = finish
                intervals[intervals.count - 1].cleared = cleared
            } else {
                intervals.append((first, finish, cleared))
            }
            k = cleared
        }
        return intervals.map {
            Interval(
                element: element, start: start + Double($0.start) * bin,
                end: $0.end >= values.count ? end : start + Double($0.end) * bin)
        }
    }

    private func binned(_ values: [Double]) -> [Double] {
        if truth.step >= bin { return values.flatMap { Array(repeating: $0, count: Int(truth.step / bin)) } }
        let each = Int(bin / truth.step)
        return stride(from: 0, to: values.count - each + 1, by: each).map { k in
            values[k..<k + each].reduce(0, +) / Double(each)
        }
    }

    private func reverseProduct(_ settings: AnalysisSettings, _ advisories: [AdvisoryFacts]) -> Comparison {
        let nodes = Dictionary(
            network.nodes.map { ($0.id, $0.nominalKilovolts) }, uniquingKeysWith: { first, _ in first })
        var expected: [Interval] = []
        for head in truth.heads {
            guard let feeder = network.feeders.first(where: { $0.id == head.feeder }) else { continue }
            var limits = settings.feederLimits[head.feeder] ?? settings.limits
            if limits.rating == 0 {
                limits.rating =
                    network.ratingVA(of: feeder, nominalKilovolts: nodes[feeder.busbar] ?? 0)
                    ?? FeederLimits.assumedRating
            }
            expected += Self.reference(
                head.feeder, start: truth.start, bin: bin, values: binned(head.kilowatts.map { $0 * 1000 }),
                threshold: limits.reverseOnThreshold, on: limits.reverseOn, off: limits.reverseOff,
                rearm: settings.rearm,
                end: end)
        }
        let found = advisories.filter { $0.kind == .reversePower && $0.detector == "RPF_HEAD" }.map {
            Interval(element: $0.feeder, start: $0.onset, end: $0.clearedAt == nil ? end : $0.endedAt ?? end)
        }
        return Comparing.pairwise(
            "reverse power advisories (product)",
            rule: "B.1.1 on the truth's head power in \(Int(bin))-s means, applied by run lengths", truth: expected,
            found: found,
            tolerance: max(bin, truth.step))
    }

    private func bankProduct(_ settings: AnalysisSettings, _ advisories: [AdvisoryFacts]) -> Comparison? {
        let busbars = Set(network.nodes.filter { $0.kind == "mv_busbar" }.map(\.id))
        let units = network.transformers.filter { busbars.contains($0.lowNode) }
        let series = truth.transformers.filter { unit in units.contains { $0.id == unit.id } }
        let banks = Set(advisories.filter { $0.kind == .reversePowerBank }.map(\.element))
        guard !series.isEmpty, banks.count <= 1,
            Set(network.nodes.filter { busbars.contains($0.id) }.map(\.substation)).count == 1
        else { return nil }
        let count = series.map(\.kilowatts.count).min() ?? 0
        let sum = (0..<count).map { k in series.reduce(0) { $0 + $1.kilowatts[k] * 1000 } }
        let threshold = max(100_000, 0.005 * units.reduce(0) { $0 + $1.ratedKVA * 1000 })
        let expected = Self.reference(
            "bank", start: truth.start, bin: bin, values: binned(sum), threshold: threshold, on: 60, off: 300,
            rearm: settings.rearm, end: end)
        let found = advisories.filter { $0.kind == .reversePowerBank }.map {
            Interval(element: "bank", start: $0.onset, end: $0.clearedAt == nil ? end : $0.endedAt ?? end)
        }
        return Comparing.overlap(
            "reverse power at the bank (product)",
            rule: "B.1.5 on the sum of the transformers' HV power; the product has heads and busbar DER only",
            truth: expected,
            found: found, slack: max(900, truth.step), least: 1800, required: 0.95)
    }
}
