/// Where a kept plan stands between being written and being done.
public enum PlanState: String, Sendable, Codable, CaseIterable {
    /// Not approved.
    case draft
    /// Approved, and nothing that the approval rests on has changed.
    case approved
    /// Was approved; what the approval rested on has changed. It may not be executed.
    case recheck
    /// At least one step was issued.
    case executing
    /// Execution stopped because something changed; goes on only after a new approval of the rest.
    case hold
    case completed
    case cancelled

    /// Its devices are reserved: another plan may not touch what it touches.
    public var reserves: Bool { [.approved, .recheck, .executing, .hold].contains(self) }
    /// Watched: what changes in its evidence takes its approval away.
    public var rests: Bool { self == .approved || self == .executing }
    /// Nothing more happens to it.
    public var isOver: Bool { self == .completed || self == .cancelled }
}

/// The lifecycle as a value: every pair of state and event that is not in the table is refused.
public enum PlanLifecycle {
    public enum Event: String, Sendable, CaseIterable {
        case edit, approve, issue, executed, cancel
        /// The last step was executed.
        case completed
        /// Something in the evidence changed, or the validity is over, or nobody watched.
        case evidenceChanged
        /// A device was not as the plan expects it.
        case foundOtherwise
    }

    public enum Outcome: Sendable, Equatable {
        case moved(PlanState)
        case refused(String)
    }

    public static func outcome(of event: Event, in state: PlanState) -> Outcome {
        switch (state, event) {
        case (.draft, .edit), (.approved, .edit), (.recheck, .edit): .moved(.draft)
        case (.draft, .approve), (.recheck, .approve): .moved(.approved)
        case (.hold, .approve): .moved(.executing)
        case (.approved, .issue), (.executing, .issue), (.executing, .executed): .moved(.executing)
        // What was done is recorded also when the plan was stopped meanwhile; it stays stopped.
        case (.hold, .executed): .moved(.hold)
        case (.executing, .completed), (.hold, .completed): .moved(.completed)
        case (.approved, .evidenceChanged): .moved(.recheck)
        case (.executing, .evidenceChanged), (.executing, .foundOtherwise), (.hold, .foundOtherwise): .moved(.hold)
        case (.draft, .cancel), (.approved, .cancel), (.recheck, .cancel), (.executing, .cancel), (.hold, .cancel):
            .moved(.cancelled)
        case (.recheck, .issue):
            .refused("the approval is void: validate and have it approved again")
        case (.hold, .issue): .refused("execution is stopped: the rest needs a new approval")
        case (.draft, .issue): .refused("the plan is not approved")
        case (.approved, .approve): .refused("the plan is approved already")
        case (.executing, .edit), (.hold, .edit):
            .refused("steps were issued: cancel the rest and write a new plan")
        case (.completed, _), (.cancelled, _): .refused("the plan is \(state.rawValue)")
        default: .refused("\(event.rawValue) does not apply to a plan in state \(state.rawValue)")
        }
    }
}
