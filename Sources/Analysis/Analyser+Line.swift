internal import GridModel

/// What a regulator, recloser or service transformer is watched for, and on which line.
struct LineRole: Sendable {
    let role: LinePoint.Role
    /// `nil` for transformers.
    let edge: Int?
    /// The source is normally at the line's `from` end.
    let isForwardFrom: Bool
}

/// Devices on the lines of a feeder: found as soon as they report, and oriented with each switching.
extension Analyser {
    static func lineRoles(_ model: AnalysisModel, _ normal: Topology) -> [Int: LineRole] {
        let edges = Dictionary(
            model.graph.edgeIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var roles: [Int: LineRole] = [:]
        func add(_ name: String, _ role: LineRole) {
            if let number = model.registry.index[name] { roles[Int(number)] = role }
        }
        for item in model.network.regulators ?? [] {
            add(
                "RG-\(item.id)",
                LineRole(role: .regulator(item.mode), edge: edges[item.line], isForwardFrom: item.isForwardFrom))
        }
        for item in model.network.switches where item.connects == .line {
            // One that tells the direction is not afraid of it.
            guard let relay = item.relay, relay.isDirectional != true, let edge = edges[item.element] else { continue }
            add(
                "RC-\(item.id)",
                LineRole(
                    role: .recloser(pickup: relay.phasePickup), edge: edge,
                    isForwardFrom: normal.isFedFrom(edge: edge, of: model.graph) ?? true))
        }
        // Those of a substation are looked at with its bank.
        let substations = Set(model.network.nodes.lazy.filter { $0.kind == "mv_busbar" }.map(\.id))
        for item in model.network.transformers where !substations.contains(item.lowNode) {
            add("TM-\(item.id)", LineRole(role: .transformer, edge: nil, isForwardFrom: true))
        }
        return roles
    }

    mutating func addLinePoint(_ number: Int, to feeder: Int) {
        guard let role = lineRoles[number], !feeders[feeder].linePoints.contains(where: { $0.device == number }) else {
            return
        }
        var point = LinePoint(
            device: number, model, feeder: feeders[feeder].id, role: role.role, edge: role.edge,
            isForwardFrom: role.isForwardFrom, settings: settings)
        let known = stored
        point.withTrackers { $0.prepare(known[$0.key]) }
        // Found after the warm-up had begun: it takes over its stored advisories at once.
        if settledMinute.contains(feeders[feeder].id) {
            point.withTrackers { Self.take(&$0, known) }
            settleGap(number, feeder: feeders[feeder].id, known)
        }
        let points = feeders[feeder].linePoints
        let place = points.firstIndex { $0.device > number } ?? points.count
        feeders[feeder].linePoints.insert(point, at: place)
        orient(feeder, place)
    }

    /// From which side it is fed, by the topology of the feeder's next minute.
    mutating func orient(_ feeder: Int, _ place: Int) {
        let point = feeders[feeder].linePoints[place]
        guard let edge = point.edge, topologyOfFeeder[feeder] > 0 else { return }
        feeders[feeder].linePoints[place].isMoved =
            isFedFrom[topologyOfFeeder[feeder] - 1][edge].map { $0 != point.isForwardFrom }
    }

    /// Those with an advisory by the store are watched before they speak again.
    mutating func restoreLinePoints(_ latest: [AdvisoryFacts]) {
        for facts in latest {
            guard let number = model.registry.index[facts.element].map(Int.init), homeFeeder[number] >= 0 else {
                continue
            }
            addLinePoint(number, to: homeFeeder[number])
        }
    }
}
