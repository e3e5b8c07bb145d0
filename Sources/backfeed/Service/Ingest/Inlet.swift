internal import Messaging
internal import ServiceKit

/// The thread that does nothing but empty the telemetry socket, so that what waits is limited in bytes whatever the
/// receiving thread is at: a disk that stands still, ten thousand samples to refuse.
struct Inlet: ~Copyable {
    /// What libzmq may hold beside the buffer, in sizes of it.
    private static let excess = 3

    private var telemetry: Socket
    private var message: MessageBuffer
    private let buffer: ReceiveBuffer
    private let exchange: IngestExchange
    private let hasKeys: Bool
    private let worthAWake: Int
    private let queue: Int
    /// Bytes of a message: the mean of the last few hundred.
    private var usualSize = 0.0
    private let metrics: Metrics
    /// The newest message found no room: what our memory was then, in bytes. Nothing is read before it has a place.
    private var fullSince: Int?
    private var waits = 0
    /// Bytes by which our memory may grow before libzmq's share of it is looked for.
    private var allowedGrowth: Int
    private var toldAt: UInt64 = 0
    private var untold = 0
    /// Where aggregators publish to.
    let endpoint: String

    init(
        limits: Ingest.Limits, context: MessagingContext, buffer: ReceiveBuffer, exchange: IngestExchange,
        metrics: Metrics
    ) throws {
        var telemetry = try Socket(.subscribe, in: context)
        try telemetry.limitMessage(bytes: limits.hardMessage)
        // Once and for all: libzmq (4.3.4) can stop reading for good when the limit of an open connection changes.
        try telemetry.limitQueues(receiving: limits.receiveQueue)
        try telemetry.linger(milliseconds: 0)
        if let key = limits.serverKey { try telemetry.requireKeys(server: key) }
        try telemetry.subscribe("")
        for address in limits.bind { try telemetry.bind(address) }
        let endpoint = telemetry.boundEndpoint()
        for address in limits.connect { try telemetry.connect(address) }
        self.telemetry = telemetry
        self.endpoint = endpoint
        message = MessageBuffer()
        allowedGrowth = Self.excess * buffer.maximumBytes
        self.metrics = metrics
        self.buffer = buffer
        self.exchange = exchange
        hasKeys = limits.serverKey != nil
        // Never so many that the sender stands waiting for us.
        queue = limits.receiveQueue
        worthAWake = min(200, limits.receiveQueue / 2)
    }

    /// Until the exchange says stop; what has been taken is then in the buffer.
    mutating func run() throws {
        while !exchange.now.isStopping {
            if let since = fullSince {
                try awaitRoom(since)
                continue
            }
            let ready = try telemetry.wait(alsoFor: exchange.closeInlet.rawValue, milliseconds: -1)
            guard ready.socket else { continue }
            var count = 0
            while count < 1000, fullSince == nil, try telemetry.receive(into: &message) {
                count += 1
                usualSize += (Double(message.byteCount) - usualSize) / 512
                if !place() { fullSince = SystemClock.residentBytes }
            }
            if count < worthAWake {
                // Small messages that come one by one would each cost a wake-up on both sides of the socket: a
                // millisecond is nothing beside the flush interval, and lets some gather.
                SystemClock.pause(milliseconds: 1)
            }
        }
        if fullSince != nil { _ = buffer.put(message, withKey: hasKeys, surplus: .max) }
    }

    /// - Parameter surplus: bytes that it may hold beyond its limit; by default it leaves room for what libzmq will hold
    ///   when it is full. A large message needs all of it.
    private func place(surplus: Int? = nil) -> Bool {
        let reserve = min(usualSize * Double(queue), 0.75 * Double(buffer.maximumBytes))
        let isLarge = message.byteCount > ReceiveBuffer.usualChunk
        switch buffer.put(message, withKey: hasKeys, surplus: surplus ?? (isLarge ? 0 : -Int(reserve))) {
        case .takenAndAwaited: exchange.wake.wake()
        case .taken: break
        case .full: return false
        }
        return true
    }

    /// While the buffer is full, what comes waits in libzmq and then at the senders. That holds few bytes or very many: if
    /// messages are large of late, or our memory grows by as much as ``excess`` of the buffer's size, libzmq is emptied.
    ///
    /// - Parameter resident: memory of this process when reading stopped, in bytes.
    private mutating func awaitRoom(_ resident: Int) throws {
        if place() {
            fullSince = nil
            allowedGrowth = Self.excess * buffer.maximumBytes
            return
        }
        SystemClock.pause(milliseconds: 2)
        waits += 1
        // Asking for our memory costs more than waiting does.
        guard isTooLarge(usualSize) || waits % 10 == 0 else { return }
        let growth = SystemClock.residentBytes - resident
        guard isTooLarge(usualSize) || growth > allowedGrowth else { return }
        let dropped = try relieve()
        if dropped > 0 { tell(dropped) } else { allowedGrowth = max(allowedGrowth, 2 * growth) }
    }

    /// Whether libzmq's queue, full of messages of this size, is more than ``excess`` of what the buffer may hold.
    private func isTooLarge(_ size: Double) -> Bool { size * Double(queue) > Double(Self.excess * buffer.maximumBytes) }

    /// Empties libzmq: large messages are dropped, small ones kept while they fit into as much again. Without large ones it
    /// was not libzmq that grew: a fleet that is heard for the first time needs memory too.
    ///
    /// - Returns: how many were dropped.
    private mutating func relieve() throws -> Int {
        var (seen, dropped) = (0, 0)
        repeat {
            if isTooLarge(Double(message.byteCount)) || !place(surplus: buffer.maximumBytes) { dropped += 1 }
            seen += 1
            guard seen < 10_000, try telemetry.receive(into: &message) else { break }
            usualSize += (Double(message.byteCount) - usualSize) / 512
        } while true
        fullSince = nil
        return dropped
    }

    private mutating func tell(_ dropped: Int) {
        metrics.add(
            "backfeed_messages_dropped_total", Double(dropped),
            help: "Live messages dropped to keep memory bounded; they count as missing and are asked for")
        let now = SystemClock.monotonicNanoseconds
        untold += dropped
        if now - toldAt > 5_000_000_000 {
            Log("ingest").warning(
                "the receive buffer is full: live messages are dropped, and asked for again",
                ["messages": "\(untold)"])
            (toldAt, untold) = (now, 0)
        }
    }
}
