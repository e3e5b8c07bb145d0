internal import GridModel
internal import PowerFlow

/// V4: regulators whose source side moves, or through which power comes back, and what their control then does.
enum RegulatorChecks {
    private struct State: Equatable {
        var isMoved, isReverse: Bool
        var mode: Network.Regulator.Mode
    }

    static func run(_ context: CheckContext) -> [Finding] {
        let regulators = context.network.regulators ?? []
        guard !regulators.isEmpty else { return [] }
        var modes = Dictionary(regulators.map { ($0.id, $0.mode) }, uniquingKeysWith: { first, _ in first })
        var findings: [Finding] = []
        var last: [String: State] = [:]
        for stage in context.simulation.stages {
            if let step = stage.step, case .regulatorMode(let mode) = context.command(step) {
                modes[step.element] = mode
            }
            let zones = ProtectionZones(context.network, context.graph, stage.state.traced)
            for item in regulators {
                guard let now = state(context, stage, zones, item, modes[item.id] ?? item.mode) else { continue }
                defer { last[item.id] = now }
                guard stage.step != nil, now != last[item.id], now.isMoved || now.isReverse else { continue }
                if let finding = judge(item, now, stage, context) { findings.append(finding) }
            }
        }
        return findings
    }

    private static func state(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ zones: ProtectionZones, _ item: Network.Regulator,
        _ mode: Network.Regulator.Mode
    ) -> State? {
        guard let place = context.network.lines.firstIndex(where: { $0.id == item.line }) else { return nil }
        let line = context.network.lines[place]
        guard let from = context.graph.nodeIndex[line.from], let to = context.graph.nodeIndex[line.to] else {
            return nil
        }
        let isFedFrom: Bool
        if zones.parentEdge[to] == place {
            isFedFrom = true
        } else if zones.parentEdge[from] == place {
            isFedFrom = false
        } else {
            return nil
        }
        // Into the line at the end where the source is: negative comes back.
        let back = stage.flow(.now).map { (isFedFrom ? $0.lines[place].fromWatts : $0.lines[place].toWatts) < -1000 }
        return State(isMoved: isFedFrom != item.isForwardFrom, isReverse: back ?? false, mode: mode)
    }

    private static func judge(
        _ item: Network.Regulator, _ state: State, _ stage: PlanSimulation.Stage, _ context: CheckContext
    ) -> Finding? {
        let why = state.isMoved ? "is fed from its other side" : "has power coming back through it"
        func finding(_ severity: Finding.Severity, _ text: String, _ remedy: String) -> Finding {
            Finding(
                "V4", step: stage.finding, severity, elements: [item.id], loadCase: .now,
                "\(item.id) (\(item.mode == state.mode ? "" : "set to ")\(state.mode.rawValue)) \(why) \(context.when(stage)): \(text).",
                remedy: remedy)
        }
        return switch state.mode.onReversal(isMoved: state.isMoved) {
        case .safe: nil
        case .caution:
            finding(.condition, "it does not regulate", "Watch the voltage behind it; set its mode back afterwards.")
        case .unsafe:
            finding(
                .blockSoft, "its control would run to the end of its taps",
                "Set it to neutral by hand before the step: a control step on \(item.id) with value MANUAL_NEUTRAL.")
        }
    }
}
