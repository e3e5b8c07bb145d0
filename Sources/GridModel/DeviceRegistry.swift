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
    /// each node that may carry a voltage meter, each switch by its id.
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
        func device(_ name: String, _ kind: DeviceKind, _ node: String, _ area: String, _ rating: Double) -> Device {
            Device(
                name: name, kind: kind, node: node, normalFeeder: feeder(node),
                lowVoltageArea: nodes[node]?.lowVoltageArea ?? "", area: area, rating: rating, voltageBase: base(node))
        }
        var list = network.ders.map { der in
            var made = device(der.id, der.kind, der.node, area(der.node), der.ratedKW * 1000)
            if !der.lowVoltageArea.isEmpty { made.lowVoltageArea = der.lowVoltageArea }
            return made
        }
        for item in network.feeders {
            let rating = network.ratingVA(of: item, nominalKilovolts: nodes[item.busbar]?.nominalKilovolts ?? 0)
            var head = device("FH-\(item.id)", .feederHead, item.busbar, area(item.busbar), rating)
            head.normalFeeder = item.id
            list.append(head)
        }
        list += network.nodes.map { device("VM-\($0.id)", .voltageMeter, $0.id, area($0.id), 0) }
        list += network.switches.map { device($0.id, .switchStatus, $0.node, area($0.node), 0) }
        return list
    }
}
