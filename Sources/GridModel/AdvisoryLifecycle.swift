/// Where an advisory stands between condition and acknowledgement (ISA-18.2 model, `domain-rules.md` C.1).
public enum AdvisoryState: String, Sendable, Codable, CaseIterable {
    case unacknowledgedActive = "unacknowledged_active"
    case acknowledgedActive = "acknowledged_active"
    case unacknowledgedCleared = "unacknowledged_cleared"
    /// The condition is over, and what it has left must be looked at.
    case latchedUnacknowledged = "latched_unacknowledged"
    case latchedAcknowledged = "latched_acknowledged"
    /// Silenced by somebody for a while.
    case shelved
    /// Part of another advisory.
    case suppressed
    /// Not evaluated: unknown to whoever switches.
    case outOfService = "out_of_service"
    case closed

    /// Anything that is not archived.
    public var isOpen: Bool { self != .closed }
}

/// An advisory as the lifecycle sees it.
public struct AdvisorySituation: Sendable, Hashable {
    /// `nil`: there is none yet.
    public var state: AdvisoryState?
    /// The condition holds, whatever the state.
    public var isActive: Bool
    public var severity: Severity
    /// Of a kind that must be reset (C.1).
    public var isLatching: Bool
    /// Of a kind that an operator may not reset (C.2, transition 14).
    public var isGuarded: Bool
    public var version: Int
    /// Version at which the severity last rose (or it was raised): an acknowledgement given for an older one is refused,
    /// because the operator has not seen what it became.
    public var lastRise: Int

    public init(
        state: AdvisoryState?, isActive: Bool = false, severity: Severity = .medium, isLatching: Bool = false,
        isGuarded: Bool = false, version: Int = 0, lastRise: Int = 0
    ) {
        self.state = state
        self.isActive = isActive
        self.severity = severity
        self.isLatching = isLatching
        self.isGuarded = isGuarded
        self.version = version
        self.lastRise = lastRise
    }
}

/// The lifecycle as a value: situation and event in, new state and what to tell the world out. No clock, no I/O. Every
/// pair that is not in the rules' table C.2 is refused.
public enum AdvisoryLifecycle {
    public enum Event: Hashable, Sendable {
        // The analyser:
        case start
        case severityRose(to: Severity)
        case severityFell
        /// Cause, certainty or evidence changed, the condition did not.
        case amended
        case clear
        // People:
        /// `version` is the advisory's version that the operator saw.
        case acknowledge(version: Int?)
        case reset
        case shelve(seconds: Double)
        case unshelve
        /// Two people agree: see ``AdvisoryLifecycle/mayPropose(_:)``.
        case takeOutOfService(seconds: Double)
        case returnToService
        case comment
        // Time and rules:
        case holdEnded
        case reAlarm
        case autoClose
        case suppress
        case unsuppress
        case remove
    }

    public struct Move: Hashable, Sendable {
        public var state: AdvisoryState
        public var isActive: Bool
        /// Last part of the published type.
        public var type: String

        public init(_ state: AdvisoryState, isActive: Bool, _ type: String) {
            self.state = state
            self.isActive = isActive
            self.type = type
        }
    }

    public enum Outcome: Hashable, Sendable {
        case moved(Move)
        case refused(String)
    }

    /// How long what people do may last, and after what time the service acts: seconds, as the rules have them.
    public struct Limits: Sendable, Hashable {
        /// The longest shelf of severity 3 and 4, that of severity 2, and the longest time out of service.
        public var shelf = 8 * 3600.0
        public var shelfOfHigh = 3600.0
        public var outOfService = 30 * 86_400.0
        /// Severity 1 and 2 acknowledged and unresolved until it is annunciated again; severity 3 and 4 over and not
        /// acknowledged until it closes by itself.
        public var reAlarm = 3600.0
        public var autoClose = 8 * 3600.0
        /// For which a proposal to take one out of service waits for somebody to agree: a shift.
        public var proposal = 8 * 3600.0
        public init() {}
    }

    /// - Parameter role: of the account that acts; `nil`: the service itself, or there are no accounts.
    public static func outcome(
        of event: Event, in now: AdvisorySituation, by role: Role? = nil, limits: Limits = Limits()
    ) -> Outcome {
        if let role, let refusal = refusal(of: event, in: now, by: role) { return .refused(refusal) }
        switch event {
        case .start, .severityRose, .severityFell, .amended, .clear: return found(event, now)
        case .acknowledge(let version): return acknowledged(version, now)
        case .shelve(let seconds): return shelved(seconds, now, limits)
        case .reset:
            switch now.state {
            case .latchedAcknowledged: return .moved(.init(.closed, isActive: false, "closed"))
            case .latchedUnacknowledged: return .refused("acknowledge it first")
            default: return no(event, now)
            }
        case .unshelve where now.state == .shelved: return released(now, "unshelved")
        case .returnToService where now.state == .outOfService: return released(now, now.isActive ? "raised" : "closed")
        case .holdEnded where now.state == .shelved: return released(now, "unshelved")
        case .holdEnded where now.state == .outOfService: return released(now, now.isActive ? "raised" : "closed")
        case .takeOutOfService(let seconds):
            guard let state = now.state, state.isOpen, state != .outOfService else { return no(event, now) }
            guard seconds > 0, seconds <= limits.outOfService else {
                return .refused("out of service: at most \(Self.span(limits.outOfService))")
            }
            return .moved(.init(.outOfService, isActive: now.isActive, "updated"))
        case .comment:
            guard let state = now.state else { return no(event, now) }
            return .moved(.init(state, isActive: now.isActive, "updated"))
        case .reAlarm where now.state == .acknowledgedActive && now.severity >= .high:
            return .moved(.init(.unacknowledgedActive, isActive: true, "updated"))
        case .autoClose where now.state == .unacknowledgedCleared && now.severity <= .medium:
            return .moved(.init(.closed, isActive: false, "closed"))
        case .suppress:
            guard let state = now.state, state.isOpen, state != .outOfService, state != .suppressed else {
                return no(event, now)
            }
            return .moved(.init(.suppressed, isActive: now.isActive, "updated"))
        case .unsuppress where now.state == .suppressed: return released(now, now.isActive ? "raised" : "closed")
        case .remove:
            guard let state = now.state, state.isOpen else { return no(event, now) }
            return .moved(.init(.closed, isActive: false, "closed"))
        default: return no(event, now)
        }
    }

    /// Whether a role may propose to take an advisory out of service; a supervisor who is somebody else agrees.
    public static func mayPropose(_ role: Role?) -> Bool { role == nil || role == .engineer || role == .supervisor }

    private static func no(_ event: Event, _ now: AdvisorySituation) -> Outcome {
        .refused("\(name(of: event)) does not apply to an advisory in state \(now.state?.rawValue ?? "none")")
    }

    private static func name(of event: Event) -> String {
        switch event {
        case .acknowledge: "acknowledge"
        case .shelve: "shelve"
        case .severityRose: "severity_rose"
        case .takeOutOfService: "out_of_service"
        case .returnToService: "return_to_service"
        default: "\(event)"
        }
    }

    /// After shelving, suppression or out of service: active again is annunciated again.
    private static func released(_ now: AdvisorySituation, _ type: String) -> Outcome {
        .moved(.init(now.isActive ? .unacknowledgedActive : .closed, isActive: now.isActive, type))
    }

    private static func found(_ event: Event, _ now: AdvisorySituation) -> Outcome {
        switch (now.state, event) {
        case (nil, .start), (.unacknowledgedCleared, .start), (.closed, .start), (.latchedUnacknowledged, .start),
            (.latchedAcknowledged, .start):
            return .moved(.init(.unacknowledgedActive, isActive: true, "raised"))
        case (.unacknowledgedActive, .severityRose), (.acknowledgedActive, .severityRose):
            return .moved(.init(.unacknowledgedActive, isActive: true, "updated"))
        // What is urgent nobody may have silenced.
        case (.shelved, .severityRose(to: .urgent)) where now.isActive:
            return .moved(.init(.unacknowledgedActive, isActive: true, "unshelved"))
        case (.unacknowledgedActive?, .severityFell), (.unacknowledgedActive?, .amended),
            (.acknowledgedActive?, .severityFell), (.acknowledgedActive?, .amended):
            return .moved(.init(now.state ?? .unacknowledgedActive, isActive: true, "updated"))
        case (.unacknowledgedActive, .clear):
            return .moved(
                .init(now.isLatching ? .latchedUnacknowledged : .unacknowledgedCleared, isActive: false, "cleared"))
        case (.acknowledgedActive, .clear):
            return .moved(.init(now.isLatching ? .latchedAcknowledged : .closed, isActive: false, "cleared"))
        case (.shelved?, _), (.suppressed?, _), (.outOfService?, _):
            // Silenced, and still followed: what is known when it comes back is what holds then.
            guard (event == .start) != now.isActive else { return no(event, now) }
            let isOver = event == .clear
            return .moved(
                .init(now.state ?? .shelved, isActive: !isOver, isOver ? "cleared" : "updated"))
        default: return no(event, now)
        }
    }

    private static func acknowledged(_ seen: Int?, _ now: AdvisorySituation) -> Outcome {
        let next: AdvisoryState
        switch now.state {
        case .unacknowledgedActive: next = .acknowledgedActive
        case .unacknowledgedCleared: next = .closed
        case .latchedUnacknowledged: next = .latchedAcknowledged
        case .acknowledgedActive, .latchedAcknowledged: return .refused("the advisory is already acknowledged")
        case .closed: return .refused("the advisory is closed")
        default: return no(.acknowledge(version: seen), now)
        }
        if let seen, seen < now.lastRise {
            return .refused(
                "version \(seen) was seen, but the severity rose at version \(now.lastRise): look again")
        }
        if let seen, seen > now.version {
            return .refused("version \(seen) does not exist: the advisory is at version \(now.version)")
        }
        return .moved(.init(next, isActive: now.isActive, next == .closed ? "closed" : "acknowledged"))
    }

    private static func shelved(_ seconds: Double, _ now: AdvisorySituation, _ limits: Limits) -> Outcome {
        switch now.state {
        case .unacknowledgedActive, .acknowledgedActive, .unacknowledgedCleared: break
        default: return no(.shelve(seconds: seconds), now)
        }
        guard now.severity != .urgent else { return .refused("an advisory of severity 1 cannot be shelved") }
        let longest = now.severity == .high ? limits.shelfOfHigh : limits.shelf
        guard seconds > 0, seconds <= longest else {
            return .refused("severity \(now.severity.rawValue) can be shelved for \(span(longest)) at most")
        }
        return .moved(.init(.shelved, isActive: now.isActive, "shelved"))
    }

    /// Seconds in words: 30 days, 8 h, 90 min.
    public static func span(_ seconds: Double) -> String {
        let minutes = Int((seconds / 60).rounded(.up))
        if minutes % 1440 == 0, minutes > 1440 { return "\(minutes / 1440) days" }
        return minutes % 60 == 0 ? "\(minutes / 60) h" : "\(minutes) min"
    }

    private static func refusal(of event: Event, in now: AdvisorySituation, by role: Role) -> String? {
        let allowed: Set<Role>
        switch event {
        case .acknowledge, .unshelve: allowed = [.operator, .supervisor]
        case .shelve: allowed = now.severity >= .high ? [.supervisor] : [.operator, .supervisor]
        case .reset: allowed = now.isGuarded ? [.supervisor, .engineer] : [.operator, .supervisor]
        case .takeOutOfService: allowed = [.supervisor]
        case .returnToService: allowed = [.engineer, .supervisor]
        case .comment: return nil
        default: return "\(name(of: event)) is for the service alone"
        }
        guard !allowed.contains(role) else { return nil }
        let names = allowed.map(\.rawValue).sorted().joined(separator: " or ")
        return "\(name(of: event)) needs the role \(names), not \(role.rawValue)"
    }
}
