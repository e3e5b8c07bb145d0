/// When each essential thread last went round: a part that hangs is a service that does not work, whatever else it says.
public final class Pulse: Sendable {
    private let beats = Guarded<[String: UInt64]>([:])

    public init() {}

    /// - Parameter part: its name in metrics and log.
    public func beat(_ part: String) {
        let now = SystemClock.monotonicNanoseconds
        beats.withLock { $0[part] = now }
    }

    /// Seconds since each part went round, by name.
    public var ages: [String: Double] {
        let now = SystemClock.monotonicNanoseconds
        return beats.withLock { $0 }.mapValues { Double(now - min(now, $0)) / 1e9 }
    }

    /// Parts that have not gone round for so many seconds.
    public func stalled(after seconds: Double) -> [String] {
        ages.filter { $0.value > seconds }.keys.sorted()
    }
}
