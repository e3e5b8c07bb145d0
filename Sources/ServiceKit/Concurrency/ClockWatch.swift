/// Whether the wall clock was set: what it says of how long something is valid is then worth nothing.
public final class ClockWatch: Sendable {
    private struct Contents {
        /// Wall clock less monotonic clock, seconds, as it was at the last look.
        var offset: Double?
        var step: Double?
    }

    private let contents = Guarded(Contents())
    /// Seconds between two looks that count as set.
    private let limit: Double

    /// - Parameter limit: seconds by which the clocks may drift apart between two looks.
    public init(limit: Double) { self.limit = limit }

    /// Seconds by which the clock was set since ``forget()``, forward positive; `nil`: it was not.
    public var step: Double? { contents.withLock { $0.step } }

    /// Compares both clocks; to be called often, so that a clock that is only slewed is not taken for one that was set.
    ///
    /// - Parameters:
    ///   - wall: microseconds.
    ///   - monotonic: nanoseconds.
    public func look(
        wall: Int64 = SystemClock.nowMicroseconds,
        monotonic: UInt64 = SystemClock.monotonicNanoseconds
    ) {
        let offset = Double(wall) / 1e6 - Double(monotonic) / 1e9
        contents.withLock { contents in
            if let before = contents.offset, abs(offset - before) > limit { contents.step = offset - before }
            contents.offset = offset
        }
    }

    /// Every approval that it concerned is void.
    public func forget() { contents.withLock { $0.step = nil } }
}
