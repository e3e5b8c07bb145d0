internal import Foundation
internal import Glibc
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// Who may publish. The key table lives in the database: with a private cluster, run these while the service runs.
enum AccessCommands {
    static let addPublisher = Command(
        "access add-publisher", operands: "NAME", "let an aggregator publish",
        detail: """
            Makes a key pair, registers its public part, and writes the pair with the service's public key to --key-file,
            for the aggregator alone. With --public-key the aggregator keeps its secret and only the public part comes here.
            A running service lets the key in within two seconds. Needs telemetry.security = curve to have an effect.
            """,
        options: [
            Option("key-file", "FILE", "where the pair is written (default NAME.key)"),
            Option("public-key", "KEY", "register this key (Z85, 40 characters) instead of making one"),
        ]
    ) { invocation in
        let name = try invocation.arguments.operand(0, "NAME of the aggregator")
        if let complaint = Identifier.complaint(name) { throw UsageError("NAME: \(complaint)") }
        let server = try ServerKey.load(invocation.settings, dataDirectory: invocation.dataDirectory)
        if let key = invocation.arguments.text("public-key") {
            guard CurveKeyPair.isKey(key) else {
                throw UsageError("--public-key: expected 40 characters of Z85, got \"\(key)\"")
            }
            guard try with(invocation, { keys throws in try keys.add(name, publicKey: key, by: actor) }) else {
                throw UsageError("--public-key: this key is known already, and a revoked key does not come back")
            }
            say("\(name) may publish with key \(key)\nserver_key = \"\(server.publicKey)\"")
            return .done
        }
        let path = invocation.arguments.text("key-file") ?? "\(name.replacing("/", with: "_")).key"
        let file = KeyFile(aggregator: name, own: try CurveKeyPair.make(), serverKey: server.publicKey)
        try file.write(to: path)
        do {
            guard try with(invocation, { keys throws in try keys.add(name, publicKey: file.own.publicKey, by: actor) })
            else { throw UsageError("this key is known already") }
        } catch {
            unlink(path)
            throw error
        }
        say("\(name) may publish with the key in \(path); give the file to the aggregator and keep no copy")
        return .done
    }

    static let list = Command("access list", "list the keys of aggregators") { invocation in
        let entries = try with(invocation) { keys throws in try keys.list() }
        say(
            table(
                ["aggregator", "public key", "added", "by", "state"],
                entries.map {
                    [
                        $0.aggregator, $0.publicKey, $0.addedAt.map { "\($0)" } ?? "", $0.addedBy,
                        $0.revokedAt.map { "revoked \($0)" } ?? "valid",
                    ]
                }))
        return .done
    }

    static let revoke = Command(
        "access revoke", operands: "NAME|KEY", "take an aggregator's keys, or one key, back",
        detail: "A running service refuses the key within two seconds, on open connections too."
    ) { invocation in
        let name = try invocation.arguments.operand(0, "NAME of the aggregator, or a public key")
        let count = try with(invocation) { keys throws in try keys.revoke(name, by: actor) }
        say(count == 0 ? "no valid key of \(name)" : "revoked \(count) \(count == 1 ? "key" : "keys") of \(name)")
        return count == 0 ? .negative : .done
    }

    private static var actor: String { getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "unknown" }

    private static func with<R>(_ invocation: Invocation, _ body: (inout PublisherKeys) throws -> R) throws -> R {
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.closeUnlessShared() }
        var keys = PublisherKeys(conninfo: database.conninfo)
        return try body(&keys)
    }
}
