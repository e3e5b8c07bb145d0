import Analysis
import GridModel
import TestSupport
import Testing

@Suite struct LateReplayTests {
    private static let registry = AnalyserTests.registry
    private let start = AnalyserTests.start
    private let model = AnalysisModel(network: AnalyserTests.network, registry: Self.registry, revision: 1)

    /// Two hours of the head of F1: it exports between minutes 30 and 60, most at 45. Its PV is heard all the time.
    private func day(late: Range<Int>) -> [Sample] {
        let device = Self.registry.index["FH-F1"] ?? -1
        let pv = Self.registry.index["pv-1"] ?? -1
        let heard = stride(from: 0, to: 7200, by: 60).map { second in
            Sample(device: pv, time: start + Double(second), activePower: 300_000, voltage: 235)
        }
        let measured = stride(from: 0, to: 7200, by: 5).map { second in
            let power: Float =
                switch second {
                case 2700..<2760: -2_500_000
                case 1800..<3600: -1_500_000
                default: 400_000
                }
            var sample = Sample(device: device, time: start + Double(second), activePower: power, voltage: 20_400)
            if late.contains(second) { sample.quality.insert(.late) }
            return sample
        }
        return (heard + measured).sorted { ($0.time, $0.device) < ($1.time, $1.device) }
    }

    /// What a service said of it, and what it recorded afterwards.
    private func amendments(
        late: Range<Int>, from: Double = 900, before: [AdvisoryAmendment] = []
    ) -> (said: [AdvisoryFacts], amended: [AdvisoryAmendment]) {
        let samples = day(late: late)
        var live = Analyser(model: model, settings: AnalysisSettings())
        var said: [String: AdvisoryFacts] = [:]
        var spells: [String: AdvisoryFacts] = [:]
        for report in live.absorb(samples).reports {
            spells[report.facts.id] = report.facts
            if report.facts.watermark < start + from {
                said["\(report.facts.kind) \(report.facts.element)"] = report.facts
            }
        }
        var replay = LateReplay(
            networks: [.init(model: model, from: .distantPast)], settings: AnalysisSettings(), from: start + from,
            said: Array(said.values),
            amendments: before)
        for portion in stride(from: 0, to: samples.count, by: 100) {
            _ = replay.absorb(Array(samples[portion..<min(portion + 100, samples.count)]))
        }
        return (Array(spells.values), replay.amendments(until: start + 7200, peakTolerance: 0.01))
    }

    @Test func samplesInTimeChangeNothing() {
        let (said, amended) = amendments(late: 0..<0)
        #expect(said.contains { $0.kind == .reversePower })
        #expect(amended.isEmpty)
    }

    @Test func aLatePeakIsAnAmendmentOfWhatWasSaid() throws {
        // The peak came late; the spell was there before and after it, and had begun when it is looked at again.
        for from in [900.0, 2640] {
            let (said, amended) = amendments(late: 2690..<2770, from: from)
            let spell = try #require(said.first { $0.kind == .reversePower })
            let item = try #require(amended.first { $0.subject?.kind == .reversePower })
            #expect(item.change == .moved && item.spell == spell.id)
            #expect(item.before?.peak.value == -1_500_000 && item.after?.peak.value == -2_500_000)
            #expect(item.before?.watermark == spell.watermark && item.before?.onset == item.after?.onset)
            #expect(item.said == ["peak: -1500000.0 → -2500000.0"])
            #expect(item.lateSamples == 16 && item.lateFrom == start + 2690 && item.lateUntil == start + 2765)
        }
    }

    @Test func whatWasNotSeenIsARetrospectiveRecordAndTheGapIsUndone() throws {
        let (said, amended) = amendments(late: 1700..<3700)
        #expect(!said.contains { $0.kind == .reversePower })
        let new = try #require(amended.first { $0.change == .new && $0.after?.kind == .reversePower })
        #expect(new.after?.onset == start + 1800 && new.after?.raisedAt == start + 1860)
        #expect(new.after?.endedAt == start + 3600)
        let gap = try #require(said.first { $0.kind == .dataGap && $0.element == "FH-F1" })
        #expect(amended.contains { $0.change == .gone && $0.spell == gap.id })
    }

    @Test func whatIsAmendedGoesOnIntoTheNextStretch() throws {
        let (_, first) = amendments(late: 1700..<3700)
        let (_, second) = amendments(late: 1700..<3700, from: 2700, before: first)
        let new = try #require(second.first { $0.after?.kind == .reversePower })
        // Not another one that begins where the stretch does.
        #expect(new.after?.id == first.first { $0.after?.kind == .reversePower }?.after?.id)
        #expect(new.after?.onset == start + 1800 && new.after?.endedAt == start + 3600)
    }
}
