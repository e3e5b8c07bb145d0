internal import GridModel
internal import PowerFlow

/// V1–V3: voltage limits, and the step that customers see.
enum VoltageChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        var findings: [Finding] = []
        for loadCase in context.cases {
            let first = context.simulation.initial
            let before = first.flow(loadCase)
            // Like with like: what tap changers do by themselves, without the plan, is not the plan's doing.
            let settledBefore: FlowSolution? =
                switch first.settled[loadCase] {
                case .success(let settled)?: settled
                case .failure?: nil
                case nil: before
                }
            for stage in context.simulation.stages.dropFirst() {
                guard let flow = stage.flow(loadCase) else { continue }
                // At once, and when tap changers have reacted: what helps one feeder of a bank can harm another.
                var flows = [(flow, before, context.when(stage))]
                switch stage.settled[loadCase] {
                case .success(let settled)?:
                    flows.append((settled, settledBefore, context.when(stage) + ", once tap changers have reacted"))
                case .failure(let error)?:
                    findings.append(
                        Finding(
                            "V1", step: stage.finding, .unknown, loadCase: loadCase,
                            "What the voltage is \(context.when(stage)), once tap changers have reacted, is not known: \(error).",
                            remedy: "Set the tap changers to manual, and complete the network's data."))
                case nil: break
                }
                for (flow, before, when) in flows {
                    // Low when DER are gone, high when they all give; as measured, both.
                    if loadCase != .export {
                        findings += band(context, flow, before, loadCase, stage.finding, when, isHigh: false)
                    }
                    if loadCase != .masked {
                        findings += band(context, flow, before, loadCase, stage.finding, when, isHigh: true)
                    }
                }
            }
        }
        return findings + later(context) + steps(context)
    }

    static func band(
        _ context: CheckContext, _ flow: FlowSolution, _ before: FlowSolution?, _ loadCase: Finding.LoadCase,
        _ step: Int?, _ when: String, isHigh: Bool
    ) -> [Finding] {
        let limits = context.limits
        var groups: [String: (severity: Finding.Severity, nodes: [Int], limit: Double, setting: String)] = [:]
        func voltage(_ node: Int, _ flow: FlowSolution) -> Double? {
            isHigh ? flow.highest(node) : flow.lowest(node)
        }
        var voltages: [Int: Double] = [:]
        for (node, item) in context.network.nodes.enumerated() {
            // Above medium voltage the transmission system keeps the voltage.
            guard item.nominalKilovolts < 60, let here = voltage(node, flow) else { continue }
            let (limit, setting) = limits.voltage(item.nominalKilovolts, isHigh: isHigh)
            // Positive: beyond the limit.
            let sign = isHigh ? 1.0 : -1.0
            let beyond = (here - limit) * sign
            guard beyond > 1e-9 - limits.voltageMargin else { continue }
            let earlier = before.flatMap { voltage(node, $0).map { ($0 - limit) * sign } }
            let severity: Finding.Severity =
                if let earlier, earlier > -limits.voltageMargin, beyond <= earlier + limits.worseVoltage {
                    .note
                } else {
                    beyond > 1e-9 ? .blockSoft : .condition
                }
            voltages[node] = here
            groups["\(setting) \(severity.rawValue)", default: (severity, [], limit, setting)].nodes.append(node)
        }
        return groups.sorted { $0.key < $1.key }.map { _, group in
            let nodes = group.nodes.sorted {
                let (one, other) = (voltages[$0] ?? 1, voltages[$1] ?? 1)
                return isHigh ? one > other : one < other
            }
            let worst = nodes[0]
            let value = voltages[worst] ?? 1
            return Finding(
                isHigh ? "V2" : "V1", step: step, group.severity, elements: nodes.map(context.name),
                value: value, limit: group.limit, unit: "pu", limitSource: group.setting,
                loadCase: loadCase,
                "\(context.name(worst)) has \(Say.perUnit(value)) \(when)\(nodes.count > 1 ? ", and \(Say.count(nodes.count - 1, "other node")) \(group.severity == .condition ? "near" : "beyond") the limit" : "")\(group.severity == .note ? ", as before the plan" : "").",
                remedy: group.severity == .note
                    ? nil
                    : isHigh
                        ? "Lower the set point at the substation or curtail DER before, or transfer less."
                        : "Raise the set point at the substation before, or transfer less.")
        }
    }

    /// The final state while it stays.
    private static func later(_ context: CheckContext) -> [Finding] {
        var spans: [String: (first: Timestamp, last: Timestamp, worst: Finding)] = [:]
        for (time, result, before) in context.outlook {
            guard case .success(let flow) = result else { continue }
            for isHigh in [false, true] {
                for finding in band(
                    context, flow, before, .now, context.simulation.final.finding, "at \(time)", isHigh: isHigh)
                {
                    let key = "\(finding.check) \(finding.severity.rawValue) \(finding.limitSource ?? "")"
                    let known = spans[key]
                    let isWorse = known.map {
                        isHigh
                            ? (finding.value ?? 0) > ($0.worst.value ?? 0)
                            : (finding.value ?? 0) < ($0.worst.value ?? 0)
                    }
                    spans[key] = (known?.first ?? time, time, isWorse ?? true ? finding : known?.worst ?? finding)
                }
            }
        }
        return spans.sorted { $0.key < $1.key }.map { _, span in
            var finding = span.worst
            finding.message = "From \(span.first) to \(span.last): \(finding.message)"
            return finding
        }
    }

    /// V3: what a switching step does to the voltage of customers, as measured.
    private static func steps(_ context: CheckContext) -> [Finding] {
        let limits = context.limits
        return context.simulation.transitions.compactMap { before, after in
            guard let earlier = before.flow(.now), let flow = after.flow(.now) else { return nil }
            let changes = context.network.nodes.indices.filter {
                context.customers[$0].areThere && earlier.isEnergised[$0] && flow.isEnergised[$0]
            }.compactMap { node -> (Int, Double)? in
                // Who lacks a phase sees more than a step: C4 tells.
                guard let low = flow.lowest(node), let high = flow.highest(node), let lowBefore = earlier.lowest(node),
                    let highBefore = earlier.highest(node)
                else { return nil }
                return (node, max(abs(low - lowBefore), abs(high - highBefore)))
            }
            guard let worst = changes.max(by: { $0.1 < $1.1 }), worst.1 > limits.voltageStepCondition + 1e-9 else {
                return nil
            }
            let isOver = worst.1 > limits.voltageStepMaximum + 1e-9
            let limit = isOver ? limits.voltageStepMaximum : limits.voltageStepCondition
            return Finding(
                "V3", step: after.finding, isOver ? .blockSoft : .condition, elements: [context.name(worst.0)],
                value: worst.1, limit: limit, unit: "pu",
                limitSource: isOver ? "limits.voltage_step_max_pu" : "limits.voltage_step_pu", loadCase: .now,
                "The voltage at \(context.name(worst.0)) changes by \(Say.perUnit(worst.1)) \(context.when(after)).",
                remedy: "Bring the two sides' voltages closer together first.")
        }
    }
}
