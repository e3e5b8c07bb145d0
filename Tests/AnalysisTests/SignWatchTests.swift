import Analysis
import GridModel
import Testing

@Suite struct SignWatchTests {
    private static let start = Timestamp("2026-06-21T09:00:00Z") ?? .distantPast

    /// What the watch thinks after each of the minutes; `power` as share of the rating.
    private func verdicts(_ kind: DeviceKind, _ minutes: [(power: Double, charge: Double?)]) -> [Bool?] {
        var watch = SignWatch()
        return minutes.enumerated().map { place, minute in
            watch.step(
                kind: kind, rating: 10_000, power: minute.power * 10_000, charge: minute.charge,
                end: Self.start + Double(place + 1) * 60)
            return watch.isWrong
        }
    }

    private func flat(_ share: Double, _ count: Int) -> [(power: Double, charge: Double?)] {
        Array(repeating: (share, nil), count: count)
    }

    @Test(arguments: [
        (DeviceKind.photovoltaic, -0.3, true), (.photovoltaic, 0.3, false), (.electricVehicleCharger, 0.7, true),
        (.electricVehicleCharger, -0.7, false),
    ]) func halfAnHourAgainstItsKindIsAWrongSign(kind: DeviceKind, share: Double, isWrong: Bool) {
        let found = verdicts(kind, flat(share, 30))
        #expect(found[18] == nil)
        #expect(found[19] == isWrong && found[29] == isWrong)
    }

    @Test(arguments: [-0.015, 0, 0.015]) func whatAnInverterTakesAtNightSaysNothing(share: Double) {
        #expect(verdicts(.photovoltaic, flat(share, 120)).allSatisfy { $0 == nil })
        #expect(verdicts(.electricVehicleCharger, flat(share, 120)).allSatisfy { $0 == nil })
    }

    @Test func aSignThatIsTurnedIsSeen() {
        #expect(verdicts(.photovoltaic, flat(-0.5, 60) + flat(0.5, 40)).last == false)
    }

    @Test func aVehicleThatChargesAndGivesBackIsNotWrong() {
        // Vehicle to grid: 12 minutes each way.
        let minutes = (0..<180).map { (power: ($0 / 12).isMultiple(of: 2) ? -0.5 : 0.7, charge: nil as Double?) }
        #expect(!verdicts(.electricVehicleCharger, minutes).contains(true))
    }

    @Test(arguments: [(0.5, -1.0, false), (0.5, 1.0, true), (-0.5, 1.0, false), (-0.5, -1.0, true)])
    func aBatteryIsJudgedByItsCharge(share: Double, perTenMinutes: Double, isWrong: Bool) {
        let minutes = (0..<40).map { (power: share, charge: 50 + perTenMinutes * Double($0 / 10)) as (Double, Double?) }
        let found = verdicts(.battery, minutes)
        #expect(found[14] == nil)
        #expect(found[39] == isWrong)
    }

    @Test func aBatteryWithoutAChargeReadingIsNotJudged() {
        #expect(verdicts(.battery, flat(0.8, 120)).allSatisfy { $0 == nil })
    }

    @Test func missingMinutesAreNoEvidence() {
        #expect(verdicts(.photovoltaic, flat(-0.5, 15) + flat(.nan, 40)).allSatisfy { $0 == nil })
    }
}
