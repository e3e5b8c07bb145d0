internal import GridModel

/// Which phases reach which node, as switched.
struct PhaseTrace {
    /// How an edge passes a phase on.
    private struct Edge {
        let ends: (Int, Int)
        /// Both sides have the phases that the other has; otherwise only all three pass.
        let keepsPhases: Bool
        let switches: [Int]
    }
    private let edges: [Edge]
    private let atNode: [[Int]]
    private let sources: [Int]
    private let nodeCount: Int

    init(_ network: Network, _ nodeIndex: [String: Int]) {
        var onElement: [String: [Int]] = [:]
        for (number, item) in network.switches.enumerated() where item.connects != .bus {
            onElement["\(item.connects.rawValue) \(item.element)", default: []].append(number)
        }
        func edge(_ from: String, _ to: String, _ keepsPhases: Bool, _ switches: [Int]) -> Edge? {
            guard let a = nodeIndex[from], let b = nodeIndex[to] else { return nil }
            return Edge(ends: (a, b), keepsPhases: keepsPhases, switches: switches)
        }
        var edges = network.lines.compactMap { edge($0.from, $0.to, true, onElement["line \($0.id)"] ?? []) }
        edges += network.transformers.compactMap {
            edge(
                $0.highNode, $0.lowNode, $0.vectorGroup.map(Windings.init)?.keepsPhases ?? false,
                onElement["transformer \($0.id)"] ?? [])
        }
        edges += network.switches.enumerated().compactMap { number, item in
            item.connects == .bus ? edge(item.node, item.element, true, [number]) : nil
        }
        var atNode = [[Int]](repeating: [], count: network.nodes.count)
        for (number, edge) in edges.enumerated() {
            atNode[edge.ends.0].append(number)
            atNode[edge.ends.1].append(number)
        }
        self.edges = edges
        self.atNode = atNode
        sources = network.sources.compactMap { nodeIndex[$0.node] }
        nodeCount = network.nodes.count
    }

    /// By node: the phases that a source reaches whole.
    func whole(_ state: FlowState) -> [Phases] {
        var whole = [Phases](repeating: [], count: nodeCount)
        for source in sources { whole[source] = .all }
        var open = sources
        while let node = open.popLast() {
            for number in atNode[node] {
                let edge = edges[number]
                guard edge.switches.allSatisfy({ state.isClosed[$0] }) else { continue }
                var passed = whole[node]
                for item in edge.switches { passed.subtract(state.openPoles[item] ?? []) }
                if !edge.keepsPhases, passed != .all { passed = [] }
                let other = edge.ends.0 == node ? edge.ends.1 : edge.ends.0
                guard !whole[other].isSuperset(of: passed) else { continue }
                whole[other].formUnion(passed)
                open.append(other)
            }
        }
        return whole
    }
}
