public import GridModel

/// Devices that measure a flow: at which end of which branch, and which way they count. One list a network revision.
public struct MeasuringPoints: Sendable {
    public struct Point: Sendable {
        enum Branch: Sendable, Equatable {
            /// Its place in the network.
            case line(Int)
            case transformer(Int)
        }

        /// In the registry.
        public let number: Int32
        public let device: String
        let kind: DeviceKind
        let branch: Branch
        let element: String
        let edge: Int
        /// At the branch's `from` end (a transformer's high-voltage side).
        let atFrom: Bool
        /// Nodes: where it stands, and the branch's other one.
        let near, far: Int
        /// +1: counts into the branch as positive, -1: out of it; `nil`: nothing feeds the branch in the normal state, so
        /// only magnitudes say something.
        let sign: Double?
        /// VA; 0 unknown.
        let rating: Double
        /// V, line to line.
        let nominalVolts: Double
        /// Place of the feeder it is the head of.
        let headOf: Int?
    }

    /// Heads first: of two that measure the same the first is taken.
    public let all: [Point]

    public init(_ network: Network, _ graph: NetworkGraph, _ registry: DeviceRegistry) {
        // As the graph numbers its edges: what has no two ends is none.
        var edge = 0
        func edges(_ ends: [(String, String)]) -> [Int?] {
            ends.map { from, to in
                guard graph.nodeIndex[from] != nil, graph.nodeIndex[to] != nil else { return nil }
                edge += 1
                return edge - 1
            }
        }
        let lineEdges = edges(network.lines.map { ($0.from, $0.to) })
        let unitEdges = edges(network.transformers.map { ($0.highNode, $0.lowNode) })
        let lines = Dictionary(network.lines.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let normal = Topology(graph, positions: graph.normalPositions)
        let normallyConducts = graph.conducting(graph.normalPositions)

        func point(
            _ name: String, _ branch: Point.Branch, atFrom: Bool, sign: Double?, headOf: Int? = nil
        ) -> Point? {
            let (place, element): (Int?, String) =
                switch branch {
                case .line(let line): (lineEdges[line], network.lines[line].id)
                case .transformer(let unit): (unitEdges[unit], network.transformers[unit].id)
                }
            guard let number = registry.index[name], let place else { return nil }
            let device = registry.devices[Int(number)]
            let ends = graph.edgeEnds[place]
            let (near, far) = atFrom ? (Int(ends.from), Int(ends.to)) : (Int(ends.to), Int(ends.from))
            return Point(
                number: number, device: name, kind: device.kind, branch: branch, element: element, edge: place,
                atFrom: atFrom, near: near, far: far, sign: sign, rating: device.rating.isFinite ? device.rating : 0,
                nominalVolts: network.nodes[near].nominalKilovolts * 1000, headOf: headOf)
        }
        // Away from the normal source.
        func sign(_ edge: Int?, atFrom: Bool) -> Double? {
            guard let edge else { return nil }
            if let isFedFrom = normal.isFedFrom(edge: edge, of: graph) { return isFedFrom == atFrom ? 1 : -1 }
            // The second of two cables, or the far end of a ring: away from the busbar, if it has one.
            let ends = graph.edgeEnds[edge]
            let isFromBusbar = network.nodes[Int(ends.from)].isBusbar
            guard normallyConducts[edge], isFromBusbar != network.nodes[Int(ends.to)].isBusbar else { return nil }
            return isFromBusbar == atFrom ? 1 : -1
        }
        var all: [Point] = network.feeders.enumerated().compactMap { number, feeder in
            guard let line = lines[feeder.headLine] else { return nil }
            return point(
                "FH-\(feeder.id)", .line(line), atFrom: network.lines[line].from == feeder.busbar, sign: 1,
                headOf: number)
        }
        all += network.switches.compactMap { item in
            guard item.relay != nil, item.connects == .line, let line = lines[item.element] else { return nil }
            let atFrom = network.lines[line].from == item.node
            return point("RC-\(item.id)", .line(line), atFrom: atFrom, sign: sign(lineEdges[line], atFrom: atFrom))
        }
        all += (network.regulators ?? []).compactMap { item in
            guard let line = lines[item.line] else { return nil }
            return point("RG-\(item.id)", .line(line), atFrom: !item.isForwardFrom, sign: -1)
        }
        all += network.transformers.enumerated().compactMap { place, item in
            point(
                "TM-\(item.id)", .transformer(place), atFrom: false, sign: sign(unitEdges[place], atFrom: false) ?? -1)
        }
        self.all = all
    }
}
