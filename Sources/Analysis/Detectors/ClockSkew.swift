/// How far a source's clock is from ours (`domain-rules.md` A.7.2), by the median of its newest samples.
public struct ClockSkew: Sendable {
    /// Samples of a median; and of the one that ends a suspicion.
    public static let window = 30
    public static let trustWindow = 10

    /// s, the newest median of (arrival - time) less the latency that is expected; positive: behind. `nil`: too few yet.
    public private(set) var skew: Double?
    public private(set) var isSuspect = false
    private var lags: [Float] = []

    public init() {}

    /// - Parameters:
    ///   - lag: s from the sample's time to its arrival, less the latency that is expected.
    ///   - limit: s that make it suspect.
    ///   - trust: s below which it is trusted again.
    /// - Returns: whether the sample's time is not to be believed.
    public mutating func observe(_ lag: Double, limit: Double, trust: Double) -> Bool {
        if lags.count == Self.window { lags.removeFirst() }
        lags.append(Float(lag))
        guard lags.count == Self.window else { return isSuspect }
        if isSuspect {
            let newest = Self.median(lags.suffix(Self.trustWindow))
            skew = newest
            if abs(newest) < trust { isSuspect = false }
        } else {
            let whole = Self.median(lags[...])
            skew = whole
            if abs(whole) > limit { isSuspect = true }
        }
        return isSuspect
    }

    private static func median(_ lags: ArraySlice<Float>) -> Double {
        var sorted = lags.map(Double.init)
        return Slope.median(&sorted) ?? 0
    }
}
