internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

/// Kept plans: judged, approved, executed. Every act, also a refused one, is an audit record in its own transaction.
final class SwitchingDesk: Sendable {
    let validator: ServiceValidator
    let sessions: SessionPool
    /// A switch stands somewhere else by a step that was executed.
    let moved: @Sendable (SwitchRecord) -> Void
    /// Now, in the time of the data.
    let now: @Sendable () -> Timestamp
    let areaOf: @Sendable (String) -> Int32?
    /// Seconds that the evidence of approvals may have been unwatched.
    let watchGap: Double
    /// Whether the wall clock was set since approvals were looked at.
    let clock: ClockWatch
    private let log = Log("switching")

    init(
        validator: ServiceValidator, sessions: SessionPool, watchGap: Double, clockStep: Double,
        now: @escaping @Sendable () -> Timestamp, areaOf: @escaping @Sendable (String) -> Int32?,
        moved: @escaping @Sendable (SwitchRecord) -> Void
    ) {
        self.validator = validator
        self.sessions = sessions
        self.watchGap = watchGap
        clock = ClockWatch(limit: clockStep)
        self.now = now
        self.areaOf = areaOf
        self.moved = moved
    }

    struct Refusal: Error {
        var status: UInt32
        var reason: String

        var response: APIError {
            let titles: [UInt32: String] = [400: "Bad request", 404: "Not found", 409: "Conflict"]
            return APIError(status, titles[status] ?? "Refused", reason)
        }

        static func conflict(_ reason: String) -> Self { .init(status: 409, reason: reason) }
        static func unknown(_ reason: String) -> Self { .init(status: 404, reason: reason) }
        static func wrong(_ reason: String) -> Self { .init(status: 400, reason: reason) }
    }

    /// Runs an act in one transaction; what is refused is recorded in it, too.
    func act<R>(
        _ action: String, by actor: String, on subject: String,
        _ body: (inout PostgresConnection) throws(StoreError) -> Result<R, Refusal>
    ) throws -> R {
        let result = try sessions.use { queries throws(StoreError) in
            try queries.use { connection throws(StoreError) in
                try connection.transaction(action) { connection throws(StoreError) in
                    let result = try body(&connection)
                    if case .failure(let refusal) = result, refusal.status == 409 {
                        try AuditLog.append(
                            actor: actor, "\(action).refused", subject: subject, ["reason": refusal.reason], &connection
                        )
                    }
                    return result
                }
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let refusal):
            log.info("refused", ["act": action, "subject": subject, "actor": actor, "reason": refusal.reason])
            throw refusal.response
        }
    }

    // MARK: Plans

    /// Keeps a plan; one that is kept already gets a new version and loses its approval.
    func keep(_ text: [UInt8], id wanted: String?, actor: String?, account: String?) throws -> String {
        let plan = try ServiceValidator.decode(text)
        // Whoever could write under another's name could approve the plan under their own.
        guard account == nil || plan.author == account else {
            throw APIError(403, "Forbidden", "author: a plan's author is who sends it, and you are \(account ?? "")")
        }
        if let complaint = Identifier.complaint(plan.id) { throw APIError.badRequest("id: \(complaint)") }
        if let complaint = Identifier.complaint(plan.author) { throw APIError.badRequest("author: \(complaint)") }
        if let wanted, wanted != plan.id { throw APIError.badRequest("id: expected \(wanted), got \(plan.id)") }
        let document = plan.document
        let actor = actor ?? plan.author
        return try act("plan.keep", by: actor, on: plan.id) { connection throws(StoreError) in
            let old = try SwitchingStore.lock(plan.id, &connection)
            if let old {
                guard wanted != nil else {
                    return .failure(.conflict("there is a plan \(plan.id): PUT makes a new version of it"))
                }
                if case .refused(let reason) = PlanLifecycle.outcome(of: .edit, in: old.state) {
                    return .failure(.conflict(reason))
                }
                try SwitchingStore.replace(
                    plan.id, author: plan.author, document: document, digest: plan.hash, &connection)
            } else {
                guard wanted == nil else { return .failure(.unknown("there is no plan \(plan.id)")) }
                guard
                    try SwitchingStore.create(
                        plan.id, author: plan.author, document: document, digest: plan.hash, &connection)
                else { return .failure(.conflict("there is a plan \(plan.id)")) }
            }
            try AuditLog.append(
                actor: actor, "plan.kept", subject: plan.id,
                Kept(version: (old?.version ?? 0) + 1, digest: plan.hash, document: document), &connection)
            return .success(try Self.view(plan.id, &connection))
        }
    }

    private struct Kept: Encodable {
        var version: Int
        var digest, document: String
    }

    func list(states: [PlanState], offset: Int, limit: Int) throws -> [String] {
        try sessions.connected { connection throws(StoreError) in
            try SwitchingStore.list(states: states, limit: limit, offset: offset, &connection).map {
                JSONCoding.encode(PlanView.Head($0))
            }
        }
    }

    func plan(_ id: String) throws -> String? {
        try sessions.connected { connection throws(StoreError) in
            try SwitchingStore.read(id, &connection) == nil ? nil : try Self.view(id, &connection)
        }
    }

    static func view(_ id: String, _ connection: inout PostgresConnection) throws(StoreError) -> String {
        guard let row = try SwitchingStore.read(id, &connection) else { return "{}" }
        let verdict = try SwitchingStore.newestVerdict(row, &connection)
        let met = try Self.met(row, verdict?.verdict, &connection)
        return JSONCoding.encode(
            PlanView(
                row, plan: Self.document(row), steps: try SwitchingStore.steps(row, &connection), verdict: verdict,
                met: met, overrides: try SwitchingStore.overrides(row, &connection)))
    }

    /// Conditions of a verdict that are met for what it says.
    static func met(
        _ row: SwitchingStore.Plan, _ verdict: Verdict?, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [String: SwitchingStore.Met] {
        let asked = Dictionary(
            (verdict.map(Condition.of) ?? []).map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        return try SwitchingStore.met(row, &connection).filter { asked[$0.key]?.isSame(as: $0.value.value) ?? false }
    }

    static func document(_ row: SwitchingStore.Plan) -> SwitchingPlan? {
        try? PlanDocument.decode(Array(row.document.utf8))
    }

    /// A verdict that nobody keeps but the audit log.
    func judge(_ text: [UInt8], actor: String) throws -> String {
        let plan = try ServiceValidator.decode(text)
        return try act("plan.judge", by: actor, on: plan.id) { connection throws(StoreError) in
            let record = try OperatingRecord.read(&connection)
            let verdict = self.validator.verdict(plan, self.validator.snapshot(plan, record))
            try AuditLog.append(actor: actor, "plan.judged", subject: plan.id, Judged(verdict, id: nil), &connection)
            return .success(JSONCoding.encode(verdict))
        }
    }

    /// The network after each step of a plan, as it would be now.
    func picture(_ text: [UInt8]) throws -> String {
        let plan = try ServiceValidator.decode(text)
        let record = try sessions.connected { connection throws(StoreError) in try OperatingRecord.read(&connection) }
        return JSONCoding.encode(validator.picture(plan, validator.snapshot(plan, record)))
    }

    func picture(ofKept id: String) throws -> String {
        let work = try sessions.connected { connection throws(StoreError) in
            try self.work(id, lock: false, &connection)
        }.mapError(\.response).get()
        return JSONCoding.encode(validator.picture(work.plan, work.snapshot, executed: work.executed))
    }

    struct Judged: Encodable {
        var verdict: Int64?
        var decision: Verdict.Decision
        var planHash: String
        var findings: [String: Int]
        var evidence: Verdict.Evidence
        var validUntil: Timestamp?

        init(_ verdict: Verdict, id: Int64?) {
            self.verdict = id
            decision = verdict.verdict
            planHash = verdict.planHash
            findings = Dictionary(verdict.findings.map { ($0.severity.rawValue, 1) }, uniquingKeysWith: +)
            evidence = verdict.evidence
            validUntil = verdict.validUntil
        }
    }

    /// The work at hand: the plan's row, locked, with what is known of it and of the network.
    struct Work {
        var row: SwitchingStore.Plan
        var plan: SwitchingPlan
        var steps: [SwitchingStore.Step]
        var overrides: [Override]
        var snapshot: GridSnapshot

        var executed: [ExecutedStep] { Self.executed(steps) }

        static func executed(_ steps: [SwitchingStore.Step]) -> [ExecutedStep] {
            steps.filter { $0.place != nil }.sorted { ($0.place ?? 0) < ($1.place ?? 0) }.map {
                ExecutedStep(sequence: $0.sequence, before: $0.before)
            }
        }
        /// Issued and not yet confirmed.
        var issued: [(step: SwitchingPlan.Step, before: SwitchPosition?)] {
            steps.filter(\.isPending).compactMap { item in
                plan.steps.first { $0.sequence == item.sequence }.map { (step: $0, before: item.before) }
            }
        }
        var evidence: Verdict.Evidence? {
            row.evidence.flatMap { try? JSONCoding.decodePlain(Verdict.Evidence.self, $0) }
        }
    }

    func work(
        _ id: String, lock: Bool = true, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Result<Work, Refusal> {
        let found =
            lock ? try SwitchingStore.lock(id, &connection) : try SwitchingStore.read(id, &connection)
        guard let row = found else { return .failure(.unknown("there is no plan \(id)")) }
        guard let plan = Self.document(row), plan.hash == row.digest else {
            return .failure(.conflict("the plan is not the one that was kept: its digest differs"))
        }
        let record = try OperatingRecord.read(&connection)
        let steps = try SwitchingStore.steps(row, &connection)
        return .success(
            Work(
                row: row, plan: plan, steps: steps, overrides: try SwitchingStore.overrides(row, &connection),
                snapshot: validator.snapshot(plan, record, executed: Work.executed(steps))))
    }

    /// Judges the rest of a plan, and keeps the verdict.
    func judge(
        _ work: Work, by actor: String, occasion: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> (id: Int64, verdict: Verdict) {
        let verdict = validator.verdict(
            work.plan, work.snapshot, executed: work.executed, overrides: work.overrides)
        let id = try SwitchingStore.keep(
            verdict, version: work.row.version, by: actor, occasion: occasion, &connection)
        try AuditLog.append(
            actor: actor, "plan.validated", subject: work.row.id, Judged(verdict, id: id), &connection)
        return (id, verdict)
    }

    /// What has changed while a verdict was made. Audit records are written one after the other, each with its act: from the
    /// verdict's own on nobody else can be done before us, and whoever was done by then is seen here. So of an approval and
    /// a tag that come at one moment, the later knows of the earlier.
    func overtaking(
        _ fresh: (id: Int64, verdict: Verdict), _ work: Work, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [String] {
        let snapshot = validator.snapshot(
            work.plan, try OperatingRecord.read(&connection), executed: work.executed)
        return validator.changes(
            since: fresh.verdict.evidence, work.plan, snapshot, executed: work.executed,
            isSwitching: !work.executed.isEmpty)
    }

    func validate(_ id: String, actor: String) throws -> String {
        try act("plan.validate", by: actor, on: id) { connection throws(StoreError) in
            switch try self.work(id, &connection) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let work):
                guard !work.row.state.isOver else {
                    return .failure(.conflict("the plan is \(work.row.state.rawValue)"))
                }
                _ = try self.judge(work, by: actor, occasion: "validate", &connection)
                return .success(try Self.view(id, &connection))
            }
        }
    }

    /// - Parameter seen: number of the verdict that the approver has before them.
    func approve(_ id: String, verdict seen: Int64, actor: String) throws -> String {
        try act("plan.approve", by: actor, on: id) { connection throws(StoreError) in
            try SwitchingStore.lockApprovals(&connection)
            let work: Work
            switch try self.work(id, &connection) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let found): work = found
            }
            guard case .moved(let next) = PlanLifecycle.outcome(of: .approve, in: work.row.state) else {
                return .failure(Self.refusal(.approve, work.row.state))
            }
            guard actor.lowercased() != work.row.author.lowercased() else {
                return .failure(.conflict("X4: \(actor) wrote the plan; somebody else must approve it"))
            }
            guard let newest = try SwitchingStore.newestVerdict(work.row, &connection) else {
                return .failure(.conflict("the plan has no verdict: validate it first"))
            }
            guard newest.id == seen else {
                return .failure(.conflict("verdict \(newest.id) is newer than \(seen), which was seen: look again"))
            }
            if let end = newest.verdict.validUntil, end <= work.snapshot.time {
                return .failure(.conflict("verdict \(seen) was valid until \(end): validate again"))
            }
            let changes = self.validator.changes(
                since: newest.verdict.evidence, work.plan, work.snapshot, executed: work.executed)
            guard changes.isEmpty else {
                return .failure(
                    .conflict("since verdict \(seen): \(changes.joined(separator: "; ")). Validate again"))
            }
            let fresh = try self.judge(work, by: actor, occasion: "approve", &connection)
            guard fresh.verdict.verdict <= .approveWithConditions else {
                return .failure(
                    .conflict("verdict \(fresh.id) is \(fresh.verdict.verdict.rawValue): \(Self.worst(fresh.verdict))"))
            }
            let overtaking = try self.overtaking(fresh, work, &connection)
            guard overtaking.isEmpty else {
                return .failure(
                    .conflict("since verdict \(fresh.id): \(overtaking.joined(separator: "; ")). Validate again"))
            }
            let known = Dictionary(
                Condition.of(newest.verdict).map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
            // Conditions watched during switching move with the load; those to be met beforehand must have the value
            // that was seen.
            let new = Condition.of(fresh.verdict).filter { condition in
                guard let seen = known[condition.key] else { return true }
                return condition.kind == .before && !condition.isSame(as: seen.value)
            }
            guard new.isEmpty else {
                return .failure(
                    .conflict(
                        "verdict \(fresh.id) has conditions that were not seen: \(new.map(\.text).joined(separator: " "))"
                    ))
            }
            let evidence = Self.text(fresh.verdict.evidence)
            let start = max(work.plan.plannedStart ?? work.snapshot.time, work.snapshot.time)
            try SwitchingStore.approve(
                id, to: next, by: actor, verdict: fresh.id,
                validUntil: fresh.verdict.validUntil ?? work.snapshot.time, evidence: evidence,
                .init(
                    elements: work.plan.touchedElements.sorted(), feeders: fresh.verdict.evidence.feeders, from: start,
                    until: start + work.plan.holdHours * 3600), &connection)
            try AuditLog.append(
                actor: actor, "plan.approved", subject: id, Judged(fresh.verdict, id: fresh.id), &connection)
            return .success(try Self.view(id, &connection))
        }
    }

    static func text(_ evidence: Verdict.Evidence) -> String {
        do {
            return try JSONCoding.encodePlain(evidence)
        } catch {
            preconditionFailure("evidence holds finite numbers only: \(error)")
        }
    }

    static func refusal(_ event: PlanLifecycle.Event, _ state: PlanState) -> Refusal {
        if case .refused(let reason) = PlanLifecycle.outcome(of: event, in: state) { return .conflict(reason) }
        return .conflict("not in state \(state.rawValue)")
    }

    static func worst(_ verdict: Verdict) -> String {
        verdict.findings.first.map { "\($0.check) \($0.message)" } ?? ""
    }

    func cancel(_ id: String, actor: String, reason: String) throws -> String {
        try act("plan.cancel", by: actor, on: id) { connection throws(StoreError) in
            guard let row = try SwitchingStore.lock(id, &connection) else {
                return .failure(.unknown("there is no plan \(id)"))
            }
            guard case .moved(let next) = PlanLifecycle.outcome(of: .cancel, in: row.state) else {
                return .failure(Self.refusal(.cancel, row.state))
            }
            // A crew has it in hand: nobody knows where the switch stands until they have said so.
            if let pending = try SwitchingStore.steps(row, &connection).first(where: \.isPending) {
                return .failure(
                    .conflict(
                        "step \(pending.sequence) was issued and is not confirmed yet: record it as done, or as found otherwise, first"
                    ))
            }
            try SwitchingStore.move(id, to: next, reason: reason, &connection)
            try AuditLog.append(
                actor: actor, "plan.cancelled", subject: id, ["from": row.state.rawValue, "reason": reason], &connection
            )
            return .success(try Self.view(id, &connection))
        }
    }

    // MARK: Conditions and overrides

    func meet(_ id: String, key: String, evidence: String, actor: String) throws -> String {
        try act("plan.meet", by: actor, on: id) { connection throws(StoreError) in
            guard let row = try SwitchingStore.lock(id, &connection) else {
                return .failure(.unknown("there is no plan \(id)"))
            }
            guard !evidence.isEmpty else { return .failure(.wrong("evidence: say what was done or seen")) }
            guard let newest = try SwitchingStore.newestVerdict(row, &connection),
                let condition = Condition.of(newest.verdict).first(where: { $0.key == key })
            else { return .failure(.unknown("the newest verdict has no condition \(key)")) }
            guard try Self.met(row, newest.verdict, &connection)[key] == nil else {
                return .failure(.conflict("the condition is met already"))
            }
            try SwitchingStore.meet(
                row, key, value: condition.value, by: actor, evidence: evidence, &connection)
            try AuditLog.append(
                actor: actor, "plan.condition_met", subject: id,
                ["key": key, "condition": condition.text, "evidence": evidence], &connection)
            return .success(try Self.view(id, &connection))
        }
    }

    func override(_ id: String, key: String, role: Override.Role, reason: String, until: Timestamp?, actor: String)
        throws
        -> String
    {
        try act("plan.override", by: actor, on: id) { connection throws(StoreError) in
            guard let row = try SwitchingStore.lock(id, &connection) else {
                return .failure(.unknown("there is no plan \(id)"))
            }
            guard !row.state.isOver else { return .failure(.conflict("the plan is \(row.state.rawValue)")) }
            guard !reason.isEmpty else { return .failure(.wrong("reason: say why, or what was seen")) }
            guard let newest = try SwitchingStore.newestVerdict(row, &connection),
                let finding = newest.verdict.findings.first(where: { $0.key == key })
            else { return .failure(.unknown("the newest verdict has no finding \(key)")) }
            if let refusal = Override.refusal(of: finding, role: role) { return .failure(.conflict(refusal)) }
            let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
            let end = role == .field ? now + Override.verificationSeconds : until
            guard let end, end > now else {
                return .failure(.wrong("expires_at: expected a time to come"))
            }
            let item = Override(
                key: key, role: role, actor: actor, reason: reason, givenAt: now, expiresAt: end, value: finding.value)
            try SwitchingStore.add(item, to: row, &connection)
            try AuditLog.append(actor: actor, "plan.overridden", subject: id, item, &connection)
            return .success(try Self.view(id, &connection))
        }
    }
}
