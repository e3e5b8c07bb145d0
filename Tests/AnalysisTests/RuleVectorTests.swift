import Analysis
import GridModel
import TestSupport
import Testing

private func isClose(_ a: Double?, _ b: Double, _ tolerance: Double) -> Bool {
    a.map { abs($0 - b) <= tolerance } ?? false
}

@Suite struct ReversePowerRuleTests {
    @Test(arguments: [(10e6, 100_000.0), (3e6, 50_000), (0, 50_000)])
    func thresholdIsOnePercentButAtLeastFiftyKilowatts(rating: Double, expected: Double) {
        #expect(ReversePower.onThreshold(ratingVA: rating) == expected)
    }

    @Test(arguments: [
        (70.0, 100.0, ReversePower.Permission.yes, false, Severity.note), (85, 100, .yes, false, .medium),
        (10, 100, .unknown, false, .medium), (10, 100, .no, false, .high), (110, 100, .yes, false, .high),
        (120, 100, .yes, false, .urgent), (10, 0, .yes, false, .urgent), (10, 100, .yes, true, .urgent),
    ])
    func ladder(reverse: Double, limit: Double, permission: ReversePower.Permission, bank: Bool, expected: Severity) {
        #expect(
            ReversePower.severity(reverseW: reverse, limitW: limit, permission: permission, feedsReversedBank: bank)
                == expected)
    }

    @Test func q1IsNotSureEnough() {
        let estimate = ReversePower.Estimate(
            nativeLoad: 3200, loadSigma: 180, monitored: 2210, monitoredRating: 2600, totalRating: 4000, sites: 10)
        #expect(isClose(estimate.capacityFactor, 0.85, 1e-9))
        #expect(isClose(estimate.photovoltaic, 3400, 1e-6))
        #expect(isClose(estimate.head, -200, 1e-6))
        #expect(isClose(estimate.sigma, 212.0, 0.1))
        #expect(isClose(estimate.head + 1.28 * estimate.sigma, 71.4, 0.1))
        #expect(!estimate.isSurelyBelow(100))
        #expect(isClose(estimate.probabilityBelow(100), 0.68, 0.005))
    }

    @Test func q2Is() {
        let estimate = ReversePower.Estimate(
            nativeLoad: 3200, loadSigma: 180, monitored: 2340, monitoredRating: 2600, totalRating: 4000, sites: 10)
        #expect(isClose(estimate.head, -400, 1e-6))
        #expect(isClose(estimate.head + 1.28 * estimate.sigma, -128.6, 0.1))
        #expect(estimate.isSurelyBelow(100))
        #expect(isClose(estimate.probabilityBelow(100), 0.92, 0.005))
    }

    @Test func fewSitesDoubleTheDoubt() {
        let few = ReversePower.Estimate(
            nativeLoad: 3200, loadSigma: 180, monitored: 2340, monitoredRating: 2600, totalRating: 4000, sites: 2)
        #expect(isClose(few.sigma, 424.0, 0.2))
    }

    @Test(arguments: [(3.4, -0.2, 1.0625), (2.0, 1.0, 0.667), (4.0, -1.0, 1.333)])
    func generationLoadRatio(injection: Double, bank: Double, expected: Double) {
        #expect(isClose(ReversePower.generationLoadRatio(injection: injection, bank: bank), expected, 5e-4))
    }
}

@Suite struct VoltageRuleTests {
    @Test func tenMinutesAreARootMeanSquare() {
        #expect(
            isClose(
                Voltage.tenMinute([Float](repeating: 1.046, count: 4) + [Float](repeating: 1.056, count: 6)), 1.0520,
                5e-5))
        #expect(
            isClose(
                Voltage.tenMinute([Float](repeating: 1.046, count: 7) + [Float](repeating: 1.056, count: 3)), 1.0490,
                5e-5))
        #expect(Voltage.tenMinute([Float](repeating: 1, count: 4) + [Float](repeating: .nan, count: 6)) == nil)
    }

    @Test(arguments: [
        (1.9, 3.1, 2.0, 0.0, 12.47, 0.0244), (1.9, 3.1, 2.0, -0.9, 12.47, 0.0065),
        (0.03, 0.02, 0.02, 0.0, 0.24, 0.0104),
    ])
    func expectedRise(r: Double, x: Double, p: Double, q: Double, kv: Double, expected: Double) {
        #expect(
            isClose(
                Voltage.expectedRise(resistance: r, reactance: x, megawatts: p, megavars: q, kilovolts: kv), expected,
                6e-5))
    }

    @Test func attributionVector() throws {
        let power = [0.30, -0.25, 0.20, 0.35, -0.40, 0.15]
        let voltage = [0.0040, -0.0030, 0.0024, 0.0045, -0.0050, 0.0020]
        let found = try #require(
            VoltageAttribution(
                slopes: zip(voltage, power).map { $0 / $1 }, sourceCorrelation: nil, rise: 0.031, injection: 1.8))
        #expect(isClose(found.sensitivity, 0.012679, 1e-6))
        #expect(isClose(found.share, 0.736, 5e-4))
        #expect(found.cause == .der)
    }

    @Test func aRiseThatFollowsTheSourceIsTheSources() throws {
        let source = (0..<30).map { 1.0 + Double($0 % 5) * 0.004 }
        let node = source.map { $0 + 0.031 }
        let power = (0..<30).map { Double($0 % 7) * 0.2 }
        let found = try #require(
            VoltageAttribution(voltage: node, power: power, source: source, rating: 2, rise: 0.031, injection: 0.1))
        #expect(found.cause == .source)
    }
}

@Suite struct RampRuleTests {
    @Test func theilSenIsTheMedianOfTheSortedSlopes() {
        var random = SplitMix(seed: 7)
        for count in 5...60 {
            // Few different values, so that many slopes are equal.
            let x = (0..<count).map { _ in (random.unit() * (count % 2 == 0 ? 1000 : 5)).rounded() }
            let t = (0..<count).map(Double.init)
            var slopes: [Double] = []
            for i in 0..<count { for j in (i + 1)..<count { slopes.append((x[j] - x[i]) / (t[j] - t[i])) } }
            slopes.sort()
            let expected = (slopes[(slopes.count - 1) / 2] + slopes[slopes.count / 2]) / 2
            #expect(Slope.theilSen(t, x) == expected)
        }
    }

    @Test func theilSenVectors() {
        let minutes = [0.0, 1, 2, 3, 4, 5]
        let x = [4.0, 4.1, 4.2, 9.9, 4.4, 4.5]
        #expect(isClose(Slope.theilSen(minutes, x), 0.100, 1e-9))
        #expect(isClose(Slope.leastSquares(minutes, x), 0.260, 5e-4))
        #expect(isClose(Slope.theilSen([0, 0.5, 2, 3.5, 4, 5], [4.00, 4.20, 4.85, 5.40, 5.62, 6.00]), 0.400, 5e-4))
        #expect(isClose(Slope.savitzkyGolay([4.85, 5.05, 5.30, 5.40, 5.62]), 0.189, 5e-4))
        #expect(Slope.theilSen([0, 1, 2, 3], [1, 2, 3, 4]) == nil)
    }

    @Test func r1Cloud() throws {
        let head = [-0.9, -0.8, 0.35, 1.8, 2.5, 2.6]
        let measure = try #require(Ramp.Measure(minutes: [0, 1, 2, 3, 4, 5], power: head, rating: 10))
        #expect(isClose(measure.slope, 8.5, 0.05))
        #expect(isClose(measure.change, 35, 0.01))
        #expect(Ramp.level(measure) == .three)
        #expect(Ramp.level(measure)?.severity == .high)
        var seen = Ramp.Circumstances(headChange: 3.5)
        seen.photovoltaicChange = 2.8 - 6.4
        seen.sitesMovedTogether = 12
        let cause = Ramp.cause(seen)
        #expect(cause.cause == .cloud)
        #expect(isClose(cause.share, 1.03, 0.005))
    }

    @Test func r2ChargersAtATariffBoundary() throws {
        let head = [5.0, 5.02, 5.40, 6.15, 6.78, 7.05]
        let measure = try #require(Ramp.Measure(minutes: [0, 1, 2, 3, 4, 5], power: head, rating: 10))
        #expect(isClose(measure.slope, 4.50, 0.05))
        #expect(isClose(measure.change, 20.5, 0.01))
        let level = try #require(Ramp.level(measure))
        #expect(level == .two)
        #expect(isClose(Ramp.minutesToLimit(power: 7.05, slope: 0.45, rating: 10), 6.6, 0.06))
        #expect(Ramp.escalated(level.severity, power: 7.05, slope: 0.45, rating: 10, emergencyRating: nil) == .medium)
        #expect(isClose(Ramp.minutesToLimit(power: 7.05, slope: 0.45, rating: 9), 4.3, 0.06))
        #expect(Ramp.escalated(level.severity, power: 7.05, slope: 0.45, rating: 9, emergencyRating: nil) == .high)
        var seen = Ramp.Circumstances(headChange: 7.05 - 5.02)
        seen.chargerChange = -(2.2 - 0.2)
        let cause = Ramp.cause(seen)
        #expect(cause.cause == .ev)
        #expect(isClose(cause.share, 0.985, 0.001))
    }

    @Test func r3ASpikeIsNoRamp() throws {
        let measure = try #require(
            Ramp.Measure(minutes: [0, 1, 2, 3, 4, 5], power: [4.0, 4.1, 4.2, 9.9, 4.4, 4.5], rating: 10))
        #expect(isClose(measure.slope, 1, 1e-6))
        #expect(Ramp.level(measure) == nil)
    }

    @Test func r4ASmallSwingIsNone() {
        #expect(Ramp.level(Ramp.Measure(slope: 2, change: 2)) == nil)
    }

    @Test func causesAreTriedInOrder() {
        var seen = Ramp.Circumstances(headChange: 1)
        seen.batteryChange = -0.9
        seen.switched = true
        #expect(Ramp.cause(seen).cause == .battery)
        seen.chargerChange = -0.6
        #expect(Ramp.cause(seen).cause == .ev)
        seen.photovoltaicChange = -0.8
        seen.sitesMovedTogether = 3
        #expect(Ramp.cause(seen).cause == .cloud)
        seen.reconnected = true
        #expect(Ramp.cause(seen).cause == .reconnect)
        seen.reportingChange = -0.1
        #expect(Ramp.cause(seen).cause == .data)
        #expect(Ramp.cause(Ramp.Circumstances(headChange: 1)).cause == .unknown)
    }
}
