public import GridModel

/// Keys of aggregators: who may publish.
public struct PublisherKeys: ~Copyable {
    public struct Entry: Sendable {
        public var aggregator: String
        public var publicKey: String
        public var addedAt: Timestamp?
        public var addedBy: String
        public var revokedAt: Timestamp?
    }

    private var session: DatabaseSession

    /// - Parameter deadlineMilliseconds: for each call.
    public init(conninfo: String, deadlineMilliseconds: Int? = 5000) {
        session = DatabaseSession(conninfo, deadlineMilliseconds: deadlineMilliseconds)
    }

    /// Aggregator by public key, revoked ones left out.
    public mutating func valid() throws(StoreError) -> [String: String] {
        var names: [String: String] = [:]
        for entry in try list() where entry.revokedAt == nil { names[entry.publicKey] = entry.aggregator }
        return names
    }

    public mutating func list() throws(StoreError) -> [Entry] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT aggregator, public_key, \(SQL.rfc3339("added_at")), added_by, \(SQL.rfc3339("revoked_at")) \
                FROM backfeed_store.publisher_key ORDER BY aggregator, added_at
                """, as: "list keys"
            ).compactMap { row in
                guard let name = row[0], let key = row[1] else { return nil }
                return Entry(
                    aggregator: name, publicKey: key, addedAt: row[2].flatMap { Timestamp($0) }, addedBy: row[3] ?? "",
                    revokedAt: row[4].flatMap { Timestamp($0) })
            }
        }
    }

    /// False when the key is known already, valid or revoked.
    public mutating func add(_ aggregator: String, publicKey: String, by actor: String) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("add key") { connection throws(StoreError) in
                let isNew =
                    try connection.query(
                        """
                        INSERT INTO backfeed_store.publisher_key (public_key, aggregator, added_by) VALUES ($1, $2, $3) \
                        ON CONFLICT DO NOTHING RETURNING 1
                        """, [publicKey, aggregator, actor], as: "add key"
                    ).count == 1
                if isNew {
                    try AuditLog.append(
                        actor: actor, "access.publisher_added", subject: aggregator, ["public_key": publicKey],
                        &connection)
                }
                return isNew
            }
        }
    }

    /// Revokes all keys of an aggregator, or the one key that is named. Returns how many were valid until now.
    public mutating func revoke(_ nameOrKey: String, by actor: String) throws(StoreError) -> Int {
        try session.use { connection throws(StoreError) in
            try connection.transaction("revoke key") { connection throws(StoreError) in
                let revoked = try connection.query(
                    """
                    UPDATE backfeed_store.publisher_key SET revoked_at = now(), revoked_by = $2 \
                    WHERE (aggregator = $1 OR public_key = $1) AND revoked_at IS NULL RETURNING aggregator, public_key
                    """, [nameOrKey, actor], as: "revoke key")
                for row in revoked {
                    try AuditLog.append(
                        actor: actor, "access.publisher_revoked", subject: row[0] ?? "",
                        ["public_key": row[1] ?? ""], &connection)
                }
                return revoked.count
            }
        }
    }
}
