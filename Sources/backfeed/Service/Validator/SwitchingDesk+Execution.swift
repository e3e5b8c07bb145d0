internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

/// Steps: judged again when they are issued, recorded when they are done.
extension SwitchingDesk {
    private struct Issued: Encodable {
        var step: SwitchingPlan.Step
        var verdict: Int64
    }

    private struct Done: Encodable {
        var step: SwitchingPlan.Step
        var found: String?
        var note: String
    }

    func issue(_ id: String, step sequence: Int, actor: String) throws -> String {
        try act("plan.issue", by: actor, on: id) { connection throws(StoreError) in
            var work: Work
            switch try self.work(id, &connection) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let found): work = found
            }
            guard case .moved(let next) = PlanLifecycle.outcome(of: .issue, in: work.row.state) else {
                return .failure(Self.refusal(.issue, work.row.state))
            }
            guard let step = work.plan.steps.first(where: { $0.sequence == sequence }) else {
                return .failure(.unknown("plan \(id) has no step \(sequence)"))
            }
            if let pending = work.issued.first {
                return .failure(.conflict("step \(pending.step.sequence) was issued and is not confirmed yet"))
            }
            let done = Set(work.executed.map(\.sequence))
            guard !done.contains(sequence) else { return .failure(.conflict("step \(sequence) is done already")) }
            let open = work.plan.steps.filter { !done.contains($0.sequence) }
            guard let first = open.first, first.sequence == sequence || Self.isFree(sequence, open) else {
                return .failure(.conflict("step \(open.first?.sequence ?? 0) comes first"))
            }
            // What was measured before the last step says nothing of the network after it.
            if let last = work.steps.filter({ $0.place != nil }).compactMap(\.executedAt).max(),
                let feeders = work.evidence?.feeders
            {
                let unheard = self.validator.unheard(feeders, since: last)
                guard unheard.isEmpty else {
                    return .failure(
                        .conflict(
                            "the head of \(unheard.joined(separator: ", ")) has not been measured since the last step: wait for it"
                        ))
                }
            }
            // Telemetry that follows a moment later must not end the plan; one that does not must not go unnoticed.
            let waiting = work.executed.compactMap { item in
                work.plan.steps.first { $0.sequence == item.sequence }.flatMap { step in
                    step.action.movesSwitch ? work.snapshot.positionDoubts[step.element] : nil
                }
            }
            guard waiting.isEmpty else {
                return .failure(.conflict("T1: \(waiting.joined(separator: " ")) Wait for it, or have it read on site"))
            }
            // Heads are compared only while nothing was switched since they were looked at.
            var changes =
                work.evidence.map {
                    self.validator.changes(
                        since: $0, work.plan, work.snapshot, executed: work.executed,
                        isSwitching: !work.executed.isEmpty)
                } ?? ["its evidence cannot be read"]
            if let end = work.row.validUntil, end <= work.snapshot.time { changes.append("it was valid until \(end)") }
            changes += try self.lapses(&connection)
            guard changes.isEmpty else {
                try self.stop(&work, changes, &connection)
                return .failure(.conflict("the approval is void: \(changes.joined(separator: "; "))"))
            }
            let fresh = try self.judge(work, by: actor, occasion: "issue", &connection)
            guard fresh.verdict.verdict <= .approveWithConditions else {
                try self.stop(&work, ["verdict \(fresh.id) is \(fresh.verdict.verdict.rawValue)"], &connection)
                return .failure(
                    .conflict("verdict \(fresh.id) is \(fresh.verdict.verdict.rawValue): \(Self.worst(fresh.verdict))"))
            }
            let overtaking = try self.overtaking(fresh, work, &connection)
            guard overtaking.isEmpty else {
                try self.stop(&work, overtaking, &connection)
                return .failure(.conflict("the approval is void: \(overtaking.joined(separator: "; "))"))
            }
            let met = try Self.met(work.row, fresh.verdict, &connection)
            let due = Condition.of(fresh.verdict).filter { $0.isDue(before: sequence) && met[$0.key] == nil }
            guard due.isEmpty else {
                return .failure(
                    .conflict("to be met first: \(due.map { "\($0.check) \($0.text)" }.joined(separator: " "))"))
            }
            let before = self.validator.network.switches.firstIndex { $0.id == step.element }
                .map { work.snapshot.positions[$0] }
            try SwitchingStore.issue(work.row, sequence, before: before, by: actor, &connection)
            try SwitchingStore.rebase(
                id, verdict: fresh.id, validUntil: fresh.verdict.validUntil,
                evidence: Self.text(fresh.verdict.evidence),
                &connection)
            if next != work.row.state { try SwitchingStore.move(id, to: next, &connection) }
            try AuditLog.append(
                actor: actor, "step.issued", subject: id, Issued(step: step, verdict: fresh.id), &connection)
            return .success(try Self.view(id, &connection))
        }
    }

    /// Why approvals may have missed something, whatever their evidence says now.
    func lapses(_ connection: inout PostgresConnection) throws(StoreError) -> [String] {
        var found: [String] = []
        let unwatched = try SwitchingStore.unwatched(&connection)
        if unwatched > watchGap {
            found.append(
                unwatched.isFinite
                    ? "nobody watched its evidence for \(Int(min(unwatched, 1e8))) s"
                    : "nobody knows how long its evidence was not watched")
        }
        clock.look()
        if let step = clock.step { found.append("the clock was set by \(Int(step.rounded())) s") }
        return found
    }

    /// Whether a step stands in the free group that comes next.
    private static func isFree(_ sequence: Int, _ open: [SwitchingPlan.Step]) -> Bool {
        guard let group = open.first?.freeGroup else { return false }
        return open.prefix { $0.freeGroup == group }.contains { $0.sequence == sequence }
    }

    /// Takes the approval away.
    func stop(
        _ work: inout Work, _ reasons: [String], _ connection: inout PostgresConnection
    ) throws(StoreError) {
        guard case .moved(let next) = PlanLifecycle.outcome(of: .evidenceChanged, in: work.row.state) else { return }
        let reason = reasons.joined(separator: "; ")
        try SwitchingStore.move(work.row.id, to: next, reason: reason, &connection)
        try AuditLog.append(
            actor: "validator", "plan.\(next.rawValue)", subject: work.row.id, ["reason": reason], &connection)
        work.row.state = next
    }

    /// - Parameter found: where the switch stood when it was reached; `nil`: as expected.
    func executed(_ id: String, step sequence: Int, found: SwitchPosition?, note: String, actor: String) throws
        -> String
    {
        var moves: SwitchRecord?
        let answer = try act("plan.execute", by: actor, on: id) {
            connection throws(StoreError) -> Result<String, Refusal> in
            var work: Work
            switch try self.work(id, &connection) {
            case .failure(let refusal): return .failure(refusal)
            case .success(let found): work = found
            }
            guard let step = work.plan.steps.first(where: { $0.sequence == sequence }) else {
                return .failure(.unknown("plan \(id) has no step \(sequence)"))
            }
            guard let issued = work.steps.first(where: { $0.sequence == sequence }) else {
                return .failure(.conflict("step \(sequence) was not issued"))
            }
            guard issued.isPending else {
                return .failure(
                    .conflict(
                        issued.place != nil
                            ? "step \(sequence) is done already"
                            : "step \(sequence) was not done, its switch was found otherwise: issue it again first"))
            }
            guard case .moved = PlanLifecycle.outcome(of: .executed, in: work.row.state) else {
                return .failure(Self.refusal(.executed, work.row.state))
            }
            if let found, step.action.movesSwitch, let before = issued.before, found != before {
                guard case .moved(let next) = PlanLifecycle.outcome(of: .foundOtherwise, in: work.row.state) else {
                    return .failure(Self.refusal(.foundOtherwise, work.row.state))
                }
                let reason =
                    "T2: \(step.element) was found \(found.name), expected \(before.name): step \(sequence) was not done"
                try SwitchingStore.move(id, to: next, reason: reason, &connection)
                moves = try self.position(step.element, found, actor: actor, reason: reason, &connection)
                try SwitchingStore.execute(work.row, sequence, place: nil, by: actor, note: note, &connection)
                try AuditLog.append(
                    actor: actor, "step.found_otherwise", subject: id,
                    Done(step: step, found: found.name, note: note), &connection)
                return .success(try Self.view(id, &connection))
            }
            // What changed outside the plan is not taken over with the step.
            let masked = work.snapshot.masking(work.issued, self.validator.network)
            if work.row.state.rests, let evidence = work.evidence {
                let changes = self.validator.changes(
                    since: evidence, work.plan, masked, executed: work.executed, isSwitching: true,
                    issued: Set(work.issued.map(\.step.element)))
                if !changes.isEmpty { try self.stop(&work, changes, &connection) }
            }
            let after = masked.applying(
                step, of: work.plan, executed: work.executed, self.validator.network)
            let position = self.validator.network.switches.firstIndex { $0.id == step.element }
                .map { after.positions[$0] }
            let acts: Int64
            switch try self.apply(step, position, id, actor: actor, &moves, &connection) {
            case .refused(let reason): return .failure(.conflict(reason))
            case .done(let count): acts = count
            }
            try SwitchingStore.execute(
                work.row, sequence, place: work.executed.count + 1, by: actor, note: note, &connection)
            try AuditLog.append(
                actor: actor, "step.executed", subject: id, Done(step: step, found: found?.name, note: note),
                &connection)
            if var evidence = work.evidence {
                evidence.switchStateHash = after.switchStateHash
                evidence.safetyHash = after.safetyHash
                evidence.activity?.register += acts
                if let moves { evidence.activity?.ownMoves[moves.id] = moves.moves }
                try SwitchingStore.rebase(
                    id, verdict: nil, validUntil: nil, evidence: Self.text(evidence), &connection)
            }
            if work.executed.count + 1 == work.plan.steps.count,
                case .moved(let end) = PlanLifecycle.outcome(of: .completed, in: work.row.state)
            {
                try SwitchingStore.move(id, to: end, &connection)
                try AuditLog.append(
                    actor: actor, "plan.completed", subject: id, ["steps": "\(work.plan.steps.count)"], &connection)
                let verdict = try SwitchingStore.newestVerdict(work.row, &connection)?.verdict
                for condition in verdict.map(Condition.of) ?? [] {
                    guard let hours = condition.dueHours else { continue }
                    try DueConditions.add(
                        work.row, key: condition.key, text: condition.remedy ?? condition.text, hours: hours,
                        &connection)
                }
            }
            return .success(try Self.view(id, &connection))
        }
        if let moves { moved(moves) }
        return answer
    }

    /// - Returns: the switch as it is on record now; `nil`: the network has no such switch.
    private func position(
        _ element: String, _ position: SwitchPosition, actor: String, reason: String,
        _ connection: inout PostgresConnection
    ) throws(StoreError) -> SwitchRecord? {
        guard let area = areaOf(element) else { return nil }
        let outcome = try SwitchStore.state(
            element, area: area, position: position, at: nil, now: now(), actor: actor, reason: reason, &connection)
        switch outcome {
        case .taken(let record): return record
        case .refused(let reason): throw StoreError(.conflict, "state switch position", message: reason)
        }
    }

    /// What a step changes in positions and register.
    private func apply(
        _ step: SwitchingPlan.Step, _ position: SwitchPosition?, _ id: String, actor: String,
        _ moves: inout SwitchRecord?, _ connection: inout PostgresConnection
    ) throws(StoreError) -> SafetyRegister.Outcome {
        let reason = "plan \(id), step \(step.sequence)"
        func place(
            _ kind: SafetyRegister.Kind, _ value: String, _ connection: inout PostgresConnection
        ) throws(StoreError) -> SafetyRegister.Outcome {
            try SafetyRegister.place(
                kind, on: step.element, value: value, actor: actor, reason: reason, plan: id, &connection)
        }
        func remove(
            _ kind: SafetyRegister.Kind, _ value: String?, _ connection: inout PostgresConnection
        ) throws(StoreError) -> SafetyRegister.Outcome {
            try SafetyRegister.remove(
                kind, from: step.element, value: value, actor: actor, reason: reason, plan: id, &connection)
        }
        switch step.action {
        case .open, .close:
            guard let position else { return .refused("there is no switch \(step.element)") }
            moves = try self.position(step.element, position, actor: actor, reason: reason, &connection)
            return .done(acts: 0)
        case .placeTag: return try place(.tag, step.value ?? "HOLD", &connection)
        case .removeTag: return try remove(.tag, step.value, &connection)
        case .placeGround: return try place(.ground, "", &connection)
        case .removeGround: return try remove(.ground, nil, &connection)
        case .issueClearance: return try place(.clearance, step.value ?? "", &connection)
        case .releaseClearance: return try remove(.clearance, step.value, &connection)
        case .disableReclosing: return try place(.reclosingDisabled, "", &connection)
        case .enableReclosing: return try remove(.reclosingDisabled, nil, &connection)
        case .verify, .control, .text: return .done(acts: 0)
        }
    }
}
