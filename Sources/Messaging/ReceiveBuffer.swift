internal import ServiceKit

/// Messages on their way from the thread that empties a socket to the thread that works on them.
///
/// libzmq counts the messages of its queues, not their bytes: a queue that is long enough for small messages holds
/// gigabytes of large ones. So one thread does nothing but take messages out of the socket, and this limits what waits
/// in bytes.
public final class ReceiveBuffer: Sendable {
    private struct State: Sendable {
        /// Being filled; the reader takes it when nothing older is left.
        var open: Chunk?
        var full: [Chunk] = []
        var spare: [Chunk] = []
        /// Of all chunks that hold messages, the reader's among them.
        var bytes = 0
        var isAwaited = false
    }

    /// Bytes of the pieces that it fills; a message that is larger has one of its own.
    public static let usualChunk = 1 << 18

    public let maximumBytes: Int
    private let state = Guarded(State())

    /// - Parameter maximumBytes: memory of what waits; at least two chunks and the largest message.
    public init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    /// Memory of what waits.
    public var bytes: Int { state.withLock { $0.bytes } }

    public enum Outcome: Sendable { case taken, takenAndAwaited, full }

    /// Copies a message to the end.
    ///
    /// - Parameters:
    ///   - withKey: keeps the sender's key with it.
    ///   - surplus: bytes beyond ``maximumBytes`` that may be used; negative, bytes that may not.
    public func put(_ message: borrowing MessageBuffer, withKey: Bool, surplus: Int = 0) -> Outcome {
        let key = withKey ? message.userID : nil
        let size = Chunk.size(of: message, key: key)
        return state.withLock { state in
            if state.open.map({ $0.room < size }) ?? true {
                let capacity = max(Chunk.usual, size)
                guard state.bytes + capacity - surplus <= maximumBytes else { return .full }
                if let open = state.open { state.full.append(open) }
                state.open = capacity == Chunk.usual ? state.spare.popLast() ?? Chunk(capacity) : Chunk(capacity)
                state.bytes += capacity
            }
            state.open?.append(message, key: key)
            defer { state.isAwaited = false }
            return state.isAwaited ? .takenAndAwaited : .taken
        }
    }

    /// Whether something waits; when not, the next ``put(_:withKey:surplus:)`` says that it was awaited.
    fileprivate var hasMore: Bool {
        state.withLock { state in
            state.isAwaited = state.open == nil && state.full.isEmpty
            return !state.isAwaited
        }
    }

    fileprivate func exchange(_ read: Chunk?) -> Chunk? {
        state.withLock { state in
            if let read {
                state.bytes -= read.capacity
                if read.capacity == Chunk.usual, state.spare.count < 2 {
                    read.reset()
                    state.spare.append(read)
                }
            }
            guard state.full.isEmpty else { return state.full.removeFirst() }
            defer { state.open = nil }
            return state.open
        }
    }

    /// The end at which messages are taken out, in order. One thread's.
    public struct Reader: ~Copyable {
        private let buffer: ReceiveBuffer
        private var chunk: Chunk?
        private var next = 0
        public typealias Frames = (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)
        /// The first three frames of the message that ``take()`` gave; valid until the next one.
        public private(set) var frames: Frames = (
            UnsafeRawBufferPointer(start: nil, count: 0), UnsafeRawBufferPointer(start: nil, count: 0),
            UnsafeRawBufferPointer(start: nil, count: 0)
        )
        /// How many frames it had when it came; of more than three only three are kept.
        public private(set) var frameCount = 0
        public private(set) var key: String?

        public init(_ buffer: ReceiveBuffer) { self.buffer = buffer }

        /// Whether ``take()`` would give a message.
        public var isReady: Bool { chunk.map { next < $0.used } ?? false || buffer.hasMore }

        public mutating func take() -> Bool {
            if chunk.map({ next == $0.used }) ?? true {
                chunk = buffer.exchange(chunk)
                next = 0
            }
            guard let chunk else { return false }
            next = chunk.read(at: next, into: &frames, count: &frameCount, key: &key)
            return true
        }
    }
}

/// Messages one behind the other in one piece of memory. Written under the buffer's lock, then read by the one who took
/// it, hence `@unchecked Sendable`.
private final class Chunk: @unchecked Sendable {
    static let frames = 3
    static let usual = ReceiveBuffer.usualChunk
    /// Number of frames, the sizes of those that are kept, and the size of the key, before the bytes of each message.
    private static let header = (frames + 2) * MemoryLayout<UInt32>.size

    let capacity: Int
    private let base: UnsafeMutableRawPointer
    // Looked at for each message.
    @exclusivity(unchecked) private(set) var used = 0

    init(_ capacity: Int) {
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    var room: Int { capacity - used }
    func reset() { used = 0 }

    static func size(of message: borrowing MessageBuffer, key: String?) -> Int {
        var size = header + (key?.utf8.count ?? 0) + message.byteCount
        for place in frames..<max(frames, message.count) { size -= message.bytes(place).count }
        return size
    }

    /// There must be ``room``.
    func append(_ message: borrowing MessageBuffer, key: String?) {
        var next = used + Self.header
        func write(_ value: Int, at field: Int) {
            base.storeBytes(of: UInt32(clamping: value), toByteOffset: used + 4 * field, as: UInt32.self)
        }
        write(message.count + message.surplus, at: 0)
        for place in 0..<Self.frames {
            let bytes = place < message.count ? message.bytes(place) : UnsafeRawBufferPointer(start: nil, count: 0)
            write(bytes.count, at: 1 + place)
            if let start = bytes.baseAddress { (base + next).copyMemory(from: start, byteCount: bytes.count) }
            next += bytes.count
        }
        write(key?.utf8.count ?? 0, at: 1 + Self.frames)
        for byte in key?.utf8 ?? "".utf8 {
            base.storeBytes(of: byte, toByteOffset: next, as: UInt8.self)
            next += 1
        }
        used = next
    }

    /// - Returns: where the next message begins.
    func read(at place: Int, into frames: inout ReceiveBuffer.Reader.Frames, count: inout Int, key: inout String?)
        -> Int
    {
        var next = place + Self.header
        func field(_ number: Int) -> Int {
            Int(base.loadUnaligned(fromByteOffset: place + 4 * number, as: UInt32.self))
        }
        count = field(0)
        func bytes(_ frame: Int) -> UnsafeRawBufferPointer {
            defer { next += field(1 + frame) }
            return UnsafeRawBufferPointer(start: base + next, count: field(1 + frame))
        }
        frames = (bytes(0), bytes(1), bytes(2))
        let size = field(1 + Self.frames)
        key = size == 0 ? nil : String(decoding: UnsafeRawBufferPointer(start: base + next, count: size), as: UTF8.self)
        return next + size
    }
}
