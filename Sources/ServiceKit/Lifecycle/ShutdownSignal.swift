internal import Glibc

/// SIGTERM and SIGINT as something a thread waits for, instead of a handler that interrupts any of them.
public enum ShutdownSignal {
    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        return set
    }

    /// Call first in `main`, before any thread starts: threads inherit the mask.
    public static func block() {
        signal(SIGPIPE, SIG_IGN)
        var set = set
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for a signal and returns its number.
    public static func wait() -> Int32 {
        var set = set
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        return number
    }

    /// Ends the waiting from inside: a part has failed and the service must stop.
    public static func request() { kill(getpid(), SIGTERM) }
}

/// A gate that one thread waits at until another opens it.
public final class Gate: Sendable {
    private let queue = BoundedQueue<Bool>(capacity: 1)
    public init() {}
    public func open() { queue.close() }
    public var isOpen: Bool { queue.isFinished }
    public func wait() { _ = queue.take() }
    /// True once opened; false when the time ran out first.
    public func wait(milliseconds: Int) -> Bool {
        if case .closed = queue.take(within: milliseconds) { true } else { false }
    }
}
