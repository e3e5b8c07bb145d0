internal import Foundation
internal import GridModel

/// The columns that the engine writes a load flow by phase into, and their meaning.
struct PhaseResults {
    let tables: [EngineTable]
    private let energised: EngineColumn<Int8>
    private let perUnit, angle: EngineColumn<PhaseTriple>
    private let line, transformer, link, pole: Branches
    private let plan: EnginePlan
    private let network: Network
    private let nodeIndex: [String: Int]
    private let visibleNodes: Int

    private typealias Branches = BranchColumns<PhaseTriple>

    /// Sums of power, the largest of the currents.
    ///
    /// - Parameter places: of this component that are one branch, beside each other.
    private func flow(_ branches: Branches, _ places: some Collection<Int>) throws(PowerFlowError) -> BranchFlow {
        func each(_ column: EngineColumn<PhaseTriple>) -> [Double] {
            (0..<3).map { phase in places.reduce(0) { $0 + column.values[$1].list[phase] } }
        }
        var flow = BranchFlow()
        flow.fromWatts = each(branches.fromWatts).reduce(0, +)
        flow.fromVars = each(branches.fromVars).reduce(0, +)
        flow.fromAmperes = each(branches.fromAmperes).max() ?? 0
        flow.toWatts = each(branches.toWatts).reduce(0, +)
        flow.toVars = each(branches.toVars).reduce(0, +)
        flow.toAmperes = each(branches.toAmperes).max() ?? 0
        guard flow.isFinite else {
            throw PowerFlowError(.notFinite, "load flow by phase", "\(branches.component) has no finite flow")
        }
        return flow
    }

    init(_ network: Network, _ plan: EnginePlan, _ nodeIndex: [String: Int], visibleNodes: Int) {
        self.network = network
        self.plan = plan
        self.nodeIndex = nodeIndex
        self.visibleNodes = visibleNodes
        energised = EngineColumn(count: network.nodes.count)
        perUnit = EngineColumn(count: network.nodes.count)
        angle = EngineColumn(count: network.nodes.count)
        line = Branches("line", plan.lines.count)
        transformer = Branches("transformer", network.transformers.count)
        link = Branches("link", plan.shortLines.count + plan.busSwitches.count)
        pole = Branches("asym_line", 3 * (plan.poleSwitches?.count ?? 0))
        let nodes = EngineTable(
            component: "node", count: network.nodes.count,
            columns: [.init("energized", energised), .init("u_pu", perUnit), .init("u_angle", angle)])
        tables = [nodes, line.table, transformer.table, link.table, pole.table]
    }

    func clear() {
        energised.clear()
        perUnit.clear()
        angle.clear()
        for branches in [line, transformer, link, pole] { branches.clear() }
    }

    func solution(whole: [Phases], present: [Phases]) throws(PowerFlowError) -> FlowSolution {
        guard perUnit.values.allSatisfy({ $0.list.allSatisfy(\.isFinite) }),
            energised.values.allSatisfy({ $0 == 0 || $0 == 1 })
        else {
            throw PowerFlowError(.notFinite, "load flow by phase", "a voltage is no number")
        }
        let nothing = { (count: Int) in [Double](repeating: 0, count: count) }
        var detail = PhaseDetail(
            whole: Array(whole.prefix(visibleNodes)),
            present: Array(present.prefix(visibleNodes)), perUnit: perUnit.values.prefix(visibleNodes).map(\.list),
            lineResidual: nothing(network.lines.count), transformerResidual: nothing(network.transformers.count),
            switchResidual: nothing(network.switches.count))
        var lines = Array(repeating: BranchFlow(), count: network.lines.count)
        for (place, number) in plan.lines.enumerated() {
            lines[number] = try flow(line, [place])
            detail.lineResidual[number] = residual(line, [place], network.lines[number].from)
        }
        for (place, number) in plan.shortLines.enumerated() {
            lines[number] = try flow(link, [place])
            detail.lineResidual[number] = residual(link, [place], network.lines[number].from)
        }
        var switches = Array(repeating: BranchFlow(), count: network.switches.count)
        for (place, number) in plan.busSwitches.enumerated() {
            let here = [plan.shortLines.count + place]
            switches[number] = try flow(link, here)
            detail.switchResidual[number] = residual(link, here, network.switches[number].node)
        }
        for (place, number) in (plan.poleSwitches ?? []).enumerated() {
            let here = [3 * place, 3 * place + 1, 3 * place + 2]
            switches[number] = try flow(pole, here)
            detail.switchResidual[number] = residual(pole, here, network.switches[number].node)
        }
        var transformers: [BranchFlow] = []
        for (place, unit) in network.transformers.enumerated() {
            transformers.append(try flow(transformer, [place]))
            detail.transformerResidual[place] = residual(transformer, [place], unit.highNode)
        }
        let live = (0..<visibleNodes).map { energised.values[$0] == 0 ? [] : detail.live($0) }
        let means = live.enumerated().map { node, phases in
            phases.reduce(0) { $0 + detail.perUnit[node][$1] } / Double(max(1, phases.count))
        }
        let degrees = live.enumerated().map { node, phases in
            // As if of phase A, whichever is there.
            phases.first.map { (angle.values[node].list[$0] * 180 / .pi) + [0, 120, 240][$0] } ?? 0
        }
        return FlowSolution(
            isEnergised: live.map { !$0.isEmpty }, perUnit: means, degrees: degrees, lines: lines,
            transformers: transformers, switches: switches, phases: detail)
    }

    /// A, magnitude of the sum of the three currents that enter a branch: I = conj(S / U) of each phase.
    private func residual(_ branches: Branches, _ places: [Int], _ node: String) -> Double {
        guard let node = nodeIndex[node] else { return 0 }
        let volts = network.nodes[node].nominalKilovolts * 1000 / 3.0.squareRoot()
        var (real, imaginary) = (0.0, 0.0)
        for phase in 0..<3 {
            let magnitude = perUnit.values[node].list[phase] * volts
            // What has no voltage gives no current by its power; the engine's currents there are those of 1 MΩ.
            guard magnitude > 0.01 * volts else { continue }
            let (watts, vars) = places.reduce((0.0, 0.0)) {
                (
                    $0.0 + branches.fromWatts.values[$1].list[phase], $0.1 + branches.fromVars.values[$1].list[phase]
                )
            }
            let (size, turn) = (hypot(watts, vars) / magnitude, angle.values[node].list[phase] - atan2(vars, watts))
            real += size * cos(turn)
            imaginary += size * sin(turn)
        }
        return hypot(real, imaginary)
    }
}
