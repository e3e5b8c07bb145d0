internal import GridModel

/// One thing that was checked against independent truth, with the rule by which it was compared.
struct Comparison: Encodable {
    var what: String
    /// How it was compared, in words.
    var rule: String
    var truth: Int
    var found: Int
    /// Of what was found, the share that truth has too; of truth, the share that was found. 1 when there is nothing.
    var precision: Double
    var recall: Double
    /// Worst difference of an onset or an end, seconds; `nil` where only overlap is compared.
    var worstErrorS: Double?
    /// Worst difference of a value, with its unit; `nil` where intervals are compared.
    var worstError: String?
    var passed: Bool
}

/// Half-open [start, end), of one element.
struct Interval: Equatable {
    var element: String
    var start: Timestamp
    var end: Timestamp

    var seconds: Double { end - start }
}

enum Comparing {
    /// Values side by side, each with what its difference may be.
    static func values(
        _ what: String, rule: String, unit: String, _ pairs: [(truth: Double, found: Double, tolerance: Double)]
    ) -> Comparison {
        let differences = pairs.map { abs($0.truth - $0.found) }
        // What is no number differs.
        let within = zip(pairs, differences).filter { $1 <= $0.tolerance }.count
        let share = pairs.isEmpty ? 1 : Double(within) / Double(pairs.count)
        let worst = differences.contains { !$0.isFinite } ? Double.infinity : differences.max() ?? 0
        return Comparison(
            what: what, rule: rule, truth: pairs.count, found: within, precision: share, recall: share,
            worstErrorS: nil, worstError: "\(brief(worst)) \(unit)", passed: !pairs.isEmpty && within == pairs.count)
    }

    /// Two digits, without C's formats.
    static func brief(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return value == 0 ? "0" : "no number" }
        var scale = 1.0
        while value * scale < 10 { scale *= 10 }
        return "\((value * scale).rounded() / scale)"
    }

    /// Pairs intervals of the same element whose start and end both lie within `tolerance`.
    static func pairwise(_ what: String, rule: String, truth: [Interval], found: [Interval], tolerance: Double)
        -> Comparison
    {
        var rest = Dictionary(grouping: truth, by: \.element)
        var matched = 0
        var worst = 0.0
        for interval in found {
            let candidates = rest[interval.element] ?? []
            guard
                let place = candidates.firstIndex(where: {
                    abs($0.start - interval.start) <= tolerance && abs($0.end - interval.end) <= tolerance
                })
            else { continue }
            worst = max(worst, abs(candidates[place].start - interval.start), abs(candidates[place].end - interval.end))
            rest[interval.element]?.remove(at: place)
            matched += 1
        }
        let precision = found.isEmpty ? 1 : Double(matched) / Double(found.count)
        let recall = truth.isEmpty ? 1 : Double(matched) / Double(truth.count)
        return Comparison(
            what: what, rule: "\(rule); start and end within \(Int(tolerance)) s", truth: truth.count,
            found: found.count,
            precision: precision, recall: recall, worstErrorS: worst, passed: precision == 1 && recall == 1)
    }

    /// Shares of time: found that lies in truth widened by `slack`, and truth of at least `least` seconds that is touched.
    static func overlap(
        _ what: String, rule: String, truth: [Interval], found: [Interval], slack: Double, least: Double,
        required: Double
    ) -> Comparison {
        let byElement = Dictionary(grouping: truth, by: \.element)
        let foundByElement = Dictionary(grouping: found, by: \.element)
        var (inside, total) = (0.0, 0.0)
        for interval in found {
            total += interval.seconds
            let wide = (byElement[interval.element] ?? []).map { ($0.start - slack, $0.end + slack) }.sorted {
                $0.0 < $1.0
            }
            var from = interval.start
            for (start, end) in wide where end > from && start < interval.end {
                let a = max(from, start)
                let b = min(interval.end, end)
                if b > a {
                    inside += b - a
                    from = b
                }
            }
        }
        let visible = truth.filter { $0.seconds >= least }
        let hit = visible.filter { item in
            (foundByElement[item.element] ?? []).contains { $0.start < item.end + slack && $0.end > item.start - slack }
        }.count
        let precision = total > 0 ? inside / total : 1
        let recall = visible.isEmpty ? 1 : Double(hit) / Double(visible.count)
        return Comparison(
            what: what,
            rule:
                "\(rule); time within \(Int(slack)) s of truth, and truth of ≥ \(Int(least)) s that is met; ≥ \(required)",
            truth: visible.count, found: found.count, precision: precision, recall: recall, worstErrorS: nil,
            passed: precision >= required && recall >= required)
    }
}
