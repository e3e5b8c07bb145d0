import Analysis
import GridModel
import TestSupport
import Testing

/// Voltage far out and in steps, many places as one, ramps of a region, chatter, and what all of them owe a restart.
@Suite struct DetectorTests {
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

    /// Head of one feeder every 5 s.
    private func head(
        _ feeder: String = "F1", seconds: Int, power: (Int) -> Double = { _ in 900_000 },
        voltage: (Int) -> Double = { _ in 1.02 }
    ) -> [Sample] {
        stride(from: 0, to: seconds, by: 5).map {
            Sample(
                device: device("FH-\(feeder)"), time: Self.start + Double($0), activePower: Float(power($0)),
                voltage: Float(voltage($0) * 20_000))
        }
    }

    private func meter(_ node: String, seconds: Int, every: Int = 60, _ perUnit: (Int) -> Double) -> [Sample] {
        stride(from: 0, to: seconds, by: every).map {
            Sample(
                device: device("VM-\(node)"), time: Self.start + Double($0),
                voltage: Float(perUnit($0) * Self.registry.devices[Int(device("VM-\(node)"))].voltageBase))
        }
    }

    private func merged(_ parts: [Sample]...) -> [Sample] {
        parts.joined().sorted { ($0.time, $0.device) < ($1.time, $1.device) }
    }

    // MARK: Voltage

    @Test func twoExtremeSamplesAreUrgentAndLatchUntilTheyAreBackInTheBand() throws {
        var analyser = analyser()
        let reports = analyser.absorb(
            merged(head(seconds: 2400), meter("LV2", seconds: 2400) { (600..<900).contains($0) ? 1.17 : 1.0 })
        ).reports.filter { $0.facts.kind == .voltageExtreme }
        #expect(reports.map(\.change) == [.start, .clear])
        let facts = try #require(reports.first).facts
        #expect(facts.detector == "V_EXTREME" && facts.severity == .urgent && facts.element == "LVA")
        // The second sample, a minute after the first, decides; five minutes inside the band end it.
        #expect(facts.raisedAt == Self.start + 720)
        #expect(try #require(reports.last).facts.clearedAt == Self.start + 900 + 300)
    }

    @Test(arguments: [[1.17, 1.0, 1.17, 1.0], [1.17, 0.8, 1.17, 0.8], [0.05, 0.05, 0.05, 0.05]])
    func oneSampleOrNoVoltageAtAllIsNotExtreme(cycle: [Double]) {
        var analyser = analyser()
        let reports = analyser.absorb(
            merged(head(seconds: 1800), meter("LV2", seconds: 1800) { cycle[($0 / 60) % 4] })
        ).reports
        #expect(!reports.contains { $0.facts.kind == .voltageExtreme })
    }

    @Test func aStepOfTheVoltageIsOneEventAndARampIsNone() throws {
        // 5-s samples: a step of -3.6 %, and the same drop over a minute.
        var sudden = analyser()
        let step = sudden.absorb(head(seconds: 1800, voltage: { $0 < 600 ? 1.010 : 0.974 })).reports
            .filter { $0.facts.kind == .voltageStep }
        #expect(step.map(\.change) == [.start, .clear])
        let facts = try #require(step.first).facts
        #expect(facts.detector == "RVC" && facts.severity == .note && facts.element == "FH-F1")
        #expect(abs(facts.peak.value + 0.036) < 1e-4)
        var slow = analyser()
        let ramp = slow.absorb(head(seconds: 1800, voltage: { 1.010 - 0.036 * min(1, max(0, Double($0 - 600) / 60)) }))
        #expect(!ramp.reports.contains { $0.facts.kind == .voltageStep })
    }

    @Test func aLargeStepIsHighAndTooManyAreMedium() throws {
        var large = analyser()
        let high = large.absorb(head(seconds: 900, voltage: { $0 < 600 ? 1.03 : 0.965 })).reports
        #expect(high.first { $0.facts.kind == .voltageStep }?.facts.severity == .high)
        #expect(!StepChange.isTooMany([(0, 0.035), (600, 0.035)]))
        #expect(StepChange.isTooMany([(0, 0.035), (600, 0.035), (1200, 0.035)]))
        #expect(StepChange.isTooMany((0..<5).map { (Double($0) * 15_000, 0.045) }))
        #expect(!StepChange.isTooMany((0..<5).map { (Double($0) * 25_000, 0.045) }))
    }

    // MARK: Near reverse

    @Test func aHeadThatFallsTowardsZeroIsANotice() throws {
        var analyser = analyser()
        let reports = analyser.absorb(head(seconds: 4200, power: { 400_000 - Double($0) * 200 })).reports
        let near = try #require(reports.first { $0.facts.detector == "RPF_NEAR" && $0.change == .start }).facts
        #expect(near.severity == .note && near.element == "F1/near")
        let reverse = try #require(reports.first { $0.facts.detector == "RPF_HEAD" && $0.change == .start }).facts
        #expect(near.raisedAt < reverse.raisedAt)
        #expect(reports.contains { $0.facts.id == near.id && $0.change == .clear })
    }

    // MARK: Region

    private func front(_ reversed: Bool = false) -> [AdvisoryReport] {
        var analyser = analyser()
        func ramp(_ start: Int, _ sign: Double) -> (Int) -> Double {
            { 3_000_000 + sign * 4_000_000 * min(1, max(0, Double($0 - start) / 300)) }
        }
        var samples = head("F1", seconds: 3000, power: ramp(900, 1))
        samples += head("F2", seconds: 3000, power: ramp(960, reversed ? -0.9 : 1))
        samples += head("F3", seconds: 3000, power: ramp(1020, 0))
        return analyser.absorb(samples.sorted { ($0.time, $0.device) < ($1.time, $1.device) }).reports
    }

    @Test func rampsOfSeveralFeedersAreOneFront() throws {
        let reports = front()
        let together = reports.filter { $0.facts.detector == "RAMP_FRONT" }
        #expect(together.map(\.change) == [.start, .clear])
        let facts = try #require(together.first).facts
        #expect(facts.element == "network" && facts.message.contains("rises") && facts.message.contains("F1, F2"))
        // As soon as the second feeder ramps.
        let second = try #require(reports.filter { $0.facts.element == "FH-F2" && $0.change == .start }.first)
        #expect(facts.raisedAt == second.facts.raisedAt)
    }

    @Test func rampsThatGoApartAreNoFront() { #expect(!front(true).contains { $0.facts.detector == "RAMP_FRONT" }) }

    @Test func whatAFrontExplainsIsPartOfIt() {
        func node(_ id: String, _ kind: AdvisoryKind, _ detector: String, _ feeder: String, _ element: String)
            -> AdvisoryTree.Node
        {
            .init(id: id, kind: kind, detector: detector, feeder: feeder, element: element, severity: .high)
        }
        let tree = AdvisoryTree(
            [
                node("front", .fastRamp, "RAMP_FRONT", "network", "network"),
                node("r1", .fastRamp, "RAMP_UP", "F1", "FH-F1"), node("r2", .fastRamp, "RAMP_UP", "F2", "FH-F2"),
                node("out", .outage, "OUTAGE", "F2", "FH-F2"), node("gap", .dataGap, "DQ_GAP", "F2", "pv-3"),
                node("many", .voltageHigh, "V_HIGH_B", "F1", "F1/voltage"),
                node("v1", .voltageHigh, "V_HIGH_B", "F1", "LVA"),
            ], banks: [:])
        #expect(tree.parents == ["r1": "front", "r2": "out", "gap": "out", "v1": "many"])
    }

    // MARK: Chatter

    @Test func whatComesAndGoesTakesLongerToEndAndIsSaidOnce() throws {
        // Every ten minutes for two minutes: six turns in less than half an hour.
        var analyser = analyser { $0.limits.reverseOff = 120 }
        let reports = analyser.absorb(
            head(seconds: 14_400, power: { $0 < 7200 && ($0 / 120) % 5 == 0 ? -900_000 : 900_000 })
        ).reports
        let chatter = reports.filter { $0.facts.kind == .chatter }
        #expect(chatter.map(\.change) == [.start, .clear])
        #expect(try #require(chatter.first).facts.element == "FH-F1/reverse_power")
        let reverse = reports.filter { $0.facts.detector == "RPF_HEAD" }
        let offs = reverse.filter { $0.change == .clear }.compactMap { facts in
            facts.facts.endedAt.flatMap { ended in facts.facts.clearedAt.map { $0 - ended } }
        }
        #expect(offs.first == 120 && offs.dropFirst(2).contains(240))
        let clear = try #require(chatter.last).facts
        #expect(clear.clearedAt.map { $0 >= Self.start + 7200 + 3600 } == true)
    }

    // MARK: Tariffs

    @Test func tariffsChangeByTheLocalClock() {
        // R2: chargers that nobody sees, at 22:00 in Berlin.
        func cause(_ at: [Int], _ zone: String) -> String? {
            var analyser = analyser { ($0.tariffBoundaries, $0.timeZone) = (at, zone) }
            let ramp = head(seconds: 1800, power: { 1_000_000 + 3_000_000 * min(1, max(0, Double($0 - 600) / 300)) })
            return analyser.absorb(ramp).reports.filter { $0.change == .cause && $0.facts.kind == .fastRamp }.last?
                .facts.cause
        }
        // 08:10 UTC is 10:10 in Berlin.
        #expect(cause([10 * 60 + 10], "Europe/Berlin") == "ev")
        #expect(cause([8 * 60 + 10], "Europe/Berlin") == "unknown")
        #expect(cause([8 * 60 + 10], "UTC") == "ev")
    }
}
