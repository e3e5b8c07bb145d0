public import GridModel

/// What a feeder's past says about it (`domain-rules.md` F), from quarter hours. Pure: the same rows give the same figures.
///
/// A figure that too few valid quarter hours stand behind is `nil`, never a guess; each part carries its completeness.
public struct FeederStatistics: Sendable, Codable, Equatable {
    /// Ratings of the feeder's DER in the normal state, W.
    public struct Ratings: Sendable, Equatable {
        public var photovoltaic, charger: Double
        /// Of all DER that can feed in.
        public var generation: Double
        public init(photovoltaic: Double, charger: Double, generation: Double) {
            self.photovoltaic = photovoltaic
            self.charger = charger
            self.generation = generation
        }
    }

    public struct Point: Sendable, Codable, Equatable {
        public var w: Double
        public var at: Timestamp
    }

    /// Of net and native load. `duration`: exceeded for so many percent of the time.
    public struct Load: Sendable, Codable, Equatable {
        public struct Exceeded: Sendable, Codable, Equatable {
            public var pct, netW, nativeW: Double
        }
        public var completenessPct: Double
        public var netEnergyWh, nativeEnergyWh: Double?
        public var netPeak, netMinimum, nativePeak, nativeMinimum: Point?
        /// Mean over peak, of net load; none of a feeder that feeds back more than it takes.
        public var loadFactor: Double?
        public var duration: [Exceeded]
        /// Percent of the DER rating behind native load that did not report, and was scaled from what did.
        public var estimatedPct: Double?
    }

    /// Native load by day: what an inverter-based fleet can outrun.
    public struct MinimumLoad: Sendable, Codable, Equatable {
        public var completenessPct: Double
        /// Local hours of the window.
        public var fromHour, untilHour: Int
        /// Fifth lowest quarter hour; the lowest ones are mostly bad data.
        public var w, weekendW: Double?
        /// The same on spring days with a clear sky: little load, most sun.
        public var clearSpringW: Double?
        /// ΣDER rating over it: GLR_np.
        public var generationLoadRatio: Double?
    }

    public struct Screen: Sendable, Codable, Equatable {
        public var name: String
        /// W that the DER's rating is compared with; none where there is no load in the range.
        public var limitW, ratingW: Double?
        /// `nil`: not assessable.
        public var exceeded: Bool?
    }

    public struct Reverse: Sendable, Codable, Equatable {
        public struct Cell: Sendable, Codable, Equatable {
            public var month, hour: Int
            public var hours, energyWh: Double
        }
        public var completenessPct: Double
        public var hours, energyWh: Double?
        public var peak: Point?
        /// Local month and hour of day; only those with reverse flow.
        public var byMonthHour: [Cell]
    }

    public struct Ramps: Sendable, Codable, Equatable {
        public var minutes: Int
        public var completenessPct: Double
        /// W by which the net load changed: percentiles 0.1, 1, 99 and 99.9.
        public var extremeDownW, downW, upW, extremeUpW: Double?
    }

    public struct Photovoltaic: Sendable, Codable, Equatable {
        public var completenessPct: Double
        public var energyWh, capacityFactor: Double?
        /// Of native energy; and rating of native peak.
        public var energyPenetrationPct, capacityPenetrationPct: Double?
    }

    public struct Chargers: Sendable, Codable, Equatable {
        public var completenessPct: Double
        public var energyWh: Double?
        /// Highest sum over ΣP_rated.
        public var coincidence: Double?
    }

    public var feeder: String
    public var from, until: Timestamp
    public var load: Load
    public var minimumLoad: MinimumLoad
    public var screens: [Screen]
    public var reverse: Reverse
    public var dayShapes: [DayShape]
    /// The same by three months, and by these and the sky of the day.
    public var seasonalShapes: [DayShape]
    public var ramps: [Ramps]
    public var pv: Photovoltaic
    public var evChargers: Chargers
    /// Of the last four weeks of the range; `nil`: not looked up.
    public var voltage: VoltageCompliance?

    /// Parts of the time that must be valid: for figures of load (F), and for reverse flow (B.1.6).
    static let neededForLoad = 0.95
    static let neededForReverse = 0.9
    /// Part of a quarter hour with head data that makes it valid.
    static let neededInQuarter = 0.5
    /// Part of the DER rating that must report for native load.
    static let neededOfFleet = 0.8
    private static let hours = 0.25

    /// - Parameters:
    ///   - rows: ordered by time, at most one a quarter hour.
    ///   - from: start of the range, which says how many quarter hours there should be.
    ///   - spring: from March to May in the north.
    public init(
        feeder: String, from: Timestamp, until: Timestamp, rows: [QuarterHour], ratings: Ratings,
        spring: Season = .marchToMay
    ) {
        self.feeder = feeder
        self.from = from
        self.until = until
        let expected = max(1, ((until - from) / 900).rounded())
        let valid = rows.filter { !$0.net.isNaN && $0.headCoverage >= Self.neededInQuarter }
        let usual = valid.filter { !$0.isSwitched }
        let known = usual.filter { !$0.native.isNaN && $0.derCoverage >= Self.neededOfFleet }
        let complete = Double(valid.count) / expected
        let completeNative = Double(known.count) / expected
        func percent(_ share: Double) -> Double { (min(1, share) * 1000).rounded() / 10 }

        load = Self.load(usual, known, complete: Double(usual.count) / expected, completeNative)
        let (nativePeak, nativeEnergy) = (load.nativePeak?.w, load.nativeEnergyWh)

        let skies = DailySky.judge(rows)
        let hasNative = completeNative >= Self.neededForLoad
        let window = known.filter { (40..<56).contains($0.quarter) }
        let lowest = hasNative ? Self.fifthLowest(window.map(\.native)) : nil
        minimumLoad = MinimumLoad(
            completenessPct: percent(completeNative), fromHour: 10, untilHour: 14, w: lowest,
            weekendW: hasNative ? Self.fifthLowest(window.filter { $0.weekday >= 6 }.map(\.native)) : nil,
            clearSpringW: hasNative
                ? Self.fifthLowest(
                    window.filter { Season(month: $0.month) == spring && skies[$0.day] == .clear }.map(\.native)) : nil,
            generationLoadRatio: lowest.flatMap { $0 > 0 ? ratings.generation / $0 : nil })
        func screen(_ name: String, _ limit: Double?) -> Screen {
            Screen(
                name: name, limitW: limit, ratingW: ratings.generation, exceeded: limit.map { ratings.generation > $0 })
        }
        screens = [
            screen(
                "15 % of the peak (SGIP, Rule 21 screen M)",
                load.netPeak.flatMap { $0.w > 0 ? 0.15 * $0.w : nil }),
            screen("100 % of the minimum daytime load (SGIP supplemental)", lowest),
            screen(
                "90 % of the lowest native load (ICA)",
                load.nativeMinimum.flatMap { $0.w > 0 ? 0.9 * $0.w : nil }),
        ]

        let hasReverse = complete >= Self.neededForReverse
        let back = valid.filter { $0.net < 0 }
        var cells: [Int: (hours: Double, energy: Double)] = [:]
        for row in valid where row.net < 0 || row.reverseEnergy > 0 {
            let key = row.month * 24 + row.quarter / 4
            cells[key, default: (0, 0)].hours += row.net < 0 ? Self.hours : 0
            cells[key, default: (0, 0)].energy += row.reverseEnergy
        }
        reverse = Reverse(
            completenessPct: percent(complete), hours: hasReverse ? Double(back.count) * Self.hours : nil,
            energyWh: hasReverse ? valid.reduce(0) { $0 + $1.reverseEnergy } : nil,
            peak: hasReverse ? back.min { $0.net < $1.net }.map { Point(w: $0.net, at: $0.time) } : nil,
            byMonthHour: hasReverse
                ? cells.sorted { $0.key < $1.key }.map {
                    .init(month: $0.key / 24, hour: $0.key % 24, hours: $0.value.hours, energyWh: $0.value.energy)
                } : [])

        dayShapes = DayShape.ofTypes(usual)
        seasonalShapes = DayShape.ofSeasons(usual, skies)
        ramps = [15, 60].map { Self.ramps(minutes: $0, usual, expected: expected) }

        let lit = rows.filter { $0.derCoverage >= Self.neededOfFleet && !$0.photovoltaic.isNaN }
        let completeFleet = Double(lit.count) / expected
        let hasFleet = completeFleet >= Self.neededForLoad
        let sun = hasFleet ? lit.reduce(0) { $0 + $1.photovoltaic } * Self.hours : nil
        pv = Photovoltaic(
            completenessPct: percent(completeFleet), energyWh: sun,
            capacityFactor: sun.flatMap {
                ratings.photovoltaic > 0 ? $0 / (ratings.photovoltaic * Double(lit.count) * Self.hours) : nil
            },
            energyPenetrationPct: sun.flatMap { sun in
                nativeEnergy.flatMap { $0 > 0 ? sun / $0 * 100 : nil }
            },
            capacityPenetrationPct: nativePeak.flatMap { $0 > 0 ? ratings.photovoltaic / $0 * 100 : nil })
        evChargers = Chargers(
            completenessPct: percent(completeFleet),
            energyWh: hasFleet ? -lit.reduce(0) { $0 + min(0, $1.charger) } * Self.hours : nil,
            coincidence: hasFleet && ratings.charger > 0
                ? (lit.map { -$0.charger }.max() ?? 0) / ratings.charger : nil)
    }

    // MARK: Parts

    private static func load(
        _ usual: [QuarterHour], _ known: [QuarterHour], complete: Double, _ completeNative: Double
    ) -> Load {
        func point(_ row: QuarterHour?, _ value: KeyPath<QuarterHour, Double>) -> Point? {
            row.map { Point(w: $0[keyPath: value], at: $0.time) }
        }
        var made = Load(
            completenessPct: (min(1, complete) * 1000).rounded() / 10, duration: [])
        guard complete >= neededForLoad, !usual.isEmpty else { return made }
        let sum = usual.reduce(0) { $0 + $1.net }
        made.netEnergyWh = sum * hours
        made.netPeak = point(usual.max { $0.net < $1.net }, \.net)
        made.netMinimum = point(usual.min { $0.net < $1.net }, \.net)
        made.loadFactor = made.netPeak.flatMap { $0.w > 0 && sum > 0 ? sum / Double(usual.count) / $0.w : nil }
        guard completeNative >= neededForLoad else { return made }
        made.nativeEnergyWh = known.reduce(0) { $0 + $1.native } * hours
        made.nativePeak = point(known.max { $0.native < $1.native }, \.native)
        made.nativeMinimum = point(known.min { $0.native < $1.native }, \.native)
        made.estimatedPct = (1 - known.reduce(0) { $0 + $1.derCoverage } / Double(known.count)) * 100
        let (net, native) = (usual.map(\.net).sorted(by: >), known.map(\.native).sorted(by: >))
        made.duration = [0.1, 1, 5, 10, 50, 90, 99].map { pct in
            .init(pct: pct, netW: exceeded(pct, net), nativeW: exceeded(pct, native))
        }
        return made
    }

    /// The value that is exceeded for so many percent of the time: the k-th of N in falling order, k/N at least that.
    private static func exceeded(_ pct: Double, _ falling: [Double]) -> Double {
        let place = Int((pct / 100 * Double(falling.count)).rounded(.up))
        return falling[min(max(place, 1), falling.count) - 1]
    }

    private static func fifthLowest(_ values: [Double]) -> Double? {
        values.count >= 5 ? values.sorted()[4] : nil
    }

    /// Linear between ranks.
    static func quantile(_ sorted: [Double], _ share: Double) -> Double? {
        guard let last = sorted.indices.last else { return nil }
        let place = share * Double(last)
        let low = Int(place)
        return sorted[low] + (place - Double(low)) * (sorted[min(low + 1, last)] - sorted[low])
    }

    private static func ramps(minutes: Int, _ rows: [QuarterHour], expected: Double) -> Ramps {
        let apart = Double(minutes) * 60
        var changes: [Double] = []
        var later = 0
        for row in rows {
            while later < rows.count, rows[later].time - row.time < apart { later += 1 }
            guard later < rows.count else { break }
            if rows[later].time - row.time == apart { changes.append(rows[later].net - row.net) }
        }
        let share = Double(changes.count) / max(1, expected - Double(minutes / 15))
        let sorted = share >= neededForLoad ? changes.sorted() : []
        return Ramps(
            minutes: minutes, completenessPct: (min(1, share) * 1000).rounded() / 10,
            extremeDownW: quantile(sorted, 0.001),
            downW: quantile(sorted, 0.01), upW: quantile(sorted, 0.99), extremeUpW: quantile(sorted, 0.999))
    }
}
