import GridModel
import ServiceKit
import Store
import TestSupport
import Testing

/// Nothing but the database itself may hold a batch: neither partitions nor what is written beside the samples.
@Suite(.serialized, .timeLimit(.minutes(3))) struct PartitionTests {
    let conninfo: String
    let stored: StoredNetwork
    /// Long before today: no partition is made ahead.
    let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    init() throws {
        conninfo = try TestCluster.migrated()
        _ = try NetworkStore.importRevision(SmallNetwork.make(), by: "test", conninfo)
        stored = try #require(try NetworkStore.load(conninfo))
    }

    private func value(_ sql: String) throws -> String {
        var connection = try PostgresConnection(conninfo)
        return try connection.query(sql, as: "ask").first?[0] ?? ""
    }

    private func count(_ what: String) throws -> Int { Int(try value("SELECT count(*) FROM \(what)")) ?? -1 }

    /// A sample at eight o'clock of each of so many days, from `first` days after ``start`` on.
    private func batch(_ sequence: UInt64, days: Int = 1, from first: Int = 0, by aggregator: String = "agg")
        -> SampleBatch
    {
        let batch = SampleBatch(capacity: 10)
        batch.speaker = aggregator
        for day in first..<first + days {
            batch.append(
                Sample(device: 0, time: start + 86_400 * Double(day), activePower: 1, voltage: 230),
                deviceID: stored.deviceIDs[0], areaID: stored.areaIDs[0], current: .nan, frequency: .nan, state: 0)
        }
        batch.streams[aggregator] = .init(
            position: StreamPosition(epoch: 1, last: sequence), versionBefore: sequence == 1 ? nil : Int64(sequence - 1)
        )
        return batch
    }

    @Test func aDayThatTheDefaultPartitionHasIsStoredThereAfterARestart() throws {
        var first = SampleStore(conninfo: conninfo, partitions: PartitionLimits(most: 0))
        try first.write([batch(1)])
        #expect(try count("backfeed_store.sample_default") == 1 && first.problems.isEmpty)
        // The next run has room for partitions, and cannot make this one any more.
        var next = SampleStore(conninfo: conninfo)
        try next.write([batch(2)])
        #expect(try count("backfeed_store.sample_default") == 2)
        #expect(next.problems.first?.contains("no partition for 2026-06-21") == true)
        // Nor does upkeep fail for the other days.
        try next.maintain(today: SystemClock.nowMicroseconds / 86_400_000_000)
        try next.write([batch(3, from: 1)])
        #expect(try count("backfeed_store.sample_20260622") == 1)
    }

    @Test func aReportThatLocksTheTableHoldsNoBatchOfANewDay() throws {
        var report = try PostgresConnection(conninfo)
        try report.query("BEGIN; SELECT count(*) FROM backfeed_store.sample", as: "report")
        var store = SampleStore(conninfo: conninfo, deadlineMilliseconds: 5000)
        try store.write([batch(1)])
        #expect(try count("backfeed_store.sample_default") == 1)
        #expect(store.problems.first?.contains("55P03") == true)
        try report.query("ROLLBACK", as: "report")
    }

    @Test func aRoleThatMayMakeNoTablesStoresEveryDay() throws {
        var admin = try PostgresConnection(conninfo)
        let role = "writer_\(SystemClock.nowMicroseconds)"
        try admin.query(
            """
            CREATE ROLE \(role); GRANT USAGE ON SCHEMA backfeed_store, backfeed TO \(role); \
            GRANT ALL ON ALL TABLES IN SCHEMA backfeed_store, backfeed TO \(role)
            """, as: "make role")
        var store = SampleStore(conninfo: conninfo + " options='-c role=\(role)'")
        try store.write([batch(1, days: 2)])
        #expect(try count("backfeed_store.sample_default") == 2)
        #expect(store.problems.count == 2 && store.problems[0].contains("42501"))
    }

    @Test func oneAggregatorOpensAtMostSoManyDaysAlsoAfterARestart() throws {
        let limits = PartitionLimits(mostOfOneAggregator: 2)
        var store = SampleStore(conninfo: conninfo, partitions: limits)
        try store.write([batch(1, days: 4)])
        #expect(
            try value("SELECT string_agg(name, ' ' ORDER BY name) FROM backfeed_store.sample_partition")
                == "sample_20260621 sample_20260622")
        #expect(try count("backfeed_store.sample_default") == 2 && store.problems.isEmpty)
        var next = SampleStore(conninfo: conninfo, partitions: limits)
        try next.write([batch(2, from: 5)])
        #expect(try count("backfeed_store.sample_default") == 3)
        // Another one has its own, and what is of now is nobody's.
        try next.write([batch(1, from: 6, by: "other")])
        #expect(try count("backfeed_store.sample_20260627") == 1)
        let now = batch(3)
        now.append(
            Sample(device: 0, time: Timestamp(microseconds: SystemClock.nowMicroseconds), activePower: 1, voltage: 230),
            deviceID: stored.deviceIDs[0], areaID: stored.areaIDs[0], current: .nan, frequency: .nan, state: 0)
        try next.write([now])
        #expect(try count("backfeed_store.sample_partition WHERE opened_by IS NULL") == 1)
    }

    @Test func whatNobodyNeedsOfOldDaysIsRemovedAlsoWhereItHasNoPartition() throws {
        let limits = PartitionLimits(most: 0, retention: 5, dropsLooseRows: true)
        var store = SampleStore(conninfo: conninfo, partitions: limits)
        let old = batch(1)
        old.appendExtra(time: start, deviceID: stored.deviceIDs[0], areaID: stored.areaIDs[0], .limit, 5)
        try store.write([old])
        let today = SystemClock.nowMicroseconds / 86_400_000_000
        try store.maintain(today: today)
        #expect(try count("backfeed.sample") == 0 && count("backfeed_store.sample_extra") == 0)
        // Where old telemetry is wanted, it stays.
        var history = SampleStore(conninfo: conninfo, partitions: PartitionLimits(most: 0, retention: 5))
        try history.write([batch(2)])
        try history.maintain(today: today)
        #expect(try count("backfeed.sample") == 1)
    }

    @Test(arguments: ["claim devices", "store clocks", "mark late samples", "store rejects"])
    func whatIsWrittenBesideTheSamplesWaitsAndTheyDoNot(_ aside: String) throws {
        let table = [
            "claim devices": "device", "store clocks": "feeder_clock", "mark late samples": "profile_amendment",
            "store rejects": "rejected_sample",
        ][aside]
        // As somebody's rule would; the other kinds go on.
        var admin = try PostgresConnection(conninfo)
        try admin.query(
            """
            CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''23514''; END'; \
            CREATE TRIGGER forbid BEFORE INSERT OR UPDATE ON backfeed_store.\(table ?? "") \
            FOR EACH ROW EXECUTE FUNCTION forbid()
            """, as: "forbid")
        var store = SampleStore(conninfo: conninfo, asidePause: 0)
        let full = batch(1)
        full.claims = [.init(id: stored.deviceIDs[0], aggregator: "agg")]
        full.clocks["F1"] = (area: stored.areaIDs[0], time: start)
        full.noteLate(feeder: "F1", area: stored.areaIDs[0], from: start, until: start)
        full.rejects = [.init(aggregator: "agg", reason: "no", detail: "", bytes: [])]
        try store.write([full])
        #expect(try count("backfeed.sample") == 1)
        #expect(store.problems.count == 1 && store.problems[0].hasPrefix(aside))
        let written = { [self] in
            [
                try count("backfeed_store.device WHERE aggregator = 'agg'"), try count("backfeed_store.feeder_clock"),
                try count("backfeed_store.profile_amendment"), try count("backfeed_store.rejected_sample"),
            ]
        }
        #expect(try written().reduce(0, +) == 3)
        // It is owed, and comes with the next batch once that is possible.
        try admin.query("DROP TRIGGER forbid ON backfeed_store.\(table ?? "")", as: "allow")
        try store.write([batch(2)])
        #expect(try written() == [1, 1, 1, 1] && store.problems.isEmpty)
    }

    @Test func somebodysLockOnADeviceHoldsNoBatch() throws {
        var other = try PostgresConnection(conninfo)
        try other.query("BEGIN; SELECT FROM backfeed_store.device FOR UPDATE", as: "lock")
        var store = SampleStore(conninfo: conninfo, deadlineMilliseconds: 900)
        let first = batch(1)
        first.claims = [.init(id: stored.deviceIDs[0], aggregator: "agg")]
        // Its partition is there: only the claim waits.
        try store.write([first])
        #expect(try count("backfeed.sample") == 1 && store.problems.count == 1)
        try other.query("ROLLBACK", as: "unlock")
    }
}
