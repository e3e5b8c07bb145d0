import Foundation
import GridModel
import PowerFlow
import Testing

/// A source, a line to L, and a lateral of phase A beyond it, worked out by hand: what a phase to ground meets is
/// (2·Z1 + Z0) / 3, the others see the mutual part (Z0 - Z1) / 3.
private enum Lateral {
    static let line = (r1: 1.0, x1: 0.5, r0: 2.0, x0: 2.0)

    static func make(phases: String = "A") -> Network {
        var network = Network(id: "lateral")
        network.nodes = [
            .init(id: "S", nominalKilovolts: 10, kind: "mv_busbar", phases: "ABC"),
            .init(id: "L", nominalKilovolts: 10, kind: "mv_node", phases: phases),
        ]
        network.sources = [.init(id: "SRC", node: "S", voltagePerUnit: 1)]
        network.lines = [
            .init(
                id: "SL", from: "S", to: "L", resistance: line.r1, reactance: line.x1, capacitance: 0,
                ratedAmperes: 200,
                zeroResistance: line.r0, zeroReactance: line.x0)
        ]
        network.switches = [.init(id: "CB", connects: .line, node: "S", element: "SL")]
        return network
    }

    /// Phase voltages at L in pu for constant power on some phases, from the fixed point of V = E - Z·I.
    static func voltages(watts: [Double]) -> [Double] {
        let own = ((2 * line.r1 + line.r0) / 3, (2 * line.x1 + line.x0) / 3)
        let mutual = ((line.r0 - line.r1) / 3, (line.x0 - line.x1) / 3)
        let volts = 1e4 / 3.0.squareRoot()
        let source = (0..<3).map { (volts * cos(-2 * .pi / 3 * Double($0)), volts * sin(-2 * .pi / 3 * Double($0))) }
        var at = source
        for _ in 0..<500 {
            // I = P / conj(V)
            let current = (0..<3).map { phase -> (Double, Double) in
                let square = at[phase].0 * at[phase].0 + at[phase].1 * at[phase].1
                return (watts[phase] * at[phase].0 / square, watts[phase] * at[phase].1 / square)
            }
            at = (0..<3).map { phase in
                var sum = source[phase]
                for other in 0..<3 {
                    let z = other == phase ? own : mutual
                    sum.0 -= z.0 * current[other].0 - z.1 * current[other].1
                    sum.1 -= z.0 * current[other].1 + z.1 * current[other].0
                }
                return sum
            }
        }
        return at.map { hypot($0.0, $0.1) / volts }
    }
}

@Suite struct PhaseTests {
    @Test func aLateralLoadsItsPhaseAndLiftsAnother() throws {
        var model = try FlowModel(Lateral.make())
        var state = model.normalState
        state.watts[1] = 600e3
        let solution = try model.solve(state)
        let phases = try #require(solution.phases)
        let expected = Lateral.voltages(watts: [600e3, 0, 0])
        for phase in 0..<3 { #expect(abs(phases.perUnit[1][phase] - expected[phase]) < 1e-6) }
        // Three times what the phases would share, and nothing comes back in the others.
        let amperes = 600e3 / (expected[0] * 1e4 / 3.0.squareRoot())
        #expect(abs(solution.lines[0].amperes - amperes) < 1e-3)
        #expect(abs(phases.lineResidual[0] - amperes) < 1e-3)
        #expect(solution.lowest(1) == solution.highest(1))
        #expect(abs((solution.lowest(1) ?? 0) - expected[0]) < 1e-6)
    }

    @Test func aPoleThatIsOpenTakesItsPhaseAway() throws {
        var model = try FlowModel(Lateral.make(phases: "ABC"))
        var state = model.normalState
        state.watts[1] = 900e3
        #expect(try model.solve(state).phases == nil)
        state.openPoles[0] = .b
        let solution = try model.solve(state)
        let phases = try #require(solution.phases)
        let expected = Lateral.voltages(watts: [300e3, 0, 300e3])
        #expect(phases.whole[1] == [.a, .c])
        for phase in [0, 2] { #expect(abs(phases.perUnit[1][phase] - expected[phase]) < 1e-5) }
        #expect(solution.lowest(1).map { abs($0 - min(expected[0], expected[2])) < 1e-5 } ?? false)
        // Two phases of three: what they lack of balance is a phase's current.
        #expect(abs(phases.lineResidual[0] / solution.lines[0].amperes - 1) < 0.05)
        // All poles apart but one, and together again.
        state.openPoles[0] = [.a, .b]
        #expect(try model.solve(state).phases?.whole[1] == .c)
        state.openPoles = [:]
        #expect(try model.solve(state).phases == nil)
    }

    @Test func aLateralIsDeadWhenItsOnlyPhaseIs() throws {
        var model = try FlowModel(Lateral.make(phases: "B"))
        var state = model.normalState
        state.watts[1] = 300e3
        state.openPoles[0] = .b
        let solution = try model.solve(state)
        #expect(solution.isEnergised == [true, false])
        #expect(solution.lowest(1) == nil && solution.highest(1) == nil)
        #expect(solution.lines[0].amperes < 0.1)
    }

    /// One fuse of a Dyn bank: two of its secondary phases share what is left, the third keeps its voltage.
    @Test func behindADeltaThatLacksAPhaseVoltagesAreHalved() throws {
        var network = Lateral.make(phases: "ABC")
        network.nodes.append(.init(id: "LV", nominalKilovolts: 0.4, kind: "lv_busbar", phases: "ABC"))
        network.transformers = [
            .init(
                id: "T", highNode: "L", lowNode: "LV", ratedKVA: 400, highKilovolts: 10, lowKilovolts: 0.4,
                impedancePercent: 4, resistancePercent: 1, noLoadPercent: 2, shiftDegrees: 150, windings: "Dyn5")
        ]
        var model = try FlowModel(network)
        var state = model.normalState
        state.openPoles[0] = .a
        let solution = try model.solve(state)
        let phases = try #require(solution.phases)
        #expect(phases.whole[2] == [])
        let sorted = phases.perUnit[2].sorted()
        // Without load the open pole's 1 MΩ is still to be seen beside the magnetising impedance.
        #expect(abs(sorted[0] - 0.5) < 0.04 && abs(sorted[1] - 0.5) < 0.04 && abs(sorted[2] - 1) < 0.01)
        // A load there is an impedance: a quarter of its power is left on each of the two.
        state.watts[2] = 90e3
        let loaded = try model.solve(state)
        #expect(abs(loaded.transformers[0].toWatts / -45e3 - 1) < 0.05)
        #expect(loaded.isEnergised[2] && loaded.lowest(2) == nil)
    }

    @Test func phaseByPhaseABalancedNetworkIsTheSame() throws {
        var network = Lateral.make(phases: "ABC")
        network.nodes.append(.init(id: "M", nominalKilovolts: 10, kind: "mv_node", phases: "C"))
        network.lines.append(
            .init(
                id: "LM", from: "L", to: "M", resistance: 1, reactance: 1, capacitance: 0,
                zeroResistance: 3, zeroReactance: 3))
        var byPhase = try FlowModel(network)
        network.nodes[2].phases = "ABC"
        var alike = try FlowModel(network)
        var state = alike.normalState
        (state.watts[1], state.vars[1]) = (2e6, 3e5)
        let (one, other) = (try byPhase.solve(state), try alike.solve(state))
        #expect(one.phases != nil && other.phases == nil)
        #expect(abs(one.perUnit[1] - other.perUnit[1]) < 1e-8)
        #expect(abs(one.lines[0].amperes - other.lines[0].amperes) < 1e-5)
        #expect(abs(one.lines[0].fromWatts - other.lines[0].fromWatts) < 0.1)
        #expect(abs(one.degrees[1] - other.degrees[1]) < 1e-6)
        #expect((one.phases?.lineResidual[0] ?? 1) < 1e-4)
    }

    @Test func whatThePhasesNeedIsNamed() throws {
        var network = Lateral.make()
        network.lines[0].zeroResistance = nil
        network.transformers = [
            .init(
                id: "T", highNode: "S", lowNode: "L", ratedKVA: 400, highKilovolts: 10, lowKilovolts: 10,
                impedancePercent: 4, resistancePercent: 1, neutral: .isolated)
        ]
        var model = try FlowModel(network)
        let error = #expect(throws: PowerFlowError.self) { try model.solve(model.normalState) }
        #expect(error?.code == .missingData)
        for word in ["r0_ohm and x0_ohm of SL", "windings of T", "grounded neutral"] {
            #expect("\(error.map { "\($0)" } ?? "")".contains(word))
        }
    }
}
