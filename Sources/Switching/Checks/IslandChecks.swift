internal import GridModel

/// T10: DER that stay alive in a section without utility source.
enum IslandChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        var findings: [Finding] = []
        var known = Set(context.simulation.initial.topology.deadIslands)
        for stage in context.simulation.stages.dropFirst() {
            for island in stage.topology.deadIslands where known.insert(island).inserted {
                findings += judge(context, stage, island)
            }
        }
        return findings
    }

    private static func judge(_ context: CheckContext, _ stage: PlanSimulation.Stage, _ island: [Int]) -> [Finding] {
        let balance = context.injections.balance(of: Set(island))
        guard balance.generation > 0 else { return [] }
        let limits = context.limits
        let ratio = balance.load > 0 ? balance.generation / balance.load : Double.infinity
        let share = balance.synchronous / balance.generation
        let what =
            "\(Say.count(balance.ders.count, "DER", "DER")) with \(Say.power(balance.generation)) on \(Say.power(balance.load)) of load have no utility source \(context.when(stage))"
        let ratioText = ratio.isFinite ? Say.decimals(ratio) : "no load at all"
        func finding(_ severity: Finding.Severity, _ limit: Double, _ text: String, _ remedy: String?) -> Finding {
            Finding(
                "T10", step: stage.finding, severity, elements: island.map(context.name),
                value: ratio.isFinite ? ratio : nil, limit: limit, unit: "generation/load",
                limitSource: "domain rules D.5",
                "\(what) (ratio \(ratioText)): \(text)", remedy: remedy)
        }
        if share >= limits.islandSynchronousShare, ratio >= limits.islandSynchronousRatio {
            return [
                finding(
                    .blockSoft, limits.islandSynchronousRatio,
                    "\(Say.percent(share * 100)) of it are synchronous machines, which can hold an island.",
                    "Trip or lock out the synchronous generation first.")
            ]
        }
        if ratio > limits.islandOvervoltage {
            return [
                finding(
                    .condition, limits.islandOvervoltage, "the voltage can rise as the load is rejected.",
                    "Curtail generation to the load before the step.")
            ]
        }
        if ratio >= limits.islandSustainable {
            return [
                finding(
                    .condition, limits.islandSustainable, "the island may hold for a while.",
                    "Wait 10 s, then verify dead at two points; disable the DER before work.")
            ]
        }
        return [finding(.note, limits.islandSustainable, "not enough to hold an island.", nil)]
    }
}
