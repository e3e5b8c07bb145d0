/// Who feeds what in one switching state: the result of a trace over ``NetworkGraph``.
public struct Topology: Sendable {
    /// Per node: a source reaches it over conducting edges.
    public let energised: [Bool]
    /// Per node: number of the feeder that feeds it, -1 at the substation and where no feeder does.
    public let feeder: [Int32]
    /// Per node: the edge that leads to it from its source, -1 at sources and where no source reaches.
    public let parentEdge: [Int32]
    /// Independent cycles of the energised network, but those of transformers and bus switches between busbars of one
    /// substation: transformers in parallel over a closed bus coupler are normal operation. A cycle with a line in it
    /// counts, whatever its nodes are called.
    public let loops: Int
    /// Surplus sources: 0 means every energised island has exactly one.
    public let parallelSources: Int
    /// Groups of nodes without a source, each in node order.
    public let deadIslands: [[Int]]

    /// Traces the network in O(nodes + edges).
    ///
    /// Feeders are found in two passes, first over edges that conduct in the normal state too, then over the others:
    /// while a tie closes a loop, a device stays with the feeder that still reaches it the normal way.
    public init(_ graph: NetworkGraph, positions: [SwitchPosition]) {
        let conducts = graph.conducting(positions)
        let normally = graph.normallyConducts
        let count = graph.nodeIDs.count
        var component = [Int32](repeating: -1, count: count)
        var sourcesOf: [Int32] = []
        var nodesOf: [Int32] = []
        var edgesOf: [Int32] = []
        var queue = [Int32](repeating: 0, count: count)

        for start in 0..<count where component[start] < 0 {
            let number = Int32(nodesOf.count)
            var head = 0
            var tail = 1
            queue[0] = Int32(start)
            component[start] = number
            while head < tail {
                let node = Int(queue[head])
                head += 1
                for slot in Int(graph.offsets[node])..<Int(graph.offsets[node + 1]) {
                    let (next, edge) = graph.adjacency[slot]
                    guard conducts[Int(edge)], component[Int(next)] < 0 else { continue }
                    component[Int(next)] = number
                    queue[tail] = next
                    tail += 1
                }
            }
            nodesOf.append(Int32(tail))
            edgesOf.append(0)
            sourcesOf.append(0)
        }
        for source in graph.sources { sourcesOf[Int(component[source])] += 1 }

        // Loops: edges - nodes + 1 of every energised component, less the cycles inside substations.
        var seenBanks: Set<UInt64> = []
        var insideParent = (0..<Int32(count)).map { $0 }
        func root(_ node: Int32) -> Int32 {
            var node = node
            while insideParent[Int(node)] != node {
                insideParent[Int(node)] = insideParent[Int(insideParent[Int(node)])]
                node = insideParent[Int(node)]
            }
            return node
        }
        var insideCycles = 0
        for (edge, end) in graph.edgeEnds.enumerated() where conducts[edge] {
            let home = Int(component[Int(end.from)])
            guard sourcesOf[home] > 0 else { continue }
            if graph.isSinglePhase[edge] {
                let pair = UInt64(UInt32(min(end.from, end.to))) << 32 | UInt64(UInt32(max(end.from, end.to)))
                guard seenBanks.insert(pair).inserted else { continue }
            }
            edgesOf[home] += 1
            let a = graph.substation[Int(end.from)]
            if edge >= graph.lineCount, a >= 0, a == graph.substation[Int(end.to)] {
                let (left, right) = (root(end.from), root(end.to))
                if left == right { insideCycles += 1 } else { insideParent[Int(left)] = right }
            }
        }
        var loops = 0
        var surplus = 0
        for number in nodesOf.indices where sourcesOf[number] > 0 {
            loops += Int(edgesOf[number] - nodesOf[number]) + 1
            surplus += Int(sourcesOf[number]) - 1
        }
        self.loops = loops - insideCycles
        parallelSources = surplus
        energised = component.map { sourcesOf[Int($0)] > 0 }
        var dead: [Int32: [Int]] = [:]
        for node in 0..<count where !energised[node] { dead[component[node], default: []].append(node) }
        deadIslands = dead.values.sorted { $0[0] < $1[0] }

        var feeder = [Int32](repeating: -1, count: count)
        var parent = [Int32](repeating: -1, count: count)
        var visited = [Bool](repeating: false, count: count)
        var tail = 0
        for source in graph.sources where !visited[source] {
            visited[source] = true
            queue[tail] = Int32(source)
            tail += 1
        }
        for pass in 0..<2 {
            if pass == 1 {
                // Every node reached so far may now be left over an edge that is open in the normal state.
                tail = 0
                for node in 0..<count where visited[node] {
                    queue[tail] = Int32(node)
                    tail += 1
                }
            }
            var head = 0
            while head < tail {
                let node = Int(queue[head])
                head += 1
                for slot in Int(graph.offsets[node])..<Int(graph.offsets[node + 1]) {
                    let (next, edge) = graph.adjacency[slot]
                    guard conducts[Int(edge)], !visited[Int(next)], pass == 1 || normally[Int(edge)] else { continue }
                    visited[Int(next)] = true
                    parent[Int(next)] = edge
                    let leavesBusbar = graph.headFeeder[Int(edge)] >= 0 && graph.headBusbar[Int(edge)] == Int32(node)
                    feeder[Int(next)] = leavesBusbar ? graph.headFeeder[Int(edge)] : feeder[node]
                    // A busbar fed back through a feeder (its own supply lost) still belongs to that feeder.
                    queue[tail] = next
                    tail += 1
                }
            }
        }
        self.feeder = feeder
        parentEdge = parent
    }

    /// Whether a line or transformer is fed from its `from` end; `nil` where nothing feeds it, or a loop does.
    public func isFedFrom(edge: Int, of graph: NetworkGraph) -> Bool? {
        let ends = graph.edgeEnds[edge]
        if parentEdge[Int(ends.to)] == Int32(edge) { return true }
        return parentEdge[Int(ends.from)] == Int32(edge) ? false : nil
    }

    public var isRadial: Bool { loops == 0 && parallelSources == 0 }
    public var deadNodeCount: Int { deadIslands.reduce(0) { $0 + $1.count } }
}
