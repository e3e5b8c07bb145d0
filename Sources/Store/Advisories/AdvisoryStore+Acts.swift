public import GridModel

extension AdvisoryStore {
    public enum Outcome: Sendable {
        case done(StoredEvent)
        case unknown
        case refused(String)
    }

    /// What people do with an advisory.
    public enum Act: Sendable, Equatable {
        case acknowledge(version: Int?)
        case shelve(seconds: Double)
        case unshelve, reset, comment, returnToService
        /// Proposed by one, agreed to by another.
        case takeOutOfService(seconds: Double)

        /// As paths, commands and the audit log have it.
        public var name: String {
            switch self {
            case .acknowledge: "acknowledge"
            case .shelve: "shelve"
            case .unshelve: "unshelve"
            case .reset: "reset"
            case .comment: "comment"
            case .returnToService: "return_to_service"
            case .takeOutOfService: "out_of_service"
            }
        }

        var event: AdvisoryLifecycle.Event {
            switch self {
            case .acknowledge(let version): .acknowledge(version: version)
            case .shelve(let seconds): .shelve(seconds: seconds)
            case .unshelve: .unshelve
            case .reset: .reset
            case .comment: .comment
            case .returnToService: .returnToService
            case .takeOutOfService(let seconds): .takeOutOfService(seconds: seconds)
            }
        }

        /// Seconds that it lasts.
        var seconds: Double? {
            switch self {
            case .shelve(let seconds), .takeOutOfService(let seconds): seconds
            default: nil
            }
        }

        /// An operator's answer to what was annunciated, which is for the operator of its area (C.2).
        var isAnswer: Bool {
            switch self {
            case .acknowledge, .shelve, .unshelve, .reset: true
            case .comment, .returnToService, .takeOutOfService: false
            }
        }

        /// What is silenced says why, and a comment is nothing but its text.
        var needsReason: Bool { self == .comment || seconds != nil }
    }

    private struct Recorded: Encodable {
        var version: Int
        var state: AdvisoryState
        var reason: String?
        var until: Timestamp?
    }

    /// Does what somebody asks; a refusal is recorded too.
    ///
    /// - Parameters:
    ///   - role: of the account; `nil`: there are no accounts.
    ///   - answersFor: whether the feeder (or bank) is one that the account may answer for; comments and proposals are
    ///     free to all.
    public mutating func act(
        _ act: Act, on id: String, by actor: String, role: Role?, answersFor: (String) -> Bool = { _ in true },
        reason: String?, now: Timestamp
    ) throws(StoreError) -> Outcome {
        let limits = limits
        return try session.use { connection throws(StoreError) in
            try connection.transaction("advisory act") { connection throws(StoreError) in
                try Self.lock(&connection)
                guard var row = try AdvisoryRow.read(where: "id = $1", [id], &connection).first else {
                    return .unknown
                }
                func refused(_ reason: String, _ connection: inout PostgresConnection) throws(StoreError) -> Outcome {
                    try AuditLog.append(
                        actor: actor, "advisory.\(act.name).refused", subject: id,
                        ["reason": reason, "version": "\(row.version)"], &connection)
                    return .refused(reason)
                }
                if act.isAnswer, !answersFor(row.facts.feeder) {
                    return try refused(
                        "\(row.facts.feeder) is another desk's: \(act.name) is for its operator, or for a supervisor",
                        &connection)
                }
                if act.needsReason, reason?.isEmpty ?? true {
                    return try refused("\(act.name) needs a reason", &connection)
                }
                var move: AdvisoryLifecycle.Move
                var word = act.name
                let until = act.seconds.map { now + $0 }
                let hold = until.map {
                    Advisory.Hold(by: actor, until: $0, reason: reason ?? "", isProposed: false)
                }
                let isProposal: Bool
                if case .takeOutOfService(let seconds) = act {
                    let agreed = row.held?.isProposed ?? false && row.held?.by != actor
                    isProposal = !agreed
                    if isProposal, !AdvisoryLifecycle.mayPropose(role) {
                        return try refused("out_of_service is proposed by an engineer or supervisor", &connection)
                    }
                    // The proposal would stand in the place of the shelf, and of its end.
                    if isProposal, row.state == .shelved {
                        return try refused("it is shelved: unshelve it first", &connection)
                    }
                    // That it could be done at all is asked of the service: who agrees is asked later.
                    switch AdvisoryLifecycle.outcome(
                        of: .takeOutOfService(seconds: seconds), in: row.situation, by: isProposal ? nil : role,
                        limits: limits)
                    {
                    case .refused(let reason): return try refused(reason, &connection)
                    case .moved(let found): move = found
                    }
                    if isProposal {
                        move = .init(row.state ?? .closed, isActive: row.isActive, "updated")
                        word = "out_of_service_proposed"
                    }
                } else {
                    isProposal = false
                    switch AdvisoryLifecycle.outcome(of: act.event, in: row.situation, by: role, limits: limits) {
                    case .refused(let reason): return try refused(reason, &connection)
                    case .moved(let found): move = found
                    }
                }
                let before = row.version
                if case .acknowledge = act { (row.acknowledgedBy, row.acknowledgedAt) = (actor, now) }
                if var hold {
                    hold.isProposed = isProposal
                    row.held = hold
                }
                let event = try row.take(move, actor: actor, note: reason, at: now, &connection)
                try AuditLog.append(
                    actor: actor, "advisory.\(word)", subject: id,
                    Recorded(version: before, state: move.state, reason: reason, until: until), &connection)
                return .done(event)
            }
        }
    }

    /// What time does: shelves and times out of service that end, what is urgent and unresolved, what nobody
    /// acknowledged after it was over.
    public mutating func expire(now: Timestamp, banks: [String: Set<String>]) throws(StoreError) -> [StoredEvent] {
        let limits = limits
        return try session.use { connection throws(StoreError) in
            try connection.transaction("advisory times") { connection throws(StoreError) in
                try Self.lock(&connection)
                let due = try AdvisoryRow.read(
                    where: """
                        state IN ('shelved', 'out_of_service') AND held_until <= $1 \
                        OR state = 'acknowledged_active' AND severity <= 2 \
                        AND changed_at <= $1::timestamptz - make_interval(secs => $2) \
                        OR state = 'unacknowledged_cleared' AND severity >= 3 \
                        AND changed_at <= $1::timestamptz - make_interval(secs => $3) \
                        OR proposed_at <= $1::timestamptz - make_interval(secs => $4)
                        """,
                    [
                        now.description, "\(limits.reAlarm)", "\(limits.autoClose)", "\(limits.proposal)",
                    ], &connection)
                var events: [StoredEvent] = []
                for var row in due {
                    if let proposal = row.held, proposal.isProposed {
                        row.held = nil
                        events.append(
                            try row.take(
                                .init(row.state ?? .closed, isActive: row.isActive, "updated"), actor: "service",
                                note: "nobody agreed to take it out of service, as \(proposal.by) had proposed",
                                at: now,
                                &connection))
                        continue
                    }
                    let (event, note): (AdvisoryLifecycle.Event, String) =
                        switch row.state {
                        case .acknowledgedActive: (.reAlarm, "unresolved for \(AdvisoryLifecycle.span(limits.reAlarm))")
                        case .unacknowledgedCleared:
                            (
                                .autoClose,
                                "auto_closed: over for \(AdvisoryLifecycle.span(limits.autoClose)), not acknowledged"
                            )
                        default: (.holdEnded, "its time is over")
                        }
                    guard case .moved(let move) = AdvisoryLifecycle.outcome(of: event, in: row.situation) else {
                        continue
                    }
                    events.append(
                        try row.take(
                            move, rises: event == .reAlarm, actor: "service", note: note, at: now,
                            &connection))
                }
                if !events.isEmpty { events += try Self.correlate(banks: banks, &connection) }
                return events
            }
        }
    }

    /// Closes what stands at elements that the network no longer has.
    public mutating func remove(
        unless isThere: (AdvisoryFacts) -> Bool, now: Timestamp
    ) throws(StoreError) -> [StoredEvent] {
        try session.use { connection throws(StoreError) in
            try connection.transaction("remove advisories") { connection throws(StoreError) in
                try Self.lock(&connection)
                var events: [StoredEvent] = []
                for var row in try AdvisoryRow.read(where: "state <> 'closed'", [], &connection)
                where !isThere(row.facts) {
                    guard case .moved(let move) = AdvisoryLifecycle.outcome(of: .remove, in: row.situation) else {
                        continue
                    }
                    events.append(
                        try row.take(
                            move, actor: "service", note: "its element is no longer in the network", at: now,
                            &connection))
                }
                return events
            }
        }
    }

    /// Taken first by whatever changes advisories: nobody then waits for rows of another who waits for the number.
    static func lock(_ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query("SELECT last FROM backfeed_store.event_counter FOR UPDATE", as: "lock the numbers")
    }
}
