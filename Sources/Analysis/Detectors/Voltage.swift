internal import GridModel

/// Rules for steady-state voltage and its rise (`domain-rules.md` B.2.1, B.2.2). Per unit.
public enum Voltage {
    public enum Standard: String, Sendable { case us = "US", eu = "EU" }

    /// Bands of one standard and voltage level.
    public struct Bands: Sendable, Equatable {
        public var warnHigh, high, warnLow, low: Double

        public init(_ standard: Standard, isLowVoltage: Bool) {
            switch (standard, isLowVoltage) {
            case (.us, true): (warnHigh, high, warnLow, low) = (1.05, 1.0583, 0.95, 0.9167)
            case (.us, false): (warnHigh, high, warnLow, low) = (1.05, 1.0583, 0.975, 0.95)
            case (.eu, _): (warnHigh, high, warnLow, low) = (1.07, 1.10, 0.93, 0.90)
            }
        }
    }

    /// Deadband between a limit and the value that clears it.
    public static let deadband = 0.005

    /// Root mean square of up to ten 60-s values; `nil` below half coverage.
    public static func tenMinute(_ values: some Collection<Float>) -> Double? {
        var sum = 0.0
        var count = 0
        for value in values where !value.isNaN {
            sum += Double(value) * Double(value)
            count += 1
        }
        return count * 2 >= 10 ? (sum / Double(count)).squareRoot() : nil
    }

    /// pu beyond which two samples in a row are enough (`V_EXTREME`).
    public static func extremes(_ standard: Standard) -> (high: Double, low: Double) {
        standard == .us ? (1.10, 0.88) : (1.15, 0.85)
    }

    /// pu below which nothing is fed: an outage, no low voltage.
    static let dead = 0.1

    /// A voltage that was beyond the extremes, until the next one says whether it still is.
    struct ExtremeWatch: Sendable, Equatable {
        private var since = Timestamp.distantPast
        private var side: Int8 = 0

        /// +1 or -1 when two good samples in a row, 5 s apart or more, lie beyond the extremes; 0 otherwise.
        mutating func take(_ samples: ArraySlice<Sample>, _ base: Double, _ standard: Standard) -> Int8 {
            let limits = extremes(standard)
            let (high, low, dead) = (Float(limits.high * base), Float(limits.low * base), Float(dead * base))
            var found: Int8 = 0
            for sample in samples where sample.quality.grade == .good && !sample.voltage.isNaN {
                let now: Int8 = sample.voltage > high ? 1 : sample.voltage < low && sample.voltage > dead ? -1 : 0
                if now != side { (side, since) = (now, sample.time) }
                if now != 0, sample.time - since >= 5 { found = now }
            }
            return found
        }
    }

    /// Rise over the source that opens an advisory, and the one that makes it severity 2.
    public static func riseLimits(isLowVoltage: Bool) -> (open: Double, severe: Double) {
        isLowVoltage ? (0.03, 0.05) : (0.02, 0.03)
    }

    /// ΔV[pu] ≈ (R·P + X·Q)/V² with Ω, MW, Mvar and kV: the physics that attribution is checked against.
    public static func expectedRise(
        resistance: Double, reactance: Double, megawatts: Double, megavars: Double, kilovolts: Double
    ) -> Double {
        (resistance * megawatts + reactance * megavars) / (kilovolts * kilovolts)
    }
}

/// Who lifts the voltage: first differences of voltage against injected power (`domain-rules.md` B.2.2).
public struct VoltageAttribution: Sendable, Equatable {
    public enum Cause: String, Sendable { case der, source, mixed }

    /// pu per unit of power.
    public var sensitivity: Double
    public var share: Double
    public var pairs: Int
    public var cause: Cause

    /// - Parameters:
    ///   - voltage, power, source: equally spaced values, NaN where missing; power INJ.
    ///   - rating: of the DER behind `power`; changes below 5 % of it are noise.
    ///   - rise: the present rise over the source, pu; `injection`: the present power.
    public init?(voltage: [Double], power: [Double], source: [Double], rating: Double, rise: Double, injection: Double)
    {
        var slopes: [Double] = []
        var nodeSteps: [Double] = []
        var sourceSteps: [Double] = []
        for k in 1..<max(1, min(voltage.count, power.count)) {
            let (dv, dp) = (voltage[k] - voltage[k - 1], power[k] - power[k - 1])
            if k < source.count, !dv.isNaN, !(source[k] - source[k - 1]).isNaN {
                nodeSteps.append(dv)
                sourceSteps.append(source[k] - source[k - 1])
            }
            guard !dv.isNaN, !dp.isNaN, abs(dp) >= 0.05 * rating else { continue }
            slopes.append(dv / dp)
        }
        self.init(
            slopes: slopes, sourceCorrelation: Self.correlation(nodeSteps, sourceSteps), rise: rise,
            injection: injection)
    }

    /// - Parameter slopes: ΔV/ΔP of each usable pair.
    public init?(slopes: [Double], sourceCorrelation: Double?, rise: Double, injection: Double) {
        pairs = slopes.count
        var sorted = slopes
        guard let median = Slope.median(&sorted), rise != 0 else { return nil }
        sensitivity = median
        share = median * injection / rise
        let agreeing = slopes.filter { ($0 > 0) == (median > 0) }.count
        if slopes.count >= 6, share >= 0.6, Double(agreeing) >= 0.8 * Double(slopes.count) {
            cause = .der
        } else if let sourceCorrelation, sourceCorrelation >= 0.8, share < 0.3 {
            cause = .source
        } else {
            cause = .mixed
        }
    }

    static func correlation(_ a: [Double], _ b: [Double]) -> Double? {
        guard a.count >= 6 else { return nil }
        let n = Double(a.count)
        let (ma, mb) = (a.reduce(0, +) / n, b.reduce(0, +) / n)
        var (ab, aa, bb) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            ab += (x - ma) * (y - mb)
            aa += (x - ma) * (x - ma)
            bb += (y - mb) * (y - mb)
        }
        return aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : nil
    }
}
