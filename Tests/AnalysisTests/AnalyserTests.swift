import Analysis
import GridModel
import TestSupport
import Testing

@Suite struct AnalyserTests {
    static let network = SmallNetwork.make()
    static let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    static let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    private func analyser(_ change: (inout AnalysisSettings) -> Void = { _ in }) -> Analyser {
        var settings = AnalysisSettings()
        change(&settings)
        return Analyser(
            model: AnalysisModel(network: Self.network, registry: Self.registry, revision: 1), settings: settings)
    }

    private func device(_ name: String) -> Int32 { Self.registry.index[name] ?? -1 }

    /// A day's worth in small: head F1 exports between minutes 10 and 40, PV follows; heads every 5 s, PV every 60 s.
    private func day(seconds: Int = 5400) -> [Sample] {
        var samples: [Sample] = []
        for second in stride(from: 0, to: seconds, by: 5) {
            let time = Self.start + Double(second)
            let exporting = (600..<2400).contains(second)
            if second % 60 == 0 {
                for number in 1...4 {
                    samples.append(
                        Sample(
                            device: device("pv-\(number)"), time: time, activePower: exporting ? 500_000 : 1000,
                            voltage: 235))
                }
            }
            samples.append(
                Sample(
                    device: device("FH-F1"), time: time, activePower: exporting ? -1_500_000 : 400_000, voltage: 20_400)
            )
            samples.append(Sample(device: device("FH-F2"), time: time, activePower: 700_000, voltage: 20_400))
        }
        return samples
    }

    @Test func oneReverseSpellIsOneAdvisory() throws {
        var analyser = analyser()
        let reports = analyser.absorb(day()).reports.filter { $0.facts.kind == .reversePower }
        #expect(reports.filter { $0.change == .start }.count == 1)
        let clear = try #require(reports.last)
        #expect(clear.change == .clear)
        #expect(clear.facts.onset == Self.start + 600)
        #expect(clear.facts.raisedAt == Self.start + 660)
        #expect(clear.facts.endedAt == Self.start + 2400)
        #expect(clear.facts.clearedAt == Self.start + 2700)
        #expect(clear.facts.peak.value == -1_500_000)
        #expect(clear.facts.element == "FH-F1")
    }

    @Test func theSameInputGivesTheSameOutputHoweverItIsCut() {
        let samples = day()
        var whole = analyser()
        let expected = whole.absorb(samples)
        for size in [1, 7, 1000] {
            var cut = analyser()
            var output = AnalysisOutput()
            for from in stride(from: 0, to: samples.count, by: size) {
                let part = cut.absorb(samples[from..<min(from + size, samples.count)])
                output.reports += part.reports
                output.minutes += part.minutes
                output.forecasts += part.forecasts
            }
            #expect(output == expected)
        }
    }

    @Test(arguments: [900.0, 1500, 2450, 2650, 3000]) func aRestartDoublesNothingAndLosesNothing(crash: Double) throws {
        let samples = day()
        var undisturbed = analyser()
        let expected = undisturbed.absorb(samples).reports

        let cut = try #require(samples.firstIndex { $0.time >= Self.start + crash })
        var first = analyser()
        var reports = first.absorb(samples[..<cut]).reports
        var latest: [String: AdvisoryFacts] = [:]
        for report in reports { latest["\(report.facts.kind) \(report.facts.element)"] = report.facts }
        var second = analyser()
        second.restore(positions: first.positions, latest: Array(latest.values))
        // The store holds everything up to the crash, in time order.
        reports += second.absorb(samples[..<cut].sorted { ($0.time, $0.device) < ($1.time, $1.device) }).reports
        reports += second.absorb(samples[cut...]).reports
        func words(_ list: [AdvisoryReport]) -> [String] {
            list.filter { $0.change != .cause }.map { "\($0.change) \($0.facts.id) \($0.facts.watermark)" }.sorted()
        }
        #expect(words(reports) == words(expected))
    }

    @Test func aSecondSpellSoonAfterOpensTheSameAdvisory() throws {
        var analyser = analyser()
        var samples: [Sample] = []
        for second in stride(from: 0, to: 4200, by: 5) {
            let exporting = (600..<1200).contains(second) || (2000..<2600).contains(second)
            samples.append(
                Sample(
                    device: device("FH-F1"), time: Self.start + Double(second),
                    activePower: exporting ? -900_000 : 300_000))
        }
        let reports = analyser.absorb(samples).reports.filter { $0.facts.kind == .reversePower }
        #expect(reports.map(\.change) == [.start, .clear, .start, .clear])
        #expect(Set(reports.map(\.facts.id)).count == 1)
        #expect(try #require(reports.last).facts.occurrence == 2)
    }

    @Test func aSilentHeadIsAGapAndTheReverseAdvisoryStands() {
        var analyser = analyser()
        var samples = day().filter { !($0.device == device("FH-F1") && $0.time >= Self.start + 1200) }
        samples = samples.filter { $0.time < Self.start + 2400 }
        let reports = analyser.absorb(samples).reports
        #expect(reports.contains { $0.facts.kind == .dataGap && $0.facts.element == "FH-F1" && $0.change == .start })
        let reverse = reports.filter { $0.facts.kind == .reversePower && $0.facts.feeder == "F1" }
        #expect(reverse.map(\.change).contains(.uncertain))
        #expect(!reverse.map(\.change).contains(.clear))
    }

    @Test func silenceOfEverythingIsAGapOnceTimeIsToldToGoOn() {
        var analyser = analyser()
        _ = analyser.absorb(day(seconds: 600))
        let reports = analyser.tick(feeder: "F1", to: Self.start + 900).reports
        #expect(reports.contains { $0.facts.kind == .dataGap && $0.facts.element == "FH-F1" })
    }

    @Test func aSwitchMovesDevicesToTheOtherFeederFromThenOn() {
        var analyser = analyser()
        analyser.switchMoved("S-mid", to: .open, at: Self.start + 1800)
        analyser.switchMoved("S-tie", to: .closed, at: Self.start + 1800)
        let minutes = analyser.absorb(day(seconds: 3000)).minutes
        func moved(_ minute: FeederMinute) -> Bool { minute.feeder == "F2" && minute.normalFeeder == "F1" }
        #expect(minutes.contains { moved($0) && $0.time >= Self.start + 1800 && $0.fleet.photovoltaic > 0 })
        #expect(!minutes.contains { moved($0) && $0.time < Self.start + 1800 })
    }

    @Test func aHeadWithoutMeterIsEstimatedFromItsNeighbours() {
        var analyser = analyser { settings in
            settings.feederLimits["F1"] = settings.limits
            settings.feederLimits["F1"]?.isMetered = false
        }
        var samples: [Sample] = []
        for second in stride(from: 0, to: 3600, by: 5) {
            let time = Self.start + Double(second)
            if second % 60 == 0 {
                for number in 1...4 {
                    samples.append(Sample(device: device("pv-\(number)"), time: time, activePower: 900_000))
                }
            }
            for feeder in ["F2", "F3"] {
                samples.append(Sample(device: device("FH-\(feeder)"), time: time, activePower: 800_000))
            }
        }
        let found = analyser.absorb(samples).reports.first { $0.facts.detector == "RPF_EST" }
        #expect(found?.facts.feeder == "F1")
        #expect(found?.facts.confidence == .low)
    }

    @Test func aHighVoltageIsOneAdvisoryOfItsGroup() throws {
        var analyser = analyser { $0.standard = .us }
        var samples: [Sample] = []
        let base = 400 / 3.0.squareRoot()
        for minute in 0..<90 {
            // The vector of B.2.1: four minutes at 1.046, then 1.056; from minute 30 on 1.046 does not clear, 1.044 does.
            let value = minute < 4 ? 1.046 : minute < 30 ? 1.056 : minute < 55 ? 1.046 : 1.044
            for name in ["VM-LV1", "VM-LV2"] {
                for part in [0.0, 30] {
                    samples.append(
                        Sample(
                            device: device(name), time: Self.start + Double(minute) * 60 + part,
                            voltage: Float(value * base)))
                }
            }
        }
        let reports = analyser.absorb(samples).reports.filter { $0.facts.kind == .voltageHigh }
        #expect(reports.map(\.change) == [.start, .clear])
        let start = try #require(reports.first)
        #expect(start.facts.element == "LVA")
        #expect(start.facts.detector == "V_HIGH_A")
        #expect(try #require(reports.last).facts.clearedAt == Self.start + 75 * 60)
    }

    @Test func lateSamplesAreLeftOut() {
        var a = analyser()
        var b = analyser()
        let samples = day()
        var withLate = samples
        withLate.insert(
            Sample(device: device("FH-F1"), time: Self.start + 300, activePower: -9_000_000, quality: .late),
            at: samples.count / 2)
        let (without, with) = (a.absorb(samples), b.absorb(withLate))
        #expect(without == with)
    }

    @Test func theClockOfADERCannotDragTheFeederAlong() {
        var clock = FeederClock()
        let settings = AnalysisSettings()
        func isLate(_ seconds: Double, _ kind: DeviceKind) -> Bool {
            clock.observe(Self.start + seconds, .init(kind, settings), [])
        }
        let first = [isLate(0, .feederHead), isLate(90, .photovoltaic)]
        #expect(first == [false, false])
        #expect(clock.now == Self.start)
        let later = [isLate(-31, .feederHead), isLate(-89, .photovoltaic), isLate(-91, .photovoltaic)]
        #expect(later == [true, false, true])
    }
}

/// Ramps that go up and down (`domain-rules.md` B.3.2).
@Suite struct SwingTests {
    @Test func oppositeRampsWithinTenMinutesAreOneAdvisory() throws {
        let network = SmallNetwork.make()
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        let head = try #require(registry.index["FH-F1"])
        let start = try #require(Timestamp("2026-06-21T08:00:00Z"))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
        var reports: [AdvisoryReport] = []
        // 10 MVA: quiet, 3 MW up in five minutes, down, up again, quiet.
        for second in stride(from: 0, to: 3600, by: 10) {
            let minute = Double(second) / 60
            let turns = [(10.0, 0.0), (15, 3), (20, 0), (25, 3)]
            var power = minute < 10 ? 0.0 : 3
            for (from, to) in zip(turns, turns.dropFirst()) where minute >= from.0 && minute < to.0 {
                power = from.1 + (to.1 - from.1) * (minute - from.0) / 5
            }
            reports +=
                analyser.absorb([
                    Sample(
                        device: head, time: start + Double(second),
                        activePower: Float(2e6 + power * 1e6 + Double(second % 70)),
                        voltage: 20_000)
                ]).reports
        }
        let ramps = reports.filter { $0.facts.kind == .fastRamp && $0.facts.element == "FH-F1" }
        #expect(Set(ramps.map(\.facts.id)).count == 1)
        #expect(ramps.filter { $0.change == .start }.map(\.facts.detector) == ["RAMP_UP"])
        #expect(ramps.compactMap { $0.facts.evidence.notes["swings"] }.max() == 2)
        #expect(ramps.contains { $0.facts.message.contains("it has turned 2 times") })
        #expect(ramps.last?.change == .clear)
    }
}
