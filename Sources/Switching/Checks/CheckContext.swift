internal import Foundation
internal import GridModel
internal import PowerFlow

/// What every check looks at: one order of a plan's steps, played through.
struct CheckContext {
    let network: Network
    let graph: NetworkGraph
    let zones: Zones
    let heads: FeederHeads
    let loading: BranchLoading
    let limits: SwitchingLimits
    let plan: SwitchingPlan
    let snapshot: GridSnapshot
    let injections: Injections
    let cases: [Finding.LoadCase]
    let simulation: PlanSimulation
    /// The final state, later; and what the network would be then without the plan (`nil`: nothing is beyond a limit
    /// then, or it has no solution).
    let outlook: [(time: Timestamp, flow: Result<FlowSolution, PowerFlowError>, before: FlowSolution?)]
    /// Parts that come back after an outage.
    let coldLoads: [ColdLoad]
    /// `nil`: protection is left out.
    let faults: FaultStudy?
    let customers: [Customers]

    /// A, through a switch.
    func amperes(through number: Int, _ flow: FlowSolution) -> Double { branch(of: number, flow).amperes }

    /// What flows in a switch: that of its line or transformer, or its own.
    func branch(of number: Int, _ flow: FlowSolution) -> BranchFlow {
        guard network.switches[number].connects != .bus else { return flow.switches[number] }
        guard let edge = graph.edge(ofSwitch: number) else { return BranchFlow() }
        return edge < network.lines.count ? flow.lines[edge] : flow.transformers[edge - network.lines.count]
    }

    /// A, that the three phases do not balance in a switch; `nil`: they are alike.
    func residual(through number: Int, _ flow: FlowSolution) -> Double? {
        guard let phases = flow.phases else { return nil }
        guard network.switches[number].connects != .bus else { return phases.switchResidual[number] }
        guard let edge = graph.edge(ofSwitch: number) else { return nil }
        let lines = network.lines.count
        return edge < lines ? phases.lineResidual[edge] : phases.transformerResidual[edge - lines]
    }

    /// The step moves some poles of a switch, and leaves others.
    func isOfSinglePoles(_ step: SwitchingPlan.Step, _ number: Int) -> Bool {
        !step.poles.isSuperset(of: graph.switchPoles[number])
    }

    /// Feeders that the plan touches, as switched before it.
    var feeders: Set<String> { zones.feeders(touchedBy: plan, network, graph, simulation.initial.topology) }

    /// What a control step does; `nil`: that is not known.
    func command(_ step: SwitchingPlan.Step) -> ControlCommand? { ControlCommand(step, network, graph) }

    /// Nodes without supply after a stage that had it before the plan.
    func lost(_ stage: PlanSimulation.Stage) -> [Int] {
        let before = simulation.initial.topology.energised
        return stage.topology.energised.indices.filter { before[$0] && !stage.topology.energised[$0] }
    }

    func customers(_ nodes: some Sequence<Int>) -> Customers {
        nodes.reduce(into: Customers()) { $0.add(customers[$1]) }
    }

    /// A branch is fed otherwise than before the plan: from its other end, by another feeder, or not before.
    func isFedOtherwise(_ stage: PlanSimulation.Stage, edge: Int) -> Bool {
        let (first, now) = (simulation.initial.topology, stage.topology)
        let ends = graph.edgeEnds[edge]
        return [Int(ends.from), Int(ends.to)].contains { node in
            now.energised[node] && (!first.energised[node] || first.feeder[node] != now.feeder[node])
        } || now.isFedFrom(edge: edge, of: graph) != first.isFedFrom(edge: edge, of: graph)
    }

    func name(_ node: Int) -> String { network.nodes[node].id }

    /// "after step 2", "before the first step".
    func when(_ stage: PlanSimulation.Stage) -> String {
        stage.step.map { "after step \($0.sequence)" } ?? "before the first step"
    }
}

/// How many customers hang on something.
struct Customers: Equatable {
    /// As far as the data say.
    var known = 0
    /// Loads do not say how many: there may be more.
    var mayBeMore = false

    /// - Parameter count: of a load; `nil`: not known.
    mutating func add(_ count: Int?) {
        if let count { known += count } else { mayBeMore = true }
    }

    mutating func add(_ other: Self) {
        known += other.known
        mayBeMore = mayBeMore || other.mayBeMore
    }

    /// There are some, or there may be.
    var areThere: Bool { known > 0 || mayBeMore }

    var text: String {
        if known == 0, mayBeMore { return "nobody knows how many customers" }
        return (mayBeMore ? "at least " : "") + Say.count(known, "customer")
    }
}

/// Numbers as a control room reads them.
enum Say {
    static func percent(_ value: Double) -> String { String(format: "%.1f %%", value) }
    static func perUnit(_ value: Double) -> String { String(format: "%.4f pu", value) }
    static func amperes(_ value: Double) -> String { String(format: "%.1f A", value) }
    static func power(_ watts: Double) -> String {
        abs(watts) >= 999_500 ? String(format: "%.2f MW", watts / 1e6) : String(format: "%.0f kW", watts / 1e3)
    }
    static func hours(_ value: Double) -> String { String(format: "%g h", value) }
    static func degrees(_ value: Double) -> String { String(format: "%.1f°", value) }
    static func decimals(_ value: Double) -> String { String(format: "%.2f", value) }
    /// At most five, and how many more.
    static func list(_ items: [String]) -> String {
        items.count <= 5
            ? items.joined(separator: ", ") : items.prefix(5).joined(separator: ", ") + " and \(items.count - 5) more"
    }
    static func count(_ number: Int, _ singular: String, _ plural: String? = nil) -> String {
        "\(number) \(number == 1 ? singular : plural ?? singular + "s")"
    }
}
