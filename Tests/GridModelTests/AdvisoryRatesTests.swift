import GridModel
import Testing

@Suite struct AdvisoryRatesTests {
    private let start = Timestamp("2026-06-21T00:00:00Z") ?? .distantPast

    private func at(
        _ minutes: Double, _ what: AdvisoryRates.Happening.What = .annunciated, _ id: String = "a",
        element: String = "FH-F1", kind: String = "reverse_power", severity: Severity = .medium
    ) -> AdvisoryRates.Happening {
        .init(
            what, at: start + minutes * 60, advisory: id, kind: kind, feeder: "F1", element: element,
            severity: severity)
    }

    @Test(arguments: [
        (0, "acceptable"), (1, "acceptable"), (2, "manageable"), (3, "high"), (10, "high"), (11, "flood"),
    ])
    func theLevelIsThatOfTheLastTenMinutes(count: Int, level: String) {
        let happenings = [at(1)] + (0..<count).map { at(50 + Double($0) / 2, .annunciated, "\($0)") }
        let rates = AdvisoryRates(happenings, from: start, until: start + 3600)
        #expect(rates.new10Min == count && rates.new1H == count + 1 && rates.level.rawValue == level)
        #expect(rates.max10Min == max(1, count))
        #expect(abs(rates.above10Pct - (count > 10 ? 100.0 / 6 : 0)) < 1e-9)
    }

    @Test func sourcesShareMixAndTimes() throws {
        let happenings = [
            at(0, element: "A"), at(0.5, element: "A"), at(0.9, element: "A"), at(2, .acknowledged),
            at(3, .annunciated, "b", element: "B", severity: .urgent), at(7, .acknowledged, "b", severity: .urgent),
            at(8, .annunciated, "c", element: "C"), at(8.5, .cleared, "c", element: "C"),
            // A note is no alarm.
            at(9, .annunciated, "n", element: "N", severity: .note),
        ]
        let rates = AdvisoryRates(happenings, from: start, until: start + 3600)
        #expect(rates.topSources.map(\.element) == ["A", "B", "C"] && rates.topSources[0].count == 3)
        #expect(rates.topSources[0].sharePct == 60 && rates.topSourcesSharePct == 100)
        #expect(rates.mixPct == ["1": 20, "2": 0, "3": 80])
        #expect(rates.chattering == 1 && rates.fleeting == 1)
        #expect(rates.acknowledged.count == 2 && rates.acknowledgedSerious.count == 1)
        let serious = try #require(rates.acknowledgedSerious.p90S)
        #expect(abs(serious - 240) < 1e-6)
        #expect(AdvisoryRates([], from: start, until: start + 60).acknowledged.medianS == nil)
    }

    @Test func sourcesThatAreEquallyManyStandInOneOrder() {
        let kinds = ["voltage_high", "fast_ramp", "voltage_rise", "voltage_low", "data_gap"]
        let happenings = kinds.enumerated().map { at(Double($0), .annunciated, "\($0)", element: "LV1", kind: $1) }
        let rates = AdvisoryRates(happenings, from: start, until: start + 3600)
        #expect(rates.topSources.map(\.kind) == kinds.sorted())
    }

    @Test func desksAreReadAndWhatNobodyNamesBelongsToAll() throws {
        #expect(Desk.parse("") == [Desk(name: "all", feeders: nil)])
        let desks = try #require(Desk.parse("north: F01 F02; south: F03"))
        #expect(desks.map(\.name) == ["north", "south"])
        #expect(desks[0].covers("F02", among: desks) && !desks[0].covers("F03", among: desks))
        #expect(desks.allSatisfy { $0.covers("SUB1", among: desks) })
        for wrong in ["north", "north:", "n o: F1", "north: F1; north: F2", ": F1"] {
            #expect(Desk.parse(wrong) == nil, "\(wrong)")
        }
    }
}
