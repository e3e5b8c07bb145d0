public import GridModel

/// The networks of a time, one after the other, with one numbering of all devices that any of them had.
public struct NetworkHistory: Sendable {
    /// A revision and the data that it is for.
    public struct Stretch: Sendable {
        public var stored: StoredNetwork
        /// On a full minute; `distantPast` of the first revision.
        public var from: Timestamp
        /// By the number in this history, the number in the revision's own registry, -1: it does not have the device.
        public var numbers: [Int32]
    }

    /// The oldest first, at least one; the last one's numbers are those of the history.
    public let stretches: [Stretch]
    /// Numbers by `device.id`: first the newest registry's, then those of devices that only earlier revisions had.
    public let numberOfDeviceID: [Int32: Int32]
    /// V of 1 pu, by number.
    public let voltageBases: [Double]

    public var newest: StoredNetwork { stretches[stretches.count - 1].stored }

    /// Devices that belonged to a feeder during a period, with the period of each network revision and the device's
    /// number in it.
    public func stays(at feeder: String, from: Timestamp, until: Timestamp) -> [(device: Device, stay: Queries.Stay)] {
        stretches.enumerated().flatMap { place, stretch in
            let begin = max(from, stretch.from)
            let end = place + 1 < stretches.count ? min(until, stretches[place + 1].from) : until
            guard begin < end else { return [(device: Device, stay: Queries.Stay)]() }
            return stretch.stored.registry.devices.enumerated().compactMap { number, device in
                guard device.normalFeeder == feeder else { return nil }
                return (
                    device,
                    Queries.Stay(
                        id: stretch.stored.deviceIDs[number], voltageBase: device.voltageBase, from: begin, until: end)
                )
            }
        }
    }

    /// One network for all time.
    public init(_ stored: StoredNetwork) { self.init([(stored, .distantPast)]) }

    init(_ revisions: [(stored: StoredNetwork, from: Timestamp)]) {
        precondition(!revisions.isEmpty, "no network")
        var numbers: [Int32: Int32] = [:]
        var bases: [Double] = []
        for revision in revisions.reversed() {
            for (place, id) in revision.stored.deviceIDs.enumerated() where numbers[id] == nil {
                numbers[id] = Int32(bases.count)
                bases.append(revision.stored.registry.devices[place].voltageBase)
            }
        }
        stretches = revisions.map { revision in
            var own = [Int32](repeating: -1, count: bases.count)
            for (place, id) in revision.stored.deviceIDs.enumerated() {
                if let number = numbers[id] { own[Int(number)] = Int32(place) }
            }
            return Stretch(stored: revision.stored, from: revision.from, numbers: own)
        }
        numberOfDeviceID = numbers
        voltageBases = bases
    }

    /// The revisions of a time, by ``NetworkStore/importRevision(_:by:_:)``.
    ///
    /// - Parameter known: one that is loaded already, mostly the newest.
    public static func load(
        from: Timestamp, until: Timestamp, known: StoredNetwork, _ conninfo: String
    ) throws -> NetworkHistory {
        var connection = try PostgresConnection(conninfo)
        let rows = try connection.query(
            """
            SELECT id, CASE WHEN isfinite(in_force_from) THEN \(SQL.rfc3339("in_force_from")) END \
            FROM backfeed_store.network_revision ORDER BY in_force_from, id
            """, as: "read revisions")
        var spans: [(revision: Int, from: Timestamp)] = []
        for row in rows {
            guard let revision = row[0].flatMap(Int.init) else { continue }
            let begin = row[1].flatMap { Timestamp($0) } ?? .distantPast
            guard begin < until || spans.isEmpty else { continue }
            // A revision that was replaced before the period begins, or at that very moment, has no part in it.
            spans.removeAll { begin <= from || $0.from == begin }
            spans.append((revision, begin))
        }
        guard !spans.isEmpty else { return NetworkHistory(known) }
        var revisions: [(stored: StoredNetwork, from: Timestamp)] = []
        for span in spans {
            let stored =
                span.revision == known.revision
                ? known : try NetworkStore.load(conninfo, revision: span.revision)
            guard let stored else { continue }
            revisions.append((stored, span.from))
        }
        return revisions.isEmpty ? NetworkHistory(known) : NetworkHistory(revisions)
    }
}
