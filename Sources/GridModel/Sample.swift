/// One reading as the analyser needs it: canonical units and signs, `NaN` where a quantity is absent.
///
/// A plain value without references: batches of these are moved between threads as one array.
@frozen
public struct Sample: Hashable, Sendable {
    /// Place in ``DeviceRegistry``.
    public var device: Int32
    public var quality: Quality
    /// 0 where the sample carries none, else ``SwitchPosition``'s raw value.
    public var switchPosition: UInt8
    public var time: Timestamp
    /// W; FLOW at network points (positive away from the substation), INJ at DER (positive into the grid).
    public var activePower: Float
    /// var, same frame.
    public var reactivePower: Float
    /// V, as the quantity is defined in ``Quantity/voltage``.
    public var voltage: Float
    /// s; above 0: the value is the mean over the interval that ends at `time`. 0: instantaneous.
    public var interval: Float
    /// %, of a battery or vehicle.
    public var stateOfCharge: Float
    /// W, in the frame of `activePower`: the least of three phases, where all three were sent.
    public var leastPhasePower: Float
    /// %: how much three voltages differ (``PhaseMeasures/unbalance(_:_:_:betweenLines:)``).
    public var unbalance: Float
    /// Steps from neutral, of a regulator.
    public var tapPosition: Float

    @inlinable
    public init(
        device: Int32, time: Timestamp, activePower: Float = .nan, reactivePower: Float = .nan, voltage: Float = .nan,
        interval: Float = 0, stateOfCharge: Float = .nan, leastPhasePower: Float = .nan, unbalance: Float = .nan,
        tapPosition: Float = .nan, quality: Quality = [], switchPosition: SwitchPosition? = nil
    ) {
        self.device = device
        self.quality = quality
        self.switchPosition = switchPosition?.rawValue ?? 0
        self.time = time
        self.activePower = activePower
        self.reactivePower = reactivePower
        self.voltage = voltage
        self.interval = interval
        self.stateOfCharge = stateOfCharge
        self.leastPhasePower = leastPhasePower
        self.unbalance = unbalance
        self.tapPosition = tapPosition
    }
}
