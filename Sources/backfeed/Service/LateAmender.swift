internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

/// Makes again what late samples change. The stored samples of the time go through two fresh analysers, with the late
/// ones and without: the minutes of the one replace those in the profiles, and what the two say differently is recorded
/// beside the advisories.
///
/// A thread of its own: it reads hours of samples while the live analysis goes on.
final class LateAmender: Sendable {
    private let stored: StoredNetwork
    private let settings: AnalysisSettings
    private let peakTolerance: Double
    private let announce: @Sendable () -> Void
    private let conninfo: String
    private let metrics: Metrics
    private let quiet: Double
    private let health: PartHealth
    private let isStopping = Guarded(false)
    private let thread = Guarded<WorkerThread?>(nil)
    private let log = Log("late")
    /// Six hours at a time: memory stays bounded, and a long stretch is not read again for each quarter hour.
    private static let quarters = 24
    /// An interval mean may end this much after the time it speaks for, s.
    private static let reach = 3600.0
    /// Where the reading ends there seems to be silence: what is said so shortly before is not compared, s.
    private static let margin = 300.0

    /// - Parameters:
    ///   - quiet: seconds without another late sample before its time is looked at again.
    ///   - peakTolerance: part of a peak by which it may differ and still be the same, 0 to 1.
    ///   - announce: there are new events to publish.
    init(
        stored: StoredNetwork, settings: AnalysisSettings, conninfo: String, metrics: Metrics, quiet: Double,
        peakTolerance: Double, health: PartHealth, announce: @escaping @Sendable () -> Void
    ) {
        self.health = health
        self.stored = stored
        self.settings = settings
        self.peakTolerance = peakTolerance
        self.announce = announce
        self.conninfo = conninfo
        self.metrics = metrics
        self.quiet = quiet
    }

    func start() { thread.withLock { $0 = WorkerThread(name: "late.amend") { [self] in run() } } }

    /// What is not done is marked in the database, and done after the next start.
    func stop() {
        isStopping.withLock { $0 = true }
        thread.withLock { $0 }?.join()
    }

    private func run() {
        var store = ProfileStore(conninfo: conninfo)
        var lookedAt: UInt64 = 0
        while !isStopping.withLock({ $0 }) {
            SystemClock.pause(milliseconds: 200)
            guard SystemClock.monotonicNanoseconds - lookedAt > 1_000_000_000 else { continue }
            do {
                while try amendOnce(&store), !isStopping.withLock({ $0 }) {}
                metrics.set(
                    "backfeed_profile_amendments_waiting", Double(try store.standing().waiting),
                    help: "Quarter hours of feeders whose late samples are not in the profiles yet")
                health.works()
            } catch {
                health.failed("\(error)")
                log.error("not made again", ["error": "\(error)"])
            }
            lookedAt = SystemClock.monotonicNanoseconds
        }
    }

    /// - Returns: whether there was something to do.
    private func amendOnce(_ store: inout ProfileStore) throws -> Bool {
        let due = try store.due(quiet: quiet, quarters: Self.quarters)
        guard let first = due.first?.quarter, let last = due.last?.quarter else { return false }
        let wanted = Set(due.map(\.quarter))
        let (from, until) = (first - Analyser.warmUp, last + 900 + Self.reach)
        let switches = try store.positions(at: from, until: until)
        let history = try NetworkHistory.load(from: from, until: until, known: stored, conninfo)
        var advisories = AdvisoryStore(conninfo: conninfo)
        var replay = LateReplay(
            networks: history.stages(positions: switches.start), settings: settings, from: first,
            said: try advisories.spells(saidBefore: first),
            amendments: try advisories.amendments(standingAt: first))
        for move in switches.moves { replay.switchMoved(move.switchID, to: move.position, at: move.time) }
        let standing = try store.standing()
        // What is said after this, the live analysis has not said yet.
        let reached = Set(due.map(\.feeder)).compactMap { standing.positions[$0] }.min() ?? first
        var profile = ProfileBatch()
        var count = 0
        func take(_ minutes: [FeederMinute]) {
            for minute in minutes where wanted.contains(minute.time.floored(toSeconds: 900)) {
                // What the live analysis has not reached yet, it makes itself.
                guard let reached = standing.positions[minute.feeder], minute.time + 60 <= reached else { continue }
                profile.rows.append(ProfileBatch.Row(minute, stored))
            }
        }
        var samples = SampleStore(conninfo: conninfo)
        try samples.replay(from: from, until: until, of: history) {
            portion in
            count += portion.count
            take(replay.absorb(portion))
        }
        // Where the data ends: in small steps, because a leap of hours is not binned.
        for feeder in replay.feeders {
            for seconds in stride(from: 0.0, through: 2 * Self.reach, by: 600) {
                take(replay.tick(feeder: feeder, to: last + 900 + seconds))
            }
        }
        try amend(&advisories, replay, from: first, until: min(until - Self.margin, reached))
        try store.amend(profile, done: due)
        log.info(
            "profiles made again for late samples",
            ["from": "\(first)", "quarters": "\(wanted.count)", "samples": "\(count)", "rows": "\(profile.rows.count)"])
        return true
    }

    private func amend(
        _ advisories: inout AdvisoryStore, _ replay: LateReplay, from: Timestamp, until: Timestamp
    ) throws(StoreError) {
        let found = replay.amendments(until: until, peakTolerance: peakTolerance)
        let stored = stored
        let (recorded, publishes) = try advisories.amend(
            found, from: from, until: until, areaOfFeeder: { stored.areaID(ofFeeder: $0) },
            peakTolerance: peakTolerance, now: Timestamp(microseconds: SystemClock.nowMicroseconds))
        for item in recorded {
            metrics.add(
                "backfeed_advisory_amendments_total", 1, ["change": item.change.rawValue],
                help: "Spells that late samples make otherwise, undo or would have raised")
            log.info(
                "late samples change an advisory",
                [
                    "change": item.change.rawValue, "spell": item.spell,
                    "kind": item.subject?.kind.rawValue ?? "", "said": item.said.joined(separator: "; "),
                ])
        }
        if publishes { announce() }
    }
}

extension NetworkHistory {
    /// Each network with its time, for an analysis that goes through them.
    ///
    /// - Parameter positions: of switches, where the analysis begins.
    func stages(positions: [String: SwitchPosition]) -> [Succession.Stage] {
        stretches.enumerated().map { place, stretch in
            let stored = stretch.stored
            var model = AnalysisModel(
                network: stored.network, registry: stored.registry, revision: stored.revision, live: [:])
            model.positions = model.graph.positions(live: positions)
            // The newest has the numbers of the history, and of what comes live.
            return Succession.Stage(
                model: model, from: stretch.from, numbers: place + 1 < stretches.count ? stretch.numbers : nil)
        }
    }
}

extension ProfileBatch.Row {
    /// A minute as the analyser closed it.
    init(_ minute: FeederMinute, _ stored: StoredNetwork) {
        self.init(
            time: minute.time, net: minute.net, reactive: minute.reactive, voltage: minute.voltage,
            pv: minute.fleet.photovoltaic, battery: minute.fleet.battery, charger: minute.fleet.charger,
            other: minute.fleet.other, native: minute.native, reverse: minute.reverseEnergy,
            forward: minute.forwardEnergy, headCoverage: minute.headCoverage, derCoverage: minute.derCoverage,
            area: stored.areaIDByName[minute.area] ?? 0, feeder: minute.feeder, normalFeeder: minute.normalFeeder)
    }
}
