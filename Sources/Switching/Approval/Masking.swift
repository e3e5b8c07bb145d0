public import GridModel

extension GridSnapshot {
    /// The snapshot as if steps that are issued and not yet confirmed were not done: their switches may have moved already,
    /// or be on their way.
    public func masking(_ issued: [(step: SwitchingPlan.Step, before: SwitchPosition?)], _ network: Network) -> Self {
        var copy = self
        for item in issued where item.step.action.movesSwitch {
            guard let before = item.before,
                let number = network.switches.firstIndex(where: { $0.id == item.step.element })
            else { continue }
            let target: SwitchPosition = item.step.action == .open ? .open : .closed
            if [target, .intermediate].contains(copy.positions[number]) { copy.positions[number] = before }
        }
        return copy
    }

    /// The snapshot after a step of a plan was done.
    ///
    /// - Parameter executed: steps that were done before it: a switch is intermediate until all its poles have moved.
    public func applying(
        _ step: SwitchingPlan.Step, of plan: SwitchingPlan, executed: [ExecutedStep], _ network: Network
    ) -> Self {
        let graph = NetworkGraph(network)
        var state = GridState(self)
        if step.action.movesSwitch, let number = graph.switchIndex[step.element] {
            let bySequence = Dictionary(plan.steps.map { ($0.sequence, $0) }, uniquingKeysWith: { first, _ in first })
            let moves = executed.compactMap { item in bySequence[item.sequence].map { (step: $0, before: item.before) }
            }
            .filter { $0.step.element == step.element && $0.step.action.movesSwitch }
            if let before = moves.first?.before { state.positions[number] = before }
            for move in moves { state.apply(move.step, graph) }
            state.apply(step, graph)
            state.positions[number] = state.reported(number)
        } else {
            state.apply(step, graph)
        }
        var copy = self
        copy.positions = state.positions
        copy.tags = state.tags
        copy.grounds = state.grounds
        copy.clearances = state.clearances
        copy.reclosingDisabled = state.reclosingDisabled
        return copy
    }
}
