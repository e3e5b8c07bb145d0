internal import Foundation
internal import GridModel

/// Registers of one SunSpec model as they were read: raw numbers and scale factors.
///
/// Names, types and states: SunSpec's `models` repository, `json/model_{101,103,2xx,701,713,802}.json`; the traps stand
/// in `docs/adapters.md`.
struct SunSpecReading: Reading {
    var device: String
    /// Registers carry no time: the gateway's, when the read ended.
    var time: ReadingTime
    var model: Int
    var points: [String: Double]
    /// Meters only: +1 when the meter counts power from the substation to customers as positive, -1 otherwise.
    var polarity: Int?
    /// 101–103 do not say what sign reactive power has: true when it was checked to be positive for injected vars.
    var reactiveVerified: Bool?

    private enum CodingKeys: String, CodingKey {
        case device, time, model, points, polarity
        case reactiveVerified = "reactive_verified"
    }

    /// How a register is stored, which decides what "not implemented" looks like.
    private enum Register {
        case int16, uint16, enum16, uint32, uint64, acc32

        func isAbsent(_ raw: Double) -> Bool {
            switch self {
            case .int16: raw == -32_768 || raw == 32_768
            case .uint16, .enum16: raw == 65_535
            case .uint32: raw == 4_294_967_295
            case .uint64: raw >= 18_446_744_073_709_549_568
            case .acc32: raw == 0
            }
        }
    }

    private struct Scaled {
        let quantity: Quantity
        let point: String
        let register: Register
        let scale: String
        var sign = 1.0
    }

    private static let inverterPhases = [
        Scaled(quantity: .voltageA, point: "PhVphA", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .voltageB, point: "PhVphB", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .voltageC, point: "PhVphC", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .currentA, point: "AphA", register: .uint16, scale: "A_SF"),
        Scaled(quantity: .currentB, point: "AphB", register: .uint16, scale: "A_SF"),
        Scaled(quantity: .currentC, point: "AphC", register: .uint16, scale: "A_SF"),
        Scaled(quantity: .frequency, point: "Hz", register: .uint16, scale: "Hz_SF"),
    ]

    private static let inverter =
        [
            Scaled(quantity: .activePower, point: "W", register: .int16, scale: "W_SF"),
            Scaled(quantity: .energyExported, point: "WH", register: .acc32, scale: "WH_SF"),
        ] + inverterPhases

    private static let der701 = [
        Scaled(quantity: .activePower, point: "W", register: .int16, scale: "W_SF"),
        Scaled(quantity: .reactivePower, point: "Var", register: .int16, scale: "Var_SF"),
        Scaled(quantity: .activePowerA, point: "WL1", register: .int16, scale: "W_SF"),
        Scaled(quantity: .activePowerB, point: "WL2", register: .int16, scale: "W_SF"),
        Scaled(quantity: .activePowerC, point: "WL3", register: .int16, scale: "W_SF"),
        Scaled(quantity: .voltage, point: "LNV", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .voltageA, point: "VL1", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .voltageB, point: "VL2", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .voltageC, point: "VL3", register: .uint16, scale: "V_SF"),
        Scaled(quantity: .frequency, point: "Hz", register: .uint32, scale: "Hz_SF"),
        Scaled(quantity: .energyExported, point: "TotWhInj", register: .uint64, scale: "TotWh_SF"),
        Scaled(quantity: .energyImported, point: "TotWhAbs", register: .uint64, scale: "TotWh_SF"),
    ]

    func adapted() throws(AdapterMistake) -> Adapted {
        try checkName(device)
        var sample = AdaptedSample(device: device, time: time.value)
        var notes: [String] = []
        switch model {
        case 101, 102, 103: inverter(&sample, &notes)
        case 201, 202, 203, 204: try meter(&sample, &notes)
        case 701:
            take(Self.der701, &sample, &notes)
            // Numbered from 0, one less than in 101–103.
            state("InvSt", shift: 1, &sample)
        case 713: storageCapacity(&sample, &notes)
        case 802: battery(&sample, &notes)
        default:
            throw AdapterMistake(
                "model \(model): expected 101-103, 201-204, 701, 713 or 802; other models carry ratings and settings, not readings"
            )
        }
        guard !sample.isEmpty else {
            let reason = notes.isEmpty ? "" : ": \(notes.joined(separator: "; "))"
            throw AdapterMistake("model \(model): no point with a value\(reason)")
        }
        return Adapted(samples: [sample], notes: notes)
    }

    // MARK: Models

    private func inverter(_ sample: inout AdaptedSample, _ notes: inout [String]) {
        take(Self.inverter, &sample, &notes)
        if model == 101 {
            // One phase: its current is the whole; in 103 `A` is the sum of the phases, which is no line's current.
            take([Scaled(quantity: .current, point: "A", register: .uint16, scale: "A_SF")], &sample, &notes)
            if sample.values[.current] != nil { sample.values[.currentA] = nil }
        }
        lineToLine(&sample, &notes)
        if points["VAr"] != nil {
            if reactiveVerified == true {
                take(
                    [Scaled(quantity: .reactivePower, point: "VAr", register: .int16, scale: "VAr_SF")], &sample, &notes
                )
            } else {
                notes.append(
                    "VAr: its sign is not defined in 101-103; left out until reactive_verified says it was checked")
            }
        }
        state("St", shift: 0, &sample)
    }

    private func meter(_ sample: inout AdaptedSample, _ notes: inout [String]) throws(AdapterMistake) {
        guard polarity == nil || polarity == 1 || polarity == -1 else {
            throw AdapterMistake("polarity: expected 1 or -1")
        }
        let sign = Double(polarity ?? 1)
        if polarity == nil {
            sample.quality.insert(.signUnverified)
            notes.append("W: vendors differ on its sign, and no polarity was given: SIGN_UNVERIFIED")
        }
        take(
            [
                Scaled(quantity: .activePower, point: "W", register: .int16, scale: "W_SF", sign: sign),
                Scaled(quantity: .reactivePower, point: "VAR", register: .int16, scale: "VAR_SF", sign: sign),
                // The names of the counters are reliable whatever the sign of W.
                Scaled(quantity: .energyImported, point: "TotWhImp", register: .acc32, scale: "TotWh_SF"),
                Scaled(quantity: .energyExported, point: "TotWhExp", register: .acc32, scale: "TotWh_SF"),
            ] + Self.inverterPhases, &sample, &notes)
    }

    private func storageCapacity(_ sample: inout AdaptedSample, _ notes: inout [String]) {
        guard let rating = points["WHRtg"], rating > 0, !Register.uint16.isAbsent(rating) else {
            notes.append("SoC: fixed at 0 where there is no storage, and WHRtg is not above 0")
            return
        }
        take([Scaled(quantity: .stateOfCharge, point: "SoC", register: .uint16, scale: "Pct_SF")], &sample, &notes)
    }

    private func battery(_ sample: inout AdaptedSample, _ notes: inout [String]) {
        take([Scaled(quantity: .stateOfCharge, point: "SoC", register: .uint16, scale: "SoC_SF")], &sample, &notes)
        guard let raw = value("W", .int16, "W_SF", &sample, &notes) else { return }
        // W is the DC side and its sign is not defined: the state says which way it goes.
        switch points["ChaSt"] {
        case 3: sample.values[.activePower] = abs(raw)
        case 4: sample.values[.activePower] = -abs(raw)
        default:
            notes.append("W: ChaSt is neither discharging (3) nor charging (4), so its direction is not known")
            return
        }
        sample.quality.insert(.estimated)
        notes.append("W: measured on the DC side: ESTIMATED")
    }

    /// Where only voltages between lines are read: line to neutral below 1 kV, as they are above.
    private func lineToLine(_ sample: inout AdaptedSample, _ notes: inout [String]) {
        guard [.voltageA, .voltageB, .voltageC].allSatisfy({ sample.values[$0] == nil }) else { return }
        let lines = ["PPVphAB", "PPVphBC", "PPVphCA"].compactMap { value($0, .uint16, "V_SF", &sample, &notes) }
        guard !lines.isEmpty else { return }
        let mean = lines.reduce(0, +) / Double(lines.count)
        if mean > 1000 {
            sample.values[.voltage] = mean
        } else {
            sample.values[.voltage] = mean / 3.0.squareRoot()
            sample.quality.insert(.estimated)
            notes.append("PPVph: turned into line to neutral, phases taken as balanced: ESTIMATED")
        }
    }

    // MARK: Registers

    private func state(_ point: String, shift: Int, _ sample: inout AdaptedSample) {
        guard let raw = points[point], !Register.enum16.isAbsent(raw), raw >= 0, raw < 100 else { return }
        sample.state = operatingStates[Int(raw) + shift] ?? "unknown"
        if sample.state == "test" { sample.quality.insert(.test) }
    }

    private func take(_ wanted: [Scaled], _ sample: inout AdaptedSample, _ notes: inout [String]) {
        for item in wanted {
            if let number = value(item.point, item.register, item.scale, &sample, &notes) {
                sample.values[item.quantity] = item.sign * number
            }
        }
    }

    /// Raw × 10^SF; `nil` where the register says that it is not implemented.
    private func value(
        _ point: String, _ register: Register, _ scale: String, _ sample: inout AdaptedSample, _ notes: inout [String]
    ) -> Double? {
        guard let raw = points[point], !register.isAbsent(raw) else { return nil }
        let exponent = points[scale] ?? 0
        if Register.int16.isAbsent(exponent) { return nil }
        guard exponent >= -10, exponent <= 10, exponent == exponent.rounded() else {
            sample.quality.insert(.invalid)
            notes.append("\(point): \(scale) is \(exponent), expected a whole number from -10 to 10: INVALID")
            return nil
        }
        return raw * pow(10, exponent)
    }
}
