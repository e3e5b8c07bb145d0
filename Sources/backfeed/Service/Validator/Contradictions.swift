internal import GridModel
internal import Store

/// Devices that contradict the switch positions: live where the network is dead as switched, or dead where it is live.
struct Contradictions {
    let stored: StoredNetwork
    let graph: NetworkGraph
    let topology: Topology
    /// What was received before this says nothing: switches had not settled.
    let settled: Timestamp
    /// s
    let maximumAge: Double
    let moment: Moment

    /// pu above which something is live, and below which it is dead (domain rules B.4.8).
    private static let live: Float = 0.5
    private static let dead: Float = 0.1
    /// So many without voltage on one feeder are no broken meters.
    private static let several = 3

    /// - Parameter giving: DER that give power where the network is dead.
    func doubts(_ now: LiveState.Contents, _ record: OperatingRecord, giving: [String]) -> [Finding] {
        var alive = Set(giving)
        var silent: [String: [String]] = [:]
        for (index, device) in stored.registry.devices.enumerated() {
            let value = now.newest[index].voltage
            guard value.receivedAt > 0, moment.wallTime(of: value.receivedAt) > settled,
                moment.age(of: value.receivedAt) <= maximumAge,
                let node = graph.nodeIndex[device.node]
            else { continue }
            if !topology.energised[node], value.perUnit > Self.live { alive.insert(device.name) }
            if topology.energised[node], value.perUnit < Self.dead {
                silent[device.normalFeeder, default: []].append(device.name)
            }
        }
        var doubts: [Finding] = []
        if !alive.isEmpty {
            doubts.append(
                Finding(
                    "T1", .unknown, elements: alive.sorted(), value: Double(alive.count), unit: "devices",
                    "\(alive.count) devices give power or show voltage where the network is dead as switched: a switch position is wrong, or DER keep it alive.",
                    remedy: "Check the switch positions, correct them, then validate again."))
            doubts += guarded(alive, record)
        }
        for (_, devices) in silent.sorted(by: { $0.key < $1.key }) where devices.count >= Self.several {
            doubts.append(
                Finding(
                    "T1", .unknown, elements: devices.sorted(), value: Double(devices.count), unit: "devices",
                    "\(devices.count) devices have no voltage where the network is live as switched: a switch position is wrong, or a fuse is gone.",
                    remedy: "Check the switch positions, correct them, then validate again."))
        }
        return doubts
    }

    /// T4: people rely on a ground or a clearance, and something there is alive.
    private func guarded(_ alive: Set<String>, _ record: OperatingRecord) -> [Finding] {
        let network = stored.network
        func ends(_ element: String) -> [Int] {
            if let node = graph.nodeIndex[element] { return [node] }
            let line = network.lines.first { $0.id == element }.map { [$0.from, $0.to] }
            let unit = network.transformers.first { $0.id == element }.map { [$0.highNode, $0.lowNode] }
            return (line ?? unit ?? []).compactMap { graph.nodeIndex[$0] }
        }
        let nodes = Dictionary(
            stored.registry.devices.map { ($0.name, graph.nodeIndex[$0.node] ?? -1) }, uniquingKeysWith: { a, _ in a })
        return record.items.filter { $0.kind == .ground || $0.kind == .clearance }.compactMap { item in
            let here = Set(ends(item.element))
            guard let island = topology.deadIslands.first(where: { !here.isDisjoint(with: $0) }) else { return nil }
            let members = Set(island)
            let live = alive.filter { nodes[$0].map(members.contains) ?? false }.sorted()
            guard !live.isEmpty else { return nil }
            return Finding(
                "T4", .blockHard, elements: [item.element] + live,
                "\(live[0]) is alive in the dead part where \(item.element) is \(item.kind == .ground ? "grounded" : "cleared").",
                remedy: "Stop the work, find the source, and test again.")
        }
    }
}
