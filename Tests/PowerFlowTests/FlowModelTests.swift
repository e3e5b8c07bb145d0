import DataDirectory
import Foundation
import GridModel
import PowerFlow
import TestSupport
import Testing

/// A busbar held at 1 pu, a line of 1 + j0.5 Ω to a load, a tie to a second line: worked out by hand.
private enum TwoBus {
    static func make() -> Network {
        var network = Network(id: "two")
        network.nodes = [
            .init(id: "S", nominalKilovolts: 10, kind: "mv_busbar"),
            .init(id: "L", nominalKilovolts: 10, kind: "mv_node"),
            .init(id: "X", nominalKilovolts: 10, kind: "mv_node"),
        ]
        network.sources = [.init(id: "SRC", node: "S", voltagePerUnit: 1)]
        network.lines = [
            .init(id: "SL", from: "S", to: "L", resistance: 1, reactance: 0.5, capacitance: 0, ratedAmperes: 200),
            .init(id: "SX", from: "X", to: "S", resistance: 1, reactance: 0.5, capacitance: 0, ratedAmperes: 200),
        ]
        network.switches = [
            .init(id: "CB", connects: .line, node: "S", element: "SL"),
            .init(id: "TIE", connects: .bus, node: "L", element: "X", normalPosition: .open),
        ]
        network.feeders = [
            .init(id: "F1", busbar: "S", headLine: "SL"), .init(id: "F2", busbar: "S", headLine: "SX"),
        ]
        return network
    }

    /// Voltage of the load end: V = 1 - Z·conj(S/V), iterated with complex numbers written out.
    static func voltage(watts: Double, vars: Double) -> Double {
        let base = 1e4 * 1e4
        let (p, q, r, x) = (watts / base, vars / base, 1.0, 0.5)
        var (re, im) = (1.0, 0.0)
        for _ in 0..<200 {
            // conj(S/V) with Z in Ω over a base of 1 Ω: (r + jx)(p - jq)/conj(V)
            let (a, b) = (r * p + x * q, x * p - r * q)
            let square = re * re + im * im
            (re, im) = (1 - (a * re - b * im) / square, -(b * re + a * im) / square)
        }
        return (re * re + im * im).squareRoot()
    }
}

@Suite struct FlowModelTests {
    /// V = E / (1 + Z·Y), of a capacitor and of a reactor with losses.
    @Test(arguments: [(2000.0, 0.0), (-1500, 30)]) func aShuntLiftsOrLowersTheVoltage(
        kilovars: Double, kilowatts: Double
    ) throws {
        var network = TwoBus.make()
        network.shunts = [.init(id: "C1", node: "L", kilovars: kilovars, kilowatts: kilowatts)]
        var model = try FlowModel(network)
        let solution = try model.solve(model.normalState)
        let (g, b) = (kilowatts * 1000 / 1e8, kilovars * 1000 / 1e8)
        let expected = 1 / hypot(1 + 1 * g - 0.5 * b, 1 * b + 0.5 * g)
        #expect(abs(solution.perUnit[1] - expected) < 1e-8)
        #expect(abs(solution.lines[0].toVars - kilovars * 1000 * expected * expected) < 0.1)
    }

    @Test(arguments: [(2e6, 1e6), (-3e6, 0.0), (0.0, 0.0)])
    func aLineDropsWhatTheFormulaSays(watts: Double, vars: Double) throws {
        var model = try FlowModel(TwoBus.make())
        var state = model.normalState
        state.watts[1] = watts
        state.vars[1] = vars
        let solution = try model.solve(state)
        #expect(abs(solution.perUnit[1] - TwoBus.voltage(watts: watts, vars: vars)) < 1e-6)
        #expect(solution.isEnergised == [true, true, true])
        let head = try #require(FeederHeads(TwoBus.make()).flow(0, solution))
        // What leaves the busbar is the load and the losses; export is negative.
        #expect(abs(head.watts - watts - solution.lossesWatts) < 1)
        #expect(watts >= 0 || head.watts < 0)
    }

    @Test func aHeadLineThatEndsAtTheBusbarHasItsSignTurned() throws {
        var model = try FlowModel(TwoBus.make())
        var state = model.normalState
        state.watts[2] = -1e6
        let solution = try model.solve(state)
        #expect(try #require(FeederHeads(TwoBus.make()).flow(1, solution)).watts < -0.99e6)
    }

    @Test func anOpenSwitchLeavesItsSideDeadAndDERThereAreOff() throws {
        var model = try FlowModel(TwoBus.make())
        var state = model.normalState
        state.watts[1] = -2e6
        state.isClosed[0] = false
        let solution = try model.solve(state)
        #expect(solution.isEnergised == [true, false, true])
        #expect(solution.perUnit[1] == 0 && solution.lines[0].amperes == 0)
    }

    @Test func aClosedTieSharesTheLoadOverBothLines() throws {
        var model = try FlowModel(TwoBus.make())
        var state = model.normalState
        state.watts[1] = 2e6
        let radial = try model.solve(state)
        state.isClosed[1] = true
        let meshed = try model.solve(state)
        #expect(abs(meshed.lines[0].amperes - meshed.lines[1].amperes) < 0.01)
        #expect(abs(meshed.lines[0].amperes * 2 - radial.lines[0].amperes) < 2)
        #expect(abs(meshed.switches[1].amperes - meshed.lines[1].amperes) < 0.01)
        // And back: no state is left behind.
        state.isClosed[1] = false
        #expect(try model.solve(state) == radial)
    }

    @Test func aStateThatCannotBeIsAnErrorAndTheModelGoesOn() throws {
        var model = try FlowModel(TwoBus.make())
        var state = model.normalState
        state.watts[1] = 1e9
        var error = #expect(throws: PowerFlowError.self) { try model.solve(state) }
        #expect(error?.code == .notConverged)
        state.watts[1] = .nan
        error = #expect(throws: PowerFlowError.self) { try model.solve(state) }
        #expect(error?.code == .invalidInput)
        state.watts[1] = 1e6
        #expect(try model.solve(state).perUnit[1] > 0.9)
    }

    @Test func whatIsMissingIsNamed() throws {
        var error = #expect(throws: PowerFlowError.self) { _ = try FlowModel(SmallNetwork.make()) }
        #expect(error?.code == .missingData)
        for word in ["r_ohm of lines", "vk_percent of transformers", "vm_pu of sources"] {
            #expect(error?.detail.contains(word) ?? false, "\(word): \(error?.detail ?? "")")
        }
        var one = TwoBus.make()
        one.lines[1].reactance = nil
        error = #expect(throws: PowerFlowError.self) { _ = try FlowModel(one) }
        #expect(error?.detail == "the data lack x_ohm of lines SX" && error?.elements == ["SX"])
        var network = TwoBus.make()
        network.sources = []
        error = #expect(throws: PowerFlowError.self) { _ = try FlowModel(network) }
        #expect(error?.detail == "the network has no source")
    }

    @Test func aTapStepMovesTheVoltage() throws {
        let directory = "\(Repository.root)/data/semiurb"
        let network = try NetworkReader.read(directory).network
        var model = try FlowModel(network)
        var state = model.normalState
        let unit = try #require(network.transformers.firstIndex { $0.ratedKVA == 40_000 })
        let busbar = try #require(network.nodes.firstIndex { $0.id == network.transformers[unit].lowNode })
        let before = try model.solve(state).perUnit[busbar]
        // Both units of the bank: one step of 1.5 % on the high-voltage side lowers the low-voltage side.
        for place in network.transformers.indices where network.transformers[place].ratedKVA == 40_000 {
            state.taps[place] = 1
        }
        let after = try model.solve(state).perUnit[busbar]
        #expect(abs(after * 1.015 - before) < 1e-3)
    }

    /// Network N1 of the rules, fed from B over the closed tie: the table's currents, for the nominal voltage.
    @Test func faultCurrentsAreTheTables() throws {
        let network = try NetworkReader.read("\(Repository.root)/Tests/SwitchingTests/Cases/n1").network
        var model = try FlowModel(network)
        let isKnown = model.hasZeroSequence
        #expect(isKnown)
        var state = model.normalState
        for (number, item) in network.switches.enumerated() { state.isClosed[number] = item.id != "R-A" }
        let end = try #require(network.nodes.firstIndex { $0.id == "A1b-end" })
        let before = try model.solve(state)
        let phases = try #require(try model.faultCurrents(state, at: [end], .threePhase)[0])
        #expect(abs(phases - 2568) < 2568 * 0.005)
        // The engine gives a bank the same impedance to ground as between phases, the table 0.8 of it: 1 % apart.
        let ground = try #require(try model.faultCurrents(state, at: [end], .phaseToGround)[0])
        #expect(abs(ground - 1713) < 1713 * 0.015)
        // A fault leaves no trace in the load flow; what is dead has none.
        #expect(try model.solve(state) == before)
        state.isClosed = state.isClosed.indices.map { state.isClosed[$0] && network.switches[$0].id != "T" }
        #expect(try model.faultCurrents(state, at: [end], .threePhase) == [nil])
        // Without the zero sequence nothing is said of faults to ground.
        var unknown = network
        unknown.lines[0].zeroReactance = nil
        var other = try FlowModel(unknown)
        let error = #expect(throws: PowerFlowError.self) { try other.faultCurrents(state, at: [0], .phaseToGround) }
        #expect(error?.code == .missingData)
        #expect(try other.faultCurrents(state, at: [0], .threePhase)[0] != nil)
    }
}

/// Two units of a group before one busbar each, from 110 kV; the second busbar is empty.
@Suite struct TapControlTests {
    private func make(_ change: (inout Network.Transformer) -> Void = { _ in }) -> Network {
        var network = Network(id: "taps")
        network.nodes = [
            .init(id: "HV", nominalKilovolts: 110, kind: "hv_busbar"),
            .init(id: "M1", nominalKilovolts: 20, kind: "mv_busbar"),
            .init(id: "M2", nominalKilovolts: 20, kind: "mv_busbar"),
        ]
        network.sources = [.init(id: "SRC", node: "HV", voltagePerUnit: 1)]
        network.transformers = ["M1", "M2"].map { busbar in
            var unit = Network.Transformer(
                id: "T-\(busbar)", highNode: "HV", lowNode: busbar, ratedKVA: 40_000,
                highKilovolts: 110, lowKilovolts: 20, impedancePercent: 16.2, resistancePercent: 0.34,
                tap: .init(
                    isOnLowSide: false, neutral: 0, least: -9, most: 9, position: 0, stepPercent: 1.5,
                    isAutomatic: true, setPoint: 1.025, band: 0.012), tapGroup: "SUB")
            change(&unit)
            return unit
        }
        return network
    }

    private func settle(_ network: Network, megawatts: Double) throws -> (taps: [Int?], mean: Double)? {
        var model = try FlowModel(network)
        var state = model.normalState
        state.watts[1] = megawatts * 1e6
        let settled = try model.settled(state, from: model.solve(state))
        return settled.map { ($0.taps, ($0.solution.perUnit[1] + $0.solution.perUnit[2]) / 2) }
    }

    @Test func aGroupMovesTogetherUntilItsMeanIsInItsBand() throws {
        // Idle: 1 pu at tap 0; one step down on the high side gives 1/0.985 = 1.0152, which is in 1.025 ± 0.012.
        let settled = try #require(try settle(make(), megawatts: 0))
        #expect(settled.taps == [-1, -1])
        #expect(abs(settled.mean - 1 / 0.985) < 1e-9)
        // Already there, it stays.
        var network = make()
        for place in [0, 1] { network.transformers[place].tap.position = -1 }
        #expect(try settle(network, megawatts: 0) == nil)
    }

    @Test func unitsWithoutAGroupFollowEachTheirOwnBusbar() throws {
        let settled = try #require(try settle(make { $0.tapGroup = nil }, megawatts: 36))
        let (loaded, idle) = (try #require(settled.taps[0]), try #require(settled.taps[1]))
        #expect(idle == -1 && loaded < idle)
    }

    @Test func theLowSideAndANegativeStepTurnTheWay() throws {
        #expect(try settle(make { $0.tap.isOnLowSide = true }, megawatts: 0)?.taps == [1, 1])
        #expect(try settle(make { $0.tap.stepPercent = -1.5 }, megawatts: 0)?.taps == [1, 1])
    }

    @Test func theEndOfTheRangeAndANarrowBandStopIt() throws {
        #expect(try settle(make { $0.tap.setPoint = 1.4 }, megawatts: 0)?.taps == [-9, -9])
        // A band narrower than a step would be hunted for: it moves once past it, and stays.
        let hunted = try settle(make { $0.tap.band = 0.0001 }, megawatts: 0)
        #expect(hunted?.taps == [-2, -2])
    }

    @Test func withoutSetPointNobodyKnowsWhereItMoves() throws {
        let error = #expect(throws: PowerFlowError.self) {
            try settle(make { $0.tap.setPoint = nil }, megawatts: 36)
        }
        #expect(error?.detail.contains("oltc_setpoint_pu of transformers") ?? false)
        #expect(try settle(make { $0.tap.isAutomatic = false }, megawatts: 36) == nil)
    }
}
