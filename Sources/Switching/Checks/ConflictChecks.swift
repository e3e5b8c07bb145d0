public import GridModel

/// X3: devices of a plan are reserved from its approval until it is done, and so is what depends on them electrically.
enum ConflictChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        let plan = context.plan
        let elements = plan.touchedElements
        let feeders = context.feeders
        return context.snapshot.openPlans.filter { $0.id != plan.id }.compactMap { other in
            let start = max(plan.plannedStart ?? context.snapshot.time, context.snapshot.time)
            guard other.from < start + plan.holdHours * 3600, start < other.until else { return nil }
            let shared = elements.intersection(other.elements).sorted()
            let near = feeders.intersection(other.feeders).sorted()
            guard !shared.isEmpty || !near.isEmpty else { return nil }
            let what = shared.isEmpty ? "works on the same feeder (\(Say.list(near)))" : "reserves \(Say.list(shared))"
            return Finding(
                "X3", .blockSoft, elements: shared.isEmpty ? near : shared, limitSource: "plan \(other.id)",
                "Plan \(other.id), which is \(other.state), \(what) from \(other.from) to \(other.isOpenEnded ? "its end" : "\(other.until)").",
                remedy: "Wait until it is done, have it cancelled, or plan another time.")
        }
    }
}

extension SwitchingPlan {
    /// Devices and sections that its steps act on.
    public var touchedElements: Set<String> { Set(steps.filter { $0.action != .text }.map(\.element)) }
}
