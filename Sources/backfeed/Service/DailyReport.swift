internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

/// Once a day: what the last year's profiles say of each bank (GLR_STATIC). By our clock, because a year has no stream.
///
/// A thread of its own: a year of every feeder is read, and nobody waits for it.
final class DailyReport: Sendable {
    private let stored: StoredNetwork
    private let settings: AnalysisSettings
    private let conninfo: String
    private let announce: @Sendable () -> Void
    private let stopping = Gate()
    private let health: PartHealth
    private let thread = Guarded<WorkerThread?>(nil)
    private let log = Log("daily")
    private static let year = 365.0 * 86_400

    /// - Parameter announce: there are new events to publish.
    init(
        stored: StoredNetwork, settings: AnalysisSettings, conninfo: String, health: PartHealth,
        announce: @escaping @Sendable () -> Void
    ) {
        self.health = health
        self.stored = stored
        self.settings = settings
        self.conninfo = conninfo
        self.announce = announce
    }

    func start() { thread.withLock { $0 = WorkerThread(name: "daily.report") { [self] in run() } } }

    func stop() {
        stopping.open()
        thread.withLock { $0 }?.join()
    }

    private func run() {
        let (banks, ratings, begin) = lookAtBanks()
        guard !banks.isEmpty else { return }
        var ratio: StaticRatio?
        var reported = Timestamp.distantPast
        var triedAt: UInt64 = 0
        while !stopping.wait(milliseconds: 1000) {
            let today = Timestamp(microseconds: SystemClock.nowMicroseconds).floored(toSeconds: 86_400)
            let now = SystemClock.monotonicNanoseconds
            guard today != reported, triedAt == 0 || now - triedAt > 60_000_000_000 else { continue }
            triedAt = now
            do throws(StoreError) {
                var store = AdvisoryStore(conninfo: conninfo)
                var watched = ratio ?? begin
                if ratio == nil { watched.restore(try store.restartState().latest) }
                try report(today, banks, ratings, &watched, &store)
                (ratio, reported) = (watched, today)
                health.works()
            } catch {
                health.failed(error.description)
                log.error("the banks' year is not read, trying again in a minute", ["error": "\(error)"])
            }
        }
    }

    /// The banks with their feeders and W of generation: an analyser knows them, which nothing else is wanted of.
    private func lookAtBanks() -> ([String: Set<String>], [String: Double], StaticRatio) {
        let analyser = Analyser(
            model: AnalysisModel(network: stored.network, registry: stored.registry, revision: stored.revision),
            settings: settings)
        let banks = analyser.banksByFeeder
        let ratings = banks.keys.reduce(into: [:]) { $0[$1] = analyser.ratedGeneration(ofBank: $1) }
        return (banks, ratings, StaticRatio(analyser))
    }

    private func report(
        _ today: Timestamp, _ banks: [String: Set<String>], _ ratings: [String: Double], _ ratio: inout StaticRatio,
        _ store: inout AdvisoryStore
    ) throws(StoreError) {
        var queries = Queries(conninfo: conninfo)
        var commit = AdvisoryStore.Commit()
        commit.banks = banks
        for (bank, feeders) in banks.sorted(by: { $0.key < $1.key }) where !stopping.isOpen {
            let found = try queries.minimumDaytimeLoad(
                feeders: feeders.sorted(), from: today - Self.year, until: today, zone: settings.timeZone)
            let isKnown =
                found.completeness >= StaticRatio.needed.share && found.quarters >= StaticRatio.needed.quarters
            commit.reports += ratio.report(
                .init(
                    bank: bank, generation: ratings[bank] ?? 0, minimumLoad: isKnown ? found.load : nil,
                    completeness: found.completeness), day: today - 86_400)
            commit.areaOfFeeder[bank] = feeders.first.map { stored.areaID(ofFeeder: $0) }
        }
        guard !commit.reports.isEmpty else { return }
        if !(try store.commit(commit, profile: ProfileBatch())).isEmpty { announce() }
        log.info("banks by their last year", ["reports": "\(commit.reports.count)"])
    }
}
