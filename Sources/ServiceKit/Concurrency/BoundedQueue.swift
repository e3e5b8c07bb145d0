internal import Glibc

/// Hands elements from one thread to another, in order, with a bound that is felt.
///
/// The producer never loses an element: ``offer(_:)`` takes it and says whether to pause; `onDemand` is called when the
/// consumer has made room again. ``put(_:)`` waits instead, for producers that may block.
///
/// `@unchecked Sendable`: everything is read and written under `mutex`.
public final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
    public enum Offer: Sendable { case produceMore, pause, closed }

    public let capacity: Int
    private let onDemand: @Sendable () -> Void
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let notEmpty: UnsafeMutablePointer<pthread_cond_t>
    private let notFull: UnsafeMutablePointer<pthread_cond_t>
    private var elements: [Element] = []
    private var producerPaused = false
    private var isClosed = false

    /// - Parameter capacity: elements waiting before the producer is asked to pause; ≥ 1.
    public init(capacity: Int, onDemand: @escaping @Sendable () -> Void = {}) {
        precondition(capacity >= 1)
        self.capacity = capacity
        self.onDemand = onDemand
        mutex = .allocate(capacity: 1)
        notEmpty = .allocate(capacity: 1)
        notFull = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        // A wall clock that is set must lengthen no wait.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(notEmpty, &attributes)
        pthread_cond_init(notFull, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(notFull)
        pthread_cond_destroy(notEmpty)
        pthread_mutex_destroy(mutex)
        notFull.deallocate()
        notEmpty.deallocate()
        mutex.deallocate()
    }

    public var count: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return elements.count
    }

    public var isFinished: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return isClosed
    }

    public func offer(_ element: Element) -> Offer {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return .closed }
        elements.append(element)
        pthread_cond_signal(notEmpty)
        producerPaused = elements.count >= capacity
        return producerPaused ? .pause : .produceMore
    }

    /// Waits for room. False when the queue was closed; the element was then not taken.
    public func put(_ element: Element) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while elements.count >= capacity && !isClosed { pthread_cond_wait(notFull, mutex) }
        guard !isClosed else { return false }
        elements.append(element)
        pthread_cond_signal(notEmpty)
        return true
    }

    public enum Taken { case element(Element), timedOut, closed }

    /// The oldest element; waits up to `milliseconds` for one (for ever when `nil`). `.closed` only once drained.
    public func take(within milliseconds: Int? = nil) -> Taken {
        pthread_mutex_lock(mutex)
        var deadline = timespec()
        if let milliseconds {
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let nanoseconds = deadline.tv_nsec + milliseconds % 1000 * 1_000_000
            deadline.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
            deadline.tv_nsec = nanoseconds % 1_000_000_000
        }
        while elements.isEmpty && !isClosed {
            if milliseconds == nil {
                pthread_cond_wait(notEmpty, mutex)
            } else if pthread_cond_timedwait(notEmpty, mutex, &deadline) == ETIMEDOUT, elements.isEmpty {
                pthread_mutex_unlock(mutex)
                return .timedOut
            }
        }
        guard !elements.isEmpty else {
            pthread_mutex_unlock(mutex)
            return .closed
        }
        let element = elements.removeFirst()
        let demand = producerPaused && elements.count <= capacity / 2
        if demand { producerPaused = false }
        pthread_cond_signal(notFull)
        pthread_mutex_unlock(mutex)
        if demand { onDemand() }
        return .element(element)
    }

    /// No more elements are taken; what waits can still be drained.
    public func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(notEmpty)
        pthread_cond_broadcast(notFull)
        pthread_mutex_unlock(mutex)
    }
}
