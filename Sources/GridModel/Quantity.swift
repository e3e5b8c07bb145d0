/// What a sample may carry. Raw values are the column order of every decoder and of `sample_extra.quantity`.
///
/// Power and energy are W, var, Wh; voltage is V (line to line above 1 kV, line to neutral below); current A.
@frozen
public enum Quantity: Int, CaseIterable, Sendable {
    case activePower, reactivePower, voltage, current, frequency, stateOfCharge, interval, limit
    case activePowerA, activePowerB, activePowerC
    case reactivePowerA, reactivePowerB, reactivePowerC
    case voltageA, voltageB, voltageC
    case currentA, currentB, currentC
    case energyImported, energyExported, tapPosition

    /// ``rawValue``, without a call: raw values are the cases' order.
    @inlinable
    public var place: Int { Int(unsafeBitCast(self, to: UInt8.self)) }
    @inlinable
    public var bit: UInt32 { 1 << UInt32(truncatingIfNeeded: place) }

    /// The name with its unit, as in JSON, SQL and `rejected_sample.detail`.
    public var name: String {
        switch self {
        case .activePower: "active_power_w"
        case .reactivePower: "reactive_power_var"
        case .voltage: "voltage_v"
        case .current: "current_a"
        case .frequency: "frequency_hz"
        case .stateOfCharge: "state_of_charge_pct"
        case .interval: "interval_s"
        case .limit: "limit_w"
        case .activePowerA: "active_power_a_w"
        case .activePowerB: "active_power_b_w"
        case .activePowerC: "active_power_c_w"
        case .reactivePowerA: "reactive_power_a_var"
        case .reactivePowerB: "reactive_power_b_var"
        case .reactivePowerC: "reactive_power_c_var"
        case .voltageA: "voltage_a_v"
        case .voltageB: "voltage_b_v"
        case .voltageC: "voltage_c_v"
        case .currentA: "current_a_a"
        case .currentB: "current_b_a"
        case .currentC: "current_c_a"
        case .energyImported: "energy_imported_wh"
        case .energyExported: "energy_exported_wh"
        case .tapPosition: "tap_position"
        }
    }
}

/// Where a switch stands.
public enum SwitchPosition: UInt8, Sendable, Codable, CaseIterable {
    case open = 1
    case closed, intermediate, unknown

    public var name: String {
        switch self {
        case .open: "open"
        case .closed: "closed"
        case .intermediate: "intermediate"
        case .unknown: "unknown"
        }
    }

    public init?(name: some StringProtocol) {
        guard let value = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = value
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Self(name: text) else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "expected open, closed, intermediate or unknown, got \"\(text)\""))
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(name)
    }
}
