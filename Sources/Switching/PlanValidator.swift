public import GridModel
internal import PowerFlow
internal import ServiceKit

/// Judges switching plans against one network: every step in every order, for every load case. It can refuse; it never
/// issues, executes or authorises.
public struct PlanValidator: Sendable {
    let network: Network
    let graph: NetworkGraph
    private let zones: Zones
    private let heads: FeederHeads
    private let customers: [Customers]
    let limits: SwitchingLimits
    private let software: String

    /// - Parameter software: name and version, for the evidence.
    public init(_ network: Network, limits: SwitchingLimits, software: String) {
        self.network = network
        self.limits = limits
        self.software = software
        graph = NetworkGraph(network)
        zones = Zones(network, graph)
        heads = FeederHeads(network)
        var customers = [Customers](repeating: Customers(), count: network.nodes.count)
        for load in network.loads {
            if let node = graph.nodeIndex[load.node] { customers[node].add(load.customers) }
        }
        self.customers = customers
    }

    /// Feeders whose values a plan rests on, in a switching state: as it was before the first of the executed steps, so
    /// that what the plan itself has made dead does not make it another plan.
    public func feeders(
        touchedBy plan: SwitchingPlan, positions: [SwitchPosition], executed: [ExecutedStep] = []
    ) -> Set<String> {
        var positions = positions
        for item in executed.reversed() {
            guard let step = plan.steps.first(where: { $0.sequence == item.sequence }), step.action.movesSwitch,
                let number = graph.switchIndex[step.element]
            else { continue }
            positions[number] = item.before ?? (step.action == .open ? .closed : .open)
        }
        let traced: [SwitchPosition] = positions.map { $0 == .open ? .open : .closed }
        return zones.feeders(touchedBy: plan, network, graph, Topology(graph, positions: traced))
    }

    /// What a verdict on this plan would rest on: cheap, without simulation or load flow.
    public func evidence(
        _ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = []
    ) -> Verdict.Evidence {
        let feeders = self.feeders(touchedBy: plan, positions: snapshot.positions, executed: executed)
        let advisories = snapshot.advisories.filter { advisory in
            (advisory.severity >= .medium || !advisory.isEvaluated)
                && (feeders.contains(advisory.feeder) || graph.feederIndex[advisory.feeder] == nil)
        }.sorted { $0.id < $1.id }
        let elements = plan.touchedElements
        let plans = snapshot.openPlans.filter {
            $0.id != plan.id && (!$0.feeders.isDisjoint(with: feeders) || !$0.elements.isDisjoint(with: elements))
        }
        return Verdict.Evidence(
            networkRevision: snapshot.networkRevision, switchStateHash: snapshot.switchStateHash,
            safetyHash: snapshot.safetyHash, feeders: feeders.sorted(),
            heads: snapshot.headWatts.filter { feeders.contains($0.key) },
            telemetryWatermark: snapshot.watermark, advisories: advisories.map(\.id),
            advisorySetHash: Digest.sha256(advisories.map { "\($0.id) \($0.severity.rawValue)" }),
            plansHash: Digest.sha256(plans.map { "\($0.id) \($0.from) \($0.until)" }.sorted()),
            limitsHash: limits.hash, software: software, activity: activity(plan, snapshot, feeders))
    }

    private func activity(
        _ plan: SwitchingPlan, _ snapshot: GridSnapshot, _ feeders: Set<String>
    ) -> Verdict.Evidence.Activity? {
        guard let activity = snapshot.activity else { return nil }
        let own = Set(plan.steps.filter(\.action.movesSwitch).map(\.element))
        return Verdict.Evidence.Activity(
            moves: activity.moves.filter { !own.contains($0.key) }.values.reduce(0, +),
            ownMoves: activity.moves.filter { own.contains($0.key) },
            // Banks concern every plan, as in the set of advisories.
            advisories: activity.advisories.filter {
                feeders.contains($0.key) || graph.feederIndex[$0.key] == nil
            }.values.reduce(0, +),
            register: activity.register)
    }

    /// The verdict on a plan, with all findings.
    ///
    /// - Parameters:
    ///   - snapshot: of this network: positions by its switches, loads by its nodes.
    ///   - executed: steps that were done already, in the order in which they were: the rest is judged from the state that
    ///     they left, as part of the whole plan.
    ///   - cases: load cases to solve; NOW is always among them.
    ///   - validMinutes: that the verdict is good for, when nothing changes before.
    public func validate(
        _ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = [],
        cases: [Finding.LoadCase] = Finding.LoadCase.allCases, validMinutes: Double = 30
    ) -> Verdict {
        var solver = StateSolver(network)
        let snapshot = present(snapshot, isBefore: executed.isEmpty, &solver).snapshot
        let course = Course(plan, snapshot, executed: executed, graph)
        let cases = Finding.LoadCase.allCases.filter { $0 == .now || cases.contains($0) }
        let injections = Injections(network, course.snapshot)
        let standing = standing(course, injections, &solver)
        var findings = Set(standing.allDoubts)
        let missing = notRun(standing, solver.problem)
        findings.formUnion(missing.findings)
        var states: [Verdict.StepState] = []
        var heals: [Verdict.Heal] = []
        let (done, rest) = (course.done, course.rest)
        let doneSequences = Set(done.map(\.step.sequence))
        if let difference = difference(course.start, done.map(\.step), GridState(standing)) {
            findings.insert(
                Finding(
                    "T2", .blockHard, elements: difference,
                    "\(Say.list(difference)) \(difference.count == 1 ? "is" : "are") not as the executed steps left \(difference.count == 1 ? "it" : "them").",
                    remedy: "Stop. Find out what moved, cancel the rest, and write a new plan."))
        }
        let orders = PlanSimulation.orders(rest)
        if orders == nil {
            findings.insert(
                Finding(
                    "T2", .unknown,
                    "The plan's free groups allow more than 120 orders; only the written one is assessed.",
                    remedy: "Make the groups smaller, or fix the order."))
        }
        for (place, order) in (orders ?? [rest]).enumerated() {
            let simulation = PlanSimulation(
                done.map(\.step) + order, course.start, graph, cases: cases, injections: injections,
                taps: standing.taps,
                solver: &solver)
            // What comes later is only about the final state, which all orders share.
            let outlook = place == 0 && !limits.isOmitted("H3") ? later(simulation, standing, &solver) : []
            let coldLoads =
                !limits.isOmitted("H5")
                    && cases.contains(.masked)
                ? ColdLoad.study(
                    simulation, standing, masked: injections.consumption(.masked), scale: limits.coldLoadScale, &solver)
                : []
            let faults = limits.isOmitted("R") ? nil : FaultStudy(network, graph, simulation, standing.taps, &solver)
            let context = CheckContext(
                network: network, graph: graph, zones: zones, heads: heads,
                loading: BranchLoading(network: network, graph: graph), limits: limits, plan: plan, snapshot: standing,
                injections: injections, cases: cases, simulation: simulation, outlook: outlook, coldLoads: coldLoads,
                faults: faults,
                customers: customers)
            // On values that are not known no number is told, for or against.
            let isBlind = isBlind(standing)
            findings.formUnion(
                Self.findings(context).filter { finding in
                    (!isBlind || !DataNeeds.onValues.contains(finding.check))
                        && (finding.step.map { !doneSequences.contains($0) } ?? true || finding.check == "T4")
                })
            // Where it starts and ends is the same in every order.
            if place == 0 {
                states = simulation.stages.map { state(of: $0, context, isBlind: isBlind) }
                heals = Heals.of(context).filter { !isBlind || !DataNeeds.onValues.contains($0.check) }
            }
        }
        return Verdict(
            plan: plan.id, planHash: plan.hash, assessedAt: standing.time,
            validUntil: standing.time + validMinutes * 60, evidence: evidence(plan, standing, executed: executed),
            findings: findings.filter { !limits.isOmitted($0.check) },
            heals: heals.filter { !limits.isOmitted($0.check) },
            notRun: standing.notRun + missing.notRun, steps: states)
    }

    /// Checks that are not run for want of data, and what is to be said of those that every plan rests on.
    private func notRun(
        _ snapshot: GridSnapshot, _ problem: PowerFlowError?
    ) -> (notRun: [Verdict.NotRun], findings: [Finding]) {
        var notRun = DataNeeds.notRun(network)
        var findings: [Finding] = []
        for lack in snapshot.lacks {
            if lack.isOfAll {
                notRun.append(.init(check: lack.check, reason: lack.text))
            } else {
                findings.append(
                    Finding(
                        lack.check, .unknown, elements: lack.elements, "\(lack.text).",
                        remedy: "Complete the data directory."))
            }
        }
        // P1 is asked only where a switch closes between transformers: it speaks for itself.
        findings += notRun.filter { DataNeeds.vital.contains($0.check) && $0.check != "P1" }
            .map { DataNeeds.finding($0, limits) }
        if let lack = snapshot.lacks.first, isBlind(snapshot) {
            notRun += DataNeeds.onValues.filter { $0 != "LF" }.map { .init(check: $0, reason: lack.text) }
        }
        if let problem {
            notRun += DataNeeds.onLoadFlow.map { .init(check: $0, reason: "there is no load flow: \(problem.detail)") }
        }
        return (notRun, findings)
    }

    /// The snapshot with taps where automatic control has put them before the plan, if nobody has measured them.
    func standing(_ course: Course, _ injections: Injections, _ solver: inout StateSolver) -> GridSnapshot {
        var snapshot = course.snapshot
        guard !snapshot.hasMeasuredTaps else { return snapshot }
        let now = injections.consumption(.now)
        let state = FlowState(
            isClosed: course.start.traced.map { $0 == .closed }, openPoles: course.start.openPoles,
            taps: snapshot.taps, watts: now.watts, vars: now.vars)
        if case .success(let solution) = solver.solve(state),
            case .success(let settled) = solver.settled(state, from: solution)
        {
            snapshot.taps = settled.taps
        }
        return snapshot
    }

    /// Elements of the steps that were done whose state is not what they left; `nil`: all are.
    private func difference(_ start: GridState, _ done: [SwitchingPlan.Step], _ now: GridState) -> [String]? {
        var expected = start
        for step in done { expected.apply(step, graph) }
        let wrong = Set(done.map(\.element)).filter { element in
            let moved = graph.switchIndex[element].map { expected.reported($0) != now.positions[$0] } ?? false
            return moved || expected.grounds.contains(element) != now.grounds.contains(element)
                || expected.reclosingDisabled.contains(element) != now.reclosingDisabled.contains(element)
                || expected.tags.filter { $0.element == element } != now.tags.filter { $0.element == element }
                || expected.clearances.filter { $0.element == element }
                    != now.clearances.filter { $0.element == element }
        }
        return wrong.isEmpty ? nil : wrong.sorted()
    }

    private static func findings(_ context: CheckContext) -> [Finding] {
        let found =
            TopologyChecks.run(context) + IslandChecks.run(context) + SafetyChecks.run(context)
            + LoadingChecks.run(context) + VoltageChecks.run(context) + DeviceChecks.run(context)
            + ParallelChecks.run(context) + ProtectionChecks.run(context)
            + ColdLoadChecks.run(context) + RegulatorChecks.run(context)
            + ReverseChecks.run(context) + DirectionChecks.run(context) + AdvisoryChecks.run(context)
            + ConflictChecks.run(context) + DutyChecks.run(context)
        let judged = Unchanged.judge(found, context)
        return context.plan.kind == .emergency ? emergency(judged) : judged
    }

    /// Loads or DER are not known well enough, and nobody has accepted that: no number is then told.
    func isBlind(_ snapshot: GridSnapshot) -> Bool {
        snapshot.lacksValues
            || snapshot.lacks.contains { !$0.isOfAll || !limits.acceptedNotRun.contains($0.check) }
    }

    /// Danger to life: only what could kill still blocks; the rest is told. What is not known stays so. To be reviewed
    /// within 24 hours.
    private static func emergency(_ findings: [Finding]) -> [Finding] {
        let blocking: Set<String> = ["T1", "T2", "T3", "T4", "T8", "T9", "P1"]
        return findings.map { finding in
            guard finding.severity > .note, finding.severity != .unknown, !blocking.contains(finding.check),
                !finding.check.hasPrefix("S"), finding.dueHours == nil
            else {
                return finding
            }
            var finding = finding
            finding.severity = .note
            return finding
        }
    }

    private func later(
        _ simulation: PlanSimulation, _ snapshot: GridSnapshot, _ solver: inout StateSolver
    ) -> [(time: Timestamp, flow: Result<FlowSolution, PowerFlowError>, before: FlowSolution?)] {
        let (start, end) = (simulation.initial.state, simulation.final.state)
        func solve(_ grid: GridState, _ moment: GridSnapshot.Outlook) -> Result<FlowSolution, PowerFlowError> {
            let state = FlowState(
                isClosed: grid.traced.map { $0 == .closed }, openPoles: grid.openPoles, taps: snapshot.taps,
                watts: moment.watts, vars: moment.vars)
            let result = solver.solve(state)
            // By then tap changers have reacted.
            guard case .success(let solution) = result, let settled = solver.settled(state, from: solution) else {
                return result
            }
            return settled.map(\.solution)
        }
        return snapshot.outlook.map { moment in
            let result = solve(end, moment)
            guard case .success(let flow) = result else { return (moment.time, result, nil) }
            if end.carriesAs(start) { return (moment.time, result, flow) }
            // Like with like: what the network comes to then without the plan is not the plan's doing.
            let before = isBeyond(flow) ? try? solve(start, moment).get() : nil
            return (moment.time, result, before)
        }
    }

    /// Something carries or has more than a plan may leave it with, so that it matters what it was before.
    private func isBeyond(_ flow: FlowSolution) -> Bool {
        let loading = BranchLoading(network: network, graph: graph)
        let isOver =
            network.lines.indices.contains { loading.line(flow, $0).map { $0 > limits.lineLoading } ?? false }
            || network.transformers.indices.contains {
                loading.transformer(flow, $0).map { $0 > limits.transformerLoading } ?? false
            }
        if isOver { return true }
        // Whether a relay lets the load through is R3's to judge.
        if network.switches.contains(where: { $0.relay != nil }) { return true }
        return network.nodes.enumerated().contains { node, item in
            guard item.nominalKilovolts < 60 else { return false }
            let (high, low) = (
                limits.voltage(item.nominalKilovolts, isHigh: true).limit - limits.voltageMargin,
                limits.voltage(item.nominalKilovolts, isHigh: false).limit + limits.voltageMargin
            )
            return flow.highest(node).map { $0 > high } ?? false || flow.lowest(node).map { $0 < low } ?? false
        }
    }

    private func isSafeToStop(_ stage: PlanSimulation.Stage, _ simulation: PlanSimulation) -> Bool {
        let (first, last) = (simulation.initial, simulation.final)
        let isAnyoneOut = stage.topology.energised.indices.contains { node in
            !stage.topology.energised[node] && first.topology.energised[node] && last.topology.energised[node]
        }
        let isWhole = [first, last].contains { end in
            stage.state.tags == end.state.tags && stage.state.grounds == end.state.grounds
                && stage.state.clearances == end.state.clearances
        }
        return stage.topology.isRadial && !isAnyoneOut && isWhole
    }

    private func state(
        of stage: PlanSimulation.Stage, _ context: CheckContext, isBlind: Bool
    ) -> Verdict.StepState {
        let dead = stage.topology.deadIslands.joined()
        var state = Verdict.StepState(
            sequence: stage.sequence, topology: stage.topology, deEnergisedCustomers: context.customers(dead).known)
        state.safeToStop = isSafeToStop(stage, context.simulation)
        guard !isBlind, let flow = stage.flow(.now) else { return state }
        for place in network.lines.indices {
            guard let percent = context.loading.line(flow, place), percent > state.worstLoadingPct ?? -1
            else { continue }
            (state.worstLoadingPct, state.worstLoadingElement) = (percent, network.lines[place].id)
        }
        for place in network.transformers.indices {
            guard let percent = context.loading.transformer(flow, place),
                percent > state.worstLoadingPct ?? -1
            else { continue }
            (state.worstLoadingPct, state.worstLoadingElement) = (percent, network.transformers[place].id)
        }
        for (node, item) in network.nodes.enumerated()
        where flow.isEnergised[node] && item.nominalKilovolts >= 1 && item.nominalKilovolts < 60 {
            guard let lowest = flow.lowest(node), let highest = flow.highest(node) else { continue }
            if lowest < state.minVoltagePu ?? .infinity {
                (state.minVoltagePu, state.minVoltageNode) = (lowest, item.id)
            }
            if highest > state.maxVoltagePu ?? 0 { (state.maxVoltagePu, state.maxVoltageNode) = (highest, item.id) }
        }
        for (place, feeder) in network.feeders.enumerated() {
            if let head = heads.flow(place, flow) { state.heads[feeder.id] = .init(activePowerW: head.watts) }
        }
        return state
    }
}
