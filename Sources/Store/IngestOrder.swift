/// Requests of an operator to the ingest role, running or not: a command writes them, the receiving thread carries
/// them out.
public struct IngestOrder: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// A device belongs to another aggregator, or to whoever speaks for it next.
        case owner
        /// An aggregator's stream begins anew, from whatever epoch.
        case reset
    }

    public var id: Int64
    public var kind: Kind
    /// The device, or the aggregator.
    public var subject: String
    /// The device's new owner; `nil`: whoever speaks for it next.
    public var aggregator: String?

    public enum Outcome: Sendable, Equatable {
        /// - Parameter owner: who owned the device before; `nil`: nobody.
        case ordered(owner: String?)
        case unknown
    }

    /// Gives a device to an aggregator, or to whoever speaks for it next; audited.
    public static func hand(
        _ device: String, to aggregator: String?, by actor: String, _ conninfo: String
    ) throws -> Outcome {
        var connection = try PostgresConnection(conninfo)
        return try connection.transaction("hand device over") { connection throws(StoreError) in
            guard
                let row = try connection.query(
                    "SELECT aggregator FROM backfeed_store.device WHERE name = $1 FOR UPDATE", [device],
                    as: "hand device over"
                ).first
            else { return .unknown }
            try connection.query(
                "UPDATE backfeed_store.device SET aggregator = $2 WHERE name = $1", [device, aggregator],
                as: "hand device over")
            try add(.owner, device, aggregator, by: actor, &connection)
            try AuditLog.append(
                actor: actor, aggregator == nil ? "device.released" : "device.handed_over", subject: device,
                ["from": row[0] ?? "nobody", "to": aggregator ?? "whoever speaks next"], &connection)
            return .ordered(owner: row[0])
        }
    }

    /// Lets an aggregator's stream begin anew; audited.
    public static func reset(_ aggregator: String, by actor: String, _ conninfo: String) throws -> Outcome {
        var connection = try PostgresConnection(conninfo)
        return try connection.transaction("reset publisher") { connection throws(StoreError) in
            guard
                let row = try connection.query(
                    "SELECT epoch, last_sequence FROM backfeed_store.stream_position WHERE aggregator = $1",
                    [aggregator], as: "reset publisher"
                ).first
            else { return .unknown }
            try add(.reset, aggregator, nil, by: actor, &connection)
            try AuditLog.append(
                actor: actor, "publisher.reset", subject: aggregator,
                ["epoch": row[0] ?? "", "last_sequence": row[1] ?? ""], &connection)
            return .ordered(owner: nil)
        }
    }

    private static func add(
        _ kind: Kind, _ subject: String, _ aggregator: String?, by actor: String,
        _ connection: inout PostgresConnection
    ) throws(StoreError) {
        try connection.query(
            "INSERT INTO backfeed_store.ingest_order (kind, subject, aggregator, ordered_by) VALUES ($1, $2, $3, $4)",
            [kind.rawValue, subject, aggregator, actor], as: "order")
    }

    static func open(_ connection: inout PostgresConnection) throws(StoreError) -> [Self] {
        try connection.query(
            "SELECT id, kind, subject, aggregator FROM backfeed_store.ingest_order WHERE taken_at IS NULL ORDER BY id",
            as: "read orders"
        ).compactMap { row in
            guard let id = row[0].flatMap(Int64.init), let kind = row[1].flatMap(Kind.init(rawValue:)),
                let subject = row[2]
            else { return nil }
            return Self(id: id, kind: kind, subject: subject, aggregator: row[3])
        }
    }

    static func markTaken(_ ids: [Int64], _ connection: inout PostgresConnection) throws(StoreError) {
        guard !ids.isEmpty else { return }
        try connection.query(
            "UPDATE backfeed_store.ingest_order SET taken_at = clock_timestamp() WHERE id = ANY ($1::int8[])",
            ["{\(ids.map { String($0) }.joined(separator: ","))}"], as: "mark orders")
    }
}
