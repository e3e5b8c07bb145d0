import GridModel
import Switching
import Testing

/// Breaking and making capacity is judged by the largest current, reach by the smallest, and neither by a guess.
@Suite struct FaultCurrentTests {
    /// A ring of three lines of 0.1 + j1 Ω on a stiff source: 17.23 kA with the smallest voltage factor, 18.96 kA with the
    /// largest.
    private func ring(breaker: String, _ change: (inout Network) -> Void = { _ in }) throws -> Verdict {
        var network = Network(id: "ring")
        network.nodes = ["S", "A", "B"].map { .init(id: $0, nominalKilovolts: 20, kind: "mv_node") }
        network.sources = [.init(id: "S1", node: "S", voltagePerUnit: 1, isStiff: true)]
        network.lines = [("SA", "S", "A"), ("SB", "S", "B"), ("AB", "A", "B")].map {
            .init(
                id: $0.0, from: $0.1, to: $0.2, resistance: 0.1, reactance: 1, capacitance: 0, ratedAmperes: 300)
        }
        network.switches = [
            .init(id: "TIE", connects: .line, node: "A", element: "AB", normalPosition: .open),
            .init(id: "CB-A", kind: "CB", connects: .line, node: "A", element: "SA"),
            .init(id: "CB-S", kind: "CB", connects: .line, node: "S", element: "SA"),
        ]
        network.switches[network.switches.firstIndex { $0.id == breaker }!].interruptKiloamperes = 18
        change(&network)
        let idle = [Double](repeating: 0, count: 3)
        let snapshot = GridSnapshot(
            time: DataFolder.noon, networkRevision: "1", positions: network.switches.map(\.normalPosition), taps: [],
            loadWatts: idle, loadVars: idle, derWatts: [], derVars: idle)
        return PlanValidator(network, limits: .init(), software: "test").validate(
            SwitchingPlan(
                id: "P", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
                steps: [
                    .init(sequence: 1, action: .close, element: "TIE"),
                    .init(sequence: 2, action: .open, element: "TIE"),
                ]), snapshot)
    }

    @Test func breakingCapacityIsJudgedByTheLargestCurrent() throws {
        let found = try ring(breaker: "CB-A").found("P6", .blockSoft)
        #expect(abs((found.first?.value ?? 0) - 18.96) < 0.02, "\(found)")
    }

    @Test func beyondASourceThatNobodyKnowsNothingIsKnown() throws {
        let verdict = try ring(breaker: "CB-S") { $0.sources[0].isStiff = nil }
        let found = verdict.found("P6", .unknown)
        #expect(found.contains { $0.message.contains("sk_mva of S1") }, "\(verdict.told)")
        #expect(!verdict.findings.contains { $0.check == "P6" && ($0.value ?? 0) > 1000 })
        // A breaker that bears what a stiff source gives bears anything.
        let strong = try ring(breaker: "CB-A") {
            $0.sources[0].isStiff = nil
            $0.switches[1].interruptKiloamperes = 40
            $0.switches[2].interruptKiloamperes = 1e6
        }
        #expect(!strong.findings.contains { $0.check == "P6" && $0.elements == ["CB-A"] }, "\(strong.told)")
    }

    @Test func aBreakerWithoutARatingBesideOthersIsNotStrongEnough() throws {
        let verdict = try ring(breaker: "CB-S") {
            $0.sources[0] = .init(id: "S1", node: "S", voltagePerUnit: 1, shortCircuitMVA: 500)
        }
        #expect(verdict.found("P6", .unknown).map(\.elements) == [["CB-A"]], "\(verdict.told)")
    }
}
