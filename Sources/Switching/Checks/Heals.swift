internal import GridModel
internal import PowerFlow

/// Improvements by the whole plan, from the state before its first step to the state after its last. The limits, and by how
/// much something must differ to count, are those of the checks.
enum Heals {
    static func of(_ context: CheckContext) -> [Verdict.Heal] {
        guard context.simulation.stages.count > 1 else { return [] }
        return safety(context) + supply(context) + shape(context)
            + context.cases.flatMap { loading(context, $0) + voltage(context, $0) } + reverse(context)
    }

    /// Something beyond a limit before the plan: how far from zero in the direction of the limit, before and after.
    private struct Item {
        let name: String
        let before, after: Double
    }

    /// - Parameter sign: 1 where more is worse, -1 where less is.
    private static func heal(
        _ check: String, _ loadCase: Finding.LoadCase?, _ items: [Item], limit: Double, sign: Double = 1, unit: String,
        source: String?, what: String, _ say: (Double) -> String
    ) -> Verdict.Heal? {
        let sorted = items.sorted { ($1.before * sign, $0.name) < ($0.before * sign, $1.name) }
        guard let worst = sorted.first else { return nil }
        let after = items.map(\.after).reduce(worst.after) { sign > 0 ? max($0, $1) : min($0, $1) }
        let remaining = items.count { ($0.after - limit) * sign > 1e-9 }
        let bound = sign > 0 ? "up to" : "down to"
        return Verdict.Heal(
            check, loadCase: loadCase, elements: sorted.map(\.name), before: worst.before, after: after, limit: limit,
            unit: unit, limitSource: source, remaining: remaining,
            "\(what) \(Say.list(sorted.map(\.name))): \(items.count > 1 ? "\(bound) " : "")\(say(worst.before)) before the plan, "
                + "\(items.count > 1 ? "\(bound) " : "")\(say(after)) after it (limit \(say(limit)))"
                + (remaining == 0
                    ? "." : items.count == 1 ? "; still beyond the limit." : "; \(remaining) still beyond the limit."))
    }

    /// Like with like: both once tap changers have reacted, or both at once.
    private static func flows(
        _ context: CheckContext, _ loadCase: Finding.LoadCase
    ) -> (before: FlowSolution, after: FlowSolution)? {
        let (first, last) = (context.simulation.initial, context.simulation.final)
        if case .success(let before)? = first.settled[loadCase], case .success(let after)? = last.settled[loadCase] {
            return (before, after)
        }
        guard let before = first.flow(loadCase), let after = last.flow(loadCase) else { return nil }
        return (before, after)
    }

    private static func voltage(_ context: CheckContext, _ loadCase: Finding.LoadCase) -> [Verdict.Heal] {
        guard let (before, after) = flows(context, loadCase) else { return [] }
        // Low when DER are gone, high when they all give; as measured, both.
        let sides = [(true, loadCase != .masked), (false, loadCase != .export)].filter(\.1).map(\.0)
        return sides.flatMap { isHigh -> [Verdict.Heal] in
            let sign = isHigh ? 1.0 : -1.0
            var groups: [String: (limit: Double, items: [Item])] = [:]
            for (node, item) in context.network.nodes.enumerated() where item.nominalKilovolts < 60 {
                // Without supply it has no voltage, and is not better.
                guard after.isEnergised[node], before.isEnergised[node],
                    let was = isHigh ? before.highest(node) : before.lowest(node),
                    let now = isHigh ? after.highest(node) : after.lowest(node)
                else { continue }
                let (limit, setting) = context.limits.voltage(item.nominalKilovolts, isHigh: isHigh)
                guard (was - limit) * sign > 1e-9, (was - now) * sign > context.limits.worseVoltage else { continue }
                groups[setting, default: (limit, [])].items.append(Item(name: item.id, before: was, after: now))
            }
            return groups.sorted { $0.key < $1.key }.compactMap { setting, group in
                heal(
                    isHigh ? "V2" : "V1", loadCase, group.items, limit: group.limit, sign: sign, unit: "pu",
                    source: setting, what: "\(isHigh ? "High" : "Low") voltage at", Say.perUnit)
            }
        }
    }

    private static func loading(_ context: CheckContext, _ loadCase: Finding.LoadCase) -> [Verdict.Heal] {
        guard loadCase != .export, let (before, after) = flows(context, loadCase) else { return [] }
        let limits = context.limits
        func items(
            _ names: [String], _ ends: [(String, String)], _ limit: Double,
            _ percent: (FlowSolution, Int) -> Double?
        ) -> [Item] {
            names.indices.compactMap { place in
                let nodes = [ends[place].0, ends[place].1].compactMap { context.graph.nodeIndex[$0] }
                guard nodes.contains(where: { after.isEnergised[$0] }), let was = percent(before, place),
                    let now = percent(after, place), was > limit + 1e-9, was - now > limits.worseLoading
                else { return nil }
                return Item(name: names[place], before: was, after: now)
            }
        }
        let (lines, units) = (context.network.lines, context.network.transformers)
        return [
            heal(
                loadCase == .masked ? "H4" : "H1", loadCase,
                items(lines.map(\.id), lines.map { ($0.from, $0.to) }, limits.lineLoading, context.loading.line),
                limit: limits.lineLoading, unit: "%", source: "limits.line_loading_pct", what: "Loading of", Say.percent
            ),
            heal(
                loadCase == .masked ? "H4" : "H2", loadCase,
                items(
                    units.map(\.id), units.map { ($0.highNode, $0.lowNode) }, limits.transformerLoading,
                    context.loading.transformer),
                limit: limits.transformerLoading, unit: "%", source: "limits.transformer_loading_pct",
                what: "Loading of", Say.percent),
        ].compactMap(\.self)
    }

    /// F1: heads as measured, banks when loads are low and DER give what they can.
    private static func reverse(_ context: CheckContext) -> [Verdict.Heal] {
        let limits = context.limits
        var heals: [Verdict.Heal] = []
        func take(
            _ names: [String], _ loadCase: Finding.LoadCase, _ limit: (Int) -> Double?, source: String,
            _ watts: (FlowSolution, Int) -> Double?
        ) {
            guard let before = context.simulation.initial.flow(loadCase),
                let after = context.simulation.final.flow(loadCase)
            else { return }
            for (place, name) in names.enumerated() {
                guard let limit = limit(place), limit > 0 else { continue }
                guard let earlier = watts(before, place), let later = watts(after, place) else { continue }
                let (was, now) = (-earlier, max(0, -later))
                guard was > limit, was - now > ReverseChecks.tolerance(limit, limits) else { continue }
                heals += [
                    heal(
                        "F1", loadCase, [Item(name: name, before: was, after: now)], limit: limit, unit: "W",
                        source: source, what: "What comes back through", Say.power)
                ].compactMap(\.self)
            }
        }
        let (feeders, units) = (context.network.feeders, context.network.transformers)
        take(
            feeders.map(\.id), .now, { ReverseChecks.limit(of: feeders[$0], context) },
            source: "limits.head_reverse_pct"
        ) { context.heads.flow($1, $0)?.watts }
        take(
            units.map(\.id), .export,
            { ReverseChecks.isJudged(units[$0], context) ? ReverseChecks.limit(of: units[$0], context) : nil },
            source: "limits.bank_reverse_kw"
        ) { $0.transformers[$1].fromWatts }
        return heals
    }

    /// T7: customers that had no supply.
    private static func supply(_ context: CheckContext) -> [Verdict.Heal] {
        let (first, last) = (context.simulation.initial.topology, context.simulation.final.topology)
        let woken = first.energised.indices.filter { !first.energised[$0] && last.energised[$0] }
        let customers = context.customers(woken).known
        guard customers > 0 else { return [] }
        let names = woken.filter { context.customers[$0].known > 0 }.map(context.name)
        return [
            Verdict.Heal(
                "T7", elements: names, before: Double(customers), after: 0, limit: 0, unit: "customers", remaining: 0,
                "\(Say.count(customers, "customer")) without supply before the plan \(customers == 1 ? "has" : "have") it after it (\(Say.list(names)))."
            )
        ]
    }

    /// T6: loops and sources in parallel.
    private static func shape(_ context: CheckContext) -> [Verdict.Heal] {
        func count(_ stage: PlanSimulation.Stage) -> Int { stage.topology.loops + stage.topology.parallelSources }
        let (was, now) = (count(context.simulation.initial), count(context.simulation.final))
        guard now < was else { return [] }
        return [
            Verdict.Heal(
                "T6", elements: [], before: Double(was), after: Double(now), limit: 0, unit: "loops",
                remaining: now,
                "\(Say.count(was, "loop or parallel source", "loops and parallel sources")) before the plan, \(now == 0 ? "none" : "\(now)") after it."
            )
        ]
    }

    /// T4: what is grounded or cleared, and was live.
    private static func safety(_ context: CheckContext) -> [Verdict.Heal] {
        let (first, last) = (context.simulation.initial, context.simulation.final)
        let held = first.state.grounds.union(first.state.clearances.map(\.element))
        let better = held.filter {
            context.zones.isLive($0, first.topology, first.state.traced)
                && !context.zones.isLive($0, last.topology, last.state.traced)
        }.sorted()
        guard !better.isEmpty else { return [] }
        return [
            Verdict.Heal(
                "T4", elements: better, before: Double(better.count), after: 0, limit: 0, unit: "elements",
                remaining: 0,
                "\(Say.list(better)), grounded or cleared for work and live before the plan, \(better.count == 1 ? "is" : "are") dead after it."
            )
        ]
    }
}
