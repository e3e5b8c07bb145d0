public import GridModel

/// Positions of switches: one record a switch, moved by ``GridModel/SwitchRecord``'s rule, and the history of how it
/// came about. Each function is part of a transaction that somebody else holds; rows are locked in the order of their
/// names, so that two of them wait for each other and do not deadlock.
public enum SwitchStore {
    /// A position that telemetry of good quality reported.
    public struct Report: Sendable, Equatable {
        public var switchID: String
        public var area: Int32
        public var position: SwitchPosition
        public var time: Timestamp

        public init(switchID: String, area: Int32, position: SwitchPosition, time: Timestamp) {
            self.switchID = switchID
            self.area = area
            self.position = position
            self.time = time
        }
    }

    public enum Outcome: Sendable {
        case taken(SwitchRecord)
        /// A newer saying stands against it.
        case refused(String)
    }

    private struct Row: Encodable {
        var switchID: String
        var areaID: Int32
        var moves: Int64
        var movedAt: Timestamp?
        /// JSON, kept as it is.
        var record: String

        enum CodingKeys: String, CodingKey {
            case switchID = "switch"
            case areaID = "area_id"
            case moves
            case movedAt = "moved_at"
            case record
        }

        init(_ record: SwitchRecord, area: Int32) {
            switchID = record.id
            areaID = area
            moves = record.moves
            movedAt = record.movedAt
            self.record = JSONCoding.encode(record)
        }
    }

    private struct Passage: Encodable {
        var areaID: Int32
        var switchID: String
        var time: Timestamp
        var position: String
        var source, actor: String

        enum CodingKeys: String, CodingKey {
            case areaID = "area_id"
            case switchID = "switch"
            case time, position, source, actor
        }
    }

    /// Takes what telemetry reported, in the order in which it came.
    ///
    /// - Returns: the records that it belongs to, as they are now.
    public static func take(
        _ reports: [Report], _ connection: inout PostgresConnection
    ) throws(StoreError) -> [SwitchRecord] {
        guard !reports.isEmpty else { return [] }
        let areas = Dictionary(reports.map { ($0.switchID, $0.area) }, uniquingKeysWith: { first, _ in first })
        var (records, now) = try lock(areas, &connection)
        var history: [Passage] = []
        for report in reports {
            guard var record = records[report.switchID] else { continue }
            let before = record
            let saying = SwitchRecord.Saying(position: report.position, time: report.time, recordedAt: now)
            func passage(_ saying: SwitchRecord.Saying) -> Passage {
                Passage(
                    areaID: report.area, switchID: report.switchID, time: saying.time, position: saying.position.name,
                    source: "telemetry", actor: "telemetry")
            }
            if record.take(telemetry: saying) {
                records[report.switchID] = record
                if before.telemetry?.position != saying.position || before.position != record.position {
                    history.append(passage(saying))
                }
            } else if let newest = before.telemetry, newest.position != saying.position {
                // It came late: from then on it stood so, and at the newest report otherwise.
                history += [passage(saying), passage(newest)]
            }
        }
        try keep(records.values.map { Row($0, area: areas[$0.id] ?? 0) }, &connection)
        try remember(history, &connection)
        return Array(records.values)
    }

    private struct Stated: Encodable {
        var position: String
        var time: Timestamp
        var reason: String
    }

    /// Takes where a person says a switch stands, and that they did.
    ///
    /// - Parameters:
    ///   - time: from when; `nil`: from now.
    ///   - now: what "now" is in the data's time: the wall clock, except in a replay.
    public static func state(
        _ switchID: String, area: Int32, position: SwitchPosition, at time: Timestamp?, now: Timestamp, actor: String,
        reason: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Outcome {
        let (records, wall) = try lock([switchID: area], &connection)
        guard var record = records[switchID] else {
            throw StoreError(.conflict, "state switch position", message: "no record of \(switchID)")
        }
        if let newer = record.take(statement: position, at: time, now: now, wall: wall, by: actor) {
            return .refused(
                "\(switchID) was \(newer.position.name) at \(newer.time), which is newer: state the position of now, without a time"
            )
        }
        let from = record.statement?.time ?? now
        try keep([Row(record, area: area)], &connection)
        try remember(
            [
                Passage(
                    areaID: area, switchID: switchID, time: from, position: position.name, source: "manual",
                    actor: actor)
            ], &connection)
        try AuditLog.append(
            actor: actor, "switch.positioned", subject: switchID,
            Stated(position: position.name, time: from, reason: reason), &connection)
        return .taken(record)
    }

    /// Every switch of which anything was ever said.
    ///
    /// - Throws: also when any row cannot be read: none may get lost here.
    public static func load(_ connection: inout PostgresConnection) throws(StoreError) -> [SwitchRecord] {
        var records: [SwitchRecord] = []
        for row in try connection.query(
            "SELECT record FROM backfeed_store.switch_state ORDER BY switch", as: "load switch positions")
        {
            records.append(try decode(row[0]))
        }
        return records
    }

    private static func decode(_ text: String?) throws(StoreError) -> SwitchRecord {
        do {
            return try JSONCoding.decode(SwitchRecord.self, text ?? "")
        } catch {
            throw StoreError(.conflict, "load switch positions", message: "a record cannot be read: \(error)")
        }
    }

    /// - Parameter areas: by switch.
    /// - Returns: the records, new ones too, and the database's clock.
    private static func lock(
        _ areas: [String: Int32], _ connection: inout PostgresConnection
    ) throws(StoreError) -> ([String: SwitchRecord], Timestamp) {
        let new = areas.sorted { $0.key < $1.key }.map { Row(SwitchRecord(id: $0.key), area: $0.value) }
        try connection.query(
            """
            INSERT INTO backfeed_store.switch_state (switch, area_id, moves, record) \
            SELECT switch, area_id, moves, record::jsonb \
            FROM jsonb_to_recordset($1::jsonb) AS r(switch text, area_id int4, moves int8, record text) \
            ON CONFLICT DO NOTHING
            """, [JSONCoding.encode(new)], as: "open switch positions")
        var records: [String: SwitchRecord] = [:]
        var now = Timestamp.distantPast
        for row in try connection.query(
            """
            SELECT record, \(SQL.rfc3339("clock_timestamp()")) FROM backfeed_store.switch_state \
            WHERE switch = ANY ($1) ORDER BY switch FOR UPDATE
            """, [SQL.array(areas.keys.sorted())], as: "lock switch positions")
        {
            let record = try decode(row[0])
            records[record.id] = record
            now = max(now, row[1].flatMap { Timestamp($0) } ?? now)
        }
        return (records, now)
    }

    private static func keep(_ rows: [Row], _ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query(
            """
            UPDATE backfeed_store.switch_state s SET area_id = r.area_id, moves = r.moves, moved_at = r.moved_at, \
            record = r.record::jsonb FROM jsonb_to_recordset($1::jsonb) AS r(switch text, area_id int4, moves int8, \
            moved_at timestamptz, record text) WHERE s.switch = r.switch
            """, [JSONCoding.encode(rows)], as: "keep switch positions")
    }

    private static func remember(_ passages: [Passage], _ connection: inout PostgresConnection) throws(StoreError) {
        guard !passages.isEmpty else { return }
        // Several of one moment are told apart by when they were recorded.
        try connection.query(
            """
            INSERT INTO backfeed_store.switch_position (area_id, switch, time, position, source, actor, recorded_at) \
            SELECT area_id, switch, time, position, source, actor, \
            clock_timestamp() + make_interval(secs => 1e-6 * row_number() OVER ()) \
            FROM jsonb_to_recordset($1::jsonb) AS p(area_id int4, switch text, time timestamptz, position text, \
            source text, actor text) WHERE NOT EXISTS (SELECT FROM backfeed_store.switch_position k \
            WHERE (k.area_id, k.switch, k.time, k.position) = (p.area_id, p.switch, p.time, p.position)) \
            ON CONFLICT DO NOTHING
            """, [JSONCoding.encode(passages)], as: "record switch positions")
    }
}
