public import GridModel

/// Writes telemetry: COPY of the rows and the streams' new positions in one transaction. One thread owns it.
public struct SampleStore: ~Copyable {
    var session: DatabaseSession
    private var partitions: Set<Int64> = []
    private var partitionsMade = 0
    private let maximumPartitions: Int
    private let retention: Int

    /// - Parameters:
    ///   - maximumPartitions: days for which a partition is made on demand; the rest goes to the default partition.
    ///   - retentionDays: partitions older than this, and made longer ago than this, are dropped; 0: never.
    ///   - deadlineMilliseconds: for each call; a server that stands still is then given up as lost.
    public init(
        conninfo: String, maximumPartitions: Int = 800, retentionDays: Int = 400, deadlineMilliseconds: Int? = nil
    ) {
        session = DatabaseSession(conninfo, deadlineMilliseconds: deadlineMilliseconds)
        self.maximumPartitions = maximumPartitions
        retention = retentionDays
    }

    static let columns = """
        time, device_id, area_id, active_power_w, reactive_power_var, voltage_v, current_a, frequency_hz, \
        state_of_charge_pct, interval_s, quality, state
        """
    package static let copyStatement = "COPY backfeed_store.sample (\(columns)) FROM STDIN (FORMAT binary)"
    private static let copyExtraStatement = """
        COPY backfeed_store.sample_extra (time, value, device_id, area_id, quantity) FROM STDIN (FORMAT binary)
        """

    /// Stores the batch, or throws and stores nothing of it.
    ///
    /// A lost connection leaves the outcome open: the caller writes the batch again, and the positions decide. They move
    /// by compare-and-set, so a first try that did commit, even long after we gave it up, makes the second one end in
    /// ``StoreError/Code/conflict``; ``holds(_:)`` then tells that it is stored.
    ///
    /// What the server refuses for its content is found by halving, and kept with the rejects instead.
    ///
    /// - Parameter batches: in their order, in one transaction: where they come faster than one commit takes, its cost is
    ///   that of all of them.
    /// - Returns: the switches whose positions they brought, as they are on record now.
    @discardableResult
    public mutating func write(_ batches: [SampleBatch]) throws(StoreError) -> [SwitchRecord] {
        try makePartitions(batches.reduce(into: []) { $0.formUnion($1.days) })
        do throws(StoreError) {
            return try write(batches, isBisecting: false)
        } catch {
            guard error.isAboutContent else { throw error }
            return try write(batches, isBisecting: true)
        }
    }

    private mutating func write(_ batches: [SampleBatch], isBisecting: Bool) throws(StoreError) -> [SwitchRecord] {
        try session.use { connection throws(StoreError) in
            var switches: [SwitchRecord] = []
            // Positions first: a batch that is stored already must not cost a COPY.
            let move = StreamStore.Move(batches)
            try connection.transaction("store samples", opening: move.statements) {
                connection, answers throws(StoreError) in
                try move.check(answers)
                for batch in batches { try StreamStore.record(batch.lost, ends: batch.lostEnds, &connection) }
                let refused = try Self.copy(batches, isBisecting: isBisecting, &connection)
                for batch in batches {
                    if !batch.rejects.isEmpty { try Self.store(batch.rejects, &connection) }
                    if !batch.amended.isEmpty { try ProfileStore.mark(batch.amended, &connection) }
                }
                if !refused.isEmpty { try Self.store(refused, &connection) }
                try Self.claim(batches, &connection)
                try IngestOrder.markTaken(batches.flatMap(\.orders), &connection)
                switches = try SwitchStore.take(batches.flatMap(\.positions), &connection)
                return Self.clocks(batches)
            }
            return switches
        }
    }

    /// Orders that were not obeyed yet, oldest first.
    public mutating func openOrders() throws(StoreError) -> [IngestOrder] {
        try session.use { connection throws(StoreError) in try IngestOrder.open(&connection) }
    }

    /// Every switch of which anything was ever said.
    public mutating func switches() throws(StoreError) -> [SwitchRecord] {
        try session.use { connection throws(StoreError) in try SwitchStore.load(&connection) }
    }

    /// One statement for all feeders: one each would cost more than the rows.
    private static func clocks(_ batches: [SampleBatch]) -> [PostgresConnection.Statement] {
        var clocks: [String: StoredClock] = [:]
        for batch in batches {
            // As they are in the end.
            for (feeder, clock) in batch.clocks {
                clocks[feeder] = StoredClock(areaId: clock.area, feeder: feeder, clock: clock.time)
            }
        }
        guard !clocks.isEmpty else { return [] }
        return [
            .init(
                sql: """
                    INSERT INTO backfeed_store.feeder_clock SELECT area_id, feeder, clock \
                    FROM jsonb_to_recordset($1::jsonb) AS c(area_id int4, feeder text, clock timestamptz) \
                    ON CONFLICT (area_id, feeder) DO UPDATE SET clock = greatest(feeder_clock.clock, excluded.clock)
                    """, parameters: [JSONCoding.encode(Array(clocks.values))], operation: "store clocks")
        ]
    }

    /// Devices belong to who spoke for them first. One statement for all, and plain numbers: a fleet speaks for the first
    /// time all at once.
    private static func claim(_ batches: [SampleBatch], _ connection: inout PostgresConnection) throws(StoreError) {
        var places: [String: Int] = [:]
        var claimed: Set<Int32> = []
        var (devices, owners) = ("", "")
        for batch in batches {
            for claim in batch.claims where claimed.insert(claim.id).inserted {
                let place = places[claim.aggregator] ?? places.count + 1
                places[claim.aggregator] = place
                devices += "\(devices.isEmpty ? "" : ",")\(claim.id)"
                owners += "\(owners.isEmpty ? "" : ",")\(place)"
            }
        }
        guard !claimed.isEmpty else { return }
        try connection.query(
            """
            UPDATE backfeed_store.device AS d SET aggregator = ($3::text[])[c.owner] \
            FROM unnest($1::int4[], $2::int4[]) AS c(id, owner) WHERE d.id = c.id AND d.aggregator IS NULL
            """,
            ["{\(devices)}", "{\(owners)}", SQL.array(places.sorted { $0.value < $1.value }.map(\.key))],
            as: "claim devices")
    }

    /// - Returns: what the server would not take, when it is looked for.
    private static func copy(
        _ batches: [SampleBatch], isBisecting: Bool, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [SampleBatch.Reject] {
        if isBisecting {
            var bisection = Bisection()
            for batch in batches {
                try bisection.store(batch.rows, copyStatement, &connection)
                try bisection.store(batch.extra, copyExtraStatement, &connection)
            }
            return bisection.refused
        }
        // One COPY for all: each costs two ways to the server.
        let rows = batches.filter { $0.rows.rows > 0 }.map { $0.rows.finished() }
        if !rows.isEmpty { try connection.copy(copyStatement, CopyBuffer.joined(rows), as: "COPY sample") }
        let extra = batches.filter { $0.extra.rows > 0 }.map { $0.extra.finished() }
        if !extra.isEmpty { try connection.copy(copyExtraStatement, CopyBuffer.joined(extra), as: "COPY sample_extra") }
        return []
    }

    private struct StoredClock: Encodable {
        var areaId: Int32
        var feeder: String
        var clock: Timestamp
    }

    /// Whether the batches are in the table: asked after a lost connection left the outcome of ``write(_:)`` open.
    public mutating func holds(_ batches: [SampleBatch]) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try StreamStore.hold(StreamStore.passages(batches), &connection)
        }
    }

    private static func store(_ rejects: [SampleBatch.Reject], _ connection: inout PostgresConnection)
        throws(StoreError)
    {
        var buffer = CopyBuffer()
        let now =
            try connection.query("SELECT (extract(epoch FROM now()) * 1e6)::int8", as: "store rejects")[0][0] ?? "0"
        for reject in rejects {
            buffer.beginRow(fields: 5)
            buffer.time(Int64(now) ?? 0)
            // PostgreSQL's text holds no NUL; the bytes column keeps what was sent.
            buffer.text(reject.aggregator.replacing("\0", with: "?"))
            buffer.text(reject.reason)
            buffer.text(reject.detail.replacing("\0", with: "?"))
            reject.bytes.withUnsafeBytes { buffer.bytes($0) }
        }
        try connection.copy(
            """
            COPY backfeed_store.rejected_sample (received_at, aggregator, reason, detail, bytes) \
            FROM STDIN (FORMAT binary)
            """, buffer.finished(), as: "COPY rejected_sample")
    }

    // MARK: Partitions

    /// Makes the partitions of today and the next two days. Call at the start and now and then.
    public mutating func maintain(today: Int64) throws(StoreError) {
        try makePartitions(Set(today...today + 2))
        guard retention > 0 else { return }
        let retention = String(retention)
        try session.use { connection throws(StoreError) in
            let old = try connection.query(
                """
                SELECT name FROM backfeed_store.sample_partition WHERE ends < now() - make_interval(days => $1::int) \
                AND created_at < now() - make_interval(days => $1::int)
                """, [retention], as: "find old partitions")
            for name in old.compactMap({ $0[0] }) {
                try connection.transaction("drop partition") { connection throws(StoreError) in
                    try connection.query(
                        "ALTER TABLE backfeed_store.sample DETACH PARTITION backfeed_store.\(name)",
                        as: "detach partition")
                    try connection.query("DROP TABLE backfeed_store.\(name)", as: "drop partition")
                    try connection.query(
                        "DELETE FROM backfeed_store.sample_partition WHERE name = $1", [name], as: "drop partition")
                }
            }
            try connection.query(
                "DELETE FROM backfeed_store.rejected_sample WHERE received_at < now() - make_interval(days => $1::int)",
                [retention], as: "drop old rejects")
        }
    }

    /// Builds the index by device and time on partitions whose last moment is longer ago than `seconds`: after the fact
    /// it costs half of what keeping it up for each row does. Blocks neither writers nor readers; returns what it built.
    ///
    /// - Returns: names of the partitions that have one now and had none.
    public mutating func indexClosedPartitions(after seconds: Double) throws(StoreError) -> [String] {
        try session.use { connection throws(StoreError) in
            let open = try connection.query(
                """
                SELECT p.name, c.oid IS NOT NULL FROM backfeed_store.sample_partition p \
                LEFT JOIN pg_class c ON c.relname = p.name || '_device_time' \
                LEFT JOIN pg_index i ON i.indexrelid = c.oid \
                WHERE p.ends < now() - make_interval(secs => $1::float8) AND i.indisvalid IS NOT TRUE ORDER BY p.name
                """, [String(seconds)], as: "find partitions to index")
            var built: [String] = []
            for row in open {
                guard let name = row[0] else { continue }
                // A build that was broken off leaves an index that is not valid.
                if row[1] == "t" {
                    try connection.query(
                        "DROP INDEX CONCURRENTLY IF EXISTS backfeed_store.\(name)_device_time", as: "drop broken index")
                }
                try connection.query(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS \(name)_device_time ON backfeed_store.\(name) (device_id, time)",
                    as: "index partition")
                built.append(name)
            }
            return built
        }
    }

    private mutating func makePartitions(_ days: Set<Int64>) throws(StoreError) {
        for day in days.sorted() where !partitions.contains(day) {
            guard partitionsMade < maximumPartitions else { return }
            let start = Timestamp(microseconds: day * 86_400_000_000)
            let end = Timestamp(microseconds: (day + 1) * 86_400_000_000)
            let name = "sample_" + start.description.prefix(10).replacing("-", with: "")
            try session.use { connection throws(StoreError) in
                try connection.transaction("make partition") { connection throws(StoreError) in
                    // Two writers may want the same day.
                    try connection.query("SELECT pg_advisory_xact_lock(7316001)", as: "make partition")
                    let known = try connection.query(
                        "SELECT to_regclass('backfeed_store.\(name)') IS NOT NULL", as: "make partition")
                    guard known.first?[0] != "t" else { return }
                    try connection.query(
                        """
                        CREATE TABLE backfeed_store.\(name) PARTITION OF backfeed_store.sample \
                        FOR VALUES FROM ('\(start)') TO ('\(end)')
                        """, as: "make partition")
                    try connection.query(
                        "INSERT INTO backfeed_store.sample_partition VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        [name, start.description, end.description], as: "make partition")
                }
            }
            partitions.insert(day)
            partitionsMade += 1
        }
    }

    // MARK: State that ingest starts from

    public struct IngestState: Sendable {
        public var streams: [String: SampleBatch.Stream] = [:]
        public var clocks: [String: Timestamp] = [:]
        /// Aggregators with a loss whose end is not known yet.
        public var openEnded: Set<String> = []
        public init() {}
    }

    public mutating func loadState() throws(StoreError) -> IngestState {
        try session.use { connection throws(StoreError) in
            var state = IngestState()
            state.streams = try StreamStore.load(&connection)
            for row in try connection.query(
                "SELECT DISTINCT aggregator FROM backfeed_store.data_gap WHERE before_time IS NULL", as: "load losses")
            {
                if let name = row[0] { state.openEnded.insert(name) }
            }
            for row in try connection.query(
                "SELECT feeder, \(SQL.rfc3339("clock")) FROM backfeed_store.feeder_clock", as: "load clocks")
            {
                if let feeder = row[0], let time = row[1].flatMap({ Timestamp($0) }) { state.clocks[feeder] = time }
            }
            return state
        }
    }
}

/// Pieces of SQL that several statements share.
enum SQL {
    /// Literal of a text array.
    static func array(_ items: [String]) -> String {
        let quoted = items.map { item in
            "\"" + item.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        return "{\(quoted.joined(separator: ","))}"
    }

    /// A text in a statement that takes no parameters. (`standard_conforming_strings` is on since 9.1.)
    static func literal(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }

    /// A timestamptz as RFC 3339 in UTC, microseconds.
    static func rfc3339(_ column: String) -> String {
        "to_char(\(column) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    }
}
