internal import ServiceKit

/// A request that has passed every check of form: complete, unambiguous, within the limits.
public struct Request: Sendable {
    public var method: String
    /// Decoded path segments; no empty ones, none that starts with a dot.
    public var path: [String]
    public var query: [String: String]
    /// Lower-case names.
    public var headers: [String: String]
    public var body: [UInt8]
    /// Who asks; `nil`: there are no accounts.
    public var identity: Identity?

    public init(
        method: String, path: [String], query: [String: String] = [:], headers: [String: String] = [:],
        body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }
}

public struct Response: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// A stream of server-sent events: what is missed so far, then what comes. `after`: number of the last event
        /// that the client had; -1: it asks for nothing past. `digest`: of whoever may read it as long as that is valid.
        case events(backlog: [EventFrame], after: Int64, digest: String)
        /// Made while it is sent.
        case stream(ByteStream)
    }

    public var status: UInt32
    public var headers: [(name: String, value: String)]
    public var body: Body

    public init(status: UInt32 = 200, headers: [(name: String, value: String)] = [], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public static func text(_ text: String, type: String, status: UInt32 = 200) -> Self {
        Self(status: status, headers: [("Content-Type", type)], body: .bytes(Array(text.utf8)))
    }

    public static func json(_ text: String, status: UInt32 = 200) -> Self {
        Self.text(text, type: "application/json", status: status)
    }
}

/// What went wrong, as RFC 9457 problem details.
public struct APIError: Error, Sendable {
    public var status: UInt32
    public var title: String
    public var detail: String
    /// Methods that the path takes, of a 405.
    public var allowed: [String] = []

    public init(_ status: UInt32, _ title: String, _ detail: String) {
        self.status = status
        self.title = title
        self.detail = detail
    }

    public static func notFound(_ what: String) -> Self { Self(404, "Not found", what) }
    public static func methodNotAllowed(_ allowed: [String]) -> Self {
        var error = Self(405, "Method not allowed", "this path takes \(allowed.joined(separator: ", "))")
        error.allowed = allowed
        return error
    }
    public static func badRequest(_ what: String) -> Self { Self(400, "Bad request", what) }

    /// Problem details, RFC 9457.
    public var document: String {
        "{\"type\":\"about:blank\",\"title\":\(JSONText.quoted(title)),\"status\":\(status),"
            + "\"detail\":\(JSONText.quoted(detail))}"
    }

    public var response: Response {
        var response = Response.json(document, status: status)
        response.headers = [("Content-Type", "application/problem+json")]
        if !allowed.isEmpty { response.headers.append(("Allow", allowed.joined(separator: ", "))) }
        return response
    }
}

/// One server-sent event, encoded once for all clients.
public struct EventFrame: Sendable {
    /// Events that one answer takes from the store; a client further behind comes back for more.
    public static let backlogLimit = 10_000

    public let event: String
    /// Number of an advisory event; 0 for what is not replayed (heartbeats, heads): only the newest of it is worth sending.
    public var sequence: Int64
    public var bytes: [UInt8]

    public init(event: String, sequence: Int64 = 0, data: String) {
        self.event = event
        self.sequence = sequence
        let id = sequence > 0 ? "id: \(sequence)\n" : ""
        bytes = Array("\(id)event: \(event)\ndata: \(data)\n\n".utf8)
    }
}
