/// Three months of the year, the same in both hemispheres.
public enum Season: String, Sendable, Codable, CaseIterable {
    case decemberToFebruary = "dec_feb"
    case marchToMay = "mar_may"
    case juneToAugust = "jun_aug"
    case septemberToNovember = "sep_nov"

    /// - Parameter month: 1 to 12.
    public init(month: Int) { self = Self.allCases[month % 12 / 3] }
}

/// Net load of the days of one type, by local quarter hour.
public struct DayShape: Sendable, Codable, Equatable {
    /// `weekday`, `saturday`, `sunday`.
    public var dayType: String
    /// `nil`: of the whole range.
    public var season: Season?
    /// `nil`: whatever the sky was.
    public var sky: DailySky?
    public var days: Int
    /// W, 96 each; `nil` where no day had the quarter.
    public var p10W, medianW, p90W: [Double?]
    /// Of the median: lowest from 10 to 16 h, largest rise within three hours, highest.
    public var bellyW, rise3hW, neckW: Double?
    /// Local quarter hours, as `11:00`, at which the median turns negative and back.
    public var reversalFrom, reversalUntil: String?

    /// Fewer days of a season, or of a season and a sky, have no shape of their own.
    static let neededDays = 3
    private static let types = [("weekday", 1...5), ("saturday", 6...6), ("sunday", 7...7)]

    static func ofTypes(_ rows: [QuarterHour]) -> [DayShape] {
        types.compactMap { name, days in DayShape(name, rows.filter { days.contains($0.weekday) }) }
    }

    static func ofSeasons(_ rows: [QuarterHour], _ skies: [Int: DailySky]) -> [DayShape] {
        var made: [DayShape] = []
        for (name, days) in types {
            for season in Season.allCases {
                let ofSeason = rows.filter { days.contains($0.weekday) && Season(month: $0.month) == season }
                for sky in [nil] + DailySky.allCases.map(Optional.some) {
                    let chosen = sky == nil ? ofSeason : ofSeason.filter { skies[$0.day] == sky }
                    guard var shape = DayShape(name, chosen), shape.days >= neededDays else { continue }
                    (shape.season, shape.sky) = (season, sky)
                    made.append(shape)
                }
            }
        }
        return made
    }

    private init?(_ name: String, _ rows: [QuarterHour]) {
        guard !rows.isEmpty else { return nil }
        var quarters = [[Double]](repeating: [], count: 96)
        for row in rows { quarters[row.quarter].append(row.net) }
        for place in quarters.indices { quarters[place].sort() }
        // To the watt: there are up to sixty of them in an answer.
        func curve(_ share: Double) -> [Double?] {
            quarters.map { FeederStatistics.quantile($0, share)?.rounded() }
        }
        let median = curve(0.5)
        let rises = (0..<84).compactMap { start in
            median[start].flatMap { low in median[start + 12].map { $0 - low } }
        }
        let negative = median.indices.filter { median[$0].map { $0 < 0 } ?? false }
        func clock(_ quarter: Int) -> String {
            let (hour, minute) = (quarter / 4, quarter % 4 * 15)
            return "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute)"
        }
        dayType = name
        // From three o'clock on no quarter hour comes twice a day, not even when the clocks go back.
        days = max(1, quarters[12...].map(\.count).max() ?? 1)
        (p10W, medianW, p90W) = (curve(0.1), median, curve(0.9))
        bellyW = median[40..<64].compactMap { $0 }.min()
        rise3hW = rises.max()
        neckW = median.compactMap { $0 }.max()
        reversalFrom = negative.first.map(clock)
        reversalUntil = negative.last.map { clock($0 + 1) }
    }
}
