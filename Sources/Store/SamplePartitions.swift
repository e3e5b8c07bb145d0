internal import GridModel
internal import ServiceKit

/// How many daily partitions there may be, and for how long.
public struct PartitionLimits: Sendable {
    /// Days for which a partition is made on demand, of all that exist; the rest goes to the default partition.
    public var most: Int
    /// The number of them that the samples of one aggregator may open.
    public var mostOfOneAggregator: Int
    /// Days: partitions older than this, and made longer ago than this, are dropped; 0: never.
    public var retention: Int
    /// Rows without a partition of their own that are older than the retention are removed, too. False where old telemetry is
    /// taken on purpose: it would be gone a minute later.
    public var dropsLooseRows: Bool

    public init(most: Int = 800, mostOfOneAggregator: Int = 100, retention: Int = 400, dropsLooseRows: Bool = false) {
        self.most = most
        self.mostOfOneAggregator = mostOfOneAggregator
        self.retention = retention
        self.dropsLooseRows = dropsLooseRows
    }
}

/// The daily partitions of `backfeed_store.sample`, as one session knows them.
///
/// Making one may fail for many reasons (a lock that a report holds, no right to make tables, no room, rows of that day in
/// the default partition), and none of them is a reason not to store samples: the default partition takes every day.
struct SamplePartitions {
    /// Days whose rows go where they go: there is a partition, or there will be none from here.
    private var settled: Set<Int64> = []
    /// Days for which the connection was lost while a partition was made, to the number of times.
    private var interrupted: [Int64: Int] = [:]
    private var failures: [Int64: String] = [:]

    /// A lock on the parent table holds everybody up, those who wait for it too.
    private static let patience = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '3s'"
    /// A connection that is lost so often while a partition of one day is made is lost because of it.
    private static let tries = 3
    private static let secondsOfDay: Int64 = 86_400

    /// Newest first, at most three.
    var problems: [String] {
        failures.sorted { $0.key > $1.key }.prefix(3).map { "no partition for \(Self.date($0.key)): \($0.value)" }
    }

    private static func midnight(_ day: Int64) -> Timestamp {
        Timestamp(microseconds: day * secondsOfDay * 1_000_000)
    }
    private static func date(_ day: Int64) -> String { String(midnight(day).description.prefix(10)) }

    /// Makes partitions for days that have none, where that is possible now. Never fails.
    ///
    /// - Parameter days: since 1970, to the aggregator whose sample came first.
    mutating func prepare(_ days: [Int64: String], _ limits: PartitionLimits, _ session: inout DatabaseSession) {
        for (day, aggregator) in days.sorted(by: { $0.key < $1.key }) where !settled.contains(day) {
            let today = SystemClock.nowMicroseconds / 1_000_000 / Self.secondsOfDay
            let isOfNow = (today - 1...today + 2).contains(day)
            do throws(StoreError) {
                try Self.make(day, for: isOfNow ? nil : aggregator, limits, &session)
                failures[day] = nil
                settled.insert(day)
            } catch {
                interrupted[day, default: 0] += 1
                // Without a connection nothing was tried: the samples, which come next, will tell.
                if error.code == .connectionFailed, interrupted[day, default: 0] < Self.tries { return }
                failures[day] = error.description
                settled.insert(day)
            }
        }
    }

    /// - Parameter aggregator: who wants it; `nil`: made ahead, whatever the limits.
    private static func make(
        _ day: Int64, for aggregator: String?, _ limits: PartitionLimits, _ session: inout DatabaseSession
    ) throws(StoreError) {
        let (start, end) = (midnight(day), midnight(day + 1))
        let name = "sample_" + date(day).replacing("-", with: "")
        try session.use { connection throws(StoreError) in
            try connection.transaction("make partition") { connection throws(StoreError) in
                try connection.query(patience, as: "make partition")
                // Two writers may want the same day.
                try connection.query(
                    "SELECT pg_advisory_xact_lock(\(AdvisoryLock.partitions.rawValue))", as: "make partition")
                let known =
                    try connection.query(
                        """
                        SELECT to_regclass('backfeed_store.\(name)') IS NOT NULL, \
                        EXISTS (SELECT FROM backfeed_store.sample_default WHERE time >= $1 AND time < $2), \
                        (SELECT count(*) FROM backfeed_store.sample_partition) >= $3::int8, \
                        (SELECT count(*) FROM backfeed_store.sample_partition WHERE opened_by = $4) >= $5::int8
                        """,
                        [
                            start.description, end.description, String(limits.most), aggregator,
                            String(limits.mostOfOneAggregator),
                        ], as: "make partition"
                    ).first?.map { $0 == "t" } ?? []
                guard known.count == 4, !known[0] else { return }
                // Limits are no failure: that day's rows are stored, in the default partition.
                if aggregator != nil, known[2] || known[3] { return }
                guard !known[1] else {
                    throw StoreError(
                        .setUpFailed, "make partition", message: "the default partition has samples of that day already"
                    )
                }
                try connection.query(
                    """
                    CREATE TABLE backfeed_store.\(name) PARTITION OF backfeed_store.sample \
                    FOR VALUES FROM ('\(start)') TO ('\(end)')
                    """, as: "make partition")
                try connection.query(
                    """
                    INSERT INTO backfeed_store.sample_partition (name, starts, ends, opened_by) \
                    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
                    """, [name, start.description, end.description, aggregator], as: "make partition")
            }
        }
    }

    // MARK: Upkeep

    /// Rows that one call removes of a table without partitions: short transactions, and the next minute goes on.
    private static let portion = 50_000

    mutating func maintain(
        today: Int64, _ limits: PartitionLimits, _ session: inout DatabaseSession
    ) throws(StoreError) {
        var problem: StoreError?
        for day in today...today + 2 {
            do throws(StoreError) {
                try Self.make(day, for: nil, limits, &session)
                failures[day] = nil
            } catch {
                problem = problem ?? error
            }
        }
        if limits.retention > 0 {
            do throws(StoreError) {
                for name in try Self.old(limits.retention, &session) { try Self.drop(name, &session) }
                try Self.dropRows(limits, &session)
            } catch {
                problem = problem ?? error
            }
        }
        if let problem { throw problem }
    }

    private static func old(_ days: Int, _ session: inout DatabaseSession) throws(StoreError) -> [String] {
        try session.use { connection throws(StoreError) in
            try connection.query(
                """
                SELECT name FROM backfeed_store.sample_partition WHERE ends < now() - make_interval(days => $1::int) \
                AND created_at < now() - make_interval(days => $1::int)
                """, [String(days)], as: "find old partitions"
            ).compactMap { $0[0] }
        }
    }

    private static func drop(_ name: String, _ session: inout DatabaseSession) throws(StoreError) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("drop partition") { connection throws(StoreError) in
                // Writers wait while this waits: it rather tries again in a minute.
                try connection.query(patience, as: "drop partition")
                try connection.query(
                    "ALTER TABLE backfeed_store.sample DETACH PARTITION backfeed_store.\(name)", as: "detach partition")
                try connection.query("DROP TABLE backfeed_store.\(name)", as: "drop partition")
                try connection.query(
                    "DELETE FROM backfeed_store.sample_partition WHERE name = $1", [name], as: "drop partition")
            }
        }
    }

    /// Deletes old rows that are in no partition that could be dropped.
    private static func dropRows(_ limits: PartitionLimits, _ session: inout DatabaseSession) throws(StoreError) {
        let age = "now() - make_interval(days => \(limits.retention))"
        // Rare quantities go when their day's partition has gone.
        let unless =
            "NOT EXISTS (SELECT FROM backfeed_store.sample_partition p WHERE p.starts <= r.time AND r.time < p.ends)"
        var rules = [("rejected_sample", "received_at", "true")]
        if limits.dropsLooseRows { rules += [("sample_extra", "time", unless), ("sample_default", "time", "true")] }
        try session.use { connection throws(StoreError) in
            for (table, column, condition) in rules {
                try connection.query(
                    """
                    WITH old AS (SELECT ctid FROM backfeed_store.\(table) r WHERE \(column) < \(age) AND \(condition) \
                    LIMIT \(portion)) DELETE FROM backfeed_store.\(table) r USING old WHERE r.ctid = old.ctid
                    """, as: "drop old rows of \(table)")
            }
        }
    }

    static func index(after seconds: Double, _ session: inout DatabaseSession) throws(StoreError) -> [String] {
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
}
