import DataDirectory
import GridModel
import Switching
import Testing

/// Rings are seen whatever their nodes are called, and angles are compared wherever two transformers are joined.
@Suite struct RingTests {
    private let close = SwitchingPlan(
        id: "R", kind: .loadTransfer, steps: [.init(sequence: 1, action: .close, element: "TIE")])

    /// Every node a busbar, of no substation, of one, or those of ring main units each of its own name.
    @Test(arguments: [("", ""), ("S", "S"), ("S", "R")]) func aRingOfBusbarsIsARing(substation: String, unit: String)
        throws
    {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        for id in ["MV", "A", "B", "C"] {
            data["nodes"].set("kind", "mv_busbar", of: id)
            data["nodes"].set("substation_id", id == "MV" ? substation : unit, of: id)
        }
        data["nodes"].set("substation_id", substation, of: "HV")
        let verdict = try data.verdict(close)
        #expect(verdict.verdict == .reject && !verdict.found("T6", .blockSoft).isEmpty, "\(verdict.told)")
        #expect(verdict.steps[1].radial == false && verdict.steps[0].radial)
        if !unit.isEmpty {
            #expect(try data.read().doubts.contains { $0.contains("L-A-B joins two busbars of \(unit)") })
        }
    }

    @Test func aLineWithoutImpedanceBetweenBusbarsIsALineToo() throws {
        var data = Self.twoBanks()
        data["lines"].rows.append(["L-BC", "MV", "MV2", "0", "0", "0", "0", "300"])
        let network = try data.read().network
        let graph = NetworkGraph(network)
        #expect(!Topology(graph, positions: graph.normalPositions).isRadial)
    }

    @Test func twoTransformersOverACouplerAreNone() throws {
        let network = try Self.twoBanks().read().network
        let graph = NetworkGraph(network)
        var positions = graph.normalPositions
        positions[graph.switchIndex["BC"]!] = .closed
        #expect(Topology(graph, positions: positions).isRadial)
        // Of no substation they are nobody's, and the ring counts.
        var other = Self.twoBanks()
        other["nodes"].set("substation_id", "")
        let bare = NetworkGraph(try other.read().network)
        #expect(!Topology(bare, positions: positions).isRadial)
    }

    private let coupler = SwitchingPlan(
        id: "C", kind: .loadTransfer, steps: [.init(sequence: 1, action: .close, element: "BC")])

    @Test func anAngleThatNobodyKnowsIsNotNone() throws {
        var data = Self.twoBanks()
        #expect(try data.verdict(coupler).verdict == .approveWithConditions)
        data["transformers"].set("shift_degree", "330", of: "T2")
        #expect(try data.verdict(coupler).found("P1", .blockHard).count == 1)
        data["transformers"].set("shift_degree", "", of: "T2")
        let one = try data.verdict(coupler)
        #expect(one.verdict == .cannotAssess && one.found("P1", .unknown)[0].elements.contains("T2"), "\(one.told)")
        data["transformers"].drop("shift_degree")
        let none = try data.verdict(coupler)
        #expect(
            none.verdict == .cannotAssess && none.isNotRun("P1") && none.found("P1", .unknown).count == 1,
            "\(none.told)")
        var limits = SwitchingLimits()
        limits.acceptedNotRun = ["P1"]
        #expect(try data.verdict(coupler, limits: limits).verdict == .approveWithConditions)
        // Behind one transformer there is nothing to compare.
        var single = DataFolder.base(loads: (2000, 1500, 2200))
        single["transformers"].drop("shift_degree")
        #expect(try single.verdict(DataFolder.transfer).found("P1", .unknown).isEmpty)
    }

    /// Two banks on one high-voltage busbar, their busbars apart.
    static func twoBanks() -> DataFolder {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["nodes"].rows.append(["MV2", "20", "mv_busbar", "S"])
        data["transformers"].rows.append(["T2"] + data["transformers"].rows[0].dropFirst())
        data["transformers"].set("lv_node", "MV2", of: "T2")
        data["lines"].set("from_node", "MV2", of: "L-MV-C")
        data["switches"].set("node_id", "MV2", of: "CB-F2")
        data["feeders"].set("busbar_node", "MV2", of: "F2")
        data["switches"].rows.append(["BC", "CB", "bus", "MV", "MV2", "open", "bus_coupler"])
        return data
    }
}
