extension Finding {
    /// Stays when only value and words change: what an override or a met condition is tied to.
    public var key: String {
        let what = [check, "\(step ?? 0)", loadCase?.rawValue ?? "", advisory ?? ""] + elements.sorted()
        return "\(check)-\(step ?? 0)-\(StableHash(what.joined(separator: "\u{1F}")).hexadecimal)"
    }
}

/// What people add to a verdict: a soft block that two of them take on themselves, an unknown that somebody looked at.
public struct Override: Sendable, Codable, Equatable {
    public enum Role: String, Sendable, Codable, CaseIterable { case supervisor, engineer, field }

    /// ``GridModel/Finding/key``.
    public var key: String
    public var role: Role
    public var actor: String
    /// Of `field`: what was seen.
    public var reason: String
    public var givenAt: Timestamp
    public var expiresAt: Timestamp
    /// The finding's value when it was given: one that has moved on needs a new one.
    public var value: Double?

    public init(
        key: String, role: Role, actor: String, reason: String, givenAt: Timestamp, expiresAt: Timestamp, value: Double?
    ) {
        self.key = key
        self.role = role
        self.actor = actor
        self.reason = reason
        self.givenAt = givenAt
        self.expiresAt = expiresAt
        self.value = value
    }

    /// Seconds that a field verification is good for.
    public static let verificationSeconds = 15.0 * 60

    /// Unknowns that somebody on site can answer. Missing measurements, registers and load flows are not among them: no
    /// number would be left to judge by.
    static let verifiable: Set<String> = ["T1", "T10", "C4", "V4", "D8"]

    /// Why a finding can never be taken over in a role; `nil`: it can.
    public static func refusal(of finding: Finding, role: Role) -> String? {
        switch (finding.severity, role) {
        case (.blockSoft, .supervisor), (.blockSoft, .engineer): nil
        case (.unknown, .field):
            verifiable.contains(finding.check)
                ? nil : "\(finding.check): nobody on site can know this; restore what is missing"
        case (.blockHard, _): "\(finding.check) is a hard block: nobody may override it"
        case (.unknown, _): "\(finding.check) is not known: only a verification in the field helps"
        default: "\(finding.check) is \(finding.severity.rawValue): there is nothing to override for a \(role.rawValue)"
        }
    }

    /// Findings with what people took over turned into conditions. A soft block needs a supervisor and an engineer, two
    /// different people; an unknown, one named person who looked less than 15 minutes ago.
    public static func apply(_ overrides: [Override], to findings: [Finding], at now: Timestamp) -> [Finding] {
        findings.map { finding in
            let given = overrides.filter { override in
                override.key == finding.key && override.givenAt <= now && now < override.expiresAt
                    && refusal(of: finding, role: override.role) == nil && isSame(override.value, finding)
            }
            var finding = finding
            if finding.severity == .unknown {
                guard let seen = given.first(where: { now - $0.givenAt < verificationSeconds }) else { return finding }
                finding.severity = .condition
                finding.message += " Seen on site by \(seen.actor): \(seen.reason)."
                return finding
            }
            for supervisor in given where supervisor.role == .supervisor {
                guard
                    let engineer = given.first(where: {
                        $0.role == .engineer && $0.actor.lowercased() != supervisor.actor.lowercased()
                    })
                else { continue }
                finding.severity = .condition
                finding.message +=
                    " Overridden by \(supervisor.actor) (supervisor: \(supervisor.reason)) and \(engineer.actor) (engineer: \(engineer.reason))."
                return finding
            }
            return finding
        }
    }

    private static func isSame(_ value: Double?, _ finding: Finding) -> Bool {
        Finding.isSame(value, finding.value, limit: finding.limit)
    }
}

extension Finding {
    /// Within 2 % of the limit, or of the value that was seen where there is none.
    public static func isSame(_ seen: Double?, _ now: Double?, limit: Double?) -> Bool {
        guard let seen, let now else { return seen == nil && now == nil }
        return abs(now - seen) <= 0.02 * max(limit.map(abs) ?? 0, abs(seen))
    }
}
