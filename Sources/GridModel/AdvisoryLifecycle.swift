/// Where an advisory stands between condition and acknowledgement (ISA-18.2 model, `domain-rules.md` C.1).
public enum AdvisoryState: String, Sendable, Codable, CaseIterable {
    case unacknowledgedActive = "unacknowledged_active"
    case acknowledgedActive = "acknowledged_active"
    case unacknowledgedCleared = "unacknowledged_cleared"
    case closed

    /// The condition holds: such an advisory counts for the validator and for `?state=active`.
    public var isActive: Bool { self == .unacknowledgedActive || self == .acknowledgedActive }
    /// Anything that is not archived.
    public var isOpen: Bool { self != .closed }
}

/// The lifecycle as a value: state and event in, new state and what to tell the world out. No clock, no I/O.
///
/// Shelving, suppression, latching and out of service join with their own issue; every pair that is not in the table
/// is refused.
public enum AdvisoryLifecycle {
    public enum Event: Hashable, Sendable {
        case start
        case severityRose, severityFell
        /// Cause, certainty or evidence changed, the condition did not.
        case amended
        case clear
        /// `version` is the advisory's version that the operator saw.
        case acknowledge(version: Int?)
    }

    public enum Outcome: Hashable, Sendable {
        case moved(AdvisoryState, eventType: String)
        case refused(String)
    }

    /// - Parameters:
    ///   - version: the advisory's version now.
    ///   - lastRise: version at which its severity last rose (or it was raised): an acknowledgement given for an older
    ///     one is refused, because the operator has not seen what it became.
    public static func outcome(
        of event: Event, in state: AdvisoryState?, version: Int = 0, lastRise: Int = 0
    ) -> Outcome {
        switch (state, event) {
        case (nil, .start): .moved(.unacknowledgedActive, eventType: "raised")
        case (.unacknowledgedCleared, .start), (.closed, .start): .moved(.unacknowledgedActive, eventType: "raised")
        case (.unacknowledgedActive, .severityRose), (.acknowledgedActive, .severityRose):
            .moved(.unacknowledgedActive, eventType: "updated")
        case (.unacknowledgedActive, .severityFell), (.unacknowledgedActive, .amended):
            .moved(.unacknowledgedActive, eventType: "updated")
        case (.acknowledgedActive, .severityFell), (.acknowledgedActive, .amended):
            .moved(.acknowledgedActive, eventType: "updated")
        case (.unacknowledgedActive, .clear): .moved(.unacknowledgedCleared, eventType: "cleared")
        case (.acknowledgedActive, .clear): .moved(.closed, eventType: "cleared")
        case (.unacknowledgedActive, .acknowledge(let seen)), (.unacknowledgedCleared, .acknowledge(let seen)):
            if let seen, seen < lastRise {
                .refused("version \(seen) was seen, but the severity rose at version \(lastRise): look again")
            } else if let seen, seen > version {
                .refused("version \(seen) does not exist: the advisory is at version \(version)")
            } else {
                .moved(
                    state == .unacknowledgedActive ? .acknowledgedActive : .closed,
                    eventType: state == .unacknowledgedActive ? "acknowledged" : "closed")
            }
        case (.acknowledgedActive, .acknowledge): .refused("the advisory is already acknowledged")
        case (.closed, .acknowledge): .refused("the advisory is closed")
        default: .refused("\(event) does not apply to an advisory in state \(state?.rawValue ?? "none")")
        }
    }
}
