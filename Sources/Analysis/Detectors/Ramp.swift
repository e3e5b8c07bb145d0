public import GridModel

/// Rules for fast changes of power (`domain-rules.md` B.3.2, B.3.3).
public enum Ramp {
    /// How fast and how far, in per cent of the rating.
    public struct Measure: Sendable, Equatable {
        /// % of rating per minute, signed: positive = more import. Over the long window (5 min).
        public var slope: Double
        /// The same over the last minute; `nil` with too few points.
        public var shortSlope: Double?
        /// % of rating over the long window, signed.
        public var change: Double

        public init(slope: Double, shortSlope: Double? = nil, change: Double) {
            self.slope = slope
            self.shortSlope = shortSlope
            self.change = change
        }

        /// - Parameters:
        ///   - minutes, power: points of the long window, oldest first; power and rating in one unit.
        public init?(minutes: [Double], power: [Double], rating: Double, shortFrom: Int? = nil) {
            guard rating > 0, let slope = Slope.theilSen(minutes, power), let first = power.first, let last = power.last
            else { return nil }
            self.slope = slope / rating * 100
            change = (last - first) / rating * 100
            shortSlope = shortFrom.flatMap { from in
                Slope.theilSen(Array(minutes[from...]), Array(power[from...])).map { $0 / rating * 100 }
            }
        }
    }

    public enum Level: Int, Sendable, Comparable {
        case one = 1, two, three
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
        public var severity: Severity { [.note, .medium, .high][rawValue - 1] }
    }

    /// Whether it goes as far as the lowest level asks, however fast.
    static func isFar(_ measure: Measure, scale: Double) -> Bool { abs(measure.change) / scale >= 8 }

    /// Both gates must open: slope alone chatters, change alone is slow.
    public static func level(_ measure: Measure, scale: Double = 1) -> Level? {
        let slope = abs(measure.slope) / scale
        let short = abs(measure.shortSlope ?? 0) / scale
        let change = abs(measure.change) / scale
        if (slope >= 8 || short >= 10) && change >= 20 { return .three }
        if slope >= 4 && change >= 16 { return .two }
        return slope >= 2 && change >= 8 ? .one : nil
    }

    /// Minutes until |power| meets the rating at this slope; `nil` when it moves away from it.
    public static func minutesToLimit(power: Double, slope: Double, rating: Double) -> Double? {
        if slope > 0 { return max(0, (rating - power) / slope) }
        return slope < 0 ? max(0, (rating + power) / -slope) : nil
    }

    /// One step worse within 5 minutes of the normal rating, two of the emergency rating.
    public static func escalated(
        _ severity: Severity, power: Double, slope: Double, rating: Double, emergencyRating: Double?
    ) -> Severity {
        func near(_ limit: Double?) -> Bool {
            guard let limit, let minutes = minutesToLimit(power: power, slope: slope, rating: limit) else {
                return false
            }
            return minutes <= 5
        }
        return severity.worsened(by: near(emergencyRating) ? 2 : near(rating) ? 1 : 0)
    }

    public enum Cause: String, Sendable {
        case data, reconnect, cloud, ev, battery, switching, unknown
    }

    /// What changed while the head did. Powers in one unit; Δ of injections is INJ, of the head FLOW.
    public struct Circumstances: Sendable {
        public var headChange: Double
        public var photovoltaicChange = 0.0
        public var sitesMovedTogether = 0
        public var chargerChange = 0.0
        public var batteryChange = 0.0
        /// Relative change of the number of reporting devices.
        public var reportingChange = 0.0
        public var headFlagged = false
        public var reconnected = false
        public var switched = false
        public var nearTariffBoundary = false

        public init(headChange: Double) { self.headChange = headChange }
    }

    /// The cause and, where it is a fleet, its share of the ramp. First match wins.
    public static func cause(_ seen: Circumstances) -> (cause: Cause, share: Double?) {
        func share(_ change: Double) -> Double { seen.headChange == 0 ? 0 : -change / seen.headChange }
        if abs(seen.reportingChange) >= 0.1 || seen.headFlagged { return (.data, nil) }
        if seen.reconnected { return (.reconnect, nil) }
        let cloud = share(seen.photovoltaicChange)
        if cloud >= 0.7, seen.sitesMovedTogether >= 3 { return (.cloud, cloud) }
        let charging = share(seen.chargerChange)
        if charging >= 0.5 { return (.ev, charging) }
        if seen.nearTariffBoundary, seen.headChange > 0, abs(cloud) < 0.1 { return (.ev, charging) }
        let storage = share(seen.batteryChange)
        if storage >= 0.5 { return (.battery, storage) }
        return seen.switched ? (.switching, nil) : (.unknown, nil)
    }
}
