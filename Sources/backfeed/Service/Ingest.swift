internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// What the analyser's thread is told, in order.
enum AnalyserInput: Sendable {
    case batch(SampleBatch)
    case switchMoved(String, SwitchPosition, Timestamp)
}

/// The ingest role: one thread receives, decodes, checks and encodes; one writes. A fixed number of batches circulates
/// between them and the analyser, so memory is bounded: when all are in use, the socket is not read.
final class Ingest: Sendable {
    struct Limits: Sendable {
        var bind: [String]
        var connect: [String]
        var maximumMessage: Int
        var hardMessage: Int
        var receiveQueue: Int
        var batchRows: Int
        var flushMilliseconds: Int
        var batches: Int
        var oldest: Timestamp
        var future: Double
        var suspectFuture: Double
        var ownershipIsChecked: Bool
        var rejectRows: Int
        var rejectBytes: Int
        var retentionDays: Int
        var maximumPartitions: Int

        init(_ settings: Settings) throws {
            bind = [settings.text("telemetry.bind")]
            connect = settings.text("telemetry.connect").split(separator: ",").map(String.init)
            maximumMessage = settings.integer("telemetry.max_message_bytes")
            hardMessage = settings.integer("telemetry.hard_message_bytes")
            receiveQueue = settings.integer("telemetry.receive_queue")
            batchRows = settings.integer("ingest.batch_rows")
            flushMilliseconds = settings.integer("ingest.flush_ms")
            batches = settings.integer("ingest.batches")
            guard let oldest = Timestamp(settings.text("ingest.oldest")) else {
                throw UsageError(
                    "ingest.oldest: expected RFC 3339 with a zone, got \"\(settings.text("ingest.oldest"))\"")
            }
            self.oldest = oldest
            future = settings.number("ingest.future_s")
            suspectFuture = settings.number("ingest.suspect_future_s")
            ownershipIsChecked = settings.text("ingest.ownership") == "first"
            rejectRows = settings.integer("ingest.reject_rows")
            rejectBytes = settings.integer("ingest.reject_bytes")
            retentionDays = settings.integer("retention.raw_days")
            maximumPartitions = settings.integer("retention.max_partitions")
        }
    }

    private let limits: Limits
    private let analysis: AnalysisSettings
    private let stored: StoredNetwork
    private let conninfo: String
    private let context: MessagingContext
    private let metrics: Metrics
    private let live: LiveState
    private let output: BoundedQueue<AnalyserInput>
    private let wake = WakeDescriptor()
    private let filled: BoundedQueue<SampleBatch>
    private let free: Guarded<[SampleBatch]>
    private let stopping = Guarded(false)
    private let threads = Guarded<[WorkerThread]>([])
    private let endpoint = Guarded("")
    private let log = Log("ingest")

    init(
        limits: Limits, analysis: AnalysisSettings, stored: StoredNetwork, conninfo: String, context: MessagingContext,
        metrics: Metrics, live: LiveState, output: BoundedQueue<AnalyserInput>
    ) {
        self.limits = limits
        self.analysis = analysis
        self.stored = stored
        self.conninfo = conninfo
        self.context = context
        self.metrics = metrics
        self.live = live
        self.output = output
        filled = BoundedQueue(capacity: limits.batches)
        free = Guarded((0..<limits.batches).map { _ in SampleBatch(capacity: limits.batchRows) })
    }

    /// Binds and starts both threads. Returns the endpoint.
    func start() throws -> String {
        var store = SampleStore(
            conninfo: conninfo, maximumPartitions: limits.maximumPartitions, retentionDays: limits.retentionDays)
        try store.maintain(today: SystemClock.nowMicroseconds / 86_400_000_000)
        let state = try store.loadState()
        let bound = Gate()
        let failure = Guarded<MessagingError?>(nil)
        let receiver = WorkerThread(name: "ingest.receive") { [self] in
            do throws(MessagingError) {
                var socket = try Socket(.subscribe, in: context)
                try socket.limitMessage(bytes: limits.hardMessage)
                try socket.limitQueues(receiving: limits.receiveQueue)
                try socket.linger(milliseconds: 0)
                try socket.subscribe("")
                for address in limits.bind { try socket.bind(address) }
                let address = socket.boundEndpoint()
                endpoint.withLock { $0 = address }
                for address in limits.connect { try socket.connect(address) }
                bound.open()
                try receive(&socket, state)
            } catch {
                failure.withLock { $0 = error }
                bound.open()
                if error.code != .addressInUse { log.error("receiving ended", ["error": "\(error)"]) }
            }
            filled.close()
        }
        bound.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
        let writer = WorkerThread(name: "ingest.write") { [self] in write() }
        threads.withLock { $0 = [receiver, writer] }
        return endpoint.withLock { $0 }
    }

    /// What was received is still written.
    func stop() {
        stopping.withLock { $0 = true }
        wake.wake()
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    /// A batch comes back from its last reader.
    func recycle(_ batch: SampleBatch) {
        batch.reset()
        free.withLock { $0.append(batch) }
        wake.wake()
    }

    // MARK: Receiving thread

    private func receive(_ socket: inout Socket, _ state: SampleStore.IngestState) throws(MessagingError) {
        var intake = Intake(limits: limits, analysis: analysis, stored: stored, state: state)
        var message = MessageBuffer()
        var batch: SampleBatch?
        var openedAt: UInt64 = 0
        var lastTick = SystemClock.monotonicNanoseconds
        while true {
            if batch == nil {
                batch = free.withLock { $0.popLast() }
                openedAt = 0
            }
            let age = openedAt == 0 ? 0 : Int((SystemClock.monotonicNanoseconds - openedAt) / 1_000_000)
            let patience = openedAt == 0 ? 500 : max(1, limits.flushMilliseconds - age)
            let ready = try socket.wait(
                alsoFor: wake.rawValue, watchingSocket: batch != nil, milliseconds: batch == nil ? -1 : patience)
            if ready.descriptor { wake.clear() }
            if stopping.withLock({ $0 }) {
                if let batch, !batch.isEmpty { _ = filled.offer(batch) }
                return
            }
            guard let current = batch else { continue }
            if ready.socket {
                // Bounded, so that a flood cannot keep us from flushing.
                for _ in 0..<2000 {
                    guard current.count < limits.batchRows, try socket.receive(into: &message) else { break }
                    intake.take(message, into: current, now: SystemClock.nowMicroseconds)
                    if openedAt == 0 { openedAt = SystemClock.monotonicNanoseconds }
                }
            }
            let now = SystemClock.monotonicNanoseconds
            if now - lastTick > 1_000_000_000 {
                lastTick = now
                intake.tick(into: current, now: SystemClock.nowMicroseconds)
                if !current.isEmpty, openedAt == 0 { openedAt = now }
            }
            let isDue = openedAt != 0 && now - openedAt >= UInt64(limits.flushMilliseconds) * 1_000_000
            if current.count >= limits.batchRows || isDue && !current.isEmpty {
                intake.finish(current)
                intake.report(to: metrics)
                _ = filled.offer(current)
                batch = nil
            }
        }
    }

    // MARK: Writing thread

    private func write() {
        var store = SampleStore(
            conninfo: conninfo, maximumPartitions: limits.maximumPartitions, retentionDays: limits.retentionDays)
        var maintainedAt = SystemClock.monotonicNanoseconds
        while case .element(let batch) = filled.take() {
            guard persist(batch, &store) else { return }
            live.observe(batch.samples, receivedAt: SystemClock.nowMicroseconds)
            guard output.put(.batch(batch)) else { return }
            if SystemClock.monotonicNanoseconds - maintainedAt > 600_000_000_000 {
                maintainedAt = SystemClock.monotonicNanoseconds
                do throws(StoreError) {
                    try store.maintain(today: SystemClock.nowMicroseconds / 86_400_000_000)
                } catch {
                    log.error("partitions could not be looked after", ["error": "\(error)"])
                }
            }
        }
    }

    /// Writes until it is written: nothing that was received is given up while the service runs.
    private func persist(_ batch: SampleBatch, _ store: inout SampleStore) -> Bool {
        var isInDoubt = false
        var wait: UInt32 = 50
        while true {
            let started = SystemClock.monotonicNanoseconds
            do throws(StoreError) {
                try store.write(batch)
                let seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
                metrics.observe(
                    "backfeed_store_write_seconds", seconds, bounds: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5],
                    help: "Time to store one batch")
                metrics.add(
                    "backfeed_samples_stored_total", Double(batch.count), help: "Samples committed to the table")
                live.update { $0.storeProblem = nil }
                return true
            } catch {
                if error.code == .conflict, isInDoubt {
                    // The try whose connection was lost did commit.
                    log.warning("the batch was already stored", ["rows": "\(batch.count)"])
                    return true
                }
                if error.code == .conflict {
                    log.error("another service writes the same streams: stopping", ["error": "\(error)"])
                    ShutdownSignal.request()
                    return false
                }
                isInDoubt = isInDoubt || error.code == .connectionFailed
                live.update { $0.storeProblem = error.description }
                metrics.add("backfeed_store_failures_total", 1, help: "Tries to store a batch that failed")
                log.error("batch not stored, trying again", ["error": "\(error)", "rows": "\(batch.count)"])
                if stopping.withLock({ $0 }) { return false }
                SystemClock.pause(milliseconds: wait)
                wait = min(wait * 2, 2000)
            }
        }
    }
}
