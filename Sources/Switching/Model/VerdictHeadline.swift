public import GridModel

extension Verdict {
    /// The first line that a person reads: the decision, the plan, and every check that was not made.
    public func headline(_ plan: SwitchingPlan) -> String {
        let missing = Set(notRun.map(\.check)).sorted()
        return verdict.rawValue.replacing("_", with: " ")
            + "  \(plan.id)\(plan.purpose.isEmpty ? "" : ": \(plan.purpose)")"
            + (missing.isEmpty ? "" : "  (not run: \(missing.joined(separator: ", ")))")
    }
}
