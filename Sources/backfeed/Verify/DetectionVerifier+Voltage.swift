internal import Analysis
internal import DataDirectory
internal import GridModel

/// Voltage advisories against the truth's voltages: those of single places, and those of many places of a feeder.
extension DetectionVerifier {
    /// Ten-minute windows of nodes beyond the limit, by the place whose advisory says so.
    struct VoltageWindows {
        var intervals: [Interval] = []
        /// By place.
        var feeders: [String: String] = [:]
    }

    func voltageWindows(_ settings: AnalysisSettings, isHigh: Bool) -> VoltageWindows {
        let nodes = Dictionary(network.nodes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let graph = NetworkGraph(network)
        let normal = Topology(graph, positions: graph.normalPositions)
        let per = Int((600 / truth.voltageStep).rounded(.up))
        var found = VoltageWindows()
        for (place, id) in truth.voltageNodes.enumerated() {
            guard let node = nodes[id], let number = graph.nodeIndex[id], normal.feeder[number] >= 0 else { continue }
            let isLow = !node.lowVoltageArea.isEmpty && node.nominalKilovolts <= 1
            let feeder = graph.feederIDs[Int(normal.feeder[number])]
            let group = isLow ? node.lowVoltageArea : "\(feeder)/MV"
            found.feeders[group] = feeder
            let limits = settings.feederLimits[feeder] ?? settings.limits
            let bands = Voltage.Bands(settings.standard, isLowVoltage: isLow)
            let limit = isHigh ? limits.warnHigh ?? bands.warnHigh : limits.warnLow ?? bands.warnLow
            let values = truth.voltages[place]
            for from in stride(from: 0, to: values.count, by: per) where from + per <= values.count {
                let mean = (values[from..<from + per].reduce(0.0) { $0 + Double($1) * Double($1) } / Double(per))
                    .squareRoot()
                // Within the float's rounding of the limit either answer is right.
                guard isHigh ? mean > limit + 1e-6 : mean < limit - 1e-6 else { continue }
                let start = truth.start + Double(from) * truth.voltageStep
                found.intervals.append(
                    Interval(element: group, start: start, end: start + Double(per) * truth.voltageStep))
            }
        }
        return found
    }

    /// Whether an advisory stands for many places of a feeder: those are judged by ``manyProduct(_:_:isHigh:)``.
    private static func isOfMany(_ element: String, _ feeder: String) -> Bool { element == "\(feeder)/voltage" }

    func voltageProduct(_ advisories: [AdvisoryFacts], _ windows: VoltageWindows, isHigh: Bool) -> Comparison {
        let expected = windows.intervals
        let found = advisories.filter {
            $0.kind == (isHigh ? .voltageHigh : .voltageLow) && !Self.isOfMany($0.element, $0.feeder)
        }.map {
            Interval(element: $0.element, start: $0.onset, end: $0.clearedAt ?? end)
        }
        // An advisory lasts until the voltage has been inside the deadband for 20 min: found time may be longer.
        let slack = max(1200 + 600, truth.voltageStep)
        let compared = Comparing.overlap(
            "voltage \(isHigh ? "high" : "low") advisories (product)",
            rule: "B.2.1 in ten-minute windows of every node, grouped by low-voltage grid or feeder", truth: expected,
            found: found, slack: slack, least: 0, required: 0)
        // Every window beyond the limit must lie under an advisory, and every advisory must have such a window.
        let touched = found.filter { item in
            expected.contains { $0.element == item.element && $0.start < item.end && $0.end > item.start - 600 }
        }
        var result = compared
        result.rule =
            "B.2.1: every ten-minute window of a node beyond the limit is under an advisory of its group, and every advisory has one"
        result.precision = found.isEmpty ? 1 : Double(touched.count) / Double(found.count)
        let covered = expected.filter { item in
            found.contains { $0.element == item.element && $0.start <= item.end && $0.end > item.start - 600 }
        }
        result.recall = expected.isEmpty ? 1 : Double(covered.count) / Double(expected.count)
        result.passed = result.precision == 1 && result.recall == 1
        return result
    }

    /// Three or more places of a feeder at once are one advisory (C.4), until fewer than two are left. `nil`: there were
    /// never so many, and none was told.
    func manyProduct(_ spells: [Spell], _ windows: VoltageWindows, isHigh: Bool) -> Comparison? {
        let ours = spells.filter { $0.kind == (isHigh ? .voltageHigh : .voltageLow) }
        let many = ours.filter { Self.isOfMany($0.element, $0.feeder) }
        let single = Dictionary(
            grouping: ours.filter { !Self.isOfMany($0.element, $0.feeder) }, by: \.feeder)
        // The advisories of single places, which are judged against the truth by themselves, counted minute by minute.
        let expected = single.sorted { $0.key < $1.key }.flatMap { feeder, places -> [Interval] in
            var intervals: [Interval] = []
            var isOn = false
            for time in Set(places.flatMap { [$0.raised, $0.cleared] }).sorted() where time < end {
                let count = places.count { $0.raised <= time && $0.cleared > time }
                if !isOn, count >= 3 {
                    isOn = true
                    intervals.append(Interval(element: feeder, start: time, end: end))
                } else if isOn, count < 2 {
                    isOn = false
                    intervals[intervals.count - 1].end = time
                }
            }
            return intervals
        }
        // And straight from the truth: three places beyond the limit in one window.
        let together = Dictionary(grouping: windows.intervals, by: \.start).flatMap { start, here in
            Dictionary(grouping: Set(here.map(\.element)), by: { windows.feeders[$0] ?? "" })
                .filter { $0.value.count >= 3 }.map { Interval(element: $0.key, start: start, end: start + 600) }
        }
        guard !expected.isEmpty || !many.isEmpty || !together.isEmpty else { return nil }
        let found = many.map { Interval(element: $0.feeder, start: $0.raised, end: $0.cleared) }
        let tolerance = max(120, truth.voltageStep)
        var result = Comparing.pairwise(
            "voltage \(isHigh ? "high" : "low") at many places of a feeder (product)",
            rule: "C.4: from the third place's advisory on, until fewer than two are left", truth: expected,
            found: found, tolerance: tolerance)
        let covered = together.filter { item in
            found.contains {
                $0.element == item.element && $0.start <= item.end + tolerance && $0.end >= item.start
            }
        }
        result.rule += "; and every ten-minute window with three places beyond the limit is under one"
        if covered.count < together.count {
            result.recall = min(result.recall, Double(covered.count) / Double(together.count))
            result.passed = false
        }
        return result
    }
}
