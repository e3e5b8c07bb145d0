internal import GridModel
internal import PowerFlow

/// H5, R4, and V1 with cold load: does everything carry what comes back at once after an outage?
enum ColdLoadChecks {
    static func run(_ context: CheckContext) -> [Finding] { context.coldLoads.flatMap { judge(context, $0) } }

    private static func judge(_ context: CheckContext, _ cold: ColdLoad) -> [Finding] {
        let stage = context.simulation.stages[cold.stage]
        let when =
            "\(context.when(stage)), when what was dead for \(cold.hours.map { "\(Say.decimals($0)) h" } ?? "nobody knows how long") takes \(Say.decimals(cold.factor)) times its load"
        let flow: FlowSolution
        switch cold.flow {
        case .success(let solution): flow = solution
        case .failure(let error):
            return [
                LoadingChecks.unsolved(
                    context, when, stage.finding, .masked, error, check: "H5", remedy: "Restore it in smaller blocks.")
            ].compactMap(\.self)
        }
        let usual = stage.flow(.masked) ?? stage.flow(.now)
        var findings = LoadingChecks.judge(
            context, flow, .masked, step: stage.finding, when: when, before: context.simulation.initial.flow(.masked),
            check: "H5")
        for place in findings.indices where findings[place].severity > .note {
            findings[place].remedy = remedy(context, findings[place], flow, usual)
        }
        findings += VoltageChecks.band(
            context, flow, context.simulation.initial.flow(.masked), .masked, stage.finding, when, isHigh: false)
        return findings + pickups(context, stage, flow, when)
    }

    /// How much of it the worst element bears at once: current grows with the block that is restored.
    private static func remedy(
        _ context: CheckContext, _ finding: Finding, _ flow: FlowSolution, _ usual: FlowSolution?
    ) -> String {
        let otherwise = "Restore it in smaller blocks, the next when the load has settled."
        guard let id = finding.elements.first, let place = context.network.lines.firstIndex(where: { $0.id == id }),
            let all = context.loading.line(flow, place),
            let none = context.simulation.initial.flow(.masked).flatMap({ context.loading.line($0, place) }), all > none
        else { return otherwise }
        let line = context.network.lines[place]
        guard let rated = line.ratedAmperes else { return otherwise }
        let emergency = line.emergencyAmperes.map { $0 / rated * 100 } ?? context.limits.lineEmergency
        func share(_ limit: Double) -> Int { Int(max(0, min(1, (limit - none) / (all - none))) * 100) }
        return
            "Restore it in blocks: the first at most \(share(context.limits.lineLoading)) % of it for \(id)'s rating, \(share(emergency)) % for some hours; the next when the load has settled."
    }

    /// R4: the first current does not trip what has just been closed.
    private static func pickups(
        _ context: CheckContext, _ stage: PlanSimulation.Stage, _ flow: FlowSolution, _ when: String
    ) -> [Finding] {
        context.network.switches.indices.compactMap { device in
            let item = context.network.switches[device]
            guard let relay = item.relay, stage.state.positions[device] == .closed else { return nil }
            let amperes = context.amperes(through: device, flow)
            guard amperes > context.limits.encroachmentMaximum * relay.phasePickup + 1e-9 else { return nil }
            return Finding(
                "R4", step: stage.finding, .condition, elements: [item.id], value: amperes / relay.phasePickup * 100,
                limit: context.limits.encroachmentMaximum * 100, unit: "%",
                limitSource: "limits.load_encroachment_max_pct", loadCase: .masked,
                "\(item.id) carries \(Say.amperes(amperes)) of its pickup of \(Say.amperes(relay.phasePickup)) \(when).",
                remedy: "Raise its setting for cold load, or restore in smaller blocks.")
        }
    }
}
