internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

/// What loads and DER may do in the next hours, from the stored profiles of each feeder: read again every quarter hour by a
/// thread of its own, because weeks of profiles take too long for a verdict.
final class ProfileOutlook: Sendable {
    private struct Key: Hashable {
        let feeder: String
        let isWeekend: Bool
        let quarter: Int
    }

    private struct Contents: Sendable {
        var quantiles: [Key: ProfileQuantiles] = [:]
        /// By the clock that verdicts are judged by.
        var readAt: Timestamp?
        var problem: String?
    }

    private let live: LiveState
    private let conninfo: String
    private let isReplay: Bool
    private let weeks, minimumDays: Double
    private let contents = Guarded(Contents())
    private let stopped = Gate()
    private let worker = Guarded<WorkerThread?>(nil)
    private let log = Log("validator")

    /// s; what was read longer ago says nothing any more (domain rules D.6).
    private static let oldest = 3600.0

    init(live: LiveState, conninfo: String, settings: Settings) {
        self.live = live
        self.conninfo = conninfo
        isReplay = settings.text("validator.clock") == "data"
        weeks = settings.number("validator.profile_weeks")
        minimumDays = settings.number("validator.profile_days_min")
    }

    private var health: PartHealth { live.health.report(.outlook) }

    func start() {
        let thread = WorkerThread(name: "validator.profiles") { [self] in run() }
        worker.withLock { $0 = thread }
    }

    func stop() {
        stopped.open()
        worker.withLock { $0.take() }?.join()
    }

    /// Of the verdicts: in a replay the data's own.
    var clock: Timestamp {
        let wall = Timestamp(microseconds: SystemClock.nowMicroseconds)
        return isReplay ? live.read(\.heads).values.map(\.time).max() ?? wall : wall
    }

    private func run() {
        var session = DatabaseSession(conninfo, deadlineMilliseconds: 60_000)
        var wait = 0
        while !stopped.wait(milliseconds: wait) {
            wait = 500
            let now = clock
            let last = contents.withLock { $0.readAt }
            // A replay passes quarter hours quickly, and may jump back.
            guard last.map({ abs(now - $0) >= 900 }) ?? true else { continue }
            do throws(StoreError) {
                let found = try session.use { connection throws(StoreError) in
                    try ProfileQuantiles.read(from: now - weeks * 7 * 86_400, until: now, &connection)
                }
                contents.withLock {
                    $0.quantiles = Dictionary(
                        found.map { (Key(feeder: $0.feeder, isWeekend: $0.isWeekend, quarter: $0.quarter), $0) },
                        uniquingKeysWith: { first, _ in first })
                    $0.readAt = now
                    $0.problem = nil
                }
                health.works()
            } catch {
                log.error("profiles cannot be read", ["error": "\(error)"])
                contents.withLock { $0.problem = "\(error)" }
                health.failed(error.description)
                wait = 5000
            }
        }
    }

    /// Puts what the next hours may bring into a snapshot: for each quarter hour much load (95th percentile) with little
    /// from DER (5th), and little load with much from DER. What is missing becomes a finding.
    func foresee(_ snapshot: inout GridSnapshot, from start: Timestamp, hours: Double, concerned: Set<String>) {
        let network = live.stored.network
        let now = contents.withLock { $0 }
        let end = start + hours * 3600
        guard let readAt = now.readAt, abs(start - readAt) <= Self.oldest else {
            snapshot.doubts.append(
                Finding(
                    "H3", .unknown,
                    "What loads and DER do until \(end) is not known: the stored profiles have not been read\(now.problem.map { " (\($0))" } ?? " yet").",
                    remedy: "Wait a moment, or restore the database, then validate again."))
            return
        }
        var days: [String: Int] = [:]
        var time = start.floored(toSeconds: 900) + 900
        let spread = Spread(network, live.graph)
        let loads = spread.loads(snapshot)
        // Of the feeder whose load falls farthest: EXPORT is about the feeders concerned, not about the sum of all.
        var lightest: Double? = 1
        while time <= end {
            let seconds = time.microseconds / 1_000_000
            // 1970-01-01 was a Thursday.
            let isWeekend = (seconds / 86_400 + 3) % 7 >= 5
            let quarter = Int(seconds % 86_400 / 900)
            var values: [String: ProfileQuantiles] = [:]
            for feeder in network.feeders {
                let found = now.quantiles[Key(feeder: feeder.id, isWeekend: isWeekend, quarter: quarter)]
                days[feeder.id] = min(days[feeder.id] ?? .max, found?.days ?? 0)
                if let found, Double(found.days) >= minimumDays { values[feeder.id] = found }
            }
            if concerned.isSubset(of: values.keys) {
                for (load, der) in [(2, 0), (0, 2)] {
                    let moment = spread.moment(values, load: load, der: der, snapshot)
                    snapshot.outlook.append(.init(time: time, watts: moment.watts, vars: moment.vars))
                }
                for feeder in concerned {
                    guard let now = loads[feeder], now > 0, let found = values[feeder] else { continue }
                    lightest = lightest.map { min($0, max(0, found.native[0]) / now) }
                }
            } else {
                lightest = nil
            }
            time = time + 900
        }
        if let lightest, !concerned.isEmpty { snapshot.lightLoadShare = lightest }
        let short = concerned.filter { Double(days[$0] ?? 0) < minimumDays }.sorted()
        guard !short.isEmpty else { return }
        let least = short.map { days[$0] ?? 0 }.min() ?? 0
        snapshot.doubts.append(
            Finding(
                "H3", .condition, elements: short, value: Double(least), limit: minimumDays, unit: "days",
                limitSource: "validator.profile_days_min",
                "What loads and DER do until \(end) is known only from \(least) days of profiles.",
                remedy: "Watch the loading for as long as the final state stays."))
    }
}

/// Spreads what a feeder's normal fleet takes and gives over its nodes, by nominal load and by rating.
struct Spread {
    private let network: Network
    private let nodes: [String: Int]
    /// By node, in the normal state; empty: none.
    private let feeder: [String]
    private let nominal: [String: Double]
    private let rated: [String: [String: Double]]

    init(_ network: Network, _ graph: NetworkGraph) {
        self.network = network
        let normal = Topology(graph, positions: graph.normalPositions)
        let feeder = normal.feeder.map { $0 < 0 ? "" : graph.feederIDs[Int($0)] }
        self.feeder = feeder
        nodes = Dictionary(network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        var (nominal, rated) = ([String: Double](), [String: [String: Double]]())
        for load in network.loads {
            guard let node = nodes[load.node] else { continue }
            nominal[feeder[node], default: 0] += load.kilowatts * 1000
        }
        for der in network.ders {
            guard let node = nodes[der.node] else { continue }
            rated[feeder[node], default: [:]][Self.group(der.kind), default: 0] += der.ratedKW * 1000
        }
        self.nominal = nominal
        self.rated = rated
    }

    private static func group(_ kind: DeviceKind) -> String {
        switch kind {
        case .photovoltaic: "pv"
        case .battery: "battery"
        case .electricVehicleCharger: "ev"
        default: "other"
        }
    }

    /// W that the loads of each feeder's normal fleet take now.
    func loads(_ now: GridSnapshot) -> [String: Double] {
        Dictionary(zip(feeder, now.loadWatts), uniquingKeysWith: +)
    }

    /// By node; feeders without quantiles stay as they are now.
    ///
    /// - Parameters:
    ///   - load, der: which percentile: 0, 1 or 2.
    func moment(_ values: [String: ProfileQuantiles], load: Int, der: Int, _ now: GridSnapshot) -> (
        watts: [Double], vars: [Double]
    ) {
        var watts = [Double](repeating: 0, count: network.nodes.count)
        var vars = watts
        for node in network.nodes.indices where values[feeder[node]] == nil {
            watts[node] = now.loadWatts[node]
            vars[node] = now.loadVars[node] - now.derVars[node]
        }
        for item in network.loads {
            guard let node = nodes[item.node] else { continue }
            guard let found = values[feeder[node]], let total = nominal[feeder[node]], total > 0 else { continue }
            let scale = max(0, found.native[load]) / total
            let taken = item.kilowatts * 1000 * scale
            watts[node] += taken
            if let kilovars = item.kilovars {
                vars[node] += kilovars * 1000 * scale
            } else if now.loadWatts[node] > 0 {
                // The data do not say: in proportion to what is measured now. Without load now the feeder has no numbers.
                vars[node] += taken * now.loadVars[node] / now.loadWatts[node]
            }
        }
        for (place, item) in network.ders.enumerated() {
            guard let node = nodes[item.node] else { continue }
            guard let found = values[feeder[node]] else {
                watts[node] -= now.derWatts[place]
                continue
            }
            let group = Self.group(item.kind)
            guard let total = rated[feeder[node]]?[group], total > 0 else { continue }
            let given =
                switch group {
                case "pv": found.pv[der]
                case "battery": found.battery[der]
                case "ev": found.evCharger[der]
                default: found.other[der]
                }
            watts[node] -= given * item.ratedKW * 1000 / total
            vars[node] -= given * item.ratedKW * 1000 / total * (item.reactiveShare ?? 0)
        }
        return (watts, vars)
    }
}
