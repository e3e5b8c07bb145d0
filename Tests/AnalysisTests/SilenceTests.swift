import Analysis
import Foundation
import GridModel
import TestSupport
import Testing

/// A silent head is told in time, whether or not its silence is over by then; a meter that has been wrong from its first
/// sample on is named; what is stored and never used is used for nothing.
@Suite struct SilenceTests {
    static let network = SmallNetwork.make()
    static let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    static let start = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast

    private func analyser(_ change: (inout AnalysisSettings) -> Void = { _ in }) -> Analyser {
        var settings = AnalysisSettings()
        change(&settings)
        return Analyser(
            model: AnalysisModel(network: Self.network, registry: Self.registry, revision: 1), settings: settings)
    }

    private func device(_ name: String) -> Int32 { Self.registry.index[name] ?? -1 }

    /// A head every 5 s that imports until `turn` and exports from then on, silent from `silent.lowerBound` on.
    private func head(
        _ seconds: Range<Int>, silent: Range<Int> = 0..<0, turn: Int = .max, every step: Int = 5
    ) -> [Sample] {
        stride(from: seconds.lowerBound, to: seconds.upperBound, by: step).filter { !silent.contains($0) }.map {
            Sample(
                device: device("FH-F1"), time: Self.start + Double($0),
                activePower: ($0 < turn ? 900_000 : -900_000) + Float($0 * 7919 % 101), voltage: 20_400)
        }
    }

    private func gaps(_ output: AnalysisOutput) -> [AdvisoryReport] {
        output.reports.filter { $0.facts.kind == .dataGap && $0.facts.element == "FH-F1" && $0.change != .peak }
    }

    // MARK: Silent heads

    @Test func aHeadIsToldToBeSilentWhileItsBinsAreStillOpen() throws {
        var live = analyser()
        var said = gaps(live.absorb(head(0..<605)))
        #expect(said.isEmpty)
        // It spoke last at 600 s. Whoever listens says each second that nothing has come.
        for second in 601...645 {
            said += gaps(live.headIsSilent(feeder: "F1", until: Self.start + Double(second)))
            if !said.isEmpty { break }
        }
        let gap = try #require(said.first?.facts)
        #expect(gap.raisedAt == Self.start + 640 && gap.message.contains("silent since 2026-06-21T11:10:00Z"))
        #expect(gap.limit.value == 30)
        // As a run that has seen what came afterwards says of the same samples, word for word.
        var later = analyser()
        var undisturbed = gaps(later.absorb(head(0..<605)))
        undisturbed += gaps(later.tick(feeder: "F1", to: Self.start + 1200))
        #expect(undisturbed.map(\.facts) == [gap])
        // And it is not said twice.
        #expect(gaps(live.tick(feeder: "F1", to: Self.start + 1200)).isEmpty)
    }

    @Test func whatWasOnItsWayStillCounts() throws {
        var live = analyser()
        _ = live.absorb(head(0..<605))
        let said = gaps(live.headIsSilent(feeder: "F1", until: Self.start + 660))
        #expect(said.map(\.change) == [.start])
        // The link is back, and what it held up comes, the reversal with it.
        let output = live.absorb(head(605..<1200, turn: 605))
        #expect(gaps(output).map(\.change) == [.clear])
        #expect(try #require(gaps(output).first?.facts.clearedAt) > said[0].facts.raisedAt)
        let reverse = try #require(output.reports.first { $0.facts.kind == .reversePower && $0.change == .start })
        #expect(reverse.facts.onset == Self.start + 610)
        let minute = try #require(output.minutes.first { $0.time == Self.start + 600 })
        #expect(minute.headCoverage == 1)
    }

    @Test(arguments: [45, 60, 100, 300]) func aGapThatIsOverAtTheMomentOfReversalIsTold(seconds: Int) {
        var live = analyser()
        let output = live.absorb(head(0..<1800, silent: 605..<605 + seconds, turn: 605))
        #expect(gaps(output).map(\.change) == [.start, .clear])
        #expect(gaps(output).first?.facts.onset ?? .distantFuture <= Self.start + 640)
    }

    @Test func aHeadThatSpeaksOnceAMinuteIsNotSilentBetween() {
        var live = analyser()
        var reports = gaps(live.absorb(head(0..<1800, every: 60)))
        // Before its habit is known it is taken for one like the others.
        #expect(reports.map(\.change) == [.start, .clear])
        reports = gaps(live.absorb(head(1800..<7200, every: 60)))
        #expect(reports.isEmpty)
        // Its next word is due after a minute: half a minute more is too long.
        reports = gaps(live.headIsSilent(feeder: "F1", until: Self.start + 7230))
        #expect(reports.isEmpty)
        reports = gaps(live.headIsSilent(feeder: "F1", until: Self.start + 7240))
        #expect(reports.map(\.change) == [.start])
    }

    @Test func quarterHourMeansOfADERDoNotHoldUpTheHead() throws {
        let mean = Sample(
            device: device("pv-1"), time: Self.start, activePower: 200_000, interval: 900)
        var live = analyser()
        let output = live.absorb([mean] + head(0..<300, turn: 100))
        // Head bins are final 30 s after their end, whatever DER send.
        let reverse = try #require(output.reports.first { $0.facts.kind == .reversePower })
        #expect(reverse.facts.raisedAt == Self.start + 160)
        #expect(gaps(live.headIsSilent(feeder: "F1", until: Self.start + 340)).map(\.change) == [.start])
    }

    @Test(arguments: [Quality.invalid, .test, .old, .frozen, .signSuspect, .inconsistent])
    func aHeadThatSendsOnlyWhatIsNotToBeUsedIsBlindAndSaidToBe(flag: Quality) throws {
        var live = analyser()
        var samples = head(0..<900, turn: 605)
        for place in samples.indices where samples[place].time > Self.start + 600 { samples[place].quality = flag }
        samples += head(0..<900).map { sample in
            var other = sample
            other.device = device("pv-1")
            return other
        }
        samples.sort { $0.time < $1.time }
        let output = live.absorb(samples)
        let gap = try #require(gaps(output).first)
        #expect(gap.change == .start && gap.facts.raisedAt == Self.start + 640)
        let word = try #require(Quality.names.enumerated().first { flag.rawValue == 1 << UInt16($0.offset) }?.element)
        #expect(gap.facts.message.contains("not to be used (\(word))"))
        #expect(!output.reports.contains { $0.facts.kind == .reversePower })
    }

    @Test func aClockThatIsAheadHidesNoSilence() {
        var live = analyser()
        var samples = head(0..<605)
        // One of tomorrow, and then nothing.
        samples.append(
            Sample(
                device: device("FH-F1"), time: Self.start + 72_000, activePower: 1e6, quality: .clockSuspect))
        #expect(gaps(live.absorb(samples)).isEmpty)
        #expect(gaps(live.headIsSilent(feeder: "F1", until: Self.start + 720)).map(\.change) == [.start])
    }

    @Test func aHeadThatSpeaksButGivesNoPowerIsNamed() throws {
        var live = analyser()
        var samples = head(0..<900)
        for place in samples.indices where samples[place].time > Self.start + 600 { samples[place].activePower = .nan }
        let gap = try #require(gaps(live.absorb(samples)).first)
        #expect(gap.facts.raisedAt == Self.start + 640)
        #expect(gap.facts.message.contains("reports, but no active power since"))
        // Also when it never gave one.
        var other = analyser()
        for place in samples.indices { samples[place].activePower = .nan }
        #expect(gaps(other.absorb(samples)).map(\.change) == [.start])
        // Unless nobody expects one.
        var unmetered = analyser { $0.limits.isMetered = false }
        #expect(gaps(unmetered.absorb(samples)).isEmpty)
    }

    // MARK: Wrong from the first sample on

    /// Heads for an hour, and one device that sends every minute what `make` makes.
    private func beside(
        _ name: String, minutes: Int = 40, _ make: (inout Sample, Int) -> Void
    ) -> [Sample] {
        let own = (0..<minutes).map { minute in
            var sample = Sample(
                device: device(name), time: Self.start + Double(minute * 60), activePower: 3e9, voltage: 231_000)
            make(&sample, minute)
            return sample
        }
        return (head(0..<minutes * 60) + own).sorted { ($0.time, $0.device) < ($1.time, $1.device) }
    }

    @Test(
        arguments: ["VM-LV2", "VM-A1", "pv-1", "TM-TL"],
        [
            (Quality.outOfRange, "DQ_RANGE"), (.clockSuspect, "DQ_CLOCK"), (.invalid, "DQ_INVALID"),
            (.test, "DQ_INVALID"),
        ])
    func aDeviceThatIsWrongFromItsFirstSampleOnIsNamed(name: String, fault: (quality: Quality, detector: String)) throws
    {
        var live = analyser()
        let output = live.absorb(beside(name) { sample, _ in sample.quality = fault.quality })
        let found = output.reports.filter { $0.change == .start }.map(\.facts)
        #expect(found.map(\.detector) == [fault.detector])
        let facts = try #require(found.first)
        #expect(facts.contributors.map(\.device) == [name] && facts.raisedAt == Self.start + 180)
        #expect(facts.feeder == "F1" && facts.message.contains(name))
    }

    @Test(arguments: ["VM-LV2", "pv-1", "TM-TL"]) func itIsNamedUntilSomethingGoodComes(name: String) throws {
        var live = analyser()
        let samples = beside(name, minutes: 60) { sample, minute in
            sample.quality = minute < 20 || minute > 24 ? .outOfRange : []
            // Silence ends nothing.
            if (6..<15).contains(minute) { sample.time = Self.start + 900 }
            if minute > 24 { return }
            (sample.activePower, sample.voltage) = (200_000, name == "VM-LV2" ? 231 : .nan)
        }
        let reports = live.absorb(samples).reports.filter { $0.facts.kind == .dataImplausible }
        #expect(reports.map(\.change) == [.start, .clear, .start])
        #expect(reports[1].facts.clearedAt == Self.start + 21 * 60)
    }

    @Test func aHeadThatSendsWhatCannotBeIsNamed() throws {
        var live = analyser()
        var samples = head(0..<1200)
        for place in samples.indices { samples[place].quality = .outOfRange }
        let found = live.absorb(samples).reports.filter { $0.change == .start }.map(\.facts)
        #expect(found.map(\.detector) == ["DQ_GAP", "DQ_RANGE"] && found.allSatisfy { $0.message.contains("FH-F1") })
        #expect(found.first?.message.contains("not to be used (OUT_OF_RANGE)") == true)
    }

    @Test func aMeterAtTheBusbarIsNamedWithItsBank() throws {
        let meter = beside("TM-T") { sample, _ in sample.quality = .outOfRange }
        let others = [("FH-F2", 1), ("FH-F3", 2)].flatMap { name, _ in
            head(0..<2400).map { sample in
                var other = sample
                other.device = device(name)
                return other
            }
        }
        var live = analyser()
        let found = live.absorb((meter + others).sorted { $0.time < $1.time }).reports.filter { $0.change == .start }
        #expect(found.map(\.facts.element) == ["SUB/range"])
        #expect(found.first?.facts.contributors.map(\.device) == ["TM-T"])
    }

    @Test func aDERThatNeverGivesAPowerIsNamedAndSaysWhatIsMissing() throws {
        var live = analyser()
        // One phase alone is no total: that is what is left of it.
        let output = live.absorb(
            beside("pv-1") { sample, _ in (sample.activePower, sample.voltage, sample.quality) = (.nan, 231, []) })
        let found = output.reports.filter { $0.facts.kind == .dataGap && $0.change == .start }.map(\.facts)
        #expect(found.map(\.element) == ["pv-1", "F1/fleet"] || found.map(\.element) == ["F1/fleet", "pv-1"])
        let own = try #require(found.first { $0.element == "pv-1" })
        #expect(own.message.contains("has never sent an active power") && own.message.contains("all three phases"))
        #expect(own.raisedAt == Self.start + 960)
        // One that had a power before is as blind without.
        var other = analyser()
        let later = other.absorb(
            beside("pv-1", minutes: 60) { sample, minute in
                (sample.activePower, sample.voltage, sample.quality) = (minute < 20 ? 200_000 : .nan, 231, [])
            })
        let gap = try #require(later.reports.first { $0.facts.element == "pv-1" && $0.facts.kind == .dataGap }?.facts)
        #expect(gap.message.contains("has sent no active power since 2026-06-21T11:19:00Z"))
    }

    // MARK: Never used

    @Test func aBadPositionMovesNoSwitch() {
        let opened = Sample(
            device: device("S-mid"), time: Self.start + 100, quality: .invalid, switchPosition: .open)
        var (a, b) = (analyser(), analyser())
        let samples = head(0..<900) + []
        let plain = a.absorb(samples)
        let with = b.absorb(Array(samples[..<20]) + [opened] + Array(samples[20...]))
        #expect(plain == with)
    }

    /// NaN is not equal to itself: as words.
    private func words(_ reports: [AdvisoryReport]) -> [String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return reports.map { report in
            "\(report.change) \((try? encoder.encode(report.facts)).map { String(decoding: $0, as: UTF8.self) } ?? "?")"
        }
    }

    /// For any flags: what a bad sample says has no part in anything that is said, and nothing ends by it.
    @Test(arguments: 1...20) func valuesOfBadSamplesDecideNothing(seed: UInt64) {
        var random = SplitMix(seed: seed)
        // Half of the draws without what cannot be by its value alone: its time moves the feeder on.
        let isTimeless = seed % 2 == 0
        let flags: [Quality] =
            (isTimeless ? [] : [.outOfRange, [.outOfRange, .questionable]]) + [
                .invalid, .old, .frozen, .test, .clockSuspect, .signSuspect, .inconsistent,
                [.invalid, .estimated], [.outOfRange, .invalid],
            ]
        var (truth, garbage, without): ([Sample], [Sample], [Sample]) = ([], [], [])
        for sample in RestartTests.recording(&random) {
            var kept = sample
            if random.next() % 4 == 0 { kept.quality = flags[Int(random.next() % UInt64(flags.count))] }
            truth.append(kept)
            guard kept.quality.grade == .bad else {
                garbage.append(kept)
                without.append(kept)
                continue
            }
            kept.activePower = kept.activePower.isNaN ? .nan : Float(random.unit() - 0.5) * 1e9
            kept.voltage = kept.voltage.isNaN ? .nan : Float(random.unit()) * 1e6
            kept.tapPosition = kept.tapPosition.isNaN ? .nan : 99
            kept.switchPosition = SwitchPosition.open.rawValue
            garbage.append(kept)
        }
        var (a, b, c) = (
            RestartTests.analyser(), RestartTests.analyser(), RestartTests.analyser()
        )
        let (said, other, missing) = (a.absorb(truth), b.absorb(garbage), c.absorb(without))
        #expect(words(said.reports) == words(other.reports))
        #expect(said.minutes.map { "\($0)" } == other.minutes.map { "\($0)" })
        #expect("\(said.forecasts)" == "\(other.forecasts)")
        guard isTimeless else { return }
        // But for what is said of the data itself, as if they had never come. At the very end one side has come further.
        let health: Set<AdvisoryKind> = [.dataGap, .clockSuspect, .dataImplausible, .chatter]
        let end = RestartTests.start + 14_000
        func facts(_ output: AnalysisOutput) -> [String] {
            output.reports.filter {
                !health.contains($0.facts.kind) && $0.change != .cause && $0.facts.watermark < end
            }.map {
                "\($0.change) \($0.facts.id) \($0.facts.kind) \($0.facts.severity) \($0.facts.onset) \($0.facts.raisedAt) \(String(describing: $0.facts.clearedAt)) \($0.facts.peak.value)"
            }.sorted()
        }
        #expect(facts(said) == facts(missing))
        func minutes(_ output: AnalysisOutput) -> [String] {
            output.minutes.filter { $0.time < end && $0.time >= RestartTests.start }.map { "\($0)" }.sorted()
        }
        #expect(minutes(said) == minutes(missing))
    }

    @Test func whatTheOthersShowDoesNotEndWhatASilentMeterHasShown() {
        var live = analyser()
        var samples = head(0..<7200)
        for minute in 0..<120 {
            let time = Self.start + Double(minute * 60)
            let wobble = Float(minute % 7) * 0.1
            // 1.13 pu for an hour, then nothing; the other one is well all the time.
            if minute < 60 {
                samples.append(
                    Sample(device: device("VM-LV1"), time: time, voltage: 261 + wobble))
            }
            samples.append(Sample(device: device("VM-LV2"), time: time, voltage: 231 + wobble))
        }
        samples.sort { ($0.time, $0.device) < ($1.time, $1.device) }
        let reports = live.absorb(samples).reports.filter { $0.facts.kind == .voltageHigh && $0.facts.element == "LVA" }
        #expect(reports.first?.change == .start)
        #expect(reports.last?.change == .uncertain)
        #expect(!reports.contains { $0.change == .clear })
    }
}
