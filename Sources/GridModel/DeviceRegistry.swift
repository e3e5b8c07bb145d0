/// Every measuring point of a network revision, by number and by name.
public struct DeviceRegistry: Sendable {
    public let devices: [Device]
    public let index: [String: Int32]

    public init(devices: [Device]) {
        self.devices = devices
        index = Dictionary(
            devices.enumerated().map { ($1.name, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// The devices that a network implies: each DER by its id, `FH-<feeder>` for each feeder head, `VM-<node>` for
    /// each node that may carry a voltage meter, each switch by its id; `RG-<regulator>`, `RC-<switch>` for each switch
    /// with protection, and `TM-<transformer>` for the low side of each transformer of a substation or a low-voltage grid.
    public static func devices(of network: Network, graph: NetworkGraph) -> [Device] {
        let nodes = Dictionary(network.nodes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let normal = Topology(graph, positions: graph.normalPositions)
        func area(_ node: String) -> String { graph.areas[Int(graph.nodeIndex[node].map { graph.nodeArea[$0] } ?? 0)] }
        func feeder(_ node: String) -> String {
            guard let number = graph.nodeIndex[node], normal.feeder[number] >= 0 else { return "" }
            return graph.feederIDs[Int(normal.feeder[number])]
        }
        func base(_ node: String) -> Double {
            let kilovolts = nodes[node]?.nominalKilovolts ?? 0
            return kilovolts * 1000 / (kilovolts <= 1 ? 3.0.squareRoot() : 1)
        }
        func device(_ name: String, _ kind: DeviceKind, _ node: String, _ rating: Double) -> Device {
            Device(
                name: name, kind: kind, node: node, normalFeeder: feeder(node),
                lowVoltageArea: nodes[node]?.lowVoltageArea ?? "", area: area(node), rating: rating,
                voltageBase: base(node))
        }
        let onLines = lineDevices(of: network, nodes, device)
        var list: [Device] = []
        // Of a large network it is megabytes, and would grow to twice that.
        list.reserveCapacity(
            network.ders.count + network.feeders.count + network.nodes.count + network.switches.count + onLines.count)
        for der in network.ders {
            var made = device(der.id, der.kind, der.node, der.ratedKW * 1000)
            if !der.lowVoltageArea.isEmpty { made.lowVoltageArea = der.lowVoltageArea }
            list.append(made)
        }
        for item in network.feeders {
            // A device's rating of 0 is one that is not known.
            let rating =
                network.ratingVA(of: item, nominalKilovolts: nodes[item.busbar]?.nominalKilovolts ?? 0) ?? 0
            var head = device("FH-\(item.id)", .feederHead, item.busbar, rating)
            head.normalFeeder = item.id
            list.append(head)
        }
        for node in network.nodes { list.append(device("VM-\(node.id)", .voltageMeter, node.id, 0)) }
        for item in network.switches { list.append(device(item.id, .switchStatus, item.node, 0)) }
        list += onLines
        return list
    }

    /// Regulators, reclosers and transformers' meters.
    private static func lineDevices(
        of network: Network, _ nodes: [String: Network.Node],
        _ device: (String, DeviceKind, String, Double) -> Device
    ) -> [Device] {
        let lines = Dictionary(network.lines.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        func rating(_ line: Network.Line?) -> Double {
            guard let line, let amperes = line.ratedAmperes, let node = nodes[line.from] else { return 0 }
            return 3.0.squareRoot() * amperes * node.nominalKilovolts * 1000
        }
        var list: [Device] = []
        for item in network.regulators ?? [] {
            guard let line = lines[item.line] else { continue }
            let far = item.isForwardFrom ? line.to : line.from
            list.append(device("RG-\(item.id)", .regulator, far, rating(line)))
        }
        for item in network.switches where item.relay != nil && item.connects == .line {
            let line = lines[item.element]
            var made = device("RC-\(item.id)", .recloser, item.node, rating(line))
            // At a busbar it still is the feeder's.
            if made.normalFeeder.isEmpty, let line {
                let other = line.from == item.node ? line.to : line.from
                made.normalFeeder = device(made.name, .recloser, other, 0).normalFeeder
            }
            list.append(made)
        }
        for item in network.transformers where ["lv_busbar", "mv_busbar"].contains(nodes[item.lowNode]?.kind) {
            list.append(device("TM-\(item.id)", .transformerMeter, item.lowNode, item.ratedKVA * 1000))
        }
        return list
    }
}
