internal import GridModel

/// Registers of one SunSpec model as they were read: raw numbers and scale factors. What becomes of each point stands
/// in ``SunSpecModel``.
struct SunSpecReading {
    private let model: Int
    private let definition: SunSpecModel
    private let points: [String: JSON]
    /// Scale factors have been applied: a computed value, as pysunspec2 calls it.
    private let isScaled: Bool
    /// 101–103 do not say what sign reactive power has: true when it was checked to be positive for injected vars.
    private let reactiveIsVerified: Bool
    /// Meters only: +1 when the meter counts power from the substation to customers as positive, -1 otherwise.
    private let polarity: Double?

    private var sample: AdaptedSample
    private var notes: [String] = []

    static func adapt(_ fields: Fields) throws(AdapterMistake) -> Adapted {
        var reading = try SunSpecReading(fields)
        return reading.adapted()
    }

    private init(_ fields: Fields) throws(AdapterMistake) {
        let device = try fields.device()
        // Registers carry no time: the gateway's, when the read ended.
        guard let time = try fields.time("time") else { throw fields.missing("time") }
        guard let model = try fields.whole("model", in: 1...65_535) else { throw fields.missing("model") }
        guard let points = try fields.object("points") else { throw fields.missing("points") }
        guard let definition = SunSpecModel.of(model) else {
            throw AdapterMistake("model \(model) \(SunSpecModel.refusal(model))")
        }
        (self.model, self.definition, self.points) = (model, definition, points.all)
        isScaled = try fields.flag("scaled") ?? false
        reactiveIsVerified = try fields.flag("reactive_verified") ?? false
        polarity = try fields.polarity()
        sample = AdaptedSample(device: device, time: time)
    }

    private mutating func adapted() -> Adapted {
        for name in points.keys.sorted() where definition.point(name) == nil {
            notes.append("\(name.prefix(32)): no point of model \(model): left out")
        }
        switch model {
        case 101...103, 111...113: inverter()
        case 201...204, 211...214: meter()
        case 701: der701()
        case 713: storageCapacity()
        default: battery()
        }
        return Adapted(samples: [sample], notes: notes)
    }

    // MARK: Models

    private var wiring: AdaptedSample.Wiring {
        switch model {
        case 101, 111, 201, 211: return .one
        case 102, 112, 202, 212: return .split
        case 701:
            guard case .value(let type, _)? = content("ACType") else { return .three }
            return type == 0 ? .one : type == 1 ? .split : .three
        default: return .three
        }
    }

    private mutating func inverter() {
        take("W", .activePower)
        take("WH", .energyExported)
        take("Hz", .frequency)
        if wiring == .one {
            // One phase: its current is the whole; in 103 `A` is the sum of the phases, which is no line's current.
            take("A", .current)
        }
        if sample.values[.current] == nil { takeCurrents(["AphA", "AphB", "AphC"]) }
        state("St", shift: 0)
        takeVoltages(["PhVphA", "PhVphB", "PhVphC"], ["PPVphAB", "PPVphBC", "PPVphCA"], nil, nil)
        if reactiveIsVerified {
            take("VAr", .reactivePower)
        } else if case .value? = content("VAr") {
            notes.append(
                "VAr: its sign is not defined in \(model); left out until reactive_verified says it was checked")
        }
    }

    private mutating func meter() {
        if polarity == nil, points.keys.contains(where: { $0.hasPrefix("W") || $0.hasPrefix("VAR") }) {
            sample.quality.insert(.signUnverified)
            notes.append("W: vendors differ on its sign, and no polarity was given: SIGN_UNVERIFIED")
        }
        let sign = polarity ?? 1
        take("W", .activePower, sign)
        takePhases(.activePower, ["WphA", "WphB", "WphC"], sign)
        take("VAR", .reactivePower, sign)
        takePhases(.reactivePower, ["VARphA", "VARphB", "VARphC"], sign)
        // The names of the counters are reliable whatever the sign of W.
        take("TotWhImp", .energyImported)
        take("TotWhExp", .energyExported)
        take("Hz", .frequency)
        if wiring == .one { take("A", .current) }
        if sample.values[.current] == nil { takeCurrents(["AphA", "AphB", "AphC"]) }
        // Model 201 calls voltages between lines otherwise than 202 to 204 do.
        let prefix = ["AB", "BC", "CA"].contains { points["PhVph\($0)"] != nil } ? "PhVph" : "PPVph"
        takeVoltages(["PhVphA", "PhVphB", "PhVphC"], ["AB", "BC", "CA"].map { prefix + $0 }, "PhV", "PPV")
    }

    private mutating func der701() {
        take("W", .activePower)
        takePhases(.activePower, ["WL1", "WL2", "WL3"], 1)
        take("Var", .reactivePower)
        takePhases(.reactivePower, ["VarL1", "VarL2", "VarL3"], 1)
        take("TotWhInj", .energyExported)
        take("TotWhAbs", .energyImported)
        take("Hz", .frequency)
        takeCurrents(["AL1", "AL2", "AL3"])
        // Numbered from 0, one less than in 101–103.
        state("InvSt", shift: 1)
        takeVoltages(["VL1", "VL2", "VL3"], ["VL1L2", "VL2L3", "VL3L1"], "LNV", "LLV")
    }

    private mutating func storageCapacity() {
        guard let charge = number("SoC", .stateOfCharge) else { return }
        // The rating is only compared with 0: its scale does not matter.
        if charge == 0 {
            guard case .value(let rating, _)? = content("WHRtg"), rating > 0 else {
                return notes.append("SoC: fixed at 0 where there is no storage, and WHRtg is not above 0: left out")
            }
        }
        sample.values[.stateOfCharge] = charge
    }

    private mutating func battery() {
        take("SoC", .stateOfCharge)
        guard let watts = number("W", .activePower) else { return }
        // W is the DC side and its sign is not defined: the state says which way it goes.
        switch content("ChaSt") {
        case .value(3, _)?: sample.values[.activePower] = abs(watts)
        case .value(4, _)?: sample.values[.activePower] = -abs(watts)
        case _ where watts == 0: sample.values[.activePower] = 0
        default:
            return notes.append(
                "W: ChaSt is neither discharging (3) nor charging (4), so its direction is not known: left out")
        }
        sample.quality.insert(.estimated)
        notes.append("W: measured on the DC side: ESTIMATED")
    }

    // MARK: Points

    private mutating func state(_ point: String, shift: Int) {
        switch content(point) {
        case .value(let raw, _)?:
            sample.state = operatingStates[Int(raw) + shift] ?? "unknown"
            if sample.state == "test" { sample.quality.insert(.test) }
            if sample.state == "unknown" {
                notes.append("\(point): \(Int(raw)) is no state of model \(model): unknown")
            }
        case .impossible(let what)?: notes.append("\(point): \(what): left out")
        case .absent(_)?, nil: break
        }
    }

    private mutating func take(_ point: String, _ quantity: Quantity, _ sign: Double = 1) {
        guard let number = number(point, quantity) else { return }
        sample.values[quantity] = quantity == .current ? abs(number) : sign * number
    }

    private mutating func takeCurrents(_ names: [String]) {
        for (quantity, point) in zip([Quantity.currentA, .currentB, .currentC], names) {
            sample.values[quantity] = number(point, quantity).map(abs)
        }
    }

    /// Phases of a power, and their sum where the total is not there and no phase is missing: a missing phase is no zero.
    private mutating func takePhases(_ total: Quantity, _ names: [String], _ sign: Double) {
        let wanted = wiring == .one ? 1 : wiring == .split ? 2 : 3
        var sum: [Double] = []
        for (quantity, point) in zip(AdaptedSample.phases[total] ?? [], names) {
            guard let number = number(point, quantity) else { continue }
            sample.values[quantity] = sign * number
            sum.append(sign * number)
        }
        guard sample.values[total] == nil, !sum.isEmpty else { return }
        if sum.count >= wanted {
            sample.values[total] = sum.reduce(0, +)
        } else {
            notes.append("\(total.name): no total, and \(sum.count) of \(wanted) phases: left out")
        }
    }

    private mutating func takeVoltages(
        _ neutral: [String], _ lines: [String], _ neutralMean: String?, _ lineMean: String?
    ) {
        var toNeutral = neutral.map { number($0, .voltage) }
        var between = lines.map { number($0, .voltage) }
        let asleep = ["off", "sleeping", "standby"].contains(sample.state)
        if asleep, (toNeutral + between).contains(0), (toNeutral + between).allSatisfy({ $0 == nil || $0 == 0 }) {
            // Behind its open relay an inverter that is off measures 0 V, which says nothing about the grid.
            notes.append("voltage: 0 V while \(sample.state ?? ""): its own side of the relay: left out")
            (toNeutral, between) = ([nil, nil, nil], [nil, nil, nil])
        }
        let means = [neutralMean, lineMean].map { point in
            point.flatMap { number($0, .voltage) }.flatMap { asleep && $0 == 0 ? nil : $0 }
        }
        sample.setVoltage(
            neutral: toNeutral, lines: between, neutralMean: means[0], lineMean: means[1], wiring, &notes)
    }

    // MARK: Registers

    /// `nil` when the reading has no such point.
    private func content(_ name: String) -> Register.Content? {
        guard let register = definition.point(name)?.register, let json = points[name], json != .null else {
            return nil
        }
        guard let raw = json.decimal else { return .impossible("expected a number") }
        if isScaled, register != .enum16 { return raw.isFinite ? .value(raw, remark: nil) : .absent(nil) }
        return register.content(raw)
    }

    /// Raw × 10^SF; `nil` where the register says that it is not implemented, or where it cannot be told what it holds.
    private mutating func number(_ name: String, _ quantity: Quantity) -> Double? {
        guard let point = definition.point(name), let content = content(name) else { return nil }
        let raw: Double
        switch content {
        case .absent(let why):
            if let why { notes.append("\(name): \(why): not implemented") }
            return nil
        case .impossible(let what):
            sample.distrust(quantity)
            notes.append("\(name): \(what): INVALID, left out\(hint(points[name]))")
            return nil
        case .value(let number, let remark):
            if let remark { notes.append("\(name): \(remark)") }
            raw = number
        }
        guard !point.scale.isEmpty else { return raw }
        let exponent = points[point.scale]?.decimal.map { Register.sunssf.content($0) }
        if isScaled {
            // A sentinel that was scaled with the rest: 0x8000 of 0.1 V is -3276.8 V.
            guard case .value(let power, _)? = exponent, let register = point.register else { return raw }
            guard case .absent = register.content(shifted(raw, -power).rounded()), register != .acc32 else {
                return raw
            }
            notes.append("\(name): \(raw) is the sentinel, scaled: not implemented")
            return nil
        }
        switch exponent {
        case .value(let power, let remark)?:
            if let remark { notes.append("\(point.scale): \(remark)") }
            return shifted(raw, power)
        case .absent?, nil:
            sample.distrust(quantity)
            notes.append("\(name): \(point.scale) is not there, so its unit is not known: left out")
        case .impossible(let what)?:
            sample.distrust(quantity)
            notes.append("\(name): \(point.scale) \(what): INVALID, left out")
        }
        return nil
    }

    /// A fraction is no register: somebody has applied the scale factor before.
    private func hint(_ json: JSON?) -> String {
        guard let raw = json?.decimal, raw.isFinite, raw != raw.rounded() else { return "" }
        return "; if scale factors are applied already, say \"scaled\":true"
    }
}
