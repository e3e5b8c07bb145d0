internal import Foundation
internal import GridModel

/// A reading of IEEE 2030.5 with its `ReadingType`, or a `DERStatus`, or a `PEVInfo`: names and codes as in the schema.
struct IEEE20305Reading: Reading {
    struct ReadingType: Decodable {
        var uom: Int
        var powerOfTenMultiplier: Int?
        var kind: Int?
        var dataQualifier: Int?
        var accumulationBehaviour: Int?
        var phase: Int?
        var flowDirection: Int?
        var intervalLength: Double?
    }

    struct Period: Decodable {
        /// Seconds since 1970, and seconds.
        var start: Double
        var duration: Double
    }

    struct Value: Decodable {
        var value: Double
        var timePeriod: Period
        /// Hexadecimal, as in the schema.
        var qualityFlags: String?
    }

    struct Status: Decodable {
        struct Item: Decodable { var value: Int }
        var readingTime: Double
        var inverterStatus: Item?
        var stateOfChargeStatus: Item?
    }

    struct Multiplied: Decodable {
        var value: Double
        var multiplier: Int?
    }

    struct VehicleInfo: Decodable {
        var chargingPowerNow: Multiplied
        var timeChargingStatusPEV: Double
    }

    var device: String
    /// Bits of `roleFlags`: 1 premises aggregation point, 2 PEV, 3 DER, 6 submeter.
    var roleFlags: Int?
    var readingType: ReadingType?
    var reading: Value?
    var derStatus: Status?
    var pevInfo: VehicleInfo?
    /// For direction 0, where the value itself is signed: +1 when positive is injected (DER) or imported (premises).
    var polarity: Int?
    /// The source writes the state of charge in whole percent, not in hundredths.
    var wholePercent: Bool?

    private enum CodingKeys: String, CodingKey {
        case device, roleFlags, readingType, reading, polarity
        case derStatus = "DERStatus"
        case pevInfo = "PEVInfo"
        case wholePercent = "whole_percent"
    }

    private enum Place {
        case premises, der, vehicle

        init(_ flags: Int) {
            if flags & 1 << 2 != 0 {
                self = .vehicle
            } else {
                self = flags & (1 << 3 | 1 << 6) != 0 ? .der : .premises
            }
        }
    }

    func adapted() throws(AdapterMistake) -> Adapted {
        try checkName(device)
        if let derStatus { return try status(derStatus) }
        if let pevInfo {
            guard abs(pevInfo.timeChargingStatusPEV) < 1e11 else {
                throw AdapterMistake("timeChargingStatusPEV: no moment in time")
            }
            var sample = AdaptedSample(device: device, time: .seconds(pevInfo.timeChargingStatusPEV))
            // Positive is charging; ours is injection.
            sample.values[.activePower] =
                -pevInfo.chargingPowerNow.value * power(of: pevInfo.chargingPowerNow.multiplier)
            return Adapted(samples: [sample])
        }
        guard let type = readingType, let reading else {
            throw AdapterMistake("expected reading with readingType, DERStatus or PEVInfo")
        }
        guard let flags = roleFlags else { throw AdapterMistake("roleFlags is missing: it decides the sign") }
        return try measured(type, reading, Place(flags))
    }

    private func power(of multiplier: Int?) -> Double { pow(10, Double(max(-9, min(9, multiplier ?? 0)))) }

    // MARK: Readings

    private func measured(_ type: ReadingType, _ reading: Value, _ place: Place) throws(AdapterMistake) -> Adapted {
        let end = reading.timePeriod.start + reading.timePeriod.duration
        guard end.isFinite, abs(end) < 1e11 else { throw AdapterMistake("timePeriod: no moment in time") }
        var sample = AdaptedSample(device: device, time: .seconds(end))
        var notes: [String] = []
        try flags(reading.qualityFlags, &sample)
        let number = reading.value * power(of: type.powerOfTenMultiplier)
        guard type.dataQualifier != 8, type.dataQualifier != 9 else {
            throw AdapterMistake(
                "dataQualifier \(type.dataQualifier ?? 0): a maximum or minimum is a statistic, not a sample")
        }
        if type.dataQualifier == 2, reading.timePeriod.duration > 0 {
            sample.values[.interval] = reading.timePeriod.duration
        }
        let sign = sign(type, place, &sample, &notes)
        switch (type.uom, type.accumulationBehaviour ?? 12) {
        case (72, 4):
            let seconds = type.intervalLength ?? reading.timePeriod.duration
            guard seconds > 0 else { throw AdapterMistake("intervalLength: needed to turn energy into power") }
            sample.values[.activePower] = sign * number * 3600 / seconds
            sample.values[.interval] = seconds
        case (72, 9):
            // A counter has no sign: which one it is, is said by the direction.
            switch type.flowDirection {
            case 1: sample.values[.energyImported] = number
            case 19: sample.values[.energyExported] = number
            default: throw AdapterMistake("flowDirection: a counter needs 1 (delivered) or 19 (received)")
            }
        case (38, 6), (38, 12): try put(sign * number, .activePower, type.phase, &sample)
        case (63, 6), (63, 12): try put(sign * number, .reactivePower, type.phase, &sample)
        case (29, 6), (29, 12): try put(number, .voltage, type.phase, &sample)
        case (5, 6), (5, 12): try put(abs(number), .current, type.phase, &sample)
        case (33, 6), (33, 12): sample.values[.frequency] = number
        default:
            throw AdapterMistake(
                "uom \(type.uom) with accumulationBehaviour \(type.accumulationBehaviour ?? 12): no quantity of a sample"
            )
        }
        return Adapted(samples: [sample], notes: notes)
    }

    /// `flowDirection` 1: delivered to the customer; 19: received from the customer.
    private func sign(_ type: ReadingType, _ place: Place, _ sample: inout AdaptedSample, _ notes: inout [String])
        -> Double
    {
        let intoGrid = type.flowDirection == 19
        guard type.flowDirection == 1 || intoGrid else {
            if [38, 63].contains(type.uom) || type.uom == 72 && type.accumulationBehaviour == 4, polarity == nil {
                sample.quality.insert(.signUnverified)
                notes.append("flowDirection: none, and no polarity was given: SIGN_UNVERIFIED")
            }
            return Double(polarity ?? 1)
        }
        return place == .premises ? (intoGrid ? -1 : 1) : (intoGrid ? 1 : -1)
    }

    private func put(_ number: Double, _ total: Quantity, _ phase: Int?, _ sample: inout AdaptedSample)
        throws(AdapterMistake)
    {
        let phases: [Quantity: [Quantity]] = [
            .activePower: [.activePowerA, .activePowerB, .activePowerC],
            .reactivePower: [.reactivePowerA, .reactivePowerB, .reactivePowerC],
            .voltage: [.voltageA, .voltageB, .voltageC], .current: [.currentA, .currentB, .currentC],
        ]
        switch phase ?? 0 {
        case 0, 224: sample.values[total] = number
        case 128, 129: sample.values[phases[total]?[0] ?? total] = number
        case 64, 65: sample.values[phases[total]?[1] ?? total] = number
        case 32, 33: sample.values[phases[total]?[2] ?? total] = number
        case 132, 66, 40:
            guard total == .voltage, number > 1000 else {
                throw AdapterMistake("phase \(phase ?? 0): between lines; below 1 kV a sample has line to neutral")
            }
            sample.values[.voltage] = number
        default: throw AdapterMistake("phase \(phase ?? 0): no place for it in a sample")
        }
    }

    private func flags(_ text: String?, _ sample: inout AdaptedSample) throws(AdapterMistake) {
        guard let text else { return }
        guard let bits = Int(text, radix: 16) else { throw AdapterMistake("qualityFlags: expected hexadecimal") }
        if bits & 1 << 6 != 0 { throw AdapterMistake("qualityFlags: projected, not measured") }
        if bits & 1 << 1 != 0 { sample.quality.insert(.substituted) }
        if bits & (1 << 2 | 1 << 3) != 0 { sample.quality.insert(.estimated) }
        if bits & 1 << 4 != 0 { sample.quality.insert(.questionable) }
    }

    // MARK: Status

    private func status(_ status: Status) throws(AdapterMistake) -> Adapted {
        guard abs(status.readingTime) < 1e11 else { throw AdapterMistake("readingTime: no moment in time") }
        var sample = AdaptedSample(device: device, time: .seconds(status.readingTime))
        var notes: [String] = []
        if let inverter = status.inverterStatus {
            sample.state = operatingStates[inverter.value] ?? "unknown"
            if sample.state == "test" { sample.quality.insert(.test) }
        }
        if let charge = status.stateOfChargeStatus {
            sample.values[.stateOfCharge] = Double(charge.value) / (wholePercent == true ? 1 : 100)
            if wholePercent == nil, charge.value <= 100 {
                sample.quality.insert(.questionable)
                notes.append(
                    "stateOfChargeStatus: at most 1 % in hundredths; if the source writes whole percent, say whole_percent"
                )
            }
        }
        guard !sample.isEmpty else { throw AdapterMistake("DERStatus: neither inverterStatus nor stateOfChargeStatus") }
        return Adapted(samples: [sample], notes: notes)
    }
}
