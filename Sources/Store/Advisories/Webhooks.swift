public import GridModel
internal import ServiceKit

/// Webhooks, and how far each has come in the events.
public struct Webhooks: ~Copyable {
    public struct Hook: Sendable, Equatable {
        public var name, url, secret: String
        /// Told of this one and worse.
        public var severity: Severity
        /// `nil`: all.
        public var feeder: String?

        public init(name: String, url: String, secret: String, severity: Severity, feeder: String?) {
            self.name = name
            self.url = url
            self.secret = secret
            self.severity = severity
            self.feeder = feeder
        }
    }

    public struct Entry: Sendable {
        public var hook: Hook
        public var waiting, deadLetters: Int
        public var problem: String?
        public var deliveredAt: Timestamp?
    }

    /// What is to be sent next.
    public struct Delivery: Sendable {
        public var event: StoredEvent
        /// Given up before, and tried again because somebody asked for it.
        public var isAgain: Bool
        public var attempts: Int
        public var failingSince: Timestamp?
    }

    private var session: DatabaseSession

    public init(conninfo: String) { session = DatabaseSession(conninfo, deadlineMilliseconds: 5000) }

    private static let wanted = """
        e.severity <= w.severity AND (w.feeder IS NULL OR e.feeder = w.feeder)
        """

    /// From now on: what was before is not told. False when there is one of that name.
    public mutating func add(_ hook: Hook, by actor: String) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("add webhook") { connection throws(StoreError) in
                let made = try connection.query(
                    """
                    INSERT INTO backfeed_store.webhook (name, url, secret, severity, feeder, done, added_by) \
                    SELECT $1, $2, $3, $4, $5, last, $6 FROM backfeed_store.event_counter ON CONFLICT DO NOTHING RETURNING 1
                    """,
                    [hook.name, hook.url, hook.secret, String(hook.severity.rawValue), hook.feeder, actor],
                    as: "add webhook")
                guard !made.isEmpty else { return false }
                try AuditLog.append(
                    actor: actor, "webhook.added", subject: hook.name, ["url": Masking.origin(ofURL: hook.url)],
                    &connection)
                return true
            }
        }
    }

    public mutating func remove(_ name: String, by actor: String) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try connection.transaction("remove webhook") { connection throws(StoreError) in
                let gone = try connection.query(
                    "DELETE FROM backfeed_store.webhook WHERE name = $1 RETURNING url", [name], as: "remove webhook")
                guard let url = gone.first?[0] else { return false }
                try AuditLog.append(
                    actor: actor, "webhook.removed", subject: name, ["url": Masking.origin(ofURL: url)], &connection)
                return true
            }
        }
    }

    /// Has the dead letters of a webhook tried again; how many.
    public mutating func retry(_ name: String) throws(StoreError) -> Int {
        try session.use { connection throws(StoreError) in
            try connection.query(
                "UPDATE backfeed_store.webhook_dead_letter SET again = true WHERE webhook = $1 RETURNING 1", [name],
                as: "retry dead letters"
            ).count
        }
    }

    public mutating func list() throws(StoreError) -> [Entry] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT name, url, secret, severity, feeder, (SELECT count(*) FROM backfeed_store.advisory_event e \
                WHERE e.sequence > w.done AND \(Self.wanted)), \
                (SELECT count(*) FROM backfeed_store.webhook_dead_letter d WHERE d.webhook = w.name), problem, \
                \(SQL.rfc3339("delivered_at")) FROM backfeed_store.webhook w ORDER BY name
                """, as: "list webhooks"
            ).compactMap { row in
                guard let name = row[0], let url = row[1], let secret = row[2],
                    let severity = row[3].flatMap(Int.init).flatMap(Severity.init(rawValue:))
                else { return nil }
                return Entry(
                    hook: Hook(name: name, url: url, secret: secret, severity: severity, feeder: row[4]),
                    waiting: row[5].flatMap(Int.init) ?? 0, deadLetters: row[6].flatMap(Int.init) ?? 0, problem: row[7],
                    deliveredAt: row[8].flatMap { Timestamp($0) })
            }
        }
    }

    /// The oldest event that a webhook has not got; dead letters that are to be tried again after it. `nil`: none.
    public mutating func next(_ name: String) throws(StoreError) -> Delivery? {
        try session.use { connection throws(StoreError) in
            let fields = "e.sequence, e.topic, e.type, e.event"
            // Whatever has a number up to here is committed: numbers are given under a lock.
            let last = try connection.query("SELECT last FROM backfeed_store.event_counter", as: "read counter")
            let rows = try connection.query(
                """
                (SELECT \(fields), false, w.attempts, \(SQL.rfc3339("w.failing_since")) FROM backfeed_store.webhook w \
                JOIN backfeed_store.advisory_event e ON e.sequence > w.done AND \(Self.wanted) \
                WHERE w.name = $1 ORDER BY e.sequence LIMIT 1) UNION ALL \
                (SELECT \(fields), true, 0, NULL FROM backfeed_store.webhook_dead_letter d \
                JOIN backfeed_store.advisory_event e USING (sequence) WHERE d.webhook = $1 AND d.again \
                ORDER BY e.sequence LIMIT 1) LIMIT 1
                """, [name], as: "read what is to be sent")
            guard let row = rows.first, let number = row[0].flatMap(Int64.init), let topic = row[1],
                let type = row[2], let json = row[3]
            else {
                // What it does not want is not looked at again.
                try connection.query(
                    "UPDATE backfeed_store.webhook SET done = $2 WHERE name = $1 AND done < $2 - 100",
                    [name, last.first?[0]], as: "skip events")
                return nil
            }
            return Delivery(
                event: StoredEvent(sequence: number, topic: topic, type: type, json: json), isAgain: row[4] == "t",
                attempts: row[5].flatMap(Int.init) ?? 0, failingSince: row[6].flatMap { Timestamp($0) })
        }
    }

    public mutating func delivered(_ name: String, _ delivery: Delivery) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("note delivery") { connection throws(StoreError) in
                let number = String(delivery.event.sequence)
                if delivery.isAgain {
                    try connection.query(
                        "DELETE FROM backfeed_store.webhook_dead_letter WHERE webhook = $1 AND sequence = $2",
                        [name, number], as: "note delivery")
                }
                try connection.query(
                    """
                    UPDATE backfeed_store.webhook SET done = greatest(done, $2), attempts = 0, failing_since = NULL, \
                    problem = NULL, delivered_at = now() WHERE name = $1
                    """, [name, delivery.isAgain ? "0" : number], as: "note delivery")
            }
        }
    }

    /// - Parameter givesUp: it becomes a dead letter, and the next one has its turn.
    public mutating func failed(
        _ name: String, _ delivery: Delivery, problem: String, givesUp: Bool
    ) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("note failure") { connection throws(StoreError) in
                let number = String(delivery.event.sequence)
                if givesUp || delivery.isAgain {
                    try connection.query(
                        """
                        INSERT INTO backfeed_store.webhook_dead_letter (webhook, sequence, attempts, problem) \
                        VALUES ($1, $2, $3, $4) ON CONFLICT (webhook, sequence) DO UPDATE SET again = false, \
                        attempts = backfeed_store.webhook_dead_letter.attempts + 1, problem = excluded.problem, \
                        given_up_at = now()
                        """, [name, number, String(delivery.attempts + 1), problem], as: "keep dead letter")
                }
                guard !delivery.isAgain else { return }
                try connection.query(
                    """
                    UPDATE backfeed_store.webhook SET problem = $2, \
                    attempts = CASE WHEN $3 THEN 0 ELSE attempts + 1 END, \
                    failing_since = CASE WHEN $3 THEN NULL ELSE coalesce(failing_since, now()) END, \
                    done = CASE WHEN $3 THEN greatest(done, $4) ELSE done END WHERE name = $1
                    """, [name, problem, givesUp ? "t" : "f", number], as: "note failure")
            }
        }
    }
}
