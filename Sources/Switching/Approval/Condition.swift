public import GridModel

/// What an approval with conditions asks for, from the verdict's findings.
public struct Condition: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable {
        /// To be met, with evidence, before its step.
        case before = "PRE"
        /// To be watched while the step is done and after it.
        case during = "DURING"
        /// Due afterwards.
        case after = "POST"
    }

    public var key: String
    public var kind: Kind
    public var check: String
    /// `nil`: of the plan; due before its first step.
    public var step: Int?
    public var text: String
    public var remedy: String?
    /// Of one that is due afterwards: hours from the plan's completion.
    public var dueHours: Double?
    /// The value it was raised for, in the finding's unit; `nil`: it has no number.
    public var value: Double?
    var limit: Double?

    /// Loading, voltage and reverse flow are watched; what has a time is due afterwards; everything else must be done first.
    public static func of(_ verdict: Verdict) -> [Condition] {
        verdict.findings.filter { $0.severity == .condition }.map { finding in
            let isWatched = "HVF".contains(finding.check.prefix(1))
            return Condition(
                key: finding.key, kind: finding.dueHours != nil ? .after : isWatched ? .during : .before,
                check: finding.check, step: finding.step, text: finding.message, remedy: finding.remedy,
                dueHours: finding.dueHours, value: finding.value, limit: finding.limit)
        }
    }

    /// Whether it stands for what was seen: within 2 % of the limit, or of the value where there is none. One that was met
    /// for "28 % have reported" is not met for "0 %".
    public func isSame(as seen: Double?) -> Bool { Finding.isSame(seen, value, limit: limit) }

    /// Whether it must be met before a step.
    public func isDue(before sequence: Int) -> Bool { kind == .before && (step ?? 0) <= sequence }
}
