internal import Glibc
internal import ServiceKit

/// Cuts connections whose request does not come in whole in time. libmicrohttpd's own timeout starts anew with every
/// byte, so one byte a second would hold a connection for ever.
final class ConnectionWatch: Sendable {
    private struct State: Sendable {
        /// Deadline by socket, monotonic nanoseconds.
        var deadlines: [CInt: UInt64] = [:]
        var isStopped = false
    }

    private let state = Guarded(State())
    private let stop = Gate()

    /// - Parameter interval: how often to look, milliseconds.
    init(interval: Int) {
        let state = state
        let stop = stop
        _ = WorkerThread(name: "http.watch") {
            while !stop.wait(milliseconds: interval) {
                let now = SystemClock.monotonicNanoseconds
                state.withLock { state in
                    for (socket, deadline) in state.deadlines where deadline <= now {
                        // Under the lock: the socket cannot be closed and given to another connection meanwhile.
                        shutdown(socket, Int32(SHUT_RDWR))
                        state.deadlines[socket] = nil
                    }
                }
            }
        }
    }

    func expect(_ socket: CInt, within seconds: Double) {
        guard socket >= 0 else { return }
        let deadline = SystemClock.monotonicNanoseconds + UInt64(seconds * 1e9)
        state.withLock { $0.deadlines[socket] = deadline }
    }

    func forget(_ socket: CInt) { state.withLock { $0.deadlines[socket] = nil } }

    func finish() { stop.open() }
}
