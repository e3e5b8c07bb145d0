import Analysis
import GridModel
import Testing

@Suite struct BacktestTests {
    private let start = Timestamp("2026-06-21T10:00:00Z") ?? .distantPast

    private func spell(
        _ id: String, at minutes: Double, until end: Double? = nil, element: String = "FH-F1",
        _ change: (inout AdvisoryFacts) -> Void = { _ in }
    ) -> AdvisoryFacts {
        let onset = start + minutes * 60
        var made = AdvisoryFacts(
            id: id, kind: .reversePower, detector: "RPF_HEAD", feeder: "F1", element: element, severity: .medium,
            onset: onset, raisedAt: onset + 60, clearedAt: end.map { start + $0 * 60 },
            peak: .init(value: -2e5, unit: "W", at: onset), limit: .init(value: -5e6, unit: "W", source: "test"),
            message: "m", response: "r",
            evidence: .init(
                series: [], unit: "W", binS: 10, goodPct: 100, usablePct: 0, missingPct: 0, settingsHash: "a",
                topologyRevision: 1), watermark: onset + 60)
        change(&made)
        return made
    }

    @Test func theSameIsTheSameWhateverTheSettingsWereCalled() {
        let before = [spell("a", at: 0, until: 30), spell("b", at: 40)]
        let after = before.map { old in
            var new = old
            (new.evidence.settingsHash, new.evidence.topologyRevision) = ("b", 2)
            return new
        }
        let result = Backtest(before: before, after: after)
        #expect(result.asBefore == 2 && result.identical == 2)
        #expect(result.differences.isEmpty && result.saidOtherwise.isEmpty)
    }

    @Test func whatIsNewGoneMovedAndSaidOtherwiseIsTold() throws {
        let before = [
            spell("a", at: 0, until: 30), spell("b", at: 60, until: 90), spell("c", at: 120, until: 150),
            spell("d", at: 0, element: "FH-F2"),
        ]
        let after = [
            // A later onset is another spell of the same: it was there at the same time.
            spell("a2", at: 5, until: 30), spell("b", at: 60, until: 90) { $0.message = "other words" },
            spell("e", at: 400), spell("d", at: 0, element: "FH-F2") { $0.severity = .high },
        ]
        let result = Backtest(before: before, after: after)
        #expect(result.differences.map(\.change) == [.moved, .moved, .gone, .new])
        #expect(result.differences.map(\.element) == ["FH-F2", "FH-F1", "FH-F1", "FH-F1"])
        #expect(result.differences[0].moved == ["severity: 3 → 2"])
        let later = try #require(result.differences[1].moved.first)
        #expect(later.hasPrefix("onset: 2026-06-21T10:00:00Z → 2026-06-21T10:05:00Z"))
        #expect(result.asBefore == 1 && result.identical == 0)
        #expect(result.saidOtherwise.map(\.fields) == [["message"]])
    }

    @Test func ratesLeaveOutWhatStartsAsAPart() {
        // A front over three feeders: their ramps are its parts but for the first, which came before it.
        func ramp(_ id: String, at minutes: Double, _ feeder: String) -> AdvisoryFacts {
            spell(id, at: minutes, until: 30, element: feeder == "network" ? feeder : "FH-\(feeder)") {
                ($0.kind, $0.feeder) = (.fastRamp, feeder)
                $0.detector = feeder == "network" ? "RAMP_FRONT" : "RAMP_DOWN"
            }
        }
        let spells = [
            ramp("a", at: 0, "F1"), ramp("n", at: 1, "network"), ramp("b", at: 2, "F2"), ramp("c", at: 3, "F3"),
        ]
        let happenings = AdvisoryRates.annunciated(spells, banks: [:])
        #expect(happenings.filter { $0.what == .annunciated }.map(\.advisory) == ["a", "n"])
        #expect(happenings.filter { $0.what == .cleared }.map(\.advisory) == ["a", "n"])
        let rates = AdvisoryRates(
            happenings.sorted { $0.time < $1.time }, from: start, until: start + 3600)
        #expect(rates.max10Min == 2)
    }
}
