internal import GridModel

/// A plan is judged by what it does. As long as it has moved nothing, what is wrong with the network is not its doing: a tag
/// or a text does not have to wait until the voltage is right.
///
/// One rule for all checks of the network's state, whether or not they compare with the state before the plan themselves.
/// Findings about what a step does, to whom and by whom (T2, T3, T9, S, C, P, X) stay as they are; so does T4, because
/// where people work on something live every plan waits (D39).
enum Unchanged {
    /// Checks of the state between the steps.
    private static let ofState: Set<String> = [
        "H1", "H2", "H3", "H4", "V1", "V2", "F1", "F2", "F3", "R1", "R2", "R3", "R5", "P6", "T5", "T6", "T7", "T10",
    ]

    static func judge(_ findings: [Finding], _ context: CheckContext) -> [Finding] {
        let same = unmoved(context)
        let isIdle = same.count == context.simulation.stages.count
        return findings.map { finding in
            // Before the first step nothing has moved, whatever comes after it.
            let stands = finding.step.map(same.contains) ?? (isIdle || finding.check == "LF")
            guard finding.severity > .unknown, stands else { return finding }
            var finding = finding
            switch finding.check {
            case "LF":
                // The network stands, so it has a solution: what is wrong is what is known of it.
                finding.severity = .unknown
                finding.remedy = "The plan is not the cause: find out which data or measurements are wrong."
            case "D8":
                finding.severity = .condition
                finding.remedy = "The plan is not the cause: know of it before work begins there."
            case let check where ofState.contains(check):
                finding.severity = .note
                finding.remedy = nil
                if !finding.message.contains("as before the plan") {
                    finding.message = "As before the plan: \(finding.message)"
                }
            default: break
            }
            return finding
        }
    }

    /// Numbers of the stages (0: before the first step) at which the network is electrically what it was before the plan.
    private static func unmoved(_ context: CheckContext) -> Set<Int> {
        var same: Set<Int> = []
        var isControlled = false
        for stage in context.simulation.stages {
            // A command to a regulator or a relay changes what it does.
            if stage.step?.action == .control { isControlled = true }
            if !isControlled, stage.state.carriesAs(context.simulation.initial.state) { same.insert(stage.sequence) }
        }
        return same
    }
}
