/// A token bucket: so much a second on average, and a burst of twice that.
struct RateLimit {
    private let perSecond: Double
    private var tokens: Double
    private var filledAt: Int64 = 0

    /// - Parameter perSecond: 0: no limit.
    init(perSecond: Double) {
        self.perSecond = perSecond
        tokens = 2 * perSecond
    }

    /// - Parameter now: microseconds, wall clock.
    mutating func take(_ amount: Double, at now: Int64) -> Bool {
        guard perSecond > 0 else { return true }
        let elapsed = max(0, Double(now - filledAt) / 1e6)
        filledAt = now
        tokens = min(2 * perSecond, tokens + elapsed * perSecond)
        guard tokens >= min(amount, 2 * perSecond) else { return false }
        tokens -= amount
        return true
    }
}
