public import GridModel

/// Power of a fleet by kind, W, INJ.
public struct FleetPower: Sendable, Equatable {
    public var photovoltaic = 0.0
    public var battery = 0.0
    public var charger = 0.0
    public var other = 0.0

    public init() {}

    public var total: Double { photovoltaic + battery + charger + other }

    public subscript(kind: DeviceKind) -> Double {
        get {
            switch kind {
            case .photovoltaic: photovoltaic
            case .battery: battery
            case .electricVehicleCharger: charger
            default: other
            }
        }
        set {
            switch kind {
            case .photovoltaic: photovoltaic = newValue
            case .battery: battery = newValue
            case .electricVehicleCharger: charger = newValue
            default: other = newValue
            }
        }
    }
}

/// One minute of one feeder as the store keeps it. A row with another `normalFeeder` holds the DER that switching has
/// moved here; head values stand only where both are equal. `nil`: not known.
public struct FeederMinute: Sendable, Equatable {
    public var feeder: String
    public var normalFeeder: String
    public var area: String
    public var time: Timestamp
    /// W at the head, FLOW.
    public var net: (mean: Double, minimum: Double, maximum: Double)?
    public var reactive: Double?
    /// pu at the head's busbar.
    public var voltage: (mean: Double, minimum: Double, maximum: Double)?
    public var fleet = FleetPower()
    /// W: net plus all injection.
    public var native: Double?
    /// Wh that flowed back in this minute; and forward.
    public var reverseEnergy: Double?
    public var forwardEnergy: Double?
    /// 0 to 1: part of the minute with head data; part of the DER rating that reported.
    public var headCoverage = 0.0
    public var derCoverage = 0.0

    public init(feeder: String, normalFeeder: String, area: String, time: Timestamp) {
        self.feeder = feeder
        self.normalFeeder = normalFeeder
        self.area = area
        self.time = time
    }

    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.feeder == rhs.feeder && lhs.normalFeeder == rhs.normalFeeder && lhs.time == rhs.time
            && lhs.net?.mean == rhs.net?.mean && lhs.net?.minimum == rhs.net?.minimum
            && lhs.net?.maximum == rhs.net?.maximum && lhs.reactive == rhs.reactive
            && lhs.voltage?.mean == rhs.voltage?.mean && lhs.fleet == rhs.fleet && lhs.native == rhs.native
            && lhs.reverseEnergy == rhs.reverseEnergy && lhs.headCoverage == rhs.headCoverage
            && lhs.derCoverage == rhs.derCoverage
    }
}

/// A fixed number of the newest values, by bin number.
struct Ring<Value: Sendable>: Sendable {
    private var values: [Value] = []
    /// Small, because each device has rings.
    private let limit: Int32
    private var capacity: Int { Int(limit) }

    init(capacity: Int) { limit = Int32(capacity) }

    mutating func append(_ value: Value) {
        // Removing in blocks keeps the cost of an append low; small ones, because each device has rings.
        let most = capacity + capacity / 8
        if values.count >= most { values.removeFirst(values.count - capacity + 1) }
        // Doubled memory would be twice what is ever filled.
        if values.count == values.capacity { values.reserveCapacity(min(most, max(4, 2 * values.count))) }
        values.append(value)
    }

    mutating func replaceNewest(_ change: (inout Value) -> Void) {
        if !values.isEmpty { change(&values[values.count - 1]) }
    }

    /// At most `count` newest, oldest first.
    func newest(_ count: Int) -> ArraySlice<Value> { values.suffix(min(count, capacity)) }
    var last: Value? { values.last }
}
