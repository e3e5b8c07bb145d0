internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// What the analyser's thread is told, in order.
enum AnalyserInput: Sendable {
    struct Tick: Sendable {
        var feeder: String
        var time: Timestamp
        /// Its head alone is silent until then: its bins stay open.
        var isHead = false
    }

    /// Stored samples in arrival order, then ticks of silence.
    case samples([Sample], ticks: [Tick])
    /// Records of switches that say something new.
    case switches([SwitchRecord])
}

/// What the receiving and the writing thread of ingest tell each other beside the batches.
final class IngestExchange: Sendable {
    struct Contents: Sendable {
        /// Streams as the table has them.
        var committed: [String: StreamPosition] = [:]
        /// Number of the newest batch that is committed; batches are numbered from 1.
        var committedBatch = 0
        /// The last try to store a batch failed.
        var storeIsAway = false
        var isStopping = false
        /// Operators' orders, not obeyed yet.
        var orders: [IngestOrder] = []
    }

    private let contents = Guarded(Contents())
    /// Wakes the receiving thread.
    let wake = WakeDescriptor()
    /// Ends the inlet's wait.
    let closeInlet = WakeDescriptor()

    var now: Contents { contents.withLock { $0 } }
    func update<R: Sendable>(_ change: (inout Contents) -> R) -> R { contents.withLock { change(&$0) } }
}

/// A thread that first opens something, which whoever started it waits for, and then runs until it is told to stop.
private final class Opening<Value: Sendable>: Sendable {
    private let gate = Gate()
    private let outcome = Guarded<Result<Value, any Error>?>(nil)

    func result() throws -> Value {
        gate.wait()
        guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("opened without an outcome") }
        return try outcome.get()
    }

    func succeed(_ value: Value) {
        outcome.withLock { $0 = .success(value) }
        gate.open()
    }

    /// An error before ``succeed(_:)`` is the result; one afterwards ends the service.
    func attempt(_ body: () throws -> Void) {
        do {
            try body()
        } catch {
            if gate.isOpen {
                Log("ingest").error("receiving ended: stopping", ["error": "\(error)"])
                ShutdownSignal.request()
            } else {
                outcome.withLock { $0 = .failure(error) }
                gate.open()
            }
        }
    }
}

/// The ingest role: one thread empties the telemetry socket; one receives, decodes, checks and encodes; one writes; one
/// keeps the door. Memory is bounded: what the first has taken by bytes, and a fixed number of batches circulates between
/// the others and the analyser. When all are in use, messages go to the spool if the database is away, and otherwise
/// wait.
final class Ingest: Sendable {
    struct Endpoints: Sendable {
        var telemetry = ""
        var control = ""
    }

    private let limits: Limits
    private let analysis: AnalysisSettings
    private let stored: StoredNetwork
    private let conninfo: String
    private let context: MessagingContext
    private let metrics: Metrics
    private let live: LiveState
    private let output: BoundedQueue<AnalyserInput>
    private let pulse: Pulse
    private let exchange = IngestExchange()
    private let filled: BoundedQueue<SampleBatch>
    private let free: Guarded<[SampleBatch]>
    private let threads = Guarded<[WorkerThread]>([])
    private let door: Door?
    private let health, records: PartHealth
    private let log = Log("ingest")

    init(
        limits: Limits, analysis: AnalysisSettings, stored: StoredNetwork, conninfo: String, context: MessagingContext,
        metrics: Metrics, live: LiveState, output: BoundedQueue<AnalyserInput>, pulse: Pulse
    ) {
        self.limits = limits
        self.analysis = analysis
        self.stored = stored
        self.conninfo = conninfo
        self.context = context
        self.metrics = metrics
        self.live = live
        self.output = output
        self.pulse = pulse
        health = live.health.report(.ingest)
        records = live.health.report(.records)
        door =
            limits.serverKey == nil
            ? nil
            : Door(conninfo: conninfo, context: context, metrics: metrics, health: live.health.report(.keys))
        filled = BoundedQueue(capacity: limits.batches)
        free = Guarded((0..<limits.batches).map { _ in SampleBatch(capacity: limits.batchRows) })
    }

    /// Binds and starts the threads. Returns the endpoints.
    func start() throws -> Endpoints {
        try door?.start()
        var store = makeStore()
        let state = try store.loadState()
        let orders = try store.openOrders()
        exchange.update { contents in
            contents.committed = state.streams.mapValues(\.position)
            contents.orders = orders
        }
        let buffer = ReceiveBuffer(maximumBytes: limits.receiveBuffer)
        var endpoints = Endpoints()
        do {
            let inlet = Opening<String>()
            let inletThread = WorkerThread(name: "ingest.inlet") { [self] in
                inlet.attempt {
                    var open = try Inlet(
                        limits: limits, context: context, buffer: buffer, exchange: exchange, metrics: metrics)
                    inlet.succeed(open.endpoint)
                    try open.run()
                }
            }
            endpoints.telemetry = try inlet.result()
            threads.withLock { $0 = [inletThread] }
            let desk = Opening<String>()
            let receiver = WorkerThread(name: "ingest.receive") { [self] in
                desk.attempt {
                    var receiver = try Receiver(
                        limits: limits,
                        intake: Intake(limits: limits, analysis: analysis, stored: stored, state: state),
                        ring: door?.ring, context: context, buffer: buffer, exchange: exchange, metrics: metrics,
                        pulse: pulse)
                    desk.succeed(receiver.endpoint)
                    try receiver.run(
                        take: { [free] in free.withLock { $0.popLast() } },
                        deliver: { [filled] in _ = filled.offer($0) }, drained: { inletThread.join() })
                }
                filled.close()
            }
            threads.withLock { $0.append(receiver) }
            endpoints.control = try desk.result()
        } catch {
            stop()
            throw error
        }
        // The database stands still between two statements of a transaction.
        let writer = WorkerThread(name: "ingest.write", isWaitedFor: true) { [self] in write() }
        threads.withLock { $0.append(writer) }
        startUpkeep()
        return endpoints
    }

    /// What was received is still written, or left on the spool when the database is away.
    func stop() {
        exchange.update { $0.isStopping = true }
        exchange.wake.wake()
        exchange.closeInlet.wake()
        for thread in threads.withLock({ $0 }) { thread.join() }
        door?.stop()
    }

    /// A batch comes back when it is stored.
    private func recycle(_ batch: SampleBatch) {
        free.withLock { $0.append(batch) }
        exchange.wake.wake()
    }

    private func makeStore() -> SampleStore {
        SampleStore(
            conninfo: conninfo, partitions: limits.partitions, deadlineMilliseconds: limits.databaseDeadline)
    }

    // MARK: Writing thread

    private func write() {
        var store = makeStore()
        while case .element(let first) = filled.take() {
            // What else is waiting goes with it; half of the batches stay with the receiving thread.
            var batches = [first]
            while batches.count < max(1, limits.batches / 2), case .element(let next) = filled.take(within: 0) {
                batches.append(next)
            }
            guard let switches = persist(batches, &store) else { return }
            exchange.update {
                for batch in batches { $0.committed.merge(batch.streams.mapValues(\.position)) { $1 } }
                $0.committedBatch = batches[batches.count - 1].number
            }
            exchange.wake.wake()
            let moved = live.take(switches)
            for record in moved {
                log.info(
                    "switch moved",
                    [
                        "switch": record.id, "position": record.judged?.name ?? "-",
                        "time": record.newest.map { "\($0.time)" } ?? "-",
                    ])
            }
            if !moved.isEmpty { guard output.put(.switches(moved)) else { return } }
            for batch in batches {
                live.observe(batch.samples, currents: batch.currents, at: .now)
                let ticks =
                    batch.silences.map { AnalyserInput.Tick(feeder: $0.feeder, time: $0.time, isHead: true) }
                    + batch.ticks.map { AnalyserInput.Tick(feeder: $0.feeder, time: $0.time) }
                let samples = batch.takeSamples()
                recycle(batch)
                // The analyser has its own copy: it may be a queue behind before anything waits for it.
                guard output.put(.samples(samples, ticks: ticks)) else { return }
            }
        }
    }

    // MARK: Upkeep

    /// Partitions ahead, old ones dropped, closed ones indexed: on a thread of its own, because an index of a large
    /// partition takes minutes. It is not waited for at a stop: nothing of it is lost when it is broken off.
    private func startUpkeep() {
        let (limits, conninfo, stopping, log) = (limits, conninfo, exchange, log)
        startOrders()
        let health = live.health.report(.upkeep)
        _ = WorkerThread(name: "ingest.upkeep") {
            var store = SampleStore(conninfo: conninfo, partitions: limits.partitions)
            // The first round at once: most often today's partition is there before its first sample.
            var lookedAt: UInt64?
            while !stopping.now.isStopping {
                if let lookedAt, SystemClock.monotonicNanoseconds - lookedAt < 60_000_000_000 {
                    SystemClock.pause(milliseconds: 500)
                    continue
                }
                lookedAt = SystemClock.monotonicNanoseconds
                do throws(StoreError) {
                    try store.maintain(today: SystemClock.nowMicroseconds / 86_400_000_000)
                    let built = try store.indexClosedPartitions(after: limits.indexAfter)
                    if !built.isEmpty {
                        log.info("indexed closed partitions", ["partitions": built.joined(separator: ", ")])
                    }
                    health.works()
                } catch {
                    if !stopping.now.isStopping {
                        health.failed(error.description)
                        log.error("partitions could not be looked after", ["error": "\(error)"])
                    }
                }
            }
        }
    }

    /// Looks for operators' orders once a second, on a thread of its own: it waits for the database.
    private func startOrders() {
        let (limits, conninfo, exchange) = (limits, conninfo, exchange)
        let health = live.health.report(.orders)
        _ = WorkerThread(name: "ingest.orders") {
            var store = SampleStore(
                conninfo: conninfo, partitions: limits.partitions, deadlineMilliseconds: limits.databaseDeadline)
            var newest = exchange.now.orders.map(\.id).max() ?? 0
            while !exchange.now.isStopping {
                SystemClock.pause(milliseconds: 1000)
                do throws(StoreError) {
                    let new = try store.openOrders().filter { $0.id > newest }
                    health.works()
                    guard let last = new.last else { continue }
                    newest = last.id
                    exchange.update { $0.orders += new }
                    exchange.wake.wake()
                } catch {
                    health.failed("operators' orders cannot be read: \(error)")
                }
            }
        }
    }

    // MARK: Writing

    /// Writes until it is written: nothing that was received is given up while the service runs.
    ///
    /// - Returns: the records of the switches that the batches moved; `nil`: it was not written.
    private func persist(_ batches: [SampleBatch], _ store: inout SampleStore) -> [SwitchRecord]? {
        let rows = batches.reduce(0) { $0 + $1.count }
        var isInDoubt = false
        var wait: UInt32 = 50
        while true {
            let started = SystemClock.monotonicNanoseconds
            do throws(StoreError) {
                let switches: [SwitchRecord]
                do throws(StoreError) {
                    switches = try store.write(batches)
                } catch {
                    // A try whose connection was lost may have committed, even after we gave it up.
                    guard error.code == .conflict, isInDoubt, try store.holds(batches) else { throw error }
                    switches = try store.switches()
                    log.warning("the batch was already stored", ["rows": "\(rows)"])
                }
                let seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
                metrics.observe(
                    "backfeed_store_write_seconds", seconds, bounds: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5],
                    help: "Time to store what had come, a batch or several")
                metrics.add(
                    "backfeed_samples_stored_total", Double(rows), help: "Samples committed to the table")
                health.works()
                records.say(store.problems)
                if exchange.update({ contents in
                    defer { contents.storeIsAway = false }
                    return contents.storeIsAway
                }) {
                    log.info("the database is back")
                }
                return switches
            } catch {
                if error.code == .conflict {
                    log.error("another service writes the same streams: stopping", ["error": "\(error)"])
                    ShutdownSignal.request()
                    return nil
                }
                isInDoubt = isInDoubt || error.code == .connectionFailed
                health.failed(error.description)
                metrics.add("backfeed_store_failures_total", 1, help: "Tries to store a batch that failed")
                log.error("batch not stored, trying again", ["error": "\(error)", "rows": "\(rows)"])
                exchange.update { $0.storeIsAway = true }
                exchange.wake.wake()
                // The receiving thread puts what is not committed on the spool before it ends.
                if exchange.now.isStopping { return nil }
                SystemClock.pause(milliseconds: wait)
                wait = min(wait * 2, 2000)
            }
        }
    }
}
