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
        // Without a substation the busbars belong to nobody, and the ring counts.
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

    /// Case 09: a tie line that is open at both ends is dead; with one end closed it is live.
    @Test func aTieLineWithTwoSwitchesIsLiveFromEitherEnd() throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["switches"].rows.append(["TIE-B", "LBS", "line", "B", "L-B-C", "open", "tie"])
        func plan(_ kind: SwitchingPlan.Kind, _ steps: [(SwitchingPlan.Action, String)]) -> SwitchingPlan {
            .init(
                id: "P", kind: kind, policy: .init(allowTransientLoop: true),
                steps: steps.enumerated().map { .init(sequence: $0 + 1, action: $1.0, element: $1.1) })
        }
        let half = try data.verdict(plan(.loadTransfer, [(.close, "TIE"), (.open, "CB-F1")]))
        #expect(half.found("T7", .blockSoft).count == 1, "\(half.told)")
        let nothing = try data.verdict(plan(.loadTransfer, [(.open, "TIE")]))
        #expect(nothing.found("T2", .blockSoft).count == 1, "\(nothing.told)")
        let work: [(SwitchingPlan.Action, String)] = [
            (.placeTag, "TIE-B"), (.verify, "L-B-C"), (.placeGround, "L-B-C"),
        ]
        let live = try data.verdict(plan(.clearance, [(.close, "TIE")] + work))
        #expect(live.found("T4", .blockHard).first?.elements == ["L-B-C"], "\(live.told)")
        let dead = try data.verdict(plan(.clearance, [(.placeTag, "TIE")] + work))
        #expect(dead.found("T4", .blockHard).isEmpty && dead.found("S8", .blockHard).isEmpty, "\(dead.told)")
    }

    /// Case 11: a head of two cables is a loop to the data, its loading is shared, and the plan is not blamed for it.
    @Test func twoHeadCablesOfOneFeederAreToldAndShared() throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["lines"].rows.append(["L-MV-A2", "MV", "A", "2", "0.25", "0.23", "500", "300"])
        data["switches"].rows.append(["CB-F1b", "CB", "line", "MV", "L-MV-A2", "closed", "feeder_head"])
        #expect(try data.read().doubts.contains { $0.contains("the normal state has 1 loops") })
        let idle = try data.verdict(
            SwitchingPlan(
                id: "I", kind: .loadTransfer, steps: [.init(sequence: 1, action: .placeTag, element: "CB-F2")]))
        let alone = try DataFolder.base(loads: (2000, 1500, 2200)).verdict(
            SwitchingPlan(
                id: "I", kind: .loadTransfer, steps: [.init(sequence: 1, action: .placeTag, element: "CB-F2")]))
        #expect(idle.verdict <= .approveWithConditions && !idle.steps[0].radial, "\(idle.told)")
        #expect((idle.steps[0].worstLoadingPct ?? 0) < (alone.steps[0].worstLoadingPct ?? 0))
    }

    /// Case 19: the star of a three-winding transformer has a branch of negative impedance, whose sign is kept.
    @Test func theStarOfThreeWindingsIsSolved() throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        let whole = try data.verdict(DataFolder.transfer)
        data["nodes"].rows += [["STAR", "110", "mv_node", ""], ["TV", "10", "mv_busbar", "S"]]
        data["transformers"].rows = [
            ["T1H", "HV", "STAR", "25000", "110", "110", "12.5", "0.4", "14", "0.07", "0"],
            ["T1M", "STAR", "MV", "25000", "110", "20", "-0.5", "0.1", "0", "0", "150"],
            ["T1T", "STAR", "TV", "25000", "110", "10", "7", "0.3", "0", "0", "150"],
        ]
        let star = try data.verdict(DataFolder.transfer)
        #expect(star.verdict == .approveWithConditions, "\(star.told)")
        // 12.5 - 0.5 is 12: as the two windings that carry load have it.
        let (one, other) = (star.steps[0].minVoltagePu ?? 0, whole.steps[0].minVoltagePu ?? 1)
        #expect(abs(one - other) < 2e-3, "\(one) \(other)")
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
