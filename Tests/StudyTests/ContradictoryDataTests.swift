import DataDirectory
import Foundation
import GridModel
import PowerFlow
import Switching
import TestSupport
import Testing

/// Data that cannot be meant: mistakes with their place; and in a network that has them nevertheless, faults of the data.
@Suite struct ContradictoryDataTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
        var testDescription: String { told }
        var told: String
        var change: @Sendable (inout DataFolder) -> Void
    }

    private static func set(_ table: String, _ column: String, _ value: String, _ id: String? = nil)
        -> @Sendable (
            inout DataFolder
        ) -> Void
    {
        { $0[table].set(column, value, of: id) }
    }

    static let mistakes: [Mistake] = [
        // vk 0; vk and vkr changed for each other; MVA.
        .init(told: "transformers.csv:2: column vk_percent: is 0.0 %", change: set("transformers", "vk_percent", "0")),
        .init(
            told: "transformers.csv:2: column vkr_percent: is 12.0 %, more than vk_percent",
            change: {
                $0["transformers"].set("vk_percent", "0.4")
                $0["transformers"].set("vkr_percent", "12")
            }),
        .init(told: "column sn_kva: is 25.0 kVA, too little", change: set("transformers", "sn_kva", "25")),
        .init(
            told: "column shift_degree: is 15.0°, which is no multiple of 30",
            change: set("transformers", "shift_degree", "15")),
        .init(
            told: "column shift_degree: is 150.0°, which no YNyn has", change: set("transformers", "windings", "YNyn")),
        .init(
            told: "column shift_degree: is 150.0°, and windings Dyn11 is 330°",
            change: set("transformers", "windings", "Dyn11")),
        .init(told: "column windings: is \"star\"", change: set("transformers", "windings", "star")),
        .init(told: "column vn_lv_kv: is 110.0 kV at MV of 20.0 kV", change: set("transformers", "vn_lv_kv", "110")),
        .init(
            told: "column hv_node: is MV of 20.0 kV, less than HV",
            change: {
                $0["transformers"].set("hv_node", "MV")
                $0["transformers"].set("lv_node", "HV")
            }),
        .init(
            told: "column tap_side: is empty beside other data",
            change: {
                $0["transformers"].set("tap_step_percent", "1.5")
                $0["transformers"].set("tap_pos", "0")
                $0["transformers"].set("tap_neutral", "0")
            }),
        .init(told: "column tap_step_percent: is empty beside other data", change: set("transformers", "tap_pos", "3")),
        .init(told: "column oltc_setpoint_pu: is empty, and oltc is 1", change: set("transformers", "oltc", "1")),
        .init(told: "column parallel: 1.5 is no whole number", change: set("transformers", "parallel", "1.5")),
        // Two voltages for one thing.
        .init(
            told: "lines.csv:3: column to_node: joins A of 20.0 kV and B of 21.0 kV",
            change: set("nodes", "vn_kv", "21", "B")),
        .init(
            told: "switches.csv:6: column element_id: joins C of 20.0 kV and X of 0.4 kV",
            change: {
                $0["nodes"].rows.append(["X", "0.4", "lv_busbar", ""])
                $0["switches"].rows.append(["S-X", "LBS", "bus", "C", "X", "open", ""])
            }),
        .init(
            told: "lines.csv:2: column emergency_a: is 200.0 A, less than max_i_a",
            change: set("lines", "emergency_a", "200", "L-MV-A")),
        .init(
            told: "lines.csv:2: column x0_ohm: is empty beside r0_ohm", change: set("lines", "r0_ohm", "1", "L-MV-A")),
        .init(
            told: "lines.csv:2: column emergency_a: is 900.0 A, more than twice max_i_a, 300.0 A",
            change: set("lines", "emergency_a", "900", "L-MV-A")),
        .init(
            told: "switches.csv:2: column ground_pickup_a: is 999.0 A, more than phase_pickup_a, 500.0 A",
            change: {
                $0["switches"].set("phase_pickup_a", "500", of: "CB-F1")
                $0["switches"].set("ground_pickup_a", "999", of: "CB-F1")
            }),
        .init(told: "lines.csv:2: column x_ohm: is -1.0 Ω, which no line has", change: set("lines", "x_ohm", "-1")),
        .init(
            told: "lines.csv:2: column r0_ohm: is more than a hundred times",
            change: {
                $0["lines"].set("r0_ohm", "999")
                $0["lines"].set("x0_ohm", "1")
            }),
        .init(
            told: "transformers.csv:2: column tap_step_percent: is 0 beside tap_pos",
            change: {
                for (column, value) in [
                    ("tap_side", "hv"), ("tap_neutral", "0"), ("tap_pos", "6"), ("tap_step_percent", "0"),
                ] { $0["transformers"].set(column, value) }
            }),
        // Two names for one thing, or one name for two.
        .init(
            told: "switches.csv:4: column node_id: is C, where L-A-B does not end",
            change: set("switches", "node_id", "C", "S-A")),
        .init(
            told: "feeders.csv:2: column head_line_id: is L-A-B, which does not end at MV",
            change: set("feeders", "head_line_id", "L-A-B", "F1")),
        .init(
            told: "lines.csv:3: column line_id: is also a node",
            change: {
                $0["nodes"].rows.append(["L-A-B", "20", "mv_node", ""])
            }),
        .init(
            told: "lines.csv:4: column to_node: is MV, as its from_node",
            change: set("lines", "to_node", "MV", "L-MV-C")),
        .init(told: "ties.csv:2: column line_id: there is no line \"L-X\"", change: set("ties", "line_id", "L-X")),
        .init(told: "ders.csv:2: column der_id: is also a switch", change: { $0.tables["ders"] = ders("TIE") }),
        .init(told: "makes the device FH-F1, which is also a DER", change: { $0.tables["ders"] = ders("FH-F1") }),
        .init(told: "makes the device VM-A, which is also a DER", change: { $0.tables["ders"] = ders("VM-A") }),
        .init(told: "makes the device TM-T1, which is also a DER", change: { $0.tables["ders"] = ders("TM-T1") }),
        .init(told: "makes the device RC-TIE, which is also a DER", change: { $0.tables["ders"] = ders("RC-TIE") }),
        .init(
            told: "feeders.csv:4: column head_line_id: is L-MV-C, as that of F2",
            change: { $0["feeders"].rows.append(["F3", "MV", "L-MV-C", "", "300"]) }),
        .init(
            told: "feeders.csv:3: column head_switch_id: is CB-F1, as that of F1",
            change: set("feeders", "head_switch_id", "CB-F1", "F2")),
        .init(
            told: "feeders.csv:3: column head_switch_id: is TIE, which does not stand in L-MV-C",
            change: set("feeders", "head_switch_id", "TIE", "F2")),
        .init(
            told: "ties.csv:2: column switch_id: is TIE, which does not stand in L-A-B",
            change: {
                $0["ties"].set("line_id", "L-A-B")
                $0["ties"].set("open_at_node", "")
                $0["ties"].set("far_node", "")
            }),
        .init(told: "ties.csv:2: column far_node: is A, where L-B-C", change: set("ties", "far_node", "A")),
        .init(
            told: "ties.csv:3: column switch_id: is TIE, as that of T01",
            change: { $0["ties"].rows.append(["T02", "TIE", "L-B-C", "C", "B", "F2", "F1"]) }),
        // Two voltages at one node.
        .init(
            told: "sources.csv:3: column vm_pu: is 0.98, and that of SRC at the same node is 1.02",
            change: { $0["sources"].rows.append(["S2", "HV", "0.98"]) }),
        .init(
            told: "sources.csv:3: column va_degree: is 10.0, and that of SRC",
            change: {
                $0["sources"].rows.append(["S2", "HV", "1.02"])
                $0["sources"].set("va_degree", "0", of: "SRC")
                $0["sources"].set("va_degree", "10", of: "S2")
            }),
        // Numbers that other tools write where nothing is known, and ratings in another unit.
        .init(told: "lines.csv:2: column max_i_a: 99999.0 is outside", change: set("lines", "max_i_a", "99999")),
        .init(told: "lines.csv:2: column max_i_a: 9999.0 is outside", change: set("lines", "max_i_a", "9999")),
        .init(
            told: "feeders.csv:2: column head_rating_a: 9999.0 is outside",
            change: set("feeders", "head_rating_a", "9999")),
        .init(
            told: "switches.csv:2: column interrupt_ka: 999.0 is outside",
            change: set("switches", "interrupt_ka", "999")),
        .init(
            told: "switches.csv:2: column load_break_a: 9999.0 is outside",
            change: set("switches", "load_break_a", "9999")),
        .init(
            told: "switches.csv:2: column fault_make_ka: 999.0 is outside",
            change: set("switches", "fault_make_ka", "999")),
        .init(told: "sources.csv:2: column sk_mva: 99999.0 is outside", change: set("sources", "sk_mva", "99999")),
        .init(
            told: "transformers.csv:2: column sn_kva: 9999999.0 is outside",
            change: set("transformers", "sn_kva", "9999999")),
        .init(
            told: "ders.csv:2: column rated_kw: is 0.0 kW, which is no rating", change: { $0.tables["ders"] = pv("0") }),
        .init(
            told: "ders.csv:2: column scale_kw: is 100.0 kW, more than twice rated_kw, 0.1 kW",
            change: { $0.tables["ders"] = pv("0.1") }),
        .init(
            told: "ders.csv:2: column scale_kw: is -100.0 kW: positive is what a DER gives",
            change: {
                $0.tables["ders"] = pv("100")
                $0["ders"].set("scale_kw", "-100")
            }),
        .init(
            told: "ders.csv:2: column rated_kva: is 0.1 kVA, less than half of rated_kw",
            change: {
                $0.tables["ders"] = pv("100")
                $0["ders"].set("rated_kva", "0.1")
            }),
        .init(
            told: "loads.csv:4: column p_kw: is -2200.0 kW: what gives power is a DER",
            change: set("loads", "p_kw", "-2200", "LD-C")),
        .init(
            told: "factors.csv:2: column one: is -1.0 for a load",
            change: { $0["factors"] = DataFolder.factors(["one": "-1"]) }),
        .init(told: "column has_3v0: \"yes\" is none of", change: set("transformers", "has_3v0", "yes")),
        .init(told: "column construction: \"kabel\" is none of", change: set("lines", "construction", "kabel")),
        .init(told: "column lat: 111.0 is outside", change: set("nodes", "lat", "111")),
    ]

    private static func ders(_ id: String) -> DataFolder.Table {
        .init("der_id,kind,node_id,rated_kw,profile,scale_kw\n\(id),pv,B,100,one,100\n")
    }

    private static func pv(_ rating: String) -> DataFolder.Table {
        .init("der_id,kind,node_id,rated_kw,profile,scale_kw\npv-1,pv,B,\(rating),one,100\n")
    }

    /// Two statements of how long a window is, and a word that is none of its types.
    @Test(arguments: [
        (900, 95, "", "rows: is 95, and from start to end there are 96.0 steps"),
        (1800, 96, "", "rows: is 96, and from start to end there are 48.0 steps"),
        (900, 96, ",\"type\":\"Hires\"", "type: \"Hires\", expected \"hires\" or none"),
        (900, 96, ",\"type\":null", ""),
    ]) func aWindowSaysOnceHowLongItIs(step: Int, rows: Int, more: String, told: String) throws {
        let folder = TemporaryFolder.made()
        try DataFolder.base().write(to: folder)
        try """
        {"start":"2026-06-21T00:00:00Z","end":"2026-06-22T00:00:00Z","step_s":\(step),"rows":\(rows)\(more)}
        """.write(
            toFile: "\(folder.path)/profiles/\(DataFolder.window)/window.json", atomically: false, encoding: .utf8)
        let found: String
        do {
            _ = try DataFolder.verdict(DataFolder.transfer, in: folder.path)
            found = ""
        } catch {
            found = "\(error)"
        }
        #expect(told.isEmpty ? found.isEmpty : found.contains(told), "\(found)")
    }

    @Test(arguments: mistakes) func whatCannotBeMeantIsAMistakeWithItsPlace(item: Mistake) {
        var data = DataFolder.base()
        item.change(&data)
        let told = data.mistakes()
        #expect(told.contains(item.told), "\(told)")
    }

    /// Node 4711 is dead behind an open switch, line 4711 is live: which one does a clearance stand on?
    @Test func anIdOfNodeAndLineIsRefused() {
        var data = DataFolder.base()
        data["nodes"].rows.append(["4711", "20", "mv_node", ""])
        for table in ["lines", "switches"] {
            for row in data[table].rows.indices {
                data[table].rows[row] = data[table].rows[row].map { $0 == "L-A-B" ? "4711" : $0 }
            }
        }
        #expect(data.mistakes().contains("lines.csv:3: column line_id: is also a node"))
    }

    /// Whole turns are the same: -210° is 150°.
    @Test(arguments: ["150", "-210", "510"]) func aVectorGroupIsTheSameAWholeTurnOn(shift: String) throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["transformers"].set("shift_degree", shift)
        #expect(try data.verdict(DataFolder.transfer).verdict == .approveWithConditions)
    }

    /// An elbow and a network protector are known by a word: one that says nothing is no better than none.
    @Test(arguments: ["", "-", "VCB"]) func aKindThatSaysNothingMayBeAnElbowOrAProtector(kind: String) throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["switches"].set("kind", kind, of: "TIE")
        let joined = try data.verdict(DataFolder.transfer)
        #expect(joined.verdict == .cannotAssess && joined.found("C8", .unknown).map(\.elements) == [["TIE"]])
        data["switches"].set("kind", "LBS", of: "TIE")
        data["switches"].set("kind", kind, of: "CB-F2")
        data.tables["ders"] = .init("der_id,kind,node_id,rated_kw,profile,scale_kw\nhy-1,hydro,B,9000,one,9000\n")
        for column in ["max_i_a", "emergency_a"] { data["lines"].set(column, "900") }
        let back = try data.verdict(DataFolder.transfer)
        #expect(back.found("F3", .unknown).map(\.elements) == [["CB-F2"]], "\(back.told)")
    }

    /// In a network that was imported before anybody looked, and in the hours ahead too.
    @Test(arguments: [true, false]) func faultsOfDataAreNeverHeldAgainstThePlan(isLine: Bool) throws {
        var network = try DataFolder.base(loads: (2000, 1500, 2200)).read().network
        if isLine {
            network.nodes[4].nominalKilovolts = 21
        } else {
            network.transformers[0].windings = "YNyn"
        }
        let count = network.nodes.count
        let idle = [Double](repeating: 0, count: count)
        var snapshot = GridSnapshot(
            time: DataFolder.noon, networkRevision: "1", positions: network.switches.map(\.normalPosition), taps: [nil],
            loadWatts: idle, loadVars: idle, derWatts: [], derVars: idle)
        snapshot.outlook = [.init(time: DataFolder.noon + 900, watts: idle, vars: idle)]
        let verdict = PlanValidator(network, limits: .init(), software: "test").validate(DataFolder.transfer, snapshot)
        #expect(verdict.verdict == .cannotAssess, "\(verdict.told)")
        let told = verdict.found("LF", .unknown)
        #expect(told.count == 1 && told[0].elements.contains(isLine ? "L-MV-C" : "T1"), "\(told)")
        #expect(!told[0].message.contains("another time") && !(told[0].remedy ?? "").contains("Transfer less"))
    }

    /// A state without a solution before the first step is not caused by the plan.
    @Test func aStateThatCannotBeBeforeThePlanIsNotThePlansDoing() throws {
        let verdict = try DataFolder.base(loads: (800_000, 350_000, 7500)).verdict(DataFolder.transfer)
        #expect(verdict.verdict == .cannotAssess, "\(verdict.told)")
        #expect(verdict.found("LF", .unknown).contains { $0.message.contains("before the first step") })
        #expect(!verdict.findings.contains { $0.message.contains("Sparse") || $0.message.contains("http") })
    }

    /// The engine's own words, with the network's names for its numbers.
    @Test func aSwitchToAnotherVoltageIsNoIdealTransformer() throws {
        var network = try DataFolder.base().read().network
        network.nodes.append(.init(id: "X", nominalKilovolts: 0.4, kind: "lv_busbar"))
        network.switches.append(.init(id: "S-X", connects: .bus, node: "C", element: "X", normalPosition: .open))
        let error = #expect(throws: PowerFlowError.self) { _ = try FlowModel(network) }
        #expect(error?.code == .invalidData && error?.elements == ["S-X"])
    }
}
