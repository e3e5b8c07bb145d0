internal import GridModel
internal import PowerFlow

/// C2, P1–P3, P5 and X1: what a switch interrupts, and what it joins.
enum SwitchChecks {
    /// Kinds that interrupt no load: disconnectors.
    private static let noLoadKinds: Set<String> = ["DS", "DISCONNECT"]

    static func run(_ context: CheckContext) -> [Finding] {
        context.simulation.transitions.flatMap { before, after -> [Finding] in
            guard let step = after.step, step.action.movesSwitch,
                let number = context.graph.switchIndex[step.element]
            else { return [] }
            return step.action == .open
                ? interrupts(context, before, step, number) : joins(context, before, after, step, number)
        }
    }

    private static func interrupts(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ step: SwitchingPlan.Step, _ number: Int
    ) -> [Finding] {
        let item = context.network.switches[number]
        guard noLoadKinds.contains(item.kind.uppercased()) else { return [] }
        var worst = (amperes: 0.0, loadCase: Finding.LoadCase.now)
        for loadCase in context.cases {
            guard let flow = before.flow(loadCase) else { continue }
            let amperes =
                switch item.connects {
                case .bus: flow.switches[number].amperes
                case .line:
                    context.network.lines.firstIndex { $0.id == item.element }.map { flow.lines[$0].amperes } ?? 0
                case .transformer:
                    context.network.transformers.firstIndex { $0.id == item.element }
                        .map { flow.transformers[$0].amperes } ?? 0
                }
            if amperes > worst.amperes { worst = (amperes, loadCase) }
        }
        guard worst.amperes > context.limits.noLoadAmperes + 1e-9 else { return [] }
        return [
            Finding(
                "C2", step: step.sequence, .blockHard, elements: [item.id], value: worst.amperes,
                limit: context.limits.noLoadAmperes, unit: "A", limitSource: "limits.no_load_a",
                loadCase: worst.loadCase,
                "Step \(step.sequence) opens \(item.id), a disconnector, under \(Say.amperes(worst.amperes)).",
                remedy: "Open a load-break switch or breaker in series first.")
        ]
    }

    private static func joins(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ after: PlanSimulation.Stage,
        _ step: SwitchingPlan.Step, _ number: Int
    ) -> [Finding] {
        guard let (a, b) = context.zones.joins(number, context.network, before.state.traced),
            before.topology.energised[a], before.topology.energised[b], before.state.positions[number] != .closed
        else { return [] }
        let limits = context.limits
        var findings = [
            Finding(
                "P5", step: step.sequence, .condition, elements: [step.element],
                "Step \(step.sequence) closes \(step.element) between two live parts.",
                remedy:
                    "Before it: tap changers and regulators of both sides to manual, sensitive earth-fault protection checked or blocked, reclosing off; open again within 10 minutes."
            )
        ]
        if after.topology.parallelSources > before.topology.parallelSources {
            findings.append(
                Finding(
                    "X1", step: step.sequence, .condition, elements: [step.element],
                    "Step \(step.sequence) connects two sources of the high-voltage system.",
                    remedy: "Tell the transmission operator; log name and time."))
        }
        if let (one, other) = shifts(context, before, a, b), abs(one - other) > 1e-6 {
            findings.append(
                Finding(
                    "P1", step: step.sequence, .blockHard, elements: [step.element], value: abs(one - other), limit: 0,
                    unit: "°", limitSource: "shift_degree of the transformers",
                    "\(step.element) would join parts whose transformers turn the phases by \(Say.degrees(one)) and \(Say.degrees(other)).",
                    remedy: "These can never run in parallel: open before closing."))
        }
        guard let flow = before.flow(.now) else {
            return findings + [
                Finding(
                    "P2", step: step.sequence, .unknown, elements: [step.element],
                    "The voltages on the two sides of \(step.element) are not known.",
                    remedy: "Measure them before closing.")
            ]
        }
        let voltage = abs(flow.perUnit[a] - flow.perUnit[b])
        let turn = abs(flow.degrees[a] - flow.degrees[b]).truncatingRemainder(dividingBy: 360)
        let angle = min(turn, 360 - turn)
        func judge(
            _ check: String, _ value: Double, _ condition: Double, _ maximum: Double, _ unit: String, _ setting: String,
            _ text: String
        ) {
            guard value > condition + 1e-9 else { return }
            let isOver = value > maximum + 1e-9
            findings.append(
                Finding(
                    check, step: step.sequence, isOver ? .blockSoft : .condition, elements: [step.element],
                    value: value,
                    limit: isOver ? maximum : condition, unit: unit, limitSource: "limits.\(setting)", loadCase: .now,
                    "Across \(step.element) there \(text) before step \(step.sequence).",
                    remedy: "Measure it before closing; bring it down, or open before closing."))
        }
        judge(
            "P2", voltage, limits.parallelVoltageCondition, limits.parallelVoltageMaximum, "pu", "parallel_voltage_pu",
            "is a difference of \(Say.perUnit(voltage))")
        judge(
            "P3", angle, limits.parallelAngleCondition, limits.parallelAngleMaximum, "°", "parallel_angle_deg",
            "are \(Say.degrees(angle))")
        return findings
    }

    /// Degrees by which transformers turn the phases between the sources and two live nodes, 0 to 360.
    private static func shifts(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ a: Int, _ b: Int
    ) -> (Double, Double)? {
        var turn: [Int: Double] = [:]
        var queue = context.graph.sources
        for source in queue { turn[source] = 0 }
        let conducts = context.graph.conducting(stage.state.traced)
        let units = Dictionary(
            context.network.transformers.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var edges: [Int: [(other: Int, shift: Double)]] = [:]
        for (edge, ends) in context.graph.edgeEnds.enumerated() where conducts[edge] {
            let (from, to) = (Int(ends.from), Int(ends.to))
            let shift = units[context.graph.edgeIDs[edge]]?.parameters["shift_degree"] ?? 0
            edges[from, default: []].append((to, shift))
            edges[to, default: []].append((from, -shift))
        }
        while let node = queue.popLast() {
            for (other, shift) in edges[node] ?? [] where turn[other] == nil {
                turn[other] = ((turn[node] ?? 0) + shift + 720).truncatingRemainder(dividingBy: 360)
                queue.append(other)
            }
        }
        guard let one = turn[a], let other = turn[b] else { return nil }
        return (one, other)
    }
}
