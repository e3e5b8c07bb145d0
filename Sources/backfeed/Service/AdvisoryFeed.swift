internal import Analysis
internal import GridModel
internal import HTTPAPI
internal import Messaging
internal import ServiceKit
internal import Store

/// Publishes stored events, in the order of their numbers, on PUB and to the console; and a heartbeat every second.
///
/// Reads the events from the store: there is one order, and after a restart publishing goes on where it had stopped.
final class AdvisoryFeed: Sendable {
    private let conninfo: String
    private let context: MessagingContext
    private let live: LiveState
    private let hub: EventHub
    private let feeders: @Sendable () -> String
    private let signal = BoundedQueue<Bool>(capacity: 1 << 16)
    private let thread = Guarded<WorkerThread?>(nil)
    private let endpoint = Guarded("")
    private let analyserID: String
    private let pulse: Pulse
    private let log = Log("feed")

    init(
        conninfo: String, context: MessagingContext, live: LiveState, hub: EventHub, analyserID: String,
        pulse: Pulse, feeders: @escaping @Sendable () -> String
    ) {
        self.conninfo = conninfo
        self.context = context
        self.live = live
        self.hub = hub
        self.analyserID = analyserID
        self.pulse = pulse
        self.feeders = feeders
    }

    /// Binds and starts. Returns the endpoint.
    func start(bind address: String) throws -> String {
        var store = AdvisoryStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        let published = try store.published()
        let bound = Gate()
        let failure = Guarded<MessagingError?>(nil)
        let worker = WorkerThread(name: "feed") { [self] in
            do throws(MessagingError) {
                var socket = try Socket(.publish, in: context)
                try socket.limitQueues(sending: 100_000)
                try socket.linger(milliseconds: 500)
                try socket.bind(address)
                let address = socket.boundEndpoint()
                endpoint.withLock { $0 = address }
                bound.open()
                try run(&socket, from: published)
            } catch {
                failure.withLock { $0 = error }
                bound.open()
            }
        }
        bound.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
        thread.withLock { $0 = worker }
        return endpoint.withLock { $0 }
    }

    func announce() { _ = signal.offer(true) }

    func stop() {
        signal.close()
        thread.withLock { $0 }?.join()
    }

    private func run(_ socket: inout Socket, from published: Int64) throws(MessagingError) {
        var store = AdvisoryStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        var last = published
        var marked = published
        var nextBeat = SystemClock.monotonicNanoseconds
        var isOpen = true
        while isOpen {
            let now = SystemClock.monotonicNanoseconds
            let wait = nextBeat > now ? Int((nextBeat - now) / 1_000_000) + 1 : 0
            if case .closed = signal.take(within: wait) { isOpen = false }
            do throws(StoreError) {
                // Also at every beat: another process may have stored events.
                while true {
                    let events = try store.events(after: last, limit: 500)
                    for event in events {
                        do throws(MessagingError) {
                            try socket.send([Array(event.topic.utf8), Array(event.json.utf8)])
                        } catch {
                            log.error("event not sent", ["sequence": "\(event.sequence)", "error": "\(error)"])
                        }
                        last = event.sequence
                    }
                    hub.publish(events.map { EventFrame(event: "advisory", sequence: $0.sequence, data: $0.json) })
                    if events.count < 500 { break }
                }
                if SystemClock.monotonicNanoseconds >= nextBeat, last != marked {
                    try store.markPublished(last)
                    marked = last
                }
            } catch {
                log.error("events cannot be read", ["error": "\(error)"])
            }
            guard SystemClock.monotonicNanoseconds >= nextBeat else { continue }
            nextBeat = SystemClock.monotonicNanoseconds + 1_000_000_000
            pulse.beat("feed")
            let beat = heartbeat(last)
            try socket.send([Array("heartbeat/1".utf8), Array(beat.utf8)])
            let sequence = last
            live.update { $0.lastPublished = sequence }
            hub.publish([
                EventFrame(event: "heartbeat", data: beat), EventFrame(event: "feeders", data: feeders()),
            ])
        }
    }

    private func heartbeat(_ sequence: Int64) -> String {
        let marks = live.read(\.positions).filter { !$0.key.hasPrefix("bank/") }.sorted { $0.key < $1.key }
            .map { "\(JSONText.quoted($0.key)):\"\($0.value.head)\"" }.joined(separator: ",")
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        return
            "{\"watermarks\":{\(marks)},\"analyser\":\(JSONText.quoted(analyserID)),\"sequence\":\(sequence),\"time\":\"\(now)\"}"
    }
}
