public import GridModel

/// Who runs a service, for people.
public struct ServiceOwner: Sendable, Equatable, CustomStringConvertible {
    public var process: Int32
    public var host: String
    public var since: Timestamp
    public var directory: String

    public init(process: Int32, host: String, since: Timestamp, directory: String) {
        self.process = process
        self.host = host
        self.since = since
        self.directory = directory
    }

    public var description: String { "process \(process) on \(host), since \(since), data directory \(directory)" }
}

/// One service for one database: an advisory lock of a session, with a row that says whose it is.
public struct ServiceLock: ~Copyable {
    private var session: DatabaseSession
    private let owner: ServiceOwner

    public init(conninfo: String, owner: ServiceOwner) {
        session = DatabaseSession(conninfo, deadlineMilliseconds: 5000)
        self.owner = owner
    }

    /// Takes the lock, or makes sure that this session still has it.
    ///
    /// - Returns: `nil`: it is ours; else whose it is.
    public mutating func take() throws(StoreError) -> String? {
        let owner = owner
        return try session.use { connection throws(StoreError) in
            // A holder whose machine has vanished is noticed in seconds, not in the two hours that Linux takes by itself.
            let isOurs = try connection.query(
                """
                SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false), \
                set_config('tcp_keepalives_count', '3', false), EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
                AND pid = pg_backend_pid() AND classid = 0 AND objid = 7316002 AND granted) OR pg_try_advisory_lock(7316002)
                """, as: "lock database")
            guard isOurs.first?[3] == "t" else {
                let holder = try connection.query(
                    """
                    SELECT process, host, \(SQL.rfc3339("since")), directory FROM backfeed_store.service_owner
                    """, as: "read owner")
                guard let row = holder.first, let process = row[0].flatMap(Int32.init), let host = row[1],
                    let since = row[2].flatMap({ Timestamp($0) }), let directory = row[3]
                else { return "it has not said who" }
                return ServiceOwner(process: process, host: host, since: since, directory: directory).description
            }
            try connection.query(
                """
                INSERT INTO backfeed_store.service_owner (process, host, since, directory) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (is_only) DO UPDATE SET process = excluded.process, host = excluded.host, \
                since = excluded.since, directory = excluded.directory \
                WHERE (service_owner.process, service_owner.host, service_owner.since) \
                IS DISTINCT FROM (excluded.process, excluded.host, excluded.since)
                """, [String(owner.process), owner.host, owner.since.description, owner.directory], as: "name owner")
            return nil
        }
    }
}
