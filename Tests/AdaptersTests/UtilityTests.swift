import Adapters
import GridModel
import Testing

private let moment = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast
private let start = moment.microseconds / 1_000_000

private func adapt(_ text: String, now: Timestamp? = nil) throws -> ([AdaptedSample], String) {
    let adapted = try SourceStandard.ieee2030_5.adapt(Array(text.utf8), now: now)
    return (adapted.samples, adapted.notes.joined(separator: "\n"))
}

private func reading(_ type: String, _ value: String, duration: Int = 0, _ more: String = "") -> String {
    "\"readingType\":{\(type)},\"reading\":{\"value\":\(value),\"timePeriod\":{\"start\":\(start),\"duration\":\(duration)}\(more)}"
}

/// One reading of a DER, as py20305 0.16.1 names itself: role flags 0049.
private func one(
    _ type: String, _ value: String, role: String = "\"0049\"", _ more: String = "", duration: Int = 0,
    flags: String = ""
)
    throws -> (AdaptedSample, String)
{
    let (samples, notes) = try adapt(
        "{\"device\":\"d-1\",\"roleFlags\":\(role),\(reading(type, value, duration: duration, flags))\(more)}")
    return (try #require(samples.first), notes)
}

private func several(_ readings: [String], _ more: String = "") throws -> ([AdaptedSample], String) {
    try adapt(
        "{\"device\":\"d-1\",\"roleFlags\":\"0049\",\"readings\":[\(readings.map { "{\($0)}" }.joined(separator: ","))]\(more)}"
    )
}

private let forward = ",\"forward\":\"into_grid\""

/// Posts of utilities' clients, above all the direction of their power.
@Suite struct UtilityTests {
    /// py20305 0.16.1 posts 4210 W of generation as flowDirection 1, its "forward", as the edition of 2023 has it.
    @Test func theDirectionOfADERIsStatedOrUnverified() throws {
        let type =
            "\"uom\":38,\"kind\":37,\"dataQualifier\":12,\"accumulationBehaviour\":12,\"flowDirection\":1,\"powerOfTenMultiplier\":0"
        let (stated, notes) = try one(type, "4210", forward)
        #expect(stated.values == [.activePower: 4210] && stated.quality == [] && notes.isEmpty)
        #expect(try one(type, "4210", ",\"forward\":\"out_of_grid\"").0.values == [.activePower: -4210])
        let (unknown, doubt) = try one(type, "4210")
        #expect(unknown.quality == .signUnverified && doubt.contains("\"forward\""))
    }

    @Test func thePremisesHaveOneReadingInAllEditions() throws {
        let (found, _) = try one("\"uom\":38,\"flowDirection\":19", "5", role: "\"0003\"")
        #expect(found.values == [.activePower: -5] && found.quality == [])
    }

    /// py20305's totals of energy: `WhFwd` under 1 is what the DER gave.
    @Test(arguments: [(1, Quantity.energyExported), (19, .energyImported)])
    func countersOfADERFollowTheStatedDirection(direction: Int, counter: Quantity) throws {
        let (found, _) = try one("\"uom\":72,\"accumulationBehaviour\":9,\"flowDirection\":\(direction)", "7", forward)
        #expect(found.values == [counter: 7] && found.quality == [])
    }

    @Test(arguments: [("-5", -5.0), ("5", 5)]) func netIsSigned(value: String, watts: Double) throws {
        let (found, _) = try one("\"uom\":38,\"flowDirection\":4", value, forward)
        #expect(found.values == [.activePower: watts] && found.quality == [])
        #expect(try one("\"uom\":38,\"flowDirection\":4", value, ",\"polarity\":1").0.quality == [])
        #expect(try one("\"uom\":38,\"flowDirection\":4", value).0.quality == .signUnverified)
    }

    @Test func bothDirectionsOfOneMomentAreTheirDifference() throws {
        let ahead = reading("\"uom\":38,\"flowDirection\":1", "0"),
            back = reading("\"uom\":38,\"flowDirection\":19", "3000")
        let (found, _) = try several([ahead, back], forward + ",\"bidirectional\":true")
        #expect(found.count == 1 && found[0].values == [.activePower: -3000] && found[0].quality == [])
    }

    @Test func oneDirectionOfASourceWithTwoIsNotItsPower() throws {
        #expect(throws: AdapterMistake.self) {
            try one("\"uom\":38,\"flowDirection\":1", "3000", forward + ",\"bidirectional\":true")
        }
        let (zero, notes) = try one("\"uom\":38,\"flowDirection\":19", "0", forward)
        #expect(
            zero.values == [.activePower: 0] && zero.quality == .questionable && notes.contains("other was not sent"))
        #expect(!zero.json.contains("-0"))
        #expect(try one("\"uom\":38,\"flowDirection\":19", "0", forward + ",\"bidirectional\":false").0.quality == [])
    }

    @Test func aNegativeMagnitudeIsUnverified() throws {
        #expect(try one("\"uom\":38,\"flowDirection\":1", "-5", forward).0.quality == .signUnverified)
    }

    @Test(arguments: [20, 21, 2, 3]) func aSumOfBothDirectionsIsNoPower(direction: Int) {
        #expect(throws: AdapterMistake.self) { try one("\"uom\":38,\"flowDirection\":\(direction)", "5", forward) }
    }

    // MARK: Role flags

    /// Hexadecimal 49 is a DER; decimal 49 would be premises, and the sign another.
    @Test(arguments: ["49", "73", "-1", "\"\"", "\"G9\"", "true", "1.5"]) func roleFlagsAreHexadecimalText(
        flags: String
    ) {
        let error = #expect(throws: AdapterMistake.self) { try one("\"uom\":38,\"flowDirection\":1", "5", role: flags) }
        #expect(error?.description.contains("roleFlags: expected hexadecimal") == true)
    }

    @Test(arguments: ["\"0049\"", "\"49\"", "\"0x0049\"", "\" 49 \"", "8"]) func roleFlagsOfADER(flags: String) throws {
        #expect(try one("\"uom\":38,\"flowDirection\":1", "5", role: flags, forward).0.values == [.activePower: 5])
    }

    @Test(arguments: ["\"0000\"", "\"0001\"", "\"000A\"", "\"0042\""]) func aPlaceThatIsNotSaidIsUnverified(
        flags: String
    ) throws {
        let (found, notes) = try one("\"uom\":38,\"flowDirection\":1", "5", role: flags)
        #expect(found.quality == .signUnverified && notes.contains("roleFlags"))
    }

    @Test func directCurrentIsNotTheGrids() throws {
        let (found, notes) = try one("\"uom\":38,\"flowDirection\":1", "5000", role: "\"0069\"", forward)
        #expect(found.values == [.activePower: 5000] && found.quality == .estimated && notes.contains("direct current"))
        for unit in [29, 5, 33, 63] {
            #expect(throws: AdapterMistake.self) {
                try one("\"uom\":\(unit),\"flowDirection\":1,\"phase\":129", "5", role: "\"0069\"", forward)
            }
        }
    }

    // MARK: Types

    @Test(arguments: [
        "\"dataQualifier\":29", "\"dataQualifier\":30", "\"dataQualifier\":8", "\"dataQualifier\":9",
        "\"dataQualifier\":7", "\"dataQualifier\":\"x\"",
        "\"commodity\":7", "\"multiplier\":3", "\"power_of_ten_multiplier\":3", "\"kind\":3", "\"kind\":8",
        "\"powerOfTenMultiplier\":10", "\"powerOfTenMultiplier\":-10",
        "\"powerOfTenMultiplier\":1.5",
        "\"accumulationBehaviour\":3", "\"accumulationBehaviour\":9", "\"phase\":132", "\"phase\":16",
        "\"flowDirection\":\"?\"",
    ])
    func whatIsNoSampleIsLeftOutAndLosesNoNeighbour(type: String) throws {
        let bad = reading("\"uom\":38,\"flowDirection\":1,\(type)".replacingFirst(type), "5")
        let (found, notes) = try several([bad, reading("\"uom\":33,\"powerOfTenMultiplier\":-3", "49987")], forward)
        #expect(found.count == 1 && found[0].values == [.frequency: 49.987])
        #expect(notes.contains("readings 1: ") && notes.contains("left out"))
    }

    @Test(arguments: [
        "\"uom\":38,\"flowDirection\":1,\"accumulationBehaviour\":0,\"kind\":0,\"dataQualifier\":0,\"commodity\":0,\"phase\":0",
        "\"uom\":\"38\",\"flowDirection\":\"1\",\"powerOfTenMultiplier\":\"0\"",
        "\"uom\":38,\"flowDirection\":1,\"phase\":225",
        "\"uom\":38,\"flowDirection\":1,\"commodity\":null",
    ])
    func notApplicableAndTextAreUnderstood(type: String) throws {
        #expect(try one(type, "\"5\"", forward).0.values == [.activePower: 5])
    }

    @Test func aMultiplierThatIsMandatoryIsNotAssumed() throws {
        let text =
            "{\"device\":\"ev-1\",\"PEVInfo\":{\"chargingPowerNow\":{\"value\":74},\"timeChargingStatusPEV\":\(start)}}"
        let error = #expect(throws: AdapterMistake.self) { try adapt(text) }
        #expect(error?.description == "field PEVInfo.chargingPowerNow.multiplier is missing")
    }

    @Test func aDeltaWhoseIntervalsDifferIsNoPower() throws {
        let type = "\"uom\":72,\"accumulationBehaviour\":4,\"intervalLength\":300,\"flowDirection\":1"
        #expect(throws: AdapterMistake.self) { try one(type, "100", forward, duration: 900) }
        #expect(try one(type, "100", forward, duration: 300).0.values == [.activePower: 1200, .interval: 300])
        #expect(try one(type, "100", forward).0.quality == .questionable)
        #expect(throws: AdapterMistake.self) {
            try one("\"uom\":72,\"accumulationBehaviour\":4,\"flowDirection\":1", "100", forward, duration: 90_000)
        }
    }

    /// py20305 0.16.1 states the moment of the reading as the start of a mean's period, and posts model 701's LLV without a phase.
    @Test func aVoltageWithoutAPhaseIsNotGuessed() throws {
        let type = "\"uom\":29,\"dataQualifier\":2,\"powerOfTenMultiplier\":-1,\"kind\":37"
        #expect(throws: AdapterMistake.self) { try one(type, "4000", duration: 300) }
        let (found, _) = try one(type, "4000", ",\"voltage\":\"line_to_line\"", duration: 300)
        #expect(abs((found.values[.voltage] ?? 0) - 230.94) < 0.01 && found.quality == .estimated)
        let (samples, notes) = try adapt(
            "{\"device\":\"d-1\",\"roleFlags\":\"0049\",\(reading("\"uom\":29,\"phase\":129,\"dataQualifier\":2", "230", duration: 300))}",
            now: moment + 2)
        #expect(
            samples[0].time == moment && samples[0].values == [.voltageA: 230] && samples[0].quality == .questionable)
        #expect(notes.contains("ends in the future"))
    }

    @Test func phasesOfOnePostAreOneSample() throws {
        let phases = [(128, 100), (64, 200), (32, 300)].map {
            reading("\"uom\":38,\"flowDirection\":1,\"phase\":\($0.0)", "\($0.1)")
        }
        let (found, _) = try several(phases, forward)
        #expect(found.count == 1 && found[0].json.contains("\"active_power_w\":[100,200,300]"))
        let (part, notes) = try several([phases[0]], forward)
        #expect(part[0].values == [.activePowerA: 100] && notes.contains("no power of the device"))
        #expect(try several([phases[0]], forward + ",\"phases\":1").0[0].json.contains("\"active_power_w\":100"))
    }

    @Test(arguments: [
        ("\"20\"", Quality.estimated), ("\"0\"", Quality()), ("\"0001\"", Quality()), ("\"10\"", .questionable),
        ("\"2\"", .substituted),
    ])
    func flagsOfQuality(flags: String, quality: Quality) throws {
        #expect(try one("\"uom\":33", "50", flags: ",\"qualityFlags\":\(flags)").0.quality == quality)
    }

    @Test(arguments: ["\"40\"", "64", "\"zz\"", "\"\""]) func aProjectionAndWhatCannotBeReadAreNoSample(flags: String) {
        #expect(throws: AdapterMistake.self) { try one("\"uom\":33", "50", flags: ",\"qualityFlags\":\(flags)") }
    }

    @Test(arguments: ["2", "0", "-2", "\"one\""]) func aPolarityIsOneOrMinusOne(polarity: String) {
        #expect(throws: AdapterMistake.self) { try one("\"uom\":38", "5", ",\"polarity\":\(polarity)") }
    }

    @Test func aStatusThatIsNotApplicableLosesNoNeighbour() throws {
        let (found, notes) = try adapt(
            "{\"device\":\"b-1\",\"DERStatus\":{\"readingTime\":\(start),\"inverterStatus\":{\"value\":\"x\"},\"stateOfChargeStatus\":{\"value\":8050}}}"
        )
        #expect(found[0].values == [.stateOfCharge: 80.5] && notes.contains("inverterStatus"))
        #expect(throws: AdapterMistake.self) {
            try adapt("{\"device\":\"b-1\",\"DERStatus\":{\"readingTime\":\(start),\"inverterStatus\":{\"value\":0}}}")
        }
        #expect(throws: AdapterMistake.self) {
            try adapt(
                "{\"device\":\"b-1\",\"DERStatus\":{\"readingTime\":\(start),\"stateOfChargeStatus\":{\"value\":10100}}}"
            )
        }
    }
}

extension String {
    /// A field that the test gives again is the test's: JSON has each field once.
    fileprivate func replacingFirst(_ field: String) -> String {
        let name = field.prefix { $0 != ":" }
        let others = split(separator: ",").filter { !$0.hasPrefix(name) }
        return (others.map(String.init) + [field]).joined(separator: ",")
    }
}
