internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

/// Who is told of advisory events by HTTP.
enum WebhookCommands {
    static let add = Command(
        "webhook add", operands: "NAME URL", "have advisory events sent to an address",
        detail: """
            From now on each event (CloudEvents JSON) is sent by POST, in order, until it is taken (2xx), signed as Standard Webhooks
            has it; a running service begins within two seconds. Without --secret-file a secret is made and shown once.
            """,
        options: [
            Option("severity", "N", "of this severity and worse (default 3)"),
            Option("feeder", "F", "only of this feeder"),
            Option("secret-file", "FILE", "file with the secret: whsec_ and base64 of at least 16 bytes"),
        ]
    ) { invocation in
        let name = try invocation.arguments.operand(0, "NAME")
        if let complaint = Identifier.complaint(name) { throw UsageError("NAME: \(complaint)") }
        let url = try invocation.arguments.operand(1, "URL")
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty,
            parts.scheme == "https"
                || parts.scheme == "http" && ["127.0.0.1", "localhost", "[::1]", "::1"].contains(host)
        else { throw UsageError("URL: expected https://…, or http:// on this machine, got \"\(Masking.text(url))\"") }
        let severity = try invocation.arguments.number("severity", in: 1...4).map { Int($0) } ?? 3
        let given = try invocation.arguments.text("secret-file").map {
            try String(contentsOfFile: $0, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let secret = given ?? WebhookSignature.makeSecret()
        guard WebhookSignature.sign("", id: "", seconds: 0, secret: secret) != nil else {
            throw UsageError("--secret-file: expected whsec_ and base64 of at least 16 bytes")
        }
        let hook = Webhooks.Hook(
            name: name, url: url, secret: secret, severity: Severity(rawValue: severity) ?? .medium,
            feeder: invocation.arguments.text("feeder"))
        guard try with(invocation, { try $0.add(hook, by: NSUserName()) }) else {
            complain("there is a webhook \(name)")
            return .negative
        }
        say("\(name) is told\(given == nil ? "; secret, shown this once: \(secret)" : "")")
        return .done
    }

    static let list = Command("webhook list", "list webhooks, and how far each has come") { invocation in
        let entries = try with(invocation) { try $0.list() }
        say(
            table(
                ["webhook", "url", "severity", "feeder", "waiting", "dead letters", "delivered", "problem"],
                entries.map { entry in
                    [
                        entry.hook.name, Masking.text(entry.hook.url), "\(entry.hook.severity.rawValue)",
                        entry.hook.feeder ?? "all",
                        "\(entry.waiting)", "\(entry.deadLetters)", entry.deliveredAt.map { "\($0)" } ?? "-",
                        entry.problem ?? "-",
                    ]
                }))
        return .done
    }

    static let remove = Command("webhook remove", operands: "NAME", "send nothing to a webhook any more") {
        invocation in
        let name = try invocation.arguments.operand(0, "NAME")
        guard try with(invocation, { try $0.remove(name, by: NSUserName()) }) else {
            complain("there is no webhook \(name)")
            return .negative
        }
        say("\(name) is told no more")
        return .done
    }

    static let retry = Command(
        "webhook retry", operands: "NAME", "try the dead letters of a webhook again"
    ) { invocation in
        let name = try invocation.arguments.operand(0, "NAME")
        let count = try with(invocation) { try $0.retry(name) }
        say("\(count) dead letters of \(name) are tried again")
        return count == 0 ? .negative : .done
    }

    private static func with<R>(_ invocation: Invocation, _ body: (inout Webhooks) throws -> R) throws -> R {
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var webhooks = Webhooks(conninfo: database.conninfo)
        return try body(&webhooks)
    }
}
