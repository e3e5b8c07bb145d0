public import GridModel

extension AdvisoryStore {
    /// One analyser output, with the positions it stands for.
    public struct Commit: Sendable {
        public var reports: [AdvisoryReport] = []
        public var areaOfFeeder: [String: Int32] = [:]
        public var positions: [String: (head: Timestamp, minute: Timestamp)] = [:]
        /// By bank, the feeders on it.
        public var banks: [String: Set<String>] = [:]
        /// Forecasts, with the number of their area.
        public var forecasts: [(run: ForecastRun, area: Int32)] = []
        public init() {}
    }

    /// Stores what the analyser found; returns the events to publish, in order.
    public mutating func commit(_ commit: Commit, profile: ProfileBatch) throws(StoreError) -> [StoredEvent] {
        try session.use { connection throws(StoreError) in
            try connection.transaction("store advisories") { connection throws(StoreError) in
                var events: [StoredEvent] = []
                if !commit.reports.isEmpty { try Self.lock(&connection) }
                let parts = try Self.parts(among: commit, &connection)
                for report in commit.reports {
                    let area = commit.areaOfFeeder[report.facts.feeder] ?? 0
                    events += try Self.apply(report, area: area, part: parts[report.facts.id], &connection)
                }
                if commit.reports.contains(where: { $0.change != .peak }) {
                    events += try Self.correlate(banks: commit.banks, &connection)
                }
                try profile.store(&connection)
                try ForecastRow.store(commit.forecasts.map { ForecastRow($0.run, area: $0.area) }, &connection)
                if !commit.positions.isEmpty {
                    let positions = commit.positions.map {
                        StoredPosition(name: $0, head: $1.head, minute: $1.minute)
                    }
                    try connection.query(
                        """
                        INSERT INTO backfeed_store.analyser_position SELECT name, head, minute \
                        FROM jsonb_to_recordset($1::jsonb) AS p(name text, head timestamptz, minute timestamptz) \
                        ON CONFLICT (name) DO UPDATE SET head = excluded.head, minute = excluded.minute
                        """, [JSONCoding.encode(positions)], as: "store positions")
                }
                return events
            }
        }
    }

    private struct StoredPosition: Encodable {
        var name: String
        var head: Timestamp
        var minute: Timestamp
    }

    /// - Parameter part: what it starts as a part of: unless it calls, nobody is asked to look at it.
    /// - Returns: the events, where the advisory has become another.
    private static func apply(
        _ report: AdvisoryReport, area: Int32, part: Part?, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [StoredEvent] {
        let facts = report.facts
        var row =
            try AdvisoryRow.find(spell: facts, area: area, isStart: report.change == .start, &connection)
            ?? AdvisoryRow(facts, area: area)
        if report.change == .peak {
            guard row.state != nil, row.isActive else { return [] }
            row.facts = facts
            try row.store(&connection)
            return []
        }
        let event: AdvisoryLifecycle.Event
        switch report.change {
        // A spell that starts where the same cause is active goes on in it: there is never a second one.
        case .start: event = row.isActive ? .amended : .start
        case .severity: event = facts.severity > row.facts.severity ? .severityRose(to: facts.severity) : .severityFell
        case .cause, .uncertain, .certain, .peak: event = .amended
        case .clear: event = .clear
        }
        let outcome = AdvisoryLifecycle.outcome(of: event, in: row.situation)
        let isKnown = row.state != nil
        let wasWorse = row.severity > facts.severity && row.hasChildren
        row.facts = facts
        row.spell = facts.id
        if !wasWorse { row.severity = facts.severity }
        guard case .moved(let move) = outcome else {
            // A cause that is settled after the advisory was cleared: the facts are kept, nobody is told again.
            if report.change == .cause, isKnown { try row.store(&connection) }
            return []
        }
        if event == .start, isKnown { row.occurrence += 1 }
        if event == .start, let part, part.calls { row.parent = part.parent }
        var rises = event == .start
        if case .severityRose = event { rises = true }
        var events = [
            try row.take(
                move, rises: rises, isPart: part?.calls == false, actor: "analyser", at: facts.watermark, &connection)
        ]
        // At once: it may be over before the others of this commit have been looked at.
        if event == .start, let part, !part.calls,
            case .moved(let move) = AdvisoryLifecycle.outcome(of: .suppress, in: row.situation)
        {
            row.parent = part.parent
            events.append(
                try row.take(
                    move, actor: "analyser", note: "part of \(part.parent)", at: facts.watermark, &connection))
        }
        return events
    }
}
