internal import CLinux
internal import Glibc

/// A thread for a C call that blocks. It runs `body` once; ``join()`` waits for its end.
public final class WorkerThread: Sendable {
    private let ended = Gate()

    private final class Start: Sendable {
        let name: String
        let isWaitedFor: Bool
        let body: @Sendable () -> Void
        let ended: Gate
        init(name: String, isWaitedFor: Bool, ended: Gate, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.isWaitedFor = isWaitedFor
            self.ended = ended
            self.body = body
        }
    }

    /// - Parameters:
    ///   - name: shown by `top -H` and debuggers; at most 15 bytes are kept.
    ///   - isWaitedFor: something slower stands still until it has woken and said the next thing. It then does not wait for
    ///     the end of another thread's slice, which may be milliseconds.
    public init(name: String, isWaitedFor: Bool = false, body: @escaping @Sendable () -> Void) {
        Self.spawn(Start(name: name, isWaitedFor: isWaitedFor, ended: ended, body: body))
    }

    private static func spawn(_ start: Start) {
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, { WorkerThread.enter($0) }, Unmanaged.passRetained(start).toOpaque())
        precondition(code == 0, "pthread_create failed with \(code)")
        pthread_detach(thread)
    }

    private static func enter(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        _ = clinux_set_thread_name(pthread_self(), String(start.name.prefix(15)))
        // The shortest that Linux gives.
        if start.isWaitedFor { clinux_ask_for_slices(100_000) }
        start.body()
        start.ended.open()
        return nil
    }

    public func join() { ended.wait() }
}

/// The allocator's heaps, which threads share.
public enum Heaps {
    /// Two for each processor, instead of eight: with some twenty threads each would have one of its own, of which the unused part
    /// is most. Call before the first thread.
    ///
    /// Free memory goes back to the system from a mebibyte on. By itself glibc takes a large piece that was freed as a sign
    /// that such pieces come and go, and keeps twice as much free in each heap from then on (mallopt(3),
    /// M_MMAP_THRESHOLD): what is needed once, at the start, would be kept for ever.
    public static func limit() {
        clinux_limit_heaps(CInt(2 * max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))), 1 << 20, 1 << 20)
    }
}

/// A descriptor that a poll loop watches beside its socket; any thread may call ``wake()``.
public final class WakeDescriptor: Sendable {
    /// Readable from ``wake()`` until ``clear()``.
    public let rawValue: CInt

    public init() {
        rawValue = clinux_wake_open()
        precondition(rawValue >= 0, "eventfd failed, errno \(errno)")
    }

    deinit { close(rawValue) }

    public func wake() { clinux_wake(rawValue) }
    public func clear() { clinux_wake_clear(rawValue) }
}

/// Clocks as the whole program reads them. Nothing in `Analysis` may: time is an input there.
public enum SystemClock {
    /// Microseconds since 1970, UTC.
    public static var nowMicroseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// Nanoseconds of a clock that never jumps, for durations.
    public static var monotonicNanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// User plus system CPU seconds of this process.
    public static var processCPUSeconds: Double { clinux_cpu_seconds() }

    /// Blocks the calling thread. Never on Swift's cooperative pool.
    public static func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }

    /// Resident memory of this process in bytes, from /proc/self/statm; 0 where it cannot be read.
    public static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 128)
        guard fgets(&buffer, 128, file) != nil else { return 0 }
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
