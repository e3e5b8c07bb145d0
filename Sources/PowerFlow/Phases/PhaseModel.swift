internal import GridModel

/// A network with its three phases each for itself: for poles that stand apart, and for laterals of one or two phases.
///
/// Loads and DER are connected between phase and ground, in equal parts on the phases of their node. Those on a phase that
/// is interrupted are gone; those behind a delta winding that lacks a phase are taken as impedances, because what they do
/// at half the voltage is no constant power.
struct PhaseModel: ~Copyable {
    /// Switches whose poles may stand apart, by their place.
    let poles: Set<Int>
    private let network: Network
    /// Nodes and elements that are the caller's: after them stand those between a pole switch and its branch.
    private let nodeCount: Int
    private let plan: EnginePlan
    private let trace: PhaseTrace
    private let present: [Phases]
    private let results: PhaseResults
    private var engine: EngineModel?

    /// - Throws: ``PowerFlowError/Code/missingData`` with what the phases need and the network does not have.
    init(_ network: Network, poles: Set<Int>) throws(PowerFlowError) {
        try Self.require(network)
        let ordered = poles.sorted()
        let expanded = Self.expanded(network, ordered)
        let nodeIndex = Dictionary(
            expanded.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let plan = try EnginePlan(expanded, poleSwitches: ordered)
        self.poles = poles
        self.network = expanded
        nodeCount = network.nodes.count
        self.plan = plan
        trace = PhaseTrace(expanded, nodeIndex)
        present = expanded.nodes.map { node in
            let phases = Phases(letters: node.phases ?? "")
            return phases.isEmpty ? .all : phases
        }
        results = PhaseResults(expanded, plan, nodeIndex, visibleNodes: network.nodes.count)
        engine = nil
    }

    mutating func solve(_ given: FlowState) throws(PowerFlowError) -> FlowSolution {
        var state = given
        let added = [Double](repeating: 0, count: network.nodes.count - nodeCount)
        state.watts += added
        state.vars += added
        let whole = trace.whole(state)
        if engine == nil { engine = try EngineModel(plan.tables, frequency: network.nominalFrequency) }
        do throws(PowerFlowError) {
            let update = plan.update(state, loads: loads(state, whole))
            try engine?.update(update)
            results.clear()
            try engine?.calculate(.loadFlowByPhase, into: results.tables)
        } catch {
            engine = nil
            throw error
        }
        return try results.solution(whole: whole, present: present)
    }

    private func loads(_ state: FlowState, _ whole: [Phases]) -> (watts: [PhaseTriple], vars: [PhaseTriple]) {
        let nothing = [PhaseTriple](repeating: .init(a: 0, b: 0, c: 0), count: 2 * network.nodes.count)
        var (watts, vars) = (nothing, nothing)
        for node in network.nodes.indices {
            let phases = present[node]
            // Where no phase is whole the engine finds the node dead, or behind a winding that lacks one.
            let isImpedance = whole[node].isEmpty
            let fed = isImpedance ? phases : phases.intersection(whole[node])
            let place = isImpedance ? network.nodes.count + node : node
            func part(_ total: Double, _ phase: Phases) -> Double {
                fed.contains(phase) ? total / Double(phases.count) : 0
            }
            func parts(_ total: Double) -> PhaseTriple {
                PhaseTriple(a: part(total, .a), b: part(total, .b), c: part(total, .c))
            }
            watts[place] = parts(state.watts[node])
            vars[place] = parts(state.vars[node])
        }
        return (watts, vars)
    }

    /// Every switch of `poles` as one between two nodes: those at the end of a branch get a node of their own between.
    private static func expanded(_ network: Network, _ poles: [Int]) -> Network {
        var network = network
        for number in poles where network.switches[number].connects != .bus {
            let item = network.switches[number]
            guard let node = network.nodes.first(where: { $0.id == item.node }) else { continue }
            var between = node
            // No name of a network has a line break in it.
            between.id = "\(item.id)\n"
            network.nodes.append(between)
            switch item.connects {
            case .line:
                for place in network.lines.indices where network.lines[place].id == item.element {
                    if network.lines[place].from == item.node {
                        network.lines[place].from = between.id
                    } else {
                        network.lines[place].to = between.id
                    }
                }
            case .transformer:
                for place in network.transformers.indices where network.transformers[place].id == item.element {
                    if network.transformers[place].highNode == item.node {
                        network.transformers[place].highNode = between.id
                    } else {
                        network.transformers[place].lowNode = between.id
                    }
                }
            case .bus: break
            }
            for other in network.switches.indices
            where other != number && network.switches[other].connects == item.connects
                && network.switches[other].element == item.element && network.switches[other].node == item.node
            {
                network.switches[other].node = between.id
            }
            network.switches[number].connects = .bus
            network.switches[number].element = between.id
        }
        return network
    }

    /// What goes to ground must be known, and loads must go there.
    private static func require(_ network: Network) throws(PowerFlowError) {
        var missing: [String] = []
        func need(_ what: String, of ids: [String]) {
            guard let first = ids.first else { return }
            missing.append("\(what) of \(first)\(ids.count > 1 ? " and \(ids.count - 1) more" : "")")
        }
        need(
            "r0_ohm and x0_ohm",
            of: network.lines.filter { $0.zeroResistance == nil || $0.zeroReactance == nil }.map(\.id))
        need("windings", of: network.transformers.filter { $0.vectorGroup == nil }.map(\.id))
        let volts = Dictionary(network.nodes.map { ($0.id, $0.nominalKilovolts) }, uniquingKeysWith: { a, _ in a })
        need(
            "a grounded neutral (loads lie between phases otherwise, which is not solved)",
            of: network.transformers.filter { unit in
                volts[unit.lowNode] ?? 0 >= 1 && unit.neutral != .grounded
            }.map(\.id))
        guard missing.isEmpty else {
            throw PowerFlowError(.missingData, "load flow by phase", missing.joined(separator: "; "))
        }
    }
}
