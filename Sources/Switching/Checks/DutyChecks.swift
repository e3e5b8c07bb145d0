internal import GridModel

/// What people have to see to beside the steps: restrictions in force (X7), limits that the plan puts on DER (F1), and what is
/// due when it is done.
enum DutyChecks {
    static func run(_ context: CheckContext) -> [Finding] {
        restrictions(context) + limits(context) + afterwards(context)
    }

    /// X7: what is in force for the whole network, or for a feeder that the plan concerns.
    private static func restrictions(_ context: CheckContext) -> [Finding] {
        let feeders = context.feeders
        let standing = context.limits.restrictions.map { (feeder: "", source: "limits.restrictions", text: $0) }
        let registered = context.snapshot.restrictions.filter { $0.feeder.map(feeders.contains) ?? true }
            .map { (feeder: $0.feeder ?? "", source: "register", text: $0.text) }
            .sorted { ($0.feeder, $0.text) < ($1.feeder, $1.text) }
        return (standing + registered).map { feeder, source, text in
            Finding(
                "X7", .condition, elements: feeder.isEmpty ? [] : [feeder], limitSource: source,
                feeder.isEmpty ? "In force: \(text)." : "In force on \(feeder): \(text).",
                remedy: "Have whoever is in charge agree to this plan in spite of it.")
        }
    }

    /// F1: the verdict counts on what a step limits.
    private static func limits(_ context: CheckContext) -> [Finding] {
        context.plan.steps.compactMap { step in
            guard case .limit(let watts?) = context.command(step) else { return nil }
            return Finding(
                "F1", step: step.sequence, .condition, elements: [step.element], value: watts, unit: "W",
                "The verdict counts on \(step.element) giving no more than \(Say.power(watts)) from step \(step.sequence) on.",
                remedy: "See that it does before the next step, and keep the limit while the network stands so.")
        }
    }

    /// Left as the plan sets it, it would be wrong for the days that follow.
    private static func afterwards(_ context: CheckContext) -> [Finding] {
        var (blocked, modes) = ([String: Int](), [String: (step: Int, mode: Network.Regulator.Mode)]())
        for step in context.plan.steps {
            switch context.command(step) {
            case .groundTrip(let isBlocked): blocked[step.element] = isBlocked ? step.sequence : nil
            case .regulatorMode(let mode): modes[step.element] = (step.sequence, mode)
            case .settings, .limit, nil: break
            }
        }
        var findings = blocked.sorted { $0.key < $1.key }.map { device, step in
            Finding(
                "C5", step: step, .condition, elements: [device],
                "The plan leaves the ground trip of \(device) blocked.",
                remedy: "Unblock it as soon as the poles are together, at most an hour after the plan.", dueHours: 1)
        }
        for item in context.network.regulators ?? [] {
            guard let set = modes[item.id], set.mode != item.mode else { continue }
            findings.append(
                Finding(
                    "V4", step: set.step, .condition, elements: [item.id],
                    "The plan leaves \(item.id) in \(set.mode.rawValue); it is \(item.mode.rawValue) otherwise.",
                    remedy:
                        "Set it back when the network is back, as the plan says at most \(Say.hours(context.plan.holdHours)) after it.",
                    dueHours: context.plan.holdHours))
        }
        if context.plan.kind == .emergency {
            findings.append(
                Finding(
                    "X4", .condition, "An emergency plan is judged only by what can kill.",
                    remedy: "Review it with somebody who did not write it, at most 24 h after it.", dueHours: 24))
        }
        return findings
    }
}
