import Analysis
import GridModel
import Testing

/// The vectors of the common engine: Δ = 10 s, rating 10 MVA → on at 100 kW, off at 50 kW, 60 s and 300 s.
@Suite struct ThresholdDetectorTests {
    struct Run {
        var events: [String] = []
        var peak = Double.nan
    }

    /// - Parameter series: values in kW with the number of bins each lasts; `nil` is missing.
    static func run(_ series: [(Double?, Int)], severity: (Double) -> Severity = { _ in .medium }) -> Run {
        var detector = ThresholdDetector(.init(on: 60, off: 300))
        var result = Run()
        var second = 0
        for (value, count) in series {
            for _ in 0..<count {
                let start = Timestamp.seconds(Double(second))
                second += 10
                let input =
                    value.map {
                        ThresholdDetector.Input.bin(
                            on: $0 <= -100, off: $0 >= -50, value: $0, badness: -$0, severity: severity($0))
                    } ?? .missing
                for output in detector.step(start, width: 10, input) {
                    switch output {
                    case .start(let onset, _):
                        result.events.append("START \(second) onset \(Int(onset - Timestamp.seconds(0)))")
                    case .clear(let onset):
                        result.events.append("CLEAR \(second) onset \(Int(onset - Timestamp.seconds(0)))")
                    case .uncertain: result.events.append("UNCERTAIN \(second)")
                    case .certain: result.events.append("CERTAIN \(second)")
                    case .severity(let level): result.events.append("SEVERITY \(second) \(level.rawValue)")
                    }
                }
            }
        }
        result.peak = detector.peak.value
        return result
    }

    @Test func e1StartsPeaksAndClears() {
        let run = Self.run([
            (500, 6), (-80, 6), (-150, 8), (-420, 4), (-200, 6), (-40, 10), (-120, 2), (-30, 30), (200, 10),
        ])
        #expect(run.events == ["START 180 onset 120", "CLEAR 720 onset 420"])
        #expect(run.peak == -420)
    }

    @Test func e2ShortSpellsAreNothing() {
        #expect(Self.run([(300, 3), (-180, 5), (200, 6), (-180, 4), (100, 10)]).events.isEmpty)
    }

    @Test func e3MissingBinsFreezeTheTimer() {
        #expect(Self.run([(-150, 4), (nil, 6), (-150, 2), (-150, 10)]).events == ["START 120 onset 0"])
    }

    @Test func e4ALongGapEndsAPendingOne() {
        #expect(Self.run([(-150, 4), (nil, 13), (-150, 10)]).events == ["START 230 onset 170"])
    }

    @Test func e5AnActiveOneBecomesUncertainAndNeverClearsOnSilence() {
        let run = Self.run([(-150, 12), (nil, 20), (-150, 3), (20, 30)])
        #expect(run.events == ["START 60 onset 0", "UNCERTAIN 250", "CERTAIN 330", "CLEAR 650 onset 350"])
    }

    @Test func silenceForADayClearsNothing() {
        let run = Self.run([(-150, 12), (nil, 8640)])
        #expect(run.events == ["START 60 onset 0", "UNCERTAIN 250"])
    }

    @Test func severityRisesAtOnceAndFallsAfterFiveMinutes() {
        let run = Self.run([(-150, 6), (-900, 3), (-150, 40)]) { $0 <= -500 ? .high : .medium }
        #expect(run.events == ["START 60 onset 0", "SEVERITY 70 2", "SEVERITY 390 3"])
    }

    /// Any sequence, cut anywhere into two runs by value semantics, gives what the undisturbed run gives.
    @Test(arguments: 0..<20) func aCopyGoesOnWhereTheOriginalStood(seed: Int) {
        var state = UInt64(seed &* 7919 &+ 17)
        func draw() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        let values: [Double?] = (0..<400).map { _ in draw() % 9 == 0 ? nil : Double(draw() % 300) - 220 }
        func feed(_ detector: inout ThresholdDetector, _ range: Range<Int>) -> [ThresholdDetector.Output] {
            range.flatMap { k in
                detector.step(
                    Timestamp.seconds(Double(k) * 10), width: 10,
                    values[k].map { .bin(on: $0 <= -100, off: $0 >= -50, value: $0, badness: -$0, severity: .note) }
                        ?? .missing)
            }
        }
        var whole = ThresholdDetector(.init(on: 60, off: 300))
        let expected = feed(&whole, 0..<400)
        var first = ThresholdDetector(.init(on: 60, off: 300))
        let cut = Int(draw() % 400)
        let before = feed(&first, 0..<cut)
        var second = first
        #expect(before + feed(&second, cut..<400) == expected)
    }
}
