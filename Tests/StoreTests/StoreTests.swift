import Foundation
import GridModel
import ServiceKit
import Store
import TestSupport
import Testing

/// One cluster for all tests of this process, on PostgreSQL as it is shipped; a database for each test.
enum TestCluster {
    private static let folder = "/tmp/backfeed-store-tests-\(SystemClock.nowMicroseconds)"

    static let shared: Result<EmbeddedCluster, any Error> = Result {
        atexit { TestCluster.finish() }
        return try EmbeddedCluster(directory: folder, settings: ["fsync": "off"])
    }

    private static func finish() {
        if case .success(let cluster) = shared { cluster.stop() }
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static let counter = Guarded(0)

    static func database() throws -> String {
        let cluster = try shared.get()
        let number = counter.withLock {
            $0 += 1; return $0
        }
        var admin = try PostgresConnection(cluster.conninfo)
        try admin.query("CREATE DATABASE t\(number)", as: "make test database")
        return cluster.conninfo.replacing("dbname=postgres", with: "dbname=t\(number)")
    }

    static func migrated() throws -> String {
        let conninfo = try database()
        try Migrator.migrate(conninfo, directory: "\(Repository.root)/Migrations")
        return conninfo
    }
}

@Suite(.serialized, .timeLimit(.minutes(3))) struct StoreTests {
    let conninfo: String
    let stored: StoredNetwork
    let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    init() throws {
        conninfo = try TestCluster.migrated()
        _ = try NetworkStore.importRevision(SmallNetwork.make(), by: "test", conninfo)
        stored = try #require(try NetworkStore.load(conninfo))
    }

    private func count(_ sql: String) throws -> Int {
        var connection = try PostgresConnection(conninfo)
        return Int(try connection.query(sql, as: "count").first?[0] ?? "") ?? -1
    }

    private func batch(_ count: Int, from first: Int = 0, last: UInt64, before: UInt64? = nil) -> SampleBatch {
        let batch = SampleBatch(capacity: count)
        for k in first..<first + count {
            batch.append(
                Sample(device: 0, time: start + Double(k), activePower: Float(k), voltage: 230),
                deviceID: stored.deviceIDs[0],
                areaID: stored.areaIDs[0], current: .nan, frequency: 50, state: 4)
        }
        batch.streams["agg"] = .init(
            position: StreamPosition(epoch: 1, last: last), versionBefore: before.map { Int64($0) })
        return batch
    }

    @Test func eachTimeHasTheNetworkThatWasInForceThen() throws {
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        func revisions(from: Timestamp, until: Timestamp) throws -> [Int] {
            let known = try #require(try NetworkStore.load(conninfo))
            return try NetworkHistory.load(from: from, until: until, known: known, conninfo).stretches
                .map(\.stored.revision)
        }
        // Nothing has been analysed yet: the newest is that of all time.
        var network = SmallNetwork.make()
        network.ders.removeAll { $0.id == "pv-4" }
        #expect(try NetworkStore.importRevision(network, by: "test", conninfo).revision == 2)
        #expect(try revisions(from: start, until: now + 60) == [2])
        // History is played: the next one is for what comes after it.
        var connection = try PostgresConnection(conninfo)
        try connection.query(
            "INSERT INTO backfeed_store.analyser_position VALUES ('F1', $1, $1)", [(start + 3600).description],
            as: "analyse")
        _ = try NetworkStore.importRevision(SmallNetwork.make(), by: "test", conninfo)
        #expect(try revisions(from: start, until: now) == [2, 3])
        #expect(try revisions(from: start, until: start + 3600) == [2])
        #expect(try revisions(from: start + 3600, until: now) == [3])
        // A change now is in force from the minute of the import; a second import in that minute replaces the first.
        try connection.query("UPDATE backfeed_store.analyser_position SET minute = now()", as: "analyse")
        network.ders.removeAll { $0.id == "pv-3" }
        _ = try NetworkStore.importRevision(network, by: "test", conninfo)
        network.ders.removeAll { $0.id == "pv-2" }
        _ = try NetworkStore.importRevision(network, by: "test", conninfo)
        let newest = try revisions(from: now - 600, until: now + 600)
        #expect(newest == [3, 5] || newest == [3, 4, 5])

        // Devices that are gone have numbers behind those that are there.
        let known = try #require(try NetworkStore.load(conninfo))
        let history = try NetworkHistory.load(from: start, until: now + 600, known: known, conninfo)
        let gone = try #require(stored.registry.index["pv-4"])
        let id = stored.deviceIDs[Int(gone)]
        #expect(known.registry.index["pv-4"] == nil && known.deviceIDs.contains(id) == false)
        let number = try #require(history.numberOfDeviceID[id])
        #expect(Int(number) >= known.registry.devices.count)
        let third = try #require(history.stretches.first { $0.stored.revision == 3 })
        #expect(third.numbers[Int(number)] == gone && history.stretches.last?.numbers[Int(number)] == -1)
        #expect(history.voltageBases[Int(number)] == stored.registry.devices[Int(gone)].voltageBase)
        let stays = history.stays(at: "F1", from: start, until: now).filter { $0.device.name == "pv-4" }.map(\.stay)
        #expect(stays.map(\.id) == [id] && stays.first?.from == start + 3600)
    }

    @Test func rowsAndPositionsAreStoredTogether() throws {
        var store = SampleStore(conninfo: conninfo)
        try store.write([batch(1000, last: 1)])
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 1000)
        #expect(
            try count(
                "SELECT count(*) FROM backfeed.sample WHERE reactive_power_var IS NULL AND voltage_v = 230 AND frequency_hz = 50"
            ) == 1000)
        #expect(try count("SELECT count(*) FROM backfeed_store.sample_default") == 0)
        #expect(try store.loadState().streams["agg"]?.position.last == 1)
    }

    @Test func aBatchThatIsStoredAlreadyIsAConflictAndNothingIsDoubled() throws {
        var store = SampleStore(conninfo: conninfo)
        try store.write([batch(10, last: 1)])
        try store.write([batch(10, from: 10, last: 2, before: 1)])
        let error = #expect(throws: StoreError.self) { try store.write([batch(10, from: 10, last: 2, before: 1)]) }
        #expect(error?.code == .conflict)
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 20)
        #expect(try store.holds([batch(10, from: 10, last: 2, before: 1)]))
        #expect(try !store.holds([batch(10, from: 10, last: 3, before: 1)]))
    }

    /// What comes faster than one commit takes goes together: as a whole or not at all.
    @Test func severalBatchesAreOneTransaction() throws {
        var store = SampleStore(conninfo: conninfo)
        try store.write([batch(10, last: 1)])
        let gap = batch(10, from: 20, last: 4, before: 2)
        gap.streams["agg"]?.position.missing = [MissingRange(3...3, after: start, before: start + 5)]
        let other = batch(10, from: 40, last: 9)
        other.streams = ["other": .init(position: StreamPosition(epoch: 7, last: 9), versionBefore: nil)]
        let filled = batch(10, from: 30, last: 5, before: 3)
        let together = [batch(10, from: 10, last: 2, before: 1), gap, other, filled]
        for (place, made) in together.enumerated() {
            made.clocks["F1"] = (area: stored.areaIDs[0], time: start + Double(place))
            made.claims = [0, place + 1].map { .init(id: stored.deviceIDs[$0], aggregator: "agg-\(place)") }
        }
        try store.write(together)
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 50)
        let state = try store.loadState()
        #expect(state.streams["agg"]?.position.last == 5 && state.streams["other"]?.position.last == 9)
        #expect(state.streams["agg"]?.position.missing.isEmpty == true)
        #expect(state.clocks["F1"] == start + 3)
        // Who spoke first for a device keeps it; the others have their own.
        for (place, devices) in [2, 1, 1, 1].enumerated() {
            #expect(
                try count("SELECT count(*) FROM backfeed_store.device WHERE aggregator = 'agg-\(place)'") == devices)
        }
        #expect(try store.holds(together))
        // Once more, and with a beginning that is stored already: nothing of it.
        for again in [together, [filled, batch(10, from: 50, last: 6, before: 4)]] {
            let error = #expect(throws: StoreError.self) { try store.write(again) }
            #expect(error?.code == .conflict)
        }
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 50)
        // The chain goes on where it ended.
        try store.write([batch(10, from: 60, last: 6, before: 4), batch(10, from: 70, last: 7, before: 5)])
        #expect(try store.loadState().streams["agg"]?.position.last == 7)
    }

    /// The clocks are sent together with the commit: where the database does not take them, it must not take place, and the
    /// samples are stored once, without them.
    @Test func whatFailsBesideTheCommitLeavesNothingOfThatTry() throws {
        var owner = try PostgresConnection(conninfo)
        try owner.query("ALTER TABLE backfeed_store.feeder_clock ADD CONSTRAINT closed CHECK (false)", as: "refuse")
        var store = SampleStore(conninfo: conninfo, asidePause: 0)
        let made = batch(10, last: 1)
        made.clocks["F1"] = (area: stored.areaIDs[0], time: start)
        try store.write([made])
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 10)
        #expect(try store.loadState().streams["agg"]?.position.last == 1)
        #expect(store.problems.first?.contains("23514") == true)
        try owner.query("ALTER TABLE backfeed_store.feeder_clock DROP CONSTRAINT closed", as: "allow")
        // The same connection, its statements known to the server or not.
        try store.write([batch(10, from: 10, last: 2, before: 1)])
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 20)
        #expect(try store.loadState().clocks["F1"] == start)
    }

    @Test func aBatchThatOnlyFillsAGapIsStoredOnceToo() throws {
        var store = SampleStore(conninfo: conninfo)
        let first = batch(1, last: 9)
        first.streams["agg"]?.position.missing = [MissingRange(3...4, after: start, before: start + 5)]
        try store.write([first])
        let state = try store.loadState()
        #expect(state.streams["agg"]?.position.missing == [MissingRange(3...4, after: start, before: start + 5)])
        // The last sequence stays 9: only the version tells the second try from the first.
        func filling() -> SampleBatch {
            let made = batch(1, from: 3, last: 9, before: 1)
            made.streams["agg"]?.position.missing = [MissingRange(4...4, after: start, before: start + 5)]
            return made
        }
        try store.write([filling()])
        let error = #expect(throws: StoreError.self) { try store.write([filling()]) }
        #expect(error?.code == .conflict)
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 2)
        #expect(try count("SELECT count(*) FROM backfeed.data_gap WHERE state = 'open' AND first_sequence = 4") == 1)
    }

    @Test func aLossKeepsItsRangeAndGetsItsEndWhenItIsKnown() throws {
        var store = SampleStore(conninfo: conninfo)
        let made = batch(1, last: 9)
        made.lost = [
            LostRange(
                aggregator: "agg", epoch: 1, first: 5, last: nil, after: start, before: nil, reason: .epochReplaced)
        ]
        try store.write([made])
        #expect(try store.loadState().openEnded == ["agg"])
        let next = batch(1, from: 20, last: 10, before: 1)
        next.lostEnds["agg"] = start + 20
        try store.write([next])
        #expect(
            try count(
                "SELECT count(*) FROM backfeed.data_gap WHERE reason = 'epoch_replaced' AND before_time - after_time = '20 s'"
            ) == 1)
        #expect(try store.loadState().openEnded.isEmpty)
    }

    @Test func aClosedPartitionIsIndexedOnceAndStillTakesLateRows() throws {
        var store = SampleStore(conninfo: conninfo)
        try store.write([batch(100, last: 1)])
        let before = try store.indexClosedPartitions(after: 1e9)
        #expect(before.isEmpty)
        let built = try store.indexClosedPartitions(after: 3600)
        #expect(built == ["sample_20260621"])
        let again = try store.indexClosedPartitions(after: 3600)
        #expect(again.isEmpty)
        #expect(
            try count(
                "SELECT count(*) FROM pg_index WHERE indexrelid = 'backfeed_store.sample_20260621_device_time'::regclass AND indisvalid"
            ) == 1)
        try store.write([batch(50, from: 100, last: 2, before: 1)])
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 150)
        // One that was broken off is built again.
        var connection = try PostgresConnection(conninfo)
        try connection.query(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'backfeed_store.sample_20260621_device_time'::regclass",
            as: "break index")
        let repaired = try store.indexClosedPartitions(after: 3600)
        #expect(repaired == ["sample_20260621"])
    }

    @Test func aRevokedKeyDoesNotComeBack() throws {
        var keys = PublisherKeys(conninfo: conninfo)
        let key = String(repeating: "a", count: 40)
        #expect(try keys.add("AGG-A", publicKey: key, by: "ann"))
        #expect(try keys.valid() == [key: "AGG-A"])
        #expect(try keys.revoke("AGG-A", by: "ben") == 1)
        #expect(try keys.valid().isEmpty)
        #expect(try !keys.add("AGG-A", publicKey: key, by: "ann"))
        #expect(try keys.revoke("AGG-A", by: "ben") == 0)
    }

    @Test func aServerThatStandsStillIsGivenUpAfterTheDeadline() throws {
        var blocker = try PostgresConnection(conninfo)
        try blocker.query("BEGIN; LOCK TABLE backfeed_store.stream_position IN ACCESS EXCLUSIVE MODE", as: "block")
        var store = SampleStore(conninfo: conninfo, deadlineMilliseconds: 300)
        let made = batch(10, last: 1)
        let error = #expect(throws: StoreError.self) { try store.write([made]) }
        #expect(error != nil)
        try blocker.query("COMMIT", as: "unblock")
        // The same batch, tried before: its rows are complete once.
        try store.write([made])
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 10)
    }

    @Test func rowsThatTheDatabaseRefusesDoNotHoldUpTheOthers() throws {
        var owner = try PostgresConnection(conninfo)
        try owner.query(
            "ALTER TABLE backfeed_store.sample ADD CHECK (active_power_w NOT IN (13, 14, 700))", as: "own constraint")
        var store = SampleStore(conninfo: conninfo)
        // Refused are rows of the first and of the third.
        try store.write([
            batch(300, last: 1), batch(300, from: 300, last: 2, before: 1), batch(400, from: 600, last: 3, before: 2),
        ])
        #expect(try count("SELECT count(*) FROM backfeed_store.sample") == 997)
        #expect(
            try count(
                """
                SELECT count(*) FROM backfeed_store.rejected_sample WHERE reason = 'refused_by_database' \
                AND detail LIKE '%23514%' AND length(bytes) > 40
                """) == 3)
        #expect(try count("SELECT last_sequence FROM backfeed_store.stream_position") == 3)
        // The connection is good for the next one.
        try store.write([batch(10, from: 2000, last: 4, before: 3)])
        #expect(try count("SELECT count(*) FROM backfeed_store.sample") == 1007)
    }

    @Test func rejectsKeepTheirBytesWhateverTheyAre() throws {
        var store = SampleStore(conninfo: conninfo)
        let batch = SampleBatch(capacity: 1)
        let bytes = (0...255).map { UInt8($0) }
        batch.rejects = [.init(aggregator: "a\0b", reason: "unknown_device", detail: "\0", bytes: bytes)]
        try store.write([batch])
        #expect(
            try count(
                "SELECT count(*) FROM backfeed_store.rejected_sample WHERE length(bytes) = 256 AND get_byte(bytes, 255) = 255"
            ) == 1)
    }

    @Test func samplesComeBackInOrderAndLateOnesFlagged() throws {
        var store = SampleStore(conninfo: conninfo)
        let made = batch(5, last: 1)
        made.append(
            Sample(device: 0, time: start + 2.5, activePower: 9, quality: .late), deviceID: stored.deviceIDs[0],
            areaID: stored.areaIDs[0], current: .nan, frequency: .nan, state: 0)
        try store.write([made])
        var back: [Sample] = []
        try store.replay(from: start + 1, of: NetworkHistory(stored)) { back += $0 }
        #expect(back.map(\.activePower) == [1, 2, 9, 3, 4])
        #expect(back.map { $0.quality.contains(.late) } == [false, false, true, false, false])
        #expect(back.allSatisfy { $0.device == 0 && $0.reactivePower.isNaN })
    }

    @Test func samplesComeBackWithWhatIsKeptBesideTheirRows() throws {
        var store = SampleStore(conninfo: conninfo)
        let made = batch(3, last: 1)
        made.append(
            Sample(
                device: 0, time: start + 10, activePower: 7, reactivePower: -2, voltage: 231, interval: 60,
                stateOfCharge: 40, quality: .substituted),
            deviceID: stored.deviceIDs[0], areaID: stored.areaIDs[0], current: 1, frequency: 50, state: 2)
        for (quantity, value) in [
            (Quantity.activePowerA, 3.0), (.activePowerB, -1.5), (.activePowerC, 2), (.voltageA, 230), (.voltageB, 228),
            (.voltageC, 235), (.tapPosition, -4), (.currentA, 9),
        ] {
            made.appendExtra(
                time: start + 1, deviceID: stored.deviceIDs[0], areaID: stored.areaIDs[0], quantity, value)
        }
        try store.write([made])
        var back: [Sample] = []
        try store.replay(from: start, until: start + 10, of: NetworkHistory(stored)) { back += $0 }
        let isBetweenLines = stored.registry.devices[0].voltageBase > 1000
        let unbalance = Float(PhaseMeasures.unbalance(230, 228, 235, betweenLines: isBetweenLines))
        #expect(back.map(\.leastPhasePower.description) == ["nan", "-1.5", "nan"])
        #expect(back.map(\.tapPosition.description) == ["nan", "-4.0", "nan"])
        #expect(back.map(\.unbalance.description) == ["nan", unbalance.description, "nan"])
        // Nothing beside the rows is in this stretch.
        back = []
        try store.replay(from: start + 2, of: NetworkHistory(stored)) { back += $0 }
        #expect(back.map(\.activePower) == [2, 7] && back.map(\.interval) == [0, 60])
        #expect(back[1].stateOfCharge == 40 && back[1].reactivePower == -2 && back[1].quality == .substituted)
    }

    @Test func partitionsAreMadeAheadAndOldOnesDropped() throws {
        var store = SampleStore(conninfo: conninfo, partitions: PartitionLimits(retention: 5))
        try store.write([batch(10, last: 1)])
        let today = SystemClock.nowMicroseconds / 86_400_000_000
        try store.maintain(today: today)
        #expect(try count("SELECT count(*) FROM backfeed_store.sample_partition WHERE ends > now()") >= 3)
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 10)
        var connection = try PostgresConnection(conninfo)
        try connection.query(
            """
            UPDATE backfeed_store.sample_partition SET created_at = now() - interval '10 days', \
            ends = now() - interval '9 days' WHERE name = 'sample_20260621'
            """, as: "age partition")
        try store.maintain(today: today)
        #expect(try count("SELECT count(*) FROM backfeed.sample") == 0)
        #expect(try count("SELECT (to_regclass('backfeed_store.sample_20260621') IS NULL)::int") == 1)
    }

    @Test func aMissingServerIsRetriableAndSaysSo() {
        let error = #expect(throws: StoreError.self) {
            var store = SampleStore(conninfo: "host=/nonexistent")
            try store.write([SampleBatch(capacity: 1)])
        }
        #expect(error?.code == .connectionFailed)
        #expect(error?.isRetriable == true)
    }

    @Test func migrationsFromTwoPlacesAtOnceAreAppliedOnce() throws {
        let conninfo = try TestCluster.database()
        let results = Guarded<[Int]>([])
        let threads = (0..<4).map { number in
            WorkerThread(name: "migrate\(number)") {
                let done = try? Migrator.migrate(conninfo, directory: "\(Repository.root)/Migrations")
                results.withLock { $0.append(done?.count ?? -1) }
            }
        }
        threads.forEach { $0.join() }
        let files = try Migrator.status(conninfo, directory: "\(Repository.root)/Migrations")
        #expect(results.withLock { $0.sorted() } == [0, 0, 0, files.count])
        #expect(files.filter { !$0.applied }.isEmpty)
    }

    @Test func aRoleThatMayMakeNothingMigratesWhenNothingIsToBeDone() throws {
        let owner = try TestCluster.database()
        let service = owner.replacing("user=backfeed", with: "user=\(Migrator.serviceRole)")
        try Migrator.migrate(owner, directory: "\(Repository.root)/Migrations", protecting: true)
        #expect(try Migrator.migrate(service, directory: "\(Repository.root)/Migrations").isEmpty)
    }

    @Test func anImportIsARevisionAndNamesEachSwitchThatChanged() throws {
        var network = SmallNetwork.make()
        #expect(try NetworkStore.importRevision(network, by: "test", conninfo).isNew == false)
        network.switches[2].normalPosition = .closed
        network.switches[1].node = "A2"
        network.switches.append(.init(id: "S-new", connects: .line, node: "MV", element: "LB"))
        let result = try NetworkStore.importRevision(network, by: "test", conninfo)
        #expect(result.revision == 2)
        #expect(result.changes.map(\.id) == ["S-mid", "S-tie", "S-new"])
        #expect(result.changes[1].what == "normally open → closed")
        let again = try #require(try NetworkStore.load(conninfo))
        #expect(again.network == network)
        #expect(
            again.deviceIDs[Int(again.registry.index["pv-1"] ?? -1)]
                == stored.deviceIDs[Int(stored.registry.index["pv-1"] ?? -1)])
    }

    private func facts(_ change: (inout AdvisoryFacts) -> Void = { _ in }) -> AdvisoryFacts {
        var made = AdvisoryFacts(
            id: "rp-1", kind: .reversePower, detector: "RPF_HEAD", feeder: "F1", element: "FH-F1", severity: .medium,
            onset: start,
            raisedAt: start + 60, peak: .init(value: -2e5, unit: "W", at: start),
            limit: .init(value: -5e6, unit: "W", source: "test"),
            message: "m", response: "r",
            evidence: .init(
                series: [.init(time: start, value: nil)], unit: "W", binS: 10, goodPct: 100, usablePct: 0,
                missingPct: 0,
                settingsHash: "h", topologyRevision: 1, notes: ["threshold_w": -1]), watermark: start + 60)
        change(&made)
        return made
    }

    private func commit(_ reports: [AdvisoryReport], _ store: inout AdvisoryStore) throws -> [StoredEvent] {
        var commit = AdvisoryStore.Commit()
        commit.reports = reports
        commit.areaOfFeeder = ["F1": 1]
        commit.positions = ["F1": (start + 60, start)]
        return try store.commit(commit, profile: ProfileBatch())
    }

    @Test func anAdvisoryGoesThroughItsLifeWithGaplessNumbers() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        var events = try commit([.init(change: .start, facts: facts())], &store)
        events += try commit([.init(change: .severity, facts: facts { $0.severity = .high })], &store)
        guard case .refused = try act(.acknowledge(version: 1), &store) else {
            return #expect(Bool(false), "version 1 has not seen the rise")
        }
        guard case .done(let acknowledged) = try act(.acknowledge(version: 2), &store) else {
            return #expect(Bool(false), "version 2 has")
        }
        events.append(acknowledged)
        events += try commit([.init(change: .clear, facts: facts { $0.clearedAt = start + 900 })], &store)
        #expect(events.map(\.sequence) == [1, 2, 3, 4])
        #expect(
            events.map(\.type)
                == ["raised", "updated", "acknowledged", "cleared"].map { "org.backfeed.advisory.\($0)" })
        #expect(events[3].json.contains("\"state\":\"closed\""))
        #expect(events[3].json.contains("\"acknowledged_by\":\"ann\""))
        #expect(try store.events(after: 2, limit: 10) == Array(events[2...]))
        #expect(try count("SELECT count(*) FROM backfeed.audit WHERE action = 'advisory.acknowledge.refused'") == 1)
        let state = try store.restartState()
        #expect(state.positions["F1"]?.head == start + 60)
        #expect(state.latest.map(\.id) == ["rp-1"])
        #expect(state.latest.first?.evidence.notes == ["threshold_w": -1])
    }

    /// A worst value that becomes worse is kept for who looks, and for a restart; nobody is called, and no version changes.
    @Test func aWorseValueIsKeptAndToldToNobody() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        func worse(_ watts: Double, cleared: Timestamp? = nil) -> AdvisoryFacts {
            facts { ($0.peak, $0.clearedAt) = (.init(value: watts, unit: "W", at: start + 600), cleared) }
        }
        // Of what nobody has raised nothing becomes worse.
        #expect(try commit([.init(change: .peak, facts: worse(-5e5))], &store).isEmpty)
        #expect(try count("SELECT count(*) FROM backfeed_store.advisory") == 0)
        _ = try commit([.init(change: .start, facts: facts())], &store)
        #expect(try commit([.init(change: .peak, facts: worse(-4e5))], &store).isEmpty)
        let row =
            "SELECT count(*) FROM backfeed.advisory WHERE peak = -4e5 AND version = 1 AND state = 'unacknowledged_active'"
        #expect(try count(row) == 1)
        #expect(try store.restartState().latest.first?.peak.value == -4e5)
        guard case .done = try act(.acknowledge(version: 1), &store) else {
            return #expect(Bool(false), "version 1 was seen")
        }
        _ = try commit([.init(change: .clear, facts: worse(-4e5, cleared: start + 900))], &store)
        #expect(try commit([.init(change: .peak, facts: worse(-9e5, cleared: start + 900))], &store).isEmpty)
        #expect(try count("SELECT count(*) FROM backfeed.advisory WHERE peak = -4e5 AND state = 'closed'") == 1)
        #expect(try count("SELECT max(sequence) FROM backfeed_store.advisory_event") == 3)
    }

    private func act(
        _ act: AdvisoryStore.Act, on id: String = "rp-1", by actor: String = "ann", role: Role? = nil,
        reason: String? = "test", at time: Timestamp? = nil, _ store: inout AdvisoryStore
    ) throws -> AdvisoryStore.Outcome {
        try store.act(act, on: id, by: actor, role: role, reason: reason, now: time ?? start)
    }

    private func state(_ id: String = "rp-1") throws -> String {
        var connection = try PostgresConnection(conninfo)
        let rows = try connection.query(
            "SELECT state || ' ' || is_active || ' ' || concerns || ' ' || occurrence FROM backfeed_store.advisory WHERE id = $1",
            [id], as: "state")
        return rows.first.flatMap { $0[0] } ?? "none"
    }

    private func isRefused(_ outcome: AdvisoryStore.Outcome) -> Bool {
        if case .refused = outcome { return true }
        return false
    }

    @Test func oneCauseIsOneRowWhateverTheAnalyserCallsItsSpells() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts())], &store)
        // Active: the same goes on under another name.
        _ = try commit([.init(change: .start, facts: facts { $0.id = "rp-2" })], &store)
        #expect(try state() == "unacknowledged_active true true 1" && state("rp-2") == "none")
        _ = try commit(
            [.init(change: .clear, facts: facts { ($0.id, $0.clearedAt) = ("rp-2", start + 900) })], &store)
        #expect(try state() == "unacknowledged_cleared false false 1")
        // Over and not acknowledged: it is open again.
        let again = try commit(
            [.init(change: .start, facts: facts { ($0.id, $0.onset) = ("rp-3", start + 9000) })], &store)
        #expect(try state() == "unacknowledged_active true true 2")
        #expect(again.first?.json.contains("\"occurrence\":2") ?? false)
        #expect(again.first?.json.contains("\"onset\":\"\(start)\"") ?? false)
        // The analyser finds its own spell again after a restart.
        #expect(try store.restartState().latest.map(\.id) == ["rp-3"])
        // Acknowledged and over: the next one is another.
        _ = try act(.acknowledge(version: nil), &store)
        _ = try commit([.init(change: .clear, facts: facts { $0.id = "rp-3" })], &store)
        _ = try commit([.init(change: .start, facts: facts { $0.id = "rp-4" })], &store)
        #expect(try state() == "closed false false 2" && state("rp-4") == "unacknowledged_active true true 1")
        var connection = try PostgresConnection(conninfo)
        let error = #expect(throws: StoreError.self) {
            try connection.query(
                "UPDATE backfeed_store.advisory SET state = 'shelved' WHERE id = 'rp-1'", as: "a second one")
        }
        #expect(error?.sqlState == "23505")
    }

    @Test func shelvingSilencesTheOperatorAndNobodyElse() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts())], &store)
        #expect(isRefused(try act(.shelve(seconds: 60), reason: nil, &store)))
        #expect(isRefused(try act(.shelve(seconds: 60), role: .machine, &store)))
        #expect(!isRefused(try act(.shelve(seconds: 600), role: .operator, reason: "tests at the head", &store)))
        #expect(try state() == "shelved true true 1")
        var connection = try PostgresConnection(conninfo)
        #expect(try OperatingRecord.read(&connection).advisories.map(\.id) == ["rp-1"])
        #expect(try store.expire(now: start + 599, banks: [:]).isEmpty)
        // It ends by itself, and is annunciated again while the condition holds.
        let ended = try store.expire(now: start + 600, banks: [:])
        #expect(ended.map(\.type) == ["org.backfeed.advisory.unshelved"])
        #expect(try state() == "unacknowledged_active true true 1")
        #expect(try count("SELECT count(*) FROM backfeed_store.advisory_event WHERE annunciates") == 2)
        #expect(try count("SELECT count(*) FROM backfeed.advisory WHERE held_by IS NOT NULL") == 0)
        #expect(
            try count(
                "SELECT count(*) FROM backfeed.audit WHERE action IN ('advisory.shelve', 'advisory.shelve.refused')")
                == 3)
    }

    @Test func outOfServiceTakesTwoPeople() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts())], &store)
        let take = AdvisoryStore.Act.takeOutOfService(seconds: 86_400)
        #expect(isRefused(try act(take, role: .operator, &store)))
        _ = try act(take, by: "eve", role: .engineer, &store)
        #expect(try state() == "unacknowledged_active true true 1")
        // Not by the same person, and not by another engineer.
        _ = try act(take, by: "eve", role: .engineer, &store)
        #expect(isRefused(try act(take, by: "erik", role: .engineer, &store)))
        _ = try act(take, by: "sue", role: .supervisor, &store)
        #expect(try state() == "out_of_service true true 1")
        var connection = try PostgresConnection(conninfo)
        #expect(try OperatingRecord.read(&connection).advisories.map(\.isEvaluated) == [false])
        _ = try act(.returnToService, by: "eve", role: .engineer, &store)
        // A shelf is not made longer by a proposal.
        _ = try act(.shelve(seconds: 60), &store)
        #expect(isRefused(try act(take, by: "eve", role: .engineer, &store)))
        #expect(try store.expire(now: start + 61, banks: [:]).count == 1)
        #expect(try state() == "unacknowledged_active true true 1")
    }

    @Test func aProposalToWhichNobodyAgreesEndsAfterAShift() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts())], &store)
        let take = AdvisoryStore.Act.takeOutOfService(seconds: 30 * 86_400)
        _ = try act(take, by: "eve", role: .engineer, &store)
        // A second word of the same person makes it no younger.
        _ = try act(take, by: "eve", role: .engineer, &store)
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        #expect(try store.expire(now: now + AdvisoryLifecycle.Limits().proposal - 60, banks: [:]).isEmpty)
        let ended = try store.expire(now: now + AdvisoryLifecycle.Limits().proposal + 60, banks: [:])
        #expect(ended.map(\.type) == ["org.backfeed.advisory.updated"])
        #expect(ended.first?.json.contains("nobody agreed to take it out of service, as eve had proposed") == true)
        #expect(try state() == "unacknowledged_active true true 1")
        #expect(try count("SELECT count(*) FROM backfeed.advisory WHERE held_by IS NOT NULL") == 0)
        // Who comes too late proposes, and does not agree.
        _ = try act(take, by: "sue", role: .supervisor, &store)
        #expect(try state() == "unacknowledged_active true true 1")
    }

    @Test func aLatchedAdvisoryIsResetByWhoMay() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts { $0.detector = "RPF_BANK_NO3V0" })], &store)
        _ = try commit([.init(change: .clear, facts: facts { $0.detector = "RPF_BANK_NO3V0" })], &store)
        #expect(try state() == "latched_unacknowledged false true 1")
        #expect(isRefused(try act(.reset, role: .supervisor, &store)))
        _ = try act(.acknowledge(version: nil), role: .operator, &store)
        #expect(isRefused(try act(.reset, role: .operator, &store)))
        _ = try act(.reset, role: .supervisor, &store)
        #expect(try state() == "closed false false 1")
    }

    @Test func whatIsPartOfAnotherIsSilentUntilTheOtherIsOver() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        let rise = facts {
            ($0.id, $0.kind, $0.detector, $0.element, $0.cause) = ("vr-1", .voltageRise, "V_RISE", "LV1", "der")
        }
        var high = facts {
            ($0.id, $0.kind, $0.detector, $0.element) = ("vh-1", .voltageHigh, "V_HIGH_B", "LV1")
            $0.severity = .high
        }
        _ = try commit([.init(change: .start, facts: facts()), .init(change: .start, facts: rise)], &store)
        #expect(try state("vr-1") == "suppressed true true 1")
        _ = try act(.acknowledge(version: nil), &store)
        // What is part of it makes it worse: it asks for attention again.
        _ = try commit([.init(change: .start, facts: high)], &store)
        #expect(try state("vh-1") == "suppressed true true 1" && state() == "unacknowledged_active true true 1")
        #expect(try count("SELECT severity FROM backfeed_store.advisory WHERE id = 'rp-1'") == 2)
        #expect(try count("SELECT count(*) FROM backfeed_store.advisory WHERE parent = 'rp-1'") == 2)
        high.clearedAt = start + 900
        _ = try commit([.init(change: .clear, facts: high)], &store)
        #expect(try count("SELECT severity FROM backfeed_store.advisory WHERE id = 'rp-1'") == 3)
        // The parent is over: what still holds speaks for itself, the other is closed.
        _ = try commit([.init(change: .clear, facts: facts { $0.clearedAt = start + 900 })], &store)
        #expect(try state("vr-1") == "unacknowledged_active true true 1" && state("vh-1") == "closed false false 1")
    }

    @Test func whatStartsAsAPartIsNeverAnnunciated() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        func ramp(_ feeder: String) -> AdvisoryReport {
            .init(
                change: .start,
                facts: facts {
                    ($0.id, $0.kind, $0.detector) = ("ramp-\(feeder)", .fastRamp, "RAMP_UP")
                    ($0.feeder, $0.element) = (feeder, "FH-\(feeder)")
                })
        }
        var front = ramp("network")
        (front.facts.detector, front.facts.element) = ("RAMP_FRONT", "network")
        // The first is seen alone; the second comes with the front, the third finds it there.
        for reports in [[ramp("F1")], [ramp("F2"), front], [ramp("F3")]] { _ = try commit(reports, &store) }
        let asked = "SELECT count(*) FROM backfeed_store.advisory_event WHERE annunciates"
        #expect(try count(asked) == 2)
        #expect(try count("\(asked) AND advisory_id IN ('ramp-F1', 'ramp-network')") == 2)
        #expect(try count("SELECT count(*) FROM backfeed_store.advisory WHERE parent = 'ramp-network'") == 3)
        // One that is serious is silent, too, and its feeder shows it.
        var serious = ramp("F1")
        (serious.change, serious.facts.severity) = (.severity, .high)
        _ = try commit([serious], &store)
        var queries = Queries(conninfo: conninfo)
        let counts = try queries.activeCounts()
        #expect(try state("ramp-F1").hasPrefix("suppressed") && counts["F1"]?.own == [2: 1])
        #expect(counts["F2"]?.own == [:] && counts["F2"]?.parts == [3: 1])
    }

    /// A feeder beyond its reverse limit, while the bank's advisory stands for all its feeders.
    @Test func aSeriousPartOfTheBanksAdvisoryIsShownAtItsFeederAndCalls() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        var queries = Queries(conninfo: conninfo)
        func head(_ feeder: String, _ severity: Severity) -> AdvisoryFacts {
            facts { ($0.id, $0.feeder, $0.element, $0.severity) = ("rp-\(feeder)", feeder, "FH-\(feeder)", severity) }
        }
        let bank = facts {
            ($0.id, $0.kind, $0.detector) = ("rpb", .reversePowerBank, "RPF_BANK")
            ($0.feeder, $0.element) = ("SUB", "SUB")
        }
        func put(_ change: AdvisoryReport.Change, _ all: [AdvisoryFacts]) throws -> [StoredEvent] {
            var commit = AdvisoryStore.Commit()
            commit.reports = all.map { .init(change: change, facts: $0) }
            commit.banks = ["SUB": ["F1", "F2", "F3"]]
            return try store.commit(commit, profile: ProfileBatch())
        }
        func asked(_ id: String) throws -> Int {
            try count("SELECT count(*) FROM backfeed_store.advisory_event WHERE annunciates AND advisory_id = '\(id)'")
        }
        func parent(_ id: String) throws -> Int {
            try count("SELECT count(*) FROM backfeed_store.advisory WHERE id = '\(id)' AND parent = 'rpb'")
        }
        _ = try put(.start, [head("F1", .medium), head("F2", .high)])
        // The last feeder and the bank come at once: F1 is part of it, and F2 and F3 are, and ask by themselves.
        _ = try put(.start, [head("F3", .high), bank])
        #expect(try state("rp-F1") == "suppressed true true 1" && parent("rp-F1") == 1)
        for id in ["rp-F2", "rp-F3"] {
            #expect(try state(id) == "unacknowledged_active true true 1" && parent(id) == 1 && asked(id) == 1)
        }
        // One cause, asked once at each place: the bank shows the worst, and is raised once.
        #expect(try count("SELECT severity FROM backfeed_store.advisory WHERE id = 'rpb'") == 2)
        #expect(try asked("rpb") == 1)
        let counts = try queries.activeCounts()
        #expect(counts["F1"]?.own == [:] && counts["F1"]?.parts == [3: 1])
        #expect(counts["F2"]?.own == [2: 1] && counts["F3"]?.own == [2: 1] && counts["SUB"]?.own == [2: 1])
        // An acknowledgement is of one place.
        _ = try act(.acknowledge(version: nil), on: "rpb", &store)
        _ = try act(.acknowledge(version: nil), on: "rp-F2", &store)
        #expect(try state("rp-F2") == "acknowledged_active true true 1" && parent("rp-F2") == 1)
        // F1 gets worse: it comes up by itself, and the bank, which shows as much already, stays acknowledged.
        _ = try put(.severity, [head("F1", .urgent)])
        #expect(try state("rp-F1") == "unacknowledged_active true true 1" && asked("rp-F1") >= 1)
        #expect(try count("SELECT severity FROM backfeed_store.advisory WHERE id = 'rpb'") == 1)
        #expect(try state("rpb") == "acknowledged_active true true 1" && asked("rpb") == 1)
        #expect(try queries.activeCounts()["F1"]?.own == [1: 1])
        // Milder again, it is the bank's once more.
        _ = try put(.severity, [head("F1", .medium)])
        #expect(try state("rp-F1") == "suppressed true true 1")
        #expect(try count("SELECT severity FROM backfeed_store.advisory WHERE id = 'rpb'") == 2)
        // Over: nothing belongs to it any more.
        var over = head("F2", .high)
        over.clearedAt = start + 900
        _ = try put(.clear, [over])
        #expect(try state("rp-F2") == "closed false false 1" && parent("rp-F2") == 0)
    }

    /// A feeder beyond its reverse limit, while the bank's advisory stands for all its feeders.

    @Test func whatIsUrgentAndUnresolvedComesBackAndWhatIsOverCloses() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        _ = try commit([.init(change: .start, facts: facts { $0.severity = .high })], &store)
        _ = try act(.acknowledge(version: nil), &store)
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        #expect(try store.expire(now: now + 3590, banks: [:]).isEmpty)
        #expect(try store.expire(now: now + 3610, banks: [:]).count == 1)
        #expect(try state() == "unacknowledged_active true true 1")
        _ = try commit([.init(change: .severity, facts: facts())], &store)
        _ = try commit([.init(change: .clear, facts: facts())], &store)
        #expect(try store.expire(now: now + 8 * 3600 - 60, banks: [:]).isEmpty)
        #expect(try store.expire(now: now + 8 * 3600 + 60, banks: [:]).map(\.type) == ["org.backfeed.advisory.closed"])
        // What the network no longer has does not stand for ever.
        _ = try commit([.init(change: .start, facts: facts { $0.id = "rp-9" })], &store)
        #expect(try store.remove(unless: { _ in true }, now: now).isEmpty)
        #expect(try store.remove(unless: { _ in false }, now: now).count == 1)
    }

    @Test func inAFloodOnlyWhatIsSeriousAsksForAttention() throws {
        var store = AdvisoryStore(conninfo: conninfo)
        let desks = [Desk(name: "north", feeders: ["F1"]), Desk(name: "south", feeders: ["F2"])]
        func raise(_ numbers: Range<Int>, _ severity: Severity = .medium, feeder: String = "F1") throws {
            _ = try commit(
                numbers.map { number in
                    .init(
                        change: .start,
                        facts: facts {
                            ($0.id, $0.element, $0.severity, $0.feeder) = (
                                "n-\(number)", "E\(number)", severity, feeder
                            )
                        })
                }, &store)
        }
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        try raise(0..<10)
        #expect(try store.watchFloods(desks, now: now).isEmpty)
        try raise(10..<11)
        #expect(try store.watchFloods(desks, now: now).count == 1)
        try raise(11..<13)
        try raise(13..<14, .high)
        try raise(14..<15, feeder: "F2")
        let loads = try store.deskLoads(desks, from: now - 3600, until: now + 60)
        // Two of severity 3 came in silence; the serious one, and that of the other desk, did not.
        #expect(loads.map(\.rates.new10Min) == [12, 1])
        #expect(loads[0].standing == ["1": 0, "2": 1, "3": 13] && loads[0].unacknowledged == 14)
        #expect(loads[0].floodSince != nil && loads[1].floodSince == nil)
        // It ends when it is quiet.
        #expect(try store.watchFloods(desks, now: now + 1200).count == 1)
        #expect(try count("SELECT count(*) FROM backfeed.advisory_flood WHERE ended_at IS NOT NULL") == 1)
        #expect(try count("SELECT count(*) FROM backfeed.advisory_annunciation") == 13)
    }

    @Test func minutesRollUpAndTwiceIsTheSame() throws {
        var profile = ProfileBatch()
        for minute in 0..<30 {
            profile.rows.append(
                .init(
                    time: start + Double(minute) * 60, net: (Double(minute) * 1000, -5, 5), reactive: 0,
                    voltage: (1.02, 1.01, 1.03), pv: 500,
                    battery: 0, charger: -20, other: 0, native: 1, reverse: 2, forward: 3, headCoverage: 1,
                    derCoverage: 0.5, area: 1,
                    feeder: "F1", normalFeeder: "F1"))
        }
        var store = AdvisoryStore(conninfo: conninfo)
        var rollUp = ProfileStore(conninfo: conninfo)
        for _ in 0..<2 {
            _ = try store.commit(AdvisoryStore.Commit(), profile: profile)
            try rollUp.rollUp(profile.spans)
        }
        var queries = Queries(conninfo: conninfo)
        var rows: [[Double]] = []
        func read(_ from: Timestamp, _ until: Timestamp, _ bucket: String) throws {
            rows = []
            try queries.profile(feeder: "F1", from: from, until: until, bucket: bucket) { _, values in
                rows.append(Array(values))
                return true
            }
        }
        try read(start, start + 3600, "15m")
        #expect(rows.map { $0[0] } == [7000, 22_000])
        #expect(rows.map { $0[12] } == [30, 30])
        // From minutes and from quarter hours it is the same hour.
        try read(start, start + 3600, "1h")
        #expect(rows.map { $0[0] } == [14_500] && rows.map { $0[12] } == [60])
        try read(start, start + 86_400, "1d")
        #expect(rows.isEmpty)
        try read(start - 36_000, start + 86_400, "1d")
        #expect(rows.map { $0[0] } == [14_500])
        #expect(rows.map { $0[13] } == [90])
        // Of another feeder's DER that it feeds for now: as switched they are its own, as normal the other's.
        var moved = ProfileBatch()
        moved.rows = profile.rows.map { row in
            var row = row
            (row.netW, row.netMinW, row.netMaxW, row.nativeW, row.normalFeeder) = (nil, nil, nil, nil, "F2")
            (row.pvW, row.headCoverage) = (70, 0)
            return row
        }
        _ = try store.commit(AdvisoryStore.Commit(), profile: moved)
        try rollUp.rollUp(moved.spans)
        func pv(_ feeder: String, _ view: Queries.DERView) throws -> [Double] {
            var found: [Double] = []
            try queries.profile(feeder: feeder, from: start, until: start + 3600, bucket: "15m", view: view) {
                _, values in
                found.append(values[7])
                return true
            }
            return found
        }
        #expect(try pv("F1", .switched) == [570, 570] && pv("F1", .normal) == [500, 500])
        #expect(try pv("F2", .switched).isEmpty && pv("F2", .normal) == [70, 70])
        var seen = 0
        try queries.profile(feeder: "F1", from: start, until: start + 3600, bucket: "1m") { _, _ in
            seen += 1
            return seen < 3
        }
        #expect(seen == 3)
        // What was cut off has left the session usable.
        try read(start, start + 3600, "1m")
        #expect(rows.count == 30)
    }

    @Test func everyColumnOfTheViewsIsExplainedAndTheReaderReads() throws {
        let bare = try count(
            """
            SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = 'backfeed' AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL
            """)
        #expect(bare == 0)
        var connection = try PostgresConnection(conninfo)
        try connection.query("SET ROLE backfeed_reader", as: "become reader")
        for view in [
            "feeder", "device", "sample", "feeder_profile_1m", "feeder_profile_15m", "feeder_profile_1d", "voltage_10m",
            "advisory", "advisory_event", "data_gap",
        ] {
            try connection.query("SELECT * FROM backfeed.\(view) LIMIT 1", as: "read")
        }
        let error = #expect(throws: StoreError.self) {
            try connection.query("DELETE FROM backfeed_store.sample", as: "write")
        }
        #expect(error?.sqlState == "42501")
    }
}

@Suite struct ConnectionErrorTests {
    @Test(arguments: [
        "postgresql://u:geheim@127.0.0.1:1/d", "postgresql://u:ge@heim@127.0.0.1:1/d",
        "postgresql://u:ge/heim@127.0.0.1:1/d",
        "postgresql://u:ge%zzheim@127.0.0.1:1/d", "host=127.0.0.1 port=1 password='geheim",
        "host=127.0.0.1 port=1 password=geheim =",
        "postgresql://127.0.0.1:1/d?password=geheim&wrong=1",
    ])
    func anErrorDoesNotRepeatThePassword(_ conninfo: String) {
        let error = #expect(throws: StoreError.self) { _ = try PostgresConnection(conninfo) }
        #expect(error?.debugDescription.contains("heim") == false, "\(error?.debugDescription ?? "")")
    }
}
