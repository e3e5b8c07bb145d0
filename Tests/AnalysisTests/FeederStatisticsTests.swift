import Analysis
import GridModel
import Testing

/// The test day of `domain-rules.md` F: hourly MW, native load and PV.
private enum TestDay {
    static let native = [
        2.0, 1.9, 1.8, 1.8, 1.9, 2.2, 2.8, 3.2, 3.1, 3.0, 2.9, 2.9, 3.0, 3.0, 3.1, 3.3, 3.7, 4.3, 4.8, 4.6, 4.0, 3.3,
        2.7,
        2.3,
    ]
    static let sun = [
        0, 0, 0, 0, 0, 0, 0.1, 0.6, 1.4, 2.2, 2.9, 3.3, 3.4, 3.3, 2.8, 2.0, 1.1, 0.3, 0, 0, 0, 0, 0, 0,
    ]
    static let start = Timestamp("2026-06-22T00:00:00Z") ?? .distantPast

    static func rows(day: Int = 0) -> [QuarterHour] {
        (0..<96).map { quarter in
            let (native, sun) = (native[quarter / 4] * 1e6, sun[quarter / 4] * 1e6)
            let net = native - sun
            return QuarterHour(
                time: start + Double(day * 96 + quarter) * 900, month: 6, quarter: quarter, weekday: day % 7 + 1,
                day: day, net: net, native: native, photovoltaic: sun, charger: -0.1e6,
                reverseEnergy: max(0, -net) / 4)
        }
    }

    static func statistics(_ rows: [QuarterHour], days: Double = 1) -> FeederStatistics {
        FeederStatistics(
            feeder: "F01", from: start, until: start + days * 86_400, rows: rows,
            ratings: .init(photovoltaic: 4e6, charger: 0.4e6, generation: 4e6))
    }
}

@Suite struct FeederStatisticsTests {
    private func isClose(_ a: Double?, _ b: Double, _ tolerance: Double) -> Bool {
        a.map { abs($0 - b) <= tolerance } ?? false
    }

    @Test func theTestDayIsReproduced() {
        let made = TestDay.statistics(TestDay.rows())
        #expect(isClose(made.load.nativeEnergyWh, 71.6e6, 1))
        #expect(isClose(made.pv.energyWh, 23.4e6, 1))
        #expect(isClose(made.load.netEnergyWh, 48.2e6, 1))
        #expect(isClose(made.reverse.energyWh, 1.1e6, 1))
        #expect(made.reverse.hours == 3)
        #expect(made.reverse.byMonthHour.map(\.hour) == [11, 12, 13])
        #expect(isClose(made.load.netPeak?.w, 4.8e6, 1))
        #expect(made.load.netPeak?.at == TestDay.start + 18 * 3600)
        #expect(isClose(made.load.loadFactor, 0.418, 5e-4))
        let shape = made.dayShapes[0]
        #expect(isClose(shape.bellyW, -0.4e6, 1))
        #expect(isClose(shape.rise3hW, 3.7e6, 1))
        #expect(isClose(shape.neckW, 4.8e6, 1))
        #expect((shape.reversalFrom, shape.reversalUntil) == ("11:00", "14:00"))
        #expect(isClose(made.pv.capacityFactor, 0.244, 5e-4))
        #expect(isClose(made.pv.energyPenetrationPct, 32.7, 0.05))
        #expect(isClose(made.pv.capacityPenetrationPct, 83.3, 0.05))
        #expect(isClose(made.minimumLoad.w, 2.9e6, 1))
        #expect(isClose(made.minimumLoad.generationLoadRatio, 1.38, 5e-3))
        #expect(isClose(made.screens[0].limitW, 0.72e6, 1))
        #expect(made.screens.map(\.exceeded) == [true, true, true])
        #expect(made.evChargers.coincidence == 0.25)
    }

    @Test func whatTooLittleStandsBehindIsNotSaid() {
        var rows = TestDay.rows()
        for place in 0..<6 { rows[place].net = .nan }
        let made = TestDay.statistics(rows)
        // 93.75 %: enough for reverse flow, not for load.
        #expect(made.reverse.hours == 3)
        #expect(made.load.netPeak == nil && made.load.duration.isEmpty)
        #expect(made.minimumLoad.w == nil && made.screens.allSatisfy { $0.exceeded == nil })
        for place in 6..<12 { rows[place].headCoverage = 0.2 }
        let less = TestDay.statistics(rows)
        #expect(less.reverse.hours == nil && less.reverse.energyWh == nil && less.reverse.byMonthHour.isEmpty)
        #expect(less.reverse.completenessPct == 87.5)
        // Rows that are not there at all count as missing, too.
        #expect(TestDay.statistics(TestDay.rows(), days: 2).load.netPeak == nil)
        #expect(TestDay.statistics([]).load.completenessPct == 0)
    }

    /// Days of clear, broken and grey sky, in a year with its seasons; the sun of the day is known from its place.
    @Test func dayShapesAreToldBySeasonAndSky() throws {
        let parts = [1, 0.97, 0.6, 1, 0.2, 1, 0.95]
        func sky(_ day: Int) -> DailySky { DailySky(ofClear: parts[day % 7]) }
        let start = try #require(Timestamp("2026-01-01T00:00:00Z"))
        var rows: [QuarterHour] = []
        for day in 0..<365 {
            let month = day / 31 + 1
            for quarter in 0..<96 {
                let time = start + Double(day * 96 + quarter) * 900
                let sun = ForecastRules.clearSky(elevation: Sun.elevation(at: time + 450, longitude: 8, latitude: 48))
                let power = 3e6 * sun * parts[day % 7]
                rows.append(
                    QuarterHour(
                        time: time, month: month, quarter: quarter, weekday: (day + 3) % 7 + 1, day: day,
                        net: 2e6 - power, native: 2e6 + Double(month) * 1000, photovoltaic: power, charger: 0,
                        reverseEnergy: 0, clearSky: sun))
            }
        }
        let skies = DailySky.judge(rows)
        #expect(skies.count == 365 && skies.allSatisfy { $1 == sky($0) })
        func statistics(_ rows: [QuarterHour]) -> FeederStatistics {
            FeederStatistics(
                feeder: "F01", from: start, until: start + 365 * 86_400, rows: rows,
                ratings: .init(photovoltaic: 4e6, charger: 0, generation: 4e6))
        }
        let made = statistics(rows)
        // Thursday is day 0: of the weekdays two are clear, one mixed (day 2 is a Saturday), one grey.
        #expect(made.dayShapes.allSatisfy { $0.season == nil && $0.sky == nil } && made.dayShapes.count == 3)
        let grey = made.seasonalShapes.filter { $0.sky == .overcast }
        #expect(Set(grey.map(\.dayType)) == ["weekday"] && grey.map(\.season) == Season.allCases.map(Optional.some))
        let summer = try #require(
            made.seasonalShapes.first { $0.dayType == "weekday" && $0.season == .juneToAugust && $0.sky == .clear })
        let all = try #require(
            made.seasonalShapes.first { $0.dayType == "weekday" && $0.season == .juneToAugust && $0.sky == nil })
        #expect(
            summer.days
                == rows.filter {
                    $0.quarter == 0 && (6...8).contains($0.month) && $0.weekday < 6 && sky($0.day) == .clear
                }.count)
        #expect(all.days > summer.days)
        let (belly, overcast) = (try #require(summer.bellyW), try #require(grey[2].bellyW))
        #expect(belly < -0.2e6 && overcast > 1.4e6 && summer.reversalFrom != nil && grey[2].reversalFrom == nil)
        // 2 MW and 1 kW a month: March is the lowest of spring.
        #expect(made.minimumLoad.clearSpringW == 2e6 + 3000)

        // No place, or too few days around: the sky is not known, the season is.
        var dark = rows
        for place in dark.indices { dark[place].clearSky = .nan }
        let unknown = statistics(dark)
        #expect(unknown.seasonalShapes.count == 12 && unknown.seasonalShapes.allSatisfy { $0.sky == nil })
        #expect(unknown.minimumLoad.clearSpringW == nil && unknown.minimumLoad.w != nil)
        #expect(DailySky.judge(Array(rows.prefix(9 * 96))).isEmpty)
        // A day with a hole, one that switching changed, and one whose fleet was silent are not judged.
        var holes = rows
        holes.removeSubrange(40 * 96 + 30..<40 * 96 + 60)
        for place in holes.indices where holes[place].day == 50 { holes[place].isSwitched = true }
        for place in holes.indices where holes[place].day == 60 { holes[place].derCoverage = 0.5 }
        #expect(Set((0..<365).filter { DailySky.judge(holes)[$0] == nil }) == [40, 50, 60])
    }

    @Test func loadThatSwitchingBroughtIsNoMeasureOfTheFeeder() {
        var rows = TestDay.rows() + TestDay.rows(day: 1)
        rows[40].native = 0.1e6
        rows[41].native = 0.1e6
        rows[42].net = 40e6
        for place in 40..<43 { rows[place].isSwitched = true }
        let made = TestDay.statistics(rows, days: 2)
        #expect(isClose(made.minimumLoad.w, 2.9e6, 1) && isClose(made.load.netPeak?.w, 4.8e6, 1))
        // Four bad values are no minimum, five are.
        var lower = TestDay.rows()
        for place in 48..<52 { lower[place].native = 1e6 }
        #expect(isClose(TestDay.statistics(lower).minimumLoad.w, 2.9e6, 1))
        lower[52].native = 1e6
        #expect(isClose(TestDay.statistics(lower).minimumLoad.w, 1e6, 1))
    }

    @Test func aFeederThatOnlyFeedsBackHasNoPeakToScreenBy() {
        var rows = TestDay.rows()
        for place in rows.indices { rows[place].net -= 10e6 }
        let made = TestDay.statistics(rows)
        #expect(made.load.netPeak.map { $0.w < 0 } == true && made.load.loadFactor == nil)
        #expect(made.screens[0].limitW == nil && made.screens[0].exceeded == nil)
    }

    @Test func durationIsThatOfTheSortedValues() {
        let made = TestDay.statistics(TestDay.rows())
        let falling = TestDay.rows().map(\.net).sorted(by: >)
        for point in made.load.duration {
            let atLeast = Double(falling.filter { $0 >= point.netW }.count) / 96
            #expect(atLeast >= point.pct / 100)
        }
        #expect(made.load.duration[0].netW == falling[0])
        #expect(made.load.duration[6].netW == falling[95])
    }

    @Test(arguments: [
        (1008, 958, 1008, true, VoltageCompliance.Week.Result.passes), (1008, 957, 1008, true, .fails),
        (1008, 1008, 1007, true, .fails), (907, 907, 907, true, .notAssessable), (908, 908, 908, true, .passes),
        (1008, 997, 1008, false, .fails), (1008, 998, 1008, false, .passes),
    ])
    func aWeekOfVoltage(
        valid: Int, inner: Int, outer: Int, isLow: Bool, expected: VoltageCompliance.Week.Result
    ) {
        let week = VoltageCompliance.week(
            device: "VM-1", week: "2026-06-22", valid: valid, inner: inner, outer: outer, isLowVoltage: isLow)
        #expect(week.result == expected)
    }
}
