internal import GridModel

/// Conductors between open switches: what is dead or live as one, finer than ``Topology`` by the stretch of line
/// between a node and an open switch at the line's other end.
struct Zones {
    struct Zone {
        var nodes: Set<Int> = []
        /// Open switches around it, by number.
        var border: Set<Int> = []
    }

    private struct Branch {
        let ends: [(node: Int, switches: [Int])]
    }

    private let nodes: [String: Int]
    private var branches: [Branch] = []
    private var branchIndex: [String: Int] = [:]
    /// By node: branches and which of their ends it is.
    private var incident: [[(branch: Int, end: Int)]]

    init(_ network: Network, _ graph: NetworkGraph) {
        nodes = graph.nodeIndex
        incident = Array(repeating: [], count: network.nodes.count)
        var onElement: [String: [Int]] = [:]
        for (number, item) in network.switches.enumerated() where item.connects != .bus {
            onElement["\(item.connects.rawValue) \(item.element)", default: []].append(number)
        }
        func add(_ id: String, _ kind: String, _ from: String, _ to: String) {
            guard let a = graph.nodeIndex[from], let b = graph.nodeIndex[to] else { return }
            let own = onElement["\(kind) \(id)"] ?? []
            func at(_ node: String) -> [Int] { own.filter { network.switches[$0].node == node } }
            insert(id, Branch(ends: [(a, at(from)), (b, at(to))]))
        }
        for line in network.lines { add(line.id, "line", line.from, line.to) }
        for unit in network.transformers { add(unit.id, "transformer", unit.highNode, unit.lowNode) }
        for (number, item) in network.switches.enumerated() where item.connects == .bus {
            guard let a = graph.nodeIndex[item.node], let b = graph.nodeIndex[item.element] else { continue }
            insert(item.id, Branch(ends: [(a, [number]), (b, [number])]))
        }
    }

    private mutating func insert(_ id: String, _ branch: Branch) {
        for (end, side) in branch.ends.enumerated() { incident[side.node].append((branches.count, end)) }
        if branchIndex[id] == nil { branchIndex[id] = branches.count }
        branches.append(branch)
    }

    /// The node itself, or the nodes at the ends of a line, a transformer or a bus switch.
    func ends(of element: String) -> [Int] {
        if let node = nodes[element] { return [node] }
        return branchIndex[element].map { branches[$0].ends.map(\.node) } ?? []
    }

    /// Feeders that a plan touches, as fed in a switching state: of both sides of every switch, of every section, and of
    /// what control steps set. A busbar, a part that nothing feeds, or an element that is not known concerns them all.
    func feeders(touchedBy plan: SwitchingPlan, _ network: Network, _ graph: NetworkGraph, _ topology: Topology)
        -> Set<String>
    {
        var touched: Set<String> = []
        for step in plan.steps where step.action != .text {
            let place =
                graph.switchIndex[step.element].map { number in
                    let item = network.switches[number]
                    return item.connects == .bus ? item.id : item.element
                } ?? network.ders.first { $0.id == step.element }?.node
                ?? network.regulators?.first { $0.id == step.element }?.line ?? step.element
            let ends = ends(of: place)
            guard !ends.isEmpty else { return Set(graph.feederIDs) }
            for node in ends {
                let feeder = Int(topology.feeder[node])
                guard feeder >= 0 else { return Set(graph.feederIDs) }
                touched.insert(graph.feederIDs[feeder])
            }
        }
        return touched
    }

    func exists(_ element: String) -> Bool { nodes[element] != nil || branchIndex[element] != nil }

    /// Everything that is joined to a node, line or transformer while the open switches stay open; `nil`: there is no
    /// such element.
    func zone(of element: String, _ positions: [SwitchPosition]) -> Zone? {
        var zone = Zone()
        var stack: [Int] = []
        func reach(_ side: (node: Int, switches: [Int])) {
            let open = side.switches.filter { positions[$0] == .open }
            if !open.isEmpty {
                zone.border.formUnion(open)
            } else if zone.nodes.insert(side.node).inserted {
                stack.append(side.node)
            }
        }
        if let node = nodes[element] {
            zone.nodes.insert(node)
            stack.append(node)
        } else if let number = branchIndex[element] {
            branches[number].ends.forEach(reach)
        } else {
            return nil
        }
        while let node = stack.popLast() {
            for (number, end) in incident[node] {
                let branch = branches[number]
                let open = branch.ends[end].switches.filter { positions[$0] == .open }
                if open.isEmpty { reach(branch.ends[1 - end]) } else { zone.border.formUnion(open) }
            }
        }
        return zone
    }

    /// Whether a source reaches a node, a line or a transformer, from whichever end.
    func isLive(_ element: String, _ topology: Topology, _ positions: [SwitchPosition]) -> Bool {
        if let node = nodes[element] { return topology.energised[node] }
        guard let number = branchIndex[element] else { return false }
        return branches[number].ends.contains { side in
            topology.energised[side.node] && !side.switches.contains { positions[$0] == .open }
        }
    }

    /// The two nodes that a switch joins when everything else on its branch is closed; `nil` when another switch on the
    /// branch is open.
    func joins(_ switchNumber: Int, _ network: Network, _ positions: [SwitchPosition]) -> (Int, Int)? {
        let item = network.switches[switchNumber]
        guard let number = branchIndex[item.connects == .bus ? item.id : item.element] else { return nil }
        let branch = branches[number]
        let others = branch.ends.flatMap(\.switches).filter { $0 != switchNumber }
        guard !others.contains(where: { positions[$0] == .open }) else { return nil }
        return (branch.ends[0].node, branch.ends[1].node)
    }
}
