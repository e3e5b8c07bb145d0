internal import GridModel

/// The columns that the engine writes a load flow into, and their meaning.
struct EngineResults {
    let tables: [EngineTable]
    private let energised: EngineColumn<Int8>
    private let perUnit, angle: EngineColumn<Double>
    private let line, transformer, link: Branches
    private let plan: EnginePlan
    private let lineCount, switchCount: Int

    private typealias Branches = BranchColumns<Double>

    private func flow(_ branches: Branches, _ place: Int) throws(PowerFlowError) -> BranchFlow {
        var flow = BranchFlow()
        flow.fromWatts = branches.fromWatts.values[place]
        flow.fromVars = branches.fromVars.values[place]
        flow.fromAmperes = branches.fromAmperes.values[place]
        flow.toWatts = branches.toWatts.values[place]
        flow.toVars = branches.toVars.values[place]
        flow.toAmperes = branches.toAmperes.values[place]
        guard flow.isFinite else {
            throw PowerFlowError(.notFinite, "load flow", "\(branches.component) \(place) has no finite flow")
        }
        return flow
    }

    init(_ network: Network, _ plan: EnginePlan) {
        self.plan = plan
        lineCount = network.lines.count
        switchCount = network.switches.count
        energised = EngineColumn(count: network.nodes.count)
        perUnit = EngineColumn(count: network.nodes.count)
        angle = EngineColumn(count: network.nodes.count)
        line = Branches("line", plan.lines.count)
        transformer = Branches("transformer", network.transformers.count)
        link = Branches("link", plan.shortLines.count + plan.busSwitches.count)
        let nodes = EngineTable(
            component: "node", count: network.nodes.count,
            columns: [.init("energized", energised), .init("u_pu", perUnit), .init("u_angle", angle)])
        tables = [nodes, line.table, transformer.table, link.table]
    }

    func clear() {
        energised.clear()
        perUnit.clear()
        angle.clear()
        for branches in [line, transformer, link] { branches.clear() }
    }

    func solution() throws(PowerFlowError) -> FlowSolution {
        guard perUnit.values.allSatisfy(\.isFinite), energised.values.allSatisfy({ $0 == 0 || $0 == 1 }) else {
            throw PowerFlowError(.notFinite, "load flow", "a voltage is no number")
        }
        var lines = Array(repeating: BranchFlow(), count: lineCount)
        for (place, number) in plan.lines.enumerated() { lines[number] = try flow(line, place) }
        for (place, number) in plan.shortLines.enumerated() { lines[number] = try flow(link, place) }
        var switches = Array(repeating: BranchFlow(), count: switchCount)
        for (place, number) in plan.busSwitches.enumerated() {
            switches[number] = try flow(link, plan.shortLines.count + place)
        }
        var transformers: [BranchFlow] = []
        for place in 0..<transformer.count { transformers.append(try flow(transformer, place)) }
        return FlowSolution(
            isEnergised: energised.values.map { $0 == 1 }, perUnit: Array(perUnit.values),
            degrees: angle.values.map { $0 * 180 / .pi }, lines: lines, transformers: transformers, switches: switches)
    }
}
