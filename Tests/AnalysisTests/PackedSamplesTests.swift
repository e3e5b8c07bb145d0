import Analysis
import GridModel
import Testing

/// What is held packed comes out as it went in, bit by bit.
@Suite struct PackedSamplesTests {
    /// xorshift: the same values each time.
    private struct Random {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    }

    /// Every kind of change of a value: none, rounded, near, tenths, any bits (infinities and NaN with a payload among
    /// them).
    private static func vary(_ value: Float, _ random: inout Random) -> Float {
        switch random.below(12) {
        case 0, 1, 2: value
        case 3: Float(random.below(9000))
        case 4: (value.isFinite ? value : 0) + Float(random.below(100)) / 10
        case 5: Float(bitPattern: value.bitPattern ^ UInt32(1) << UInt32(random.below(32)))
        case 6: .nan
        case 7: -0.0
        case 8: Float(random.below(9_000_000) - 4_500_000) / 10
        case 9: Float(2300 + random.below(100)) / 10
        case 10: ((value.isFinite ? value : 0) * 10 + Float(random.below(300) - 150)).rounded() / 10
        default: Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
        }
    }

    private static func next(_ before: Sample, _ random: inout Random) -> Sample {
        var sample = before
        let step: Int64 =
            switch random.below(8) {
            case 0: Int64(random.below(70_000)) + 1
            case 1: Int64(random.below(4_000_000_000)) + 1
            case 2: Int64(random.below(1 << 50)) + 1
            default: 1_000_000
            }
        sample.time = Timestamp(microseconds: before.time.microseconds + step)
        sample.activePower = vary(sample.activePower, &random)
        sample.voltage = vary(sample.voltage, &random)
        if random.below(10) == 0 { sample.reactivePower = vary(sample.reactivePower, &random) }
        if random.below(10) == 0 { sample.interval = vary(sample.interval, &random) }
        if random.below(10) == 0 { sample.stateOfCharge = vary(sample.stateOfCharge, &random) }
        if random.below(10) == 0 { sample.leastPhasePower = vary(sample.leastPhasePower, &random) }
        if random.below(10) == 0 { sample.unbalance = vary(sample.unbalance, &random) }
        if random.below(10) == 0 { sample.tapPosition = vary(sample.tapPosition, &random) }
        if random.below(10) == 0 { sample.quality = Quality(rawValue: UInt16(random.below(1 << 13))) }
        if random.below(10) == 0 { sample.switchPosition = UInt8(random.below(5)) }
        return sample
    }

    /// As bits: NaN is not equal to itself.
    private static func bits(_ samples: some Sequence<Sample>) -> [[UInt64]] {
        samples.map { sample in
            let numbers = [
                sample.activePower, sample.reactivePower, sample.voltage, sample.interval, sample.stateOfCharge,
                sample.leastPhasePower, sample.unbalance, sample.tapPosition,
            ]
            return numbers.map { UInt64($0.bitPattern) } + [
                UInt64(bitPattern: sample.time.microseconds), UInt64(sample.quality.rawValue),
                UInt64(sample.switchPosition), UInt64(sample.device),
            ]
        }
    }

    private static func held(_ signal: HeldSignal) -> ArraySlice<Sample> {
        signal.window.samples(from: .distantPast, until: .distantFuture)
    }

    @Test(arguments: 1...60) func whatIsHeldIsWhatCame(seed: Int) {
        var random = Random(state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15)
        var signal = HeldSignal()
        var expected: [Sample] = []
        var newest = Sample(device: 7, time: Timestamp(microseconds: 1_700_000_000_000_000))
        var dropped: Sample?
        for _ in 0..<600 {
            switch random.below(20) {
            case 0:
                // What came late, at any place, or twice.
                guard expected.count > 2 else { continue }
                var sample = Self.next(newest, &random)
                let other = expected[random.below(expected.count)]
                sample.time = Timestamp(microseconds: other.time.microseconds - Int64(random.below(3)))
                let isOld = dropped.map { $0.time >= sample.time } ?? false
                let isNews = !isOld && !expected.contains { $0.time == sample.time }
                let before = signal.count
                signal.insert(sample)
                #expect(signal.count - before == (isNews ? 1 : 0))
                guard isNews else { continue }
                let place = expected.firstIndex { $0.time > sample.time } ?? expected.count
                expected.insert(sample, at: place)
            case 1:
                guard !expected.isEmpty else { continue }
                let time = expected[random.below(expected.count)].time
                let before = signal.discard(before: time)
                #expect(
                    Self.bits(before.samples(from: .distantPast, until: .distantFuture)) == Self.bits(expected))
                dropped = expected.last { $0.time < time } ?? dropped
                expected.removeAll { $0.time < time }
            default:
                newest = Self.next(newest, &random)
                signal.insert(newest)
                expected.append(newest)
            }
            #expect(signal.held >= expected.count)
        }
        #expect(Self.bits(Self.held(signal)) == Self.bits(expected))
    }

    /// What devices send: watts and tenths of a volt that wander, times that are milliseconds off their second.
    @Test func telemetryTakesAFewBytesASample() {
        var random = Random(state: 1)
        var signal = HeldSignal()
        var (power, voltage) = (4200, 2331)
        for second in 0..<150 {
            power += random.below(81) - 40
            voltage += random.below(7) - 3
            signal.insert(
                Sample(
                    device: 0, time: .seconds(Double(second) + Double(random.below(20)) / 1000),
                    activePower: Float(power), voltage: Float(voltage) / 10))
        }
        #expect(signal.held == 150)
        #expect(signal.heldBytes <= 6 * 150 + 20)
        // Nothing of the values has changed, and the step is the same.
        let before = signal.heldBytes
        for second in 201..<301 {
            signal.insert(Sample(device: 0, time: .seconds(Double(second)), activePower: 1, voltage: 230))
        }
        #expect(signal.heldBytes - before < 150)
    }

    /// Said again at once, it takes no memory until it is settled.
    @Test func whatIsSaidTwiceIsHeldOnce() {
        var signal = HeldSignal()
        for second in 0..<10 {
            for power in [Float(second), -1] {
                signal.insert(Sample(device: 0, time: .seconds(Double(second)), activePower: power))
            }
            #expect(signal.held == second + 1)
        }
        #expect(signal.count == 10)
        #expect(Self.held(signal).map(\.activePower) == (0..<10).map(Float.init))
    }

    /// Newest first, and all of it twice.
    @Test func theOrderOfArrivalIsNoMatter() {
        var signal = HeldSignal()
        for second in (0..<5000).reversed() {
            signal.insert(Sample(device: 0, time: .seconds(Double(second)), activePower: Float(second)))
        }
        for second in 0..<5000 {
            signal.insert(Sample(device: 0, time: .seconds(Double(second)), activePower: -1))
        }
        #expect(signal.count == 5000)
        #expect(Self.held(signal).map(\.activePower) == (0..<5000).map(Float.init))
        // What was told apart is not kept.
        #expect(signal.held < 7000)
        signal.discard(before: .seconds(4000))
        #expect(signal.held == 1000)
        #expect(signal.count == 5000)
    }

    @Test func aCopyIsAValue() {
        var first = HeldSignal()
        for second in 0..<5 { first.insert(Sample(device: 0, time: .seconds(Double(second)), activePower: 1)) }
        var second = first
        second.insert(Sample(device: 0, time: .seconds(9), activePower: 2))
        second.discard(before: .seconds(4))
        #expect(Self.held(first).map(\.activePower) == [1, 1, 1, 1, 1])
        #expect(Self.held(second).map(\.activePower) == [1, 2])
        first.insert(Sample(device: 0, time: .seconds(2.5), activePower: 3))
        #expect(Self.held(first).map(\.activePower) == [1, 1, 1, 3, 1, 1])
        #expect(Self.held(second).map(\.activePower) == [1, 2])
    }
}
