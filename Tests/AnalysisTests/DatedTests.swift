import Analysis
import GridModel
import TestSupport
import Testing

/// Every advisory's text ends with the time of its numbers, and no number stands for something unknown.
@Suite struct DatedTests {
    static let network = SmallNetwork.make()
    static let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    static let start = Timestamp("2026-06-21T23:30:00Z") ?? .distantPast

    private func run(
        seconds: Int, settings change: (inout AnalysisSettings) -> Void = { _ in }, head: (Int) -> Double?
    ) -> [AdvisoryReport] {
        var settings = AnalysisSettings()
        change(&settings)
        var analyser = Analyser(
            model: AnalysisModel(network: Self.network, registry: Self.registry, revision: 1), settings: settings)
        var reports: [AdvisoryReport] = []
        for second in stride(from: 0, to: seconds, by: 5) {
            let samples = ["F1", "F2", "F3"].compactMap { feeder -> Sample? in
                guard let watts = head(second) else { return nil }
                return Sample(
                    device: Self.registry.index["FH-\(feeder)"] ?? -1, time: Self.start + Double(second),
                    activePower: Float(watts), voltage: 20_400)
            }
            reports += analyser.absorb(samples).reports
            // Without a head the feeder's clock goes on with that of the wall.
            if samples.isEmpty {
                for feeder in ["F1", "F2", "F3"] {
                    reports += analyser.tick(feeder: feeder, to: Self.start + Double(second)).reports
                }
            }
        }
        return reports
    }

    @Test func everyTextOfWhatHoldsSaysOfWhenItsNumbersAre() throws {
        // Reverse power that grows, goes silent, and comes back as import.
        let reports = run(seconds: 5400) { second in
            switch second {
            case ..<900: 400_000
            case ..<2400: -900_000 - Double(second) * 1500
            case ..<3000: nil
            case ..<3600: -5_000_000
            default: 300_000
            }
        }
        #expect(Set(reports.map(\.facts.kind)).count > 3)
        for report in reports where report.facts.clearedAt == nil {
            let text = report.facts.message
            #expect(text.contains(" As of "), "\(report.facts.kind): \(text)")
            #expect(text.hasSuffix(" UTC.") || text.hasSuffix(" UTC; data is missing since then."), "\(text)")
            #expect(!text.contains("unknown power") && !text.contains("?") && !text.contains("nan"), "\(text)")
        }
        for report in reports where report.facts.clearedAt != nil {
            #expect(!report.facts.message.contains(" As of "), "\(report.facts.message)")
        }
        let reverse = reports.filter { $0.facts.detector == "RPF_HEAD" && $0.facts.feeder == "F1" }
        let raised = try #require(reverse.first { $0.change == .start }?.facts.message)
        #expect(raised.contains("since 23:45 UTC") && raised.hasSuffix("As of 23:46 UTC."), "\(raised)")
        // It became worse: the numbers are those of then.
        let worse = try #require(reverse.last { $0.change == .severity && $0.facts.watermark < Self.start + 2400 })
        #expect(worse.facts.message != raised)
        // Silent: the text stays, with its time, and says so.
        let blind = try #require(reverse.first { $0.change == .uncertain }?.facts.message)
        #expect(blind.hasSuffix("UTC; data is missing since then."))
        #expect(blind.prefix(40) == worse.facts.message.prefix(40), "\(blind) \(worse.facts.message)")
        // After midnight the day stands with it.
        let again = try #require(reverse.first { $0.change == .certain }?.facts.message)
        #expect(again.contains("5.00 MW") && again.contains("As of 06-22 00:"), "\(again)")
    }

    @Test func withoutLoadNoRatioIsTold() throws {
        // All that is generated goes back: the load is nothing.
        let registry = Self.registry
        var analyser = Analyser(
            model: AnalysisModel(network: Self.network, registry: registry, revision: 1), settings: AnalysisSettings())
        var reports: [AdvisoryReport] = []
        for second in stride(from: 0, to: 2400, by: 5) {
            let time = Self.start + Double(second)
            var samples = ["FH-F1", "FH-F2", "FH-F3"].map {
                Sample(device: registry.index[$0] ?? -1, time: time, activePower: -300_000, voltage: 20_400)
            }
            for device in registry.devices.indices where registry.devices[device].kind.isDER {
                samples.append(Sample(device: Int32(device), time: time, activePower: 5_000))
            }
            reports += analyser.absorb(samples).reports
        }
        let told = reports.filter { $0.facts.kind == .generationLoadRatio }
        #expect(!told.isEmpty)
        for report in told {
            #expect(
                report.facts.message.contains("more than 100 times the load, which is next to nothing"),
                "\(report.facts.message)")
        }
    }

    @Test func aLimitOfNothingIsSaidInWords() throws {
        let reports = run(seconds: 600, settings: { $0.limits.reverseLimit = 0 }) { _ in -900_000 }
        let text = try #require(reports.first { $0.facts.detector == "RPF_HEAD" }?.facts.message)
        #expect(text.contains("where nothing may come back") && !text.contains("any is over it"), "\(text)")
    }

    @Test func anAssumedRatingIsNotToldAsTheHeads() throws {
        var network = Self.network
        for place in network.feeders.indices { network.feeders[place].ratedAmperes = 0 }
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
        var reports: [AdvisoryReport] = []
        for second in stride(from: 0, to: 600, by: 5) {
            reports +=
                analyser.absorb([
                    Sample(
                        device: registry.index["FH-F1"] ?? -1, time: Self.start + Double(second), activePower: -900_000,
                        voltage: 20_400)
                ]).reports
        }
        let facts = try #require(reports.first { $0.facts.detector == "RPF_HEAD" }?.facts)
        #expect(facts.limit.source == "assumed: the head's rating is not known")
    }
}
