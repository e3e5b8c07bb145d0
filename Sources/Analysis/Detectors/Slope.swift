/// Slopes of irregular series (`domain-rules.md` B.3.1).
public enum Slope {
    public static let minimumPoints = 5
    /// Pairs grow with the square of the points: more are thinned evenly.
    public static let maximumPoints = 60

    /// Theil–Sen: the median of all pairwise slopes. Tolerates 29 % outliers. `nil` for fewer than five points.
    /// - Returns: units of `x` per unit of `t`.
    public static func theilSen(_ t: [Double], _ x: [Double]) -> Double? {
        precondition(t.count == x.count)
        guard t.count >= minimumPoints else { return nil }
        let stride = max(1, (t.count + maximumPoints - 1) / maximumPoints)
        let places = Swift.stride(from: 0, to: t.count, by: stride).map { $0 }
        var slopes: [Double] = []
        slopes.reserveCapacity(places.count * (places.count - 1) / 2)
        for (n, i) in places.enumerated() {
            for j in places[(n + 1)...] where t[j] != t[i] { slopes.append((x[j] - x[i]) / (t[j] - t[i])) }
        }
        return median(&slopes)
    }

    /// Ordinary least squares, only to cross-check Theil–Sen.
    public static func leastSquares(_ t: [Double], _ x: [Double]) -> Double? {
        precondition(t.count == x.count)
        guard t.count >= 2 else { return nil }
        let n = Double(t.count)
        let (meanT, meanX) = (t.reduce(0, +) / n, x.reduce(0, +) / n)
        var (upper, lower) = (0.0, 0.0)
        for (a, b) in zip(t, x) {
            upper += (a - meanT) * (b - meanX)
            lower += (a - meanT) * (a - meanT)
        }
        return lower > 0 ? upper / lower : nil
    }

    /// Savitzky–Golay derivative, five points, quadratic: for display. Units of `x` per step.
    public static func savitzkyGolay(_ x: [Double]) -> Double? {
        guard x.count == 5 else { return nil }
        return (-2 * x[0] - x[1] + x[3] + 2 * x[4]) / 10
    }

    static func median(_ values: inout [Double]) -> Double? {
        guard !values.isEmpty else { return nil }
        let middle = values.count / 2
        let upper = select(middle, &values)
        guard values.count % 2 == 0, let lower = values[..<middle].max() else { return upper }
        return (lower + upper) / 2
    }

    /// The value that would stand at `place` if all were sorted: smaller ones are put before it, larger ones after it.
    /// A slope has hundreds of pairs, and one middle.
    private static func select(_ place: Int, _ values: inout [Double]) -> Double {
        values.withUnsafeMutableBufferPointer { values in
            var (low, high) = (0, values.count - 1)
            while low < high {
                let pivot = values[low + (high - low) / 2]
                var (left, right) = (low, high)
                while left <= right {
                    while values[left] < pivot { left += 1 }
                    while values[right] > pivot { right -= 1 }
                    guard left <= right else { break }
                    values.swapAt(left, right)
                    left += 1
                    right -= 1
                }
                if place <= right { high = right } else if place >= left { low = left } else { break }
            }
            return values[place]
        }
    }
}
