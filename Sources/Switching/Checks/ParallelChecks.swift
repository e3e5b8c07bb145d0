internal import Foundation
internal import GridModel
internal import PowerFlow

/// P1–P5 and X1: what a switch joins when it closes between two live parts.
enum ParallelChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        context.simulation.transitions.flatMap { before, after -> [Finding] in
            guard let step = after.step, step.action == .close, let number = context.graph.switchIndex[step.element]
            else { return [] }
            return joins(context, before, after, step, number)
        }
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
        return findings + circulation(context, before, flow, step, number, a, b)
    }

    /// P4: load, and the current that the difference of voltage drives around the loop, in every line and device of it.
    private static func circulation(
        _ context: CheckContext, _ before: PlanSimulation.Stage, _ flow: FlowSolution, _ step: SwitchingPlan.Step,
        _ number: Int, _ a: Int, _ b: Int
    ) -> [Finding] {
        let network = context.network
        let kilovolts = network.nodes[a].nominalKilovolts
        guard let loop = SourceLoop(context, before, a, b), let edge = context.graph.edge(ofSwitch: number) else {
            return []
        }
        var ohms = loop.ohms(kilovolts)
        if edge < network.lines.count {
            ohms = (ohms.r + network.lines[edge].resistance, ohms.x + network.lines[edge].reactance)
        }
        let size = (ohms.r * ohms.r + ohms.x * ohms.x).squareRoot()
        guard size > 1e-9 else { return [] }
        func phasor(_ node: Int) -> (re: Double, im: Double) {
            let angle = flow.degrees[node] * .pi / 180
            return (flow.perUnit[node] * cos(angle), flow.perUnit[node] * sin(angle))
        }
        let (one, other) = (phasor(a), phasor(b))
        let difference = hypot(one.re - other.re, one.im - other.im)
        let circulating = difference * kilovolts * 1000 / 3.0.squareRoot() / size
        var worst: (id: String, amperes: Double, limit: Double, source: String)?
        func weigh(_ id: String, _ amperes: Double, _ limit: Double, _ source: String) {
            guard limit > 0, amperes > limit + 1e-9, amperes / limit > (worst.map { $0.amperes / $0.limit } ?? 0) else {
                return
            }
            worst = (id, amperes, limit, source)
        }
        for place in loop.edges where place < network.lines.count {
            let line = network.lines[place]
            let scale =
                kilovolts / (context.graph.nodeIndex[line.from].map { network.nodes[$0].nominalKilovolts } ?? kilovolts)
            let amperes = flow.lines[place].amperes + circulating * scale
            weigh(
                line.id, amperes, line.emergencyAmperes ?? line.ratedAmperes * context.limits.lineEmergency / 100,
                "limits.line_emergency_pct")
        }
        for (device, item) in network.switches.enumerated() {
            guard let relay = item.relay, let own = context.graph.edge(ofSwitch: device), loop.edges.contains(own)
            else {
                continue
            }
            let level = context.graph.nodeIndex[item.node].map { network.nodes[$0].nominalKilovolts } ?? kilovolts
            weigh(
                item.id, context.amperes(through: device, flow) + circulating * kilovolts / level,
                relay.phasePickup * context.limits.parallelPickup / 100, "limits.parallel_pickup_pct")
        }
        guard let worst else { return [] }
        return [
            Finding(
                "P4", step: step.sequence, .blockSoft, elements: [worst.id, step.element], value: circulating,
                limit: max(0, worst.limit - (worst.amperes - circulating)), unit: "A", limitSource: worst.source,
                loadCase: .now,
                "Closing \(step.element) drives \(Say.amperes(circulating)) around the loop: \(worst.id) would carry up to \(Say.amperes(worst.amperes)) of \(Say.amperes(worst.limit)).",
                remedy: "Bring the voltages together first, or open before closing.")
        ]
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

/// The way from one live node over the sources to another, and its impedance.
private struct SourceLoop {
    /// Edges on it.
    let edges: Set<Int>
    private let network: Network
    private let graph: NetworkGraph
    /// Sources between which it goes; none when both nodes have the same.
    private let sources: [Int]

    init?(_ context: CheckContext, _ stage: PlanSimulation.Stage, _ a: Int, _ b: Int) {
        (network, graph) = (context.network, context.graph)
        let zones = ProtectionZones(network, graph, stage.state.traced)
        func way(_ node: Int) -> (edges: [Int], source: Int) {
            var (edges, at) = ([Int](), node)
            while zones.parentEdge[at] >= 0 {
                edges.append(zones.parentEdge[at])
                at = zones.parentNode[at]
            }
            return (edges, at)
        }
        let (one, other) = (way(a), way(b))
        // What both ways share carries nothing.
        edges = Set(one.edges).symmetricDifference(other.edges)
        sources = one.source == other.source ? [] : [one.source, other.source]
    }

    /// Seen from a voltage level.
    func ohms(_ kilovolts: Double) -> (r: Double, x: Double) {
        var total = (r: 0.0, x: 0.0)
        for edge in edges {
            if edge < network.lines.count {
                let line = network.lines[edge]
                let level = graph.nodeIndex[line.from].map { network.nodes[$0].nominalKilovolts } ?? kilovolts
                let scale = kilovolts * kilovolts / (level * level)
                total = (total.r + line.resistance * scale, total.x + line.reactance * scale)
            } else if edge - network.lines.count < network.transformers.count {
                let unit = network.transformers[edge - network.lines.count]
                let base = kilovolts * kilovolts * 1000 / (unit.ratedKVA * max(1, unit.parameters["parallel"] ?? 1))
                let (size, real) = (
                    (unit.parameters["vk_percent"] ?? 0) / 100 * base,
                    (unit.parameters["vkr_percent"] ?? 0) / 100 * base
                )
                total = (total.r + real, total.x + max(0, size * size - real * real).squareRoot())
            }
        }
        for node in sources {
            let power = network.sources.first { graph.nodeIndex[$0.node] == node }?.shortCircuitMVA
            if let power { total.x += kilovolts * kilovolts / power }
        }
        return total
    }
}
