internal import GridModel

/// A single bin that stands out (Hampel; `domain-rules.md` B.4.5).
public enum Spike {
    /// Bins before it that say what is usual.
    public static let window = 15

    /// - Parameters:
    ///   - before: the bins before the candidate, oldest first; at least five.
    ///   - after: the bin after it: only what comes back at once is a spike.
    ///   - rating: in the unit of the bins.
    public static func isSpike(_ candidate: Double, before: [Double], after: Double, rating: Double) -> Bool {
        var sorted = before.suffix(window).filter { !$0.isNaN }
        guard sorted.count >= 5, !candidate.isNaN, !after.isNaN, let median = Slope.median(&sorted) else {
            return false
        }
        var deviations = sorted.map { abs($0 - median) }
        let limit = max(6 * 1.4826 * (Slope.median(&deviations) ?? 0), 0.05 * rating)
        // Clouds move a feeder within bins, too: it must come from where it goes back to.
        guard let previous = before.last, abs(after - previous) <= limit else { return false }
        return [median, previous, after].allSatisfy { abs(candidate - $0) > limit }
    }
}

/// A step of the voltage between two quiet times (`domain-rules.md` B.2.3). Telemetry is too slow for half cycles.
public enum StepChange {
    /// Seconds of either side, and at most between them.
    public static let side = 30.0
    public static let gap = 30.0
    /// pu between the highest and the lowest of a quiet side.
    public static let quiet = 0.005

    /// pu that count as an event: medium and low voltage.
    public static func limit(isLowVoltage: Bool) -> Double { isLowVoltage ? 0.05 : 0.03 }

    /// The step that ends with the newest bin, pu, signed; `nil` without one.
    ///
    /// - Parameter bins: equally spaced means, oldest first, `width` s each, NaN where missing.
    public static func newest(_ bins: [Double], width: Double) -> Double? {
        let side = Int(Self.side / width)
        guard bins.count >= 2 * side else { return nil }
        func mean(_ part: ArraySlice<Double>) -> Double? {
            guard part.count == side, let low = part.min(), let high = part.max(), !part.contains(where: \.isNaN),
                high - low <= quiet
            else { return nil }
            return part.reduce(0, +) / Double(side)
        }
        guard let after = mean(bins.suffix(side)) else { return nil }
        for between in 0...Int(gap / width) {
            let end = bins.count - side - between
            guard end >= side else { break }
            if let before = mean(bins[(end - side)..<end]) { return after - before }
        }
        return nil
    }

    /// Whether so many events are more than planning allows (IEEE 1453): steps in pu with their age in s, the newest too.
    public static func isTooMany(_ events: [(age: Double, size: Double)]) -> Bool {
        let hour = events.filter { $0.age <= 3600 }
        let day = events.filter { $0.age <= 86_400 }
        return hour.count > 10 || hour.filter { $0.size > 0.03 }.count > 2 || day.filter { $0.size > 0.04 }.count > 4
    }
}

/// Whether a feeder head counts the right way round (`domain-rules.md` B.4.6).
struct HeadSignWatch: Sendable {
    /// Pairs that must be there, and of how long at most.
    static let needed = 50
    static let span = 86_400.0
    /// Correlation that proves the sign wrong; and right.
    static let wrong = -0.6
    static let right = 0.3
    /// Minutes of reverse flow in the dark that nothing can feed.
    static let darkMinutes = 5
    static let lightMinutes = 30

    private(set) var isWrong = false
    private(set) var correlation: Double?
    private var pairs: [(time: Timestamp, head: Double, fleet: Double)] = []
    private var last: (head: Double, fleet: Double)?
    private var dark = 0
    private var proven = 0

    /// - Parameters:
    ///   - head: mean W of the minute, FLOW; NaN missing.
    ///   - fleet: Σ INJ of the DER, W; NaN when too few report.
    ///   - threshold: W that count as reverse.
    ///   - isNight: the sun is more than 6° below the horizon.
    mutating func step(head: Double, fleet: Double, threshold: Double, rating: Double, isNight: Bool, end: Timestamp) {
        guard !head.isNaN, !fleet.isNaN else {
            last = nil
            return
        }
        if let last, abs(fleet - last.fleet) >= 0.01 * rating {
            pairs.append((end, head - last.head, last.fleet - fleet))
            if let stale = pairs.firstIndex(where: { end - $0.time <= Self.span }), stale > 0 {
                pairs.removeFirst(stale)
            }
            correlate()
        }
        last = (head, fleet)
        guard isNight, abs(head) >= threshold, abs(fleet) < 0.05 * abs(head) else { return }
        if head < 0 {
            (dark, proven) = (dark + 1, 0)
            if dark >= Self.darkMinutes { isWrong = true }
        } else {
            (dark, proven) = (0, proven + 1)
            if proven >= Self.lightMinutes { isWrong = false }
        }
    }

    /// After a restart the store says what was found.
    mutating func restore(isWrong: Bool) { self.isWrong = isWrong }

    private mutating func correlate() {
        guard pairs.count >= Self.needed,
            let found = VoltageAttribution.correlation(pairs.map(\.head), pairs.map(\.fleet))
        else { return }
        correlation = found
        if found <= Self.wrong { isWrong = true } else if found >= Self.right, dark == 0 { isWrong = false }
    }
}
