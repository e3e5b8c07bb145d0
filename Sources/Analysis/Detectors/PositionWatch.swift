public import GridModel

/// DQ_TOPO of a switch: telemetry goes on contradicting what a person has stated of its position.
///
/// It has no bins and no time of its own: the record says whether there is a doubt.
public struct PositionWatch: Sendable {
    /// Advisories that stand, by switch.
    private var open: [String: AdvisoryFacts] = [:]
    private let feederOf: @Sendable (_ switchID: String) -> String?

    /// - Parameters:
    ///   - latest: advisories as stored.
    ///   - feederOf: the feeder that is told; `nil`: the network has no such switch.
    public init(latest: [AdvisoryFacts], feederOf: @escaping @Sendable (_ switchID: String) -> String?) {
        self.feederOf = feederOf
        for facts in latest where facts.detector == Self.detector && facts.clearedAt == nil {
            open[facts.element] = facts
        }
    }

    static let detector = "DQ_TOPO_SWITCH"

    /// - Parameter now: wall clock.
    /// - Returns: what is to be said of it; nothing, where it is as it was.
    public mutating func take(_ record: SwitchRecord, at now: Timestamp) -> [AdvisoryReport] {
        switch (record.isContradicted, open[record.id]) {
        case (true, nil):
            guard let feeder = feederOf(record.id), let telemetry = record.telemetry,
                let text = record.doubtText(at: now, within: 0)
            else { return [] }
            let onset = telemetry.time
            let facts = AdvisoryFacts(
                id: "topo-\(StableHash("\(record.id)|\(onset.microseconds)").hexadecimal)", kind: .topologyMismatch,
                detector: Self.detector, feeder: feeder, element: record.id, severity: .high, onset: onset,
                raisedAt: now,
                peak: .init(value: 1, unit: "switches", at: onset),
                limit: .init(value: 0, unit: "switches", source: "B.4.8: telemetry against a stated position"),
                message: "Switch \(text)",
                response:
                    "Do not switch here. Have the position read on site, and enter it: plans nearby cannot be assessed until then.",
                evidence: .init(
                    series: [], unit: "switches", binS: 0, goodPct: 100, usablePct: 0, missingPct: 0, settingsHash: "",
                    topologyRevision: 0),
                watermark: now)
            open[record.id] = facts
            return [AdvisoryReport(change: .start, facts: facts)]
        case (false, var facts?):
            open[record.id] = nil
            (facts.endedAt, facts.clearedAt, facts.watermark) = (record.movedAt ?? now, now, now)
            facts.message =
                "Switch \(record.id): telemetry and the stated position agree again: \(record.position?.name ?? "")."
            return [AdvisoryReport(change: .clear, facts: facts)]
        default: return []
        }
    }
}
