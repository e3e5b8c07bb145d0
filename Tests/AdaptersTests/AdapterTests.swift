import Adapters
import GridModel
import Messaging
import Testing

/// The mapping tables of the domain rules (A.4, A.5): each trap is a row here.
private func adapt(_ standard: SourceStandard, _ text: String) throws(AdapterMistake) -> Adapted {
    try standard.adapt(Array(text.utf8))
}

private func one(_ standard: SourceStandard, _ text: String) throws -> AdaptedSample {
    let adapted = try adapt(standard, text)
    #expect(adapted.samples.count == 1)
    return try #require(adapted.samples.first)
}

private let moment = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast
private let seconds = moment.microseconds / 1_000_000

@Suite struct SunSpecTests {
    private func sample(_ model: Int, _ points: String, _ more: String = "") throws -> AdaptedSample {
        try one(
            .sunspec,
            "{\"device\":\"pv-1\",\"time\":\"2026-06-21T11:00:00Z\",\"model\":\(model),\"points\":{\(points)}\(more)}")
    }

    @Test func anInverterIsInjectionAndItsCurrentSumIsNoLineCurrent() throws {
        let found = try sample(
            103,
            """
            "W":421,"W_SF":1,"PhVphA":2305,"PhVphB":2311,"PhVphC":65535,"V_SF":-1,"A":180,"AphA":60,"A_SF":-1,"Hz":5001,\
            "Hz_SF":-2,"St":4,"WH":12345,"WH_SF":0,"VAr":-12,"VAr_SF":0
            """)
        #expect(found.values[.activePower] == 4210)
        #expect(found.values[.voltageA] == 230.5 && found.values[.voltageC] == nil)
        #expect(found.values[.current] == nil && found.values[.currentA] == 6)
        #expect(abs((found.values[.frequency] ?? 0) - 50.01) < 1e-9)
        #expect(found.values[.energyExported] == 12345)
        #expect(found.values[.reactivePower] == nil)
        #expect(found.state == "running")
        #expect(found.quality == [])
    }

    @Test func reactivePowerOf103CountsOnlyWhenItsSignWasChecked() throws {
        let found = try sample(103, "\"W\":1,\"W_SF\":0,\"VAr\":-12,\"VAr_SF\":1", ",\"reactive_verified\":true")
        #expect(found.values[.reactivePower] == -120)
    }

    @Test(arguments: [
        (103, "St", 1, "off"), (103, "St", 7, "fault"), (701, "InvSt", 0, "off"), (701, "InvSt", 6, "fault"),
    ])
    func statesOf701AreShiftedByOne(model: Int, point: String, raw: Int, state: String) throws {
        #expect(try sample(model, "\"W\":5,\"W_SF\":0,\"\(point)\":\(raw)").state == state)
    }

    @Test func aNumberNoSampleCanCarryIsLeftOutByName() throws {
        let adapted = try adapt(
            .ocpp,
            """
            {"device":"ev-1","meterValue":[{"timestamp":"2026-06-21T11:00:00Z","sampledValue":[
            {"value":5,"measurand":"Power.Active.Export"},{"value":2E303}]}]}
            """)
        let found = try #require(adapted.samples.first)
        #expect(found.values == [.activePower: 5] && found.quality == .questionable)
        #expect(adapted.notes == ["energy_imported_wh: 2e+303 is more than a sample can carry: left out"])
    }

    @Test(arguments: ["-32768", "32768"]) func aSentinelIsAbsence(raw: String) throws {
        #expect(throws: AdapterMistake.self) { try sample(701, "\"W\":\(raw),\"W_SF\":0") }
        #expect(
            try sample(701, "\"W\":3,\"W_SF\":0,\"TotWhInj\":18446744073709551615,\"TotWh_SF\":0").values[
                .energyExported] == nil)
    }

    @Test func anImpossibleScaleFactorIsInvalid() throws {
        let found = try sample(701, "\"W\":3,\"W_SF\":11,\"Hz\":5000,\"Hz_SF\":-2")
        #expect(found.values[.activePower] == nil && found.quality == .invalid)
    }

    @Test func aMeterIsFlowWithItsPolarity() throws {
        let points = "\"W\":-500,\"W_SF\":1,\"TotWhImp\":7,\"TotWhExp\":9,\"TotWh_SF\":0"
        #expect(try sample(203, points, ",\"polarity\":-1").values[.activePower] == 5000)
        let unknown = try sample(203, points)
        #expect(unknown.values[.activePower] == -5000 && unknown.quality == .signUnverified)
        #expect(unknown.values[.energyImported] == 7 && unknown.values[.energyExported] == 9)
    }

    @Test func aBatterysDirectionComesFromItsStateNeverFromTheSign() throws {
        #expect(try sample(802, "\"W\":300,\"W_SF\":1,\"ChaSt\":4").values[.activePower] == -3000)
        #expect(try sample(802, "\"W\":-300,\"W_SF\":1,\"ChaSt\":3").values[.activePower] == 3000)
        let holding = try sample(802, "\"W\":300,\"W_SF\":0,\"ChaSt\":6,\"SoC\":55,\"SoC_SF\":0")
        #expect(holding.values[.activePower] == nil && holding.values[.stateOfCharge] == 55)
    }

    @Test func stateOfChargeWithoutStorageIsNoReading() throws {
        #expect(throws: AdapterMistake.self) { try sample(713, "\"SoC\":0,\"Pct_SF\":0") }
        #expect(try sample(713, "\"SoC\":805,\"Pct_SF\":-1,\"WHRtg\":100").values[.stateOfCharge] == 80.5)
    }

    @Test func aModelOfRatingsIsRefusedByNumber() {
        let error = #expect(throws: AdapterMistake.self) { try sample(702, "\"WMax\":5") }
        #expect(error?.description.contains("702") == true)
    }
}

@Suite struct IEEE20305Tests {
    /// - Parameter role: in hexadecimal.
    private func reading(
        _ type: String, _ value: Double, role: String = "8", _ more: String = "", top: String = "",
        duration: Int64 = 300
    ) -> String {
        """
        {"device":"pv-1","roleFlags":"\(role)","readingType":{\(type)},"reading":{"value":\(value),\
        "timePeriod":{"start":\(seconds - duration),"duration":\(duration)}\(more)}\(top)}
        """
    }

    /// Role flags 2 premises, 4 vehicle, 8 DER; direction 1 forward, 19 reverse.
    @Test(arguments: [
        ("2", 1, 5000.0), ("2", 19, -5000), ("8", 19, 5000), ("8", 1, -5000), ("4", 1, -5000), ("0048", 19, 5000),
    ])
    func theDirectionGivesTheSignAndThePlaceTheFrame(role: String, direction: Int, expected: Double) throws {
        let found = try one(
            .ieee2030_5,
            reading(
                "\"uom\":38,\"powerOfTenMultiplier\":3,\"kind\":37,\"flowDirection\":\(direction)", 5, role: role,
                top: ",\"forward\":\"out_of_grid\""))
        #expect(found.values[.activePower] == expected)
        #expect(found.time == moment)
        #expect(found.quality == [])
    }

    @Test func withoutDirectionTheSignIsUnverified() throws {
        let found = try one(.ieee2030_5, reading("\"uom\":38", 5, role: "8"))
        #expect(found.quality == .signUnverified)
    }

    @Test func aDeltaOfEnergyIsMeanPowerOverItsInterval() throws {
        let found = try one(
            .ieee2030_5,
            reading(
                "\"uom\":72,\"accumulationBehaviour\":4,\"intervalLength\":300,\"flowDirection\":19", 100, role: "8"))
        #expect(found.values[.activePower] == 1200 && found.values[.interval] == 300)
    }

    @Test func aCounterIsChosenByItsDirection() throws {
        let text = "\"uom\":72,\"accumulationBehaviour\":9,\"powerOfTenMultiplier\":3,\"flowDirection\":"
        #expect(try one(.ieee2030_5, reading(text + "1", 7, role: "2")).values == [.energyImported: 7000])
        #expect(try one(.ieee2030_5, reading(text + "19", 7, role: "2")).values == [.energyExported: 7000])
    }

    @Test(arguments: [("02", Quality.substituted), ("04", .estimated), ("08", .estimated), ("11", .questionable)])
    func qualityFlagsAreMapped(bits: String, quality: Quality) throws {
        let found = try one(
            .ieee2030_5, reading("\"uom\":29,\"phase\":65", 231, role: "2", ",\"qualityFlags\":\"\(bits)\""))
        #expect(found.quality == quality && found.values == [.voltageB: 231])
    }

    @Test(arguments: [
        ("\"uom\":38,\"dataQualifier\":8", ""), ("\"uom\":38,\"flowDirection\":1", ",\"qualityFlags\":\"41\""),
        ("\"uom\":106", ""), ("\"uom\":29,\"phase\":300", ""),
    ]) func statisticsProjectionsAndStrangersAreNoSamples(type: String, more: String) {
        #expect(throws: AdapterMistake.self) { try adapt(.ieee2030_5, reading(type, 231, role: "2", more)) }
    }

    @Test func aChargingVehicleInjectsNegatively() throws {
        let text =
            "{\"device\":\"ev-1\",\"PEVInfo\":{\"chargingPowerNow\":{\"value\":74,\"multiplier\":2},\"timeChargingStatusPEV\":\(seconds)}}"
        #expect(try one(.ieee2030_5, text).values[.activePower] == -7400)
    }

    @Test func stateOfChargeIsInHundredthsUnlessSaid() throws {
        func status(_ value: Int, _ more: String = "") throws -> AdaptedSample {
            try one(
                .ieee2030_5,
                "{\"device\":\"b-1\",\"DERStatus\":{\"readingTime\":\(seconds),\"inverterStatus\":{\"value\":5},\"stateOfChargeStatus\":{\"value\":\(value)}}\(more)}"
            )
        }
        #expect(try status(8050).values[.stateOfCharge] == 80.5)
        #expect(try status(8050).state == "throttled")
        #expect(try status(95).quality == .questionable)
        #expect(try status(95, ",\"whole_percent\":true").values[.stateOfCharge] == 95)
    }
}

@Suite struct OCPPTests {
    private func values(_ sampled: String) -> String {
        "{\"device\":\"evse-1\",\"meterValue\":[{\"timestamp\":\"2026-06-21T11:00:00Z\",\"sampledValue\":[\(sampled)]}]}"
    }

    @Test func chargingIsNegativeInjection() throws {
        let found = try one(
            .ocpp,
            values(
                """
                {"value":"7.4","measurand":"Power.Active.Import","unit":"kW"},{"value":"231","measurand":"Voltage","phase":"L1-N"},\
                {"value":"32","measurand":"Current.Import","phase":"L1"},{"value":"61","measurand":"SoC","location":"EV","unit":"Percent"}
                """))
        #expect(
            found.values == [.activePower: -7400, .voltageA: 231, .currentA: 32, .stateOfCharge: 61])
    }

    @Test func exportMinusImport() throws {
        let found = try one(
            .ocpp,
            values(
                """
                {"value":2000,"measurand":"Power.Active.Import","unitOfMeasure":{"unit":"W"}},\
                {"value":5,"measurand":"Power.Active.Export","unitOfMeasure":{"unit":"W","multiplier":3}}
                """))
        #expect(found.values == [.activePower: 3000])
    }

    @Test func withoutAMeasurandItIsTheImportCounterInWattHours() throws {
        #expect(try one(.ocpp, values("{\"value\":\"1234\"}")).values == [.energyImported: 1234])
    }

    @Test func anOfferIsALimitAndNoMeasurement() throws {
        #expect(
            try one(.ocpp, values("{\"value\":\"11\",\"measurand\":\"Power.Offered\",\"unit\":\"kW\"}")).values
                == [.limit: 11_000])
    }

    @Test func anInterruptionIsQuestionable() throws {
        let found = try one(
            .ocpp, values("{\"value\":\"50\",\"measurand\":\"Frequency\",\"context\":\"Interruption.Begin\"}"))
        #expect(found.quality == .questionable)
    }

    @Test(arguments: [
        "{\"value\":\"5\",\"measurand\":\"Voltage\",\"phase\":\"L1-L2\"}",
        "{\"value\":\"5\",\"measurand\":\"Energy.Active.Import.Interval\"}",
        "{\"value\":\"5\",\"measurand\":\"Temperature\"}",
        "{\"value\":\"5\",\"measurand\":\"Power.Active.Import\",\"unit\":\"V\"}",
        "{\"value\":\"5\",\"measurand\":\"Power.Active.Import\",\"location\":\"Body\"}",
        "{\"value\":\"five\"}",
    ]) func whatIsNoReadingIsSaidSo(sampled: String) {
        #expect(throws: AdapterMistake.self) { try adapt(.ocpp, values(sampled)) }
    }

    @Test func phasesAndWholeBecomeOneFieldOfTheProtocol() throws {
        let phases = [1, 2, 3].map {
            "{\"value\":\"\($0)000\",\"measurand\":\"Power.Active.Export\",\"phase\":\"L\($0)\"}"
        }
        let whole = try one(.ocpp, values(phases.joined(separator: ",")))
        #expect(whole.json.contains("\"active_power_w\":[1000,2000,3000]"))
        let partly = try one(
            .ocpp, values(phases[0] + ",{\"value\":\"6000\",\"measurand\":\"Power.Active.Export\"}"))
        #expect(partly.json.contains("\"active_power_w\":6000"))
    }
}

@Suite struct AdaptedJSONTests {
    /// What an adapter writes is what the decoder of the service reads.
    @Test func theDecoderReadsWhatAnAdapterWrites() throws {
        let sample = try one(
            .sunspec,
            "{\"device\":\"pv-1\",\"time\":\"2026-06-21T11:00:00Z\",\"model\":701,\"points\":{\"W\":-45,\"W_SF\":2,\"VL1\":2305,\"V_SF\":-1,\"InvSt\":4}}"
        )
        let payload = Array("{\"samples\":[\(sample.json)]}".utf8)
        var decoder = TelemetryDecoder()
        let count = payload.withUnsafeBytes { try? decoder.decode($0, .json) }
        #expect(count == 1)
        let found = decoder.sample(0)
        let read = try #require(found)
        #expect(read[.activePower] == -4500)
        #expect(read[.voltageA] == 230.5)
        #expect(read.time == moment)
        #expect(read.state == 6)
    }

    @Test(
        arguments: SourceStandard.allCases,
        ["", "{}", "[]", "{\"device\":5}", "{\"device\":\"a b\",\"meterValue\":[]}"])
    func rubbishIsAMistakeWithWords(standard: SourceStandard, text: String) {
        let error = #expect(throws: AdapterMistake.self) { try adapt(standard, text) }
        #expect(error?.description.isEmpty == false)
    }
}
