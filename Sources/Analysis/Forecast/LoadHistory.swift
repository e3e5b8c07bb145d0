internal import Foundation
public import GridModel

/// Local civil time, as far as the usual load depends on it. Holidays are not known: they count as the weekday they are.
public struct LocalCalendar: Sendable {
    /// When in the day, in quarter hours from midnight, and what kind of day it is.
    public struct Place: Sendable, Equatable {
        public var quarter: Double
        public var isWeekend: Bool
        public init(quarter: Double, isWeekend: Bool) { (self.quarter, self.isWeekend) = (quarter, isWeekend) }
    }

    private let zone: TimeZone?

    /// - Parameter zone: IANA name.
    public init(zone: String) { self.zone = zone == "UTC" ? nil : TimeZone(identifier: zone) }

    public func place(of time: Timestamp) -> Place {
        let at = Double(time.microseconds) / 1e6
        let local = at + Double(zone?.secondsFromGMT(for: Date(timeIntervalSince1970: at)) ?? 0)
        let day = (local / 86_400).rounded(.down)
        // 1970-01-01 was a Thursday.
        let weekday = (Int(day) + 3) % 7
        return Place(quarter: (local - day * 86_400) / 900, isWeekend: weekday >= 5)
    }
}

/// What a feeder's native load usually is at a quarter hour of the day: the median of the last eight weeks, by weekday and
/// weekend.
struct LoadHistory: Sendable {
    private static let quarters = 96
    /// Days of eight weeks.
    private static let (weekdays, weekendDays) = (40, 16)
    /// Fewer days than this are no usual load.
    private static let fewestDays = 3

    private var values = [[Float]](repeating: [], count: 2 * quarters)

    mutating func add(_ load: Float, at place: LocalCalendar.Place) {
        let slot = Self.slot(Int(place.quarter), place.isWeekend)
        values[slot].append(load)
        if values[slot].count > (place.isWeekend ? Self.weekendDays : Self.weekdays) { values[slot].removeFirst() }
    }

    /// W, between the medians of the quarter hours before and after; `nil`: not known yet.
    func usual(at place: LocalCalendar.Place) -> Double? {
        let first = Int(place.quarter)
        guard let before = median(Self.slot(first, place.isWeekend)) else { return nil }
        let part = place.quarter - Double(first)
        guard part > 0 else { return before }
        guard let after = median(Self.slot((first + 1) % Self.quarters, place.isWeekend)) else { return nil }
        return before + part * (after - before)
    }

    private func median(_ slot: Int) -> Double? {
        let sorted = values[slot].sorted()
        guard sorted.count >= Self.fewestDays else { return nil }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? Double(sorted[middle]) : Double(sorted[middle - 1] + sorted[middle]) / 2
    }

    private static func slot(_ quarter: Int, _ isWeekend: Bool) -> Int {
        min(max(quarter, 0), quarters - 1) + (isWeekend ? quarters : 0)
    }
}
