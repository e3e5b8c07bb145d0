internal import Foundation
internal import GridModel
internal import PowerFlow
internal import ServiceKit
internal import Switching

/// What a verdict costs: one load flow of a changed state by size of the network, and whole plans.
enum ValidateBench {
    /// - Parameter python: one with pandapower, to compare with.
    static func run(python: String?) throws -> BenchResult {
        var result = BenchResult()
        for count in [100, 1000, 10_000] {
            let network = network(nodes: count)
            var model = try FlowModel(network)
            let states = states(network, count: 50)
            var (times, lowest) = ([Double](), [Double]())
            for (round, state) in states.enumerated() {
                let started = SystemClock.monotonicNanoseconds
                let solution = try model.solve(state)
                lowest.append(zip(solution.perUnit, solution.isEnergised).filter(\.1).map(\.0).min() ?? .nan)
                if round >= 5 { times.append(Double(SystemClock.monotonicNanoseconds - started) / 1e6) }
            }
            times.sort()
            result.figures.append(
                ("what-if, \(count) nodes, median of \(times.count), ms", text(times[times.count / 2])))
            guard let python else { continue }
            let peer = try PandapowerPeer(python: python).run(network, states)
            let theirs = peer.ms.dropFirst(5).sorted()
            result.figures.append(
                (
                    "the same in pandapower \(peer.version)\(peer.numba ? " with Numba" : ""), ms",
                    text(theirs[theirs.count / 2])
                ))
            let apart = zip(lowest, peer.lowest).map { abs($0 - $1) }.max() ?? .nan
            result.figures.append(("lowest voltages of all states apart at most, pu", text(apart)))
        }

        let network = network(nodes: 1000)
        let base = states(network, count: 1)[0]
        let (plan, snapshot) = (plan(network, steps: 20), snapshot(network, base, quarters: 96))
        let (plain, verdict) = time(network, plan, snapshot)
        result.figures.append(
            ("verdict, 1000 nodes, 20 steps, 3 cases, 24 h of the final state, median of 3, s", text(plain)))
        result.figures.append(("its states", "\(verdict.steps.count)"))
        // Live, loads are estimated from the heads, and the network of now is solved and compared first.
        var measured = snapshot
        measured.measured = try measurements(network, base)
        let (live, compared) = time(network, plan, measured)
        result.figures.append(("the same on measured heads, s", text(live)))
        result.figures.append(
            ("heads that contradict it", "\(compared.findings.filter { $0.check == "X2" }.count)"))
        let (guarded, judged) = time(protected(network), plan, snapshot)
        result.figures.append(("the same with relays on every tenth section, s", text(guarded)))
        result.figures.append(
            ("its findings about protection", "\(judged.findings.filter { $0.check.hasPrefix("R") }.count)"))

        // Every state of the plan at every quarter hour in every case, which is more than a verdict asks for.
        let before = residentMB
        let started = SystemClock.monotonicNanoseconds
        let solved = Guarded(0)
        let problem = Guarded<PowerFlowError?>(nil)
        let workers = (0..<2).map { half in
            // A model is one thread's.
            WorkerThread(name: "bench.\(half)") {
                do throws(PowerFlowError) {
                    let count = try sweep(network, base, steps: Array(stride(from: half, to: 20, by: 2)))
                    solved.withLock { $0 += count }
                } catch {
                    problem.withLock { $0 = error }
                }
            }
        }
        for worker in workers { worker.join() }
        if let problem = problem.withLock({ $0 }) { throw problem }
        result.figures.append(
            (
                "\(solved.withLock { $0 }) load flows of 1000 nodes on two threads, s",
                text(Double(SystemClock.monotonicNanoseconds - started) / 1e9)
            ))
        result.figures.append(("memory they added, MB", "\(max(0, residentMB - before))"))
        return result
    }

    /// Seconds of a verdict, the median of three, and the last of them.
    private static func time(
        _ network: Network, _ plan: SwitchingPlan, _ snapshot: GridSnapshot
    ) -> (seconds: Double, verdict: Verdict) {
        let validator = PlanValidator(network, limits: SwitchingLimits(), software: "bench")
        var verdict = validator.validate(plan, snapshot)
        let seconds = (0..<3).map { _ in
            let started = SystemClock.monotonicNanoseconds
            verdict = validator.validate(plan, snapshot)
            return Double(SystemClock.monotonicNanoseconds - started) / 1e9
        }
        return (seconds.sorted()[1], verdict)
    }

    /// With the data that the checks of protection need: relays at the heads and along the feeders, zero sequence.
    private static func protected(_ network: Network) -> Network {
        var network = network
        for place in network.lines.indices {
            network.lines[place].zeroResistance = network.lines[place].resistance.map { 3 * $0 }
            network.lines[place].zeroReactance = network.lines[place].reactance.map { 3 * $0 }
        }
        // Ten feeders: a hundred switches are ten sections of each.
        for place in network.switches.indices where network.switches[place].connects == .line && place % 100 < 10 {
            let depth = Double(place / 100)
            network.switches[place].relay = .init(
                phasePickup: 600 - 40 * depth, groundPickup: 200 - 15 * depth, curve: .veryInverse,
                timeDial: 5 - 0.4 * depth)
        }
        return network
    }

    /// Heads as they are in a state.
    private static func measurements(_ network: Network, _ state: FlowState) throws -> LiveMeasurements {
        var model = try FlowModel(network)
        let solution = try model.solve(state)
        let graph = NetworkGraph(network)
        let points = MeasuringPoints(
            network, graph, DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: graph)))
        let heads = FeederHeads(network)
        return LiveMeasurements(
            points: points,
            flows: network.feeders.indices.map { feeder in
                let flow = heads.flow(feeder, solution)
                return .init(watts: flow?.watts, vars: flow?.vars, amperes: flow?.amperes)
            }, voltages: [.init(device: "VM-B", node: 0, perUnit: solution.perUnit[0])], ders: [],
            concerned: Set(network.feeders.map(\.id)), tolerance: .init())
    }

    private static func sweep(
        _ network: Network, _ base: FlowState, steps: [Int]
    ) throws(PowerFlowError) -> Int {
        var model = try FlowModel(network)
        var solved = 0
        for step in steps {
            for quarter in 0..<96 {
                for share in [1.0, 1.2, 0.35] {
                    var state = base
                    state.isClosed[step * 7 % state.isClosed.count] = false
                    for node in state.watts.indices {
                        state.watts[node] *= share * (0.6 + 0.4 * Double(quarter) / 95)
                    }
                    _ = try model.solve(state)
                    solved += 1
                }
            }
        }
        return solved
    }

    /// Ten feeders as chains from one busbar, every section with a switch, neighbours joined by open ties.
    private static func network(nodes count: Int) -> Network {
        var network = Network(id: "validate")
        network.nodes = [.init(id: "B", nominalKilovolts: 20, kind: "mv_busbar", substation: "S")]
        network.sources = [.init(id: "SRC", node: "B", voltagePerUnit: 1, isStiff: true)]
        for number in 1..<count {
            let parent = number <= 10 ? "B" : "N\(number - 10)"
            network.nodes.append(.init(id: "N\(number)", nominalKilovolts: 20, kind: "mv_node"))
            // As long in all, however many sections.
            let share = 100.0 / Double(count)
            network.lines.append(
                .init(
                    id: "L\(number)", from: parent, to: "N\(number)", resistance: 0.1 * share, reactance: 0.05 * share,
                    capacitance: 10, ratedAmperes: 300))
            network.switches.append(.init(id: "S\(number)", connects: .line, node: parent, element: "L\(number)"))
            if number <= 10 {
                network.feeders.append(.init(id: "F\(number)", busbar: "B", headLine: "L\(number)", ratedAmperes: 300))
            }
            network.loads.append(
                .init(id: "D\(number)", node: "N\(number)", kilowatts: 20_000 / Double(count), customers: 1))
        }
        for feeder in stride(from: 0, to: 10, by: 2) {
            let (a, b) = (count - 10 + feeder, count - 9 + feeder)
            network.switches.append(
                .init(
                    id: "T\(feeder)", connects: .bus, node: "N\(min(a, count - 1))",
                    element: "N\(min(b, count - 1) - (b >= count ? 10 : 0))", normalPosition: .open))
        }
        return network
    }

    private static func states(_ network: Network, count: Int) -> [FlowState] {
        (0..<count).map { round in
            var closed = network.switches.map { $0.normalPosition == .closed }
            if round > 0 { closed[(round * 37) % (network.nodes.count - 1)] = false }
            return FlowState(
                isClosed: closed, taps: [], watts: [0] + network.loads.map { $0.kilowatts * 1000 },
                vars: Array(repeating: 0, count: network.nodes.count))
        }
    }

    /// Transfers between neighbours, there and back.
    private static func plan(_ network: Network, steps count: Int) -> SwitchingPlan {
        let ties = network.switches.filter { $0.connects == .bus }
        let steps = (0..<count).map { number -> SwitchingPlan.Step in
            let tie = ties[number / 4 % ties.count]
            let section = "S\(tie.node.dropFirst())"
            let moves: [(SwitchingPlan.Action, String)] = [
                (.close, tie.id), (.open, section), (.close, section), (.open, tie.id),
            ]
            return .init(sequence: number + 1, action: moves[number % 4].0, element: moves[number % 4].1)
        }
        return .init(
            id: "bench", kind: .loadTransfer, holdHours: 24, policy: .init(allowTransientLoop: true), steps: steps)
    }

    private static func snapshot(_ network: Network, _ state: FlowState, quarters: Int) -> GridSnapshot {
        var snapshot = GridSnapshot(
            time: Timestamp(microseconds: 0), networkRevision: "bench",
            positions: network.switches.map(\.normalPosition), taps: [], loadWatts: state.watts, loadVars: state.vars,
            derWatts: [], derVars: state.vars)
        snapshot.outlook = (1...quarters).map { quarter in
            .init(
                time: Timestamp(microseconds: Int64(quarter) * 900_000_000),
                watts: state.watts.map { $0 * (0.6 + 0.4 * Double(quarter) / Double(quarters)) }, vars: state.vars)
        }
        return snapshot
    }

    private static var residentMB: Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 1024
    }

    private static func text(_ value: Double) -> String { String(format: "%.3g", value) }
}
