internal import GridModel
internal import PowerFlow

/// LF, H1–H4: is there a solution, and does everything carry it?
enum LoadingChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        var findings: [Finding] = []
        for loadCase in context.cases {
            for stage in context.simulation.stages {
                switch stage.flows[loadCase] {
                case .success(let flow)?:
                    findings += unrated(context, flow, loadCase, stage)
                    // EXPORT asks for voltage and for what flows back.
                    guard stage.step != nil, loadCase != .export else { continue }
                    findings += judge(
                        context, flow, loadCase, step: stage.finding, when: context.when(stage),
                        before: context.simulation.initial.flow(loadCase))
                case .failure(let error)?:
                    findings += [unsolved(context, context.when(stage), stage.finding, loadCase, error)].compactMap(
                        \.self)
                case nil:
                    findings.append(
                        Finding(
                            "LF", step: stage.finding, .unknown, loadCase: loadCase,
                            "There is no load flow for \(loadCase.rawValue) \(context.when(stage))."))
                }
            }
        }
        return findings + later(context)
    }

    /// Without a solution nothing is known of loading and voltage. Whose fault that is decides what it means: of the data,
    /// or of a state that was there before the plan, nobody can tell; only one that the plan makes is held against it.
    ///
    /// - Returns: `nil`: it is told as a check that is not run.
    static func unsolved(
        _ context: CheckContext, _ when: String, _ step: Int?, _ loadCase: Finding.LoadCase, _ error: PowerFlowError,
        check: String = "LF", remedy: String = "Transfer less load at a time, or support the voltage."
    ) -> Finding? {
        if error.isOfData {
            let gaps = context.network.flowGaps
            if error.code == .missingData, !gaps.isEmpty, gaps.allSatisfy(\.isOfAll) { return nil }
            return Finding(
                "LF", .unknown, elements: error.elements, "There is no load flow: \(error.detail).",
                remedy: "Complete and correct the network's data: backfeed network check names file, line and column.")
        }
        if case .failure? = context.simulation.initial.flows[.now] {
            return Finding(
                "LF", .unknown,
                "The load flow has no solution before the first step: \(error.detail). That is not the plan's doing.",
                remedy: "Find the value in the network's data, its loads or the measurements that cannot be right.")
        }
        return Finding(
            check, step: step, loadCase == .export ? .blockSoft : .blockHard, loadCase: loadCase,
            "The load flow has no solution \(when): \(error.detail).", remedy: remedy)
    }

    /// H1, H4: lines without a rating beside others that have one, where the plan makes them carry more, or feeds them
    /// otherwise.
    private static func unrated(
        _ context: CheckContext, _ flow: FlowSolution, _ loadCase: Finding.LoadCase, _ stage: PlanSimulation.Stage
    ) -> [Finding] {
        guard stage.step != nil, loadCase != .export,
            context.network.lines.contains(where: { $0.ratedAmperes != nil && context.loading.isJudged($0) })
        else { return [] }
        let before = context.simulation.initial.flow(loadCase)
        let concerned = context.network.lines.indices.filter { place in
            let line = context.network.lines[place]
            guard line.ratedAmperes == nil, context.loading.isJudged(line), flow.lines[place].amperes > 0.5 else {
                return false
            }
            let earlier = before?.lines[place].amperes ?? 0
            return flow.lines[place].amperes > earlier * 1.005 + 0.5 || context.isFedOtherwise(stage, edge: place)
        }
        guard let worst = concerned.max(by: { flow.lines[$0].amperes < flow.lines[$1].amperes }) else { return [] }
        return [
            Finding(
                loadCase == .masked ? "H4" : "H1", step: stage.finding, .unknown,
                elements: concerned.map { context.network.lines[$0].id }, value: flow.lines[worst].amperes, unit: "A",
                limitSource: "max_i_a of the line", loadCase: loadCase,
                "What \(Say.list(concerned.map { context.network.lines[$0].id })) may carry is not known; \(context.network.lines[worst].id) carries \(Say.amperes(flow.lines[worst].amperes)) \(context.when(stage)).",
                remedy: "Enter max_i_a of the line in the network.")
        ]
    }

    /// What carries how much: percent of its rating.
    private struct Load {
        let place: Int
        let isTransformer: Bool
        let id: String
        let percent: Double
        let amount: String
        /// Percent: for hours, and for some hours.
        let normal, emergency: Double
    }

    private static func loads(_ context: CheckContext, _ flow: FlowSolution) -> [Load] {
        let limits = context.limits
        var loads: [Load] = []
        for (place, line) in context.network.lines.enumerated() {
            guard let percent = context.loading.line(flow, place), let rated = line.ratedAmperes else { continue }
            loads.append(
                Load(
                    place: place, isTransformer: false, id: line.id, percent: percent,
                    amount: "\(Say.amperes(flow.lines[place].amperes)) of \(Say.amperes(rated))",
                    normal: limits.lineLoading,
                    emergency: max(
                        limits.lineLoading,
                        line.emergencyAmperes.map { $0 / rated * 100 } ?? limits.lineEmergency)))
        }
        for (place, unit) in context.network.transformers.enumerated() {
            guard let percent = context.loading.transformer(flow, place) else { continue }
            let rated = unit.ratedKVA * 1000 * Double(unit.parallelUnits ?? 1)
            loads.append(
                Load(
                    place: place, isTransformer: true, id: unit.id, percent: percent,
                    amount:
                        "\(Say.power(percent / 100 * rated).replacing("W", with: "VA")) of \(Say.power(rated).replacing("W", with: "VA"))",
                    normal: limits.transformerLoading,
                    emergency: max(limits.transformerLoading, limits.transformerEmergency)))
        }
        return loads
    }

    static func judge(
        _ context: CheckContext, _ flow: FlowSolution, _ loadCase: Finding.LoadCase, step: Int?, when: String,
        before: FlowSolution?, check: String? = nil
    ) -> [Finding] {
        let limits = context.limits
        var groups: [String: (severity: Finding.Severity, loads: [Load])] = [:]
        for load in loads(context, flow) {
            guard load.percent > load.normal + 1e-9 else { continue }
            let earlier =
                before.flatMap {
                    load.isTransformer
                        ? context.loading.transformer($0, load.place) : context.loading.line($0, load.place)
                } ?? 0
            let severity: Finding.Severity =
                if earlier > load.normal, load.percent <= earlier + limits.worseLoading {
                    .note
                } else if load.percent <= load.emergency + 1e-9 {
                    .condition
                } else if load.percent <= load.emergency * limits.neverBeyond + 1e-9 {
                    .blockSoft
                } else {
                    .blockHard
                }
            let name = check ?? (loadCase == .masked ? "H4" : load.isTransformer ? "H2" : "H1")
            let key = "\(name) \(load.isTransformer) \(severity.rawValue)"
            groups[key, default: (severity, [])].loads.append(load)
        }
        return groups.sorted { $0.key < $1.key }.map { key, group in
            let loads = group.loads.sorted { ($1.percent, $0.id) < ($0.percent, $1.id) }
            let worst = loads[0]
            let isOver = group.severity > .condition
            return Finding(
                String(key.prefix { $0 != " " }), step: step, group.severity, elements: loads.map(\.id),
                value: worst.percent, limit: isOver ? worst.emergency : worst.normal, unit: "%",
                limitSource:
                    "limits.\(worst.isTransformer ? "transformer" : "line")_\(isOver ? "emergency" : "loading")_pct",
                loadCase: loadCase,
                "\(worst.id) carries \(Say.percent(worst.percent)) of its rating \(when) (\(worst.amount))\(loads.count > 1 ? ", and \(Say.count(loads.count - 1, "other")) too much" : "")\(group.severity == .note ? ", as before the plan" : group.severity == .condition ? ": only for a limited time" : "").",
                remedy: group.severity == .note
                    ? nil
                    : loadCase == .masked
                        ? "Transfer less: without DER the load is more than it seems."
                        : "Transfer less, or relieve it first.")
        }
    }

    /// H3: the final state, as loads and DER are expected to be while it stays.
    private static func later(_ context: CheckContext) -> [Finding] {
        var spans: [String: (first: Timestamp, last: Timestamp, worst: Finding)] = [:]
        var findings: [Finding] = []
        for (time, result, before) in context.outlook {
            let flow: FlowSolution
            switch result {
            case .success(let solution): flow = solution
            case .failure(let error):
                findings += [
                    unsolved(
                        context, "of the final state at \(time)", context.simulation.final.finding, .now, error,
                        remedy: "Plan for another time, or transfer less.")
                ].compactMap(\.self)
                continue
            }
            for finding in judge(
                context, flow, .now, step: context.simulation.final.finding, when: "at \(time)",
                before: before, check: "H3")
            {
                let key = "\(finding.severity.rawValue) \(finding.limitSource ?? "")"
                let known = spans[key]
                let isWorse = (finding.value ?? 0) > (known?.worst.value ?? 0)
                spans[key] = (known?.first ?? time, time, isWorse ? finding : known?.worst ?? finding)
            }
        }
        return findings
            + spans.sorted { $0.key < $1.key }.map { _, span in
                var finding = span.worst
                finding.message = "From \(span.first) to \(span.last): \(finding.message)"
                return finding
            }
    }
}
