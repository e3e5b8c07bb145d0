internal import CZeroMQ
internal import Glibc

/// A ZeroMQ context. libzmq documents contexts as thread-safe, hence `@unchecked Sendable`.
public final class MessagingContext: @unchecked Sendable {
    fileprivate let handle: UnsafeMutableRawPointer

    public init() throws(MessagingError) {
        guard let handle = zmq_ctx_new() else { throw .last("zmq_ctx_new") }
        self.handle = handle
    }

    /// Blocks until every socket of the context is closed.
    deinit { zmq_ctx_term(handle) }
}

/// One ZeroMQ socket.
///
/// libzmq sockets are not thread-safe, so this type is neither `Copyable` nor `Sendable`: make it on the thread that
/// uses it and let it die there.
public struct Socket: ~Copyable {
    /// `announcedPublish` is an XPUB: a PUB that can tell when a subscriber has joined.
    public enum Kind: Sendable { case publish, announcedPublish, subscribe, router, dealer }

    fileprivate let handle: UnsafeMutableRawPointer
    /// Keeps the context alive for as long as the socket is open.
    private let context: MessagingContext

    public init(_ kind: Kind, in context: MessagingContext) throws(MessagingError) {
        let type =
            switch kind {
            case .publish: ZMQ_PUB
            case .announcedPublish: ZMQ_XPUB
            case .subscribe: ZMQ_SUB
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            }
        guard let handle = zmq_socket(context.handle, type) else { throw .last("zmq_socket") }
        // A throw once `self` is whole would need its deinit: by hand until then.
        do throws(MessagingError) {
            // Peers that vanish without a word (a machine that lost its power) are noticed and dropped.
            if kind == .router || kind == .dealer || kind == .subscribe {
                try Self.set(handle, ZMQ_HEARTBEAT_IVL, 5000)
                try Self.set(handle, ZMQ_HEARTBEAT_TIMEOUT, 15_000)
            }
            // A router that cannot reach a peer says so instead of dropping the message.
            if kind == .router { try Self.set(handle, ZMQ_ROUTER_MANDATORY, 1) }
        } catch {
            zmq_close(handle)
            throw error
        }
        self.handle = handle
        self.context = context
    }

    deinit { zmq_close(handle) }

    private mutating func set(_ option: CInt, _ value: CInt) throws(MessagingError) {
        try Self.set(handle, option, value)
    }

    private static func set(_ handle: UnsafeMutableRawPointer, _ option: CInt, _ value: CInt) throws(MessagingError) {
        var value = value
        guard zmq_setsockopt(handle, option, &value, MemoryLayout<CInt>.size) == 0 else {
            throw .last("zmq_setsockopt")
        }
    }

    /// Messages that may wait in this process before a PUB drops (or, with ``blockWhenFull()``, waits).
    public mutating func limitQueues(sending: Int? = nil, receiving: Int? = nil) throws(MessagingError) {
        if let sending { try set(ZMQ_SNDHWM, CInt(clamping: sending)) }
        if let receiving { try set(ZMQ_RCVHWM, CInt(clamping: receiving)) }
    }

    /// A PUB that waits for a slow subscriber instead of dropping silently.
    public mutating func blockWhenFull() throws(MessagingError) { try set(ZMQ_XPUB_NODROP, 1) }

    /// Milliseconds that unsent messages are kept when the socket closes.
    public mutating func linger(milliseconds: Int) throws(MessagingError) {
        try set(ZMQ_LINGER, CInt(clamping: milliseconds))
    }

    public mutating func limitSending(milliseconds: Int) throws(MessagingError) {
        try set(ZMQ_SNDTIMEO, CInt(clamping: milliseconds))
    }

    /// Larger messages end the peer's connection inside libzmq, before they are read into memory.
    public mutating func limitMessage(bytes: Int) throws(MessagingError) {
        var value = Int64(bytes)
        guard zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &value, MemoryLayout<Int64>.size) == 0 else {
            throw .last("zmq_setsockopt")
        }
    }

    private mutating func set(_ option: CInt, _ text: String) throws(MessagingError) {
        guard zmq_setsockopt(handle, option, text, text.utf8.count) == 0 else { throw .last("zmq_setsockopt") }
    }

    /// Lets in only peers with a key that the context's ``KeyRing`` knows. Before ``bind(_:)``.
    public mutating func requireKeys(server: CurveKeyPair) throws(MessagingError) {
        try set(ZMQ_CURVE_SERVER, 1)
        try set(ZMQ_CURVE_SECRETKEY, server.secretKey)
        try set(ZMQ_ZAP_DOMAIN, "backfeed")
        // A peer that was told to come again is not told so on the wire: only the end of its connection makes it, which
        // would otherwise take 30 s.
        try set(ZMQ_HANDSHAKE_IVL, 5000)
    }

    /// Shows a key to the server, and accepts no server but the one named. Before ``connect(_:)``.
    public mutating func present(_ own: CurveKeyPair, toServer publicKey: String) throws(MessagingError) {
        try set(ZMQ_CURVE_SERVERKEY, publicKey)
        try set(ZMQ_CURVE_PUBLICKEY, own.publicKey)
        try set(ZMQ_CURVE_SECRETKEY, own.secretKey)
    }

    /// Milliseconds between tries to reconnect.
    public mutating func reconnect(every milliseconds: Int) throws(MessagingError) {
        try set(ZMQ_RECONNECT_IVL, CInt(clamping: milliseconds))
    }

    public mutating func subscribe(_ prefix: String) throws(MessagingError) {
        guard zmq_setsockopt(handle, ZMQ_SUBSCRIBE, prefix, prefix.utf8.count) == 0 else {
            throw .last("zmq_setsockopt")
        }
    }

    public mutating func connect(_ endpoint: String) throws(MessagingError) {
        guard zmq_connect(handle, endpoint) == 0 else { throw .last("zmq_connect", endpoint: endpoint) }
    }

    public mutating func bind(_ endpoint: String) throws(MessagingError) {
        guard zmq_bind(handle, endpoint) == 0 else { throw .last("zmq_bind", endpoint: endpoint) }
    }

    /// The endpoint it is bound to, a wildcard port resolved.
    public mutating func boundEndpoint() -> String {
        var text = [CChar](repeating: 0, count: 256)
        var size = text.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &size) == 0 else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Sends frames if the queue has room and the peer is there; false when not.
    public mutating func offer(_ frames: [[UInt8]]) throws(MessagingError) -> Bool {
        for (place, frame) in frames.enumerated() {
            let more = place < frames.count - 1 ? ZMQ_SNDMORE : 0
            while zmq_send(handle, frame, frame.count, more | ZMQ_DONTWAIT) < 0 {
                let code = zmq_errno()
                if code == EAGAIN || code == EHOSTUNREACH, place == 0 { return false }
                guard code == EINTR || code == EAGAIN else { throw .last("zmq_send") }
            }
        }
        return true
    }

    /// Sends one message of several frames; waits while the queue is full when the socket was told to.
    public mutating func send(_ frames: [[UInt8]]) throws(MessagingError) {
        for (place, frame) in frames.enumerated() {
            let more = place < frames.count - 1 ? ZMQ_SNDMORE : 0
            while zmq_send(handle, frame, frame.count, more) < 0 {
                guard zmq_errno() == EINTR else { throw .last("zmq_send") }
            }
        }
    }

    /// Reads the frames of the next message into `message`; false when none is waiting.
    public mutating func receive(into message: inout MessageBuffer) throws(MessagingError) -> Bool {
        message.clear()
        repeat {
            let frame = message.nextFrame()
            var size = zmq_msg_recv(frame, handle, ZMQ_DONTWAIT)
            while size < 0 {
                let code = zmq_errno()
                if code == EAGAIN, message.count == 1 {
                    message.clear()
                    return false
                }
                guard code == EINTR || code == EAGAIN else { throw .last("zmq_msg_recv") }
                size = zmq_msg_recv(frame, handle, ZMQ_DONTWAIT)
            }
            message.noteSize(Int(size))
        } while message.lastHasMore
        return true
    }

    /// Waits until a subscriber has joined an ``Kind/announcedPublish`` socket: what is sent before is dropped.
    public mutating func waitForSubscriber(milliseconds: Int) throws(MessagingError) -> Bool {
        var item = zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
        guard zmq_poll(&item, 1, milliseconds) >= 0 || zmq_errno() == EINTR else { throw .last("zmq_poll") }
        var message = MessageBuffer()
        guard item.revents != 0 else { return false }
        return try receive(into: &message)
    }

    public struct Readiness: Sendable {
        public var descriptor: Bool
        public var socket: Bool
        /// The other socket of ``wait(with:alsoFor:watchingSockets:milliseconds:)``.
        public var other = false
    }

    /// Waits until one of two sockets or the descriptor is readable, at most `milliseconds` (-1: without limit).
    public mutating func wait(
        with other: borrowing Socket, alsoFor descriptor: CInt, watchingSockets: Bool, milliseconds: Int
    ) throws(MessagingError) -> Readiness {
        var items = [
            zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
            zmq_pollitem_t(socket: other.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
        ]
        guard zmq_poll(&items, watchingSockets ? 3 : 1, milliseconds) >= 0 || zmq_errno() == EINTR else {
            throw .last("zmq_poll")
        }
        return Readiness(
            descriptor: items[0].revents != 0, socket: items[1].revents != 0, other: items[2].revents != 0)
    }

    /// Waits until the socket or the descriptor is readable, at most `milliseconds` (-1: without limit).
    public mutating func wait(alsoFor descriptor: CInt, watchingSocket: Bool = true, milliseconds: Int)
        throws(MessagingError) -> Readiness
    {
        var items = [
            zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
        ]
        guard zmq_poll(&items, watchingSocket ? 2 : 1, milliseconds) >= 0 || zmq_errno() == EINTR else {
            throw .last("zmq_poll")
        }
        return Readiness(descriptor: items[0].revents != 0, socket: items[1].revents != 0)
    }
}

/// The frames of one received message, reused from message to message. A `zmq_msg_t` must not be moved, so each lives
/// at a fixed address.
public struct MessageBuffer: ~Copyable {
    /// More frames than this are received and thrown away: ours have three, a ZAP request nine.
    public static let maximumFrames = 9

    private let frames: UnsafeMutablePointer<zmq_msg_t>
    /// Bytes of each frame.
    private let sizes: UnsafeMutablePointer<Int>
    public private(set) var count = 0
    /// Of all frames that are kept.
    public private(set) var byteCount = 0
    /// Frames that were received beyond ``maximumFrames``.
    public private(set) var surplus = 0

    public init() {
        frames = .allocate(capacity: Self.maximumFrames)
        sizes = .allocate(capacity: Self.maximumFrames)
        sizes.initialize(repeating: 0, count: Self.maximumFrames)
        for place in 0..<Self.maximumFrames { zmq_msg_init(frames + place) }
    }

    deinit {
        for place in 0..<Self.maximumFrames { zmq_msg_close(frames + place) }
        frames.deallocate()
        sizes.deallocate()
    }

    mutating func clear() {
        count = 0
        byteCount = 0
        surplus = 0
    }

    mutating func nextFrame() -> UnsafeMutablePointer<zmq_msg_t> {
        if count == Self.maximumFrames {
            surplus += 1
            byteCount -= sizes[count - 1]
        } else {
            count += 1
        }
        sizes[count - 1] = 0
        return frames + (count - 1)
    }

    /// Of the frame that ``nextFrame()`` gave, when it is there.
    mutating func noteSize(_ bytes: Int) {
        sizes[count - 1] = bytes
        byteCount += bytes
    }

    var lastHasMore: Bool { zmq_msg_more(frames + (count - 1)) != 0 }

    /// Who sent it: the user id that the ``KeyRing`` gave the peer's key; `nil` on sockets without keys.
    public var userID: String? {
        // The last frame: a router's first one is its own, and carries nothing of the peer.
        guard count > 0, let text = zmq_msg_gets(frames + (count - 1), "User-Id") else { return nil }
        return String(cString: text)
    }

    /// The bytes of a frame; valid until the next receive.
    public func bytes(_ place: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: zmq_msg_data(frames + place), count: sizes[place])
    }
}
