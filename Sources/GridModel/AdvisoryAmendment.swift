/// What samples that came late change in what had been said (`domain-rules.md` A.7.4). What was said stays as it was
/// said, and nobody is called: this is the record of how it would have been.
public struct AdvisoryAmendment: Sendable, Codable, Equatable {
    public enum Change: String, Sendable, Codable {
        /// It would have been otherwise.
        case moved
        /// It would not have been raised.
        case gone
        /// It was not raised, and would have been.
        case new
        /// With still more late samples it is as it was said: what was recorded before of it does not count.
        case withdrawn
    }

    public var change: Change
    public var before: AdvisoryFacts?
    public var after: AdvisoryFacts?
    /// What changes, in words.
    public var said: [String]
    public var lateFrom: Timestamp
    public var lateUntil: Timestamp
    public var lateSamples: Int

    /// - Returns: `nil` when there is neither a before nor an after.
    public init?(
        before: AdvisoryFacts?, after: AdvisoryFacts?, said: [String], lateFrom: Timestamp, lateUntil: Timestamp,
        lateSamples: Int
    ) {
        switch (before, after) {
        case (nil, nil): return nil
        case (nil, _): change = .new
        case (_, nil): change = .gone
        default: change = .moved
        }
        self.before = before
        self.after = after
        self.said = said
        self.lateFrom = lateFrom
        self.lateUntil = lateUntil
        self.lateSamples = lateSamples
    }

    /// The spell it is about: the one that was said, else the one that was not.
    public var spell: String { before?.id ?? after?.id ?? "" }
    public var subject: AdvisoryFacts? { before ?? after }
}

extension AdvisoryFacts {
    /// Whether the two say the same but for words, contributors and evidence.
    ///
    /// - Parameter peakTolerance: part of the peak by which it may differ, 0 to 1.
    public func agrees(with other: AdvisoryFacts, peakTolerance: Double) -> Bool {
        let difference = abs(peak.value - other.peak.value)
        let isSamePeak =
            peak.value == other.peak.value || peak.value.isNaN && other.peak.value.isNaN
            || difference <= peakTolerance * max(abs(peak.value), abs(other.peak.value))
        return isSamePeak && onset == other.onset && raisedAt == other.raisedAt && clearedAt == other.clearedAt
            && severity == other.severity && detector == other.detector && cause == other.cause
    }
}
