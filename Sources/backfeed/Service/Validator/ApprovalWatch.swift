internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

/// Looks at what approvals rest on, twice a second, on a thread of its own: one whose evidence has changed is void within two
/// seconds. One that was not looked at for a while is void, too: nobody knows what happened meanwhile. Says, too, what is
/// overdue after completed plans.
final class ApprovalWatch: Sendable {
    private let desk: SwitchingDesk
    private let conninfo: String
    private let metrics: Metrics
    private let period: Int
    private let health: PartHealth
    private let stopped = Gate()
    private let worker = Guarded<WorkerThread?>(nil)
    private let log = Log("validator")
    /// Between looks at what is due.
    private static let reminderNanoseconds: UInt64 = 5_000_000_000

    init(desk: SwitchingDesk, conninfo: String, metrics: Metrics, settings: Settings, health: PartHealth) {
        self.health = health
        self.desk = desk
        self.conninfo = conninfo
        self.metrics = metrics
        period = settings.integer("validator.watch_ms")
    }

    func start() {
        let thread = WorkerThread(name: "validator.watch") { [self] in run() }
        worker.withLock { $0 = thread }
    }

    func stop() {
        stopped.open()
        worker.withLock { $0.take() }?.join()
    }

    private func run() {
        var session = DatabaseSession(conninfo, deadlineMilliseconds: 5000)
        var remindedAt: UInt64 = 0
        repeat {
            do throws(StoreError) {
                try session.use { connection throws(StoreError) in try look(&connection) }
                metrics.set(
                    "backfeed_approvals_watched_timestamp_seconds", Double(SystemClock.nowMicroseconds) / 1e6,
                    help: "When the evidence of approvals was last looked at")
                let now = SystemClock.monotonicNanoseconds
                if now - remindedAt >= Self.reminderNanoseconds {
                    try session.use { connection throws(StoreError) in try remind(&connection) }
                    remindedAt = now
                }
                health.works()
            } catch {
                health.failed(error.description)
                log.error("approvals are not watched", ["error": "\(error)"])
            }
        } while !stopped.wait(milliseconds: period)
    }

    private func look(_ connection: inout PostgresConnection) throws(StoreError) {
        let resting = try SwitchingStore.list(
            states: PlanState.allCases.filter(\.rests), limit: 10_000, offset: 0, &connection)
        desk.clock.look()
        guard !resting.isEmpty else {
            desk.clock.forget()
            return
        }
        let lapses = try desk.lapses(&connection)
        for plan in resting {
            guard case .success(let work) = try desk.work(plan.id, lock: false, &connection) else {
                try void(unreadable: plan, &connection)
                continue
            }
            guard !reasons(work, lapses).isEmpty else { continue }
            // Once more, with the row locked: a step may have been confirmed meanwhile.
            try void(plan.id, &connection) { self.reasons($0, lapses) }
        }
        // Last: who is killed before has not watched.
        try SwitchingStore.watched(&connection)
        desk.clock.forget()
    }

    private func remind(_ connection: inout PostgresConnection) throws(StoreError) {
        try connection.transaction("remind") { connection throws(StoreError) in
            for due in try DueConditions.takeOverdue(&connection) {
                try AuditLog.append(
                    actor: "validator", "plan.condition_overdue", subject: due.plan,
                    ["key": due.key, "due_at": "\(due.dueAt)", "text": due.text], &connection)
                log.warning(
                    "overdue after a switching plan", ["plan": due.plan, "due": "\(due.dueAt)", "what": due.text])
            }
        }
        let open = try DueConditions.open(&connection)
        let overdue = open.count { $0.overdue }
        for (state, count) in [("due", open.count - overdue), ("overdue", overdue)] {
            metrics.set(
                "backfeed_plan_conditions_open", Double(count), ["state": state],
                help: "What is still to be done after completed switching plans")
        }
    }

    private func void(
        unreadable plan: SwitchingStore.Plan, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        guard case .moved(let next) = PlanLifecycle.outcome(of: .evidenceChanged, in: plan.state) else { return }
        let reason = "the plan is not the one that was approved: it cannot be read, or its digest differs"
        try connection.transaction("void approval") { connection throws(StoreError) in
            try SwitchingStore.move(plan.id, to: next, reason: reason, &connection)
            try AuditLog.append(
                actor: "validator", "plan.\(next.rawValue)", subject: plan.id, ["reason": reason], &connection)
        }
        log.error("approval void", ["plan": plan.id, "reasons": reason])
    }

    private func reasons(_ work: SwitchingDesk.Work, _ lapses: [String]) -> [String] {
        guard work.row.state.rests else { return [] }
        var reasons = lapses
        if let end = work.row.validUntil, end <= work.snapshot.time { reasons.append("it was valid until \(end)") }
        guard let evidence = work.evidence else { return reasons + ["its evidence cannot be read"] }
        // From the first step on loads move because of the plan; each step is judged on fresh ones when it is issued.
        return reasons
            + desk.validator.changes(
                since: evidence, work.plan, work.snapshot.masking(work.issued, desk.validator.network),
                executed: work.executed, isSwitching: !work.steps.isEmpty,
                issued: Set(work.issued.map(\.step.element)))
    }

    private func void(
        _ id: String, _ connection: inout PostgresConnection, _ reasons: (SwitchingDesk.Work) -> [String]
    ) throws(StoreError) {
        try connection.transaction("void approval") { connection throws(StoreError) in
            guard case .success(var work) = try desk.work(id, &connection) else { return }
            let found = reasons(work)
            guard !found.isEmpty else { return }
            try desk.stop(&work, found, &connection)
            log.info("approval void", ["plan": id, "reasons": found.joined(separator: "; ")])
            metrics.add(
                "backfeed_approvals_voided_total", 1, help: "Approvals that died because their evidence changed")
        }
    }
}
