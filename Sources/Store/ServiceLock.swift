public import GridModel

/// Names the process that runs a service, for people.
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
        try session.use { connection throws(StoreError) in
            // A holder whose machine has vanished is noticed in seconds, not in the two hours that Linux takes by itself.
            let isOurs = try connection.query(
                """
                SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false), \
                set_config('tcp_keepalives_count', '3', false), EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
                AND pid = pg_backend_pid() AND classid = 0 AND objid = \(AdvisoryLock.service.rawValue) AND granted) OR pg_try_advisory_lock(\(AdvisoryLock.service.rawValue))
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
            return nil
        }
    }

    /// Where the database stands and, if it must be taken for a restored one, why. The lock must be held.
    public mutating func compare(
        _ seen: SeenState?, isRunning: Bool = false
    ) throws(StoreError) -> (state: DatabaseState, restoration: String?) {
        try session.use { connection throws(StoreError) in
            let state = try DatabaseState.read(&connection)
            let digest = try connection.query(
                "SELECT digest FROM backfeed_store.audit_record WHERE number = $1",
                [String(seen?.state.auditNumber ?? 0)], as: "read audit record"
            ).first?[0]
            return (state, SeenState.restoration(seen, state, digest: digest, isRunning: isRunning))
        }
    }

    public mutating func declareRestored(
        _ reason: String, seen: Int64?
    ) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try Restoration.declare(reason: reason, by: "service", seen: seen, &connection)
        }
    }

    /// Counts a look, names the owner, and returns where the database stands then. The lock must be held.
    public mutating func mark() throws(StoreError) -> DatabaseState {
        let owner = owner
        return try session.use { connection throws(StoreError) in
            try connection.query(
                """
                INSERT INTO backfeed_store.service_owner (process, host, since, directory, mark) VALUES ($1, $2, $3, $4, 1) \
                ON CONFLICT (is_only) DO UPDATE SET process = excluded.process, host = excluded.host, \
                since = excluded.since, directory = excluded.directory, mark = service_owner.mark + 1
                """, [String(owner.process), owner.host, owner.since.description, owner.directory], as: "name owner")
            return try DatabaseState.read(&connection)
        }
    }
}
