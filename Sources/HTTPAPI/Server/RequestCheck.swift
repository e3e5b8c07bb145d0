/// The checks that libmicrohttpd does not make: what two servers in a row could read differently is refused.
///
/// RFC 9112 section 6.3: a message with both lengths, a repeated or malformed length, or an unknown transfer coding
/// "ought to be handled as an error"; it always is here, and the connection is closed.
public struct RequestCheck: Sendable {
    public var maximumBody: Int
    /// Hosts a request may name: names that resolve here by trickery (DNS rebinding) are not among them.
    public var hosts: Set<String>

    public init(maximumBody: Int, hosts: Set<String>) {
        self.maximumBody = maximumBody
        self.hosts = hosts
    }

    /// What is wrong with the head, or `nil`.
    public func complaint(method: String, version: String, headers: [(name: String, value: String)]) -> APIError? {
        guard ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"].contains(method) else {
            return APIError(501, "Not implemented", "method \(method.prefix(32)) is not known here")
        }
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
            return APIError(505, "HTTP version not supported", "expected HTTP/1.1")
        }
        var lengths: [String] = []
        var codings: [String] = []
        var hostNames: [String] = []
        for (name, value) in headers {
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isTokenByte) else {
                return .badRequest("a header name holds a character that is not allowed")
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 9 }) else {
                return .badRequest("header \(name) holds a control character")
            }
            switch name.lowercased() {
            case "content-length": lengths.append(value)
            case "transfer-encoding": codings.append(value)
            case "host": hostNames.append(value)
            default: break
            }
        }
        guard lengths.count <= 1 else { return .badRequest("Content-Length stands more than once") }
        guard codings.count <= 1 else { return .badRequest("Transfer-Encoding stands more than once") }
        guard lengths.isEmpty || codings.isEmpty else {
            return .badRequest("Content-Length and Transfer-Encoding exclude each other")
        }
        if let coding = codings.first, coding.lowercased() != "chunked" || version == "HTTP/1.0" {
            return .badRequest("Transfer-Encoding must be chunked")
        }
        if let length = lengths.first {
            guard !length.isEmpty, length.utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(length) else {
                return .badRequest("Content-Length must be a plain decimal number")
            }
            guard count <= maximumBody else {
                return APIError(413, "Content too large", "at most \(maximumBody) bytes are taken")
            }
        }
        guard hostNames.count == 1 || hostNames.isEmpty && version == "HTTP/1.0" else {
            return .badRequest("exactly one Host header is needed")
        }
        if let host = hostNames.first, !hosts.contains(Self.name(ofHost: host)) {
            return APIError(
                421, "Misdirected request", "host \(host.prefix(64)) is not served here; see setting http.hosts")
        }
        return nil
    }

    /// A page of another origin may not act in the name of who looks at it.
    public func complaint(crossSite headers: [String: String], method: String) -> APIError? {
        // No other method changes anything: the router refuses it.
        guard ["POST", "PUT", "DELETE"].contains(method) else { return nil }
        if let origin = headers["origin"] {
            guard let host = headers["host"], origin == "http://\(host)" || origin == "https://\(host)" else {
                return APIError(403, "Forbidden", "a request that changes something must come from this origin")
            }
        }
        if let site = headers["sec-fetch-site"], site != "same-origin", site != "none" {
            return APIError(403, "Forbidden", "a request that changes something must come from this origin")
        }
        return nil
    }

    static func name(ofHost value: String) -> String {
        if value.hasPrefix("[") { return String(value.prefix { $0 != "]" }) + "]" }
        return String(value.prefix { $0 != ":" }).lowercased()
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        case UInt8(ascii: "!"), 35...39, 42, 43, 45, 46, 94...96, 124, 126: true
        default: false
        }
    }
}
