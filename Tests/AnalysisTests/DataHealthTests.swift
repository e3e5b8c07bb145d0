import Analysis
import Foundation
import GridModel
import TestSupport
import Testing

/// Faults of data and model: each found by its own name, none taken for reverse power (`domain-rules.md` B.4).
@Suite struct DataHealthTests {
    static let network = SmallNetwork.make()
    static let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    static let noon = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast

    private func analyser(_ network: Network = Self.network) -> Analyser {
        Analyser(
            model: AnalysisModel(network: network, registry: Self.registry, revision: 1), settings: AnalysisSettings())
    }

    private func device(_ name: String) -> Int32 { Self.registry.index[name] ?? -1 }

    /// Heads every 5 s, PV every 60 s; every value moves a little, as measured ones do.
    private func samples(
        from start: Timestamp = Self.noon, minutes: Int, _ change: (inout Sample, Int) -> Void = { _, _ in }
    ) -> [Sample] {
        var list: [Sample] = []
        func add(_ sample: Sample, _ second: Int) {
            var sample = sample
            change(&sample, second)
            list.append(sample)
        }
        for second in stride(from: 0, to: minutes * 60, by: 5) {
            let time = start + Double(second)
            let jitter = Float((second * 7919) % 101)
            if second % 60 == 0 {
                for number in 1...4 {
                    add(
                        Sample(
                            device: device("pv-\(number)"), time: time, activePower: 200_000 + 50 * jitter,
                            voltage: 0 / 0),
                        second)
                }
            }
            add(
                Sample(device: device("FH-F1"), time: time, activePower: 900_000 - 100 * jitter, voltage: 20_400),
                second)
            add(
                Sample(device: device("FH-F2"), time: time, activePower: 700_000 + 100 * jitter, voltage: 20_400),
                second)
            add(
                Sample(device: device("FH-F3"), time: time, activePower: 700_000 + 90 * jitter, voltage: 20_400), second
            )
        }
        return list
    }

    private func starts(_ samples: [Sample], _ network: Network = Self.network) -> [AdvisoryFacts] {
        var analyser = analyser(network)
        return analyser.absorb(samples).reports.filter { $0.change == .start }.map(\.facts)
    }

    @Test func soundDataHasNoFault() { #expect(starts(samples(minutes: 120)).map(\.detector) == []) }

    @Test func aHeadThatRepeatsOneValueIsFrozenAndNothingElse() throws {
        // It had just begun to feed back: what it repeats must not stand for the feeder.
        let found = starts(
            samples(minutes: 60) { sample, second in
                if sample.device == device("FH-F1"), second >= 600 { sample.activePower = -1_500_000 }
            })
        let frozen = try #require(found.first { $0.detector == "DQ_FROZEN" })
        #expect(frozen.element == "FH-F1" && frozen.kind == .dataFrozen)
        #expect(frozen.raisedAt == Self.noon + 600 + 900)
        #expect(!found.contains { $0.detector == "DQ_GAP" })
    }

    @Test func aFrozenHeadMakesReversePowerUncertain() {
        var analyser = analyser()
        let reports = analyser.absorb(
            samples(minutes: 60) { sample, second in
                if sample.device == device("FH-F1"), second >= 600 { sample.activePower = -1_500_000 }
            }
        ).reports.filter { $0.facts.kind == .reversePower }
        #expect(reports.map(\.change) == [.start, .uncertain])
    }

    @Test func aFrozenDERIsNamedAndLeftOutUntilItMovesTwice() throws {
        var analyser = analyser()
        let output = analyser.absorb(
            samples(minutes: 90) { sample, second in
                if sample.device == device("pv-2"), (600..<3600).contains(second) { sample.activePower = 612_345 }
            })
        let reports = output.reports.filter { $0.facts.kind == .dataFrozen }
        #expect(reports.map(\.change) == [.start, .clear])
        let first = try #require(reports.first).facts
        #expect(first.element == "F1/frozen" && first.contributors.map(\.device) == ["pv-2"])
        // Twenty samples a minute apart are more than a quarter of an hour.
        #expect(first.raisedAt == Self.noon + 600 + 20 * 60)
        let during = try #require(output.minutes.first { $0.feeder == "F1" && $0.time == Self.noon + 2400 })
        #expect(during.fleet.photovoltaic < 4 * 206_000)
        #expect(try #require(reports.last).facts.clearedAt == Self.noon + 3720)
    }

    @Test func chargersAndEmptyPlantsMayStandStill() {
        let found = starts(
            samples(minutes: 120) { sample, _ in
                if sample.device == device("pv-1") { sample.activePower = 0 }
                if sample.device == device("pv-2") { sample.activePower = 1_000_000 }
            })
        #expect(!found.contains { $0.detector == "DQ_FROZEN" })
    }

    @Test(arguments: [(Quality.clockSuspect, "DQ_CLOCK"), (.outOfRange, "DQ_RANGE")])
    func flaggedSamplesNameTheDevice(quality: Quality, detector: String) throws {
        let found = starts(
            samples(minutes: 40) { sample, second in
                if sample.device == device("pv-3"), second >= 600 { sample.quality = quality }
            })
        #expect(found.map(\.detector) == [detector])
        #expect(found.first?.contributors.map(\.device) == ["pv-3"])
        #expect(found.first?.raisedAt == Self.noon + 600 + 180)
    }

    /// Blind at once, as whatever its source calls unusable, and then named for what is wrong.
    @Test func aHeadWithAWrongClockIsBlindAndNamed() throws {
        let found = starts(
            samples(minutes: 30) { sample, second in
                if sample.device == device("FH-F1"), second >= 600 { sample.quality = .clockSuspect }
            })
        #expect(found.map(\.detector) == ["DQ_GAP", "DQ_CLOCK"])
        #expect(found.map(\.element) == ["FH-F1", "FH-F1"])
        let gap = try #require(found.first)
        #expect(gap.raisedAt <= Self.noon + 640 && gap.message.contains("not to be used (CLOCK_SUSPECT)"))
    }

    @Test func aSpikeIsDroppedAndNoted() throws {
        var analyser = analyser()
        let output = analyser.absorb(
            samples(minutes: 30) { sample, second in
                if sample.device == device("FH-F1"), (1200..<1210).contains(second) { sample.activePower = 9_000_000 }
            })
        #expect(output.reports.filter { $0.change == .start }.map(\.facts.detector) == ["DQ_SPIKE"])
        let minute = try #require(output.minutes.first { $0.feeder == "F1" && $0.time == Self.noon + 1200 })
        #expect(try #require(minute.net).maximum < 1_000_000)
    }

    @Test func spikesByTheirRule() {
        let calm = [4.0, 4.1, 4.2, 4.1, 4.0, 4.1]
        #expect(Spike.isSpike(9.9, before: calm, after: 4.4, rating: 10))
        // It stays there: a step, no spike. And what is small beside the rating is none.
        #expect(!Spike.isSpike(9.9, before: calm, after: 9.8, rating: 10))
        #expect(!Spike.isSpike(4.5, before: calm, after: 4.1, rating: 10))
    }

    @Test func aClockIsJudgedByTheMedianOfItsSamples() {
        // A.7.2: offsets with a latency of 0.4 s; the one of 9.8 must not matter.
        let offsets = [4.1, 4.3, 4.0, 4.2, 9.8, 4.1, 4.2]
        var watch = ClockSkew()
        let verdicts = (0..<60).map { watch.observe(offsets[$0 % 7] - 0.4, limit: 10, trust: 2) }
        #expect(!verdicts.contains(true))
        #expect(abs((watch.skew ?? 0) - 3.8) < 0.11)
        // 20 s behind is suspect once half of 30 samples say so; back to 1 s, after half of ten.
        let behind = (0..<30).map { _ in watch.observe(20, limit: 10, trust: 2) }
        #expect(behind.firstIndex(of: true) == 14)
        let back = (0..<10).map { _ in watch.observe(1, limit: 10, trust: 2) }
        #expect(back.firstIndex(of: false) == 5)
    }

    // MARK: Sign of a head

    @Test func reverseFlowByNightThatNothingFeedsIsAWrongSign() {
        var network = Self.network
        for place in network.nodes.indices {
            (network.nodes[place].longitude, network.nodes[place].latitude) = (11, 48)
        }
        let midnight = Timestamp("2026-12-21T23:00:00Z") ?? .distantPast
        let backwards = samples(from: midnight, minutes: 60) { sample, second in
            if sample.device == device("FH-F1") {
                sample.activePower = second < 300 ? 10_000 + sample.activePower / 100 : -sample.activePower
            }
            if sample.device < 4 { sample.activePower = 10 + Float(second % 97) }
        }
        let found = starts(backwards, network)
        #expect(found.map(\.detector) == ["DQ_SIGN"])
        #expect(found.map(\.element) == ["FH-F1"])
        // A recorded day that is played at another season has no night that anybody knows of.
        var settings = AnalysisSettings()
        settings.followsSun = false
        var played = Analyser(
            model: AnalysisModel(network: network, registry: Self.registry, revision: 1), settings: settings)
        let said = played.absorb(backwards).reports.filter { $0.change == .start }.map(\.facts.detector)
        #expect(!said.contains("DQ_SIGN") && said.contains("RPF_HEAD"), "\(said)")
    }

    @Test func aHeadThatMovesWithItsDERInsteadOfAgainstThemIsWrong() {
        // Clouds: PV jumps between two levels; a head that is wired backwards rises with it.
        func cloudy(_ sign: Float) -> [String] {
            starts(
                samples(minutes: 240) { sample, second in
                    let sunny = (second / 120) % 2 == 0
                    if sample.device < 4 { sample.activePower = sunny ? 400_000 : 300_000 }
                    if sample.device == device("FH-F1") {
                        sample.activePower = 2_000_000 + sign * (sunny ? -400_000 : 0) + Float(second % 89) * 100
                    }
                }
            ).filter { $0.kind == .signSuspect }.map(\.element)
        }
        #expect(cloudy(1) == [])
        #expect(cloudy(-1) == ["FH-F1"])
    }

    // MARK: Topology

    @Test func aDeviceWhoseStepsShowElsewhereIsOnTheWrongFeeder() throws {
        // pv-1 is modelled on F1; head F2 shows what it does.
        let found = starts(
            samples(minutes: 60) { sample, second in
                let isOn = (second / 600) % 2 == 0
                if sample.device == device("pv-1") {
                    sample.activePower = isOn ? 1_090_000 : 20_000 + Float(second % 91)
                }
                if sample.device == device("FH-F2") {
                    sample.activePower = isOn ? 500_000 : 1_570_000 + Float(second % 91)
                }
            }
        ).filter { $0.kind == .topologyMismatch }
        #expect(found.map(\.element) == ["F1/steps"])
        #expect(try #require(found.first).message.contains("steps of pv-1 show at feeder F2"))
    }

    @Test func voltageWhereTheNetworkIsDeadIsUrgent() throws {
        var analyser = analyser()
        analyser.switchMoved("S-mid", to: .open, at: Self.noon + 600)
        let reports = analyser.absorb(
            samples(minutes: 30) { sample, _ in if sample.device == device("pv-3") { sample.voltage = 20_300 } }
        ).reports.filter { $0.facts.kind == .topologyMismatch }
        #expect(reports.map(\.change) == [.start])
        let facts = try #require(reports.first).facts
        #expect(facts.severity == .urgent && facts.contributors.map(\.device) == ["pv-3"])
        #expect(facts.response.contains("as live"))
    }

    /// Samples with the transformer's meter, which carries what the heads do, ``samples(from:minutes:_:)``; every 20 s.
    private func withBank(_ samples: [Sample], _ change: (inout Sample, Int) -> Void = { _, _ in }) -> [Sample] {
        var heads = [Int32: Float]()
        var list: [Sample] = []
        for sample in samples {
            if sample.device == device("FH-F1") || sample.device == device("FH-F2") || sample.device == device("FH-F3")
            {
                heads[sample.device] = sample.activePower
            }
            list.append(sample)
            let second = Int(sample.time - Self.noon)
            guard sample.device == device("FH-F3"), second % 20 == 0 else { continue }
            var meter = Sample(
                device: device("TM-T"), time: sample.time, activePower: heads.values.reduce(0, +) * 1.01)
            change(&meter, second)
            if !meter.activePower.isNaN { list.append(meter) }
        }
        return list
    }

    @Test func aBankWhoseSumsDifferHasAWrongMeterOrSomethingUnknown() throws {
        // 1 % apart is no error; 1.4 MW that no head shows are one, after a quarter of an hour.
        #expect(starts(withBank(samples(minutes: 60))).isEmpty)
        let wrong = withBank(samples(minutes: 90)) { meter, second in
            if second >= 1200, second < 3600 { meter.activePower += 1_400_000 }
        }
        var analyser = analyser()
        let reports = analyser.absorb(wrong).reports.filter { $0.change != .peak }
        #expect(reports.map(\.facts.detector) == ["DQ_TOPO", "DQ_TOPO"])
        #expect(reports.map(\.change) == [.start, .clear])
        let facts = try #require(reports.first).facts
        #expect(facts.kind == .topologyMismatch && facts.element == "SUB/balance" && facts.severity == .high)
        #expect(facts.onset == Self.noon + 1200 && facts.raisedAt == Self.noon + 2100)
        // 5 % of the larger side, and 1 % of 40 MVA.
        let larger = try #require(facts.evidence.notes["transformers_w"])
        #expect(abs(facts.limit.value - 0.05 * larger - 400_000) < 1)
        #expect(facts.message.contains("its transformers carry 3.7") && facts.message.contains("its feeders 2.3"))
        // The same the other way round: a head that shows too much.
        let much = starts(
            withBank(samples(minutes: 60)) { meter, second in if second >= 600 { meter.activePower -= 1_400_000 } })
        #expect(much.map(\.element) == ["SUB/balance"])
    }

    /// While it stands a meter falls silent: what was told stays, and every number in it is one.
    @Test func aBankWithoutItsMeterIsUncertainAndKeepsItsNumbers() throws {
        let silent = withBank(samples(minutes: 90)) { meter, second in
            meter.activePower = second >= 2400 ? .nan : meter.activePower + (second >= 600 ? 1_400_000 : 0)
        }
        var analyser = analyser()
        let reports = analyser.absorb(silent).reports.filter {
            $0.facts.element == "SUB/balance" && $0.change != .peak
        }
        #expect(reports.map(\.change) == [.start, .uncertain])
        let (first, last) = (try #require(reports.first).facts, try #require(reports.last).facts)
        #expect(last.limit == first.limit && last.limit.value.isFinite)
        #expect(last.message.hasPrefix("Bank SUB: its transformers carry") && last.message.contains("data is missing"))
        for report in reports { _ = try JSONEncoder().encode(report.facts) }
    }

    @Test func aBankIsOnlyAddedUpWhereAllOfItIsKnown() {
        let wrong: (inout Sample, Int) -> Void = { meter, second in
            meter.activePower = second < 600 ? .nan : meter.activePower + 1_400_000
        }
        #expect(starts(withBank(samples(minutes: 60), wrong)).map(\.element) == ["SUB/balance"])
        // A silent head: its part is not known.
        let silent = withBank(samples(minutes: 60), wrong).filter {
            $0.device != device("FH-F2") || $0.time < Self.noon + 900
        }
        #expect(!starts(silent).contains { $0.kind == .topologyMismatch })
        // A load at the busbar may take what is missing; a line without a head, anything.
        var loaded = Self.network
        loaded.loads.append(.init(id: "L9", node: "MV", kilowatts: 500))
        #expect(starts(withBank(samples(minutes: 60), wrong), loaded).map(\.element) == ["SUB/balance"])
        loaded.loads.append(.init(id: "L10", node: "MV", kilowatts: 500))
        #expect(starts(withBank(samples(minutes: 60), wrong), loaded).isEmpty)
        var branched = Self.network
        branched.lines.append(.init(id: "LX", from: "MV", to: "C1", ratedAmperes: 300))
        #expect(starts(withBank(samples(minutes: 60), wrong), branched).isEmpty)
    }

    @Test func whatNobodyLooksAtIsNotKept() {
        var analyser = analyser()
        let minutes = samples(minutes: 30)
        _ = analyser.absorb(minutes)
        let before = analyser.heldSamples
        for second in 0..<20_000 {
            let time = Self.noon + 1800 + Double(second) / 10
            // A switch that repeats its position, a meter at the busbar, one that sends nothing that is binned.
            for name in ["S-mid", "VM-MV", "VM-B1"] {
                var sample = Sample(device: device(name), time: time, activePower: 0)
                if name == "VM-MV" { sample.voltage = 20_000 }
                if name == "S-mid" { sample.switchPosition = SwitchPosition.closed.rawValue }
                _ = analyser.absorb([sample])
            }
        }
        #expect(before > 10 && analyser.heldSamples <= before)
    }

    // MARK: Outage

    @Test func anOutageIsOneAdvisoryUntilTheFeederHasSettled() throws {
        var analyser = analyser()
        let reports = analyser.absorb(
            samples(minutes: 90) { sample, second in
                guard (1200..<2400).contains(second) else { return }
                if sample.device == device("FH-F1") { (sample.activePower, sample.voltage) = (0, 20) }
            }
        ).reports.filter { $0.facts.kind == .outage }
        #expect(reports.map(\.change) == [.start, .cause, .severity, .clear])
        #expect(reports.map(\.facts.severity) == [.high, .high, .note, .note])
        let start = try #require(reports.first).facts
        #expect(start.onset == Self.noon + 1200 && start.raisedAt == Self.noon + 1220)
        let back = reports[1].facts
        #expect(back.message.contains("live again since 11:40 UTC"))
        // 20 min: 1.3 times the native load of 1.7 MW, without DER.
        #expect(abs((back.evidence.notes["expected_peak_w"] ?? 0) - 2_210_000) < 20_000)
        #expect(try #require(reports.last).facts.clearedAt == Self.noon + 2400 + 900)
    }

    @Test func coldLoadAndDERAfterAnOutage() {
        let cold = PostOutage.ColdLoad(factor: 2, flat: 30, decay: 60)
        let values = [0.0, 30, 60, 90, 150].map { (cold.multiple($0) * 1000).rounded() / 1000 }
        #expect(values == [2, 2, 1.607, 1.368, 1.135])
        #expect(PostOutage.derShare(0) == 0 && PostOutage.derShare(600) == 1 && PostOutage.derShare(450) == 0.5)
        // Three hours: twice the load of 2.5 MW at once; with DER back after ten minutes 5.0 - 1.5.
        let long = PostOutage.ColdLoad(outage: 10_800)
        #expect(2.5 * long.multiple(0) - 1.5 * PostOutage.derShare(0) == 5)
        #expect(2.5 * long.multiple(600) - 1.5 * PostOutage.derShare(600) == 3.5)
        #expect(PostOutage.peak(load: 2.5, available: 1.5, outage: 10_800) == 5)
    }

    // MARK: Stale

    @Test func aMeterWhoseSamplesComeTooLateIsStaleAndNotSilent() throws {
        func gaps(isLate: Bool) -> [AdvisoryFacts] {
            var analyser = analyser()
            let all = samples(minutes: 40) { sample, second in
                guard second >= 600, [device("FH-F1"), device("pv-2")].contains(sample.device) else { return }
                // Flagged by the door, as it does what is behind the feeder's time; or not there at all.
                sample.quality = .late
            }
            return analyser.absorb(all.filter { isLate || !$0.quality.contains(.late) }).reports
                .filter { $0.facts.kind == .dataGap && $0.change == .start && $0.facts.element != "F1/fleet" }.map(
                    \.facts)
        }
        let stale = gaps(isLate: true)
        #expect(stale.map(\.element) == ["FH-F1", "pv-2"])
        #expect(stale.map(\.detector) == ["DQ_STALE", "DQ_STALE"])
        #expect(stale.map(\.severity) == [.medium, .note])
        #expect(stale.allSatisfy { $0.message.contains("too late to count") })
        // What came late changes nothing else.
        #expect(gaps(isLate: false).map(\.raisedAt) == stale.map(\.raisedAt))
        #expect(gaps(isLate: false).map(\.detector) == ["DQ_GAP", "DQ_GAP"])
    }
}
