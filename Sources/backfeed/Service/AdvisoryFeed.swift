internal import Analysis
internal import GridModel
internal import HTTPAPI
internal import Messaging
internal import ServiceKit
internal import Store

/// Publishes stored events, in the order of their numbers, on PUB and to the console; and a heartbeat every second.
///
/// Reads the events from the store: there is one order, and after a restart publishing goes on where it had stopped. One thread
/// reads, another sends: a store that stands still must not silence the heartbeat, which says so instead.
final class AdvisoryFeed: Sendable {
    private let conninfo: String
    private let context: MessagingContext
    private let live: LiveState
    private let hub: EventHub
    private let feeders: @Sendable () -> String
    private let signal = BoundedQueue<Bool>(capacity: 1 << 16)
    private let threads = Guarded<[WorkerThread]>([])
    /// From the store to who sends: few at a time, so that a store that comes back does not fill the memory.
    private let outgoing = BoundedQueue<[StoredEvent]>(capacity: 4)
    private let health: PartHealth

    /// State shared by the two threads.
    private struct Shared: Sendable {
        /// Number of the newest event that was sent.
        var sent: Int64 = 0
        /// Monotonic, ns: when the store last answered.
        var answeredAt: UInt64 = 0
        /// Heads and directions as the console gets them, and when they were read.
        var feeders = ""
        var feedersAt: UInt64 = 0
    }
    private let shared = Guarded(Shared())
    /// Seconds without an answer after which the heartbeat says that the store does not answer. It is asked every second.
    private static let patience = 5.0
    private let endpoint = Guarded("")
    private let analyserID: String
    private let pulse: Pulse
    private let log = Log("feed")

    init(
        conninfo: String, context: MessagingContext, live: LiveState, hub: EventHub, analyserID: String,
        pulse: Pulse, health: PartHealth, feeders: @escaping @Sendable () -> String
    ) {
        self.conninfo = conninfo
        self.context = context
        self.live = live
        self.hub = hub
        self.analyserID = analyserID
        self.pulse = pulse
        self.health = health
        self.feeders = feeders
    }

    /// Binds and starts. Returns the endpoint.
    func start(bind address: String) throws -> String {
        var store = AdvisoryStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        let published = try store.published()
        shared.withLock {
            $0.sent = published
            $0.answeredAt = SystemClock.monotonicNanoseconds
        }
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
        let reader = WorkerThread(name: "feed.read") { [self] in
            read(from: published)
            outgoing.close()
        }
        threads.withLock { $0 = [reader, worker] }
        return endpoint.withLock { $0 }
    }

    func announce() { _ = signal.offer(true) }

    func stop() {
        signal.close()
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    // MARK: Reading thread

    private func read(from published: Int64) {
        var store = AdvisoryStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        var (last, marked) = (published, published)
        var lookedAt: UInt64 = 0
        var isOpen = true
        while isOpen {
            if case .closed = signal.take(within: 1000) { isOpen = false }
            pulse.beat("feed.read")
            do throws(StoreError) {
                // Also without a signal: another process may have stored events.
                while true {
                    let events = try store.events(after: last, limit: 500)
                    shared.withLock { $0.answeredAt = SystemClock.monotonicNanoseconds }
                    if let newest = events.last?.sequence {
                        guard outgoing.put(events) else { return }
                        last = newest
                    }
                    if events.count < 500 { break }
                }
                let now = SystemClock.monotonicNanoseconds
                if now - lookedAt >= 1_000_000_000 || !isOpen {
                    lookedAt = now
                    let sent = shared.withLock { $0.sent }
                    if sent != marked {
                        try store.markPublished(sent)
                        marked = sent
                    }
                    let found = feeders()
                    shared.withLock { ($0.feeders, $0.feedersAt) = (found, SystemClock.monotonicNanoseconds) }
                }
                health.works()
            } catch {
                health.failed("events cannot be read: \(error)")
                log.error("events cannot be read", ["error": "\(error)"])
            }
        }
    }

    // MARK: Sending thread

    private func run(_ socket: inout Socket, from published: Int64) throws(MessagingError) {
        var last = published
        var nextBeat = SystemClock.monotonicNanoseconds
        var isOpen = true
        while isOpen {
            let now = SystemClock.monotonicNanoseconds
            let wait = nextBeat > now ? Int((nextBeat - now) / 1_000_000) + 1 : 0
            switch outgoing.take(within: wait) {
            case .element(let events):
                for event in events {
                    do throws(MessagingError) {
                        try socket.send([Array(event.topic.utf8), Array(event.json.utf8)])
                    } catch {
                        log.error("event not sent", ["sequence": "\(event.sequence)", "error": "\(error)"])
                    }
                    last = event.sequence
                }
                let sequence = last
                shared.withLock { $0.sent = sequence }
                hub.publish(events.map { EventFrame(event: $0.kind, sequence: $0.sequence, data: $0.json) })
            case .timedOut: break
            case .closed: isOpen = false
            }
            guard SystemClock.monotonicNanoseconds >= nextBeat else { continue }
            nextBeat = SystemClock.monotonicNanoseconds + 1_000_000_000
            pulse.beat("feed")
            let known = shared.withLock { $0 }
            let beat = heartbeat(last, known)
            try socket.send([Array("heartbeat/1".utf8), Array(beat.utf8)])
            let sequence = last
            live.update { $0.lastPublished = sequence }
            let isFresh = !known.feeders.isEmpty && Self.age(known.feedersAt) <= Self.patience
            hub.publish([
                EventFrame(event: "heartbeat", data: beat),
                EventFrame(event: "feeders", data: isFresh ? known.feeders : "{\"items\":[],\"stale\":true}"),
            ])
        }
    }

    private static func age(_ nanoseconds: UInt64) -> Double {
        Double(SystemClock.monotonicNanoseconds - nanoseconds) / 1e9
    }

    private func heartbeat(_ sequence: Int64, _ known: Shared) -> String {
        let age = Self.age(known.answeredAt)
        let store = "{\"answers\":\(age <= Self.patience),\"age_s\":\((age * 10).rounded() / 10)}"
        let marks = live.read(\.positions).filter { !$0.key.hasPrefix("bank/") }.sorted { $0.key < $1.key }
            .map { "\(JSONText.quoted($0.key)):\"\($0.value.head)\"" }.joined(separator: ",")
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        return
            "{\"watermarks\":{\(marks)},\"analyser\":\(JSONText.quoted(analyserID)),\"sequence\":\(sequence),\"store\":\(store),\"time\":\"\(now)\"}"
    }
}
