import Analysis
import GridModel
import TestSupport
import Testing

/// Regulators, reclosers, service transformers and the fleet (`domain-rules.md` B.1.3, B.1.4, B.3.2).
@Suite struct LineDeviceTests {
    /// A regulator and a recloser on the way to A2, a transformer behind it.
    static func network(_ mode: Network.Regulator.Mode, isDirectional: Bool? = nil) -> Network {
        var network = SmallNetwork.make()
        network.regulators = [.init(id: "R1", line: "LA2", mode: mode)]
        network.switches[1].relay = .init(phasePickup: 100, isDirectional: isDirectional)
        return network
    }

    private static let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    /// Reports of `minutes`, with the head and `device` each ten seconds.
    private func reports(
        _ network: Network, _ device: String, minutes: Int, settings: AnalysisSettings = .init(),
        moved: [(switchID: String, position: SwitchPosition)] = [], _ sample: (Double) -> Sample
    ) throws -> [AdvisoryReport] {
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: settings)
        for move in moved { analyser.switchMoved(move.switchID, to: move.position, at: Self.start - 60) }
        let head = try #require(registry.index["FH-F1"])
        let number = try #require(registry.index[device])
        return stride(from: 0.0, to: Double(minutes) * 60, by: 10).flatMap { second in
            var made = sample(second)
            (made.device, made.time) = (number, Self.start + second)
            // A meter that stands still is none.
            made.activePower += Float(Int(second) / 10 % 7)
            let flow = Sample(
                device: head, time: Self.start + second, activePower: 400_000 + Float(second), voltage: 20_000)
            return analyser.absorb([flow, made]).reports.filter { $0.change != .peak }
        }
    }

    private func blank() -> Sample { Sample(device: 0, time: Self.start) }

    // MARK: Silence

    /// What `device` says with one sample a minute, which ends after `spoken` minutes and begins again at `again`, while the head goes on for `minutes`.
    private func silence(
        _ network: Network, _ device: String, spoken: Int, again: Int, minutes: Int, interval: Float = 0
    ) throws -> [AdvisoryReport] {
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: .init())
        let head = try #require(registry.index["FH-F1"])
        let number = try #require(registry.index[device])
        var found: [AdvisoryReport] = []
        for second in stride(from: 0, to: minutes * 60, by: 10) {
            let time = Self.start + Double(second)
            var samples = [Sample(device: head, time: time, activePower: 400_000 + Float(second), voltage: 20_000)]
            if second / 60 < spoken || second / 60 >= again, second % (interval > 0 ? Int(interval) : 60) == 0 {
                var sample = Sample(device: number, time: time, activePower: 1000 + Float(second))
                sample.interval = interval
                samples.append(sample)
            }
            found += analyser.absorb(samples).reports
        }
        return found.filter { $0.facts.kind == .dataGap && $0.facts.element == device }
    }

    @Test(arguments: [("RG-R1", Severity.medium), ("RC-S-mid", .medium)]) func aSilentDeviceOnTheLineIsNamed(
        device: String, severity: Severity
    ) throws {
        let found = try silence(Self.network(.bidirectional), device, spoken: 10, again: 20, minutes: 40)
        #expect(found.map(\.change) == [.start, .clear])
        #expect(found.first?.facts.severity == severity && found.first?.facts.limit.value == 180)
        // Last heard at minute 9; silent for more than three minutes at the end of minute 12.
        #expect(found.first?.facts.onset == Self.start + 12 * 60)
        // Not one sample, but three in a row: those of minutes 20 to 22.
        #expect(found.last?.facts.clearedAt == Self.start + 23 * 60)
        #expect(found.last?.facts.message.contains("reports again") == true)
    }

    @Test func aTransformersMeterIsSilentOnlyAfterThreeOfItsMeans() throws {
        let lost = try silence(SmallNetwork.make(), "TM-TL", spoken: 61, again: 1000, minutes: 180, interval: 900)
        #expect(lost.map(\.change) == [.start] && lost.first?.facts.severity == .note)
        let delayed = try silence(SmallNetwork.make(), "TM-TL", spoken: 61, again: 90, minutes: 180, interval: 900)
        #expect(delayed.isEmpty)
    }

    // MARK: Regulators

    @Test(arguments: [
        (Network.Regulator.Mode.lockedForward, Network.Regulator.Reversal.safe, Network.Regulator.Reversal.unsafe),
        (.lockedReverse, .unsafe, .safe), (.bidirectional, .unsafe, .safe), (.cogeneration, .safe, .unsafe),
        (.neutralIdle, .caution, .caution), (.idle, .caution, .caution), (.manualNeutral, .caution, .caution),
        (.reactiveBidirectional, .safe, .safe),
    ]) func theModeTableIsAsWritten(
        mode: Network.Regulator.Mode, der: Network.Regulator.Reversal, moved: Network.Regulator.Reversal
    ) {
        #expect(mode.onReversal(isMoved: false) == der)
        #expect(mode.onReversal(isMoved: true) == moved)
    }

    @Test(arguments: [
        (Network.Regulator.Mode.bidirectional, Severity.urgent), (.idle, .medium), (.cogeneration, .note),
    ]) func derThatFeedBackThroughARegulatorAreSaidByItsMode(mode: Network.Regulator.Mode, severity: Severity) throws {
        // 300 A at 20 kV are 10.4 MVA: 208 kW must come back. From minute 5 to 15 it does.
        let found = try reports(Self.network(mode), "RG-R1", minutes: 40) { second in
            var sample = blank()
            sample.activePower = second >= 300 && second < 900 ? -400_000 : 100_000
            sample.reactivePower = 50_000
            return sample
        }.filter { $0.facts.detector == "RPF_REG" }
        #expect(found.map(\.change) == [.start, .clear])
        let start = try #require(found.first?.facts)
        #expect((start.kind, start.element, start.severity) == (.reversePowerDevice, "RG-R1", severity))
        #expect((start.onset, start.cause, start.feeder) == (Self.start + 300, "der", "F1"))
        #expect(found.last?.facts.endedAt == Self.start + 900)
    }

    @Test func aRegulatorFedFromItsOtherSideIsJudgedAsMoved() throws {
        let moved: [(String, SwitchPosition)] = [("CB-A", .open), ("S-tie", .closed)]
        let found = try reports(Self.network(.bidirectional), "RG-R1", minutes: 15, moved: moved) { _ in
            var sample = blank()
            sample.activePower = -400_000
            return sample
        }.filter { $0.facts.detector == "RPF_REG" }
        let start = try #require(found.first?.facts)
        #expect((start.cause, start.severity) == ("moved", .note))
        // Nothing feeds it, and still power comes back: what it is worth is not known, so the worst is taken.
        let dark = try reports(Self.network(.bidirectional), "RG-R1", minutes: 15, moved: [("S-mid", .open)]) { _ in
            var sample = blank()
            sample.activePower = -400_000
            return sample
        }
        #expect(dark.first { $0.facts.detector == "RPF_REG" }?.facts.severity == .urgent)
    }

    @Test func reactivePowerThatComesBackTooMakesAVarControlDoubtful() throws {
        for (reactive, severity) in [(Float(50_000), Severity.note), (-100_000, .medium), (.nan, .medium)] {
            let found = try reports(Self.network(.reactiveBidirectional), "RG-R1", minutes: 10) { _ in
                var sample = blank()
                sample.activePower = -400_000
                sample.reactivePower = reactive
                return sample
            }
            #expect(found.first { $0.facts.detector == "RPF_REG" }?.facts.severity == severity)
        }
    }

    @Test func aRegulatorThatStepsOneWayWhileTheVoltageMovesOffRunsAway() throws {
        func run(power: Float, drift: Float) throws -> [AdvisoryReport] {
            try reports(Self.network(.bidirectional), "RG-R1", minutes: 30) { second in
                var sample = blank()
                sample.activePower = power
                let steps = Float(min(4, max(0, Int(second - 600) / 60)))
                sample.tapPosition = steps
                sample.voltage = 20_000 * (1 + drift * steps)
                return sample
            }.filter { $0.facts.detector == "REG_RUNAWAY" }
        }
        let start = try #require(run(power: -400_000, drift: 0.00625).first?.facts)
        #expect((start.kind, start.severity, start.element) == (.regulatorRunaway, .urgent, "RG-R1"))
        // The third step is at minute 13.
        #expect(start.onset == Self.start + 780)
        #expect(start.evidence.notes["taps_one_way"] == 3)
        // It does its work: the voltage stays; or no power comes back.
        #expect(try run(power: -400_000, drift: 0).isEmpty)
        #expect(try run(power: 400_000, drift: 0.00625).isEmpty)
    }

    @Test func aTapChangerThatGoesUpAndDownHunts() throws {
        let found = try reports(Self.network(.cogeneration), "RG-R1", minutes: 60) { second in
            var sample = blank()
            sample.activePower = 300_000
            // Each two minutes the other way, for twenty minutes.
            sample.tapPosition = second < 1200 ? Float(Int(second / 120) % 2) : 0
            return sample
        }.filter { $0.facts.detector == "REG_HUNT" }
        #expect(found.map(\.change) == [.start, .clear])
        let start = try #require(found.first?.facts)
        #expect((start.kind, start.severity, start.onset) == (.regulatorHunting, .medium, Self.start + 600))
    }

    @Test func tapsAreCountedAsTheyAreStepped() {
        var watch = TapWatch()
        for (second, position) in [(0.0, 0), (60, 2), (120, 3)] { watch.take(Float(position), at: Self.start + second) }
        #expect(watch.run(at: Self.start + 130) == 3)
        for (second, position) in [(1500.0, 4), (1560, 3)] { watch.take(Float(position), at: Self.start + second) }
        #expect(watch.run(at: Self.start + 1560) == -1)
        #expect(watch.turns(at: Self.start + 1560) == 1)
        #expect(watch.operations == 5)
        watch.forget(before: Self.start + 86_400 + 130)
        #expect(watch.operations == 2)
    }

    @Test(arguments: [Float.infinity, -.infinity, .greatestFiniteMagnitude, -1e30, 65])
    func whatNoTapChangerHasIsNoPosition(position: Float) throws {
        var watch = TapWatch()
        watch.take(2, at: Self.start)
        watch.take(position, at: Self.start + 60)
        #expect((watch.position, watch.operations) == (2, 0))
        let found = try reports(Self.network(.bidirectional), "RG-R1", minutes: 20) { second in
            var sample = blank()
            sample.activePower = -400_000
            sample.tapPosition = second > 300 ? position : 0
            return sample
        }
        #expect(!found.contains { $0.facts.detector == "REG_RUNAWAY" || $0.facts.detector == "REG_HUNT" })
    }

    // MARK: Reclosers and transformers

    @Test(
        arguments: [
            (-1_500_000, nil), (-1_900_000, .medium), (-2_900_000, .high), (2_900_000, nil),
        ] as [(Float, Severity?)]) func currentThatComesBackIsComparedWithThePickup(power: Float, severity: Severity?)
        throws
    {
        // 100 A pickup: half of it are 1.73 MVA at 20 kV, 80 % 2.77.
        let found = try reports(Self.network(.idle), "RC-S-mid", minutes: 10) { _ in
            var sample = blank()
            sample.activePower = power
            sample.reactivePower = 0
            return sample
        }.filter { $0.facts.detector == "RPF_REC" }
        #expect(found.first?.facts.severity == severity)
        #expect(found.first.map { $0.facts.element == "RC-S-mid" } ?? true)
        let directional = try reports(Self.network(.idle, isDirectional: true), "RC-S-mid", minutes: 10) { _ in
            var sample = blank()
            sample.activePower = power
            return sample
        }
        #expect(!directional.contains { $0.facts.detector == "RPF_REC" })
    }

    @Test func aTransformerIsJudgedByTheHalfHourThatComesBack() throws {
        // 630 kVA. 700 kW back from minute 10 on: the half-hour mean is over it only at minute 37.
        let found = try reports(Self.network(.idle), "TM-TL", minutes: 120) { second in
            var sample = blank()
            sample.activePower = second < 600 || second >= 3600 ? 50_000 : -701_000
            sample.reactivePower = 0
            return sample
        }.filter { $0.facts.detector == "RPF_XFMR" }
        #expect(found.map(\.change) == [.start, .clear])
        let start = try #require(found.first?.facts)
        #expect((start.kind, start.element, start.severity) == (.transformerExport, "TM-TL", .medium))
        #expect(start.onset == Self.start + 2160)
        // Reverse flow itself is what a grid with PV does.
        let usual = try reports(Self.network(.idle), "TM-TL", minutes: 60) { _ in
            var sample = blank()
            sample.activePower = -500_000
            return sample
        }
        #expect(!usual.contains { $0.facts.detector == "RPF_XFMR" })
    }

    @Test func quarterHoursOfATransformerHoldUpNothing() throws {
        let found = try reports(Self.network(.idle), "TM-TL", minutes: 150) { second in
            var sample = blank()
            // Nothing but means of a quarter hour; those of 8:30 to 9:30 are over the rating.
            guard second.truncatingRemainder(dividingBy: 900) == 0, second > 0 else { return sample }
            sample.interval = 900
            sample.activePower = second > 1800 && second <= 5400 ? -800_000 : 50_000
            return sample
        }
        let exports = found.filter { $0.facts.detector == "RPF_XFMR" }
        #expect(exports.map(\.change) == [.start, .severity, .clear])
        // Two quarter hours are known at 9:00.
        #expect(exports.first?.facts.onset == Self.start + 3600)
        let evidence = try #require(exports.first?.facts.evidence)
        #expect(evidence.binS == 900 && evidence.series.last?.value.map { abs($0 + 800_000) < 10 } == true)
        // 800 of 630 kVA; milder once it has come down.
        #expect(exports.map(\.facts.severity) == [.high, .medium, .medium])
        // The feeder's head is judged as soon as it would be without.
        let network = Self.network(.idle)
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
        let head = try #require(registry.index["FH-F1"])
        let meter = try #require(registry.index["TM-TL"])
        var raised: Timestamp?
        for second in stride(from: 0.0, to: 1200, by: 10) {
            var samples = [
                Sample(device: head, time: Self.start + second, activePower: -500_000 - Float(second), voltage: 20_000)
            ]
            if second == 900 {
                samples.append(Sample(device: meter, time: Self.start + second, activePower: 1, interval: 900))
            }
            let reports = analyser.absorb(samples).reports
            if raised == nil, reports.contains(where: { $0.facts.detector == "RPF_HEAD" }) {
                raised = Self.start + second
            }
        }
        #expect(raised == Self.start + 90)
    }

    @Test func aTransformerBehindWhichMoreIsRatedIsNamed() {
        var network = SmallNetwork.make()
        #expect(network.oversizedGeneration.isEmpty)
        for (id, kilowatts) in [("roof-1", 400.0), ("roof-2", 300)] {
            network.ders.append(.init(id: id, kind: .photovoltaic, node: "LV2", ratedKW: kilowatts))
        }
        network.ders.append(.init(id: "car", kind: .electricVehicleCharger, node: "LV2", ratedKW: 500))
        #expect(
            network.oversizedGeneration == [
                .init(lowVoltageArea: "LVA", transformers: ["TL"], generationKW: 700, ratedKVA: 630)
            ])
    }

    // MARK: Reverse power of the feeder

    @Test func aRegulatorThatRunsOffMakesTheFeedersReverseFlowUrgent() throws {
        var settings = AnalysisSettings()
        settings.limits.reversePermission = .yes
        for (mode, severity) in [(Network.Regulator.Mode.cogeneration, Severity.note), (.bidirectional, .urgent)] {
            let network = Self.network(mode)
            let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
            var analyser = Analyser(
                model: AnalysisModel(network: network, registry: registry, revision: 1), settings: settings)
            let head = try #require(registry.index["FH-F1"])
            let regulator = try #require(registry.index["RG-R1"])
            let found = stride(from: 0.0, to: 900, by: 10).flatMap { second in
                analyser.absorb([
                    Sample(
                        device: head, time: Self.start + second, activePower: -900_000 - Float(second), voltage: 20_000),
                    Sample(device: regulator, time: Self.start + second, activePower: -400_000 - Float(second)),
                ]).reports
            }
            #expect(found.last { $0.facts.detector == "RPF_HEAD" }?.facts.severity == severity)
        }
    }

    // MARK: The fleet

    @Test func aFleetThatDropsIsSaidWhereNoHeadShowsIt() throws {
        let network = SmallNetwork.make()
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        func run(silent: Set<Int>) -> [AdvisoryReport] {
            var analyser = Analyser(
                model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
            return stride(from: 0.0, to: 3600, by: 60).flatMap { second -> [AdvisoryReport] in
                // Four sites of 1 MW: 900 kW each, down to 200 kW within five minutes from minute 20 on.
                let each = 900_000 - 700_000 * min(1, max(0, (second - 1200) / 300))
                return analyser.absorb(
                    (1...4).compactMap { site in
                        guard second < 1200 || !silent.contains(site) else { return nil }
                        return registry.index["pv-\(site)"].map {
                            Sample(device: $0, time: Self.start + second, activePower: Float(each) + Float(site))
                        }
                    }
                ).reports
            }
        }
        let found = run(silent: []).filter { $0.facts.kind == .fleetRamp }
        let start = try #require(found.first?.facts)
        #expect((start.detector, start.element) == ("RAMP_DOWN", "F1/fleet-ramp"))
        // 2.8 MW in five minutes at a head of 10 MVA: 5.6 % a minute, 28 %.
        #expect(found.map(\.facts.severity).max() == .medium)
        #expect(found.last?.change == .clear)
        #expect(start.contributors.count == 4)
        // Sites that fall silent are no ramp.
        #expect(!run(silent: [1, 2, 3, 4]).contains { $0.facts.kind == .fleetRamp })
    }

    // MARK: A bank's year

    @Test func ratedGenerationAboveTheLeastLoadIsReportedOnceUntilItIsOver() throws {
        let network = SmallNetwork.make()
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        let model = AnalysisModel(network: network, registry: registry, revision: 1)
        let analyser = Analyser(model: model, settings: AnalysisSettings())
        var ratio = StaticRatio(analyser)
        func year(_ load: Double?) -> StaticRatio.Year {
            .init(bank: "SUB", generation: 4e6, minimumLoad: load, completeness: 0.95)
        }
        #expect(ratio.report(year(nil), day: Self.start).isEmpty)
        #expect(ratio.report(year(5e6), day: Self.start + 86_400).isEmpty)
        let start = try #require(ratio.report(year(3.2e6), day: Self.start + 2 * 86_400).first)
        #expect((start.change, start.facts.detector, start.facts.severity) == (.start, "GLR_STATIC", .medium))
        #expect((start.facts.peak.value, start.facts.element) == (1.25, "SUB/static"))
        #expect(analyser.knows(start.facts))
        // A restart says nothing twice; what is not known ends nothing.
        var again = StaticRatio(analyser)
        again.restore([start.facts])
        #expect(again.report(year(3.2e6), day: Self.start + 3 * 86_400).isEmpty)
        #expect(again.report(year(nil), day: Self.start + 4 * 86_400).isEmpty)
        #expect(again.report(year(4.5e6), day: Self.start + 5 * 86_400).map(\.change) == [.clear])
        var settings = AnalysisSettings()
        settings.bankHasZeroSequence = true
        var protected = StaticRatio(Analyser(model: model, settings: settings))
        #expect(protected.report(year(1e6), day: Self.start).isEmpty)
    }
}
