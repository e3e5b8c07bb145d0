import Analysis
import GridModel
import TestSupport
import Testing

/// Power and voltage by phase (`domain-rules.md` B.1.1, B.2.4).
@Suite struct PhaseTests {
    @Test(arguments: [
        ((12.60, 12.35, 12.20), 1.750, 1.888), ((480.0, 475.0, 462.0), 2.188, 2.263), ((400.0, 400.0, 400.0), 0, 0),
    ]) func unbalanceIsAsTheVectorsSay(voltages: (Double, Double, Double), nema: Double, sequence: Double) {
        let (a, b, c) = voltages
        #expect(abs(PhaseMeasures.unbalance(a, b, c, betweenLines: false) - nema) < 0.001)
        #expect(abs(PhaseMeasures.unbalance(a, b, c, betweenLines: true) - sequence) < 0.001)
    }

    @Test func whatIsMissingIsNotTakenForAnything() {
        #expect(PhaseMeasures.least(1, .nan, 3).isNaN)
        #expect(PhaseMeasures.unbalance(400, .nan, 400, betweenLines: true).isNaN)
        #expect(PhaseMeasures.unbalance(400, 0, 400, betweenLines: true).isNaN)
        // No triangle has these sides: as much as there can be, not a wrong number.
        #expect(PhaseMeasures.unbalance(400, 1, 1, betweenLines: true) == 100)
    }

    // MARK: Through the analyser

    private static let network = SmallNetwork.make()
    private static let registry = DeviceRegistry(
        devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    private static let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    private static func reports(
        minutes: Int, _ sample: (Int, Int32) -> Sample
    ) throws -> [AdvisoryReport] {
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: AnalysisSettings())
        let head = try #require(registry.index["FH-F1"])
        return (0..<minutes * 6).flatMap { analyser.absorb([sample($0, head)]).reports }
    }

    @Test func aPhaseThatFeedsBackIsNoReversePower() throws {
        // 10 MVA: half of the threshold of 100 kW. One phase at -80 kW from minute 2 on; from minute 20 on the head too.
        let reports = try Self.reports(minutes: 30) { bin, head in
            let (phase, total): (Float, Float) =
                bin < 12 ? (50_000, 300_000) : bin < 120 ? (-80_000, 200_000) : (-300_000, -500_000)
            return Sample(
                device: head, time: Self.start + Double(bin) * 10, activePower: total, voltage: 20_000,
                leastPhasePower: phase)
        }
        let phase = reports.filter { $0.facts.detector == "RPF_PHASE" }
        let start = try #require(phase.first { $0.change == .start }?.facts)
        #expect((start.severity, start.element, start.onset) == (.note, "F1/phase", Self.start + 120))
        #expect(start.raisedAt == Self.start + 180)
        #expect(start.peak.value == -80_000)
        // What feeds back as a whole is said once, under its own name.
        let clear = try #require(phase.first { $0.change == .clear }?.facts)
        #expect(clear.endedAt == Self.start + 1200)
        let heads = reports.filter { $0.facts.detector == "RPF_HEAD" && $0.change == .start }
        #expect(heads.map(\.facts.onset) == [Self.start + 1200])
    }

    @Test func smallOrBalancedIsSaidNothingOf() throws {
        let reports = try Self.reports(minutes: 30) { bin, head in
            Sample(
                device: head, time: Self.start + Double(bin) * 10, activePower: 200_000 + Float(bin % 7),
                voltage: 20_000,
                leastPhasePower: -45_000, unbalance: 1.9)
        }
        #expect(reports.filter { ["RPF_PHASE", "V_UNBALANCE"].contains($0.facts.detector) }.isEmpty)
    }

    @Test func voltagesThatDifferForHalfAnHour() throws {
        let reports = try Self.reports(minutes: 130) { bin, head in
            let unbalance: Float = bin < 60 ? 0.4 : bin < 360 ? 2.5 : bin < 480 ? 3.4 : 0.5
            return Sample(
                device: head, time: Self.start + Double(bin) * 10, activePower: 900_000 + Float(bin % 7),
                voltage: 20_000,
                unbalance: unbalance)
        }
        let found = reports.filter { $0.facts.detector == "V_UNBALANCE" }
        let start = try #require(found.first { $0.change == .start }?.facts)
        #expect((start.kind, start.severity) == (.voltageUnbalance, .medium))
        // The ten-minute mean passes 2 % in the eighth minute at 2.5 %, and must stay there for half an hour.
        #expect(start.raisedAt > Self.start + 600 + 1800 && start.raisedAt <= Self.start + 600 + 600 + 1800)
        #expect(found.contains { $0.change == .severity && $0.facts.severity == .high })
        #expect(found.last?.change == .clear)
    }
}
