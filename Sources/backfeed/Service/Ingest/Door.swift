internal import Messaging
internal import ServiceKit
internal import Store

/// Who gets in: answers CURVE handshakes from the key table, and follows the table, so that a revoked key is out within
/// two seconds. One thread, because a handshake must not wait for what the other threads do.
final class Door: Sendable {
    let ring = KeyRing()
    private let conninfo: String
    private let context: MessagingContext
    private let metrics: Metrics
    private let health: PartHealth
    private let wake = WakeDescriptor()
    private let isStopping = Guarded(false)
    private let thread = Guarded<WorkerThread?>(nil)
    private let log = Log("access")

    init(conninfo: String, context: MessagingContext, metrics: Metrics, health: PartHealth) {
        self.conninfo = conninfo
        self.context = context
        self.metrics = metrics
        self.health = health
    }

    /// Returns when handshakes are answered: before any socket that requires keys is bound.
    func start() throws {
        var keys = PublisherKeys(conninfo: conninfo)
        let known = try keys.valid()
        ring.replace(known)
        if known.isEmpty { log.warning("no publisher has a key yet: backfeed access add-publisher NAME") }
        let ready = Gate()
        let failure = Guarded<MessagingError?>(nil)
        let worker = WorkerThread(name: "ingest.door") { [self] in
            do throws(MessagingError) {
                var keeper = try Doorkeeper(ring, in: context)
                ready.open()
                try keep(&keeper)
            } catch {
                failure.withLock { $0 = error }
                health.failed("handshakes are not answered: \(error)")
                if ready.isOpen { log.error("handshakes are no longer answered", ["error": "\(error)"]) }
                ready.open()
            }
        }
        ready.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
        thread.withLock { $0 = worker }
    }

    func stop() {
        isStopping.withLock { $0 = true }
        wake.wake()
        thread.withLock { $0 }?.join()
    }

    private func keep(_ keeper: inout Doorkeeper) throws(MessagingError) {
        var keys = PublisherKeys(conninfo: conninfo)
        var lookedAt = SystemClock.monotonicNanoseconds
        var isBlind = false
        func look(atMostEvery nanoseconds: UInt64) -> Doorkeeper.Look {
            guard SystemClock.monotonicNanoseconds - lookedAt > nanoseconds else { return .tooSoon }
            do throws(StoreError) {
                ring.replace(try keys.valid())
                isBlind = false
                health.works()
            } catch {
                // The keys that were last known stay: an outage of the database must not lock everybody out.
                if !isBlind {
                    log.error("the key table cannot be read; the last known keys stay", ["error": "\(error)"])
                }
                isBlind = true
                health.failed("the key table cannot be read: \(error)")
            }
            lookedAt = SystemClock.monotonicNanoseconds
            return isBlind ? .failed : .done
        }
        while !isStopping.withLock({ $0 }) {
            try keeper.serve(milliseconds: 500, until: wake.rawValue) {
                // Strangers that knock without end cost a query every tenth of a second, not one each: who comes in
                // between waits as long.
                look(atMostEvery: 100_000_000)
            }
            _ = look(atMostEvery: 1_000_000_000)
            metrics.set(
                "backfeed_handshakes_refused", Double(ring.refused), help: "Connections refused for their key")
        }
    }
}
