internal import Analysis
internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// Answers the API from the store and the live state. One session a worker thread at a time.
final class ServiceBackend: Backend {
    let live: LiveState
    private let metricsRegistry: Metrics
    let settings: Settings
    let sessions: SessionPool
    let announce: @Sendable () -> Void
    let desks: [Desk]
    let logins: LoginGuard
    /// `nil`: not asked yet.
    let accountsKnown = Guarded<(areThere: Bool?, until: UInt64)>((nil, 0))
    /// By digest: who it was, and when that was last looked up.
    let remembered = Guarded<[String: (Identity, Timestamp)]>([:])
    private let switchMoved: @Sendable (String, SwitchPosition, Timestamp) -> Void
    private let hub: EventHub
    private let derRating: [String: [String: Double]]
    let desk: SwitchingDesk
    private let liveNetwork: LiveNetworkDesk
    private let tables: TableDesk
    let log = Log("api")

    init(
        live: LiveState, outlook: ProfileOutlook, metrics: Metrics, settings: Settings, conninfo: String, hub: EventHub,
        desks: [Desk], announce: @escaping @Sendable () -> Void,
        switchMoved: @escaping @Sendable (String, SwitchPosition, Timestamp) -> Void
    ) {
        self.live = live
        metricsRegistry = metrics
        self.settings = settings
        self.hub = hub
        self.announce = announce
        self.desks = desks
        self.switchMoved = switchMoved
        sessions = SessionPool(conninfo, settings.accountLimits)
        logins = LoginGuard(settings)
        var rating: [String: [String: Double]] = [:]
        for device in live.stored.registry.devices where device.kind.isDER {
            rating[device.normalFeeder, default: [:]][device.kind.rawValue, default: 0] += device.rating
        }
        derRating = rating
        desk = SwitchingDesk(
            validator: ServiceValidator(live: live, outlook: outlook, settings: settings), sessions: sessions,
            positionTime: { Self.positionTime(live) },
            areaOf: { id in live.stored.registry.index[id].map { live.stored.areaIDs[Int($0)] } },
            moved: { id, position in
                if live.moveSwitch(id, to: position) { switchMoved(id, position, Self.positionTime(live)) }
            })
        tables = TableDesk(conninfo: conninfo, settings: settings)
        liveNetwork = LiveNetworkDesk(desk: desk, graph: live.graph)
    }

    // MARK: Feeders

    private struct FeederView: Encodable {
        var id: String
        var substation: String
        var headPowerW: Double?
        var direction: String
        var headTime: Timestamp?
        /// Since the service received it, wall clock.
        var ageS: Double?
        /// `nil`: neither network nor settings say.
        var ratingVa: Double?
        /// By which reverse power is judged; without a rating, of the one that is assumed then.
        var reverseLimitW: Double
        var derCount: Int
        var derRatedW: [String: Double]
        var dataCompletenessPct: Double?
        var activeAdvisories: [String: Int]
        /// Part of what is told at another place.
        var activeParts: [String: Int]
        var worstSeverity: Int?
        var watermark: Timestamp?
    }

    /// A head that has been silent longer than this has no direction: its last value is history.
    private static let staleSeconds = 30.0

    func feeders() throws -> [String] { try views().map(JSONCoding.encode) }

    func feeder(_ id: String) throws -> String? { try views().first { $0.id == id }.map(JSONCoding.encode) }

    /// The list as the console receives it every second.
    func feederEvent() -> String {
        guard let views = try? views() else { return "{\"items\":[],\"stale\":true}" }
        return "{\"items\":[\(views.map(JSONCoding.encode).joined(separator: ","))]}"
    }

    private func views() throws -> [FeederView] {
        let now = live.now
        let counts = try sessions.use { queries throws(StoreError) in try queries.activeCounts() }
        let clock = SystemClock.nowMicroseconds
        let topology = now.topology
        var derCount: [Int32: Int] = [:]
        for device in live.stored.registry.devices where device.kind.isDER {
            if let node = live.graph.nodeIndex[device.node] { derCount[topology.feeder[node], default: 0] += 1 }
        }
        return live.stored.network.feeders.enumerated().map { number, feeder in
            let head = now.heads[feeder.id]
            let age = head.map { Double(clock - $0.receivedAt) / 1e6 }
            let isStale = (age ?? .infinity) > Self.staleSeconds
            let index = live.stored.registry.index["FH-\(feeder.id)"].map(Int.init)
            let rated = settings.number("head.rating_va", feeder: feeder.id)
            let rating = rated > 0 ? rated : index.map { live.stored.registry.devices[$0].rating } ?? 0
            let limit = settings.number("reverse.limit_w", feeder: feeder.id)
            let active = counts[feeder.id] ?? Queries.ActiveCounts()
            func named(_ counts: [Int: Int]) -> [String: Int] {
                Dictionary(uniqueKeysWithValues: counts.map { ("\($0)", $1) })
            }
            return FeederView(
                id: feeder.id, substation: feeder.substation, headPowerW: head.map { Double($0.power).rounded() },
                direction: head.map { isStale ? "unknown" : $0.power < 0 ? "reverse" : "import" } ?? "unknown",
                headTime: head?.time, ageS: age.map { ($0 * 10).rounded() / 10 },
                ratingVa: rating > 0 ? rating.rounded() : nil,
                reverseLimitW: (limit >= 0 ? limit : (rating > 0 ? rating : FeederLimits.assumedRating) / 2).rounded(),
                derCount: derCount[Int32(number)] ?? 0,
                derRatedW: derRating[feeder.id] ?? [:],
                dataCompletenessPct: now.derCoverage[feeder.id].map { ($0 * 1000).rounded() / 10 },
                activeAdvisories: named(active.own), activeParts: named(active.parts),
                worstSeverity: active.own.keys.min(), watermark: now.positions[feeder.id]?.head)
        }
    }

    // MARK: Devices

    private struct DeviceView: Encodable {
        var id: String
        var kind: DeviceKind
        var node: String
        /// As switched now, and in the normal state.
        var feeder: String?
        var normalFeeder: String
        var lvArea: String
        var energised: Bool
        var ratingW: Double
        var activePowerW: Double?
        var time: Timestamp?
        var ageS: Double?
        var switchPosition: SwitchPosition?
    }

    func devices(feeder: String?, kind: String?, offset: Int, limit: Int) throws -> [String] {
        let now = live.now
        var items: [String] = []
        var skipped = 0
        for (index, device) in live.stored.registry.devices.enumerated() {
            guard kind == nil || device.kind.rawValue == kind else { continue }
            guard feeder == nil || self.feeder(of: device, now) == feeder else { continue }
            skipped += 1
            guard skipped > offset else { continue }
            items.append(JSONCoding.encode(view(index, now)))
            if items.count == limit { break }
        }
        return items
    }

    func device(_ id: String) throws -> String? {
        live.stored.registry.index[id].map { JSONCoding.encode(view(Int($0), live.now)) }
    }

    func feeder(of device: Device, _ now: LiveState.Contents) -> String? {
        if device.kind == .feederHead || device.kind == .recloser { return device.normalFeeder }
        guard let node = live.graph.nodeIndex[device.node], now.topology.feeder[node] >= 0 else { return nil }
        return live.graph.feederIDs[Int(now.topology.feeder[node])]
    }

    private func view(_ index: Int, _ now: LiveState.Contents) -> DeviceView {
        let device = live.stored.registry.devices[index]
        let newest = now.newest[index].power.receivedAt > 0 ? now.newest[index].power : nil
        let node = live.graph.nodeIndex[device.node]
        var view = DeviceView(
            id: device.name, kind: device.kind, node: device.node, feeder: feeder(of: device, now),
            normalFeeder: device.normalFeeder, lvArea: device.lowVoltageArea,
            energised: node.map { now.topology.energised[$0] } ?? false, ratingW: device.rating,
            activePowerW: newest.map { Double($0.power) }, time: newest?.time,
            ageS: newest.map { (Double(SystemClock.nowMicroseconds - $0.receivedAt) / 1e5).rounded() / 10 })
        if let number = live.graph.switchIndex[device.name] {
            view.switchPosition = now.switches[device.name] ?? live.graph.normalPositions[number]
        }
        return view
    }

    // MARK: Profiles and samples

    func profile(
        feeder: String, from: Timestamp?, until: Timestamp?, bucket: String, asNormal: Bool
    ) throws -> TableSource {
        guard live.graph.feederIndex[feeder] != nil else { throw APIError.notFound("there is no feeder \(feeder)") }
        let range =
            from == nil || until == nil
            ? try sessions.use { queries throws(StoreError) in try queries.profileRange(feeder: feeder) } : nil
        // Without a range: the last day there is.
        let until = until ?? range.map { $0.last + 60 } ?? Timestamp(microseconds: SystemClock.nowMicroseconds)
        let from = from ?? until - 86_400
        let view: Queries.DERView = asNormal ? .normal : .switched
        return try tables.source(
            header: [
                ("feeder", feeder), ("bucket", bucket), ("view", view.rawValue), ("from", "\(from)"),
                ("until", "\(until)"),
            ],
            columns: Queries.profileColumns
        ) { queries, row throws(StoreError) in
            try queries.profile(feeder: feeder, from: from, until: until, bucket: bucket, view: view, row)
        }
    }

    func samples(device: String, from: Timestamp, until: Timestamp) throws -> TableSource {
        guard live.stored.registry.index[device] != nil else { throw APIError.notFound("there is no device \(device)") }
        return try tables.source(header: [("device", device)], columns: Queries.sampleColumns, digits: .all) {
            queries, row throws(StoreError) in
            try queries.samples(device: device, from: from, until: until, row)
        }
    }

    // MARK: Network

    private struct NetworkView: Encodable {
        struct Node: Encodable {
            var id, kind: String
            var nominalKv: Double
            var feeder: String?
            var energised: Bool
            var longitude, latitude: Double?
        }
        struct Branch: Encodable { var id, from, to, kind: String; var closed: Bool }
        struct Switch: Encodable {
            var id, connects, node, element, role: String
            var normalPosition, position: SwitchPosition
        }
        var id: String
        var revision: Int
        var attribution: String
        var loops, parallelSources, deEnergisedNodes: Int
        var feeders: [String]
        var nodes: [Node]
        var branches: [Branch]
        var switches: [Switch]
    }

    func networkState() throws -> String { try liveNetwork.now() }

    func network() throws -> String {
        let now = live.now
        let (graph, network) = (live.graph, live.stored.network)
        let conducts = graph.conducting(graph.positions(live: now.switches))
        let kinds = network.lines.map { _ in "line" } + network.transformers.map { _ in "transformer" }
        let nodes = network.nodes.enumerated().map { number, node -> NetworkView.Node in
            let feeder = now.topology.feeder[number]
            return NetworkView.Node(
                id: node.id, kind: node.kind, nominalKv: node.nominalKilovolts,
                feeder: feeder >= 0 ? graph.feederIDs[Int(feeder)] : nil, energised: now.topology.energised[number],
                longitude: node.longitude, latitude: node.latitude)
        }
        let branches = graph.edgeIDs.indices.map { edge -> NetworkView.Branch in
            let end = graph.edgeEnds[edge]
            return NetworkView.Branch(
                id: graph.edgeIDs[edge], from: graph.nodeIDs[Int(end.from)], to: graph.nodeIDs[Int(end.to)],
                kind: edge < kinds.count ? kinds[edge] : "bus", closed: conducts[edge])
        }
        let switches = network.switches.map { item -> NetworkView.Switch in
            NetworkView.Switch(
                id: item.id, connects: item.connects.rawValue, node: item.node, element: item.element, role: item.role,
                normalPosition: item.normalPosition, position: now.switches[item.id] ?? item.normalPosition)
        }
        let view = NetworkView(
            id: network.id, revision: live.stored.revision, attribution: network.attribution, loops: now.topology.loops,
            parallelSources: now.topology.parallelSources, deEnergisedNodes: now.topology.deadNodeCount,
            feeders: graph.feederIDs, nodes: nodes, branches: branches, switches: switches)
        return JSONCoding.encode(view)
    }

    func setSwitch(_ id: String, position: SwitchPosition, at time: Timestamp?, actor: String, reason: String) throws
        -> String
    {
        guard let index = live.stored.registry.index[id], live.graph.switchIndex[id] != nil else {
            throw APIError.notFound("there is no switch \(id)")
        }
        let at = time ?? Self.positionTime(live)
        let area = live.stored.areaIDs[Int(index)]
        try sessions.connected { connection throws(StoreError) in
            try connection.transaction("record switch position") { connection throws(StoreError) in
                try NetworkStore.recordManual(
                    switchID: id, area: area, position: position, at: at, actor: actor, reason: reason, &connection)
            }
        }
        log.info(
            "manual switch position",
            ["switch": id, "position": position.name, "actor": actor, "reason": reason, "time": "\(at)"])
        if live.moveSwitch(id, to: position) { switchMoved(id, position, at) }
        return try device(id) ?? "{}"
    }

    /// Where the analysis stands, so that replayed history is switched where one is looking.
    private static func positionTime(_ live: LiveState) -> Timestamp {
        let marks = live.read(\.positions).filter { !$0.key.hasPrefix("bank/") }.values.map(\.head)
        return marks.max() ?? Timestamp(microseconds: SystemClock.nowMicroseconds)
    }

    // MARK: Health

    func readiness() -> [String] {
        var problems: [String] = []
        do {
            try sessions.use { queries throws(StoreError) in try queries.probe() }
        } catch {
            problems.append("the database does not answer: \(error)")
        }
        if live.stored.network.nodes.isEmpty { problems.append("no network is imported: backfeed network import DIR") }
        if let problem = live.read(\.storeProblem) { problems.append("storing fails: \(problem)") }
        return problems
    }

    func metrics() -> String {
        let now = live.now
        let clock = Double(SystemClock.nowMicroseconds) / 1e6
        let registry = metricsRegistry
        registry.set("backfeed_network_revision", Double(live.stored.revision), help: "Network revision in force")
        registry.set("backfeed_process_resident_bytes", Double(SystemClock.residentBytes), help: "Resident memory")
        registry.add(
            "backfeed_process_cpu_seconds_total",
            max(0, SystemClock.processCPUSeconds - registry.value("backfeed_process_cpu_seconds_total")),
            help: "User and system CPU time")
        registry.set(
            "backfeed_clock_timestamp_seconds", Double(SystemClock.nowMicroseconds) / 1e6,
            help: "The clock of this machine, to compare")
        registry.set("backfeed_event_stream_clients", Double(hub.clientCount), help: "Clients of /v1/events")
        registry.set(
            "backfeed_event_stream_kept_bytes", Double(hub.keptBytes),
            help: "Frames of /v1/events that are kept for clients who are behind")
        registry.set(
            "backfeed_advisory_sequence", Double(now.lastPublished), help: "Number of the newest published event")
        registry.set(
            "backfeed_store_healthy", now.storeProblem == nil ? 1 : 0,
            help: "1 while the last write to the store succeeded")
        if now.lastStored > 0 {
            registry.set(
                "backfeed_last_stored_timestamp_seconds", Double(now.lastStored) / 1e6,
                help: "Wall clock of the newest commit")
        }
        for (name, position) in now.positions where !name.hasPrefix("bank/") {
            registry.set(
                "backfeed_feeder_watermark_timestamp_seconds", Double(position.head.microseconds) / 1e6,
                ["feeder": name], help: "Time of data up to which a feeder is analysed")
        }
        for (feeder, head) in now.heads {
            registry.set(
                "backfeed_feeder_head_watts", Double(head.power), ["feeder": feeder],
                help: "Power at the feeder head, negative is reverse")
            registry.set(
                "backfeed_feeder_head_age_seconds", clock - Double(head.receivedAt) / 1e6, ["feeder": feeder],
                help: "Time since a head sample was received")
        }
        return registry.text
    }
}
