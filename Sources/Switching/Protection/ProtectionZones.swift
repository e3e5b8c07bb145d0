internal import GridModel

/// What each protective device protects in one radial state: from it to the next ones, as seen from the sources.
struct ProtectionZones {
    struct Zone: Equatable {
        /// Place in the network's switches.
        let device: Int
        /// The device before it; `nil`: none that is known.
        let upstream: Int?
        var nodes: [Int] = []
        /// The nodes that lie farthest behind it by impedance, at most three.
        var ends: [Int] = []
    }

    /// By device.
    let zones: [Int: Zone]
    /// By node: the device that protects it.
    let device: [Int?]
    /// By node: the edge over which power reaches it from the source, -1 at sources and where it is dead.
    let parentEdge: [Int]
    let parentNode: [Int]

    init(_ network: Network, _ graph: NetworkGraph, _ positions: [SwitchPosition]) {
        let conducts = graph.conducting(positions)
        var onEdge: [Int: [(node: Int, device: Int)]] = [:]
        for (number, item) in network.switches.enumerated() where item.relay != nil && positions[number] == .closed {
            guard let edge = graph.edge(ofSwitch: number), let node = graph.nodeIndex[item.node] else { continue }
            onEdge[edge, default: []].append((node, number))
        }
        let count = network.nodes.count
        var device = [Int?](repeating: nil, count: count)
        var edges = [Int](repeating: -1, count: count)
        var parents = [Int](repeating: -1, count: count)
        var (ohms, seen) = (
            [(r: Double, x: Double)](repeating: (0, 0), count: count), [Bool](repeating: false, count: count)
        )
        var zones: [Int: Zone] = [:]
        var queue = graph.sources
        for source in queue { seen[source] = true }
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for (other, edge) in graph.neighbours(of: node) where conducts[edge] && !seen[other] {
                seen[other] = true
                edges[other] = edge
                parents[other] = node
                queue.append(other)
                var last = device[node]
                // In the order in which power passes them.
                for item in (onEdge[edge] ?? []).sorted(by: { ($0.node == node ? 0 : 1) < ($1.node == node ? 0 : 1) }) {
                    zones[item.device] = Zone(device: item.device, upstream: last)
                    last = item.device
                }
                device[other] = last
                let line = edge < network.lines.count ? network.lines[edge] : nil
                // Only to find what lies farthest; without impedances there are no fault currents either.
                ohms[other] = (ohms[node].r + (line?.resistance ?? 0), ohms[node].x + (line?.reactance ?? 0))
                if let last { zones[last]?.nodes.append(other) }
            }
        }
        for (number, zone) in zones {
            func distance(_ node: Int) -> Double { ohms[node].r * ohms[node].r + ohms[node].x * ohms[node].x }
            zones[number]?.ends = Array(zone.nodes.sorted { (distance($1), $0) < (distance($0), $1) }.prefix(3))
            zones[number]?.nodes.sort()
        }
        self.zones = zones
        self.device = device
        parentEdge = edges
        parentNode = parents
    }

    /// Whether power reaches a switch, or the line or transformer that it is in, at the first of its ends; `nil`: it is
    /// dead, or in no radial part.
    func isFedFromFirstEnd(_ number: Int, _ graph: NetworkGraph) -> Bool? {
        guard let edge = graph.edge(ofSwitch: number) else { return nil }
        let ends = graph.edgeEnds[edge]
        if parentEdge[Int(ends.to)] == edge { return true }
        return parentEdge[Int(ends.from)] == edge ? false : nil
    }

    /// The transformer from high voltage that feeds a node.
    func bank(of node: Int?, _ network: Network) -> Network.Transformer? {
        var at = node ?? -1
        while at >= 0, parentEdge[at] >= 0 {
            let place = parentEdge[at] - network.lines.count
            at = parentNode[at]
            if network.transformers.indices.contains(place), network.nodes[at].kind == "hv_busbar" {
                return network.transformers[place]
            }
        }
        return nil
    }

    /// Nodes that a device feeds, through whatever other devices.
    func nodes(behind device: Int) -> [Int] {
        zones.values.filter { zone in
            var at: Int? = zone.device
            while let number = at, number != device { at = zones[number]?.upstream }
            return at == device
        }.flatMap(\.nodes)
    }
}
