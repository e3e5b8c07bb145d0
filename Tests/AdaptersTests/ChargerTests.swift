import Adapters
import GridModel
import Testing

private func adapt(_ sampled: String, _ more: String = "") throws -> (AdaptedSample, String) {
    let text =
        "{\"device\":\"ev-1\",\"meterValue\":[{\"timestamp\":\"2026-06-21T11:00:00Z\",\"sampledValue\":[\(sampled)]}]\(more)}"
    let adapted = try SourceStandard.ocpp.adapt(Array(text.utf8))
    return (try #require(adapted.samples.first), adapted.notes.joined(separator: "\n"))
}

/// A sampled value in few words.
private func value(_ value: String, _ measurand: String = "", _ more: String = "") -> String {
    let name = measurand.isEmpty ? "" : ",\"measurand\":\"\(measurand)\""
    return "{\"value\":\(value)\(name)\(more.isEmpty ? "" : ",")\(more)}"
}

private func at(_ place: String) -> String { "\"location\":\"\(place)\"" }
private func on(_ phase: String) -> String { "\"phase\":\"\(phase)\"" }
private let watts = "Power.Active.Import"

/// Readings of charging stations beyond the standard's examples.
@Suite struct ChargerTests {
    @Test(arguments: ["\" 6900.0\"", "\"6900\"", "6900", "\"6.9E3 \"", "\"\\t+6900\""])
    func aNumberIsTakenAsTextAndWithBlanks(number: String) throws {
        #expect(try adapt(value(number, watts)).0.values == [.activePower: -6900])
    }

    @Test(arguments: [
        "\"6,9\"", "\"0x10\"", "\"nan\"", "\"\"", "\"OCMF|{}|{}\"", "null", "[]", "true", "NaN", "\"6900 W\"",
        "\"1e999\"",
    ])
    func aValueThatIsNoNumberCostsOnlyItself(number: String) throws {
        let (found, notes) = try adapt("\(value(number, "Voltage", on("L1"))),\(value("5", watts)),7,{}")
        #expect(found.values == [.activePower: -5])
        #expect(notes.contains("value 1: Voltage: ") && notes.contains("value 3: ") && notes.contains("value 4: "))
    }

    @Test func oneMeterValueDoesNotLoseTheOthers() throws {
        let good = "{\"timestamp\":\"2026-06-21T11:00:00Z\",\"sampledValue\":[\(value("5", watts))]}"
        let text = """
            {"device":"ev-1","meterValue":[{"timestamp":"noon","sampledValue":[]},\(good),4,{"timestamp":"2026-06-21T11:00:00Z"}]}
            """
        let adapted = try SourceStandard.ocpp.adapt(Array(text.utf8))
        #expect(adapted.samples.count == 1 && adapted.notes.count == 3)
    }

    @Test(arguments: ["\"OCMF|{}\"", "\"30313233\""]) func signedDataAreLeftOutAndSaid(data: String) throws {
        let (found, notes) = try adapt("\(value(data, "", "\"format\":\"SignedData\"")),\(value("7000", watts))")
        #expect(found.values == [.activePower: -7000] && notes.contains("signed data"))
    }

    @Test(arguments: ["Sample.Periodic", "Sample.Clock", "Transaction.End", "Trigger", "Other", "Interruption.End"])
    func theBeginOfATransactionIsOlderThanAnythingElse(context: String) throws {
        let (now, begin) = (
            value("\"1500\"", "", "\"context\":\"\(context)\""), value("\"0\"", "", "\"context\":\"Transaction.Begin\"")
        )
        for order in ["\(now),\(begin)", "\(begin),\(now)"] {
            let (found, notes) = try adapt(order)
            #expect(found.values == [.energyImported: 1500] && notes.contains("older contexts"))
        }
        #expect(try adapt(begin).0.values == [.energyImported: 0])
    }

    @Test func twoValuesOfOneKindAreNoneAndSaid() throws {
        let (found, notes) = try adapt(
            "\(value("5", watts)),\(value("6", watts)),\(value("50", "Frequency")),\(value("50", "Frequency"))")
        #expect(found.values == [.frequency: 50] && found.quality == .invalid && notes.contains("several values"))
    }

    @Test func aContextOfItsOwnIsQuestionable() throws {
        #expect(try adapt(value("5", watts, "\"context\":\"Vendor.Special\"")).0.quality == .questionable)
    }

    // MARK: Places

    @Test func aBatterysVoltageIsNotTheGrids() throws {
        let (found, notes) = try adapt(
            """
            \(value("\"49500\"", watts, "\(at("Outlet")),\"unit\":\"W\"")),\(value("\"396.0\"", "Voltage", "\(at("Outlet")),\"unit\":\"V\"")),\
            \(value("\"125.0\"", "Current.Import", "\(at("Outlet")),\"unit\":\"A\""))
            """)
        #expect(found.values == [.activePower: -49_500] && found.quality == .estimated)
        #expect(notes.contains("Voltage: ") && notes.contains("Current: ") && notes.contains("direct current"))
    }

    @Test(arguments: [",\"dc\":true", ""]) func theVehiclesVoltageIsNotTheGrids(more: String) throws {
        let (found, notes) = try adapt(
            "\(value("5", watts)),\(value("400", "Voltage", "\(at("EV")),\(on("L1"))"))", more)
        #expect(found.values == [.activePower: -5] && notes.contains("vehicle"))
    }

    @Test func aStationOfDirectCurrentKeepsWhatWasMeasuredAtItsInlet() throws {
        let (found, _) = try adapt(
            """
            \(value("52000", watts, at("Inlet"))),\(value("49500", watts, at("Outlet"))),\(value("231", "Voltage", "\(at("Inlet")),\(on("L1"))")),\
            \(value("396", "Voltage", at("Outlet"))),\(value("125", "Current.Import", "\(at("Outlet")),\(on("L1"))"))
            """, ",\"dc\":true")
        #expect(found.values == [.activePower: -52_000, .voltageA: 231] && found.quality == [])
    }

    @Test(arguments: [true, false]) func theInletIsPreferredInAnyOrder(isFirst: Bool) throws {
        let values = [value("52000", watts, at("Inlet")), value("49500", watts, at("Outlet"))]
        let (found, notes) = try adapt((isFirst ? values : values.reversed()).joined(separator: ","))
        #expect(found.values == [.activePower: -52_000] && notes.contains("Inlet"))
    }

    @Test(arguments: ["Cable", "Body", "Upstream"]) func otherPlacesAreNotTheTerminal(place: String) throws {
        let (found, notes) = try adapt("\(value("5", watts, at(place))),\(value("50", "Frequency"))")
        #expect(found.values == [.frequency: 50] && notes.contains(place))
    }

    /// P / (V·I): 1 may be a battery, 3 is three phases, √3 three between lines.
    @Test(arguments: [
        (11_000, 230.0, 16.0, "", 230.0 as Double?, 16.0 as Double?), (11_000, 400, 16, "", 230.94, 16),
        (7360, 230, 32, "", nil, nil),
        (7360, 230, 32, ",\"voltage\":\"line_to_neutral\"", 230, nil), (7360, 230, 32, ",\"dc\":false", nil, 32),
        (11_000, 396, 16, ",\"dc\":true", nil, nil),
        (0, 400, 0, ",\"voltage\":\"line_to_line\"", 230.94, nil),
    ])
    func withoutAPhaseOnlyWhatIsProvenIsTaken(
        power: Int, volts: Double, amperes: Double, more: String, voltage: Double?, current: Double?
    ) throws {
        let (found, _) = try adapt(
            "\(value("\(power)", watts)),\(value("\(volts)", "Voltage")),\(value("\(amperes)", "Current.Import"))", more
        )
        #expect(found.values[.activePower] == Double(-power))
        #expect((found.values[.voltage] == nil) == (voltage == nil))
        #expect(abs((found.values[.voltage] ?? 0) - (voltage ?? 0)) < 0.01)
        #expect(found.values[.current] == current)
    }

    // MARK: Phases

    @Test func thePowerOfOnePhaseIsThePowerOfTheChargingPoint() throws {
        let reading = value("7266", watts, on("L1"))
        let (found, notes) = try adapt(reading)
        #expect(found.json.contains("\"active_power_w\":-7266") && found.quality == .estimated)
        #expect(notes.contains("1 of three phases"))
        #expect(try adapt(reading, ",\"phases\":1").0.quality == [])
        #expect(try adapt("\(reading),\(value("100", watts, on("L3")))").0.values[.activePower] == -7366)
    }

    @Test func aMissingPhaseOfThreeIsNoZero() throws {
        let (found, notes) = try adapt("\(value("7266", watts, on("L1"))),\(value("50", "Frequency"))", ",\"phases\":3")
        #expect(found.values == [.frequency: 50] && notes.contains("1 of 3 phases"))
    }

    @Test func theNeutralDisplacesNothing() throws {
        let (found, notes) = try adapt(
            """
            \(value("230.1", "Voltage", on("L1-N"))),\(value("1.4", "Voltage", on("N"))),\(value("5.2", watts, "\(on("L1")),\"unit\":\"kW\"")),\
            \(value("0", watts, on("N"))),\(value("7.4", "Current.Import", on("L1"))),\(value("0.3", "Current.Import", on("N")))
            """, ",\"phases\":1")
        #expect(found.values == [.voltageA: 230.1, .activePower: -5200, .currentA: 7.4])
        #expect(notes.contains("phase N"))
    }

    @Test func importByPhaseAndExportAsAWholeMakeOneTotal() throws {
        let phases = (1...3).map { value("1000", watts, on("L\($0)")) }.joined(separator: ",")
        let (found, _) = try adapt("\(phases),\(value("5000", "Power.Active.Export"))")
        #expect(found.values == [.activePower: 2000])
        let (idle, _) = try adapt("\(phases),\(value("0", "Power.Active.Export"))")
        #expect(idle.json.contains("\"active_power_w\":[-1000,-1000,-1000]"))
    }

    @Test func aNegativeImportBesideItsExportCountsOnce() throws {
        let (found, notes) = try adapt("\(value("-3000", watts)),\(value("3000", "Power.Active.Export"))")
        #expect(found.values == [.activePower: 3000] && notes.contains("counted once"))
        #expect(try adapt(value("-3000", watts)).0.values == [.activePower: 3000])
        #expect(throws: AdapterMistake.self) {
            try adapt("\(value("-3000", watts)),\(value("500", "Power.Active.Export"))")
        }
    }

    @Test func aTotalThatIsNotTheSumOfItsPhasesIsQuestionable() throws {
        let phases = (1...3).map { value("2400", watts, on("L\($0)")) }.joined(separator: ",")
        #expect(try adapt("\(phases),\(value("2400", watts))").0.quality == .questionable)
        #expect(try adapt("\(phases),\(value("7190", watts))").0.quality == [])
    }

    @Test func aCounterOfOnePhaseIsNotTheCounter() throws {
        let (found, notes) = try adapt("\(value("7", "Energy.Active.Import.Register", on("L1"))),\(value("9", watts))")
        #expect(found.values == [.activePower: -9] && notes.contains("of phase L1 only"))
    }

    @Test(arguments: [("", 230.0 / 3), (",\"phases\":1", 230)])
    func unusedPhasesThatAreZeroAreNoneWhereItIsSaid(more: String, mean: Double) throws {
        let zeros = ["L2", "L3"].map { value("0", "Voltage", on($0)) }.joined(separator: ",")
        let (found, _) = try adapt("\(value("230", "Voltage", on("L1"))),\(zeros)", more)
        let there = [Quantity.voltageA, .voltageB, .voltageC].compactMap { found.values[$0] }
        #expect(there.reduce(0, +) / Double(there.count) == mean)
    }

    // MARK: Units

    @Test(arguments: [
        ("\"unit\":\"kW\"", 5000.0), ("\"unitOfMeasure\":{\"unit\":\"kW\"}", 5000),
        ("\"unitOfMeasure\":{\"multiplier\":3}", 5000),
        ("\"unitOfMeasure\":{\"unit\":\"kW\",\"multiplier\":-3}", 5),
        ("\"unitOfMeasure\":{\"multiplier\":\"3\"}", 5000),
        ("\"unitOfMeasure\":{\"unit\":\"MW\"}", 5e6), ("\"unitOfMeasure\":{}", 5), ("\"unitOfMeasure\":null", 5),
        ("\"unit\":\"W\",\"unitOfMeasure\":{\"unit\":\"W\"}", 5),
    ])
    func unitsAreConverted(unit: String, expected: Double) throws {
        #expect(try adapt(value("5", watts, unit)).0.values == [.activePower: -expected])
    }

    @Test(arguments: [
        "\"unit\":\"Wh\"", "\"unit\":\"VA\"", "\"unit\":\"KW\"", "\"unitOfMeasure\":{\"unit\":\"Wh\",\"multiplier\":0}",
        "\"unit\":\"W\",\"unitOfMeasure\":{\"unit\":\"kW\"}", "\"unitOfMeasure\":{\"multiplier\":13}",
        "\"unitOfMeasure\":{\"multiplier\":0.5}",
        "\"unitOfMeasure\":5", "\"unit\":5", "\"unit\":\"\"",
    ])
    func aUnitThatIsNotKnownIsNotGuessed(unit: String) throws {
        let (found, notes) = try adapt("\(value("5", watts, unit)),\(value("50", "Frequency"))")
        #expect(found.values == [.frequency: 50] && notes.contains(watts))
    }

    /// The names that ocpp 2.1.0 hands to its handlers: a unit must not be lost with them.
    @Test func namesOfALibraryAreUnderstoodAndStrangersAreNot() throws {
        let text = """
            {"device":"ev-1","meter_value":[{"timestamp":"2026-06-21T11:00:00Z","sampled_value":[
            {"value":5,"measurand":"Power.Active.Import","unit_of_measure":{"unit":"kW","multiplier":0}}]}]}
            """
        let adapted = try SourceStandard.ocpp.adapt(Array(text.utf8))
        #expect(adapted.samples.first?.values == [.activePower: -5000])
        let (found, notes) = try adapt(
            "\(value("5", watts, "\"UnitOfMeasure\":{\"unit\":\"kW\"}")),\(value("50", "Frequency"))")
        #expect(found.values == [.frequency: 50] && notes.contains("UnitOfMeasure: no field of it"))
    }

    @Test(arguments: [
        "Energy.Active.Import.Interval", "Power.Active.Setpoint", "Power.Active.Residual", "Current.Import.Offered",
        "Voltage.Maximum",
        "Display.PresentSOC", "EnergyRequest.Target", "Energy.Active.Net", "Power.Factor", "Vendor.Power",
    ])
    func otherMeasurandsAreLeftOutByName(measurand: String) throws {
        let (found, notes) = try adapt("\(value("5", measurand)),\(value("50", "Frequency"))")
        #expect(found.values == [.frequency: 50] && notes.contains("\(measurand): "))
    }

    @Test func aLimitOfOnePhaseIsNotTheLimit() throws {
        #expect(throws: AdapterMistake.self) { try adapt(value("11", "Power.Offered", on("L1"))) }
    }
}
