/// One run of a feeder's forecast: what was known, and what is expected 15, 30, 45 and 60 min later.
///
/// Numbers are `Float`, as they are stored: an analyser that learns from stored runs learns exactly what it learned live.
/// Powers W; FLOW at the head (negative: reverse), INJ for DER. `NaN`: not known.
public struct ForecastRun: Sendable, Equatable {
    public enum Method: String, Sendable { case profile, persistence }

    /// What kind of sky errors are compared with; `dark`: next to no sun at the time that is forecast.
    public enum Sky: Int, Sendable, CaseIterable { case clear, mixed, overcast, dark }

    public struct Horizon: Sendable, Equatable {
        /// s after the run.
        public var seconds: Double
        public var load, photovoltaic: Float
        /// What load and sun say, whichever method was used: its skill is known even while it is not trusted.
        public var model: Float
        public var method: Method
        public var sky: Sky
        /// Net power at ``ForecastRun/levels``.
        public var quantiles: [Float]
        /// Probabilities that the head feeds back more than its threshold, carries more than its rating, and more than
        /// its emergency rating.
        public var reverse, overload, emergency: Float

        public init(
            seconds: Double, load: Float, photovoltaic: Float, model: Float, method: Method, sky: Sky,
            quantiles: [Float], reverse: Float, overload: Float, emergency: Float
        ) {
            self.seconds = seconds
            self.load = load
            self.photovoltaic = photovoltaic
            self.model = model
            self.method = method
            self.sky = sky
            self.quantiles = quantiles
            self.reverse = reverse
            self.overload = overload
            self.emergency = emergency
        }
    }

    /// s (`domain-rules.md` B.5).
    public static let horizons = [900.0, 1800, 2700, 3600]
    public static let cadence = 300.0
    /// Of ``Horizon/quantiles``.
    public static let levels = [0.05, 0.20, 0.50, 0.80, 0.95]
    /// s: what is learned from lies this far apart. Runs in between would say the same again.
    public static let lesson = 900.0

    public var feeder: String
    public var area: String
    public var madeAt: Timestamp
    /// Means of the last five minutes.
    public var net, native: Float
    /// Mean of the last half hour, the rating of all PV, and what is neither load nor PV.
    public var photovoltaic, photovoltaicRating, other: Float
    /// 0 to 1.2: PV over what a clear sky would give.
    public var clearness: Float
    /// Switching had given the feeder other load or DER than it has normally: nothing is learned.
    public var isSwitched: Bool
    public var horizons: [Horizon]

    public init(
        feeder: String, area: String, madeAt: Timestamp, net: Float, native: Float, photovoltaic: Float,
        photovoltaicRating: Float, other: Float, clearness: Float, isSwitched: Bool, horizons: [Horizon]
    ) {
        self.feeder = feeder
        self.area = area
        self.madeAt = madeAt
        self.net = net
        self.native = native
        self.photovoltaic = photovoltaic
        self.photovoltaicRating = photovoltaicRating
        self.other = other
        self.clearness = clearness
        self.isSwitched = isSwitched
        self.horizons = horizons
    }

    public var isLesson: Bool { madeAt.microseconds % Int64(Self.lesson * 1e6) == 0 }

    /// What a horizon's errors are measured against: the net power of the method that was used.
    public func centre(_ horizon: Horizon) -> Float { horizon.method == .persistence ? net : horizon.model }
}
