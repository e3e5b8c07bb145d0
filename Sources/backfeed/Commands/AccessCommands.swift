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

    static let addUser = Command(
        "access add-user", operands: "NAME", "give somebody an account",
        detail: """
            From the first account on the service asks everybody who they are. Without --password-file a password is made and
            shown once. Roles: viewer looks; operator acknowledges, shelves, plans and switches; engineer plans and takes out of
            service; supervisor does what an operator may not alone; admin has no part in operation; machine is a program
            (tokens only). An operator with --desks answers for their feeders only: acknowledges, shelves and resets nothing else.
            """,
        options: [
            Option("role", "ROLE", Role.allCases.map(\.rawValue).joined(separator: "|")), passwordFile,
            Option("desks", "NAMES", "of an operator: desks of advisories.desks, separated by commas (default: all)"),
        ]
    ) { invocation in
        let name = try accountName(invocation)
        let text = invocation.arguments.text("role") ?? ""
        guard let role = Role(rawValue: text) else {
            throw UsageError(
                "--role: expected \(Role.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(text)\"")
        }
        let desks = try desks(invocation)
        guard desks.isEmpty || role == .operator else {
            throw UsageError("--desks: only an operator answers for desks; \(role.rawValue) does not")
        }
        let (password, isMade) = try role == .machine ? (nil, false) : password(invocation)
        let hash = password.map(Password.hash)
        guard try accounts(invocation, { try $0.add(name, role: role, desks: desks, password: hash, by: actor) }) else {
            complain("there is or was an account \(name): a name is not given twice")
            return .negative
        }
        let place = desks.isEmpty ? "" : " of \(desks.joined(separator: ", "))"
        say("\(name) is \(role.rawValue)\(place)\(isMade ? "; password, shown this once: \(password ?? "")" : "")")
        return .done
    }

    static let setDesks = Command(
        "access set-desks", operands: "NAME", "say for which desks an operator answers, from now on",
        options: [Option("desks", "NAMES", "desks of advisories.desks, separated by commas (default: all)")]
    ) { invocation in
        let name = try accountName(invocation)
        let desks = try desks(invocation)
        guard try accounts(invocation, { try $0.setDesks(name, desks, by: actor) }) else {
            complain("there is no operator \(name)")
            return .negative
        }
        say("\(name) answers for \(desks.isEmpty ? "every desk" : desks.joined(separator: ", "))")
        return .done
    }

    static let setPassword = Command(
        "access set-password", operands: "NAME", "give an account another password; its sessions end",
        options: [passwordFile]
    ) { invocation in
        let name = try accountName(invocation)
        let (password, isMade) = try password(invocation)
        guard let password, try accounts(invocation, { try $0.setPassword(name, Password.hash(password), by: actor) })
        else {
            complain("there is no account \(name)")
            return .negative
        }
        say(isMade ? "password of \(name), shown this once: \(password)" : "\(name) has another password")
        return .done
    }

    static let addToken = Command(
        "access add-token", operands: "NAME", "make a bearer token for an account; it is shown once",
        options: [
            Option("for", "DAYS", "how many days it is good for (default 90; 0: without end)"),
            Option("note", "TEXT", "what it is for"),
        ]
    ) { invocation in
        let name = try accountName(invocation)
        let days = try invocation.arguments.number("for", in: 0...3650) ?? 90
        let until = days > 0 ? Timestamp(microseconds: SystemClock.nowMicroseconds) + days * 86_400 : nil
        let token = Secret.make(prefix: "der_")
        let digest = Digest.sha256(token)
        let note = invocation.arguments.text("note") ?? ""
        guard try accounts(invocation, { try $0.addToken(name, digest: digest, note: note, until: until, by: actor) })
        else {
            complain("there is no account \(name): backfeed access add-user makes it")
            return .negative
        }
        say("\(token)")
        complain("shown this once; to take it back: backfeed access revoke \(digest.prefix(16))")
        return .done
    }

    static let list = Command("access list", "list keys of aggregators, and accounts") { invocation in
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
        say("")
        say(
            table(
                ["account", "role", "desks", "logs in by", "added", "by", "state"],
                try accounts(invocation) { try $0.list() }.map {
                    [
                        $0.name, $0.role,
                        $0.role == "operator" && $0.desks.isEmpty ? "all" : $0.desks.joined(separator: ", "),
                        [$0.hasPassword ? "password" : nil, $0.tokens > 0 ? "\($0.tokens) tokens" : nil].compactMap(
                            \.self
                        )
                        .joined(separator: ", "),
                        $0.addedAt.map { "\($0)" } ?? "", $0.addedBy, $0.revokedAt.map { "revoked \($0)" } ?? "valid",
                    ]
                }))
        return .done
    }

    static let revoke = Command(
        "access revoke", operands: "NAME|KEY|TOKEN", "take keys, an account or a token back",
        detail: """
            NAME: all keys of an aggregator, and the account of that name with its tokens and sessions. KEY: one public key.
            TOKEN: the first digits of a token's digest, as add-token says them. A running service knows it within two seconds,
            on open connections of publishers too.
            """
    ) { invocation in
        let name = try invocation.arguments.operand(
            0, "NAME of the aggregator or account, a public key, or a token's digest")
        let keys = try with(invocation) { keys throws in try keys.revoke(name, by: actor) }
        let others = try accounts(invocation) { try $0.revoke(name, by: actor) }
        guard keys + others > 0 else {
            say("nothing valid of \(name)")
            return .negative
        }
        say(
            "revoked \(keys) \(keys == 1 ? "key" : "keys"), \(others) \(others == 1 ? "account or token" : "accounts and tokens") of \(name)"
        )
        return .done
    }

    private static let passwordFile = Option(
        "password-file", "FILE", "file whose first line is the password, at least 12 characters; -: standard input")

    private static func accountName(_ invocation: Invocation) throws -> String {
        let name = try invocation.arguments.operand(0, "NAME of the account")
        if let complaint = Identifier.complaint(name) { throw UsageError("NAME: \(complaint)") }
        return name
    }

    /// Desks that are not set up cover nothing: a name that is mistyped must not be found out at night.
    private static func desks(_ invocation: Invocation) throws -> [String] {
        guard let text = invocation.arguments.text("desks") else { return [] }
        let names = text.split(separator: ",").map(String.init)
        let known = Desk.parse(invocation.settings.text("advisories.desks"))?.map(\.name) ?? []
        guard !names.isEmpty, names.allSatisfy(known.contains) else {
            throw UsageError(
                "--desks: expected of \(known.joined(separator: ", ")) (advisories.desks), got \"\(text)\"")
        }
        return names
    }

    private static func password(_ invocation: Invocation) throws -> (String?, isMade: Bool) {
        guard let path = invocation.arguments.text("password-file") else { return (Secret.make(prefix: ""), true) }
        let text = path == "-" ? readLine() : try String(contentsOfFile: path, encoding: .utf8)
        let line = text.flatMap { $0.split(whereSeparator: \.isNewline).first.map(String.init) } ?? ""
        guard line.count >= Password.least, line.utf8.count <= Password.most else {
            throw UsageError(
                "--password-file: expected \(Password.least) to \(Password.most) characters on the first line")
        }
        return (line, false)
    }

    private static func accounts<R>(_ invocation: Invocation, _ body: (inout Accounts) throws -> R) throws -> R {
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var accounts = Accounts(conninfo: database.conninfo)
        return try body(&accounts)
    }

    private static var actor: String { getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "unknown" }

    private static func with<R>(_ invocation: Invocation, _ body: (inout PublisherKeys) throws -> R) throws -> R {
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var keys = PublisherKeys(conninfo: database.conninfo)
        return try body(&keys)
    }
}
