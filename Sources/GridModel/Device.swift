/// What a device is, which decides its sign frame, its expected interval and how late it may be.
public enum DeviceKind: String, Sendable, Codable, CaseIterable {
    case photovoltaic = "pv"
    case battery
    case electricVehicleCharger = "ev_charger"
    case wind, biomass, hydro
    case otherGenerator = "other"
    case feederHead = "feeder_head"
    case voltageMeter = "voltage_meter"
    case switchStatus = "switch"
    /// Measures at a line's voltage regulator, a recloser, the low side of a service transformer: FLOW.
    case regulator, recloser
    case transformerMeter = "transformer_meter"

    /// Distributed energy resource: its power is INJ, positive into the grid.
    public var isDER: Bool {
        switch self {
        case .feederHead, .voltageMeter, .switchStatus, .regulator, .recloser, .transformerMeter: false
        default: true
        }
    }

    /// Utility telemetry: sampled by the second, small latency.
    public var isSCADA: Bool {
        switch self {
        case .feederHead, .switchStatus, .regulator, .recloser, .wind, .biomass, .hydro: true
        default: false
        }
    }

    /// Seconds between samples when nothing better is known.
    public var expectedInterval: Double {
        switch self {
        case .feederHead, .wind, .biomass, .hydro: 5
        case .regulator, .recloser: 10
        case .voltageMeter: 60
        // Meters are mostly read by the quarter hour.
        case .transformerMeter: 900
        case .battery: 30
        // Aggregators may report a quiet device only every five minutes (IEEE 2030.5 default post rate).
        case .photovoltaic, .electricVehicleCharger, .otherGenerator: 300
        case .switchStatus: 0
        }
    }
}

/// A measuring point known from the network: a DER, a feeder head, a voltage meter, a switch, a device on a line.
public struct Device: Hashable, Sendable, Codable {
    public var name: String
    public var kind: DeviceKind
    /// Node the device is at; empty for switches.
    public var node: String
    /// Feeder in the normal switching state; empty at the substation.
    public var normalFeeder: String
    /// Low-voltage grid, empty on MV.
    public var lowVoltageArea: String
    public var area: String
    /// W, the AC rating; for a feeder head and what stands on a line or at a transformer the rating there in VA; 0 unknown.
    public var rating: Double
    /// V, the base of its per-unit voltage: line to line above 1 kV, line to neutral below.
    public var voltageBase: Double

    public init(
        name: String, kind: DeviceKind, node: String, normalFeeder: String, lowVoltageArea: String, area: String,
        rating: Double, voltageBase: Double
    ) {
        self.name = name
        self.kind = kind
        self.node = node
        self.normalFeeder = normalFeeder
        self.lowVoltageArea = lowVoltageArea
        self.area = area
        self.rating = rating
        self.voltageBase = voltageBase
    }
}
