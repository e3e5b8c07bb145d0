internal import Foundation
public import GridModel

/// A reading of another standard as a sample of ours: canonical quantities, units and signs. Network points are FLOW
/// (positive away from the substation), DER terminals INJ (positive into the grid).
public struct AdaptedSample: Sendable, Equatable {
    public var device: String
    public var time: Timestamp
    public var values: [Quantity: Double] = [:]
    public var quality: Quality = []
    /// A word of the telemetry protocol, such as `running`.
    public var state: String?

    init(device: String, time: Timestamp) {
        self.device = device
        self.time = time
    }

    var isEmpty: Bool { values.isEmpty && state == nil }

    /// One sample as the protocol's JSON has it, on one line.
    public var json: String {
        var fields = ["\"device\":\"\(device)\"", "\"time\":\(time.microseconds)"]
        for quantity in Quantity.allCases {
            if let value = values[quantity], Self.phases[quantity] == nil, !Self.isPhase(quantity) {
                fields.append("\"\(quantity.name)\":\(Self.text(value))")
            }
        }
        for (total, phases) in Self.phases.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let list = phases.map { values[$0].map(Self.text) ?? "null" }
            // Total and phases share a field: the phases say more, if none of them is missing.
            if !list.contains("null") || values[total] == nil && list.contains(where: { $0 != "null" }) {
                fields.append("\"\(total.name)\":[\(list.joined(separator: ","))]")
            } else if let value = values[total] {
                fields.append("\"\(total.name)\":\(Self.text(value))")
            }
        }
        if let state { fields.append("\"state\":\"\(state)\"") }
        let words = Quality.names.enumerated().filter { quality.rawValue & 1 << UInt16($0.offset) != 0 }.map {
            "\"\($0.element)\""
        }
        if !words.isEmpty { fields.append("\"quality\":[\(words.joined(separator: ","))]") }
        return "{\(fields.joined(separator: ","))}"
    }

    /// A total and its phases, which share a field of the protocol.
    static let phases: [Quantity: [Quantity]] = [
        .activePower: [.activePowerA, .activePowerB, .activePowerC],
        .reactivePower: [.reactivePowerA, .reactivePowerB, .reactivePowerC],
        .voltage: [.voltageA, .voltageB, .voltageC], .current: [.currentA, .currentB, .currentC],
    ]

    private static func isPhase(_ quantity: Quantity) -> Bool { phases.values.contains { $0.contains(quantity) } }

    /// Ten digits: what a register holds, without the tail of a binary fraction.
    private static func text(_ value: Double) -> String {
        let rounded = (value * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int64(rounded)) : String(rounded)
    }
}

/// What became of one reading.
public struct Adapted: Sendable, Equatable {
    public var samples: [AdaptedSample] = []
    /// Everything that was left out or changed, with the reason: never silently.
    public var notes: [String] = []

    /// The samples without what would cost their other values the use: the service judges a sample as a whole, so that
    /// one value out of its range would take the power beside it along.
    func settled() throws(AdapterMistake) -> Adapted {
        var result = Adapted(notes: notes)
        for var sample in samples {
            sample.settle(&result.notes)
            if !sample.isEmpty { result.samples.append(sample) }
        }
        var said: Set<String> = []
        result.notes = result.notes.filter { said.insert($0).inserted }
        guard !result.samples.isEmpty else {
            throw AdapterMistake(
                result.notes.isEmpty ? "no value" : "no value left: \(result.notes.joined(separator: "; "))")
        }
        return result
    }
}

extension AdaptedSample {
    /// s: no mean is over more than a day, as in the service.
    static let longestInterval = 86_400.0
    /// Hz, as in the service: beyond is no frequency of a grid.
    static let frequencies = 40.0...72.0
    /// How far a total may be from the sum of its phases: a share of the sum, and W or var.
    private static let phaseTolerance = (share: 0.05, absolute: 50.0)

    fileprivate mutating func settle(_ notes: inout [String]) {
        for (quantity, value) in values.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            // -0 of a subtraction or of a turned sign is 0.
            values[quantity] = value + 0
            if let complaint = Self.complaint(quantity, value) {
                values[quantity] = nil
                distrust(quantity)
                notes.append("\(quantity.name): \(complaint): left out")
            }
        }
        for total in [Quantity.activePower, .reactivePower] {
            let parts = (Self.phases[total] ?? []).compactMap { values[$0] }
            guard parts.count == 3, let whole = values[total] else { continue }
            let sum = parts.reduce(0, +)
            if abs(whole - sum) > max(Self.phaseTolerance.share * abs(sum), Self.phaseTolerance.absolute) {
                quality.insert(.questionable)
                notes.append(
                    "\(total.name): the total is \(Self.text(whole)), its phases add up to \(Self.text(sum)): QUESTIONABLE"
                )
            }
        }
    }

    /// Why a sample cannot carry a value; `nil` when it can. Values travel and are stored in single precision.
    private static func complaint(_ quantity: Quantity, _ value: Double) -> String? {
        guard Float(value).isFinite else { return "\(value) is more than a sample can carry" }
        switch quantity {
        case .stateOfCharge where !(0...100).contains(value): return "\(text(value)) % is no state of charge"
        // Asleep, an inverter measures no frequency and says 0.
        case .frequency where !frequencies.contains(value): return "\(text(value)) Hz is no frequency of a grid"
        case .interval where value <= 0 || value > longestInterval: return "\(text(value)) s is no interval of a mean"
        case .voltage, .voltageA, .voltageB, .voltageC:
            return value < 0 ? "\(text(value)) V is no magnitude" : nil
        default: return nil
        }
    }

    /// A value that cannot be was left out. Of the power it makes the sample INVALID; of anything else it does not take
    /// the power along.
    mutating func distrust(_ quantity: Quantity?) {
        switch quantity {
        case .activePower: quality.insert(.invalid)
        case .frequency, .interval: break
        default: quality.insert(.questionable)
        }
    }

    /// How a device below 1 kV is connected.
    enum Wiring { case one, split, three }

    /// Voltages as a sample has them: line to neutral up to 1 kV between the lines, line to line above.
    ///
    /// - Parameters:
    ///   - neutral: V to neutral of A, B and C. `lines`: V of AB, BC and CA. The means of both as the device gives them.
    mutating func setVoltage(
        neutral: [Double?], lines: [Double?], neutralMean: Double?, lineMean: Double?, _ wiring: Wiring,
        _ notes: inout [String]
    ) {
        var neutral = neutral
        if wiring != .three, neutral.contains(where: { ($0 ?? 0) > 0 }) {
            // A phase that such a device has not is 0 in some, and the sentinel in others.
            neutral = neutral.map { $0 == 0 ? nil : $0 }
        }
        let (toNeutral, between) = (neutral.compactMap { $0 }, lines.compactMap { $0 })
        func mean(_ list: [Double]) -> Double? { list.isEmpty ? nil : list.reduce(0, +) / Double(list.count) }
        let root = 3.0.squareRoot()
        let highest = between.max() ?? lineMean ?? (toNeutral.max() ?? neutralMean).map { $0 * root } ?? 0
        if highest > 1000 {
            if between.count == 3 {
                (values[.voltageA], values[.voltageB], values[.voltageC]) = (between[0], between[1], between[2])
            } else if let found = mean(between) ?? lineMean {
                values[.voltage] = found
            } else if let found = mean(toNeutral) ?? neutralMean {
                values[.voltage] = found * root
                quality.insert(.estimated)
                notes.append("voltage: turned into line to line, phases taken as balanced: ESTIMATED")
            }
            return
        }
        if !toNeutral.isEmpty {
            (values[.voltageA], values[.voltageB], values[.voltageC]) = (neutral[0], neutral[1], neutral[2])
        } else if let neutralMean {
            values[.voltage] = neutralMean
        } else if let found = mean(between) ?? lineMean {
            guard wiring != .one else {
                return notes.append("voltage: one phase between lines, whose voltage to neutral is not known: left out")
            }
            values[.voltage] = wiring == .split ? found / 2 : found / root
            quality.insert(.estimated)
            notes.append("voltage: turned into line to neutral, phases taken as balanced: ESTIMATED")
        }
    }
}

/// A reading that is no sample.
public struct AdapterMistake: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// The standards that are understood.
public enum SourceStandard: String, Sendable, CaseIterable {
    case sunspec
    case ieee2030_5 = "ieee2030.5"
    case ocpp

    /// Turns one reading, a JSON object, into samples.
    ///
    /// - Parameter now: the time when the reading came, where that is known: a period that ends later is not over.
    public func adapt(_ json: [UInt8], now: Timestamp? = nil) throws(AdapterMistake) -> Adapted {
        var parser = JSONParser(json)
        let fields = Fields(try parser.document())
        var adapted =
            switch self {
            case .sunspec: try SunSpecReading.adapt(fields)
            case .ieee2030_5: try IEEE20305Reading.adapt(fields, now: now)
            case .ocpp: try OCPPReading.adapt(fields)
            }
        adapted.notes = parser.notes + adapted.notes
        return try adapted.settled()
    }

    /// The Markdown table in `docs/adapters.md`: how each field of the standard is treated.
    public var fieldTable: String {
        switch self {
        case .sunspec: SunSpecReading.fieldTable
        case .ieee2030_5: IEEE20305Reading.fieldTable
        case .ocpp: OCPPReading.fieldTable
        }
    }
}

/// Words of the protocol for operating states, in the order of SunSpec 101–103 from 1, which IEEE 2030.5 shares.
let operatingStates = [
    1: "off", 2: "sleeping", 3: "starting", 4: "running", 5: "throttled", 6: "shutting_down", 7: "fault",
    8: "standby", 9: "test",
]

/// number × 10^power. Divided where the power is negative: 2301 of tenths is 230.1, and not a little more.
func shifted(_ number: Double, _ power: Double) -> Double {
    power < 0 ? number / pow(10, -power) : number * pow(10, power)
}
