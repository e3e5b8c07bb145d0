internal import GridModel
internal import ServiceKit

/// One moment by both clocks. Times of the data are compared with the wall clock; how long ago something was received,
/// the monotonic clock says: a wall clock that is set back must make nothing fresh.
struct Moment: Sendable {
    let wall: Timestamp
    /// Microseconds, from an arbitrary start.
    let monotonic: Int64

    static var now: Self {
        Self(
            wall: Timestamp(microseconds: SystemClock.nowMicroseconds),
            monotonic: Int64(SystemClock.monotonicNanoseconds / 1000))
    }

    /// Seconds since something was received.
    ///
    /// - Parameter receivedAt: microseconds by the monotonic clock.
    func age(of receivedAt: Int64) -> Double { Double(monotonic - receivedAt) / 1e6 }

    /// When something was received, by the wall clock as it stands now.
    func wallTime(of receivedAt: Int64) -> Timestamp { wall - age(of: receivedAt) }
}
