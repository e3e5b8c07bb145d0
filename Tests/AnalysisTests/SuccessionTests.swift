import Analysis
import GridModel
import TestSupport
import Testing

/// Everything that is analysed again is analysed with the network of its time: DER that an import moved, added or removed,
/// and late samples from before the import.
@Suite struct SuccessionTests {
    private static let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast
    /// The import is here.
    private static let moved = start + 9000

    private static func registry(_ network: Network) -> DeviceRegistry {
        DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    }

    private static let before = SmallNetwork.make()
    /// One DER moved to the other feeder, one gone, one new, and a feeder's line cut.
    private static let after: Network = {
        var network = before
        network.ders.removeAll { $0.id == "pv-4" }
        for place in network.ders.indices where network.ders[place].id == "pv-1" { network.ders[place].node = "B1" }
        network.ders.append(.init(id: "pv-5", kind: .photovoltaic, node: "C1", ratedKW: 1000))
        return network
    }()

    /// Numbers of the newer network, then of what only the older one had.
    private static let names = registry(after).devices.map(\.name) + ["pv-4"]

    private static func model(_ network: Network, _ revision: Int) -> AnalysisModel {
        AnalysisModel(network: network, registry: registry(network), revision: revision)
    }

    private static func numbers(_ network: Network) -> [Int32] {
        let own = registry(network)
        return names.map { own.index[$0] ?? -1 }
    }

    private static let stages: [Succession.Stage] = [
        .init(model: model(before, 1), from: .distantPast, numbers: numbers(before)),
        .init(model: model(after, 2), from: moved),
    ]

    private static func translated(_ samples: [Sample], to network: Network) -> [Sample] {
        let own = numbers(network)
        return samples.compactMap { sample in
            var sample = sample
            sample.device = own[Int(sample.device)]
            return sample.device >= 0 ? sample : nil
        }
    }

    /// Five hours around the import; a tenth of the DER's samples are late.
    private static func recording(_ random: inout SplitMix, late share: UInt64 = 10) -> [Sample] {
        var list: [Sample] = []
        let place = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, Int32($0)) })
        func add(_ name: String, _ second: Int, _ power: Float, _ voltage: Float = .nan) {
            guard let device = place[name] else { return }
            var sample = Sample(device: device, time: start + Double(second), activePower: power, voltage: voltage)
            if !name.hasPrefix("FH"), random.next() % share == 0 { sample.quality.insert(.late) }
            if random.next() % 500 != 0 { list.append(sample) }
        }
        var levels: [Float] = (0..<8).map { _ in Float(random.unit()) * 1e6 }
        for second in stride(from: 0, to: 18_000, by: 10) {
            for (number, feeder) in ["F1", "F2", "F3"].enumerated() {
                if random.next() % 300 == 0 { levels[number] = Float(random.unit() - 0.4) * 3e6 }
                add("FH-\(feeder)", second, levels[number] + Float(random.unit()) * 2e4, 20_400)
            }
            guard second % 60 == 0 else { continue }
            for (number, name) in ["pv-1", "pv-2", "pv-3", "pv-4", "pv-5"].enumerated() {
                if name == "pv-5", second < 9000 { continue }
                if name == "pv-4", second >= 9000 { continue }
                if random.next() % 60 == 0 { levels[3 + number] = Float(random.unit()) * 1e6 }
                add(name, second, levels[3 + number] + Float(random.unit()) * 1e3)
            }
        }
        return list
    }

    private func key(_ minute: FeederMinute) -> String {
        "\(minute.feeder) \(minute.normalFeeder) \(minute.time) \(minute.net?.mean ?? .nan) \(minute.fleet.total) \(minute.derCoverage) \(minute.native ?? .nan)"
    }

    /// Each side of the import is what its own network makes of the same samples, to the last bit.
    @Test(arguments: 1...12) func eachStretchIsThatOfItsNetwork(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let samples = Self.recording(&random)
        var whole = Succession(Self.stages, settings: AnalysisSettings())
        var (minutes, reports): ([FeederMinute], [AdvisoryReport]) = ([], [])
        for from in stride(from: 0, to: samples.count, by: 997) {
            let output = whole.absorb(Array(samples[from..<min(from + 997, samples.count)]))
            minutes += output.minutes
            reports += output.reports
        }
        var old = Analyser(model: Self.model(Self.before, 1), settings: AnalysisSettings())
        let first = old.absorb(Self.translated(samples, to: Self.before))
        let wanted = first.minutes.filter { $0.time < Self.moved }.map(key)
        #expect(minutes.filter { $0.time < Self.moved }.map(key).sorted() == wanted.sorted())
        #expect(
            reports.filter { $0.facts.watermark <= Self.moved }
                == first.reports.filter { $0.facts.watermark <= Self.moved })
        // From then on a service that has been started at that moment.
        var new = Analyser(model: Self.model(Self.after, 2), settings: AnalysisSettings())
        var latest: [String: AdvisoryFacts] = [:]
        for report in first.reports where report.facts.watermark <= Self.moved {
            latest["\(report.facts.kind) \(report.facts.element)"] = report.facts
        }
        let begin = Analyser.Position(head: Self.moved, minute: Self.moved)
        new.restore(
            positions: Dictionary(
                uniqueKeysWithValues: ["F1", "F2", "F3", "bank/SUB", "network"].map { ($0, begin) }),
            latest: Array(latest.values))
        let second = new.absorb(Self.translated(samples, to: Self.after))
        #expect(
            minutes.filter { $0.time >= Self.moved }.map(key).sorted()
                == second.minutes.filter { $0.time >= Self.moved }.map(key).sorted())
        // No minute is said twice.
        #expect(Set(minutes.map { "\($0.feeder) \($0.normalFeeder) \($0.time)" }).count == minutes.count)
    }

    /// Whenever it is stopped and started again around the import, the minutes are those of an undisturbed run.
    @Test(arguments: 1...12) func restartsAroundTheImportLoseAndDoubleNothing(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let samples = Self.recording(&random, late: 1 << 40)
        var whole = Succession(Self.stages, settings: AnalysisSettings())
        let expected = whole.absorb(samples).minutes.map(key)
        var running = Succession(Self.stages, settings: AnalysisSettings())
        var (minutes, reports): ([FeederMinute], [AdvisoryReport]) = ([], [])
        var from = 0
        for _ in 0..<3 {
            // Most of them within minutes of it.
            let around = samples.firstIndex { $0.time >= Self.moved } ?? 0
            let cut = max(from, min(samples.count, around + Int(random.next() % 900) - 300))
            let output = running.absorb(Array(samples[from..<cut]))
            minutes += output.minutes
            reports += output.reports
            var latest: [String: AdvisoryFacts] = [:]
            for report in reports { latest["\(report.facts.kind) \(report.facts.element)"] = report.facts }
            let positions = running.positions
            let reached = positions.filter { !$0.key.hasPrefix("bank/") }.values.map(\.minute)
            guard let furthest = reached.max(), let slowest = reached.min() else { continue }
            var next = Succession(slowest < Self.moved ? Self.stages : [Self.stages[1]], settings: AnalysisSettings())
            next.restore(positions: positions, latest: Array(latest.values))
            let again = next.absorb(samples[..<cut].filter { $0.time >= furthest - Analyser.warmUp })
            minutes += again.minutes
            reports += again.reports
            running = next
            from = cut
        }
        minutes += running.absorb(Array(samples[from...])).minutes
        #expect(minutes.map(key).sorted() == expected.sorted())
    }

    @Test func aLateSampleOfBeforeLeavesTheOldFeedersGenerationAlone() throws {
        var random = SplitMix(seed: 7)
        var samples = Self.recording(&random, late: 1 << 40)
        let quarter = Self.moved - 3600
        // One single sample is late.
        let pv = try #require(Self.names.firstIndex(of: "pv-1"))
        let place = try #require(samples.firstIndex { $0.device == Int32(pv) && $0.time >= quarter })
        samples[place].quality.insert(.late)
        var replay = LateReplay(
            networks: Self.stages, settings: AnalysisSettings(), from: quarter, said: [], amendments: [])
        let minutes = replay.absorb(samples).filter { $0.time >= quarter && $0.time < quarter + 900 }
        var old = Analyser(model: Self.model(Self.before, 1), settings: AnalysisSettings())
        samples[place].quality.remove(.late)
        let truth = old.absorb(Self.translated(samples, to: Self.before)).minutes
            .filter { $0.time >= quarter && $0.time < quarter + 900 }
        #expect(minutes.count == 45 && minutes.map(key).sorted() == truth.map(key).sorted())
        #expect(replay.feeders == ["F1", "F2", "F3"])
    }
}
