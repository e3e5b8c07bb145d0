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
}
