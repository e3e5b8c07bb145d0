import DataDirectory
import GridModel
import Switching
import TestSupport
import Testing

extension DataFolder {
    /// Two banks, two feeders with a tie, and a value in every column that the product reads.
    static func rich() -> DataFolder {
        DataFolder(tables: [
            "nodes": Table(
                """
                node_id,name,vn_kv,kind,substation_id,lv_area_id,feeder_id,lon,lat,phases
                HV,HV,110,hv_busbar,S,,,11,53,ABC
                MV,MV,20,mv_busbar,S,,,11,53,ABC
                MV2,MV2,20,mv_busbar,S,,,11,53,ABC
                A,A,20,mv_node,,,F1,11,53,ABC
                B,B,20,mv_node,,,F1,11,53,ABC
                C,C,20,mv_node,,,F2,11,53,ABC
                D,D,20,mv_node,,,F2,11,53,ABC
                L,L,0.4,lv_busbar,,LV1,F1,11,53,ABC
                """),
            "lines": Table(
                """
                line_id,from_node,to_node,length_km,r_ohm,x_ohm,c_nf,max_i_a,emergency_a,r0_ohm,x0_ohm,construction
                L-MV-A,MV,A,2,0.25,0.23,500,300,330,0.75,0.7,cable
                L-A-B,A,B,2,0.25,0.23,500,300,330,0.75,0.7,cable
                L-MV-C,MV2,C,3,0.38,0.35,700,300,330,1.1,1.0,overhead
                L-B-C,B,C,1,0.13,0.12,250,300,330,0.4,0.36,cable
                L-C-D,C,D,1,0.13,0.12,250,300,330,0.4,0.36,cable
                """),
            "transformers": Table(
                """
                transformer_id,hv_node,lv_node,sn_kva,vn_hv_kv,vn_lv_kv,vk_percent,vkr_percent,pfe_kw,i0_percent,shift_degree,parallel,tap_side,tap_neutral,tap_min,tap_max,tap_step_percent,tap_pos,oltc,oltc_group,oltc_setpoint_pu,oltc_band_pu,phases,windings,neutral,has_3v0
                T1,HV,MV,25000,110,20,12,0.4,14,0.07,150,1,hv,0,-9,9,1.5,0,1,G1,1.02,0.012,ABC,Dyn5,grounded,0
                T2,HV,MV2,25000,110,20,12,0.4,14,0.07,150,1,hv,0,-9,9,1.5,0,1,G2,1.02,0.012,ABC,Dyn5,grounded,0
                TL,B,L,400,20,0.4,4,1,0.6,0.3,150,1,hv,0,-2,2,2.5,0,0,,,,ABC,Dyn5,grounded,
                """),
            "switches": Table(
                """
                switch_id,kind,connects,node_id,element_id,normal_state,role,feeder_id,phases,load_break_a,fault_make_ka,interrupt_ka,phase_pickup_a,ground_pickup_a,curve,time_dial,first_reclose_s,directional,alternate_settings,remote
                CB-F1,CB,line,MV,L-MV-A,closed,feeder_head,F1,ABC,630,50,20,500,80,VI,3,5,1,0,healthy
                CB-F2,CB,line,MV2,L-MV-C,closed,feeder_head,F2,ABC,630,50,20,500,80,VI,3,5,1,0,healthy
                S-A,LBS,line,A,L-A-B,closed,sectionalizer,F1,ABC,400,40,,,,,,,,,healthy
                R-D,RECLOSER,line,C,L-C-D,closed,recloser,F2,ABC,400,40,16,300,50,VI,1,5,1,1,healthy
                TIE,LBS,line,C,L-B-C,open,tie,F2,ABC,400,40,,,,,,,,,healthy
                BC,CB,bus,MV,MV2,open,bus_coupler,,ABC,1250,60,25,,,,,,,,healthy
                """),
            "feeders": Table(
                """
                feeder_id,substation_id,busbar_node,head_line_id,head_switch_id,head_rating_a
                F1,S,MV,L-MV-A,CB-F1,300
                F2,S,MV2,L-MV-C,CB-F2,300
                """),
            "ties": Table(
                "tie_id,switch_id,line_id,open_at_node,far_node,feeder_a,feeder_b\nT01,TIE,L-B-C,C,B,F2,F1\n"),
            "loads": Table(
                """
                load_id,node_id,p_kw,q_kvar,n_customers,p_profile,q_profile
                LD-A,A,1500,300,100,one,one
                LD-B,B,800,200,80,one,one
                LD-C,C,1500,300,120,one,one
                LD-D,D,600,100,40,one,one
                LD-L,L,10,2,3,one,one
                """),
            "ders": Table(
                """
                der_id,kind,node_id,rated_kw,rated_kva,lv_area_id,site_id,profile,scale_kw,q_over_p
                pv-1,pv,B,500,500,,,sun,500,-0.1
                hy-1,hydro,D,200,14000,,,one,200,0
                """),
            "shunts": Table("shunt_id,node_id,q_kvar,p_kw\nK1,B,100,0.5\n"),
            "regulators": Table("regulator_id,line_id,mode,forward\nVR1,L-A-B,BIDIRECTIONAL,from_to\n"),
            "sources": Table("source_id,node_id,vm_pu,va_degree,sk_mva\nSRC,HV,1.02,0,3000\n"),
            "factors": factors(["one": "1.0", "sun": "0.6"]),
        ])
    }
}

/// A plan on a network, with something in the way of it or nothing.
struct Situation: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var data: DataFolder
    var plan = DataFolder.transfer

    private typealias Edit = (table: String, id: String, column: String, value: String)
    private typealias Move = (action: SwitchingPlan.Action, element: String)

    private static func on(_ name: String, _ plan: SwitchingPlan, _ edits: [Edit]) -> Situation {
        var data = DataFolder.rich()
        for edit in edits { data[edit.table].set(edit.column, edit.value, of: edit.id.isEmpty ? nil : edit.id) }
        return Situation(testDescription: name, data: data, plan: plan)
    }

    private static func on(_ name: String, _ edits: [Edit]) -> Situation { on(name, DataFolder.transfer, edits) }

    private static func plan(
        _ kind: SwitchingPlan.Kind, _ steps: [Move], phases: String = "ABC", outage: Bool = true
    ) -> SwitchingPlan {
        SwitchingPlan(
            id: "P", kind: kind, policy: .init(allowTransientLoop: true, allowTransientOutage: outage),
            steps: steps.enumerated().map {
                .init(sequence: $0 + 1, action: $1.action, element: $1.element, phases: phases)
            })
    }

    private static func plan(_ steps: [Move], phases: String = "ABC") -> SwitchingPlan {
        plan(.loadTransfer, steps, phases: phases)
    }

    /// With what stands in the way, as far as data can put it there.
    static let all: [Situation] = [
        on("nothing", []),
        on("base", []).replaced(by: .base(loads: (2000, 1500, 2200))),
        on("base, too much load", []).replaced(by: .base()),
        on("H1 H3 H4", [("loads", "LD-C", "p_kw", "9000")]),
        on("H2", [("transformers", "T2", "sn_kva", "3000")]),
        on("V1", [("sources", "", "vm_pu", "0.90"), ("transformers", "", "oltc", "0")]),
        on("V2", [("sources", "", "vm_pu", "1.09"), ("transformers", "", "oltc", "0")]),
        on(
            "V2 by the ratio",
            [
                ("transformers", "T1", "vn_lv_kv", "21.8"), ("transformers", "T2", "vn_lv_kv", "21.8"),
                ("transformers", "", "oltc", "0"),
            ]),
        on(
            "V2 by charge",
            [
                ("sources", "", "vm_pu", "1.04"), ("transformers", "", "oltc", "0"), ("lines", "", "c_nf", "90000"),
                ("loads", "", "q_kvar", "0"),
            ]),
        on("V4", [("regulators", "", "mode", "LOCKED_FORWARD")]),
        on("C1", plan([(.open, "S-A"), (.close, "TIE")]), [("switches", "S-A", "load_break_a", "5")]),
        on(
            "C2", plan([(.open, "S-A"), (.close, "TIE")]),
            [
                ("switches", "S-A", "kind", "DS"), ("switches", "S-A", "load_break_a", ""),
            ]),
        on(
            "C2 by charge", plan([(.open, "S-A")]),
            [
                ("switches", "S-A", "kind", "DS"), ("switches", "S-A", "load_break_a", ""),
                ("loads", "LD-B", "p_kw", "0"),
                ("loads", "LD-B", "q_kvar", "0"), ("ders", "pv-1", "scale_kw", "0"),
                ("ders", "pv-1", "rated_kw", "0.001"),
                ("ders", "pv-1", "rated_kva", "0.001"),
                ("shunts", "", "q_kvar", "0"), ("lines", "", "c_nf", "2000"),
            ]),
        on(
            "C3", plan(.restoration, [(.close, "TIE")]),
            [
                ("switches", "S-A", "normal_state", "open"), ("switches", "TIE", "fault_make_ka", "1"),
            ]),
        on(
            "C5", plan([(.open, "S-A"), (.close, "S-A")], phases: "A"), [("switches", "CB-F1", "ground_pickup_a", "10")]
        ),
        on("C6", plan([(.open, "S-A"), (.close, "S-A")], phases: "A"), [("loads", "LD-B", "p_kw", "20")]),
        on("C7", [("switches", "TIE", "remote", "faulty")]),
        on("C8", [("switches", "TIE", "kind", "ELBOW_LB")]),
        on(
            "F1 of the bank",
            [
                ("ders", "hy-1", "rated_kw", "9000"), ("ders", "hy-1", "node_id", "B"), ("lines", "", "max_i_a", "900"),
                ("lines", "", "emergency_a", "900"),
            ]),
        on(
            "F1 of the head",
            [
                ("ders", "hy-1", "scale_kw", "14000"), ("ders", "hy-1", "rated_kw", "14000"),
                ("ders", "hy-1", "node_id", "B"), ("lines", "", "max_i_a", "900"), ("lines", "", "emergency_a", "900"),
                ("transformers", "", "has_3v0", "1"), ("regulators", "", "mode", "REACTIVE_BIDIR"),
                ("switches", "", "phase_pickup_a", ""), ("switches", "", "ground_pickup_a", ""),
                ("switches", "", "curve", ""), ("switches", "", "time_dial", ""),
                ("switches", "", "first_reclose_s", ""), ("switches", "", "directional", ""),
                ("switches", "", "alternate_settings", ""),
            ]),
        on(
            "F2",
            [
                ("ders", "hy-1", "scale_kw", "6000"), ("ders", "hy-1", "rated_kw", "6000"),
                ("ders", "hy-1", "node_id", "B"),
                ("switches", "CB-F2", "directional", "0"), ("switches", "CB-F2", "phase_pickup_a", "50"),
                ("switches", "CB-F2", "ground_pickup_a", "50"),
                ("regulators", "", "mode", "REACTIVE_BIDIR"),
            ]),
        on(
            "F3",
            [
                ("ders", "hy-1", "scale_kw", "9000"), ("ders", "hy-1", "rated_kw", "9000"),
                // Nothing comes back before the plan takes it over.
                ("ders", "hy-1", "node_id", "B"), ("switches", "CB-F2", "kind", "NETWORK_PROTECTOR"),
            ]),
        on(
            "P1", plan([(.close, "BC")]),
            [("transformers", "T2", "shift_degree", "330"), ("transformers", "T2", "windings", "Dyn11")]),
        on("P2 P4", [("transformers", "", "oltc", "0"), ("transformers", "T2", "tap_pos", "6")]),
        on("P6", [("switches", "CB-F1", "interrupt_ka", "3")]),
        on("R1", [("switches", "CB-F2", "phase_pickup_a", "4000")]),
        on(
            "R2",
            [("switches", "CB-F2", "ground_pickup_a", "4000"), ("switches", "CB-F2", "phase_pickup_a", "4000")]),
        on("R3", [("switches", "CB-F2", "phase_pickup_a", "120"), ("switches", "R-D", "phase_pickup_a", "100")]),
        on("R5", plan([(.close, "TIE"), (.open, "CB-F2")]), [("switches", "CB-F1", "time_dial", "0.5")]),
        on(
            "R6", plan([(.close, "TIE"), (.open, "S-A")]),
            [
                ("switches", "CB-F2", "first_reclose_s", "0.5"), ("ders", "hy-1", "scale_kw", "6000"),
                ("ders", "hy-1", "rated_kw", "6000"),
            ]),
        on(
            "R7",
            [
                ("switches", "S-A", "kind", "RECLOSER"), ("switches", "S-A", "phase_pickup_a", "300"),
                ("switches", "S-A", "ground_pickup_a", "50"),
                ("switches", "S-A", "curve", "VI"), ("switches", "S-A", "time_dial", "1.5"),
                ("switches", "S-A", "first_reclose_s", "none"),
                ("switches", "S-A", "directional", "1"), ("switches", "S-A", "alternate_settings", "1"),
                ("switches", "S-A", "interrupt_ka", "16"),
            ]),
        on(
            "T6 of busbars", plan([(.close, "TIE")]),
            [
                ("nodes", "A", "kind", "mv_busbar"), ("nodes", "B", "kind", "mv_busbar"),
                ("nodes", "C", "kind", "mv_busbar"),
                ("nodes", "A", "substation_id", "S"), ("nodes", "B", "substation_id", "S"),
                ("nodes", "C", "substation_id", "S"),
            ]),
        on("T7", plan(.loadTransfer, [(.open, "S-A")], outage: false), []),
        on("T7 notice", plan(.plannedOutage, [(.open, "S-A")]), []),
        on(
            "T8",
            [
                ("nodes", "C", "phases", "A"), ("nodes", "D", "phases", "A"), ("nodes", "B", "phases", "B"),
                ("nodes", "A", "phases", "B"),
            ]),
        on(
            "T10", plan(.plannedOutage, [(.open, "R-D")]),
            [("ders", "hy-1", "scale_kw", "2000"), ("ders", "hy-1", "rated_kw", "2000")]),
    ]

    /// Network N1 of the rules, its loads and PV constant.
    static func rules() throws -> Situation {
        var data = try DataFolder(directory: "\(Repository.root)/Tests/SwitchingTests/Cases/n1")
        data.tables["factors"] = DataFolder.factors()
        data["loads"].set("p_profile", "one")
        data["ders"].set("profile", "one")
        for row in data["ders"].rows { data["ders"].set("scale_kw", row[3], of: row[0]) }
        return Situation(
            testDescription: "n1", data: data,
            plan: plan([(.close, "T"), (.open, "R-A")]))
    }

    private func replaced(by data: DataFolder) -> Situation {
        Situation(testDescription: testDescription, data: data, plan: plan)
    }
}
