public import GridModel

/// What late samples change in what had been said: kept beside it, never in its place.
extension AdvisoryStore {
    /// The newest amendment of each spell that was there, before or after it, at a time or up to two hours earlier: what
    /// is over may come again, and how often it came decides how long its end must last.
    public mutating func amendments(standingAt time: Timestamp) throws(StoreError) -> [AdvisoryAmendment] {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query(
                """
                SELECT before, after, \(SQL.rfc3339("late_from")), \(SQL.rfc3339("late_until")), late_samples FROM \
                (SELECT DISTINCT ON (spell) * FROM backfeed_store.advisory_amendment ORDER BY spell, number DESC) a \
                WHERE change <> 'withdrawn' AND onset <= $1 AND (coalesce((before #>> '{cleared_at}')::timestamptz, 'infinity') >= $1::timestamptz - interval '2 hours' AND before IS NOT NULL \
                OR coalesce((after #>> '{cleared_at}')::timestamptz, 'infinity') >= $1::timestamptz - interval '2 hours' AND after IS NOT NULL) ORDER BY onset, number
                """, [time.description], as: "read amendments")
            return rows.compactMap { row in
                func facts(_ column: Int) -> AdvisoryFacts? {
                    row[column].flatMap { try? JSONCoding.decode(AdvisoryFacts.self, $0) }
                }
                guard let from = row[2].flatMap({ Timestamp($0) }), let until = row[3].flatMap({ Timestamp($0) })
                else { return nil }
                return AdvisoryAmendment(
                    before: facts(0), after: facts(1), said: [], lateFrom: from, lateUntil: until,
                    lateSamples: row[4].flatMap { Int($0) } ?? 0)
            }
        }
    }

    /// Records what is not recorded yet. An advisory that is open says so in an event; nobody is called.
    ///
    /// - Parameters:
    ///   - amendments: all that there are now between `from` and `until`: what was recorded of that time and is not among
    ///     them, is withdrawn.
    ///   - areaOfFeeder: number of the area of each feeder.
    ///   - peakTolerance: part of the peak by which an amendment may differ from the last and still be the same.
    /// - Returns: those that were recorded, and whether there is an event to publish.
    public mutating func amend(
        _ amendments: [AdvisoryAmendment], from: Timestamp, until: Timestamp, areaOfFeeder: (String) -> Int32,
        peakTolerance: Double, now: Timestamp
    ) throws(StoreError) -> (recorded: [AdvisoryAmendment], publishes: Bool) {
        try session.use { connection throws(StoreError) in
            try connection.transaction("amend advisories") { connection throws(StoreError) in
                try Self.lock(&connection)
                var recorded: [AdvisoryAmendment] = []
                var publishes = false
                var spells: [String] = []
                for item in amendments {
                    let spell = try Self.spell(of: item, &connection)
                    spells.append(spell)
                    if try Self.isKnown(item, spell, peakTolerance, &connection) { continue }
                    // With other settings than those of now something else may have been said: that is no amendment.
                    let said = try connection.query(
                        "SELECT advisory_id FROM backfeed_store.advisory_event WHERE spell = $1 LIMIT 1", [item.spell],
                        as: "find advisory of spell"
                    ).first?[0]
                    guard (said == nil) == (item.change == .new) else { continue }
                    let area = item.subject.map { areaOfFeeder($0.feeder) } ?? 0
                    try Self.record(item, spell: spell, advisory: said, area: area, &connection)
                    recorded.append(item)
                    publishes = try Self.tell(item, said, now, &connection) || publishes
                }
                try Self.withdraw(from: from, until: until, unless: spells, &connection)
                return (recorded, publishes)
            }
        }
    }

    private static func withdraw(
        from: Timestamp, until: Timestamp, unless spells: [String], _ connection: inout PostgresConnection
    ) throws(StoreError) {
        let columns =
            "area_id, advisory_id, spell, kind, feeder, element, onset, before, after, said, watermark, late_from, late_until, late_samples"
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory_amendment (change, \(columns)) SELECT 'withdrawn', \(columns) FROM \
            (SELECT DISTINCT ON (spell) * FROM backfeed_store.advisory_amendment ORDER BY spell, number DESC) a \
            WHERE change <> 'withdrawn' AND onset >= $1 AND (coalesce(before, after) #>> '{raised_at}')::timestamptz <= $2 \
            AND NOT spell = ANY ($3::text[])
            """, [from.description, until.description, SQL.array(spells)], as: "withdraw amendments")
    }

    /// What was not said has no name: with more late samples it begins earlier, and is still the same.
    private static func spell(
        of item: AdvisoryAmendment, _ connection: inout PostgresConnection
    ) throws(StoreError) -> String {
        guard item.change == .new, let after = item.after else { return item.spell }
        let row = try connection.query(
            """
            SELECT spell FROM backfeed_store.advisory_amendment WHERE advisory_id IS NULL AND kind = $1 AND element = $2 \
            AND (after #>> '{onset}')::timestamptz <= $4 \
            AND coalesce((after #>> '{cleared_at}')::timestamptz, late_until) >= $3 ORDER BY number DESC LIMIT 1
            """,
            [
                after.kind.rawValue, after.element, after.onset.description,
                after.clearedAt?.description ?? "infinity",
            ], as: "find amendment"
        ).first
        return row?[0] ?? item.spell
    }

    private static func isKnown(
        _ item: AdvisoryAmendment, _ spell: String, _ peakTolerance: Double, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Bool {
        let row = try connection.query(
            """
            SELECT change, after FROM backfeed_store.advisory_amendment WHERE spell = $1 ORDER BY number DESC LIMIT 1
            """, [spell], as: "read last amendment"
        ).first
        guard let row, row[0] == item.change.rawValue else { return false }
        let last = row[1].flatMap { try? JSONCoding.decode(AdvisoryFacts.self, $0) }
        guard let last, let after = item.after else { return last == nil && item.after == nil }
        return last.agrees(with: after, peakTolerance: peakTolerance)
    }

    private static func record(
        _ item: AdvisoryAmendment, spell: String, advisory: String?, area: Int32, _ connection: inout PostgresConnection
    ) throws(StoreError) {
        guard let subject = item.subject else { return }
        try connection.query(
            """
            INSERT INTO backfeed_store.advisory_amendment (area_id, advisory_id, spell, change, kind, feeder, element, \
            onset, before, after, said, watermark, late_from, late_until, late_samples) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            """,
            [
                String(area), advisory, spell, item.change.rawValue, subject.kind.rawValue, subject.feeder,
                subject.element, subject.onset.description, item.before.map(JSONCoding.encode),
                item.after.map(JSONCoding.encode), SQL.array(item.said), subject.watermark.description,
                item.lateFrom.description, item.lateUntil.description, String(item.lateSamples),
            ], as: "store amendment")
    }

    /// - Returns: whether an event was stored.
    private static func tell(
        _ item: AdvisoryAmendment, _ advisory: String?, _ now: Timestamp, _ connection: inout PostgresConnection
    ) throws(StoreError) -> Bool {
        guard let advisory,
            var row = try AdvisoryRow.read(where: "id = $1 AND spell = $2", [advisory, item.spell], &connection).first,
            case .moved(let move) = AdvisoryLifecycle.outcome(of: .amended, in: row.situation)
        else { return false }
        let what = item.change == .gone ? "it would not have been raised" : item.said.joined(separator: "; ")
        _ = try row.take(
            move, actor: "service", note: "with \(item.lateSamples) samples that came late: \(what)", at: now,
            &connection)
        return true
    }
}
