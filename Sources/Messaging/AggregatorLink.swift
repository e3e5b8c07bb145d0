internal import ServiceKit

/// An aggregator's side of the control channel: says hello, sends again what is asked for, and lets the journal forget
/// what is durable. Made and used on one thread.
public final class AggregatorLink {
    public let aggregator: String
    public let journal: Journal
    /// Up to here the service has stored everything.
    public private(set) var durable: UInt64 = 0
    public private(set) var sentAgain = 0
    /// Newest refusals, at most 100.
    public private(set) var rejections: [String] = []
    private var socket: Socket
    private var message = MessageBuffer()
    private var greetedAt: UInt64 = 0
    private let never = WakeDescriptor()

    /// - Parameters:
    ///   - endpoint: the service's control endpoint.
    ///   - key: key pair and the service's public key, where it asks for keys.
    public init(
        _ aggregator: String, journal: Journal, endpoint: String, key: (own: CurveKeyPair, server: String)?,
        in context: MessagingContext
    ) throws(MessagingError) {
        var socket = try Socket(.dealer, in: context)
        if let key { try socket.present(key.own, toServer: key.server) }
        try socket.linger(milliseconds: 0)
        try socket.reconnect(every: 200)
        try socket.connect(endpoint)
        self.socket = socket
        self.aggregator = aggregator
        self.journal = journal
    }

    public var isDurable: Bool { durable >= journal.last }

    /// Answers what has come; waits at most `milliseconds` for something to.
    public func serve(milliseconds: Int) throws {
        let now = SystemClock.monotonicNanoseconds
        if now - greetedAt > 1_000_000_000 {
            greetedAt = now
            let hello = ControlMessage.hello(
                aggregator: aggregator, epoch: journal.epoch, firstKept: journal.firstKept, last: journal.last)
            _ = try socket.offer([hello.bytes])
        }
        _ = try socket.wait(alsoFor: never.rawValue, milliseconds: milliseconds)
        while try socket.receive(into: &message) {
            guard message.count == 1, let said = try? ControlMessage(message.bytes(0)) else { continue }
            switch said {
            case .durable(let epoch, let sequence) where epoch == journal.epoch:
                durable = max(durable, min(sequence, journal.last))
                try journal.settle(through: sequence)
            case .replay(let epoch, let range, let credit) where epoch == journal.epoch:
                try sendAgain(range, credit)
            case .rejected(_, let sequence, let reasons):
                for reason in reasons {
                    rejections.append("message \(sequence): \(reason.code): \(reason.detail)")
                }
                if rejections.count > 100 { rejections.removeFirst(rejections.count - 100) }
            default: break
            }
        }
    }

    private func sendAgain(_ range: ClosedRange<UInt64>, _ credit: Int) throws {
        if range.lowerBound < journal.firstKept {
            let gone = range.lowerBound...min(range.upperBound, journal.firstKept - 1)
            _ = try socket.offer([ControlMessage.gone(epoch: journal.epoch, gone).bytes])
        }
        let first = max(range.lowerBound, journal.firstKept)
        let last = min(range.upperBound, journal.last)
        guard first <= last else { return }
        for sequence in first...last where sequence - first < UInt64(max(0, credit)) {
            guard let frames = try journal.message(sequence) else { continue }
            // A full queue: what is missing then is asked for again.
            guard try socket.offer([ControlMessage.data.bytes] + frames) else { return }
            sentAgain += 1
        }
    }
}
