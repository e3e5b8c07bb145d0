internal import GridModel

/// Positions of the aggregators' streams, their gaps, and what was lost: moved in the transaction that stores the rows.
enum StreamStore {
    /// Where a stream stands after several batches, and its version before the first of them.
    struct Passage {
        var stream: SampleBatch.Stream
        var before: Int64?
    }

    static func passages(_ batches: [SampleBatch]) -> [String: Passage] {
        var passages: [String: Passage] = [:]
        for batch in batches {
            for (name, stream) in batch.streams {
                passages[name, default: Passage(stream: stream, before: stream.versionBefore)].stream = stream
            }
        }
        return passages
    }

    private struct Gap: Encodable {
        var aggregator: String
        var epoch, first, last: String
        var after, before: Timestamp?
    }

    /// Moves all streams by compare-and-set.
    struct Move {
        private struct Row: Encodable {
            var aggregator: String
            var epoch, last: String
            var newest: Timestamp?
            var version: Int64
            var before: Int64?
        }

        private let rows: [Row]
        private let gaps: [Gap]

        init(_ batches: [SampleBatch]) {
            let streams = passages(batches).sorted { $0.key < $1.key }
            // Ordered, so that two writers of the same streams wait for each other and do not deadlock.
            rows = streams.map { name, passage in
                let position = passage.stream.position
                return Row(
                    aggregator: name, epoch: String(position.epoch), last: String(position.last),
                    newest: position.newest, version: passage.stream.version, before: passage.before)
            }
            gaps = streams.flatMap { name, passage in
                passage.stream.position.missing.map {
                    Gap(
                        aggregator: name, epoch: String(passage.stream.position.epoch),
                        first: String($0.sequences.lowerBound), last: String($0.sequences.upperBound),
                        after: $0.after, before: $0.before)
                }
            }
        }

        /// To be run in the transaction that stores the rows.
        var statements: [PostgresConnection.Statement] {
            guard !rows.isEmpty else { return [] }
            return [
                .init(sql: moving, parameters: [JSONCoding.encode(rows)], operation: "move streams"),
                .init(
                    sql: keeping, parameters: [JSONCoding.encode(gaps), JSONCoding.encode(rows.map(\.aggregator))],
                    operation: "store gaps"),
            ]
        }

        /// - Parameter answers: to ``statements``.
        /// - Throws: ``StoreError/Code/conflict`` where not all of them moved.
        func check(_ answers: [[PostgresConnection.Row]]) throws(StoreError) {
            guard !rows.isEmpty, answers.first?.first?[0] != String(rows.count) else { return }
            let names = rows.map(\.aggregator).joined(separator: ", ")
            throw StoreError(.conflict, "move streams", message: "a position of \(names) is not what it was")
        }
    }

    private static let moving = """
        WITH m AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS m(aggregator text, epoch int8, \
        last int8, newest timestamptz, version int8, before int8) ORDER BY aggregator), \
        moved AS (UPDATE backfeed_store.stream_position p SET epoch = m.epoch, last_sequence = m.last, \
        newest = m.newest, version = m.version, updated_at = now() FROM m \
        WHERE p.aggregator = m.aggregator AND p.version = m.before RETURNING 1), \
        opened AS (INSERT INTO backfeed_store.stream_position (aggregator, epoch, last_sequence, newest, version) \
        SELECT aggregator, epoch, last, newest, version FROM m WHERE before IS NULL \
        ON CONFLICT DO NOTHING RETURNING 1) \
        SELECT (SELECT count(*) FROM moved) + (SELECT count(*) FROM opened)
        """

    /// A gap keeps the moment it was seen for as long as its first message is missing.
    private static let keeping = """
        WITH g AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS g(aggregator text, epoch int8, first int8, \
        last int8, after timestamptz, before timestamptz)), \
        closed AS (DELETE FROM backfeed_store.stream_gap s \
        WHERE s.aggregator IN (SELECT jsonb_array_elements_text($2::jsonb)) AND NOT EXISTS (SELECT FROM g \
        WHERE g.aggregator = s.aggregator AND g.epoch = s.epoch AND g.first = s.first_sequence)) \
        INSERT INTO backfeed_store.stream_gap AS s \
        (aggregator, epoch, first_sequence, last_sequence, after_time, before_time) \
        SELECT aggregator, epoch, first, last, after, before FROM g \
        ON CONFLICT (aggregator, epoch, first_sequence) DO UPDATE SET last_sequence = excluded.last_sequence, \
        after_time = excluded.after_time, before_time = excluded.before_time
        """

    /// Whether every stream stands exactly where the batches left it.
    static func hold(_ streams: [String: Passage], _ connection: inout PostgresConnection) throws(StoreError) -> Bool {
        let known = try connection.query(
            "SELECT aggregator, epoch, last_sequence, version FROM backfeed_store.stream_position", as: "read streams")
        return streams.allSatisfy { name, passage in
            let stream = passage.stream
            return known.contains {
                $0 == [
                    name, String(stream.position.epoch), String(stream.position.last), String(stream.version),
                ]
            }
        }
    }

    private struct Loss: Encodable {
        var aggregator: String
        var epoch, first: String
        var last: String?
        var after, before: Timestamp?
        var reason: String
    }

    /// - Parameter ends: of losses recorded earlier, by aggregator.
    static func record(
        _ lost: [LostRange], ends: [String: Timestamp], _ connection: inout PostgresConnection
    ) throws(StoreError) {
        for (aggregator, end) in ends.sorted(by: { $0.key < $1.key }) {
            try connection.query(
                "UPDATE backfeed_store.data_gap SET before_time = $2 WHERE aggregator = $1 AND before_time IS NULL",
                [aggregator, end.description], as: "bound data gap")
        }
        guard !lost.isEmpty else { return }
        let rows = lost.map {
            Loss(
                aggregator: $0.aggregator, epoch: String($0.epoch), first: String($0.first),
                last: $0.last.map { String($0) }, after: $0.after, before: $0.before, reason: $0.reason.rawValue)
        }
        try connection.query(
            """
            INSERT INTO backfeed_store.data_gap \
            (aggregator, epoch, first_sequence, last_sequence, after_time, before_time, reason) \
            SELECT aggregator, epoch, first, last, after, before, reason FROM jsonb_to_recordset($1::jsonb) AS l( \
            aggregator text, epoch int8, first int8, last int8, after timestamptz, before timestamptz, reason text)
            """, [JSONCoding.encode(rows)], as: "record data gap")
    }

    static func load(_ connection: inout PostgresConnection) throws(StoreError) -> [String: SampleBatch.Stream] {
        var streams: [String: SampleBatch.Stream] = [:]
        for row in try connection.query(
            """
            SELECT aggregator, epoch, last_sequence, version, \(SQL.rfc3339("newest")) \
            FROM backfeed_store.stream_position
            """, as: "load streams")
        {
            guard let name = row[0], let epoch = row[1].flatMap(UInt64.init), let last = row[2].flatMap(UInt64.init),
                let version = row[3].flatMap(Int64.init)
            else { continue }
            streams[name] = SampleBatch.Stream(
                position: StreamPosition(epoch: epoch, last: last, newest: row[4].flatMap { Timestamp($0) }),
                versionBefore: version)
        }
        for row in try connection.query(
            """
            SELECT aggregator, first_sequence, last_sequence, \(SQL.rfc3339("after_time")), \
            \(SQL.rfc3339("before_time")), epoch FROM backfeed_store.stream_gap ORDER BY 1, 2
            """, as: "load gaps")
        {
            guard let name = row[0], let first = row[1].flatMap(UInt64.init), let last = row[2].flatMap(UInt64.init),
                first <= last, row[5].flatMap(UInt64.init) == streams[name]?.position.epoch
            else { continue }
            streams[name]?.position.missing.append(
                MissingRange(
                    first...last, after: row[3].flatMap { Timestamp($0) }, before: row[4].flatMap { Timestamp($0) }))
        }
        return streams
    }
}
