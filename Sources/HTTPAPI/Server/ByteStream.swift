internal import CMicroHTTPD
internal import ServiceKit

/// A body that is made while it is sent: whoever makes it waits while the client takes its time, so that a million rows
/// need the memory of a few thousand.
public final class ByteStream: Sendable {
    /// Makes the body, on a thread of its own. Returns false when it could not be made to its end: the client then sees
    /// that it is cut off.
    public typealias Maker = @Sendable (ByteStream) -> Bool

    enum Next: Sendable { case bytes([UInt8]), suspended, finished, broken }

    /// Bytes that one ``write(_:)`` should have at least.
    public static let portion = 64 * 1024
    /// Portions that wait for the client.
    private static let portions = 8

    private let maker: Maker
    private let ended: @Sendable () -> Void
    private let hasEnded = Guarded(false)
    private let queue = BoundedQueue<[UInt8]>(capacity: ByteStream.portions)
    private let waiting = Guarded<EventHub.Connection?>(nil)
    private let isBroken = Guarded(false)
    private let hasStarted = Guarded(false)

    /// - Parameter ended: called once, when the response is done with.
    public init(ended: @escaping @Sendable () -> Void = {}, _ maker: @escaping Maker) {
        self.ended = ended
        self.maker = maker
    }

    /// Nobody may have begun to read it.
    deinit { end() }

    private func end() {
        if !hasEnded.withLock({ old in
            defer { old = true }; return old
        }) {
            ended()
        }
    }

    /// Waits for room. False: the client has gone.
    public func write(_ bytes: [UInt8]) -> Bool {
        guard queue.put(bytes) else { return false }
        wake()
        return true
    }

    private func wake() {
        if let connection = waiting.withLock({ $0.take() }) { MHD_resume_connection(connection.handle) }
    }

    /// On the connection's thread. The maker starts with the first call: a HEAD request never makes it.
    func next(_ connection: EventHub.Connection) -> Next {
        if hasStarted.withLock({ old in
            defer { old = true }; return !old
        }) {
            _ = WorkerThread(name: "http.stream") { [self] in
                let isWhole = maker(self)
                if !isWhole { isBroken.withLock { $0 = true } }
                queue.close()
                wake()
            }
        }
        // Under the lock: what comes between looking and suspending would be slept through.
        return waiting.withLock { waiting in
            switch queue.take(within: 0) {
            case .element(let bytes): return .bytes(bytes)
            case .closed: return isBroken.withLock { $0 } ? .broken : .finished
            case .timedOut:
                waiting = connection
                MHD_suspend_connection(connection.handle)
                return .suspended
            }
        }
    }

    /// The server stops: what is not sent yet is not sent.
    func abort() {
        isBroken.withLock { $0 = true }
        queue.close()
        wake()
    }

    /// The response is done with, whole or not.
    func leave() {
        queue.close()
        end()
    }
}

/// Bytes that libmicrohttpd takes in pieces: what is taken is counted, not removed, and the bytes stay shared.
struct PendingBytes: Sendable {
    private var bytes: [UInt8]
    private var taken = 0

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    var isEmpty: Bool { taken == bytes.count }

    mutating func read(into buffer: UnsafeMutablePointer<CChar>, _ maximum: Int) -> Int {
        let count = min(maximum, bytes.count - taken)
        bytes.withUnsafeBytes {
            UnsafeMutableRawPointer(buffer).copyMemory(
                from: ($0.baseAddress ?? UnsafeRawPointer(buffer)) + taken, byteCount: count)
        }
        taken += count
        return count
    }
}

/// One client of a ``ByteStream``, owned by its response. `@unchecked Sendable`: libmicrohttpd calls a response's reader
/// on the connection's one thread.
final class StreamClient: @unchecked Sendable {
    let stream: ByteStream
    private let connection: EventHub.Connection
    private var pending = PendingBytes()
    private let left: @Sendable (StreamClient) -> Void

    init(_ stream: ByteStream, _ connection: OpaquePointer, left: @escaping @Sendable (StreamClient) -> Void) {
        self.stream = stream
        self.connection = EventHub.Connection(handle: connection)
        self.left = left
    }

    func read(_ buffer: UnsafeMutablePointer<CChar>, _ maximum: Int) -> Int {
        if pending.isEmpty {
            switch stream.next(connection) {
            case .bytes(let bytes): pending = PendingBytes(bytes)
            case .suspended: return 0
            case .finished: return cmhd_end_of_stream
            case .broken: return cmhd_end_with_error
            }
        }
        return pending.read(into: buffer, maximum)
    }

    func leave() {
        stream.leave()
        left(self)
    }
}
