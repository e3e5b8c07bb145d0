import GridModel
import Testing

@Suite struct TimestampLimitsTests {
    private let now = Timestamp("2026-06-21T10:00:00Z") ?? .distantPast

    @Test(arguments: [1e300, .infinity, 0x1p62, 9.2e12, 1e18]) func whatNoTimeCanHoldIsTheEndOfTime(seconds: Double) {
        #expect(now + seconds == .distantFuture || (now + seconds).microseconds > Timestamp.distantFuture.microseconds)
        #expect(now - seconds == .distantPast || (now - seconds).microseconds < Timestamp.distantPast.microseconds)
    }

    @Test func nothingIsMovedByWhatIsNoNumber() { #expect(now + .nan == now) }

    @Test func whatIsOrdinaryIsExact() {
        #expect((now + 0.000_001).microseconds == now.microseconds + 1)
        #expect(now + 86_400 - now == 86_400)
        #expect(Timestamp.distantFuture + 1 > .distantFuture)
    }
}
