internal import GridModel

/// `MeterValues` of OCPP 1.6 or 2.0.1 of one charging point.
struct OCPPReading: Reading {
    struct Unit: Decodable {
        var unit: String?
        var multiplier: Int?
    }

    struct Sampled: Decodable {
        var value: ReadingNumber
        var measurand: String?
        var phase: String?
        var context: String?
        var location: String?
        /// 1.6.
        var unit: String?
        /// 2.0.1.
        var unitOfMeasure: Unit?
    }

    struct MeterValue: Decodable {
        var timestamp: ReadingTime
        var sampledValue: [Sampled]
    }

    var device: String
    var meterValue: [MeterValue]

    func adapted() throws(AdapterMistake) -> Adapted {
        try checkName(device)
        var adapted = Adapted()
        for value in meterValue {
            var sample = AdaptedSample(device: device, time: value.timestamp.value)
            var flows = Flows()
            for item in value.sampledValue { take(item, &sample, &flows, &adapted.notes) }
            flows.put(into: &sample)
            if !sample.isEmpty { adapted.samples.append(sample) }
        }
        guard !adapted.samples.isEmpty else {
            throw AdapterMistake("no sampledValue that a sample could carry: \(adapted.notes.joined(separator: "; "))")
        }
        return adapted
    }

    /// Import and export of power, by phase: 0 the whole, 1 to 3 the phases. Ours is export minus import.
    private struct Flows {
        var active: [Int: (imported: Double?, exported: Double?)] = [:]
        var reactive: [Int: (imported: Double?, exported: Double?)] = [:]

        func put(into sample: inout AdaptedSample) {
            let places: [(flows: [Int: (imported: Double?, exported: Double?)], quantities: [Quantity])] = [
                (active, [.activePower, .activePowerA, .activePowerB, .activePowerC]),
                (reactive, [.reactivePower, .reactivePowerA, .reactivePowerB, .reactivePowerC]),
            ]
            for (flows, quantities) in places {
                for (phase, flow) in flows {
                    // One of the two may be missing and is then zero: both are not, here.
                    sample.values[quantities[phase]] = (flow.exported ?? 0) - (flow.imported ?? 0)
                }
            }
        }
    }

    private func take(
        _ item: Sampled, _ sample: inout AdaptedSample, _ flows: inout Flows, _ notes: inout [String]
    ) {
        let measurand = item.measurand ?? "Energy.Active.Import.Register"
        if item.context?.hasPrefix("Interruption") == true { sample.quality.insert(.questionable) }
        if let place = item.location, !["Outlet", "Inlet", "EV"].contains(place) {
            return notes.append("\(measurand): measured at \(place), not at the terminal")
        }
        let phase: Int
        switch item.phase {
        case nil, "N": phase = 0
        case "L1", "L1-N": phase = 1
        case "L2", "L2-N": phase = 2
        case "L3", "L3-N": phase = 3
        default: return notes.append("\(measurand): phase \(item.phase ?? "") has no place in a sample")
        }
        guard let number = canonical(item, measurand) else {
            return notes.append("\(measurand): unit \(item.unit ?? item.unitOfMeasure?.unit ?? "") is not one of it")
        }
        let voltages: [Quantity] = [.voltage, .voltageA, .voltageB, .voltageC]
        let currents: [Quantity] = [.current, .currentA, .currentB, .currentC]
        switch measurand {
        case "Power.Active.Import": flows.active[phase, default: (nil, nil)].imported = number
        case "Power.Active.Export": flows.active[phase, default: (nil, nil)].exported = number
        case "Power.Reactive.Import": flows.reactive[phase, default: (nil, nil)].imported = number
        case "Power.Reactive.Export": flows.reactive[phase, default: (nil, nil)].exported = number
        case "Energy.Active.Import.Register" where phase == 0: sample.values[.energyImported] = number
        case "Energy.Active.Export.Register" where phase == 0: sample.values[.energyExported] = number
        case "Voltage": sample.values[voltages[phase]] = number
        case "Current.Import", "Current.Export":
            // Magnitudes: of the two, the one that flows.
            sample.values[currents[phase]] = max(abs(number), sample.values[currents[phase]] ?? 0)
        case "Power.Offered": sample.values[.limit] = number
        case "Frequency": sample.values[.frequency] = number
        case "SoC": sample.values[.stateOfCharge] = number
        default: notes.append("\(measurand): not a reading that a sample carries")
        }
    }

    /// In W, var, Wh, V, A, Hz or %; `nil` when the unit is none of the measurand's.
    private func canonical(_ item: Sampled, _ measurand: String) -> Double? {
        var factor = 1.0
        for _ in 0..<min(12, abs(item.unitOfMeasure?.multiplier ?? 0)) { factor *= 10 }
        var number = item.value.value
        number = (item.unitOfMeasure?.multiplier ?? 0) < 0 ? number / factor : number * factor
        let expected: String
        switch measurand.split(separator: ".").prefix(2).joined(separator: ".") {
        case "Power.Active", "Power.Offered": expected = "W"
        case "Power.Reactive": expected = "var"
        case "Energy.Active": expected = "Wh"
        case "Energy.Reactive": expected = "varh"
        case "Voltage": expected = "V"
        case "Current.Import", "Current.Export", "Current.Offered": expected = "A"
        case "Frequency": expected = "Hz"
        case "SoC": expected = "Percent"
        default: return number
        }
        switch item.unit ?? item.unitOfMeasure?.unit ?? expected {
        case expected: return number
        case "k\(expected)": return number * 1000
        case "Hertz" where expected == "Hz", "%" where expected == "Percent": return number
        default: return nil
        }
    }
}
