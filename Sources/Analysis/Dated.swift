internal import GridModel

/// When the numbers in an advisory's text were so: the text is said when it is raised, when its severity or extent changes, and
/// stays meanwhile, while the network goes on. One rule for all kinds: `… As of 10:36 UTC.` stands at its end while the
/// condition holds.
enum Dated {
    private static let (begin, end) = (" As of ", " UTC.")
    /// Instead of the end, once nothing is measured any more: the numbers stay those of then.
    private static let missing = " UTC; data is missing since then."

    /// Lets facts be described, and says of when the text's numbers are.
    ///
    /// - Parameters:
    ///   - time: of the data that is described.
    ///   - isBlind: data has gone missing: whatever the text would say now is not known.
    static func compose(
        _ facts: inout AdvisoryFacts, at time: Timestamp, isBlind: Bool = false, _ body: (inout AdvisoryFacts) -> Void
    ) {
        let (old, moment) = split(facts.message)
        let limit = facts.limit
        facts.message = old
        body(&facts)
        facts.dropWhatIsNoNumber(limit)
        guard facts.clearedAt == nil else { return }
        let now = clock(time, since: facts.onset)
        if isBlind, let moment {
            facts.message = old + begin + moment + missing
        } else if let moment, !old.isEmpty, facts.message.hasPrefix(old.dropLast()) {
            // The same, or only more words on it: its numbers are still those of then.
            facts.message += begin + moment + (facts.uncertain ? missing : end)
        } else {
            facts.message += begin + now + end
        }
    }

    /// A text without its time, and that time; `nil`: it has none.
    static func split(_ message: String) -> (text: String, moment: String?) {
        let ending = [end, missing].first { message.hasSuffix($0) }
        guard let ending, let start = message.ranges(of: begin).last else { return (message, nil) }
        return (
            String(message[..<start.lowerBound]), String(message[start.upperBound...].dropLast(ending.count))
        )
    }

    /// With the day, where that is not the day on which the condition began.
    private static func clock(_ time: Timestamp, since onset: Timestamp) -> String {
        let (now, then) = (time.description, onset.description)
        let day = now.prefix(10) == then.prefix(10) ? "" : "\(now.dropFirst(5).prefix(5)) "
        return day + now.dropFirst(11).prefix(5)
    }
}

extension AdvisoryFacts {
    /// A fact is a number or is absent: one that is neither cannot be stored.
    ///
    /// - Parameter earlier: the limit that was told before.
    fileprivate mutating func dropWhatIsNoNumber(_ earlier: Limit) {
        evidence.notes = evidence.notes.filter(\.value.isFinite)
        for place in evidence.series.indices where !(evidence.series[place].value?.isFinite ?? true) {
            evidence.series[place].value = nil
        }
        if !limit.value.isFinite { limit = earlier }
    }
}
