import Analysis
import GridModel
import TestSupport
import Testing

/// The forecast's rules and vectors (`domain-rules.md` B.5).
@Suite struct ForecastTests {
    @Test func loadComesBackToWhatIsUsual() {
        let vectors = [(900.0, 2.55, 2.820), (1800, 2.50, 2.743), (3600, 2.35, 2.547)]
        for (after, usual, expected) in vectors {
            let load = ForecastRules.load(2.9, usualNow: 2.6, usualThen: usual, after: after)
            #expect(abs(load - expected) < 0.0006)
        }
    }

    @Test func clearnessOfTheSkyPersists() throws {
        let clearness = try #require(ForecastRules.clearness(3, clear: 4, rating: 5))
        #expect(clearness == 0.75)
        for (clear, expected) in [(4.2, 3.150), (4.35, 3.2625), (4.5, 3.375)] {
            #expect(abs(clearness * clear - expected) < 1e-9)
        }
        #expect(ForecastRules.clearness(3, clear: 2, rating: 5) == 1.2)
        // Too little sun to tell.
        #expect(ForecastRules.clearness(0.1, clear: 0.4, rating: 5) == nil)
        #expect(ForecastRules.sky(0.95, clearThen: 2, rating: 5) == .clear)
        #expect(ForecastRules.sky(0.39, clearThen: 2, rating: 5) == .overcast)
        #expect(ForecastRules.sky(0.95, clearThen: 0.4, rating: 5) == .dark)
    }

    @Test func clearSkyFollowsTheSun() {
        #expect(ForecastRules.clearSky(elevation: -1) == 0)
        // Haurwitz gives 1037 W/m² with the sun overhead.
        #expect(abs(ForecastRules.clearSky(elevation: 90) - 1.0372) < 0.0005)
        #expect(ForecastRules.clearSky(elevation: 30) < ForecastRules.clearSky(elevation: 31))
    }

    @Test func errorsAreThoseThatWereMade() {
        let known = ErrorSpread.known((0...100).map { Double($0) - 50 })
        #expect(ForecastRun.levels.map(known.quantile) == [-45, -30, 0, 30, 45])
        #expect(known.below(-50) == 0)
        #expect(abs(known.below(0) - 50.0 / 101) < 1e-12)
        let assumed = ErrorSpread.assumed(sigma: 100)
        #expect(abs(assumed.below(-164.4854) - 0.05) < 1e-6)
        #expect(abs(assumed.quantile(0.8) - 84.1621) < 1e-3)
        #expect(ForecastRules.assumedSigma(photovoltaicRating: 10, headRating: 10) == 1.5)
        #expect(ForecastRules.assumedSigma(photovoltaicRating: 0, headRating: 10) == 0.2)
    }

    @Test func localTimeDecidesWhatIsUsual() throws {
        let summer = try #require(Timestamp("2026-06-20T22:30:00Z"))
        // Sunday already.
        #expect(LocalCalendar(zone: "Europe/Berlin").place(of: summer) == .init(quarter: 2, isWeekend: true))
        #expect(LocalCalendar(zone: "UTC").place(of: summer) == .init(quarter: 90, isWeekend: true))
        let monday = try #require(Timestamp("2026-06-22T00:07:30Z"))
        #expect(LocalCalendar(zone: "UTC").place(of: monday) == .init(quarter: 0.5, isWeekend: false))
    }

    // MARK: Learning

    private static let calendar = LocalCalendar(zone: "UTC")
    private static let start = Timestamp("2026-06-01T00:00:00Z") ?? .distantPast
    private static let limits = Forecaster.Limits(reverseThreshold: 100, rating: 10_000, emergencyRating: 12_000)

    /// Load that is 1,000 W at night and 3,000 W from 6 to 18 h, with `noise`; no PV.
    private static func observe(_ time: Timestamp, noise: Double = 0, isSwitched: Bool = false)
        -> Forecaster.Observation
    {
        let hour = (time - start).truncatingRemainder(dividingBy: 86_400) / 3600
        let load = (hour > 6 && hour <= 18 ? 3000.0 : 1000) + noise
        return .init(
            time: time, net: load, native: load, photovoltaic: 0, photovoltaicRating: 0, other: 0, clearNow: 0,
            clearThen: [0, 0, 0, 0], isSwitched: isSwitched, reactive: .nan)
    }

    private static func taught(
        days: Int, _ noise: (Int) -> Double = { _ in 0 }, isSwitched: Bool = false
    ) -> (forecaster: Forecaster, end: Timestamp) {
        var forecaster = Forecaster()
        for quarter in 0..<days * 96 {
            let seen = observe(start + Double(quarter) * 900, noise: noise(quarter), isSwitched: isSwitched)
            let run = forecaster.run(seen, limits, calendar, feeder: "F1", area: "A")
            forecaster.learn(run, calendar, clear: 0)
        }
        return (forecaster, start + Double(days) * 86_400)
    }

    @Test func whatIsUsualIsLearned() throws {
        // Five weekdays: 1 June 2026 is a Monday.
        let (forecaster, _) = Self.taught(days: 4)
        let morning = Self.observe(Self.start + 4 * 86_400 + 5.5 * 3600)
        let run = forecaster.run(morning, Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(run.horizons.map(\.model) == [1000, 1000, 3000, 3000])
        #expect(run.horizons.allSatisfy { $0.method == .profile })
        // At a weekend nothing is known yet: the present it is.
        let saturday = Self.observe(Self.start + 5 * 86_400 + 5.5 * 3600)
        let unknown = forecaster.run(saturday, Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(unknown.horizons.map(\.model) == [1000, 1000, 1000, 1000])
    }

    @Test func nothingIsLearnedWhileSwitched() {
        let (forecaster, end) = Self.taught(days: 4, isSwitched: true)
        let run = forecaster.run(
            Self.observe(end + 5.5 * 3600), Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(run.horizons.map(\.model) == [1000, 1000, 1000, 1000])
    }

    @Test func ownErrorsBecomeTheSpread() {
        // Within ±40 W, from quarter hour to quarter hour.
        var random = SplitMix(seed: 7)
        let noise = (0..<14 * 96).map { _ in random.unit() * 80 - 40 }
        let (forecaster, end) = Self.taught(days: 14) { noise[$0] }
        let run = forecaster.run(Self.observe(end), Self.limits, Self.calendar, feeder: "F1", area: "A")
        let spread = run.horizons[1].quantiles
        // Far from what is assumed without them: 2 % of 10 kVA, so ±329 W.
        #expect((40...200).contains(spread[4] - spread[0]))
        #expect(spread == spread.sorted())
        let (young, early) = Self.taught(days: 1) { noise[$0] }
        let assumed = young.run(Self.observe(early), Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(abs(assumed.horizons[1].quantiles[4] - assumed.horizons[1].quantiles[2] - 329) < 1)
    }

    @Test func withoutSkillThePresentIsTaken() {
        // Load that wanders by whole days: what is usual says nothing of it, and pulls the forecast away.
        var level = 0.0
        let (forecaster, end) = Self.taught(days: 16) { quarter in
            if quarter % 96 == 0 { level = Double((quarter / 96 * 37) % 11) * 400 }
            return level - ((25...72).contains(quarter % 96) ? 2000 : 0)
        }
        let run = forecaster.run(Self.observe(end), Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(run.horizons.allSatisfy { $0.method == .persistence })
        #expect(run.horizons.allSatisfy { abs($0.quantiles[2] - run.net) < 400 })
        let (fresh, _) = Self.taught(days: 13)
        #expect(!fresh.hasNoSkill(0))
    }

    @Test func withoutAPlacePhotovoltaicsGoOn() {
        let seen = Forecaster.Observation(
            time: Self.start, net: 500, native: 2500, photovoltaic: 1900, photovoltaicRating: 4000, other: 0,
            clearNow: .nan, clearThen: [.nan, .nan, .nan, .nan], isSwitched: false, reactive: .nan)
        let run = Forecaster().run(seen, Self.limits, Self.calendar, feeder: "F1", area: "A")
        #expect(run.horizons.map(\.photovoltaic) == [2000, 2000, 2000, 2000])
        #expect(run.horizons.map(\.model) == [500, 500, 500, 500])
        // Neither does a sun that stands where it cannot: a day that is played again by night.
        var night = seen
        (night.clearNow, night.clearThen) = (0, [0, 0, 0, 0])
        #expect(
            Forecaster().run(night, Self.limits, Self.calendar, feeder: "F1", area: "A").horizons.map(\.photovoltaic)
                == [2000, 2000, 2000, 2000])
    }

    // MARK: Skill

    private static func pair(
        _ minute: Int, _ measured: Double, expected: Double, persistence: Double, probability: Double, ahead: Int = 30
    ) -> ForecastSkill.Pair {
        .init(
            aheadMin: ahead, time: start + Double(minute) * 60,
            quantiles: [expected - 200, expected - 100, expected, expected + 100, expected + 200],
            persistence: persistence, reverseProbability: probability, measured: measured)
    }

    @Test func skillIsWhatTheRulesSay() throws {
        let pairs = [
            Self.pair(0, 300, expected: 200, persistence: 500, probability: 0.1),
            Self.pair(5, -300, expected: -150, persistence: 300, probability: 0.8),
            Self.pair(5, -300, expected: 100, persistence: 300, probability: 0.7, ahead: 45),
            Self.pair(10, 100, expected: -150, persistence: -100, probability: 0.6),
            Self.pair(15, -200, expected: 50, persistence: 0, probability: 0.2),
        ]
        let made = ForecastSkill(
            feeder: "F1", from: Self.start, until: Self.start + 3600, pairs: pairs, rating: 10_000, threshold: 100,
            start: 0.6)
        let week = try #require(made.weeks.first)
        #expect(week.starts == Self.start)
        let horizon = try #require(week.horizons.first { $0.aheadMin == 30 })
        // Errors 100, -150, 250, -250; of persistence -200, -600, 200, -200.
        #expect(horizon.rmseW == 198)
        #expect(horizon.maeW == 188)
        #expect(horizon.biasW == 13)
        #expect(horizon.persistenceRmseW == 346)
        #expect(horizon.skill == 0.427)
        #expect(horizon.within60Pct == 25)
        #expect(horizon.within90Pct == 50)
        #expect((horizon.reversed, horizon.expected, horizon.hits) == (2, 2, 1))
        #expect((horizon.detection, horizon.falseAlarms, horizon.success) == (0.5, 0.5, 0.333))
        #expect(horizon.brier == 0.2625)
        // Two onsets, of which the first was seen 45 min before.
        #expect((week.onsets, week.foreseen) == (2, 1))
        #expect(week.meanLeadMin == 45)
    }

    // MARK: Voltage

    /// A clear morning: PV at 85 % of what the sky gives, and a voltage that goes with it by 0.027 pu a MW.
    private func morning(clouds: Bool = false, lift: Float = 0.027e-6) throws -> [AdvisoryReport] {
        var network = SmallNetwork.make()
        for place in network.nodes.indices {
            (network.nodes[place].longitude, network.nodes[place].latitude) = (10, 51)
        }
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
        let start = try #require(Timestamp("2026-06-21T05:00:00Z"))
        let head = try #require(registry.index["FH-F1"])
        let meter = try #require(registry.index["VM-A2"])
        return stride(from: 0.0, to: 6 * 3600, by: 10).flatMap { second -> [AdvisoryReport] in
            let time = start + second
            let sky = Float(ForecastRules.clearSky(elevation: Sun.elevation(at: time, longitude: 10, latitude: 51)))
            let each = 850_000 * sky * (clouds && Int(second) / 600 % 2 == 1 ? 0.6 : 1) + Float(Int(second) % 7)
            var samples = [
                Sample(device: head, time: time, activePower: 5_000_000 - 4 * each, reactivePower: 100, voltage: 20_000)
            ]
            if second.truncatingRemainder(dividingBy: 60) == 0 {
                samples += (1...4).compactMap { site in
                    registry.index["pv-\(site)"].map { Sample(device: $0, time: time, activePower: each + Float(site)) }
                }
                samples.append(Sample(device: meter, time: time, voltage: 20_000 * (1 + lift * 4 * each)))
            }
            return analyser.absorb(samples).reports
        }
    }

    @Test func voltageThatTheSunWillLiftIsForetoldAndThenMeasured() throws {
        let reports = try morning()
        let foretold = try #require(reports.first { $0.facts.detector == "FC_VHIGH" && $0.change == .start }?.facts)
        #expect(
            (foretold.kind, foretold.element, foretold.severity) == (.voltageForecast, "F1/voltage-forecast", .note))
        let measured = try #require(reports.first { $0.facts.kind == .voltageHigh && $0.change == .start }?.facts)
        let lead = measured.raisedAt - foretold.raisedAt
        #expect(lead >= 900 && lead <= 4500, "foretold \(lead) s before")
        #expect(abs((foretold.evidence.notes["pu_per_mw"] ?? 0) - 0.027) < 0.002)
        #expect(foretold.limit.value == 1.07)
        // Once it is measured it is no forecast any more.
        let over = try #require(reports.first { $0.facts.detector == "FC_VHIGH" && $0.change == .clear }?.facts)
        #expect(over.raisedAt < over.clearedAt ?? .distantPast && over.message.contains("as was expected"))
    }

    @Test func voltageThatDoesNotGoWithTheSunIsNotForetold() throws {
        #expect(try !morning(lift: 0).contains { $0.facts.kind == .voltageForecast })
        #expect(try !morning(lift: 0.01e-6).contains { $0.facts.kind == .voltageForecast })
    }
}
