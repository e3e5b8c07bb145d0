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
        switch shifts(context, before, a, b) {
        case .same: break
        case .notKnown(let units):
            let isOfAll = context.network.transformers.allSatisfy { $0.turn == nil }
            findings.append(
                isOfAll
                    ? DataNeeds.finding(
                        .init(check: "P1", reason: "not in the network's data: shift_degree of transformers"), limits)
                    : Finding(
                        "P1", step: step.sequence, .unknown, elements: [step.element] + units,
                        limitSource: "shift_degree of the transformers",
                        "By how much \(Say.list(units)) \(units.count == 1 ? "turns" : "turn") the phases, which \(step.element) would join to others, is not known.",
                        remedy: "Enter shift_degree of the transformers in the network."))
        case .differ(let one, let other):
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
        guard let loop = SourceLoop(context, before, a, b), let edge = context.graph.edge(ofSwitch: number),
            var ohms = loop.ohms(kilovolts)
        else { return [] }
        if edge < network.lines.count {
            guard let r = network.lines[edge].resistance, let x = network.lines[edge].reactance else { return [] }
            ohms = (ohms.r + r, ohms.x + x)
        }
        let size = (ohms.r * ohms.r + ohms.x * ohms.x).squareRoot()
        guard size > 1e-9 else { return [] }
        // Beside lines with a rating, those of the loop that have none; where no line has one, H1 says so.
        let unrated = loop.edges.filter { $0 < network.lines.count }.map { network.lines[$0] }
            .filter { $0.ratedAmperes == nil && $0.emergencyAmperes == nil && context.loading.isJudged($0) }.map(\.id)
        let hasRatings = network.lines.contains { $0.ratedAmperes != nil }
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
            let limit =
                line.emergencyAmperes ?? line.ratedAmperes.map { $0 * context.limits.lineEmergency / 100 }
            if let limit { weigh(line.id, amperes, limit, "limits.line_emergency_pct") }
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
        var unknown: [Finding] = []
        if hasRatings, !unrated.isEmpty {
            unknown.append(
                Finding(
                    "P4", step: step.sequence, .unknown, elements: unrated.sorted() + [step.element],
                    limitSource: "max_i_a of the line", loadCase: .now,
                    "What \(Say.list(unrated.sorted())) may carry is not known; closing \(step.element) drives \(Say.amperes(circulating)) around the loop.",
                    remedy: "Enter max_i_a of the line in the network."))
        }
        guard let worst else { return unknown }
        return unknown + [
            Finding(
                "P4", step: step.sequence, .blockSoft, elements: [worst.id, step.element], value: circulating,
                limit: max(0, worst.limit - (worst.amperes - circulating)), unit: "A", limitSource: worst.source,
                loadCase: .now,
                "Closing \(step.element) drives \(Say.amperes(circulating)) around the loop: \(worst.id) would carry up to \(Say.amperes(worst.amperes)) of \(Say.amperes(worst.limit)).",
                remedy: "Bring the voltages together first, or open before closing.")
        ]
    }

    private enum Shifts {
        case same
        case differ(Double, Double)
        /// The transformers that do not say.
        case notKnown([String])
    }

    /// By how many degrees transformers turn the phases between the sources and two live nodes, 0 to 360. A transformer that
    /// is on the way to both turns both alike.
    private static func shifts(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ a: Int, _ b: Int
    ) -> Shifts {
        let network = context.network
        let lines = network.lines.count
        let conducts = context.graph.conducting(stage.state.traced)
        var way: [Int: (from: Int, unit: Int?, isDown: Bool)] = [:]
        var (queue, head) = (context.graph.sources, 0)
        var seen = Set(queue)
        while head < queue.count {
            let node = queue[head]
            head += 1
            for (other, edge) in context.graph.neighbours(of: node) where conducts[edge] && seen.insert(other).inserted
            {
                let unit = edge >= lines && edge - lines < network.transformers.count ? edge - lines : nil
                way[other] = (node, unit, Int(context.graph.edgeEnds[edge].from) == node)
                queue.append(other)
            }
        }
        guard seen.contains(a), seen.contains(b) else { return .same }
        func units(_ node: Int) -> [Int: Bool] {
            var (at, found) = (node, [Int: Bool]())
            while let step = way[at] {
                if let unit = step.unit { found[unit] = step.isDown }
                at = step.from
            }
            return found
        }
        let (one, other) = (units(a), units(b))
        let unknown = Set(one.keys).symmetricDifference(other.keys)
            .filter { network.transformers[$0].turn == nil }.map { network.transformers[$0].id }.sorted()
        guard unknown.isEmpty else { return .notKnown(unknown) }
        func turn(_ units: [Int: Bool]) -> Double {
            let sum = units.reduce(0.0) { sum, item in
                // Known, or shared: then it turns both sides.
                let shift = network.transformers[item.key].turn ?? 0
                return sum + (item.value ? shift : -shift)
            }
            let rest = sum.truncatingRemainder(dividingBy: 360)
            return rest < 0 ? rest + 360 : rest
        }
        let (left, right) = (turn(one), turn(other))
        let apart = abs(left - right)
        return min(apart, 360 - apart) > 1e-6 ? .differ(left, right) : .same
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

    /// Seen from a voltage level; `nil`: something on it is not known.
    func ohms(_ kilovolts: Double) -> (r: Double, x: Double)? {
        var total = (r: 0.0, x: 0.0)
        for edge in edges {
            if edge < network.lines.count {
                let line = network.lines[edge]
                guard let r = line.resistance, let x = line.reactance else { return nil }
                let level = graph.nodeIndex[line.from].map { network.nodes[$0].nominalKilovolts } ?? kilovolts
                let scale = kilovolts * kilovolts / (level * level)
                total = (total.r + r * scale, total.x + x * scale)
            } else if edge - network.lines.count < network.transformers.count {
                let unit = network.transformers[edge - network.lines.count]
                guard let impedance = unit.impedancePercent, let resistance = unit.resistancePercent else { return nil }
                let base = kilovolts * kilovolts * 1000 / (unit.ratedKVA * Double(unit.parallelUnits ?? 1))
                let (size, real) = (impedance / 100 * base, resistance / 100 * base)
                total = (total.r + real, total.x + max(0, size * size - real * real).squareRoot())
            }
        }
        for node in sources {
            // A source whose short-circuit power is not known adds nothing: the current comes out larger.
            let power = network.sources.first { graph.nodeIndex[$0.node] == node }?.shortCircuitMVA
            if let power { total.x += kilovolts * kilovolts / power }
        }
        return total
    }
}
