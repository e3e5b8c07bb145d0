import DataDirectory
import Foundation
import GridModel
import Switching
import TestSupport
import Testing

/// Data that are not there, in studies: never zero, never an approval that rests on them.
@Suite struct AbsentDataTests {
    private let transfer = DataFolder.transfer

    private func changed(_ change: (inout DataFolder) -> Void, loads: (Int, Int, Int) = (8000, 3500, 7500))
        -> DataFolder
    {
        var data = DataFolder.base(loads: loads)
        change(&data)
        return data
    }

    @Test func loadsWithoutAProfileTakeWhatIsDrawn() throws {
        let all = try DataFolder.base().verdict(transfer)
        #expect(all.verdict == .reject && all.found("H1", .blockHard)[0].value! > 150, "\(all.told)")
        let none = try changed {
            $0["loads"].drop("p_profile")
            $0["loads"].drop("q_profile")
        }.verdict(transfer)
        #expect(none.verdict == .reject, "\(none.told)")
        #expect(none.found("H1", .blockHard).map(\.value) == all.found("H1", .blockHard).map(\.value))
        #expect(none.found("LF", .condition).count == 1)
        // Without a profile of its own the reactive power follows the active.
        let active = try changed { $0["loads"].drop("q_profile") }.verdict(transfer)
        #expect(active.steps.map(\.minVoltagePu) == all.steps.map(\.minVoltagePu))
        let result = try changed { $0["loads"].drop("p_profile") }.read()
        #expect(result.doubts.contains { $0.contains("3 of 3 loads have no p_profile") })
    }

    @Test func reactivePowerThatNobodyGivesIsNotZero() throws {
        let some = try changed { $0["loads"].set("q_kvar", "", of: "LD-A") }.verdict(transfer)
        #expect(some.verdict >= .cannotAssess && some.found("LF", .unknown)[0].message.contains("1 of 3 loads"))
        let none = try changed({ $0["loads"].drop("q_kvar") }, loads: (2000, 1500, 2200)).verdict(transfer)
        #expect(none.verdict == .cannotAssess && none.isNotRun("LF"), "\(none.told)")
    }

    @Test func aPlantWithoutAProfileIsNotNothing() throws {
        var data = DataFolder.base(loads: (800, 600, 900))
        data.tables["ders"] = .init("der_id,kind,node_id,rated_kw,profile,scale_kw\npv-1,pv,B,2500,one,2500\n")
        #expect(try data.verdict(transfer).verdict == .approveWithConditions)
        for column in ["profile", "scale_kw"] {
            var other = data
            other["ders"].drop(column)
            let verdict = try other.verdict(transfer)
            #expect(verdict.verdict == .cannotAssess, "\(column): \(verdict.told)")
            #expect(verdict.found("LF", .unknown)[0].message.contains("1 of 1 DER"))
        }
        // A table of charging lists every charging; without one a charger is not known either.
        data["ders"] = .init("der_id,kind,node_id,rated_kw\nev-1,ev_charger,B,22\n")
        #expect(try data.verdict(transfer).verdict == .cannotAssess)
        data.tables["ev_kw"] = .init("ts,der_id,p_kw\n")
        #expect(try data.verdict(transfer).verdict == .approveWithConditions)
    }

    @Test(arguments: ["\"1;0\"", "", "NaN", "0x1", "1e999"])
    func aProfileFieldThatIsNoNumberIsAMistake(text: String) {
        let field = text.trimmingCharacters(in: CharacterSet(charactersIn: "\""))
        let told = changed {
            $0["factors"].rows[40] = [field, "0"]; $0["factors"].columns = ["one", "other"]
            for row in $0["factors"].rows.indices where row != 40 { $0["factors"].rows[row] = ["1", "0"] }
        }.mistakes()
        #expect(told.contains("factors.csv:42: column one: "), "\(told)")
    }

    @Test func otherTablesOfAWindowAreAsStrict() {
        var data = DataFolder.base()
        data.tables["ders"] = .init("der_id,kind,node_id,rated_kw\nev-1,ev_charger,B,22\n")
        for (row, mistake) in [
            ("2026-06-21T12:00:00Z,ev-1,", "ev_kw.csv:2: column p_kw: is empty"),
            ("2026-06-21T12:00:00Z,ev-1,-7;2", "ev_kw.csv:2: column p_kw: \"-7;2\" is no number"),
            ("noon,ev-1,-7", "ev_kw.csv:2: column ts: \"noon\""),
            ("2026-06-22T12:00:00Z,ev-1,-7", "is not in the window"),
            ("2026-06-21T12:00:00Z,ev-2,-7", "ev_kw.csv:2: column der_id: there is no DER \"ev-2\""),
        ] {
            data.tables["ev_kw"] = .init("ts,der_id,p_kw\n\(row)\n")
            let told = data.mistakes()
            #expect(told.contains(mistake), "\(row): \(told)")
        }
        // A day with an hour missing at its end would go on with its last value.
        data.tables["ev_kw"] = nil
        data["factors"].rows.removeLast(4)
        #expect(data.mistakes().contains("factors.csv:1: 92 rows, expected 96"))
    }

    @Test func aRatingThatIsMissingIsNotUnlimited() throws {
        let none = try changed { $0["lines"].drop("max_i_a") }.verdict(transfer)
        #expect(none.verdict == .cannotAssess, "\(none.told)")
        for check in ["H1", "H3", "H4", "P4"] {
            #expect(none.isNotRun(check))
            #expect(none.headline(transfer).contains(check))
        }
        // Beside others it matters where the plan makes the line carry more.
        let one = try changed {
            $0["lines"].set("max_i_a", "600")
            $0["lines"].set("max_i_a", "", of: "L-MV-C")
        }.verdict(transfer)
        #expect(one.verdict == .cannotAssess && one.found("H1", .unknown)[0].elements == ["L-MV-C"], "\(one.told)")
        let known = try changed { $0["lines"].set("max_i_a", "500") }.verdict(transfer)
        #expect(known.verdict == .reject)
        // A rating that is missing where the plan changes nothing does not matter.
        let quiet = try changed({ $0["lines"].set("max_i_a", "", of: "L-MV-A") }, loads: (2000, 1500, 2200)).verdict(
            SwitchingPlan(
                id: "q", kind: .loadTransfer, steps: [.init(sequence: 1, action: .placeTag, element: "CB-F2")]))
        #expect(quiet.found("H1", .unknown).isEmpty, "\(quiet.told)")
        #expect(
            changed { $0["lines"].set("max_i_a", "0") }.mistakes().contains("column max_i_a: is 0, which is no rating"))
    }

    @Test func peopleMayAcceptThatACheckIsNotRun() throws {
        var limits = SwitchingLimits()
        limits.acceptedNotRun = ["H1", "H3", "H4", "H5"]
        let accepted = try changed({ $0["lines"].drop("max_i_a") }, loads: (2000, 1500, 2200)).verdict(
            transfer, limits: limits)
        #expect(accepted.verdict == .approveWithConditions, "\(accepted.told)")
        #expect(accepted.found("H1", .condition).count == 1 && accepted.isNotRun("H1"))
        #expect(limits.hash != SwitchingLimits().hash)
        // The setting does not cover a value that some elements have and one lacks.
        let one = try changed({ $0["lines"].set("max_i_a", "", of: "L-MV-C") }, loads: (2000, 1500, 2200)).verdict(
            transfer, limits: limits)
        #expect(one.verdict == .cannotAssess)
    }

    /// r_ohm and x_ohm of case 28; the others are its siblings.
    @Test(arguments: [
        ("lines", "r_ohm", "L-A-B"), ("lines", "x_ohm", "L-A-B"), ("lines", "c_nf", "L-A-B"),
        ("transformers", "vk_percent", "T1"), ("transformers", "vkr_percent", "T1"), ("transformers", "vn_hv_kv", "T1"),
        ("transformers", "vn_lv_kv", "T1"), ("sources", "vm_pu", "SRC"),
    ])
    func whatTheLoadFlowNeedsIsNeverAGuess(table: String, column: String, id: String) throws {
        let one = try changed({ $0[table].set(column, "", of: id) }, loads: (2000, 1500, 2200)).verdict(transfer)
        #expect(one.verdict == .cannotAssess, "\(one.told)")
        #expect(
            one.findings.contains { $0.check == "LF" && $0.message.contains("\(column) of \(table)") }, "\(one.told)")
        #expect(one.steps.allSatisfy { $0.worstLoadingPct == nil && $0.minVoltagePu == nil })
        let all = try changed({ $0[table].drop(column) }, loads: (2000, 1500, 2200)).verdict(transfer)
        #expect(all.verdict == .cannotAssess && all.isNotRun("LF") && all.isNotRun("V1"), "\(all.told)")
        let result = try changed { $0[table].drop(column) }.read()
        #expect(result.doubts.contains { $0.hasPrefix("\(column) is missing for every one of \(table)") })
    }

    @Test func valuesPerKilometreAreNotTakenForNothing() throws {
        let data = changed {
            $0["lines"] = .init(
                """
                line_id,from_node,to_node,length_km,r_ohm_per_km,x_ohm_per_km,c_nf_per_km,max_i_a
                L-MV-A,MV,A,12,0.3,0.35,9.2,300
                L-A-B,A,B,12,0.3,0.35,9.2,300
                L-MV-C,MV,C,12,0.3,0.35,9.2,300
                L-B-C,B,C,12,0.3,0.35,9.2,300
                """)
        }
        #expect(try data.verdict(transfer).verdict == .cannotAssess)
        #expect(
            try data.read().doubts.contains { $0.contains("column r_ohm_per_km is not read, and r_ohm is missing") })
        // Beside totals they must agree with them: no line has two impedances.
        let two = changed { $0["lines"].set("r_ohm_per_km", "0.125", of: "L-MV-A") }
        #expect(two.mistakes() == "")
        let other = changed { $0["lines"].set("x_ohm_per_km", "0.35", of: "L-MV-A") }
        #expect(
            other.mistakes().contains("lines.csv:2: column x_ohm: is 0.23, and x_ohm_per_km times length_km is 0.7"))
    }

    @Test func anExplicitZeroIsALink() throws {
        let verdict = try changed(
            {
                $0["lines"].set("r_ohm", "0", of: "L-A-B")
                $0["lines"].set("x_ohm", "0", of: "L-A-B")
            }, loads: (2000, 1500, 2200)
        ).verdict(transfer)
        #expect(verdict.verdict == .approveWithConditions, "\(verdict.told)")
        // Also a whole loop of them: its flow is shared, not infinite.
        let loop = try changed(
            { for column in ["r_ohm", "x_ohm", "c_nf"] { $0["lines"].set(column, "0") } }, loads: (2000, 1500, 2200)
        ).verdict(transfer)
        #expect(loop.verdict == .approveWithConditions && loop.found("LF", .blockHard).isEmpty, "\(loop.told)")
        #expect(loop.steps.allSatisfy { ($0.worstLoadingPct ?? 1000) < 100 })
    }

    @Test func withoutATableOfLoadsNothingIsKnown() throws {
        let verdict = try changed { $0.tables["loads"] = nil }.verdict(transfer)
        #expect(verdict.verdict == .cannotAssess && verdict.isNotRun("LF"), "\(verdict.told)")
        let empty = try changed { $0["loads"].rows = [] }.verdict(transfer)
        #expect(empty.verdict == .approveWithConditions)
    }

    @Test func customersThatNobodyCountedAreThere() throws {
        var data = DataFolder.base(loads: (2000, 1500, 2200))
        data["loads"].drop("n_customers")
        let outage = SwitchingPlan(
            id: "o", kind: .plannedOutage, steps: [.init(sequence: 1, action: .open, element: "CB-F1")])
        let verdict = try data.verdict(outage)
        #expect(verdict.found("T7", .condition).count == 1, "\(verdict.told)")
    }

    @Test func revisionsOfBeforeAreReadAndTheirZerosAreNotBelieved() throws {
        let old = """
            {"id":"old","attribution":"","nominalFrequency":50,"nodes":[],"switches":[],"ties":[],
            "lines":[{"id":"L","from":"A","to":"B","resistance":0,"reactance":0,"capacitance":0,"ratedAmperes":0,
            "kilometres":0},{"id":"M","from":"A","to":"B","resistance":0.1,"reactance":0,"capacitance":5,
            "ratedAmperes":300,"kilometres":1}],
            "transformers":[{"id":"T","highNode":"H","lowNode":"M","ratedKVA":25000,"isSinglePhase":false,
            "parameters":{"vk_percent":12,"vkr_percent":0.4,"shift_degree":150,"tap_on_lv_side":0,"tap_pos":2,"oltc":1}}],
            "feeders":[{"id":"F","substation":"","busbar":"A","headSwitch":"","headLine":"L","ratedAmperes":0}],
            "loads":[{"id":"D","node":"B","kilowatts":5,"kilovars":0,"activeProfile":"","reactiveProfile":"",
            "customers":0}],
            "ders":[{"id":"P","kind":"pv","node":"B","lowVoltageArea":"","site":"","ratedKW":5,"ratedKVA":0,
            "profile":"","scaleKW":0}],
            "sources":[{"id":"S","node":"H","voltagePerUnit":1.02,"angleDegrees":0}]}
            """
        let network = try JSONDecoder().decode(Network.self, from: Data(old.utf8))
        #expect(network.lines[0].resistance == nil && network.lines[0].ratedAmperes == nil)
        #expect(network.lines[1].resistance == 0.1 && network.lines[1].reactance == 0)
        #expect(network.feeders[0].ratedAmperes == nil && network.loads[0].kilovars == nil)
        let unit = network.transformers[0]
        #expect(unit.impedancePercent == 12 && unit.shiftDegrees == 150 && unit.highKilovolts == nil)
        #expect(unit.tap.position == 2 && unit.tap.isAutomatic == true && unit.tap.isOnLowSide == false)
        // Written again, zeros stay what they are.
        var made = network
        made.lines[0].resistance = 0
        let again = try JSONDecoder().decode(Network.self, from: JSONEncoder().encode(made))
        #expect(again == made && again.lines[0].resistance == 0)
    }
}
