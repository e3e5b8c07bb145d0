import GridModel
import PowerFlow
import Switching
import Testing

/// The network of `docs/first-steps.md` with meters on it, and the world as it really is beside what its data say.
struct LiveScene {
    /// As imported.
    var network: Network
    /// kW and kvar that loads really take, by node.
    var taken: [String: (kilowatts: Double, kilovars: Double)] = [:]
    var given: [String: Double] = ["pv-1": 0]
    var positions: [String: SwitchPosition] = [:]
    /// Values of the meters; `nil`: the true ones.
    var flows: [String: LiveMeasurements.Flow] = [:]
    var voltages: [(node: String, perUnit: Double)] = []
    var quantities: Set<String> = ["watts", "vars", "amperes"]
    var tolerance = LiveMeasurements.Tolerance()
    /// By transformer: where its tap really stands.
    var tap: Int?

    /// F1: MV-A-B with PV at B; F2: MV-C; tie TIE on L-B-C, open at C.
    static var base: Network {
        var network = Network(id: "base")
        network.nodes = [
            .init(id: "HV", nominalKilovolts: 110, kind: "hv_busbar", substation: "S"),
            .init(id: "MV", nominalKilovolts: 20, kind: "mv_busbar", substation: "S"),
            .init(id: "A", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "B", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "C", nominalKilovolts: 20, kind: "mv_node"),
        ]
        func line(_ id: String, _ from: String, _ to: String, _ kilometres: Double) -> Network.Line {
            .init(
                id: id, from: from, to: to, resistance: 0.125 * kilometres, reactance: 0.115 * kilometres,
                capacitance: 250 * kilometres, ratedAmperes: 300, kilometres: kilometres)
        }
        network.lines = [
            line("L-MV-A", "MV", "A", 2), line("L-A-B", "A", "B", 2), line("L-MV-C", "MV", "C", 3),
            line("L-B-C", "B", "C", 1),
        ]
        network.transformers = [
            .init(
                id: "T1", highNode: "HV", lowNode: "MV", ratedKVA: 25_000, highKilovolts: 110, lowKilovolts: 20,
                impedancePercent: 12, resistancePercent: 0.4, noLoadKilowatts: 14, noLoadPercent: 0.07,
                shiftDegrees: 150)
        ]
        network.switches = [
            .init(id: "CB-F1", kind: "CB", connects: .line, node: "MV", element: "L-MV-A", role: "feeder_head"),
            .init(id: "CB-F2", kind: "CB", connects: .line, node: "MV", element: "L-MV-C", role: "feeder_head"),
            .init(id: "S-A", connects: .line, node: "A", element: "L-A-B", role: "sectionalizer"),
            .init(id: "TIE", connects: .line, node: "C", element: "L-B-C", normalPosition: .open, role: "tie"),
        ]
        network.feeders = [
            .init(id: "F1", busbar: "MV", headSwitch: "CB-F1", headLine: "L-MV-A", ratedAmperes: 300),
            .init(id: "F2", busbar: "MV", headSwitch: "CB-F2", headLine: "L-MV-C", ratedAmperes: 300),
        ]
        network.ties = [
            .init(
                id: "T01", switchID: "TIE", line: "L-B-C", openAtNode: "C", farNode: "B", feederA: "F2", feederB: "F1")
        ]
        network.loads = [
            .init(id: "LD-A", node: "A", kilowatts: 800, kilovars: 200),
            .init(id: "LD-B", node: "B", kilowatts: 600, kilovars: 150),
            .init(id: "LD-C", node: "C", kilowatts: 900, kilovars: 250),
        ]
        network.ders = [.init(id: "pv-1", kind: .photovoltaic, node: "B", ratedKW: 2500)]
        network.sources = [.init(id: "SRC", node: "HV", voltagePerUnit: 1.02)]
        return network
    }

    init(_ network: Network = base) { self.network = network }

    private var states: [SwitchPosition] { network.switches.map { positions[$0.id] ?? $0.normalPosition } }

    /// The values that true meters would show.
    func truth() throws -> (flows: [String: LiveMeasurements.Flow], solution: FlowSolution) {
        var model = try FlowModel(network)
        var state = model.normalState
        state.isClosed = states.map { $0 != .open }
        if let tap { state.taps = state.taps.map { _ in tap } }
        for (place, node) in network.nodes.enumerated() {
            state.watts[place] += (taken[node.id]?.kilowatts ?? 0) * 1000
            state.vars[place] += (taken[node.id]?.kilovars ?? 0) * 1000
        }
        for der in network.ders {
            state.watts[network.nodes.firstIndex { $0.id == der.node }!] -= (given[der.id] ?? 0) * 1000
        }
        let solution = try model.solve(state)
        var flows: [String: LiveMeasurements.Flow] = [:]
        func add(_ device: String, _ flow: BranchFlow, atFrom: Bool, sign: Double) {
            flows[device] = .init(
                watts: sign * (atFrom ? flow.fromWatts : flow.toWatts),
                vars: sign * (atFrom ? flow.fromVars : flow.toVars), amperes: atFrom ? flow.fromAmperes : flow.toAmperes
            )
        }
        for feeder in network.feeders {
            let line = network.lines.firstIndex { $0.id == feeder.headLine }!
            add("FH-\(feeder.id)", solution.lines[line], atFrom: network.lines[line].from == feeder.busbar, sign: 1)
        }
        for item in network.switches where item.relay != nil {
            let line = network.lines.firstIndex { $0.id == item.element }!
            add("RC-\(item.id)", solution.lines[line], atFrom: network.lines[line].from == item.node, sign: 1)
        }
        for (place, unit) in network.transformers.enumerated() {
            add("TM-\(unit.id)", solution.transformers[place], atFrom: false, sign: -1)
        }
        return (flows, solution)
    }

    func snapshot(concerned: Set<String>, isSettled: Bool = true) throws -> GridSnapshot {
        let graph = NetworkGraph(network)
        let points = MeasuringPoints(
            network, graph, DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: graph)))
        let truth = try truth().flows
        let measured = LiveMeasurements(
            points: points,
            flows: points.all.map { point in
                // A bank's meter only where a test says so.
                let isTold = !point.device.hasPrefix("TM-")
                var flow = flows[point.device] ?? (isTold ? truth[point.device] : nil) ?? .init()
                if flows[point.device] == nil {
                    if !quantities.contains("watts") { flow.watts = nil }
                    if !quantities.contains("vars") { flow.vars = nil }
                    if !quantities.contains("amperes") { flow.amperes = nil }
                }
                flow.isSettled = isSettled
                return flow
            },
            voltages: voltages.map { voltage in
                .init(
                    device: "VM-\(voltage.node)", node: network.nodes.firstIndex { $0.id == voltage.node }!,
                    perUnit: voltage.perUnit)
            },
            ders: network.ders.map { .init(watts: given[$0.id].map { $0 * 1000 }, canGive: $0.ratedKW * 1000) },
            concerned: concerned, tolerance: tolerance)
        let traced: [SwitchPosition] = states.map { $0 == .open ? .open : .closed }
        let loads = LoadEstimate(
            network, graph, Topology(graph, positions: traced), measured, positions: traced
        ).lossless
        var snapshot = GridSnapshot(
            time: WorkedCase.start, networkRevision: "1", positions: states,
            taps: network.transformers.map(\.tap.position), loadWatts: loads.loadWatts,
            loadVars: loads.loadVars, derWatts: loads.derWatts, derVars: loads.derVars)
        snapshot.take(loads)
        snapshot.measured = measured
        snapshot.lightLoadShare = 1
        return snapshot
    }

    static func plan(_ steps: (SwitchingPlan.Action, String)...) -> SwitchingPlan {
        .init(
            id: "T", kind: .loadTransfer, holdHours: 1, policy: .init(allowTransientLoop: true),
            steps: steps.enumerated().map { .init(sequence: $0 + 1, action: $1.0, element: $1.1) })
    }

    /// F2 takes all of F1 over.
    static let takeOver = plan((.close, "TIE"), (.open, "CB-F1"))

    func judge(_ plan: SwitchingPlan = takeOver, isSettled: Bool = true) throws -> Verdict {
        let validator = PlanValidator(network, limits: SwitchingLimits(), software: "test")
        let concerned = validator.feeders(touchedBy: plan, positions: states)
        return validator.validate(plan, try snapshot(concerned: concerned, isSettled: isSettled))
    }

    /// As the network page shows it.
    func picture() throws -> PlanPicture {
        let validator = PlanValidator(network, limits: SwitchingLimits(), software: "test")
        return validator.picture(.init(id: "now", kind: .normalise, steps: []), try snapshot(concerned: []))
    }
}

@Suite struct LiveModelTests {
    private func unknown(_ verdict: Verdict) -> [Finding] {
        verdict.findings.filter { $0.check == "X2" && $0.severity == .unknown }
    }

    /// Cannot be assessed, naming these; and no number is told.
    private func expectUnknown(
        _ scene: LiveScene, _ plan: SwitchingPlan = LiveScene.takeOver, _ names: String...,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        let verdict = try scene.judge(plan)
        #expect(verdict.verdict >= .cannotAssess, sourceLocation: location)
        let found = unknown(verdict)
        #expect(!found.isEmpty, sourceLocation: location)
        for name in names {
            #expect(
                found.contains { $0.elements.contains(name) || $0.message.contains(name) }, "\(name): \(found)",
                sourceLocation: location)
        }
        #expect(verdict.findings.allSatisfy { $0.check.prefix(1) != "H" }, sourceLocation: location)
        #expect(verdict.steps.allSatisfy { $0.worstLoadingPct == nil }, sourceLocation: location)
    }

    /// Numbers, and nothing of them in doubt.
    private func assessed(
        _ scene: LiveScene, _ plan: SwitchingPlan = LiveScene.takeOver, at location: SourceLocation = #_sourceLocation
    ) throws -> Verdict {
        let verdict = try scene.judge(plan)
        #expect(verdict.findings.allSatisfy { $0.check != "X2" }, sourceLocation: location)
        return verdict
    }

    private var heavy: [String: (kilowatts: Double, kilovars: Double)] {
        ["A": (8000, 1500), "C": (7900, 1500)]
    }

    private func without(_ change: (inout Network) -> Void) -> Network {
        var network = LiveScene.base
        change(&network)
        return network
    }

    // MARK: A residual with no load to stand on

    @Test func megawattsThatNoLoadCanTakeAreNeverDropped() throws {
        var whole = LiveScene()
        whole.taken = heavy
        #expect(try assessed(whole).verdict == .reject)
        for network in [
            without { $0.loads = [] },
            without { for place in $0.loads.indices { $0.loads[place].kilowatts = 0 } },
        ] {
            var scene = LiveScene(network)
            scene.taken = heavy
            try expectUnknown(scene, LiveScene.takeOver, "F1", "F2", "FH-F1")
            let picture = try scene.picture()
            #expect(picture.contradictedFeeders == ["F1", "F2"])
        }
    }

    @Test func oneFeederAmongOthersWithoutLoads() throws {
        var scene = LiveScene(without { $0.loads.removeAll { $0.node == "C" } })
        scene.taken = ["A": (800, 200), "C": (7900, 1500)]
        try expectUnknown(scene, LiveScene.takeOver, "F2", "FH-F2")
        #expect(try scene.picture().contradictedFeeders == ["F2"])
        // It does not block a plan that does not concern the feeder, but it is mentioned.
        let elsewhere = try scene.judge(LiveScene.plan((.open, "S-A")))
        #expect(unknown(elsewhere).isEmpty)
        #expect(elsewhere.findings.contains { $0.check == "X2" && $0.severity == .condition && $0.elements == ["F2"] })
    }

    @Test func aSectionWithoutLoadsIsLikeAFeederWithoutLoads() throws {
        // RC-S-A measures what goes to B; A's load is in no table.
        var scene = LiveScene(metered { $0.loads.removeAll { $0.node == "A" } })
        scene.taken = ["A": (3000, 500), "B": (600, 150), "C": (900, 250)]
        try expectUnknown(scene, LiveScene.takeOver, "F1")
    }

    @Test func whatDERGiveOnAFeederWithoutLoadsStandsOnThem() throws {
        var scene = LiveScene(without { $0.loads.removeAll { $0.node != "C" } })
        scene.taken = ["C": (900, 250)]
        scene.given = ["pv-1": 2400]
        let verdict = try assessed(scene, LiveScene.plan((.close, "TIE"), (.open, "S-A")))
        #expect(abs(try #require(verdict.steps[0].heads["F1"]).activePowerW + 2_400_000) < 50_000)
        // Silent DER there give what the head says; beyond their rating nobody does.
        scene.given = ["pv-1": 2400]
        let said = try scene.truth().flows["FH-F1"]
        scene.given = [:]
        scene.flows["FH-F1"] = said
        let estimated = try scene.judge(LiveScene.plan((.close, "TIE"), (.open, "S-A")))
        #expect(unknown(estimated).isEmpty)
        #expect(abs(try #require(estimated.steps[0].heads["F1"]).activePowerW + 2_400_000) < 50_000)
        scene.flows["FH-F1"] = .init(watts: -4_000_000)
        try expectUnknown(scene, LiveScene.takeOver, "F1")
    }

    // MARK: Reactive power and current

    @Test func measuredReactivePowerIsUsed() throws {
        var scene = LiveScene(without { for place in $0.loads.indices { $0.loads[place].kilovars = 0 } })
        scene.taken = ["A": (2600, 2000), "B": (1900, 1450), "C": (4550, 3450)]
        let verdict = try assessed(scene)
        #expect(verdict.verdict == .reject)
        let before = try #require(verdict.steps.first?.worstLoadingPct)
        #expect(before > 52 && before < 58)
        let after = try #require(verdict.steps.last?.worstLoadingPct)
        #expect(after > 105)
    }

    @Test func aPowerFactorThatIsNotTheDrawingsIsMeasured() throws {
        // Capacitors off, or cables that are not in the data: the head says so, whatever q_kvar is.
        var scene = LiveScene()
        scene.taken = ["A": (2600, 2600), "B": (1900, 1900), "C": (900, 250)]
        let lagging = try #require(try assessed(scene).steps.first?.worstLoadingPct)
        scene.taken = ["A": (2600, -2600), "B": (1900, -1900), "C": (900, 250)]
        let leading = try #require(try assessed(scene).steps.first?.worstLoadingPct)
        #expect(lagging > 58 && leading > 58)
        // Without it the current alone tells that the drawing is wrong.
        scene.quantities = ["watts", "amperes"]
        try expectUnknown(scene, LiveScene.takeOver, "FH-F1")
        #expect(try scene.picture().contradictions.map(\.quantity) == ["current_a"])
    }

    @Test func reactivePowerThatNobodyKnowsIsNotZero() throws {
        var scene = LiveScene(without { for place in $0.loads.indices { $0.loads[place].kilovars = 0 } })
        scene.taken = ["A": (2600, 2000), "B": (1900, 1450), "C": (4550, 3450)]
        scene.quantities = ["watts"]
        try expectUnknown(scene, LiveScene.takeOver, "F1", "F2", "q_kvar")
        #expect(try scene.picture().unmeasuredFeeders == ["F1", "F2"])
        // Assumed by a setting it is a condition, and counts.
        scene.tolerance.powerFactor = 0.8
        let verdict = try scene.judge()
        #expect(unknown(verdict).isEmpty)
        #expect(verdict.findings.contains { $0.check == "X2" && $0.severity == .condition })
        #expect(verdict.verdict == .reject && verdict.steps[0].worstLoadingPct ?? 0 > 52)
    }

    @Test func aHeadWithReactivePowerOnlyMeasuresNoFeeder() throws {
        var scene = LiveScene()
        scene.taken = ["A": (8000, 1500), "B": (600, 150), "C": (900, 250)]
        scene.flows["FH-F1"] = .init(vars: 1_900_000)
        try expectUnknown(scene, LiveScene.takeOver, "FH-F1")
    }

    // MARK: Several cables, sections, transformers

    /// A second cable from MV to A: `as` a feeder of its own, a metered breaker, or nothing.
    private enum Second { case head, recloser, unmetered }

    private func parallel(_ second: Second) -> Network {
        without { network in
            var line = network.lines[0]
            line.id = "L-MV-A2"
            network.lines.append(line)
            network.switches.append(.init(id: "CB-F1b", kind: "CB", connects: .line, node: "MV", element: "L-MV-A2"))
            switch second {
            case .head:
                network.feeders.append(
                    .init(id: "F1b", busbar: "MV", headSwitch: "CB-F1b", headLine: "L-MV-A2", ratedAmperes: 300))
            case .recloser: network.switches[4].relay = .init(phasePickup: 600)
            case .unmetered: break
            }
        }
    }

    @Test(arguments: [true, false]) func headCablesOfOneFeederAddUp(areHeads: Bool) throws {
        var scene = LiveScene(parallel(areHeads ? .head : .recloser))
        scene.taken = ["A": (6800, 1000), "B": (5000, 700), "C": (900, 250)]
        let flows = try scene.truth().flows
        #expect(abs(flows["FH-F1"]!.watts! - 6_000_000) < 200_000)
        // In parallel each carries what its meter says; alone the other would carry all.
        let verdict = try scene.judge(LiveScene.plan((.open, "CB-F1b")))
        #expect(unknown(verdict).isEmpty)
        #expect(verdict.findings.contains { $0.check == "H1" && $0.severity >= .blockSoft && $0.value ?? 0 > 112 })
        let told = try #require(verdict.steps[0].heads["F1"]?.activePowerW)
        #expect(abs(told - flows["FH-F1"]!.watts!) < 60_000)
    }

    @Test func aFeederThatIsFedPastItsHeadIsNotKnown() throws {
        var scene = LiveScene(parallel(.unmetered))
        scene.taken = ["A": (6800, 1000), "B": (5000, 700), "C": (900, 250)]
        try expectUnknown(scene, LiveScene.plan((.open, "CB-F1b")), "F1", "FH-F1")
        // The other head silent is the same.
        scene = LiveScene(parallel(.head))
        scene.taken = ["A": (6800, 1000), "B": (5000, 700), "C": (900, 250)]
        scene.flows["FH-F1b"] = .init()
        try expectUnknown(scene, LiveScene.plan((.open, "CB-F1b")), "F1")
    }

    /// With a metered switch S-A between A and B.
    private func metered(_ change: (inout Network) -> Void = { _ in }) -> Network {
        without {
            $0.switches[2].relay = .init(phasePickup: 400)
            change(&$0)
        }
    }

    @Test func aMeasuredSectionTakesWhatItsMeterSays() throws {
        var scene = LiveScene(metered())
        // By nominal power A would have 57 %.
        scene.taken = ["A": (400, 100), "B": (5200, 900), "C": (900, 250)]
        let branch = try #require(try scene.picture().branches.firstIndex(of: "L-A-B"))
        let shown = try #require(try scene.picture().stages[0].activePowerW[branch])
        #expect(abs(shown - 5_200_000) < 60_000)
        _ = try assessed(scene)
    }

    @Test func aSectionMeterThatContradictsIsNamed() throws {
        var scene = LiveScene(metered())
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        // More goes on to B than comes in at the head.
        scene.flows["RC-S-A"] = .init(watts: 5_000_000)
        try expectUnknown(scene, LiveScene.takeOver, "F1")
        // Backwards.
        scene.flows["RC-S-A"] = .init(watts: -1_500_000, vars: -300_000)
        try expectUnknown(scene, LiveScene.takeOver, "F1")
        // In kW: B would take nothing.
        scene.flows["RC-S-A"] = .init(watts: 1_500, amperes: 43.5)
        try expectUnknown(scene, LiveScene.takeOver, "F1", "RC-S-A")
        let elements = try scene.picture().contradictions.map(\.element)
        #expect(elements == ["L-A-B"])
    }

    @Test func aHeadOfTheWrongSignOrUnitIsNamed() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        let head = try #require(try scene.truth().flows["FH-F1"])
        scene.flows["FH-F1"] = .init(watts: -(head.watts ?? 0), vars: -(head.vars ?? 0), amperes: head.amperes)
        try expectUnknown(scene, LiveScene.takeOver, "F1")
        // In kW, with and without a current beside it.
        scene.flows["FH-F1"] = .init(
            watts: (head.watts ?? 0) / 1000, vars: (head.vars ?? 0) / 1000, amperes: head.amperes)
        try expectUnknown(scene, LiveScene.takeOver, "FH-F1")
        scene.flows["FH-F1"] = .init(watts: (head.watts ?? 0) / 1000)
        try expectUnknown(scene, LiveScene.takeOver, "FH-F1")
        // A current in kA, or of a transformer's secondary side.
        scene.flows["FH-F1"] = .init(watts: head.watts, vars: head.vars, amperes: (head.amperes ?? 0) / 60)
        try expectUnknown(scene, LiveScene.takeOver, "FH-F1")
    }

    @Test func aBanksMeterIsComparedWithAllThatItFeeds() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        scene.flows["TM-T1"] = try scene.truth().flows["TM-T1"]
        _ = try assessed(scene)
        scene.flows["TM-T1"]?.watts? += 2_500_000
        try expectUnknown(scene, LiveScene.takeOver, "TM-T1", "F1", "F2")
        // While a head below is silent nobody knows what the bank should have.
        scene.flows["FH-F2"] = .init()
        scene.flows["TM-T1"]?.watts? -= 2_000_000
        #expect(try scene.picture().contradictions.isEmpty)
    }

    @Test func aHeadThatMeasuresPastAnOpenBreakerIsNamed() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        let head = try #require(try scene.truth().flows["FH-F1"])
        // Recorded as open, with F2 feeding all; in truth it is closed.
        scene.positions = ["CB-F1": .open, "TIE": .closed]
        scene.flows["FH-F1"] = head
        try expectUnknown(scene, LiveScene.plan((.close, "CB-F1"), (.open, "TIE")), "FH-F1")
    }

    @Test func aClosedTieIsOneZoneOfBothHeads() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        scene.positions = ["TIE": .closed]
        let flows = try scene.truth().flows
        let verdict = try assessed(scene, LiveScene.plan((.open, "S-A")))
        for feeder in ["F1", "F2"] {
            let told = try #require(verdict.steps[0].heads[feeder]?.activePowerW)
            #expect(abs(told - (flows["FH-\(feeder)"]?.watts ?? 0)) < 300_000)
        }
    }

    @Test func whatWasMeasuredBeforeASwitchMovedIsNotCompared() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        scene.flows["FH-F1"] = .init(watts: 3_500_000, vars: 800_000, amperes: 20)
        #expect(try !unknown(scene.judge()).isEmpty)
        #expect(try unknown(scene.judge(isSettled: false)).isEmpty)
    }

    // MARK: Voltage

    private func regulated(_ change: (inout Network) -> Void = { _ in }) -> Network {
        without {
            $0.transformers[0].tap = .init(
                isOnLowSide: false, neutral: 0, least: -9, most: 9, position: 0, stepPercent: 1.5, isAutomatic: true,
                setPoint: 1.02, band: 0.012)
            change(&$0)
        }
    }

    @Test func aBusbarOffByATapIsNamedWhereNothingRegulates() throws {
        var scene = LiveScene()
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        let solution = try scene.truth().solution
        scene.voltages = [("MV", solution.perUnit[1] - 0.004), ("A", solution.perUnit[2])]
        _ = try assessed(scene)
        scene.voltages = [("MV", solution.perUnit[1] - 0.025)]
        try expectUnknown(scene, LiveScene.takeOver, "VM-MV", "F1", "F2")
        // Phase to ground in the place of phase to phase.
        scene.voltages = [("C", solution.perUnit[4] / 3.0.squareRoot())]
        try expectUnknown(scene, LiveScene.takeOver, "VM-C", "F2")
        #expect(try scene.picture().contradictedFeeders == ["F2"])
    }

    @Test func tapsStandWhereMeasuredVoltagesPutThem() throws {
        var scene = LiveScene(regulated())
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        scene.tap = 3
        let truth = try scene.truth().solution
        // Three taps from where the control would be: in manual, or slow. Not where the model would have put it.
        scene.voltages = [("MV", truth.perUnit[1])]
        let verdict = try assessed(scene)
        let told = try #require(verdict.steps[0].maxVoltagePu)
        #expect(abs(told - truth.perUnit[1]) < 0.009)
        // No tap reaches that.
        scene.voltages = [("MV", 0.83)]
        try expectUnknown(scene, LiveScene.takeOver, "VM-MV")
        scene.voltages = [("MV", 0.58)]
        try expectUnknown(scene, LiveScene.takeOver, "VM-MV")
    }

    @Test func behindARegulatorVoltagesAreNotCompared() throws {
        var scene = LiveScene(without { $0.regulators = [.init(id: "R1", line: "L-A-B", mode: .bidirectional)] })
        scene.taken = ["A": (2000, 500), "B": (1500, 300), "C": (900, 250)]
        let solution = try scene.truth().solution
        scene.flows["RG-R1"] = .init()
        scene.voltages = [("B", solution.perUnit[3] + 0.05), ("A", solution.perUnit[2])]
        _ = try assessed(scene)
        scene.voltages = [("A", solution.perUnit[2] + 0.05)]
        try expectUnknown(scene, LiveScene.takeOver, "VM-A")
    }

    // MARK: No false alarms

    /// Whatever loads and PV do, true meters agree, and heads come out as measured.
    @Test func trueMetersNeverContradict() throws {
        var dice = Dice(state: 24_25_26)
        for round in 0..<60 {
            var scene = LiveScene(round % 2 == 0 ? metered() : regulated())
            for node in ["A", "B", "C"] {
                let watts = Double.random(in: 200...4000, using: &dice)
                scene.taken[node] = (watts, Double.random(in: -0.2...0.6, using: &dice) * watts)
            }
            scene.given["pv-1"] = .random(in: 0...2500, using: &dice)
            if round % 2 == 1 { scene.tap = .random(in: -2...2, using: &dice) }
            if round % 3 == 0 { scene.positions = ["TIE": .closed, "S-A": .open] }
            let truth = try scene.truth()
            scene.flows["TM-T1"] = truth.flows["TM-T1"]
            for node in ["MV", "A", "B", "C"] {
                scene.voltages.append((node, truth.solution.perUnit[scene.network.nodes.firstIndex { $0.id == node }!]))
            }
            let picture = try scene.picture()
            #expect(picture.contradictions.isEmpty && picture.contradictedFeeders.isEmpty, "round \(round)")
            for (feeder, line) in [("F1", "L-MV-A"), ("F2", "L-MV-C")] {
                let told = try #require(picture.stages[0].activePowerW[picture.branches.firstIndex(of: line)!])
                #expect(abs(told - (truth.flows["FH-\(feeder)"]?.watts ?? 0)) < 5000, "round \(round)")
            }
        }
    }
}
