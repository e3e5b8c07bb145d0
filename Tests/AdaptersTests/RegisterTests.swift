import Adapters
import Foundation
import GridModel
import Testing

private let moment = "2026-06-21T11:00:00Z"

private func adapt(_ model: Int, _ points: String, _ more: String = "") throws -> (AdaptedSample, [String]) {
    let text = "{\"device\":\"d-1\",\"time\":\"\(moment)\",\"model\":\(model),\"points\":{\(points)}\(more)}"
    let adapted = try SourceStandard.sunspec.adapt(Array(text.utf8))
    return (try #require(adapted.samples.first), adapted.notes)
}

private func text(_ notes: [String]) -> String { notes.joined(separator: "\n") }

/// Register values that no table of models shows: sentinels in both forms, the other sign, scale factors that are not
/// there, and devices with fewer phases than their model.
@Suite struct RegisterTests {
    private static let one = "\"PhVphA\":2301,\"V_SF\":-1,\"W\":1180,\"W_SF\":0"

    @Test(arguments: [
        "\"PhVphB\":-32768,\"PhVphC\":-32768", "\"PhVphB\":32768,\"PhVphC\":32768", "\"PhVphB\":null",
        "\"PhVphB\":0,\"PhVphC\":0",
    ])
    func aMeterOfOnePhaseHasOneVoltage(others: String) throws {
        let (found, notes) = try adapt(201, "\(Self.one),\(others)", ",\"polarity\":1")
        #expect(found.values == [.voltageA: 230.1, .activePower: 1180])
        #expect(found.quality == [] && notes == [])
    }

    @Test func aMissingVoltageOfThreePhasesIsNotTakenForOne() throws {
        let (found, _) = try adapt(203, "\(Self.one),\"PhVphB\":0", ",\"polarity\":1")
        #expect(found.values[.voltageB] == 0, "a phase that has failed must be seen")
    }

    @Test(arguments: [
        (103, "\"W\":65493,\"W_SF\":0", -43.0), (203, "\"W\":65000,\"W_SF\":1", -5360),
        (701, "\"W\":65535,\"W_SF\":2", -100),
        (103, "\"W\":421,\"W_SF\":65535", 42.1),
    ])
    func aRegisterThatWasReadUnsignedIsSigned(model: Int, points: String, watts: Double) throws {
        let (found, notes) = try adapt(model, points, ",\"polarity\":1")
        #expect(found.values[.activePower] == watts)
        #expect(text(notes).contains("read as signed"))
    }

    @Test func aRegisterThatWasReadSignedIsUnsigned() throws {
        let (found, notes) = try adapt(103, "\"W\":1,\"W_SF\":0,\"PhVphA\":-25536,\"V_SF\":-2")
        #expect(found.values[.voltageA] == 400 && text(notes).contains("read as unsigned: 40000"))
    }

    @Test(arguments: [
        "\"W\":70000,\"W_SF\":0", "\"W\":-40000,\"W_SF\":0", "\"W\":421,\"W_SF\":11", "\"W\":421,\"W_SF\":-11",
        "\"W\":421,\"W_SF\":65520", "\"W\":421", "\"W\":421,\"W_SF\":-32768", "\"W\":421,\"W_SF\":32768",
        "\"W\":421,\"W_SF\":null",
        "\"W\":421,\"W_SF\":\"one\"", "\"W\":42.1,\"W_SF\":1", "\"W\":\"much\",\"W_SF\":1", "\"W\":[4],\"W_SF\":1",
        "\"W\":true,\"W_SF\":0",
        "\"W\":1e300,\"W_SF\":0", "\"W\":Infinity,\"W_SF\":0",
    ])
    func aPowerThatCannotBeIsInvalidAndLosesNoNeighbour(points: String) throws {
        let (found, notes) = try adapt(103, "\(points),\"PhVphA\":2301,\"V_SF\":-1,\"St\":4")
        #expect(found.values == [.voltageA: 230.1] && found.state == "running")
        #expect(found.quality == .invalid)
        #expect(text(notes).hasPrefix("W: ") && text(notes).contains("left out"))
    }

    @Test(arguments: [
        ("\"PhVphA\":2301", "V_SF"), ("\"Hz\":5001", "Hz_SF"), ("\"WH\":5001", "WH_SF"),
        ("\"PhVphA\":\"x\",\"V_SF\":0", "PhVphA"),
        ("\"Hz\":0,\"Hz_SF\":-2", "0 Hz"), ("\"AphA\":99999,\"A_SF\":-2", "AphA"),
    ])
    func anotherValueThatCannotBeLeavesThePowerUsable(points: String, named: String) throws {
        let (found, notes) = try adapt(103, "\"W\":421,\"W_SF\":1,\(points)")
        #expect(found.values == [.activePower: 4210])
        #expect(found.quality.grade != .bad)
        #expect(text(notes).contains(named) && text(notes).contains("left out"))
    }

    @Test(arguments: [("\"VAr\":null,\"TmpCab\":\"warm\"", 103), ("\"Hz\":null,\"MnAlrmInfo\":\"\"", 701)])
    func absenceAndTextOfOtherPointsDoNotMatter(points: String, model: Int) throws {
        let (found, notes) = try adapt(model, "\"W\":421,\"W_SF\":1,\(points)")
        #expect(found.values == [.activePower: 4210] && notes == [])
    }

    @Test func aPointThatTheModelHasNotIsSaid() throws {
        #expect(
            text(try adapt(103, "\"W\":421,\"W_SF\":1,\"PhVPhA\":2301").1) == "PhVPhA: no point of model 103: left out")
    }

    @Test func aPointThatStandsTwiceHasNoValue() throws {
        let (found, notes) = try adapt(103, "\"W\":421,\"W\":65115,\"W_SF\":1,\"Hz\":5000,\"Hz_SF\":-2")
        #expect(found.values == [.frequency: 50] && text(notes).contains("W: written twice"))
    }

    @Test(arguments: [
        (103, "\"PhVphA\":32768"), (701, "\"Hz\":2147483648"), (701, "\"TotWhInj\":9223372036854775808"),
        (103, "\"WH\":4294967295"),
    ])
    func theSentinelOfAnotherTypeIsAbsenceAndSaid(model: Int, point: String) throws {
        let scales = "\"V_SF\":-1,\"Hz_SF\":-2,\"TotWh_SF\":0,\"WH_SF\":0"
            .split(separator: ",").filter { model == 701 ? !$0.contains("\"WH") : !$0.contains("Tot") }.joined(
                separator: ",")
        let (found, notes) = try adapt(model, "\"W\":421,\"W_SF\":1,\(scales),\(point)")
        #expect(found.values == [.activePower: 4210] && text(notes).contains("sentinel"))
    }

    // MARK: Floats

    @Test(arguments: [111, 112, 113])
    func floatModelsHaveNoScaleFactorsAndNaNIsAbsent(model: Int) throws {
        let (found, notes) = try adapt(
            model,
            "\"W\":4210.5,\"PhVphA\":230.1,\"PhVphB\":NaN,\"PhVphC\":null,\"Hz\":50.01,\"WH\":12345,\"St\":4,\"A\":18,\"AphA\":6"
        )
        #expect(
            found.values[.activePower] == 4210.5 && found.values[.voltageA] == 230.1 && found.values[.voltageB] == nil)
        #expect(found.values[.current] == (model == 111 ? 18 : nil))
        #expect(found.state == "running" && found.quality == [] && notes == [])
    }

    @Test func floatMetersAreFlowWithTheirPolarity() throws {
        let (found, _) = try adapt(
            213, "\"W\":-500.5,\"WphA\":-500.5,\"WphB\":0,\"WphC\":0,\"VAR\":7,\"PhVphA\":230,\"TotWhImp\":7.5",
            ",\"polarity\":-1")
        #expect(found.values[.activePower] == 500.5 && found.values[.activePowerA] == 500.5)
        #expect(found.values[.reactivePower] == -7 && found.values[.energyImported] == 7.5)
        #expect(found.json.contains("\"active_power_w\":[500.5,0,0]"), "\(found.json)")
    }

    @Test(arguments: ["2143289344", "Infinity", "1e39"])
    func aFloatThatIsNoNumberIsAbsent(raw: String) throws {
        let (found, notes) = try adapt(113, "\"W\":\(raw),\"Hz\":50")
        #expect(found.values == [.frequency: 50] && !notes.isEmpty)
    }

    // MARK: Computed values

    @Test func computedValuesAreTakenWhenSaidSoAndSuspectedWhenNot() throws {
        let points = "\"W\":4210.0,\"W_SF\":1,\"PhVphA\":230.1,\"V_SF\":-1,\"PhVphB\":-3276.8"
        let (found, notes) = try adapt(103, points, ",\"scaled\":true")
        #expect(found.values[.activePower] == 4210 && found.values[.voltageA] == 230.1)
        #expect(found.values[.voltageB] == nil && text(notes).contains("sentinel, scaled"))
        #expect(text(try adapt(103, points).1).contains("\"scaled\":true"))
    }

    // MARK: Fewer phases, and voltages between lines

    @Test(arguments: [
        ("\"ACType\":0,\"WL1\":300", 300.0 as Double?), ("\"ACType\":1,\"WL1\":300,\"WL2\":200", 500),
        ("\"WL1\":300", nil),
        ("\"ACType\":2,\"WL1\":300,\"WL2\":200", nil), ("\"WL1\":300,\"WL2\":200,\"WL3\":100", 600),
    ])
    func phasesStandForTheTotalOnlyWhenNoneIsMissing(points: String, watts: Double?) throws {
        let (found, notes) = try adapt(701, "\(points),\"W_SF\":0")
        #expect(found.values[.activePower] == watts)
        #expect(watts != nil || text(notes).contains("no total"))
    }

    @Test(arguments: [
        (103, "\"PPVphAB\":4000,\"PPVphBC\":4000,\"PPVphCA\":4000", 230.94), (102, "\"PPVphAB\":2400", 120),
        (202, "\"PhVphAB\":2400", 120),
        (204, "\"PhVphAB\":4000,\"PhVphBC\":4000,\"PhVphCA\":4000", 230.94), (203, "\"PPV\":4000", 230.94),
    ])
    func voltagesBetweenLinesAreTurnedIntoThoseToNeutral(model: Int, points: String, volts: Double) throws {
        let (found, notes) = try adapt(model, "\(points),\"V_SF\":-1,\"W\":1,\"W_SF\":0", ",\"polarity\":1")
        #expect(abs((found.values[.voltage] ?? 0) - volts) < 0.01)
        #expect(found.quality == .estimated && text(notes).contains("ESTIMATED"))
    }

    @Test func onePhaseBetweenLinesHasNoVoltageToNeutral() throws {
        let (found, notes) = try adapt(101, "\"PPVphAB\":2400,\"V_SF\":-1,\"W\":1,\"W_SF\":0")
        #expect(found.values == [.activePower: 1] && text(notes).contains("one phase between lines"))
    }

    @Test func aboveOneKilovoltASampleHasVoltagesBetweenLines() throws {
        let neutral = "\"PhVphA\":1155,\"PhVphB\":1155,\"PhVphC\":1155,\"V_SF\":1,\"W\":1,\"W_SF\":0"
        let (alone, _) = try adapt(203, neutral, ",\"polarity\":1")
        #expect(abs((alone.values[.voltage] ?? 0) - 20_005) < 1 && alone.quality == .estimated)
        let (both, _) = try adapt(
            203, "\(neutral),\"PhVphAB\":2000,\"PhVphBC\":2010,\"PhVphCA\":1990", ",\"polarity\":1")
        #expect(both.values[.voltageB] == 20_100 && both.quality == [])
    }

    @Test(arguments: [(2, "sleeping", nil as Double?), (4, "running", 0)])
    func asleepAnInverterMeasuresItsOwnSideOfTheRelay(code: Int, state: String, volts: Double?) throws {
        let (found, _) = try adapt(
            103,
            "\"W\":0,\"W_SF\":0,\"PhVphA\":0,\"PhVphB\":0,\"PhVphC\":0,\"V_SF\":-1,\"Hz\":0,\"Hz_SF\":-2,\"St\":\(code)"
        )
        #expect(found.state == state && found.values[.voltageA] == volts && found.values[.activePower] == 0)
        #expect(found.quality == [])
    }

    // MARK: Batteries

    @Test(arguments: ["1", "6", "\"6\"", "null", "65535"])
    func aBatteryThatHoldsGivesNothing(state: String) throws {
        let (found, _) = try adapt(802, "\"W\":0,\"W_SF\":1,\"ChaSt\":\(state)")
        #expect(found.values == [.activePower: 0] && found.quality == .estimated)
    }

    @Test(arguments: [(6550, "\"SoC_SF\":-1"), (101, "\"SoC_SF\":0"), (55, "\"SoC_SF\":null")])
    func aStateOfChargeThatCannotBeLeavesThePower(charge: Int, scale: String) throws {
        let (found, notes) = try adapt(802, "\"W\":5,\"W_SF\":0,\"ChaSt\":3,\"SoC\":\(charge),\(scale)")
        #expect(found.values == [.activePower: 5] && found.quality.grade == .usable)
        #expect(text(notes).contains("left out"))
    }

    @Test func aChargeAboveZeroProvesThatThereIsStorage() throws {
        #expect(try adapt(713, "\"SoC\":80,\"Pct_SF\":0,\"WHRtg\":65535").0.values == [.stateOfCharge: 80])
        #expect(throws: AdapterMistake.self) { try adapt(713, "\"SoC\":0,\"Pct_SF\":0,\"WHRtg\":65535,\"WH_SF\":0") }
    }

    // MARK: Models that are not read

    @Test(arguments: [
        (702, "ratings and settings"), (712, "ratings and settings"), (714, "DC side"), (160, "is not read"),
    ])
    func aModelThatIsNotReadSaysWhy(model: Int, why: String) {
        let error = #expect(throws: AdapterMistake.self) { try adapt(model, "\"W\":5") }
        #expect(error?.description.contains("model \(model)") == true && error?.description.contains(why) == true)
    }
}

/// The tables of `docs/adapters.md` are those of the code.
@Suite struct FieldTableTests {
    @Test(arguments: SourceStandard.allCases) func theDocumentationHasTheTableOfTheCode(standard: SourceStandard) throws
    {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appending(path: "docs/adapters.md"), encoding: .utf8)
        #expect(
            page.contains(standard.fieldTable), "write the output of `backfeed adapt \(standard.rawValue) fields` there"
        )
    }
}
