public import GridModel

extension AdvisoryStore {
    private struct Event: Decodable {
        var data: AdvisoryFacts
    }

    /// What the analyser said last of each spell that was raised in a time, as it said it: with the spell's own id, onset,
    /// severity and count.
    ///
    /// - Parameter until: of the data: what was said later is left out.
    public mutating func spells(from: Timestamp, until: Timestamp) throws(StoreError) -> [AdvisoryFacts] {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query(
                """
                SELECT DISTINCT ON (spell) spell, own_severity, event, \(SQL.rfc3339("own_onset")), own_occurrence FROM backfeed_store.advisory_event \
                WHERE actor = 'analyser' AND type IN ('raised', 'updated', 'cleared') AND spell IS NOT NULL \
                AND (event::jsonb #>> '{data,raised_at}')::timestamptz >= $1 \
                AND (event::jsonb #>> '{data,raised_at}')::timestamptz < $2 \
                AND (event::jsonb #>> '{data,watermark}')::timestamptz <= $2 ORDER BY spell, sequence DESC
                """, [from.description, until.description], as: "read spells")
            return try Self.facts(rows)
        }
    }

    /// Of each kind and element what the analyser had said last when the data had come to a time.
    public mutating func spells(saidBefore time: Timestamp) throws(StoreError) -> [AdvisoryFacts] {
        try session.use { connection throws(StoreError) in
            let rows = try connection.query(
                """
                WITH said AS (SELECT DISTINCT ON (a.kind, a.element) e.sequence FROM backfeed_store.advisory_event e \
                JOIN backfeed_store.advisory a ON a.id = e.advisory_id WHERE e.actor = 'analyser' \
                AND e.type IN ('raised', 'updated', 'cleared') AND e.spell IS NOT NULL AND e.watermark < $1 \
                ORDER BY a.kind, a.element, e.sequence DESC) \
                SELECT spell, own_severity, event, \(SQL.rfc3339("own_onset")), own_occurrence \
                FROM backfeed_store.advisory_event JOIN said USING (sequence) ORDER BY sequence
                """, [time.description], as: "read spells")
            return try Self.facts(rows)
        }
    }

    /// - Parameter rows: spell, own severity, event, own onset, own occurrence.
    private static func facts(_ rows: [[String?]]) throws(StoreError) -> [AdvisoryFacts] {
        var found: [AdvisoryFacts] = []
        for row in rows {
            guard let id = row[0], let severity = row[1].flatMap(Int.init).flatMap(Severity.init(rawValue:)),
                let onset = row[3].flatMap({ Timestamp($0) }), let occurrence = row[4].flatMap(Int.init),
                var facts = row[2].flatMap({ try? JSONCoding.decode(Event.self, $0).data })
            else {
                throw StoreError(.conflict, "read spells", message: "\(row[0] ?? "one") cannot be read")
            }
            (facts.id, facts.severity, facts.onset, facts.occurrence) = (id, severity, onset, occurrence)
            found.append(facts)
        }
        return found
    }
}
