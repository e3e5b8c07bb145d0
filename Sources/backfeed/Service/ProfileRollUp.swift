internal import ServiceKit
internal import Store

/// Brings quarter hours and days of the profiles up to date with their minutes, once a second, on a thread of its own: it costs more
/// than all else that a minute brings, and no advisory waits for it. What a crash leaves undone, the next start does.
final class ProfileRollUp: Sendable {
    private let conninfo: String
    private let waiting = Guarded<[ProfileSpan.Key: ProfileSpan]>([:])
    private let ending = BoundedQueue<Bool>(capacity: 1)
    private let thread = Guarded<WorkerThread?>(nil)
    private let log = Log("profile")

    private let health: PartHealth

    init(conninfo: String, health: PartHealth) {
        self.conninfo = conninfo
        self.health = health
    }

    func start() {
        let worker = WorkerThread(name: "profile.rollup") { [self] in run() }
        thread.withLock { $0 = worker }
    }

    /// Minutes that are stored.
    func add(_ spans: [ProfileSpan]) {
        waiting.withLock { waiting in
            for span in spans { waiting[span.key, default: span].cover(span) }
        }
    }

    /// Whoever adds must have ended. What is left is done, unless the database is away.
    func stop() {
        ending.close()
        thread.withLock { $0.take() }?.join()
    }

    private func run() {
        var store = ProfileStore(conninfo: conninfo)
        while case .timedOut = ending.take(within: 1000) { work(&store) }
        var last = ProfileStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        work(&last)
    }

    private func work(_ store: inout ProfileStore) {
        let spans = waiting.withLock { waiting in
            defer { waiting = [:] }
            return Array(waiting.values)
        }
        guard !spans.isEmpty else { return }
        do throws(StoreError) {
            try store.rollUp(spans)
            health.works()
        } catch {
            log.error("quarter hours not brought up to date, trying again", ["error": "\(error)"])
            health.failed(error.description)
            add(spans)
        }
    }
}
