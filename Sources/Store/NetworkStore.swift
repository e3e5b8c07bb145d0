public import GridModel
internal import ServiceKit

/// The network in force, with the numbers its devices have in the tables.
public struct StoredNetwork: Sendable {
    public var network: Network
    public var revision: Int
    public var registry: DeviceRegistry
    /// Per registry index: `device.id` and `area.id` in the tables, and who speaks for the device.
    public var deviceIDs: [Int32]
    public var areaIDs: [Int32]
    public var aggregators: [String?]
    public var areaIDByName: [String: Int32]
    /// Records of every switch that was ever reported or stated.
    public var switches: [String: SwitchRecord]

    /// Where switches stand, by ``SwitchRecord/judged``.
    public var livePositions: [String: SwitchPosition] { switches.compactMapValues(\.judged) }

    /// Before anything is imported: every device is unknown.
    public static let none = Self(
        network: Network(id: "none"), revision: 0, registry: DeviceRegistry(devices: []), deviceIDs: [], areaIDs: [],
        aggregators: [], areaIDByName: [:], switches: [:])

    public var indexOfDeviceID: [Int32: Int32] {
        Dictionary(uniqueKeysWithValues: deviceIDs.enumerated().map { ($1, Int32($0)) })
    }
    public func areaID(ofFeeder feeder: String) -> Int32 {
        registry.index["FH-\(feeder)"].map { areaIDs[Int($0)] } ?? areaIDs.first ?? 0
    }
}

/// Network revisions and switch positions. All or nothing: an import that fails leaves the last revision in force.
public enum NetworkStore {
    public struct SwitchChange: Sendable, Equatable {
        public var id: String
        public var what: String
    }

    private struct Import: Encodable {
        var revision: Int
        var digest: String
        var changed: [String]
    }

    public struct ImportResult: Sendable {
        public var revision: Int
        /// False when the network is the one already in force.
        public var isNew: Bool
        public var changes: [SwitchChange]
    }

    /// Each switch whose normal position, ends or phases differ, and what came and went.
    public static func changes(from old: Network?, to new: Network) -> [SwitchChange] {
        guard let old else { return [] }
        let before = Dictionary(old.switches.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let after = Set(new.switches.map(\.id))
        var list: [SwitchChange] = []
        for item in new.switches {
            guard let was = before[item.id] else {
                list.append(SwitchChange(id: item.id, what: "new, normally \(item.normalPosition.name)"))
                continue
            }
            var what: [String] = []
            if was.normalPosition != item.normalPosition {
                what.append("normally \(was.normalPosition.name) → \(item.normalPosition.name)")
            }
            if (was.node, was.element, was.connects) != (item.node, item.element, item.connects) {
                what.append("ends \(was.node), \(was.element) → \(item.node), \(item.element)")
            }
            if was.phases != item.phases { what.append("phases \(was.phases) → \(item.phases)") }
            if !what.isEmpty { list.append(SwitchChange(id: item.id, what: what.joined(separator: "; "))) }
        }
        for item in old.switches where !after.contains(item.id) { list.append(SwitchChange(id: item.id, what: "gone")) }
        return list
    }

    public static func importRevision(_ network: Network, by actor: String, _ conninfo: String) throws -> ImportResult {
        let document = try JSONCoding.encodePlain(network)
        let digest = StableHash(document).hexadecimal
        let graph = NetworkGraph(network)
        let devices = DeviceRegistry.devices(of: network, graph: graph)
        var connection = try PostgresConnection(conninfo)
        return try connection.transaction("import network") { connection throws(StoreError) in
            try connection.query("LOCK TABLE backfeed_store.network_revision IN EXCLUSIVE MODE", as: "import network")
            let newest = try connection.query(
                "SELECT id, digest, document FROM backfeed_store.network_revision ORDER BY id DESC LIMIT 1",
                as: "import network")
            let last = newest.first.flatMap { $0[0] }.flatMap(Int.init) ?? 0
            let old = newest.first.flatMap { $0[2] }.flatMap { try? JSONCoding.decodePlain(Network.self, $0) }
            if newest.first?[1] == digest { return ImportResult(revision: last, isNew: false, changes: []) }
            try connection.query(
                """
                INSERT INTO backfeed_store.network_revision (id, network, imported_by, digest, document, in_force_from) \
                VALUES ($1, $2, $3, $4, $5, \(inForce))
                """, [String(last + 1), network.id, actor, digest, document], as: "store network")
            for area in graph.areas {
                let slot = Int(StableHash(area).value % 1024)
                try connection.query(
                    "INSERT INTO backfeed_store.area (name, slot) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                    [area, String(slot)], as: "store areas")
            }
            // One statement with a JSON array: 6,000 devices one by one take seconds.
            try connection.query("UPDATE backfeed_store.device SET in_service = false", as: "store devices")
            try store(devices, &connection)
            try connection.query("UPDATE backfeed_store.feeder SET in_service = false", as: "store feeders")
            let nodes = Dictionary(network.nodes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            for feeder in network.feeders {
                // The table has 0 for a rating that is not known.
                let rating =
                    network.ratingVA(of: feeder, nominalKilovolts: nodes[feeder.busbar]?.nominalKilovolts ?? 0) ?? 0
                let area = graph.areas[Int(graph.nodeArea[graph.nodeIndex[feeder.busbar] ?? 0])]
                try connection.query(
                    """
                    INSERT INTO backfeed_store.feeder SELECT $1, id, $3, $4, $5, true FROM backfeed_store.area WHERE name = $2
                    ON CONFLICT (name) DO UPDATE SET area_id = excluded.area_id, substation = excluded.substation,
                        busbar = excluded.busbar, rating_va = excluded.rating_va, in_service = true
                    """, [feeder.id, area, feeder.substation, feeder.busbar, String(rating)], as: "store feeders")
            }
            let changed = changes(from: old, to: network)
            try AuditLog.append(
                actor: actor, "network.imported", subject: network.id,
                Import(
                    revision: last + 1, digest: Digest.sha256(document), changed: changed.map { "\($0.id): \($0.what)" }
                ),
                &connection)
            return ImportResult(revision: last + 1, isNew: true, changes: changed)
        }
    }

    /// From when on the data is that of a revision that is imported now: from this minute, or, where the newest that was
    /// analysed is older than an hour, because history is played, from there on. Before anything was analysed it is of all.
    private static let inForce = """
        coalesce((SELECT greatest(max(r.in_force_from), (SELECT CASE WHEN max(minute) < now() - interval '1 hour' \
        THEN max(minute) ELSE date_trunc('minute', now()) END FROM backfeed_store.analyser_position)) \
        FROM backfeed_store.network_revision r HAVING (SELECT count(*) FROM backfeed_store.analyser_position) > 0), \
        '-infinity')
        """

    private static func store(_ devices: [Device], _ connection: inout PostgresConnection) throws(StoreError) {
        try connection.query(
            """
            INSERT INTO backfeed_store.device (area_id, name, kind, node, normal_feeder, lv_area, rating_w, voltage_base_v)
            SELECT a.id, d.name, d.kind, d.node, d.normal_feeder, d.low_voltage_area, d.rating, d.voltage_base
            FROM jsonb_to_recordset($1::jsonb) AS d(area text, name text, kind text, node text, normal_feeder text,
                low_voltage_area text, rating float8, voltage_base float8)
            JOIN backfeed_store.area a ON a.name = d.area ORDER BY d.name
            ON CONFLICT (name) DO UPDATE SET area_id = excluded.area_id, kind = excluded.kind, node = excluded.node,
                normal_feeder = excluded.normal_feeder, lv_area = excluded.lv_area, rating_w = excluded.rating_w,
                voltage_base_v = excluded.voltage_base_v, in_service = true
            """, [JSONCoding.encode(devices)], as: "store devices")
    }

    /// The newest revision, or `nil` when none was imported.
    ///
    /// - Parameter wanted: an earlier one, as its time is analysed again: with the numbers of devices that are not there
    ///   any more.
    public static func load(_ conninfo: String, revision wanted: Int? = nil) throws -> StoredNetwork? {
        var connection = try PostgresConnection(conninfo)
        let newest = try connection.query(
            """
            SELECT id, document FROM backfeed_store.network_revision \(wanted == nil ? "" : "WHERE id = $1") \
            ORDER BY id DESC LIMIT 1
            """, wanted.map { [String($0)] } ?? [], as: "load network")
        guard let row = newest.first, let revision = row[0].flatMap(Int.init), let document = row[1] else { return nil }
        var network = try JSONCoding.decodePlain(Network.self, document)
        // Decoding doubles as it goes: of a large fleet, megabytes would lie idle for good.
        network.ders = network.ders.withUnsafeBufferPointer(Array.init)
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        var ids = [Int32](repeating: 0, count: registry.devices.count)
        var areas = ids
        var aggregators = [String?](repeating: nil, count: ids.count)
        func find(_ connection: inout PostgresConnection) throws(StoreError) {
            for row in try connection.query(
                """
                SELECT name, id, area_id, aggregator FROM backfeed_store.device \
                \(wanted == nil ? "WHERE in_service" : "")
                """, as: "load devices")
            {
                guard let name = row[0], let index = registry.index[name].map(Int.init) else { continue }
                ids[index] = row[1].flatMap(Int32.init) ?? 0
                areas[index] = row[2].flatMap(Int32.init) ?? 0
                aggregators[index] = row[3]
            }
        }
        try find(&connection)
        // A network that an earlier version imported: it knew fewer kinds of devices.
        let unknown = registry.devices.indices.filter { ids[$0] == 0 }
        if wanted == nil, !unknown.isEmpty {
            try store(unknown.map { registry.devices[$0] }, &connection)
            try find(&connection)
        }
        var byName: [String: Int32] = [:]
        for row in try connection.query("SELECT name, id FROM backfeed_store.area", as: "load areas") {
            if let name = row[0] { byName[name] = row[1].flatMap(Int32.init) }
        }
        let switches = try SwitchStore.load(&connection)
        return StoredNetwork(
            network: network, revision: revision, registry: registry, deviceIDs: ids, areaIDs: areas,
            aggregators: aggregators, areaIDByName: byName,
            switches: Dictionary(switches.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first }))
    }

    /// A switch that moved.
    public struct Move: Sendable {
        public var switchID: String
        public var position: SwitchPosition
        public var time: Timestamp
    }

    /// Where the switches stood at `time`, as far as it was ever recorded, and how they moved until `until`.
    public static func positions(
        at time: Timestamp, until: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) -> (start: [String: SwitchPosition], moves: [Move]) {
        var start: [String: SwitchPosition] = [:]
        var moves: [Move] = []
        for row in try connection.query(
            """
            SELECT switch, position, \(SQL.rfc3339("time")) FROM backfeed_store.switch_position WHERE time < $1 \
            ORDER BY time, recorded_at
            """, [until.description], as: "load switch history")
        {
            guard let id = row[0], let position = row[1].flatMap({ SwitchPosition(name: $0) }),
                let moved = row[2].flatMap({ Timestamp($0) })
            else { continue }
            if moved <= time {
                start[id] = position
            } else {
                moves.append(Move(switchID: id, position: position, time: moved))
            }
        }
        return (start, moves)
    }
}
