import Analysis
import GridModel
import Testing

@Suite struct HeldSignalTests {
    private func sample(_ second: Double, _ value: Float, interval: Float = 0) -> Sample {
        Sample(device: 0, time: .seconds(second), activePower: value, interval: interval)
    }

    @Test func valuesAreWeightedByTheTimeTheyHold() {
        var signal = HeldSignal()
        signal.insert(sample(0, 10))
        signal.insert(sample(2, 20))
        signal.insert(sample(8, 40))
        let bin = signal.bin(.seconds(0), width: 10, hold: 90, .activePower)
        #expect(bin.mean == 22)
        #expect(bin.coverage == 1)
    }

    @Test func lessThanHalfCoveredIsMissing() {
        var signal = HeldSignal()
        signal.insert(sample(6, 10))
        #expect(signal.bin(.seconds(0), width: 10, hold: 90, .activePower).mean.isNaN)
        signal.insert(sample(5, 10))
        #expect(signal.bin(.seconds(0), width: 10, hold: 90, .activePower).mean == 10)
    }

    @Test func theHoldEndsAndNothingIsInterpolated() {
        var signal = HeldSignal()
        signal.insert(sample(0, 10))
        signal.insert(sample(200, 30))
        #expect(signal.bin(.seconds(80), width: 20, hold: 90, .activePower).coverage == 0.5)
        #expect(signal.bin(.seconds(100), width: 20, hold: 90, .activePower).mean.isNaN)
    }

    @Test func anIntervalMeanCoversItsInterval() {
        var signal = HeldSignal()
        signal.insert(sample(900, 7, interval: 900))
        #expect(signal.bin(.seconds(0), width: 60, hold: 90, .activePower).mean == 7)
        #expect(signal.bin(.seconds(840), width: 60, hold: 90, .activePower).mean == 7)
        #expect(signal.bin(.seconds(900), width: 60, hold: 90, .activePower).mean.isNaN)
    }

    @Test func orderOfArrivalDoesNotMatterAndTheFirstOfTwoCounts() {
        var (a, b) = (HeldSignal(), HeldSignal())
        let samples = [sample(1, 1), sample(3, 3), sample(5, 5), sample(7, 7)]
        for item in samples { a.insert(item) }
        for item in samples.reversed() { b.insert(item) }
        a.insert(sample(3, 99))
        #expect(a.count == 4)
        let means = [a, b].map { $0.bin(.seconds(0), width: 10, hold: 90, .activePower).mean }
        #expect(means[0] == means[1])
    }
}
