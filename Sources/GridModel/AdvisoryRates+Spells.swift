extension AdvisoryRates {
    /// What one desk would have been asked to look at: by the time of the data, without what people did. What starts as a
    /// part of what stands then is not annunciated (`domain-rules.md` C.4).
    ///
    /// - Parameters:
    ///   - spells: each as it was said last.
    ///   - banks: by bank, the feeders on it.
    public static func annunciated(
        _ spells: [AdvisoryFacts], banks: [String: Set<String>]
    ) -> [Happening] {
        let ordered = spells.sorted { ($0.raisedAt, $0.id) < ($1.raisedAt, $1.id) }
        return ordered.flatMap { facts in
            func happening(_ what: Happening.What, _ time: Timestamp) -> Happening {
                Happening(
                    what, at: time, advisory: facts.id, kind: facts.kind.rawValue, feeder: facts.feeder,
                    element: facts.element, severity: facts.severity)
            }
            let standing = ordered.filter {
                $0.raisedAt <= facts.raisedAt && $0.clearedAt.map { $0 > facts.raisedAt } ?? true
            }
            let tree = AdvisoryTree(standing.map(AdvisoryTree.Node.init), banks: banks)
            guard tree.stands(facts.id) else { return [Happening]() }
            return [happening(.annunciated, facts.raisedAt)]
                + (facts.clearedAt.map { [happening(.cleared, $0)] } ?? [])
        }
    }
}
