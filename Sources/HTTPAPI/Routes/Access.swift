internal import Foundation
public import GridModel
internal import ServiceKit

/// Who asks, once that is known.
public struct Identity: Sendable, Equatable {
    public var name: String
    public var role: Role
    /// For which an operator answers; empty: for all.
    public var desks: [String]
    /// By the console's cookie, which a browser sends by itself: what changes something then needs another proof.
    public var isSession: Bool
    /// What tells whether this is still so later, for a stream that goes on: the digest of token or session.
    public var digest: String

    public init(name: String, role: Role, desks: [String] = [], isSession: Bool, digest: String = "") {
        self.name = name
        self.role = role
        self.desks = desks
        self.isSession = isSession
        self.digest = digest
    }
}

/// What a request brings along to say who asks.
public enum Credential: Sendable, Equatable {
    case token(String)
    case session(String)
}

/// What accounts need. Without any, nobody is asked, and the service is on loopback only.
public protocol AccessBackend: Sendable {
    func hasAccounts() throws -> Bool
    /// `nil`: it is not valid, or no longer.
    func identity(of credential: Credential) throws -> Identity?
    /// Opens a session; what the browser had before ends.
    ///
    /// - Returns: the session's secret.
    func logIn(_ name: String, password: String, from address: String, replacing old: String?) throws -> String
    func logOut(_ session: String) throws
}

/// Which role may do what. What a role may do with an advisory, its lifecycle says.
enum Permissions {
    private static let acting: Set<Role> = [.operator, .supervisor]
    private static let planning: Set<Role> = [.operator, .engineer, .supervisor]
    private static let judging: Set<Role> = [.operator, .engineer, .supervisor, .machine]

    static func roles(_ method: String, _ path: [String]) -> Set<Role> {
        if method == "GET" { return Set(Role.allCases) }
        switch (method, path.count, path.first) {
        case ("POST", 3, "advisories"): return Set(Role.allCases)
        // Positions come from people, and from the control system.
        case ("PUT", 3, "network"): return [.operator, .supervisor, .machine]
        case ("POST", 2, "switching"): return path[1] == "plans" ? planning : judging
        case ("PUT", 3, "switching"): return planning
        // Each in the role that is theirs, see `check(_:_:)`: an override takes a supervisor and an engineer.
        case ("POST", 4, "switching") where ["validate", "cancel", "overrides"].contains(path[3]): return planning
        case ("POST", _, "switching"), ("POST", _, "safety"): return acting
        default: return []
        }
    }
}

extension Router {
    /// Name of the console's cookie. Behind TLS no other host or path can have set it.
    static func cookieName(isSecure: Bool) -> String { isSecure ? "__Host-backfeed" : "backfeed" }

    private static func isSecure(_ request: Request) -> Bool { request.headers["x-forwarded-proto"] == "https" }

    static func session(of request: Request) -> String? {
        let name = cookieName(isSecure: isSecure(request))
        let found = (request.headers["cookie"] ?? "").split(separator: ";").compactMap { part -> String? in
            let pair = part.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return pair.count == 2 && pair[0] == name ? String(pair[1]) : nil
        }
        // Two of one name: somebody has put one beside ours.
        return found.count == 1 ? found[0] : nil
    }

    /// - Returns: `nil`: there are no accounts.
    /// - Throws: 401 when it is not known who asks.
    func identify(_ request: Request) throws -> Identity? {
        guard try backend.hasAccounts() else {
            // Without accounts who is on the machine may do everything; who comes through the proxy is not.
            let ofProxies = ["x-real-ip", "x-forwarded-proto", "x-forwarded-for", "forwarded", "via"]
            guard ofProxies.allSatisfy({ request.headers[$0] == nil }) else {
                throw APIError(
                    403, "Forbidden",
                    "there are no accounts yet: backfeed access add-user, on the machine; until then nobody is served through a proxy"
                )
            }
            return nil
        }
        let credential: Credential
        if let header = request.headers["authorization"] {
            let words = header.split(separator: " ", maxSplits: 1)
            guard words.count == 2, words[0].lowercased() == "bearer" else {
                throw Self.unauthorised("Authorization: expected Bearer and a token")
            }
            credential = .token(String(words[1]))
        } else if let session = Self.session(of: request) {
            credential = .session(session)
        } else {
            throw Self.unauthorised("log in, or send a token (Authorization: Bearer …)")
        }
        guard let identity = try backend.identity(of: credential) else {
            throw Self.unauthorised("the token or session is unknown, expired or revoked")
        }
        return identity
    }

    private static func unauthorised(_ detail: String) -> APIError { APIError(401, "Unauthorized", detail) }

    /// Whether somebody may do this, and really wants it.
    func permit(_ identity: Identity, _ request: Request, _ method: String, _ path: [String]) throws {
        let roles = Permissions.roles(method, path)
        guard roles.contains(identity.role) else {
            let names = roles.map(\.rawValue).sorted().joined(separator: ", ")
            throw APIError(
                403, "Forbidden",
                roles.isEmpty
                    ? "no role may do this"
                    : "this needs the role \(names); \(identity.name) has \(identity.role.rawValue)")
        }
        // A form of another site cannot send this header, and a script of another site is not let.
        if method != "GET", identity.isSession, request.headers["x-requested-with"] == nil {
            throw APIError(403, "Forbidden", "X-Requested-With is missing: with a session it must be sent")
        }
    }

    private struct LoginBody: Decodable {
        var user, password: String
    }

    /// `/v1/session`: `nil`: another path.
    func session(_ method: String, _ request: Request) throws -> Response? {
        switch method {
        case "GET":
            guard let identity = try identify(request) else { return .json("{\"accounts\":false}") }
            let desks = identity.desks.map(JSONText.quoted).joined(separator: ",")
            return .json(
                "{\"accounts\":true,\"user\":\(JSONText.quoted(identity.name)),\"role\":\(JSONText.quoted(identity.role.rawValue)),\"desks\":[\(desks)]}"
            )
        case "POST":
            guard try backend.hasAccounts() else {
                throw APIError(409, "Conflict", "there are no accounts: backfeed access add-user makes the first")
            }
            let body: LoginBody = try decode(request.body)
            let secret = try backend.logIn(
                body.user, password: body.password, from: request.headers["x-real-ip"] ?? "local",
                replacing: Self.session(of: request))
            var response = Response.json("{\"user\":\(JSONText.quoted(body.user))}")
            response.headers.append(("Set-Cookie", Self.cookie(secret, request)))
            return response
        case "DELETE":
            if let secret = Self.session(of: request) { try backend.logOut(secret) }
            var response = Response.json("{}")
            response.headers.append(("Set-Cookie", Self.cookie("", request) + "; Max-Age=0"))
            return response
        default: return nil
        }
    }

    private static func cookie(_ value: String, _ request: Request) -> String {
        let isSecure = isSecure(request)
        return
            "\(cookieName(isSecure: isSecure))=\(value); Path=/; HttpOnly; SameSite=Strict\(isSecure ? "; Secure" : "")"
    }
}
