/// EN 50160 by the week, from ten-minute means (`domain-rules.md` B.2.1).
public struct VoltageCompliance: Sendable, Codable, Equatable {
    /// Windows of one point and local week.
    public struct Week: Sendable, Codable, Equatable {
        public enum Result: String, Sendable, Codable {
            case passes, fails
            case notAssessable = "not_assessable"
        }
        public var device: String
        /// Monday, local date.
        public var week: String
        /// Ten-minute windows with data; within ±10 %; within +10/-15 % (low voltage) or ±15 % (medium).
        public var valid, inner, outer: Int
        /// Percent of the valid ones within ±10 %.
        public var compliancePct: Double?
        public var result: Result
    }

    /// Ten-minute windows of a week, and the part that must be valid.
    public static let windows = 1008
    static let needed = 0.9

    public var weeks: [Week]
    public var passed, failed, notAssessable: Int

    public init(_ weeks: [Week]) {
        self.weeks = weeks
        passed = weeks.filter { $0.result == .passes }.count
        failed = weeks.filter { $0.result == .fails }.count
        notAssessable = weeks.count - passed - failed
    }

    /// - Parameter isLowVoltage: up to 1 kV; there 95 % of the week must be within ±10 %, in medium voltage 99 %.
    public static func week(
        device: String, week: String, valid: Int, inner: Int, outer: Int, isLowVoltage: Bool
    ) -> Week {
        let share = valid > 0 ? Double(inner) / Double(valid) * 100 : nil
        var result = Week.Result.notAssessable
        if let share, Double(valid) >= needed * Double(windows) {
            result = share >= (isLowVoltage ? 95 : 99) && outer == valid ? .passes : .fails
        }
        return Week(
            device: device, week: week, valid: valid, inner: inner, outer: outer,
            compliancePct: share.map { ($0 * 100).rounded() / 100 }, result: result)
    }
}
