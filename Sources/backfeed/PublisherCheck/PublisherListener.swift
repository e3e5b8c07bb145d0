internal import GridModel
internal import Messaging
internal import ServiceKit

/// The sockets of the service, without a service behind them. Made and used on one thread.
struct PublisherListener: ~Copyable {
    private var telemetry: Socket
    private var control: Socket
    private var message = MessageBuffer()
    private var decoder = TelemetryDecoder()
    private let never = WakeDescriptor()
    private let gatekeeper: WorkerThread?
    private let isClosing = Guarded(false)
    private let ring: KeyRing?
    /// Who said hello last.
    private var identity: [UInt8] = []
    let endpoints: Ingest.Endpoints
    /// Made for this check alone; `nil` without keys.
    let serverKey: String?

    init(telemetry: String, control: String, key: KeyFile?, hardMessage: Int) throws {
        let context = try MessagingContext()
        var (gatekeeper, ring, pair): (WorkerThread?, KeyRing?, CurveKeyPair?) = (nil, nil, nil)
        if let key {
            let made = KeyRing([key.own.publicKey: key.aggregator])
            let (isReady, isClosing) = (Gate(), isClosing)
            gatekeeper = WorkerThread(name: "check.door") {
                defer { isReady.open() }
                do throws(MessagingError) {
                    var keeper = try Doorkeeper(made, in: context)
                    isReady.open()
                    let never = WakeDescriptor()
                    while !isClosing.withLock({ $0 }) {
                        try keeper.serve(milliseconds: 200, until: never.rawValue) { .done }
                    }
                } catch { complain("handshakes are not answered: \(error)") }
            }
            isReady.wait()
            ring = made
            pair = try CurveKeyPair.make()
        }
        var live = try Socket(.subscribe, in: context)
        var side = try Socket(.router, in: context)
        try live.limitMessage(bytes: hardMessage)
        try side.limitMessage(bytes: hardMessage)
        try live.limitQueues(receiving: 10_000)
        try live.linger(milliseconds: 0)
        try side.linger(milliseconds: 0)
        if let pair {
            try live.requireKeys(server: pair)
            try side.requireKeys(server: pair)
        }
        try live.subscribe("")
        try live.bind(telemetry)
        try side.bind(control)
        endpoints = Ingest.Endpoints(telemetry: live.boundEndpoint(), control: side.boundEndpoint())
        serverKey = pair?.publicKey
        self.gatekeeper = gatekeeper
        self.ring = ring
        self.telemetry = live
        self.control = side
    }

    deinit { isClosing.withLock { $0 = true } }

    /// Until `seconds` after the first message, or until nothing came for `patience`.
    mutating func listen(seconds: Double, patience: Double, _ conformance: inout Conformance) throws {
        let began = SystemClock.monotonicNanoseconds
        var first: UInt64?
        while true {
            let now = SystemClock.monotonicNanoseconds
            if let first, now - first > UInt64(seconds * 1e9) { break }
            if first == nil, now - began > UInt64(patience * 1e9) { break }
            let ready = try telemetry.wait(
                with: control, alsoFor: never.rawValue, watchingSockets: true, milliseconds: 100)
            if ready.socket { try receive(&conformance) }
            if ready.other { try converse(&conformance) }
            if first == nil, conformance.messages > 0 { first = SystemClock.monotonicNanoseconds }
            if !identity.isEmpty, let (epoch, range) = conformance.rangeToAsk() {
                let replay = ControlMessage.replay(epoch: epoch, range, credit: 512)
                _ = try control.offer([identity, replay.bytes])
            }
        }
    }

    private mutating func receive(_ conformance: inout Conformance) throws {
        for _ in 0..<1000 {
            guard try telemetry.receive(into: &message) else { return }
            guard message.count == 3, message.surplus == 0 else {
                conformance.heardNonsense("a message of \(message.count + message.surplus) frames, expected 3")
                continue
            }
            take(from: 0, isReplay: false, &conformance)
        }
    }

    private mutating func converse(_ conformance: inout Conformance) throws {
        for _ in 0..<1000 {
            guard try control.receive(into: &message) else { return }
            guard message.count >= 2 else { continue }
            do throws(ControlMessage.Mistake) {
                switch try ControlMessage(message.bytes(1)) {
                case .hello(let name, _, _, _):
                    identity = Array(message.bytes(0))
                    conformance.heardHello(name)
                case .gone: conformance.heardGone()
                case .data:
                    if message.count == 5 { take(from: 2, isReplay: true, &conformance) }
                default: break
                }
            } catch {
                conformance.heardNonsense("control channel: \(error)")
            }
        }
    }

    private mutating func take(from place: Int, isReplay: Bool, _ conformance: inout Conformance) {
        do throws(TelemetryFrame.Mistake) {
            let frame = try TelemetryFrame(topic: message.bytes(place), position: message.bytes(place + 1))
            conformance.heard(
                frame, message.bytes(place + 2), &decoder, now: SystemClock.nowMicroseconds, isReplay: isReplay)
        } catch {
            let topic = String(decoding: message.bytes(place).prefix(128), as: UTF8.self)
            conformance.heardNonsense("\(error.rawValue): topic \"\(topic)\"")
        }
    }
}
