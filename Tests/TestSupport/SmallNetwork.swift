public import GridModel

/// Three short feeders with a sectionaliser and a tie, one low-voltage grid, four PV systems: for tests.
public enum SmallNetwork {
    public static func make() -> Network {
        var network = Network(id: "small")
        network.nodes = [
            .init(id: "HV", nominalKilovolts: 110, kind: "hv_busbar", substation: "SUB"),
            .init(id: "MV", nominalKilovolts: 20, kind: "mv_busbar", substation: "SUB"),
            .init(id: "A1", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "A2", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "B1", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "C1", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "LV1", nominalKilovolts: 0.4, kind: "lv_busbar", lowVoltageArea: "LVA"),
            .init(id: "LV2", nominalKilovolts: 0.4, kind: "lv_node", lowVoltageArea: "LVA"),
        ]
        network.sources = [.init(id: "SRC", node: "HV")]
        network.transformers = [
            .init(id: "T", highNode: "HV", lowNode: "MV", ratedKVA: 40_000),
            .init(id: "TL", highNode: "A2", lowNode: "LV1", ratedKVA: 630),
        ]
        network.lines = [
            .init(id: "LA", from: "MV", to: "A1", ratedAmperes: 300),
            .init(id: "LA2", from: "A1", to: "A2", ratedAmperes: 300),
            .init(id: "LB", from: "MV", to: "B1", ratedAmperes: 300),
            .init(id: "LC", from: "MV", to: "C1", ratedAmperes: 300),
            .init(id: "LT", from: "A2", to: "B1", ratedAmperes: 300), .init(id: "LL", from: "LV1", to: "LV2"),
        ]
        network.switches = [
            .init(id: "CB-A", kind: "CB", connects: .line, node: "MV", element: "LA", role: "feeder_head"),
            .init(id: "S-mid", connects: .line, node: "A1", element: "LA2", role: "sectionalizer"),
            .init(id: "S-tie", connects: .line, node: "A2", element: "LT", normalPosition: .open, role: "tie"),
        ]
        network.feeders = [
            .init(id: "F1", substation: "SUB", busbar: "MV", headSwitch: "CB-A", headLine: "LA", ratedAmperes: 288.675),
            .init(id: "F2", substation: "SUB", busbar: "MV", headLine: "LB", ratedAmperes: 288.675),
            .init(id: "F3", substation: "SUB", busbar: "MV", headLine: "LC", ratedAmperes: 288.675),
        ]
        network.ties = [
            .init(
                id: "T1", switchID: "S-tie", line: "LT", openAtNode: "A2", farNode: "B1", feederA: "F1", feederB: "F2")
        ]
        network.loads = [
            .init(id: "L1", node: "A1", kilowatts: 1000), .init(id: "L2", node: "B1", kilowatts: 1000),
            .init(id: "L3", node: "C1", kilowatts: 1000),
        ]
        network.ders = (1...4).map {
            .init(id: "pv-\($0)", kind: .photovoltaic, node: $0 <= 2 ? "A1" : "A2", ratedKW: 1000)
        }
        return network
    }
}
