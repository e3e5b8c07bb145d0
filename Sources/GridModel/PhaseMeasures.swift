/// What three phases of one measuring point say together.
public enum PhaseMeasures {
    /// The least of three powers, W in the point's frame; `NaN` unless all three are there.
    public static func least(_ a: Double, _ b: Double, _ c: Double) -> Double {
        a.isNaN || b.isNaN || c.isNaN ? .nan : min(a, b, c)
    }

    /// Voltage unbalance, %; `NaN` unless all three are there and above 0.
    ///
    /// - Parameter betweenLines: of line-line voltages the negative over the positive sequence (IEC 61000-4-30); of
    ///   phase-neutral voltages, whose angles nobody knows, the largest deviation from their mean (IEEE 1159; of line-line
    ///   voltages it would be NEMA MG-1's).
    public static func unbalance(_ a: Double, _ b: Double, _ c: Double, betweenLines: Bool) -> Double {
        // Also false for NaN.
        guard a > 0, b > 0, c > 0 else { return .nan }
        guard betweenLines else {
            let mean = (a + b + c) / 3
            return 100 * max(abs(a - mean), abs(b - mean), abs(c - mean)) / mean
        }
        let (aa, bb, cc) = (a * a, b * b, c * c)
        let beta = (aa * aa + bb * bb + cc * cc) / ((aa + bb + cc) * (aa + bb + cc))
        // 1/3 when equal: rounding must not take the root of less than nothing. No triangle: all that can be.
        let root = max(0, 3 - 6 * beta).squareRoot()
        return 100 * ((1 - root) / (1 + root)).squareRoot()
    }
}
