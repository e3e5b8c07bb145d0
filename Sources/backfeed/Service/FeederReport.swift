internal import Analysis
internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// Reads what the statistics of a feeder are made of.
enum FeederReport {
    /// Days of the range, unless it is given.
    static let standardDays = 365.0
    /// Weeks of voltage at its end: they are made of the samples, not of the profiles.
    private static let voltageWeeks = 4.0
    private static let week = 7 * 86_400.0

    /// - Parameters:
    ///   - network: in force now; of earlier times it is looked up which network was.
    /// - Returns: `nil`: the feeder has no profile.
    static func make(
        _ feeder: String, from: Timestamp?, until: Timestamp?, zone: String, place: Network.Place?,
        network: StoredNetwork, _ queries: inout Queries
    ) throws -> FeederStatistics? {
        guard let range = try queries.profileRange(feeder: feeder) else { return nil }
        let until = (until ?? range.last + 60).floored(toSeconds: 900)
        let from = (from ?? max(range.first, until - standardDays * 86_400)).floored(toSeconds: 900)
        var rows: [QuarterHour] = []
        try queries.quarterHours(feeder: feeder, from: from, until: until, zone: zone) { row in
            if let made = quarterHour(row, place) { rows.append(made) }
            return true
        }
        var ratings = FeederStatistics.Ratings(photovoltaic: 0, charger: 0, generation: 0)
        // By time: DER that an import added or removed count for as long as they were here.
        let history = try queries.networks(from: from, until: until, known: network)
        for (device, stay) in history.stays(at: feeder, from: from, until: until) where device.kind.isDER {
            let rating = device.rating * (stay.until - stay.from) / (until - from)
            switch device.kind {
            case .electricVehicleCharger: ratings.charger += rating
            case .photovoltaic:
                ratings.photovoltaic += rating
                ratings.generation += rating
            default: ratings.generation += rating
            }
        }
        var made = FeederStatistics(
            feeder: feeder, from: from, until: until, rows: rows, ratings: ratings,
            spring: (place?.latitude ?? 0) < 0 ? .septemberToNovember : .marchToMay)
        let points = history.stays(at: feeder, from: max(from, until - voltageWeeks * week), until: until)
        let weeks = try queries.voltageWeeks(of: points.map(\.stay).filter { $0.voltageBase > 0 }, zone: zone)
        made.voltage = VoltageCompliance(
            weeks.compactMap { row in
                guard let device = row[0], let monday = row[1], let valid = row[3].flatMap({ Int($0) }),
                    let inner = row[4].flatMap({ Int($0) }), let outer = row[5].flatMap({ Int($0) })
                else { return nil }
                return VoltageCompliance.week(
                    device: device, week: monday, valid: valid, inner: inner, outer: outer, isLowVoltage: row[2] == "t")
            })
        return made
    }

    private static func quarterHour(_ row: [String?], _ place: Network.Place?) -> QuarterHour? {
        func number(_ place: Int) -> Double { row[place].flatMap { Double($0) } ?? .nan }
        func integer(_ place: Int) -> Int { row[place].flatMap { Int($0) } ?? 0 }
        guard let time = row[0].flatMap({ Timestamp($0) }) else { return nil }
        let clearSky = place.map {
            ForecastRules.clearSky(
                elevation: Sun.elevation(at: time + 450, longitude: $0.longitude, latitude: $0.latitude))
        }
        return QuarterHour(
            time: time, month: integer(1), quarter: integer(2), weekday: integer(3), day: integer(12), net: number(4),
            native: number(5), photovoltaic: number(6), charger: number(7),
            reverseEnergy: row[8].flatMap { Double($0) } ?? 0, headCoverage: number(9), derCoverage: number(10),
            clearSky: clearSky ?? .nan, isSwitched: row[11] == "t")
    }
}

extension ServiceBackend {
    func statistics(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String? {
        guard live.graph.feederIndex[feeder] != nil else { return nil }
        return try sessions.use { queries throws in
            guard
                let made = try FeederReport.make(
                    feeder, from: from, until: until, zone: settings.text("site.time_zone"),
                    place: settings.flag("site.sun") ? live.stored.network.centre : nil, network: live.stored,
                    &queries)
            else { throw APIError.notFound("feeder \(feeder) has no profile yet") }
            return JSONCoding.encode(made)
        }
    }
}
