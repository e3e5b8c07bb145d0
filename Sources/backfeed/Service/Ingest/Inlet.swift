internal import Messaging
internal import ServiceKit

/// The thread that does nothing but empty the telemetry socket, so that what waits is limited in bytes whatever the
/// receiving thread is at: a disk that stands still, ten thousand samples to refuse.
struct Inlet: ~Copyable {
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
    private var discarded: MessageBuffer
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
        discarded = MessageBuffer()
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
        if fullSince != nil { _ = buffer.put(message, withKey: hasKeys, beyondLimit: true) }
    }

    private func place() -> Bool {
        switch buffer.put(message, withKey: hasKeys) {
        case .takenAndAwaited: exchange.wake.wake()
        case .taken: break
        case .full: return false
        }
        return true
    }

    /// While the buffer is full, what comes waits in libzmq and then at the senders. That holds few bytes or very many: if
    /// messages are large of late, or our memory grows by the buffer's size again, what libzmq holds is dropped.
    ///
    /// - Parameter resident: memory of this process when reading stopped, in bytes.
    private mutating func awaitRoom(_ resident: Int) throws {
        if place() {
            fullSince = nil
            return
        }
        SystemClock.pause(milliseconds: 2)
        guard
            usualSize * Double(queue) > Double(buffer.maximumBytes)
                || SystemClock.residentBytes - resident > buffer.maximumBytes
        else { return }
        var dropped = 0
        while dropped < 10_000, try telemetry.receive(into: &discarded) {
            usualSize += (Double(discarded.byteCount) - usualSize) / 512
            dropped += 1
        }
        fullSince = SystemClock.residentBytes
        guard dropped > 0 else { return }
        metrics.add(
            "backfeed_messages_dropped_total", Double(dropped),
            help: "Live messages dropped to keep memory bounded; they count as missing and are asked for")
        let now = SystemClock.monotonicNanoseconds
        untold += dropped
        if now - toldAt > 5_000_000_000 {
            Log("ingest").warning(
                "the receive buffer is full: large live messages are dropped, and asked for again",
                ["messages": "\(untold)"])
            (toldAt, untold) = (now, 0)
        }
    }
}
