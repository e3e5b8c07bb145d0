internal import Foundation
public import GridModel
internal import ServiceKit

/// What the switching routes need. Each answer is JSON; what is refused is an ``APIError``, and recorded.
public protocol SwitchingBackend: Sendable {
    /// The verdict on a plan, given as JSON, on the network as it is now; only the audit log keeps it.
    func judge(plan: [UInt8], actor: String) throws -> String
    /// The network after each of its steps; nothing is recorded.
    func picture(plan: [UInt8]) throws -> String
    func picture(ofKept id: String) throws -> String
    /// - Parameter id: of a kept plan, for a new version of it; `nil`: a new plan.
    /// - Parameter account: that the plan's author must be; `nil`: there are no accounts.
    func keep(plan: [UInt8], id: String?, actor: String?, account: String?) throws -> String
    func plans(state: String?, offset: Int, limit: Int) throws -> [String]
    func plan(_ id: String) throws -> String?
    /// What is open after completed plans, the oldest first.
    func due() throws -> [String]
    func act(_ action: PlanAction, on id: String, actor: String) throws -> String
    func safetyItems() throws -> String
    func act(_ action: SafetyAction, actor: String) throws -> String
    func audit(from: Timestamp?, until: Timestamp?, subject: String?, after: Int64, limit: Int) throws -> [String]
}

public enum PlanAction: Sendable {
    case validate
    /// `verdict`: number of the one that was seen.
    case approve(verdict: Int64)
    case cancel(reason: String)
    case meet(condition: String, evidence: String)
    case override(finding: String, role: String, reason: String, until: Timestamp?)
    case issue(step: Int)
    /// `found`: where the switch stood when it was reached.
    case executed(step: Int, found: SwitchPosition?, note: String)
}

public enum SafetyAction: Sendable {
    case declare(reason: String)
    case place(kind: String, element: String, value: String, reason: String)
    case remove(id: Int64, reason: String)
    /// A clearance, to another holder.
    case transfer(id: Int64, to: String, reason: String)
}

extension Router {
    private struct Body: Decodable {
        var actor: String?
        var verdict: Int64?
        var reason: String?
        var key: String?
        var evidence: String?
        var role: String?
        var expires_at: Timestamp?
        var found: SwitchPosition?
        var note: String?
        var kind: String?
        var element: String?
        var value: String?
        var to: String?

        func needed<Value>(_ value: Value?, _ name: String) throws -> Value {
            guard let value else { throw APIError.badRequest("field \(name) is missing") }
            // Blanks are no reason, no evidence and nobody's name.
            if let text = value as? String, text.allSatisfy(\.isWhitespace) {
                throw APIError.badRequest("field \(name) is empty")
            }
            return value
        }
    }

    /// `/v1/switching/…`; `nil`: there is no such path.
    func switching(_ method: String, _ path: [String], _ request: Request) throws -> Response? {
        let query = Query(request.query)
        switch (method, path.count, path.first) {
        case ("POST", 1, "validate"):
            return .json(try backend.judge(plan: request.body, actor: try actor(request, nil)))
        case ("POST", 1, "network"): return .json(try backend.picture(plan: request.body))
        case ("GET", 3, "plans") where path[2] == "network":
            return .json(try backend.picture(ofKept: path[1]))
        case ("GET", 1, "plans"):
            let (offset, limit) = try query.page(standard: 200)
            let items = try backend.plans(state: query.text("state"), offset: offset, limit: limit + 1)
            return list(Array(items.prefix(limit)), next: items.count > limit ? offset + limit : nil)
        case ("POST", 1, "plans"):
            return .json(
                try backend.keep(
                    plan: request.body, id: nil, actor: try named(request), account: request.identity?.name),
                status: 201)
        case ("GET", 1, "due"): return list(try backend.due(), next: nil)
        case ("GET", 2, "plans"): return .json(try found(backend.plan(path[1]), "plan \(path[1])"))
        case ("PUT", 2, "plans"):
            return .json(
                try backend.keep(
                    plan: request.body, id: path[1], actor: try named(request), account: request.identity?.name))
        case ("POST", 3, "plans"), ("POST", 5, "plans"):
            let body: Body = try decode(request.body)
            guard let action = try action(Array(path.dropFirst(2)), body) else { return nil }
            if case .override(_, let role, _, _) = action { try check(role, request.identity) }
            return .json(try backend.act(action, on: path[1], actor: try actor(request, body.actor)))
        default: return nil
        }
    }

    /// Nobody overrides in a role that is not theirs; what somebody saw on site, an operator reports.
    private func check(_ role: String, _ identity: Identity?) throws {
        guard let identity, role != identity.role.rawValue, role != "field" || identity.role != .operator else {
            return
        }
        throw APIError(403, "Forbidden", "role: \(identity.name) has the role \(identity.role.rawValue), not \(role)")
    }

    private func action(_ path: [String], _ body: Body) throws -> PlanAction? {
        switch (path.count, path.first) {
        case (1, "validate"): return .validate
        case (1, "approve"):
            return .approve(verdict: try body.needed(body.verdict, "verdict (its number, as it was seen)"))
        case (1, "cancel"): return .cancel(reason: try body.needed(body.reason, "reason"))
        case (1, "conditions"):
            return .meet(
                condition: try body.needed(body.key, "key"), evidence: try body.needed(body.evidence, "evidence"))
        case (1, "overrides"):
            return .override(
                finding: try body.needed(body.key, "key"), role: try body.needed(body.role, "role"),
                reason: try body.needed(body.reason, "reason"), until: body.expires_at)
        case (3, "steps"):
            guard let step = Int(path[1]) else {
                throw APIError.badRequest("step: expected its number, got \(path[1])")
            }
            switch path[2] {
            case "issue": return .issue(step: step)
            case "executed": return .executed(step: step, found: body.found, note: body.note ?? "")
            default: return nil
            }
        default: return nil
        }
    }

    /// `/v1/safety…`: the register of tags, grounds and clearances.
    func safety(_ method: String, _ path: [String], _ request: Request) throws -> Response? {
        if method == "GET", path.isEmpty { return .json(try backend.safetyItems()) }
        guard method == "POST" else { return nil }
        let body: Body = try decode(request.body)
        let actor = try actor(request, body.actor)
        switch (path.count, path.first) {
        case (0, _):
            return .json(
                try backend.act(
                    .place(
                        kind: try body.needed(body.kind, "kind"), element: try body.needed(body.element, "element"),
                        value: body.value ?? "", reason: body.reason ?? ""), actor: actor), status: 201)
        case (1, "declare"):
            return .json(try backend.act(.declare(reason: try body.needed(body.reason, "reason")), actor: actor))
        case (2, _) where path[1] == "remove" || path[1] == "transfer":
            guard let id = Int64(path[0]) else {
                throw APIError.badRequest("expected an item's number, got \(path[0])")
            }
            let reason = try body.needed(body.reason, "reason")
            guard path[1] == "transfer" else {
                return .json(try backend.act(.remove(id: id, reason: reason), actor: actor))
            }
            let holder = try body.needed(body.to, "to (the new holder)")
            if let complaint = Identifier.complaint(holder) { throw APIError.badRequest("to: \(complaint)") }
            return .json(try backend.act(.transfer(id: id, to: holder, reason: reason), actor: actor))
        default: return nil
        }
    }

    func audit(_ request: Request) throws -> Response {
        let query = Query(request.query)
        let (_, limit) = try query.page(standard: 500)
        let after = query.text("cursor").flatMap { Int64($0) } ?? 0
        let items = try backend.audit(
            from: try query.time("from"), until: try query.time("until"), subject: query.text("subject"), after: after,
            limit: limit + 1)
        // The cursor is the number of the last record shown.
        let next = items.count > limit ? items[limit - 1].firstMatch(of: /"number":(\d+)/).flatMap { Int($0.1) } : nil
        return list(Array(items.prefix(limit)), next: next)
    }

    private func named(_ request: Request) throws -> String? {
        request.headers["x-backfeed-actor"] == nil && request.identity == nil ? nil : try actor(request, nil)
    }
}
