public import GridModel

/// A quarter hour of a feeder as the profiles have it, with its place in the local day.
public struct QuarterHour: Sendable, Equatable {
    public var time: Timestamp
    /// Local civil time: month 1 to 12, quarter of the day 0 to 95, day of the week 1 (Monday) to 7.
    public var month, quarter, weekday: Int
    /// Local date, in days since 1970.
    public var day: Int
    /// W at the head, FLOW; NaN not known.
    public var net: Double
    /// W of native load; NaN not known.
    public var native: Double
    /// W, INJ.
    public var photovoltaic, charger: Double
    /// Wh that flowed back; finer than the mean of the quarter.
    public var reverseEnergy: Double
    /// 0 to 1: with head data; DER rating that reported.
    public var headCoverage, derCoverage: Double
    /// Part of its rating that a level PV plant gives in the middle of the quarter hour under a clear sky; NaN not known.
    public var clearSky: Double
    /// Switching had moved load or DER here or away: no measure of what the feeder is.
    public var isSwitched: Bool

    public init(
        time: Timestamp, month: Int, quarter: Int, weekday: Int, day: Int, net: Double, native: Double,
        photovoltaic: Double, charger: Double, reverseEnergy: Double, headCoverage: Double = 1,
        derCoverage: Double = 1, clearSky: Double = .nan, isSwitched: Bool = false
    ) {
        self.time = time
        self.month = month
        self.quarter = quarter
        self.weekday = weekday
        self.day = day
        self.net = net
        self.native = native
        self.photovoltaic = photovoltaic
        self.charger = charger
        self.reverseEnergy = reverseEnergy
        self.headCoverage = headCoverage
        self.derCoverage = derCoverage
        self.clearSky = clearSky
        self.isSwitched = isSwitched
    }
}
