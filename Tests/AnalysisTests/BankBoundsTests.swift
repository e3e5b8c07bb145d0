import Analysis
import GridModel
import TestSupport
import Testing

/// What a plant at the busbar gives that has never been heard is not known: it may be anything up to its rating.
@Suite struct BankBoundsTests {
    private static let start = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast

    /// - Parameter plant: W, from a second on; `nil`: it never speaks.
    private func reports(_ kind: DeviceKind, plant: (from: Int, watts: Float)?) -> [AdvisoryReport] {
        var network = SmallNetwork.make()
        network.ders.append(.init(id: "plant", kind: kind, node: "MV", ratedKW: 5000))
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var settings = AnalysisSettings()
        settings.bankHasZeroSequence = true
        settings.followsSun = false
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: settings)
        func sample(_ device: String, _ second: Int, _ watts: Float) -> Sample {
            Sample(
                device: registry.index[device] ?? -1, time: Self.start + Double(second),
                activePower: watts + Float(second * 7919 % 101))
        }
        var samples: [Sample] = []
        for second in stride(from: 0, to: 5400, by: 10) {
            // 1.8 MW back, and after ten minutes 0.6 MW forward.
            for feeder in ["F1", "F2", "F3"] {
                samples.append(sample("FH-\(feeder)", second, second < 600 ? -600_000 : 200_000))
            }
            if let plant, second >= plant.from, second % 60 == 0 {
                samples.append(sample("plant", second, plant.watts))
            }
        }
        return analyser.absorb(samples).reports.filter { $0.facts.kind == .reversePowerBank && $0.change != .peak }
    }

    @Test func whatItMayGiveIsNoAllClear() {
        #expect(reports(.biomass, plant: nil).map(\.change) == [.start, .uncertain])
        #expect(reports(.battery, plant: nil).map(\.change) == [.start, .uncertain])
        // A charger gives nothing.
        #expect(reports(.electricVehicleCharger, plant: nil).map(\.change) == [.start, .clear])
    }

    @Test func onceItSpeaksWhatItGivesCounts() {
        #expect(reports(.biomass, plant: (0, 0)).map(\.change) == [.start, .clear])
        #expect(reports(.biomass, plant: (2400, 0)).map(\.change) == [.start, .uncertain, .certain, .clear])
        #expect(reports(.biomass, plant: (2400, 2_000_000)).map(\.change).last == .certain)
    }
}
