internal import CZeroMQ
internal import ServiceKit

/// A CURVE key pair, Z85: 40 characters each.
public struct CurveKeyPair: Sendable, Hashable {
    public let publicKey: String
    public let secretKey: String

    public init(publicKey: String, secretKey: String) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// The pair that a secret key belongs to; `nil` when the text is no key.
    public init?(secretKey: String) {
        guard Self.isKey(secretKey) else { return nil }
        var text = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&text, secretKey) == 0 else { return nil }
        self.init(publicKey: Self.string(text), secretKey: secretKey)
    }

    public static func make() throws(MessagingError) -> Self {
        var (own, hidden) = ([CChar](repeating: 0, count: 41), [CChar](repeating: 0, count: 41))
        guard zmq_curve_keypair(&own, &hidden) == 0 else { throw .last("zmq_curve_keypair") }
        return Self(publicKey: string(own), secretKey: string(hidden))
    }

    /// Whether the text decodes to 32 bytes.
    public static func isKey(_ text: String) -> Bool {
        guard text.utf8.count == 40, text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return false }
        var bytes = [UInt8](repeating: 0, count: 32)
        return zmq_z85_decode(&bytes, text) != nil
    }

    fileprivate static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Which key speaks for which aggregator, as the receiving thread and the handshakes see it. Replaced as a whole.
public final class KeyRing: Sendable {
    private let names: Guarded<[String: String]>
    private let refusals = Guarded<UInt64>(0)

    public init(_ names: [String: String] = [:]) { self.names = Guarded(names) }

    /// - Parameter names: aggregator by public key (Z85).
    public func replace(_ names: [String: String]) { self.names.withLock { $0 = names } }

    /// The aggregator that a key speaks for; `nil`: it is not known, or was revoked.
    public func aggregator(ofKey key: String) -> String? { names.withLock { $0[key] } }

    public var count: Int { names.withLock { $0.count } }
    /// Handshakes refused since the start.
    public var refused: UInt64 { refusals.withLock { $0 } }
    fileprivate func countRefusal() { refusals.withLock { $0 += 1 } }
}

/// The ZAP handler of a context (https://rfc.zeromq.org/spec/27/): asked by libzmq at each CURVE handshake. The user id
/// of an accepted peer is its public key, so that a revoked key can be told from a valid one at each message.
///
/// Make it before the first socket that requires keys is bound, on the thread that then calls
/// ``serve(milliseconds:until:lookAgain:)``.
public struct Doorkeeper: ~Copyable {
    /// What bringing the ring up to date came to.
    public enum Look: Sendable { case done, tooSoon, failed }

    /// A handshake whose key the ring does not know, which may have been added just now.
    private struct Waiting {
        let envelope: [[UInt8]]
        let key: String
    }

    private var socket: Socket
    private var message: MessageBuffer
    private let ring: KeyRing
    private var waiting: [Waiting] = []

    /// More handshakes than this do not wait for the next look; their peers come again.
    private static let mostWaiting = 1000
    /// From a ROUTER: who asks, an empty delimiter, then version, request id, domain, address, identity, mechanism, and
    /// the credential: the client's public key.
    private static let frames = 9

    public init(_ ring: KeyRing, in context: MessagingContext) throws(MessagingError) {
        var socket = try Socket(.router, in: context)
        try socket.linger(milliseconds: 0)
        try socket.bind("inproc://zeromq.zap.01")
        self.socket = socket
        self.ring = ring
        message = MessageBuffer()
    }

    /// Answers what comes within `milliseconds`, or until `wake` is called.
    ///
    /// - Parameter lookAgain: brings the ring up to date for keys that it does not know. While it is too soon their
    ///   handshakes wait; when it failed, the peers are told to come again: after a final refusal libzmq's clients never
    ///   do.
    public mutating func serve(milliseconds: Int, until wake: CInt, lookAgain: () -> Look) throws(MessagingError) {
        _ = try socket.wait(alsoFor: wake, milliseconds: waiting.isEmpty ? milliseconds : min(milliseconds, 20))
        while try socket.receive(into: &message) {
            guard message.count >= 4 else { continue }
            let envelope = [0, 1, 2, 3].map { Array(message.bytes($0)) }
            let key = presentedKey()
            if ring.aggregator(ofKey: key) != nil {
                try answer(envelope, "200", "OK", user: key)
            } else if waiting.count < Self.mostWaiting {
                waiting.append(Waiting(envelope: envelope, key: key))
            } else {
                try answer(envelope, "300", "come again")
            }
        }
        guard !waiting.isEmpty else { return }
        let look = lookAgain()
        guard look != .tooSoon else { return }
        for peer in waiting {
            if ring.aggregator(ofKey: peer.key) != nil {
                try answer(peer.envelope, "200", "OK", user: peer.key)
            } else if look == .done {
                ring.countRefusal()
                try answer(peer.envelope, "400", "key not known")
            } else {
                try answer(peer.envelope, "300", "come again")
            }
        }
        waiting.removeAll()
    }

    private func presentedKey() -> String {
        func text(_ place: Int) -> String { String(decoding: message.bytes(place), as: UTF8.self) }
        guard message.count == Self.frames, message.surplus == 0, text(2) == "1.0", text(7) == "CURVE",
            message.bytes(8).count == 32, let base = message.bytes(8).baseAddress
        else { return "" }
        var z85 = [CChar](repeating: 0, count: 41)
        zmq_z85_encode(&z85, base.assumingMemoryBound(to: UInt8.self), 32)
        return CurveKeyPair.string(z85)
    }

    private mutating func answer(
        _ envelope: [[UInt8]], _ status: String, _ text: String, user: String = ""
    ) throws(MessagingError) {
        _ = try socket.offer(envelope + [Array(status.utf8), Array(text.utf8), Array(user.utf8), []])
    }
}
