public import GridModel
internal import PowerFlow

/// The network before the first and after every step of a plan, element by element, on loads and DER as they are: what a
/// verdict's states sum up. Columns: the places of ``nodes`` and ``branches`` are those of every stage's arrays.
public struct PlanPicture: Sendable, Encodable {
    public struct Stage: Sendable, Encodable {
        /// Of the step; 0 before the first.
        public var sequence: Int
        /// By node: the feeder that feeds it, as a place in ``PlanPicture/feeders``; `nil` none does.
        public var feeder: [Int?]
        public var energised: [Bool]
        /// pu of nominal; `nil` where it is dead, or nothing can be told.
        public var voltagePu: [Double?]
        /// By branch: all its switches are closed.
        public var closed: [Bool]
        /// Percent of the rating; `nil` where that is not judged.
        public var loadingPct: [Double?]
        /// W, into the branch at its `from` end.
        public var activePowerW: [Double?]
        /// Where the switches that the plan operates stand.
        public var switches: [String: SwitchPosition]
        public var grounds: [String]
        /// Why there are no numbers; `nil`: there are.
        public var problem: String?
    }

    public struct Limits: Sendable, Encodable {
        public var lineLoadingPct, transformerLoadingPct: Double
        public var mvMinPu, mvMaxPu: Double
    }

    public var plan: String
    public var assessedAt: Timestamp
    public var networkRevision: String
    public var feeders: [String]
    public var nodes: [String]
    /// Lines, then transformers, then bus switches.
    public var branches: [String]
    public var limits: Limits
    public var stages: [Stage]
    /// Live: feeders where the load flow of now does not agree with what is measured, or whose measurements cannot be.
    public var contradictedFeeders: [String] = []
    /// Live: feeders whose reactive power is neither measured nor in the network's data.
    public var unmeasuredFeeders: [String] = []
    public var contradictions: [Contradiction] = []
    /// Live: why, in a sentence each.
    public var modelDoubts: [String] = []
}

extension PlanValidator {
    /// The steps as written, one load flow each.
    ///
    /// - Parameter executed: as for ``validate(_:_:executed:cases:validMinutes:)``.
    public func picture(_ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = []) -> PlanPicture {
        var solver = StateSolver(network)
        let present = present(snapshot, isBefore: executed.isEmpty, &solver)
        let course = Course(plan, present.snapshot, executed: executed, graph)
        let injections = Injections(network, course.snapshot)
        let snapshot = standing(course, injections, &solver)
        let simulation = PlanSimulation(
            course.done.map(\.step) + course.rest, course.start, graph, cases: [.now],
            injections: injections, taps: snapshot.taps,
            solver: &solver)
        return PlanPicture(
            plan: plan.id, assessedAt: snapshot.time, networkRevision: snapshot.networkRevision,
            feeders: graph.feederIDs, nodes: graph.nodeIDs,
            branches: network.lines.map(\.id) + network.transformers.map(\.id)
                + busSwitches.map { network.switches[$0].id },
            limits: .init(
                lineLoadingPct: limits.lineLoading, transformerLoadingPct: limits.transformerLoading,
                mvMinPu: limits.mvMinimum, mvMaxPu: limits.mvMaximum),
            stages: simulation.stages.map { stage($0, of: plan, isBlind: isBlind(snapshot)) },
            contradictedFeeders: graph.feederIDs.filter(present.contradicted.contains),
            unmeasuredFeeders: graph.feederIDs.filter(present.unmeasured.contains),
            contradictions: present.contradictions,
            modelDoubts: snapshot.modelDoubts.filter { doubt in
                doubt.limitSource != LoadEstimate.reactiveSource
                    && !present.contradicted.isDisjoint(with: doubt.elements)
            }.map(\.message))
    }

    private var busSwitches: [Int] { network.switches.indices.filter { network.switches[$0].connects == .bus } }

    private func stage(_ stage: PlanSimulation.Stage, of plan: SwitchingPlan, isBlind: Bool) -> PlanPicture.Stage {
        let positions = stage.state.traced
        let open = Set(positions.indices.filter { positions[$0] == .open })
        var opened: Set<String> = []
        for number in open where network.switches[number].connects != .bus {
            opened.insert("\(network.switches[number].connects.rawValue) \(network.switches[number].element)")
        }
        let closed =
            network.lines.map { !opened.contains("line \($0.id)") }
            + network.transformers.map { !opened.contains("transformer \($0.id)") }
            + busSwitches.map { !open.contains($0) }
        var picture = PlanPicture.Stage(
            sequence: stage.sequence, feeder: stage.topology.feeder.map { $0 < 0 ? nil : Int($0) },
            energised: stage.topology.energised, voltagePu: Array(repeating: nil, count: network.nodes.count),
            closed: closed, loadingPct: Array(repeating: nil, count: closed.count),
            activePowerW: Array(repeating: nil, count: closed.count),
            switches: Dictionary(
                plan.steps.filter(\.action.movesSwitch).compactMap { step in
                    graph.switchIndex[step.element].map { (step.element, stage.state.positions[$0]) }
                }, uniquingKeysWith: { first, _ in first }), grounds: stage.state.grounds.sorted())
        guard !isBlind else {
            picture.problem =
                "what is measured or drawn of loads and DER is missing or too old, or contradicts the model"
            return picture
        }
        switch stage.flows[.now] {
        case .success(let flow)?:
            let loading = BranchLoading(network: network, graph: graph)
            // Of a node's phases the one that is farther from nominal.
            picture.voltagePu = network.nodes.indices.map { node in
                guard let highest = flow.highest(node) else { return nil }
                let lowest = flow.lowest(node) ?? flow.perUnit[node]
                return rounded(1 - lowest >= highest - 1 ? lowest : highest, 10_000)
            }
            picture.loadingPct =
                network.lines.indices.map { loading.line(flow, $0).map { rounded($0, 10) } }
                + network.transformers.indices.map { loading.transformer(flow, $0).map { rounded($0, 10) } }
                + busSwitches.map { _ in nil }
            picture.activePowerW = (flow.lines + flow.transformers + busSwitches.map { flow.switches[$0] }).map {
                $0.fromWatts.rounded()
            }
        case .failure(let error)?: picture.problem = "the load flow has no solution: \(error)"
        case nil: picture.problem = "there is no load flow"
        }
        return picture
    }

    private func rounded(_ value: Double, _ parts: Double) -> Double { (value * parts).rounded() / parts }
}

/// A plan between what was done and what is to be done.
struct Course {
    /// With the positions that a study states.
    let snapshot: GridSnapshot
    let done: [(step: SwitchingPlan.Step, before: SwitchPosition?)]
    let rest: [SwitchingPlan.Step]
    /// Before the first step.
    let start: GridState

    init(_ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep], _ graph: NetworkGraph) {
        var snapshot = snapshot
        for item in plan.initialSwitchStates {
            if let number = graph.switchIndex[item.element] { snapshot.positions[number] = item.state }
        }
        let bySequence = Dictionary(plan.steps.map { ($0.sequence, $0) }, uniquingKeysWith: { first, _ in first })
        let done = executed.compactMap { item in bySequence[item.sequence].map { (step: $0, before: item.before) } }
        let sequences = Set(done.map(\.step.sequence))
        var start = GridState(snapshot)
        for item in done.reversed() { start.undo(item.step, before: item.before, graph) }
        self.snapshot = snapshot
        self.done = done
        self.start = start
        rest = plan.steps.filter { !sequences.contains($0.sequence) }
    }
}
