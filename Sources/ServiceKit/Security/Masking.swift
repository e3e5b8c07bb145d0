internal import Foundation

/// Connection strings and addresses as people may see them: in `backfeed settings`, errors, logs and the audit log.
public enum Masking {
    public static let mask = "***"
    private static let secretNames = ["password", "passwd", "secret", "token"]

    private static func isSecret(_ name: some StringProtocol) -> Bool {
        let name = name.lowercased()
        return secretNames.contains { name.contains($0) }
    }

    /// Whatever a text is: what looks like a password in it is masked.
    public static func text(_ text: String) -> String {
        hide(text, secrets(in: text))
    }

    /// `https://host/…`: of an address that may carry a secret anywhere, only where it leads.
    public static func origin(ofURL text: String) -> String {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, let host = parts.host else {
            return mask
        }
        return "\(scheme)://\(host)\(parts.port.map { ":\($0)" } ?? "")/…"
    }

    /// The text without the secrets.
    public static func hide(_ text: String, _ secrets: [String]) -> String {
        // The longest first: one may be a part of another.
        secrets.sorted { $0.count > $1.count }.reduce(text) { text, secret in
            secret.isEmpty ? text : text.replacing(secret, with: mask)
        }
    }

    /// Passwords in a libpq connection string, a URI, or several of them; empty: none was found.
    public static func secrets(in text: String) -> [String] {
        var found = ofURIs(text)
        found += ofPairs(text)
        return found.filter { !$0.isEmpty }
    }

    /// The passwords of URIs: the text between the first colon and the last at-sign of `scheme://user:password@host`,
    /// one URI per word.
    private static func ofURIs(_ text: String) -> [String] {
        text.split(separator: " ").compactMap { word in
            guard let start = word.range(of: "://")?.upperBound, let end = word[start...].lastIndex(of: "@") else {
                return nil
            }
            let user = word[start..<end]
            return user.firstIndex(of: ":").map { String(user[user.index(after: $0)...]) }
        }
    }

    /// Values of `password = '…'`, `password=…` and `&password=…`.
    private static func ofPairs(_ text: String) -> [String] {
        var found: [String] = []
        var rest = text[...]
        while let equals = rest.firstIndex(of: "=") {
            let name = rest[..<equals].reversed().drop { $0 == " " }.prefix { $0.isLetter || $0 == "_" || $0 == "." }
            let after = rest[rest.index(after: equals)...].drop { $0 == " " }
            var value = ""
            if after.first == "'" {
                var isEscaped = false
                for character in after.dropFirst() {
                    if character == "'", !isEscaped { break }
                    isEscaped = character == "\\" && !isEscaped
                    value.append(character)
                }
            } else {
                value = String(after.prefix { $0 != " " && $0 != "&" })
            }
            if isSecret(String(name.reversed())) { found.append(value) }
            rest = rest[rest.index(after: equals)...]
        }
        return found
    }

    /// Overwrites passwords in the words that this program was called with: they stand in the machine's list of processes. Call when
    /// they have been read.
    public static func scrubArguments() {
        for place in 0..<Int(CommandLine.argc) {
            guard let word = CommandLine.unsafeArgv[place] else { continue }
            for secret in secrets(in: String(cString: word)) where !secret.allSatisfy({ $0 == "*" }) {
                while let found = strstr(word, secret) { memset(found, Int32(UInt8(ascii: "*")), secret.utf8.count) }
            }
        }
    }
}
