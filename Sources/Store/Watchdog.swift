internal import Glibc
internal import ServiceKit

/// Ends database calls that take too long: libpq waits for ever for a server that stands still, and `statement_timeout`
/// is the server's own. Shutting the socket down makes the waiting call return at once, as after a lost connection.
///
/// One thread for the process; it sleeps while nothing is guarded.
final class Watchdog: Sendable {
    static let shared = Watchdog()

    private struct Guarding: Sendable {
        var descriptor: CInt
        var until: UInt64
    }

    private struct Contents: Sendable {
        var guarded: [Int: Guarding] = [:]
        var next = 0
    }

    private let contents = Guarded(Contents())
    private let wake = WakeDescriptor()

    private init() {
        let (contents, wake) = (contents, wake)
        _ = WorkerThread(name: "store.watchdog") {
            while true {
                let isIdle = contents.withLock { $0.guarded.isEmpty }
                var item = pollfd(fd: wake.rawValue, events: Int16(POLLIN), revents: 0)
                poll(&item, 1, isIdle ? -1 : 100)
                if item.revents != 0 { wake.clear() }
                let now = SystemClock.monotonicNanoseconds
                // Under the lock: a descriptor that is released meanwhile may already be somebody else's.
                contents.withLock { contents in
                    for (token, item) in contents.guarded where item.until <= now {
                        shutdown(item.descriptor, CInt(SHUT_RDWR))
                        contents.guarded[token] = nil
                    }
                }
                // Not woken at every call: between two looks there is time for a few.
                SystemClock.pause(milliseconds: 20)
            }
        }
    }

    /// Shuts the socket down unless ``release(_:)`` is called in time.
    func guardDescriptor(_ descriptor: CInt, milliseconds: Int) -> Int {
        let until = SystemClock.monotonicNanoseconds + UInt64(milliseconds) * 1_000_000
        let (token, wasIdle) = contents.withLock { contents in
            let wasIdle = contents.guarded.isEmpty
            contents.next += 1
            contents.guarded[contents.next] = Guarding(descriptor: descriptor, until: until)
            return (contents.next, wasIdle)
        }
        if wasIdle { wake.wake() }
        return token
    }

    func release(_ token: Int) { contents.withLock { $0.guarded[token] = nil } }
}
