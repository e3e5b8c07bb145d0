internal import HTTPAPI
internal import Messaging
internal import ServiceKit

/// The validator on ZeroMQ: a ROUTER on a thread of its own, one plan at a time. A request's last frame is the body of
/// `POST /v1/switching/validate`, the answer's last frame what HTTP would answer; the frames before it go back as they came,
/// so that REQ and DEALER are both served.
final class ValidatorEndpoint: Sendable {
    private let judge: @Sendable ([UInt8]) throws -> String
    private let context: MessagingContext
    private let metrics: Metrics
    private let maximumBytes: Int
    private let wake = WakeDescriptor()
    private let thread = Guarded<WorkerThread?>(nil)
    private let health: PartHealth
    private let log = Log("validator")

    /// Identity, and the empty frame of a REQ: deeper envelopes are nobody's here.
    private static let envelopeFrames = 2

    init(
        context: MessagingContext, metrics: Metrics, maximumBytes: Int, health: PartHealth,
        judge: @escaping @Sendable ([UInt8]) throws -> String
    ) {
        self.health = health
        self.context = context
        self.metrics = metrics
        self.maximumBytes = maximumBytes
        self.judge = judge
    }

    /// Binds and serves; returns the endpoint.
    func start(bind address: String) throws -> String {
        let bound = Gate()
        let outcome = Guarded<Result<String, MessagingError>>(.success(""))
        let worker = WorkerThread(name: "validator.zeromq") { [self] in
            do throws(MessagingError) {
                var socket = try Socket(.router, in: context)
                // Larger bodies are cut off by libzmq, which closes the connection.
                try socket.limitMessage(bytes: maximumBytes)
                try socket.limitQueues(sending: 100, receiving: 100)
                try socket.linger(milliseconds: 500)
                try socket.bind(address)
                let endpoint = socket.boundEndpoint()
                outcome.withLock { $0 = .success(endpoint) }
                bound.open()
                try serve(&socket)
            } catch {
                outcome.withLock { $0 = .failure(error) }
                health.failed("it is not served on ZeroMQ: \(error)")
                log.error("the validator is not served on ZeroMQ", ["error": "\(error)"])
                bound.open()
            }
        }
        bound.wait()
        let endpoint = try outcome.withLock { $0 }.get()
        thread.withLock { $0 = worker }
        return endpoint
    }

    func stop() {
        wake.wake()
        thread.withLock { $0.take() }?.join()
    }

    private func serve(_ socket: inout Socket) throws(MessagingError) {
        var message = MessageBuffer()
        while true {
            let ready = try socket.wait(alsoFor: wake.rawValue, milliseconds: -1)
            if ready.descriptor { return }
            guard ready.socket, try socket.receive(into: &message) else { continue }
            let frames = (0..<message.count).map { Array(message.bytes($0)) }
            let isWhole = message.surplus == 0 && (2...Self.envelopeFrames + 1).contains(frames.count)
            let answer =
                isWhole
                ? self.answer(frames[frames.count - 1])
                : APIError.badRequest("expected one frame, a switching plan as JSON").document
            let envelope = frames.dropLast().prefix(Self.envelopeFrames)
            // Who has gone meanwhile does not need it.
            _ = try socket.offer(envelope + [Array(answer.utf8)])
        }
    }

    private func answer(_ body: [UInt8]) -> String {
        metrics.add("backfeed_validator_requests_total", 1, help: "Plans judged over ZeroMQ")
        do {
            return try judge(body)
        } catch let error as APIError {
            return error.document
        } catch {
            log.error("request failed", ["error": "\(error)"])
            return APIError(503, "Service unavailable", "the store cannot answer now; try again").document
        }
    }
}
