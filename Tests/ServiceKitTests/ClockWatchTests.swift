import ServiceKit
import Testing

struct ClockWatchTests {
    private func watch(_ looks: [(wall: Double, monotonic: Double)]) -> ClockWatch {
        let watch = ClockWatch(limit: 2)
        for look in looks {
            watch.look(wall: Int64(look.wall * 1e6), monotonic: UInt64(look.monotonic * 1e9))
        }
        return watch
    }

    @Test func clocksThatGoTogetherAreNoStep() {
        #expect(watch([(1_000_000, 50), (1_000_000.5, 50.5), (1_000_061, 111)]).step == nil)
    }

    @Test func aClockThatIsSetEitherWayIsAStep() throws {
        let back = try #require(watch([(1_000_000, 50), (998_800.5, 50.5)]).step)
        #expect(abs(back + 1200) < 0.01)
        let forward = try #require(watch([(1_000_000, 50), (1_003_600.5, 50.5)]).step)
        #expect(abs(forward - 3600) < 0.01)
    }

    /// 500 ppm over a minute between looks are 30 ms.
    @Test func aClockThatIsSlewedIsNoStep() {
        let looks = (0..<600).map { (wall: 1_000_000 + Double($0) * 60.03, monotonic: Double($0) * 60) }
        #expect(watch(looks).step == nil)
    }

    @Test func aStepStaysUntilItIsForgotten() {
        let watch = watch([(1_000_000, 50), (998_800, 50.5), (998_800.5, 51)])
        #expect(watch.step != nil)
        watch.forget()
        #expect(watch.step == nil)
        watch.look(wall: 998_801_000_000, monotonic: 51_500_000_000)
        #expect(watch.step == nil)
    }
}
