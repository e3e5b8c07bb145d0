public import GridModel

/// Writes telemetry: COPY of the rows and the streams' new positions in one transaction. One thread owns it.
public struct SampleStore: ~Copyable {
    var session: DatabaseSession
    private var partitions = SamplePartitions()
    private let limits: PartitionLimits
    /// Rows and positions never wait for these.
    private var asides: Asides

    /// - Parameters:
    ///   - partitions: how many are made, and how long they are kept.
    ///   - deadlineMilliseconds: for each call; a server that stands still is then given up as lost.
    ///   - asidePause: s until what the samples do not need, and the database did not take, is tried again.
    public init(
        conninfo: String, partitions: PartitionLimits = .init(), deadlineMilliseconds: Int? = nil,
        asidePause: Double = 30
    ) {
        asides = Asides(pause: asidePause)
        session = DatabaseSession(conninfo, deadlineMilliseconds: deadlineMilliseconds)
        limits = partitions
    }

    /// Work beside storing rows and positions that failed and will be tried again; empty: none.
    public var problems: [String] { partitions.problems + asides.problems }

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
        let days = batches.reduce(into: [:]) { $0.merge($1.days) { first, _ in first } }
        partitions.prepare(days, limits, &session)
        var isBisecting = false
        asides.add(batches)
        while true {
            do throws(StoreError) {
                let switches = try write(batches, isBisecting: isBisecting)
                asides.written()
                return switches
            } catch {
                // Work that can wait is left out, and the rest is written at once.
                if asides.leaveOut(error) { continue }
                guard error.isAboutContent, !isBisecting else {
                    asides.takeBack()
                    throw error
                }
                isBisecting = true
            }
        }
    }

    private mutating func write(_ batches: [SampleBatch], isBisecting: Bool) throws(StoreError) -> [SwitchRecord] {
        let asides = asides
        return try session.use { connection throws(StoreError) in
            var switches: [SwitchRecord] = []
            // Positions first: a batch that is stored already must not cost a COPY.
            let move = StreamStore.Move(batches)
            try connection.transaction("store samples", opening: move.statements) {
                connection, answers throws(StoreError) in
                try move.check(answers)
                for batch in batches { try StreamStore.record(batch.lost, ends: batch.lostEnds, &connection) }
                let refused = try Self.copy(batches, isBisecting: isBisecting, &connection)
                if !refused.isEmpty { try Self.store(refused, as: "store refused rows", &connection) }
                try IngestOrder.markTaken(batches.flatMap(\.orders), &connection)
                switches = try SwitchStore.take(batches.flatMap(\.positions), &connection)
                return try asides.statements(&connection)
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

    /// Whether the batches are in the table: asked after a lost connection left the outcome of ``write(_:)`` open.
    public mutating func holds(_ batches: [SampleBatch]) throws(StoreError) -> Bool {
        try session.use { connection throws(StoreError) in
            try StreamStore.hold(StreamStore.passages(batches), &connection)
        }
    }

    static func store(
        _ rejects: [SampleBatch.Reject], as operation: String, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        var buffer = CopyBuffer()
        let now = try connection.query("SELECT (extract(epoch FROM now()) * 1e6)::int8", as: operation)[0][0] ?? "0"
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
            """, buffer.finished(), as: operation)
    }

    // MARK: Upkeep

    /// Makes the partitions of today and the next two days, and drops what is older than the retention. Call at the start
    /// and now and then.
    ///
    /// - Throws: the first thing that went wrong; the others were tried all the same.
    public mutating func maintain(today: Int64) throws(StoreError) {
        try partitions.maintain(today: today, limits, &session)
    }

    /// Builds the index by device and time on partitions whose last moment is longer ago than `seconds`: after the fact
    /// it costs half of what keeping it up for each row does. Blocks neither writers nor readers; returns what it built.
    ///
    /// - Returns: names of the partitions that have one now and had none.
    public mutating func indexClosedPartitions(after seconds: Double) throws(StoreError) -> [String] {
        try SamplePartitions.index(after: seconds, &session)
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
