internal import GridModel
internal import ServiceKit

/// Rows that are written in the transaction of the samples because that is cheap, not because the samples need them: owners
/// of devices, clocks of feeders, marks of late samples, rejects. When the database does not take one of them (somebody's
/// lock, a missing right, a rule of the administrator's), the samples are stored without it, and it waits.
struct Asides {
    private enum Kind: String, CaseIterable {
        case claims = "claim devices"
        case clocks = "store clocks"
        case amendments = "mark late samples"
        case rejects = "store rejects"
    }

    private var claims: [Int32: String] = [:]
    private var clocks: [String: (area: Int32, time: Timestamp)] = [:]
    private var amended: [String: (area: Int32, quarters: Set<Int64>)] = [:]
    private var rejects: [SampleBatch.Reject] = []
    /// Rejects that were not taken before, at the front of them.
    private var owedRejects = 0
    private var waiting: [Kind: (until: UInt64, problem: String)] = [:]
    /// Kinds that the write under way takes along.
    private var taken: Set<Kind> = []

    /// Nanoseconds until what was left out is tried again: each try may wait for a lock.
    private let pause: UInt64
    /// Rejects that are kept while they cannot be stored; they are counted all the same.
    private static let mostRejects = 10_000

    init(pause seconds: Double) { pause = UInt64(seconds * 1e9) }

    /// Work that waits, and why.
    var problems: [String] { waiting.map { "\($0.key.rawValue): \($0.value.problem)" }.sorted() }

    /// A write begins.
    mutating func add(_ batches: [SampleBatch]) {
        let now = SystemClock.monotonicNanoseconds
        taken = Set(Kind.allCases.filter { kind in waiting[kind].map { $0.until <= now } ?? true })
        owedRejects = rejects.count
        for batch in batches {
            // Devices belong to who spoke for them first.
            for claim in batch.claims where claims[claim.id] == nil { claims[claim.id] = claim.aggregator }
            // As they are in the end.
            clocks.merge(batch.clocks) { $1 }
            amended.merge(batch.amended) { ($0.area, $0.quarters.union($1.quarters)) }
            rejects += batch.rejects
        }
    }

    /// The batches were not written and come again. The others of their kinds may be written twice, which changes nothing.
    mutating func takeBack() { rejects.removeLast(rejects.count - owedRejects) }

    /// - Returns: whether the error is one of what may wait: then it is left out from now on, for a while.
    mutating func leaveOut(_ error: StoreError) -> Bool {
        guard error.code != .connectionFailed, error.code != .conflict, let kind = Kind(rawValue: error.operation),
            taken.remove(kind) != nil
        else { return false }
        waiting[kind] = (SystemClock.monotonicNanoseconds + pause, error.description)
        return true
    }

    /// The transaction is committed: what was not left out is in the table.
    mutating func written() {
        for kind in Kind.allCases {
            guard taken.contains(kind) else {
                if kind == .rejects, rejects.count > Self.mostRejects {
                    rejects.removeFirst(rejects.count - Self.mostRejects)
                }
                continue
            }
            waiting[kind] = nil
            switch kind {
            case .claims: claims = [:]
            case .clocks: clocks = [:]
            case .amendments: amended = [:]
            case .rejects: rejects = []
            }
        }
    }

    /// Writes what is due.
    ///
    /// - Returns: what goes together with the commit.
    func statements(_ connection: inout PostgresConnection) throws(StoreError) -> [PostgresConnection.Statement] {
        if !rejects.isEmpty, taken.contains(.rejects) {
            try SampleStore.store(rejects, as: Kind.rejects.rawValue, &connection)
        }
        if !amended.isEmpty, taken.contains(.amendments) { try ProfileStore.mark(amended, &connection) }
        if !claims.isEmpty, taken.contains(.claims) { try claim(&connection) }
        return !clocks.isEmpty && taken.contains(.clocks) ? [clockStatement] : []
    }

    private struct StoredClock: Encodable {
        var areaId: Int32
        var feeder: String
        var clock: Timestamp
    }

    /// One statement for all feeders: one each would cost more than the rows.
    private var clockStatement: PostgresConnection.Statement {
        let rows = clocks.map { StoredClock(areaId: $0.value.area, feeder: $0.key, clock: $0.value.time) }
        return .init(
            sql: """
                INSERT INTO backfeed_store.feeder_clock SELECT area_id, feeder, clock \
                FROM jsonb_to_recordset($1::jsonb) AS c(area_id int4, feeder text, clock timestamptz) \
                ON CONFLICT (area_id, feeder) DO UPDATE SET clock = greatest(feeder_clock.clock, excluded.clock)
                """, parameters: [JSONCoding.encode(rows)], operation: Kind.clocks.rawValue)
    }

    /// One statement for all, and plain numbers: a fleet speaks for the first time all at once.
    private func claim(_ connection: inout PostgresConnection) throws(StoreError) {
        var places: [String: Int] = [:]
        var (devices, owners) = ("", "")
        for (device, aggregator) in claims {
            let place = places[aggregator] ?? places.count + 1
            places[aggregator] = place
            devices += "\(devices.isEmpty ? "" : ",")\(device)"
            owners += "\(owners.isEmpty ? "" : ",")\(place)"
        }
        try connection.query(
            """
            UPDATE backfeed_store.device AS d SET aggregator = ($3::text[])[c.owner] \
            FROM unnest($1::int4[], $2::int4[]) AS c(id, owner) WHERE d.id = c.id AND d.aggregator IS NULL
            """,
            ["{\(devices)}", "{\(owners)}", SQL.array(places.sorted { $0.value < $1.value }.map(\.key))],
            as: Kind.claims.rawValue)
    }
}
