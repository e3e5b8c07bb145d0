internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

extension ServiceBackend {
    func judge(plan: [UInt8], actor: String) throws -> String { try desk.judge(plan, actor: actor) }

    func picture(plan: [UInt8]) throws -> String { try desk.picture(plan) }

    func picture(ofKept id: String) throws -> String { try desk.picture(ofKept: id) }

    func keep(plan: [UInt8], id: String?, actor: String?, account: String?) throws -> String {
        try desk.keep(plan, id: id, actor: actor, account: account)
    }

    func plans(state: String?, offset: Int, limit: Int) throws -> [String] {
        guard let state else { return try desk.list(states: PlanState.allCases, offset: offset, limit: limit) }
        guard let wanted = PlanState(rawValue: state) else {
            let states = PlanState.allCases.map(\.rawValue).joined(separator: ", ")
            throw APIError.badRequest("state: expected one of \(states)")
        }
        return try desk.list(states: [wanted], offset: offset, limit: limit)
    }

    func plan(_ id: String) throws -> String? { try desk.plan(id) }

    func due() throws -> [String] {
        try desk.sessions.connected { connection throws(StoreError) in
            try DueConditions.open(&connection).map(JSONCoding.encode)
        }
    }

    func act(_ action: PlanAction, on id: String, actor: String) throws -> String {
        switch action {
        case .validate: return try desk.validate(id, actor: actor)
        case .approve(let verdict): return try desk.approve(id, verdict: verdict, actor: actor)
        case .cancel(let reason): return try desk.cancel(id, actor: actor, reason: reason)
        case .meet(let key, let evidence): return try desk.meet(id, key: key, evidence: evidence, actor: actor)
        case .override(let key, let name, let reason, let until):
            guard let role = Override.Role(rawValue: name) else {
                throw APIError.badRequest("role: expected supervisor, engineer or field, got \(name)")
            }
            return try desk.override(id, key: key, role: role, reason: reason, until: until, actor: actor)
        case .issue(let step): return try desk.issue(id, step: step, actor: actor)
        case .executed(let step, let found, let note):
            return try desk.executed(id, step: step, found: found, note: note, actor: actor)
        }
    }

    func safetyItems() throws -> String {
        try desk.sessions.connected { connection throws(StoreError) in try SafetyRegister.list(&connection) }
    }

    func act(_ action: SafetyAction, actor: String) throws -> String {
        switch action {
        case .declare(let reason):
            return try desk.act("safety.declare", by: actor, on: "register") { connection throws(StoreError) in
                try SafetyRegister.declare(actor: actor, reason: reason, &connection)
                return .success(try SafetyRegister.list(&connection))
            }
        case .place(let name, let element, let given, let reason):
            guard let kind = SafetyRegister.Kind(rawValue: name) else {
                let kinds = SafetyRegister.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw APIError.badRequest("kind: expected one of \(kinds), got \(name)")
            }
            let value = kind == .tag && given.isEmpty ? "HOLD" : given
            guard kind != .tag || ["HOLD", "HOTLINE"].contains(value) else {
                throw APIError.badRequest("value: expected HOLD or HOTLINE, got \(value)")
            }
            guard kind != .clearance || !value.allSatisfy(\.isWhitespace) else {
                throw APIError.badRequest("value: name the holder")
            }
            guard kind != .restriction || !value.isEmpty else {
                throw APIError.badRequest("value: say what is in force")
            }
            try check(element, kind)
            return try desk.act("safety.place", by: actor, on: element) { connection throws(StoreError) in
                let outcome = try SafetyRegister.place(
                    kind, on: element, value: value, actor: actor, reason: reason, plan: nil, &connection)
                if case .refused(let why) = outcome { return .failure(.conflict(why)) }
                return .success(try SafetyRegister.list(&connection))
            }
        case .transfer(let id, let holder, let reason):
            return try desk.act("safety.transfer", by: actor, on: "\(id)") { connection throws(StoreError) in
                guard let item = try SafetyRegister.item(id, &connection) else {
                    return .failure(.unknown("no item \(id) is in force"))
                }
                guard item.kind == .clearance else {
                    return .failure(.conflict("only a clearance has a holder, \(id) is a \(item.kind.rawValue)"))
                }
                guard item.value == actor else {
                    return .failure(
                        .conflict("S3: \(item.value) holds the clearance, \(actor) cannot hand it over"))
                }
                let outcome = try SafetyRegister.transfer(
                    item, to: holder, actor: actor, reason: reason, &connection)
                if case .refused(let why) = outcome { return .failure(.conflict(why)) }
                return .success(try SafetyRegister.list(&connection))
            }
        case .remove(let id, let reason):
            return try desk.act("safety.remove", by: actor, on: "\(id)") { connection throws(StoreError) in
                guard let item = try SafetyRegister.item(id, &connection) else {
                    return .failure(.unknown("no item \(id) is in force"))
                }
                if item.kind == .clearance, item.value != actor {
                    return .failure(.conflict("S3: \(item.value) holds the clearance, \(actor) cannot release it"))
                }
                let outcome = try SafetyRegister.remove(
                    item.kind, from: item.element, value: item.value, actor: actor, reason: reason, plan: nil,
                    &connection)
                if case .refused(let why) = outcome { return .failure(.conflict(why)) }
                return .success(try SafetyRegister.list(&connection))
            }
        }
    }

    /// Tags and reclosing belong to switches; grounds and clearances to nodes, lines and transformers; restrictions to a
    /// feeder or the whole network.
    private func check(_ element: String, _ kind: SafetyRegister.Kind) throws {
        let network = desk.validator.network
        let exists =
            switch kind {
            case .tag, .reclosingDisabled: network.switches.contains { $0.id == element }
            case .ground, .clearance:
                network.nodes.contains { $0.id == element } || network.lines.contains { $0.id == element }
                    || network.transformers.contains { $0.id == element }
            case .restriction:
                element == SafetyRegister.wholeNetwork || network.feeders.contains { $0.id == element }
            }
        let what =
            switch kind {
            case .tag, .reclosingDisabled: "switch"
            case .ground, .clearance: "node, line or transformer"
            case .restriction: "feeder"
            }
        let hint = kind == .restriction ? "; \"\(SafetyRegister.wholeNetwork)\" is all of them" : ""
        guard exists else { throw APIError.badRequest("element: there is no \(what) \(element)\(hint)") }
    }

    func audit(from: Timestamp?, until: Timestamp?, subject: String?, after: Int64, limit: Int) throws -> [String] {
        try desk.sessions.connected { connection throws(StoreError) in
            try AuditLog.read(
                from: from, until: until, subject: subject, after: after, limit: limit, &connection
            ).map(\.json)
        }
    }
}
