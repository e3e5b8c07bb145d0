public import GridModel
internal import PowerFlow

/// Loads and DER as they must be for heads and sections to come out as measured.
///
/// Loads are not measured. The network is cut where a flow is: what lies between cuts is a zone, and what flows into it
/// over all of them, with what its DER give and without what its lines and transformers take, is spread over its loads by
/// their nominal power. A feeder with two metered cables is one zone with two ways in; a metered section is a zone of its
/// own. What no cut separates from a source is not measured: its loads take as much of their nominal power as others do.
///
/// DER that have not spoken give something between nothing and their rating: for NOW as much as makes the zone's load the
/// usual one; for MASKED all of it hides load.
public struct LoadEstimate: Sendable {
    /// By node but for `derWatts`; see ``GridSnapshot``.
    public struct Loads: Sendable {
        public var loadWatts, loadVars, largestWatts, derWatts, derVars: [Double]
        public var doubts: [Finding] = []
        /// Feeders that measure what cannot be, and those whose reactive power nobody knows.
        public var contradicted: Set<String> = []
        public var unmeasured: Set<String> = []
    }

    private struct Zone {
        /// Points on its border, and the sign with which what they measure flows in.
        var cuts: [(point: Int, sign: Double)] = []
        /// Everything that flows in is measured.
        var isMeasured = false
        var nominalWatts = 0.0
        var hasVars = false
        var lacksVars = false
        var given = 0.0
        var givenVars = 0.0
        var silentCan = 0.0
        var silent: [Int] = []
        var feeders: Set<String> = []
    }

    private let network: Network
    private let graph: NetworkGraph
    private let live: LiveMeasurements
    /// By node and by edge: its zone.
    private let zoneOf: [Int]
    private let edgeZone: [Int]
    private var zones: [Zone]
    /// Heads beside which another way leads to the same nodes, unmeasured.
    private let bypassed: [Int]
    /// By DER: the node it is at.
    private let derNodes: [Int?]

    public init(
        _ network: Network, _ graph: NetworkGraph, _ topology: Topology, _ live: LiveMeasurements,
        positions: [SwitchPosition]
    ) {
        self.network = network
        self.graph = graph
        self.live = live
        let conducts = graph.conducting(positions)
        let points = live.points.all
        var cutAt: [Int: Int] = [:]
        for (place, point) in points.enumerated() where point.kind != .transformerMeter && point.sign != nil {
            guard conducts[point.edge], live.flows[place].watts != nil, cutAt[point.edge] == nil else { continue }
            cutAt[point.edge] = place
        }
        // Groups of nodes, cuts left out.
        var parent = Array(graph.nodeIDs.indices)
        func root(_ node: Int) -> Int {
            var node = node
            while parent[node] != node {
                parent[node] = parent[parent[node]]
                node = parent[node]
            }
            return node
        }
        for (edge, ends) in graph.edgeEnds.enumerated() where conducts[edge] && cutAt[edge] == nil {
            let (a, b) = (root(Int(ends.from)), root(Int(ends.to)))
            if a != b { parent[b] = a }
        }
        var number: [Int: Int] = [:]
        var zoneOf = [Int](repeating: 0, count: parent.count)
        for node in parent.indices {
            let root = root(node)
            let zone = number[root] ?? number.count
            number[root] = zone
            zoneOf[node] = zone
        }
        var zones = [Zone](repeating: Zone(), count: number.count)
        var bypassed: [Int] = []
        var edgeZone = graph.edgeEnds.map { zoneOf[Int($0.from)] }
        for (edge, place) in cutAt.sorted(by: { $0.key < $1.key }) {
            let point = points[place]
            // The branch itself lies behind its meter.
            edgeZone[edge] = zoneOf[point.far]
            guard zoneOf[point.near] != zoneOf[point.far] else {
                if point.headOf != nil { bypassed.append(place) }
                continue
            }
            let sign = point.sign ?? 1
            zones[zoneOf[point.far]].cuts.append((place, sign))
            zones[zoneOf[point.near]].cuts.append((place, -sign))
        }
        for zone in zones.indices { zones[zone].isMeasured = !zones[zone].cuts.isEmpty }
        for source in graph.sources { zones[zoneOf[source]].isMeasured = false }
        for (node, zone) in zoneOf.enumerated() {
            if topology.feeder[node] >= 0 { zones[zone].feeders.insert(graph.feederIDs[Int(topology.feeder[node])]) }
            if !topology.energised[node] { zones[zone].isMeasured = false }
        }
        for zone in zones.indices where zones[zone].isMeasured {
            for cut in zones[zone].cuts where zoneOf[points[cut.point].far] == zone {
                if let feeder = points[cut.point].headOf { zones[zone].feeders.insert(network.feeders[feeder].id) }
            }
        }
        for load in network.loads {
            guard let node = graph.nodeIndex[load.node] else { continue }
            zones[zoneOf[node]].nominalWatts += load.kilowatts * 1000
            let vars: Double? = load.kilovars
            if let vars, vars != 0 { zones[zoneOf[node]].hasVars = true }
            if vars == nil, load.kilowatts != 0 { zones[zoneOf[node]].lacksVars = true }
        }
        derNodes = network.ders.map { graph.nodeIndex[$0.node] }
        for (place, der) in live.ders.enumerated() {
            guard let node = derNodes[place] else { continue }
            if let watts = der.watts {
                zones[zoneOf[node]].given += watts
                zones[zoneOf[node]].givenVars += der.vars ?? watts * (network.ders[place].reactiveShare ?? 0)
            } else if der.canGive > 0 {
                zones[zoneOf[node]].silentCan += der.canGive
                zones[zoneOf[node]].silent.append(place)
            }
        }
        self.zoneOf = zoneOf
        self.zones = zones
        self.bypassed = bypassed
        self.edgeZone = edgeZone
    }

    /// W and var that lines, transformers and shunts of each zone take, by a load flow of now.
    func losses(_ solution: FlowSolution) -> [(watts: Double, vars: Double)] {
        var losses = [(watts: Double, vars: Double)](repeating: (0, 0), count: zones.count)
        var edge = 0
        func add(_ flows: [BranchFlow], _ ends: [(String, String)]) {
            for (flow, end) in zip(flows, ends) where graph.nodeIndex[end.0] != nil && graph.nodeIndex[end.1] != nil {
                losses[edgeZone[edge]].watts += flow.fromWatts + flow.toWatts
                losses[edgeZone[edge]].vars += flow.fromVars + flow.toVars
                edge += 1
            }
        }
        add(solution.lines, network.lines.map { ($0.from, $0.to) })
        add(solution.transformers, network.transformers.map { ($0.highNode, $0.lowNode) })
        for shunt in network.shunts ?? [] {
            guard let node = graph.nodeIndex[shunt.node], solution.isEnergised[node] else { continue }
            let square = solution.perUnit[node] * solution.perUnit[node]
            losses[zoneOf[node]].watts += shunt.kilowatts * 1000 * square
            losses[zoneOf[node]].vars -= shunt.kilovars * 1000 * square
        }
        return losses
    }

    /// Everything that flows into the zone on one of its sides is measured.
    func isMeasured(_ point: MeasuringPoints.Point) -> Bool {
        zones[zoneOf[point.near]].isMeasured || zones[zoneOf[point.far]].isMeasured
    }

    /// W that is not measured anywhere: loads at busbars and behind silent heads, and what DER there may give.
    func unmeasuredWatts(_ loads: Loads) -> Double {
        var watts = 0.0
        for (node, zone) in zoneOf.enumerated() where !zones[zone].isMeasured { watts += loads.loadWatts[node] }
        for zone in zones where !zone.isMeasured { watts += zone.silentCan }
        return watts
    }

    /// Losses count as load: without a load flow they are not known.
    public var lossless: Loads { loads(losses: nil) }

    /// - Parameter losses: see ``losses(_:)``; `nil`: not known, they count as load.
    func loads(losses: [(watts: Double, vars: Double)]?) -> Loads {
        var derWatts = live.ders.map { $0.watts ?? 0 }
        // W and var that loads (and silent DER) of a zone take.
        let residual = zones.indices.map { self.residual($0, losses?[$0].watts ?? 0) }
        let shares = zones.indices.compactMap { zone -> Double? in
            guard let residual = residual[zone], zones[zone].silent.isEmpty, zones[zone].nominalWatts > 0 else {
                return nil
            }
            return max(0, residual) / zones[zone].nominalWatts
        }.sorted()
        // As usual: the zones that are fully measured, in the middle; else as drawn.
        let usual = shares.isEmpty ? 1 : shares[shares.count / 2]
        var (share, largest) = (
            [Double](repeating: usual, count: zones.count), [Double](repeating: usual, count: zones.count)
        )
        var loads = Loads(loadWatts: [], loadVars: [], largestWatts: [], derWatts: [], derVars: [])
        for (number, zone) in zones.enumerated() {
            guard let residual = residual[number] else { continue }
            let most = residual + zone.silentCan
            let native = max(0, min(max(usual * zone.nominalWatts, residual), most))
            judge(zone, residual: residual, most: most, &loads)
            if zone.nominalWatts > 0 {
                share[number] = native / zone.nominalWatts
                largest[number] = max(native, most) / zone.nominalWatts
            }
            // Without loads nothing hides what silent DER give.
            let taken = zone.nominalWatts > 0 ? native : 0
            for place in zone.silent where zone.silentCan > 0 {
                derWatts[place] =
                    max(0.0, min(taken - residual, zone.silentCan)) * live.ders[place].canGive / zone.silentCan
            }
        }
        for place in bypassed { tell(bypassed: live.points.all[place], &loads) }
        let vars = zones.indices.map { reactive($0, share[$0], losses?[$0].vars ?? 0, &loads) }
        loads.loadWatts = [Double](repeating: 0, count: network.nodes.count)
        loads.loadVars = loads.loadWatts
        loads.largestWatts = loads.loadWatts
        loads.derVars = loads.loadWatts
        for load in network.loads {
            guard let node = graph.nodeIndex[load.node] else { continue }
            let zone = zoneOf[node]
            let watts = load.kilowatts * 1000
            loads.loadWatts[node] += watts * share[zone]
            loads.largestWatts[node] += watts * largest[zone]
            switch vars[zone] {
            case .measured(let total): loads.loadVars[node] += total * watts / zones[zone].nominalWatts
            case .drawn:
                let drawn: Double? = load.kilovars
                // Loads without q_kvar are reported through `reactive`; beside others that have it they add nothing.
                loads.loadVars[node] += (drawn ?? 0) * 1000 * share[zone]
            case .factor(let tangent): loads.loadVars[node] += watts * share[zone] * tangent
            }
        }
        for (place, node) in derNodes.enumerated() {
            guard let node else { continue }
            loads.derVars[node] +=
                live.ders[place].vars ?? derWatts[place] * (network.ders[place].reactiveShare ?? 0)
        }
        loads.derWatts = derWatts
        return loads
    }

    private func residual(_ zone: Int, _ losses: Double) -> Double? {
        let zone = zones[zone]
        guard zone.isMeasured else { return nil }
        return zone.cuts.reduce(zone.given - losses) { $0 + $1.sign * (live.flows[$1.point].watts ?? 0) }
    }

    // MARK: Reactive power

    private enum Reactive {
        /// var of all loads.
        case measured(Double)
        /// As the network's data have it for the nominal power.
        case drawn
        /// var for each W.
        case factor(Double)
    }

    private func reactive(_ number: Int, _ share: Double, _ losses: Double, _ loads: inout Loads) -> Reactive {
        let zone = zones[number]
        guard zone.nominalWatts > 0 else { return .drawn }
        var total = zone.givenVars - losses
        var isMeasured = zone.isMeasured
        for cut in zone.cuts {
            guard let vars = live.flows[cut.point].vars else {
                isMeasured = false
                break
            }
            total += cut.sign * vars
        }
        if isMeasured { return .measured(total) }
        guard zone.lacksVars || !zone.hasVars else { return .drawn }
        // A silent head is told as that.
        guard zone.isMeasured else { return live.tolerance.powerFactor.map { .factor(Self.tangent($0)) } ?? .drawn }
        let names = zone.feeders.sorted().joined(separator: ", ")
        let heads = zone.cuts.map { live.points.all[$0.point].device }.sorted()
        guard let factor = live.tolerance.powerFactor else {
            loads.unmeasured.formUnion(zone.feeders)
            loads.doubts.append(
                Finding(
                    "X2", live.severity(zone.feeders), elements: zone.feeders.sorted(),
                    limitSource: Self.reactiveSource,
                    "The reactive power that \(names) takes is not known: neither \(heads.joined(separator: ", ")) measures it, nor do loads have q_kvar.",
                    remedy: "Send reactive_power_var of the head, enter q_kvar, or set validator.power_factor."))
            return .drawn
        }
        loads.doubts.append(
            Finding(
                "X2", .condition, elements: zone.feeders.sorted(), value: factor,
                limitSource: "validator.power_factor",
                "The reactive power that \(names) takes is assumed: neither \(heads.joined(separator: ", ")) measures it, nor do loads have q_kvar.",
                remedy: "Measure the current before the step."))
        return .factor(Self.tangent(factor))
    }

    static let reactiveSource = "q_kvar of loads"

    private static func tangent(_ factor: Double) -> Double { max(0, 1 / (factor * factor) - 1).squareRoot() }

    // MARK: What cannot be

    /// A zone takes nothing when its loads take less than this of their nominal power: they are off, or the unit is wrong.
    private static let leastShare = 0.005

    private func judge(_ zone: Zone, residual: Double, most: Double, _ loads: inout Loads) {
        let names = zone.feeders.sorted().joined(separator: ", ")
        let cuts = zone.cuts.map { live.points.all[$0.point].device }.sorted().joined(separator: ", ")
        let through = zone.cuts.reduce(0) { $0 + abs(live.flows[$1.point].watts ?? 0) }
        let rating = zone.cuts.reduce(0) { max($0, live.points.all[$1.point].rating) }
        let limit = live.tolerance.apparent(through, rating: rating)
        func doubt(_ value: Double, _ limit: Double, _ message: String) {
            loads.contradicted.formUnion(zone.feeders)
            loads.doubts.append(
                Finding(
                    "X2", live.severity(zone.feeders), elements: zone.feeders.sorted(), value: value, limit: limit,
                    unit: "W", limitSource: "validator.measured_*", message,
                    remedy:
                        "Find out whether a meter, a switch position or the network's data is wrong, then validate again."
                ))
        }
        // Values of the two are some seconds apart.
        let apart = max(live.tolerance.watts, live.tolerance.share * max(through, abs(zone.given)))
        if most < -apart {
            doubt(
                most, -apart,
                "\(names) feeds back more than its DER can give: the head, a device or the network's data is wrong.")
        } else if zone.nominalWatts <= 0, residual > limit {
            doubt(
                residual, limit,
                "\(cuts) measures \(Self.text(residual)) for \(names) that no load can take: loads.csv has none there, or p_kw is 0."
            )
        } else if zone.nominalWatts * Self.leastShare * 10 > live.tolerance.watts,
            most < Self.leastShare * zone.nominalWatts
        {
            doubt(
                most, Self.leastShare * zone.nominalWatts,
                "The loads of \(names) take \(Self.text(most)) of \(Self.text(zone.nominalWatts)) by \(cuts): they are not fed as switched, or the meter's unit is wrong."
            )
        }
    }

    private func tell(bypassed point: MeasuringPoints.Point, _ loads: inout Loads) {
        guard let feeder = point.headOf.map({ network.feeders[$0].id }) else { return }
        loads.contradicted.insert(feeder)
        loads.doubts.append(
            Finding(
                "X2", live.severity([feeder]), elements: [feeder, point.device],
                "\(feeder) is fed past \(point.device) as well, by a way that is not measured: what its loads take is not known.",
                remedy: "Measure the other way in, too, or open it."))
    }

    static func text(_ watts: Double) -> String {
        let megawatts = (watts / 10_000).rounded() / 100
        return abs(megawatts) >= 0.1 ? "\(megawatts) MW" : "\((watts / 100).rounded() / 10) kW"
    }
}
