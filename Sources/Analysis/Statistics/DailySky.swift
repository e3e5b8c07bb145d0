/// The sky of a whole local day, as the feeder's PV saw it.
public enum DailySky: String, Sendable, Codable, CaseIterable {
    case clear, mixed, overcast

    /// Part of the quarter hours that must be valid for a day to count.
    static let neededOfDay = 0.8
    /// Days that are looked at before and after a day to know what a clear one gives, and how many of these must be known.
    static let window = 15
    static let neededDays = 10

    /// - Parameter ofClear: the day's PV energy over that of a clear one; limits of `domain-rules.md` B.5.
    public init(ofClear: Double) { self = ofClear > 0.9 ? .clear : ofClear < 0.4 ? .overcast : .mixed }

    /// Judges each day that is known well enough, by local date in days since 1970.
    ///
    /// What the PV gives under a clear sky is not known, with its tilts, losses and shadows: it is the second highest day of a month
    /// around, each over what the sun would have given a level plane. (The highest may be bad data.)
    public static func judge(_ rows: [QuarterHour]) -> [Int: DailySky] {
        var days: [Int: (valid: Int, energy: Double, sun: Double)] = [:]
        for row in rows
        where row.derCoverage >= FeederStatistics.neededOfFleet && !row.photovoltaic.isNaN && !row.clearSky.isNaN
            && !row.isSwitched
        {
            let old = days[row.day] ?? (0, 0, 0)
            days[row.day] = (old.valid + 1, old.energy + row.photovoltaic, old.sun + row.clearSky)
        }
        let yields = days.filter { Double($0.value.valid) >= neededOfDay * 96 && $0.value.sun > 0 }
            .mapValues { $0.energy / $0.sun }
        return yields.reduce(into: [:]) { skies, day in
            let around = (day.key - window...day.key + window).compactMap { yields[$0] }.sorted(by: >)
            guard around.count >= neededDays, around[1] > 0 else { return }
            skies[day.key] = DailySky(ofClear: day.value / around[1])
        }
    }
}
