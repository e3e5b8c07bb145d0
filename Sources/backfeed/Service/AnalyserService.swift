internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

/// The analyser role: stored samples in order, advisories and profile minutes out, each output in one transaction.
final class AnalyserService: Sendable {
    private let stored: StoredNetwork
    private let settings: AnalysisSettings
    private let conninfo: String
    private let live: LiveState
    private let metrics: Metrics
    private let input: BoundedQueue<AnalyserInput>
    private let desks: [Desk]
    private let limits: AdvisoryLifecycle.Limits
    /// Of a desk, new advisories in ten minutes.
    private let flood: (begins: Int, ends: Int)
    private let pulse: Pulse
    private let announce: @Sendable () -> Void
    private let thread = Guarded<WorkerThread?>(nil)
    private let keeper = Guarded<WorkerThread?>(nil)
    private let rollUp: ProfileRollUp
    private let health, timesHealth: PartHealth
    private let keeping = BoundedQueue<Bool>(capacity: 1)
    private let ending = Gate()
    /// The analyser looks back eight weeks; a little more, for gaps.
    private let forecastDays = Int(Analyser.forecastMemory / 86_400) + 4
    private let log = Log("analyser")

    /// - Parameter announce: there are new events to publish.
    init(
        stored: StoredNetwork, settings: AnalysisSettings, conninfo: String, live: LiveState, metrics: Metrics,
        input: BoundedQueue<AnalyserInput>, desks: [Desk], limits: AdvisoryLifecycle.Limits,
        flood: (begins: Int, ends: Int), pulse: Pulse,
        announce: @escaping @Sendable () -> Void
    ) {
        self.stored = stored
        self.settings = settings
        self.conninfo = conninfo
        self.live = live
        self.metrics = metrics
        self.input = input
        self.desks = desks
        self.limits = limits
        self.flood = flood
        rollUp = ProfileRollUp(conninfo: conninfo, health: live.health.report(.profiles))
        health = live.health.report(.analyser)
        timesHealth = live.health.report(.times)
        self.pulse = pulse
        self.announce = announce
    }

    /// Rebuilds the state from the store, then starts. What the store holds beyond the last stored position is analysed
    /// here, so nothing is lost that was stored but not analysed before a crash.
    func start() throws {
        rollUp.start()
        var store = AdvisoryStore(conninfo: conninfo)
        let state = try store.restartState()
        let positions = state.positions.mapValues { Analyser.Position(head: $0.head, minute: $0.minute) }
        var samples = SampleStore(conninfo: conninfo)
        // Without a position (a crash in the first second) the clocks say where the samples are.
        let reached = positions.filter { !$0.key.hasPrefix("bank/") }.values.map(\.minute)
        let first = try reached.max() ?? samples.loadState().clocks.values.max()
        let (networks, start, moves) = try history(from: first, slowest: reached.min())
        var analyser = Succession(networks.stages(positions: start), settings: settings)
        for move in moves { analyser.switchMoved(move.switchID, to: move.position, at: move.time) }
        analyser.restore(positions: positions, latest: state.latest)
        var pending = Pending()
        if let first {
            let from = first - Analyser.warmUp
            try store.forecasts(from: first - Analyser.forecastMemory, until: first, allFrom: from) {
                analyser.recall($0, warmFrom: from)
            }
            log.info("rebuilding from stored samples", ["from": "\(from)"])
            var count = 0
            var problem: StoreError?
            try samples.replay(from: from, of: networks) { portion in
                count += portion.count
                pending.take(analyser.absorb(portion))
                // A crash may have left hours: in portions, so that memory stays bounded.
                if pending.isLarge, problem == nil {
                    do throws(StoreError) {
                        try self.commit(&pending, analyser, &store)
                    } catch {
                        problem = error
                    }
                }
            }
            if let problem { throw problem }
            try commit(&pending, analyser, &store)
            try store.rollUpRecent()
            log.info("rebuilt", ["samples": "\(count)", "advisories": "\(state.latest.count)"])
        }
        // What the network no longer has is not looked at any more, and must not stand for ever.
        let rebuilt = consume analyser
        if !(try store.remove(unless: rebuilt.knows, now: Timestamp(microseconds: SystemClock.nowMicroseconds))).isEmpty
        {
            announce()
        }
        let banks = rebuilt.banksByFeeder
        let keeper = WorkerThread(name: "advisory times") { [self] in keepTimes(banks) }
        self.keeper.withLock { $0 = keeper }
        // Given away: of one that somebody else still had, the first sample would make a copy.
        let given = Guarded<Succession?>(consume rebuilt)
        let worker = WorkerThread(name: "analyser") { [self] in
            guard var analyser = given.withLock({ $0.take() }) else { return }
            var positions = PositionWatch(latest: state.latest) { [stored] in Self.place(of: $0, stored) }
            run(&analyser, &positions)
        }
        thread.withLock { $0 = worker }
    }

    /// The networks of the time that is read again, and where their switches stood.
    ///
    /// - Parameters:
    ///   - first: up to where the analysis had come; `nil`: nowhere.
    ///   - slowest: the same of the feeder that is furthest behind.
    private func history(
        from first: Timestamp?, slowest: Timestamp?
    ) throws -> (networks: NetworkHistory, start: [String: SwitchPosition], moves: [NetworkStore.Move]) {
        guard let first else { return (NetworkHistory(stored), stored.livePositions, []) }
        // A feeder that has been silent for long has nothing to be said of an earlier network.
        let behind = max(slowest ?? first, first - Self.mostBehind)
        let networks = try NetworkHistory.load(from: behind, until: .distantFuture, known: stored, conninfo)
        var profiles = ProfileStore(conninfo: conninfo)
        let switches = try profiles.positions(
            at: first - Analyser.warmUp, until: Timestamp(microseconds: SystemClock.nowMicroseconds) + 86_400)
        return (networks, switches.start, switches.moves)
    }

    /// s
    private static let mostBehind = 7200.0

    /// The service is about to stop: when the store fails now, what is not stored is left to the next start.
    func prepareToStop() { ending.open() }

    /// The input must be closed first; what is in it is still analysed.
    func stop() {
        keeping.close()
        keeper.withLock { $0 }?.join()
        thread.withLock { $0 }?.join()
        rollUp.stop()
    }

    /// Shelves that end, what is urgent and unresolved, what nobody acknowledged: people's time, not that of the data.
    private func keepTimes(_ banks: [String: Set<String>]) {
        var store = AdvisoryStore(
            conninfo: conninfo, deadlineMilliseconds: 5000, lockMilliseconds: 1000, limits: limits)
        var rounds = 0
        while case .timedOut = keeping.take(within: 1000) {
            do throws(StoreError) {
                let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
                if !(try store.expire(now: now, banks: banks)).isEmpty { announce() }
                let floods = try store.watchFloods(desks, above: flood.begins, below: flood.ends, now: now)
                for line in floods { log.info("flood", ["desk": line]) }
                if rounds % 10 == 0 {
                    for load in try store.deskLoads(desks, from: now - 86_400, until: now) { show(load) }
                }
                if rounds % 3600 == 0 { try store.dropForecasts(olderThanDays: forecastDays) }
                rounds += 1
                timesHealth.works()
            } catch {
                timesHealth.failed(error.description)
                log.error("times of advisories not kept, trying again", ["error": "\(error)"])
            }
        }
    }

    private func show(_ load: DeskLoad) {
        let desk = ["desk": load.desk]
        metrics.set(
            "backfeed_desk_new_advisories", Double(load.rates.new10Min), desk,
            help: "Annunciated in the last 10 minutes, severity 1 to 3")
        for (severity, count) in load.standing {
            metrics.set(
                "backfeed_desk_standing_advisories", Double(count), desk.merging(["severity": severity]) { $1 },
                help: "Active, neither silenced nor part of another")
        }
        metrics.set(
            "backfeed_desk_unacknowledged_advisories", Double(load.unacknowledged), desk,
            help: "Not acknowledged, severity 1 to 3")
        metrics.set("backfeed_desk_flood", load.floodSince == nil ? 0 : 1, desk, help: "1 during a flood of advisories")
        if let seconds = load.rates.acknowledgedSerious.p90S {
            metrics.set(
                "backfeed_desk_acknowledge_seconds", seconds, desk,
                help: "P90 of the last day, severity 1 and 2, from annunciation to acknowledgement")
        }
    }

    /// The feeder that is told of a switch: its own, or one of its area.
    private static func place(of switchID: String, _ stored: StoredNetwork) -> String? {
        guard let index = stored.registry.index[switchID] else { return nil }
        let device = stored.registry.devices[Int(index)]
        if !device.normalFeeder.isEmpty { return device.normalFeeder }
        return stored.registry.devices.first { $0.kind == .feederHead && $0.area == device.area }?.normalFeeder
    }

    private struct Pending {
        var reports: [AdvisoryReport] = []
        var minutes: [FeederMinute] = []
        var forecasts: [ForecastRun] = []
        var isLarge: Bool { reports.count + minutes.count > 5000 }

        mutating func take(_ output: AnalysisOutput) {
            reports += output.reports
            minutes += output.minutes
            forecasts += output.forecasts
        }
    }

    /// Somebody's lock must not keep a service that was told to stop.
    private static let lockMilliseconds = 10_000

    private func run(_ analyser: inout Succession, _ positions: inout PositionWatch) {
        var store = AdvisoryStore(conninfo: conninfo, lockMilliseconds: Self.lockMilliseconds)
        var pending = Pending()
        var lastCommit = SystemClock.monotonicNanoseconds
        var isOpen = true
        // Positions that became doubtful or were settled while the service was down.
        for record in live.read(\.switches).values.sorted(by: { $0.id < $1.id }) {
            pending.reports += positions.take(record, at: Timestamp(microseconds: SystemClock.nowMicroseconds))
        }
        while isOpen {
            pulse.beat("analyser")
            switch input.take(within: 200) {
            case .element(.samples(let samples, let ticks)):
                let started = SystemClock.monotonicNanoseconds
                pending.take(analyser.absorb(samples))
                for tick in ticks {
                    pending.take(
                        tick.isHead
                            ? analyser.headIsSilent(feeder: tick.feeder, until: tick.time)
                            : analyser.tick(feeder: tick.feeder, to: tick.time))
                }
                metrics.add(
                    "backfeed_analysis_seconds_total", Double(SystemClock.monotonicNanoseconds - started) / 1e9,
                    help: "Time spent analysing")
            case .element(.switches(let records)):
                for record in records {
                    if let saying = record.newest {
                        analyser.switchMoved(record.id, to: saying.position, at: saying.time)
                    }
                    pending.reports += positions.take(record, at: Timestamp(microseconds: SystemClock.nowMicroseconds))
                }
            case .timedOut: break
            case .closed: isOpen = false
            }
            let now = SystemClock.monotonicNanoseconds
            // Advisories at once; profile rows and positions once a second.
            guard !pending.reports.isEmpty || pending.isLarge || now - lastCommit > 1_000_000_000 || !isOpen else {
                continue
            }
            lastCommit = now
            guard persist(&pending, analyser, &store) else {
                // Whoever waits to put something in must not wait for us.
                input.close()
                return
            }
        }
    }

    /// Stores until it is stored: an advisory that is found is never given up while the service runs. One that ends has
    /// little time: what it leaves is found again in the stored samples at the next start.
    ///
    /// - Returns: false when it was left.
    private func persist(
        _ pending: inout Pending, _ analyser: Succession, _ store: inout AdvisoryStore
    ) -> Bool {
        var attempt = 0
        while true {
            // Trying again is going round: a database that is away is no reason to be started again.
            pulse.beat("analyser")
            do throws(StoreError) {
                try commit(&pending, analyser, &store)
                health.works()
                return true
            } catch {
                log.error("advisories not stored, trying again", ["error": "\(error)"])
                health.failed(error.description)
                if attempt > 0, ending.isOpen { return false }
                SystemClock.pause(milliseconds: UInt32(min(2000, 50 << min(attempt, 5))))
                attempt += 1
            }
        }
    }

    private func commit(
        _ pending: inout Pending, _ analyser: Succession, _ store: inout AdvisoryStore
    ) throws(StoreError) {
        let positions = analyser.positions
        let known = live.read(\.positions)
        guard !pending.reports.isEmpty || !pending.minutes.isEmpty || positions != known else { return }
        var commit = AdvisoryStore.Commit()
        commit.reports = pending.reports
        commit.banks = analyser.banksByFeeder
        commit.positions = positions.filter { known[$0.key] != $0.value }.mapValues { ($0.head, $0.minute) }
        for report in pending.reports {
            commit.areaOfFeeder[report.facts.feeder] = stored.areaID(ofFeeder: report.facts.feeder)
        }
        commit.forecasts = pending.forecasts.map { ($0, stored.areaID(ofFeeder: $0.feeder)) }
        var profile = ProfileBatch()
        profile.rows = pending.minutes.map { ProfileBatch.Row($0, stored) }
        let events = try store.commit(commit, profile: profile)
        if !events.isEmpty { announce() }
        rollUp.add(profile.spans)
        let coverage = pending.minutes
        live.update { live in
            live.positions = positions
            for minute in coverage where minute.feeder == minute.normalFeeder {
                live.derCoverage[minute.feeder] = minute.derCoverage
            }
        }
        for report in pending.reports where report.change == .start {
            metrics.add(
                "backfeed_advisories_raised_total", 1,
                ["kind": report.facts.kind.rawValue, "severity": "\(report.facts.severity.rawValue)"],
                help: "Advisories raised")
        }
        pending = Pending()
    }
}
