public import GridModel

/// What has changed since a verdict, in words; nothing: it still holds.
public enum EvidenceChange {
    /// - Parameters:
    ///   - ratings: W of each feeder's head.
    ///   - share: of the rating by which a head's load may move.
    ///   - isSwitching: a step is issued and not yet confirmed: loads move because of it.
    ///   - issued: switches of such steps: they move because of it, too.
    public static func reasons(
        from old: Verdict.Evidence, to new: Verdict.Evidence, ratings: [String: Double], share: Double,
        isSwitching: Bool = false, issued: Set<String> = []
    ) -> [String] {
        var reasons: [String] = []
        if old.networkRevision != new.networkRevision {
            reasons.append("the network is at revision \(new.networkRevision), it was \(old.networkRevision)")
        }
        if old.switchStateHash != new.switchStateHash { reasons.append("a switch has moved outside the plan") }
        if old.safetyHash != new.safetyHash {
            reasons.append("tags, grounds, clearances, reclosing or restrictions have changed outside the plan")
        }
        if old.advisorySetHash != new.advisorySetHash {
            let came = Set(new.advisories).subtracting(old.advisories).sorted()
            let went = Set(old.advisories).subtracting(new.advisories).sorted()
            let parts = [
                came.isEmpty ? nil : "\(Say.list(came)) came", went.isEmpty ? nil : "\(Say.list(went)) went",
            ].compactMap(\.self)
            reasons.append("advisories have changed: \(parts.isEmpty ? "a severity" : parts.joined(separator: ", "))")
        }
        if old.plansHash != new.plansHash { reasons.append("other plans that are approved or executed have changed") }
        if old.limitsHash != new.limitsHash { reasons.append("limits have changed") }
        if old.software != new.software { reasons.append("the software is \(new.software), it was \(old.software)") }
        if old.feeders != new.feeders { reasons.append("the plan concerns other feeders now") }
        reasons += happened(from: old.activity, to: new.activity, issued, unless: reasons)
        guard !isSwitching else { return reasons }
        for (feeder, before) in old.heads.sorted(by: { $0.key < $1.key }) {
            guard let now = new.heads[feeder] else {
                reasons.append("the head of \(feeder) is not known any more")
                continue
            }
            let limit = share * (ratings[feeder] ?? 0)
            if abs(now - before) > limit {
                reasons.append(
                    "\(feeder) carries \(Say.power(now)), it was \(Say.power(before)): more than \(Say.power(limit)) apart"
                )
            }
        }
        return reasons
    }

    /// Changes that came and went between two looks, so that comparing states alone would miss them.
    private static func happened(
        from old: Verdict.Evidence.Activity?, to new: Verdict.Evidence.Activity?, _ issued: Set<String>,
        unless reasons: [String]
    ) -> [String] {
        guard old != new, reasons.isEmpty else { return [] }
        guard let old, let new else { return ["it rests on a verdict that did not count what happens"] }
        var found: [String] = []
        let own = Set(old.ownMoves.keys).union(new.ownMoves.keys).subtracting(issued).filter {
            old.ownMoves[$0] != new.ownMoves[$0]
        }
        if old.moves != new.moves {
            found.append("a switch has moved outside the plan, and back")
        }
        if !own.isEmpty { found.append("\(Say.list(own.sorted())) has moved, and back") }
        if old.advisories != new.advisories { found.append("an advisory came and went") }
        if old.register != new.register {
            found.append("a tag, ground, clearance, reclosing or restriction was changed, and changed back")
        }
        return found
    }
}
