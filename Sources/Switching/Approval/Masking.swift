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

    /// The snapshot after a step was done.
    public func applying(_ step: SwitchingPlan.Step, _ network: Network) -> Self {
        var state = GridState(self)
        state.apply(step, NetworkGraph(network))
        var copy = self
        copy.positions = state.positions
        copy.tags = state.tags
        copy.grounds = state.grounds
        copy.clearances = state.clearances
        copy.reclosingDisabled = state.reclosingDisabled
        return copy
    }
}
