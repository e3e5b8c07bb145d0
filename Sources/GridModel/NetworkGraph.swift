/// A network as arrays: nodes and edges by number, adjacency in one block. Built once a revision, traced often.
///
/// Edges are lines, transformers and bus switches. An edge conducts when every switch on it is closed.
public struct NetworkGraph: Sendable {
    public let nodeIDs: [String]
    public let nodeIndex: [String: Int]
    public let edgeIDs: [String]
    public let edgeEnds: [(from: Int32, to: Int32)]
    public let switchIDs: [String]
    public let switchIndex: [String: Int]
    public let normalPositions: [SwitchPosition]
    /// Poles that a switch has: all, but on a lateral with fewer phases.
    public let switchPoles: [Phases]
    public let feederIDs: [String]
    public let feederIndex: [String: Int]
    public let sources: [Int]
    /// Per node: area number, see ``areas``.
    public let nodeArea: [Int32]
    /// Tie-connected groups of feeders: what every switch closed would join, the high-voltage side left out.
    public let areas: [String]

    let switchEdge: [Int32]
    /// Per edge: conducts in the normal state.
    let normallyConducts: [Bool]
    /// Per edge: the feeder it is the head line of, or -1; and the end that is the busbar.
    let headFeeder: [Int32]
    let headBusbar: [Int32]
    /// Per node: substation number where it is a busbar of one, else -1. A busbar that names none is in none.
    let substation: [Int32]
    /// Edges from here on are transformers and bus switches; before it, lines.
    let lineCount: Int
    let isSinglePhase: [Bool]
    // Compressed adjacency: neighbours of node n are adjacency[offsets[n]..<offsets[n + 1]].
    let offsets: [Int32]
    let adjacency: [(node: Int32, edge: Int32)]

    public init(_ network: Network) {
        nodeIDs = network.nodes.map(\.id)
        let nodeIndex = Dictionary(nodeIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        self.nodeIndex = nodeIndex
        switchIDs = network.switches.map(\.id)
        switchIndex = Dictionary(switchIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        normalPositions = network.switches.map(\.normalPosition)
        switchPoles = network.switches.map { item in
            let poles = Phases(letters: item.phases)
            return poles.isEmpty ? .all : poles
        }
        feederIDs = network.feeders.map(\.id)
        feederIndex = Dictionary(feederIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        sources = network.sources.compactMap { nodeIndex[$0.node] }

        var ids: [String] = []
        var ends: [(Int32, Int32)] = []
        var single: [Bool] = []
        var onElement: [String: [Int32]] = [:]
        var ownSwitch: [Int: Int32] = [:]
        for (number, item) in network.switches.enumerated() where item.connects != .bus {
            onElement["\(item.connects.rawValue) \(item.element)", default: []].append(Int32(number))
        }
        func add(_ id: String, _ from: String, _ to: String, singlePhase: Bool = false) {
            guard let a = nodeIndex[from], let b = nodeIndex[to] else { return }
            ids.append(id)
            ends.append((Int32(a), Int32(b)))
            single.append(singlePhase)
        }
        for line in network.lines { add(line.id, line.from, line.to) }
        let lineCount = ids.count
        self.lineCount = lineCount
        for unit in network.transformers { add(unit.id, unit.highNode, unit.lowNode, singlePhase: unit.isSinglePhase) }
        let branchCount = ids.count
        for (number, item) in network.switches.enumerated() where item.connects == .bus {
            let before = ids.count
            add(item.id, item.node, item.element)
            if ids.count > before { ownSwitch[before] = Int32(number) }
        }
        edgeIDs = ids
        edgeEnds = ends.map { (from: $0.0, to: $0.1) }
        isSinglePhase = single
        var switchEdge = [Int32](repeating: -1, count: network.switches.count)
        for edge in ids.indices {
            let list: [Int32]
            if edge >= branchCount {
                list = ownSwitch[edge].map { [$0] } ?? []
            } else {
                list = onElement["\(edge < lineCount ? "line" : "transformer") \(ids[edge])"] ?? []
            }
            for item in list { switchEdge[Int(item)] = Int32(edge) }
        }
        self.switchEdge = switchEdge
        var normally = [Bool](repeating: true, count: ids.count)
        for (number, edge) in switchEdge.enumerated()
        where edge >= 0 && network.switches[number].normalPosition != .closed {
            normally[Int(edge)] = false
        }
        normallyConducts = normally

        var headFeeder = [Int32](repeating: -1, count: ids.count)
        var headBusbar = [Int32](repeating: -1, count: ids.count)
        let lineNumber = Dictionary(
            ids[..<lineCount].enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        for (number, feeder) in network.feeders.enumerated() {
            guard let edge = lineNumber[feeder.headLine], let busbar = nodeIndex[feeder.busbar] else { continue }
            headFeeder[edge] = Int32(number)
            headBusbar[edge] = Int32(busbar)
        }
        self.headFeeder = headFeeder
        self.headBusbar = headBusbar

        var substations: [String: Int32] = [:]
        substation = network.nodes.map { node in
            guard node.isBusbar, !node.substation.isEmpty else { return -1 }
            if let known = substations[node.substation] { return known }
            let next = Int32(substations.count)
            substations[node.substation] = next
            return next
        }

        var degree = [Int32](repeating: 0, count: nodeIDs.count + 1)
        for end in ends {
            degree[Int(end.0) + 1] += 1
            degree[Int(end.1) + 1] += 1
        }
        for node in 1..<degree.count { degree[node] += degree[node - 1] }
        offsets = degree
        var fill = degree
        var adjacency = [(node: Int32, edge: Int32)](repeating: (0, 0), count: ends.count * 2)
        for (edge, end) in ends.enumerated() {
            adjacency[Int(fill[Int(end.0)])] = (end.1, Int32(edge))
            fill[Int(end.0)] += 1
            adjacency[Int(fill[Int(end.1)])] = (end.0, Int32(edge))
            fill[Int(end.1)] += 1
        }
        self.adjacency = adjacency

        // Areas: components with every switch closed, not joined through high-voltage busbars.
        var area = [Int32](repeating: -1, count: nodeIDs.count)
        var names: [String] = []
        for start in nodeIDs.indices where area[start] < 0 && network.nodes[start].kind != "hv_busbar" {
            var stack = [start]
            var members: [Int] = []
            area[start] = Int32(names.count)
            while let node = stack.popLast() {
                members.append(node)
                for slot in Int(degree[node])..<Int(degree[node + 1]) {
                    let next = Int(adjacency[slot].node)
                    guard area[next] < 0, network.nodes[next].kind != "hv_busbar" else { continue }
                    area[next] = Int32(names.count)
                    stack.append(next)
                }
            }
            let substation = members.map { network.nodes[$0].substation }.filter { !$0.isEmpty }.min()
            let name = substation ?? nodeIDs[members.min() ?? start]
            names.append(names.contains(name) ? "\(name)/\(nodeIDs[start])" : name)
        }
        areas = names.isEmpty ? ["area"] : names
        nodeArea = area.map { max(0, $0) }
    }

    /// Positions by switch number: the normal ones, replaced where `live` says otherwise. A switch whose position is
    /// intermediate or unknown keeps its normal one here; that it is not known is for the reader of `live` to weigh.
    public func positions(live: [String: SwitchPosition] = [:]) -> [SwitchPosition] {
        var positions = normalPositions
        for (id, position) in live {
            if let number = switchIndex[id], position == .open || position == .closed { positions[number] = position }
        }
        return positions
    }

    /// The edge that a switch is on.
    public func edge(ofSwitch number: Int) -> Int? { switchEdge[number] < 0 ? nil : Int(switchEdge[number]) }

    /// Nodes at the other ends of a node's edges.
    public func neighbours(of node: Int) -> some Sequence<(Int, Int)> {
        adjacency[Int(offsets[node])..<Int(offsets[node + 1])].lazy.map { (Int($0.node), Int($0.edge)) }
    }

    /// Whether each edge conducts: every switch on it is closed.
    public func conducting(_ positions: [SwitchPosition]) -> [Bool] {
        var conducts = [Bool](repeating: true, count: edgeIDs.count)
        for (number, edge) in switchEdge.enumerated() where edge >= 0 && positions[number] != .closed {
            conducts[Int(edge)] = false
        }
        return conducts
    }
}
