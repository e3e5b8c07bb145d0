internal import Foundation

/// Where the sun stands, to a tenth of a degree (the low-precision formulas of the Astronomical Almanac).
public enum Sun {
    /// Degrees above the horizon.
    ///
    /// - Parameters:
    ///   - longitude: degrees, east positive.
    ///   - latitude: degrees, north positive.
    public static func elevation(at time: Timestamp, longitude: Double, latitude: Double) -> Double {
        let radian = Double.pi / 180
        // Days since 2000-01-01T12:00:00Z.
        let days = Double(time.microseconds) / 86_400e6 - 10_957.5
        let anomaly = (357.529 + 0.985_600_28 * days) * radian
        let mean = 280.459 + 0.985_647_36 * days
        let ecliptic = (mean + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly)) * radian
        let obliquity = (23.439 - 0.000_000_36 * days) * radian
        let ascension = atan2(cos(obliquity) * sin(ecliptic), cos(ecliptic))
        let declination = asin(sin(obliquity) * sin(ecliptic))
        let sidereal = (18.697_374_558 + 24.065_709_824_419_08 * days) * 15 * radian
        let hourAngle = sidereal + longitude * radian - ascension
        let latitude = latitude * radian
        return asin(sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hourAngle)) / radian
    }

    /// Whether there is any daylight, civil twilight included, from one time to another.
    public static func shines(from start: Timestamp, to end: Timestamp, longitude: Double, latitude: Double) -> Bool {
        var time = start
        while time <= end {
            if elevation(at: time, longitude: longitude, latitude: latitude) > -6 { return true }
            time = time + 900
        }
        return elevation(at: end, longitude: longitude, latitude: latitude) > -6
    }
}
