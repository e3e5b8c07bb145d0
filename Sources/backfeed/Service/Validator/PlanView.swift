internal import GridModel
internal import Store
internal import Switching

/// A kept plan as the API shows it.
struct PlanView: Encodable {
    struct Head: Encodable {
        var id: String
        var version: Int
        var state: PlanState
        var reason: String
        var author, planHash: String
        var createdAt, changedAt: Timestamp
        var approvedBy: String?
        var approvedAt, validUntil: Timestamp?

        init(_ row: SwitchingStore.Plan) {
            id = row.id
            version = row.version
            state = row.state
            reason = row.reason
            author = row.author
            planHash = row.digest
            createdAt = row.createdAt
            changedAt = row.changedAt
            approvedBy = row.approvedBy
            approvedAt = row.approvedAt
            validUntil = row.validUntil
        }
    }

    struct Asked: Encodable {
        var condition: Condition
        var met: SwitchingStore.Met?
        /// Of what is due afterwards, once the plan is completed.
        var dueAt: Timestamp?

        private enum Key: String, CodingKey { case met, dueAt }
        func encode(to encoder: any Encoder) throws {
            try condition.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(met, forKey: .met)
            try container.encodeIfPresent(dueAt, forKey: .dueAt)
        }
    }

    var head: Head
    var plan: SwitchingPlan?
    /// Number of the newest verdict: an approval names it.
    var verdictID: Int64?
    var verdict: Verdict?
    /// Of every finding, in the verdict's order: what an override names.
    var findingKeys: [String]
    var conditions: [Asked]
    var overrides: [Override]
    var execution: [SwitchingStore.Step]

    init(
        _ row: SwitchingStore.Plan, plan: SwitchingPlan?, steps: [SwitchingStore.Step],
        verdict: (id: Int64, verdict: Verdict)?, met: [String: SwitchingStore.Met], overrides: [Override]
    ) {
        head = Head(row)
        self.plan = plan
        verdictID = verdict?.id
        self.verdict = verdict?.verdict
        findingKeys = verdict?.verdict.findings.map(\.key) ?? []
        conditions = (verdict.map { Condition.of($0.verdict) } ?? []).map { condition in
            let isCounting = row.state == .completed
            return Asked(
                condition: condition, met: met[condition.key],
                dueAt: isCounting ? condition.dueHours.map { row.changedAt + $0 * 3600 } : nil)
        }
        self.overrides = overrides
        execution = steps
    }

    private enum Key: String, CodingKey {
        case plan, verdictId, verdict, findingKeys, conditions, overrides, execution
    }

    func encode(to encoder: any Encoder) throws {
        try head.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(plan, forKey: .plan)
        try container.encode(verdictID, forKey: .verdictId)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(findingKeys, forKey: .findingKeys)
        try container.encode(conditions, forKey: .conditions)
        try container.encode(overrides, forKey: .overrides)
        try container.encode(execution, forKey: .execution)
    }
}
