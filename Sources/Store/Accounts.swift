public import GridModel

/// Accounts, their tokens and sessions. Secrets come in as what people hold, and are compared by digest.
public struct Accounts: ~Copyable {
    /// Seconds that a session lasts, and may be idle.
    public struct Limits: Sendable {
        public var session, idle: Double
        public init(session: Double = 43_200, idle: Double = 1800) {
            self.session = session
            self.idle = idle
        }
    }

    public struct Entry: Sendable {
        public var name: String
        public var role: String
        /// Empty: all of them.
        public var desks: [String]
        public var hasPassword: Bool
        public var tokens: Int
        public var addedAt: Timestamp?
        public var addedBy: String
        public var revokedAt: Timestamp?
    }

    /// Who a token or session belongs to.
    public struct Account: Sendable, Equatable {
        public var name: String
        public var role: Role
        /// For which an operator answers; empty: for all.
        public var desks: [String]
    }

    private var session: DatabaseSession

    private let limits: Limits

    public init(conninfo: String, limits: Limits = Limits()) {
        session = DatabaseSession(conninfo, deadlineMilliseconds: 5000)
        self.limits = limits
    }

    /// Whether anybody has to say who they are. Once there has been an account there is no way back by revoking it.
    public mutating func areConfigured() throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try !connection.query("SELECT FROM backfeed_store.account LIMIT 1", as: "look for accounts").isEmpty
        }
    }

    /// False when the name is taken, by a valid account or a revoked one.
    public mutating func add(
        _ name: String, role: Role, desks: [String] = [], password: String?, by actor: String
    ) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("add account") { connection throws(StoreError) in
                let isNew =
                    try !connection.query(
                        """
                        INSERT INTO backfeed_store.account (name, role, password, added_by, desks) \
                        VALUES ($1, $2, $3, $4, string_to_array($5, ' ')) ON CONFLICT DO NOTHING RETURNING 1
                        """, [name, role.rawValue, password, actor, desks.joined(separator: " ")], as: "add account"
                    ).isEmpty
                if isNew {
                    try AuditLog.append(
                        actor: actor, "access.account_added", subject: name,
                        ["role": role.rawValue, "desks": desks.joined(separator: " ")], &connection)
                }
                return isNew
            }
        }
    }

    /// For which desks an operator answers from now on; none: for all. False when there is no valid operator of that name.
    public mutating func setDesks(_ name: String, _ desks: [String], by actor: String) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("set desks") { connection throws(StoreError) in
                let text = desks.joined(separator: " ")
                let found = try connection.query(
                    """
                    UPDATE backfeed_store.account SET desks = string_to_array($2, ' ') \
                    WHERE name = $1 AND role = 'operator' AND revoked_at IS NULL RETURNING 1
                    """, [name, text], as: "set desks")
                guard !found.isEmpty else { return false }
                try AuditLog.append(
                    actor: actor, "access.desks_set", subject: name, ["desks": text], &connection)
                return true
            }
        }
    }

    /// False when there is no valid account of that name. Its sessions end.
    public mutating func setPassword(
        _ name: String, _ password: String, by actor: String
    ) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("set password") { connection throws(StoreError) in
                let found = try connection.query(
                    "UPDATE backfeed_store.account SET password = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING 1",
                    [name, password], as: "set password")
                guard !found.isEmpty else { return false }
                try connection.query(
                    "DELETE FROM backfeed_store.console_session WHERE account = $1", [name], as: "end sessions")
                try AuditLog.append(
                    actor: actor, "access.password_set", subject: name, [String: String](), &connection)
                return true
            }
        }
    }

    /// False when there is no valid account of that name.
    public mutating func addToken(
        _ name: String, digest: String, note: String, until: Timestamp?, by actor: String
    ) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("add token") { connection throws(StoreError) in
                let made = try connection.query(
                    """
                    INSERT INTO backfeed_store.access_token (digest, account, note, added_by, expires_at) \
                    SELECT $2, name, $3, $4, $5 FROM backfeed_store.account WHERE name = $1 AND revoked_at IS NULL RETURNING 1
                    """, [name, digest, note, actor, until?.description], as: "add token")
                guard !made.isEmpty else { return false }
                try AuditLog.append(
                    actor: actor, "access.token_added", subject: name,
                    ["digest": String(digest.prefix(16)), "note": note, "expires_at": until?.description ?? "never"],
                    &connection)
                return true
            }
        }
    }

    /// Takes an account with all its tokens and sessions back, or one token, named by the first digits of its digest.
    public mutating func revoke(_ nameOrDigest: String, by actor: String) throws(StoreError) -> Int {
        try session.use { connection throws(StoreError) in
            try connection.transaction("revoke access") { connection throws(StoreError) in
                let accounts = try connection.query(
                    """
                    UPDATE backfeed_store.account SET revoked_at = now(), revoked_by = $2 \
                    WHERE name = $1 AND revoked_at IS NULL RETURNING name
                    """, [nameOrDigest, actor], as: "revoke account")
                let tokens = try connection.query(
                    """
                    UPDATE backfeed_store.access_token SET revoked_at = now() WHERE revoked_at IS NULL \
                    AND (account = $1 OR length($1) >= 8 AND starts_with(digest, $1)) RETURNING account, left(digest, 16)
                    """, [nameOrDigest], as: "revoke tokens")
                try connection.query(
                    "DELETE FROM backfeed_store.console_session WHERE account = $1", [nameOrDigest], as: "end sessions")
                for row in accounts {
                    try AuditLog.append(
                        actor: actor, "access.account_revoked", subject: row[0] ?? "", [String: String](), &connection)
                }
                for row in tokens {
                    try AuditLog.append(
                        actor: actor, "access.token_revoked", subject: row[0] ?? "", ["digest": row[1] ?? ""],
                        &connection)
                }
                return accounts.count + tokens.count
            }
        }
    }

    public mutating func list() throws(StoreError) -> [Entry] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT name, role, array_to_string(desks, ' '), password IS NOT NULL, (SELECT count(*) FROM backfeed_store.access_token t \
                WHERE t.account = a.name AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())), \
                \(SQL.rfc3339("added_at")), added_by, \(SQL.rfc3339("revoked_at")) \
                FROM backfeed_store.account a ORDER BY name
                """, as: "list accounts"
            ).compactMap { row in
                guard let name = row[0], let role = row[1] else { return nil }
                return Entry(
                    name: name, role: role, desks: Self.words(row[2]), hasPassword: row[3] == "t",
                    tokens: row[4].flatMap(Int.init) ?? 0, addedAt: row[5].flatMap { Timestamp($0) },
                    addedBy: row[6] ?? "", revokedAt: row[7].flatMap { Timestamp($0) })
            }
        }
    }

    // MARK: Who is it?

    /// The account of a token; `nil`: unknown, expired or revoked.
    public mutating func account(ofToken digest: String) throws(StoreError) -> Account? {
        try find(
            """
            SELECT a.name, a.role, array_to_string(a.desks, ' '), t.used_at IS NULL OR t.used_at < now() - interval '1 minute' \
            FROM backfeed_store.access_token t JOIN backfeed_store.account a ON a.name = t.account \
            WHERE t.digest = $1 AND t.revoked_at IS NULL AND a.revoked_at IS NULL \
            AND (t.expires_at IS NULL OR t.expires_at > now())
            """, digest, touch: "UPDATE backfeed_store.access_token SET used_at = now() WHERE digest = $1")
    }

    /// The account of a session; `nil`: unknown, over or idle for too long.
    public mutating func account(ofSession digest: String) throws(StoreError) -> Account? {
        try find(
            """
            SELECT a.name, a.role, array_to_string(a.desks, ' '), s.seen_at < now() - interval '1 minute' \
            FROM backfeed_store.console_session s JOIN backfeed_store.account a ON a.name = s.account \
            WHERE s.digest = $1 AND a.revoked_at IS NULL AND s.opened_at > now() - make_interval(secs => \(limits.session)) \
            AND s.seen_at > now() - make_interval(secs => \(limits.idle))
            """, digest, touch: "UPDATE backfeed_store.console_session SET seen_at = now() WHERE digest = $1")
    }

    /// Of these digests those that are still valid. Who watches a stream is there: sessions are noted as used.
    public mutating func valid(_ digests: Set<String>) throws(StoreError) -> Set<String> {
        let list = "{" + digests.sorted().map { "\"\($0)\"" }.joined(separator: ",") + "}"
        let session = """
            s.opened_at > now() - make_interval(secs => \(limits.session)) \
            AND s.seen_at > now() - make_interval(secs => \(limits.idle))
            """
        return try self.session.use { connection throws(StoreError) in
            try connection.query(
                """
                UPDATE backfeed_store.console_session s SET seen_at = now() WHERE digest = ANY($1::text[]) \
                AND seen_at < now() - interval '1 minute' AND \(session)
                """, [list], as: "note use")
            return try Set(
                connection.query(
                    """
                    SELECT t.digest FROM backfeed_store.access_token t JOIN backfeed_store.account a ON a.name = t.account \
                    WHERE t.digest = ANY($1::text[]) AND t.revoked_at IS NULL AND a.revoked_at IS NULL \
                    AND (t.expires_at IS NULL OR t.expires_at > now()) \
                    UNION SELECT s.digest FROM backfeed_store.console_session s JOIN backfeed_store.account a ON a.name = s.account \
                    WHERE s.digest = ANY($1::text[]) AND a.revoked_at IS NULL AND \(session)
                    """, [list], as: "look up who reads"
                ).compactMap { $0[0] })
        }
    }

    private mutating func find(
        _ query: String, _ digest: String, touch: String
    ) throws(StoreError) -> Account? {
        try session.use { connection throws(StoreError) in
            guard let row = try connection.query(query, [digest], as: "look up access").first, let name = row[0],
                let role = row[1].flatMap(Role.init(rawValue:))
            else { return nil }
            if row[3] == "t" { try connection.query(touch, [digest], as: "note use") }
            return Account(name: name, role: role, desks: Self.words(row[2]))
        }
    }

    private static func words(_ text: String?) -> [String] { (text ?? "").split(separator: " ").map(String.init) }

    /// Role and password of an account that may log in.
    public mutating func login(_ name: String) throws(StoreError) -> (role: Role, password: String)? {
        try session.use { connection throws(StoreError) in
            guard
                let row = try connection.query(
                    """
                    SELECT role, password FROM backfeed_store.account \
                    WHERE name = $1 AND revoked_at IS NULL AND password IS NOT NULL AND role <> 'machine'
                    """, [name], as: "look up account"
                ).first, let role = row[0].flatMap(Role.init(rawValue:)), let password = row[1]
            else { return nil }
            return (role, password)
        }
    }

    /// - Parameters:
    ///   - replaced: digest of the session that the browser had before: it ends.
    ///   - address: where the browser is, for the audit log.
    public mutating func open(
        _ digest: String, for name: String, replaced: String?, from address: String
    ) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("open session") { connection throws(StoreError) in
                try connection.query(
                    """
                    DELETE FROM backfeed_store.console_session WHERE digest = $1 \
                    OR opened_at < now() - make_interval(secs => \(limits.session))
                    """, [replaced], as: "end sessions")
                try connection.query(
                    "INSERT INTO backfeed_store.console_session (digest, account) VALUES ($1, $2)", [digest, name],
                    as: "open session")
                try AuditLog.append(actor: name, "access.login", subject: name, ["from": address], &connection)
            }
        }
    }

    public mutating func close(_ digest: String) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("close session") { connection throws(StoreError) in
                let rows = try connection.query(
                    "DELETE FROM backfeed_store.console_session WHERE digest = $1 RETURNING account", [digest],
                    as: "close session")
                for row in rows {
                    let name = row[0] ?? ""
                    try AuditLog.append(actor: name, "access.logout", subject: name, [String: String](), &connection)
                }
            }
        }
    }

    public mutating func recordRefusal(_ name: String, _ reason: String, from address: String) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("record refusal") { connection throws(StoreError) in
                try AuditLog.append(
                    actor: Identifier.isValid(name) ? name : "unknown", "access.login.refused", subject: "console",
                    ["reason": reason, "from": address], &connection)
            }
        }
    }
}
