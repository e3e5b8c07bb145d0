public import GridModel

/// The state machine under every threshold detector (`domain-rules.md` B.0): on- and off-delay, gaps, severity.
///
/// A value without clock: time is that of the bins. Bins come in order and without holes; a bin without data is
/// ``Input/missing``, and no advisory ever clears because data vanished.
public struct ThresholdDetector: Sendable, Equatable {
    public struct Timing: Sendable, Equatable {
        /// Seconds the on-condition must hold before START.
        public var on: Double
        /// Seconds the off-condition must hold before CLEAR.
        public var off: Double
        /// Seconds without data before a pending detector gives up and an active one becomes uncertain.
        public var gap: Double
        /// Seconds at a milder level before the severity is lowered.
        public var lowerAfter: Double

        public init(on: Double, off: Double, gap: Double = 120, lowerAfter: Double = 300) {
            self.on = on
            self.off = off
            self.gap = gap
            self.lowerAfter = lowerAfter
        }
    }

    public enum Input: Sendable {
        case missing
        /// - Parameters:
        ///   - value: what ``peak`` is taken from.
        ///   - badness: larger is worse; the peak is the value with the largest.
        case bin(on: Bool, off: Bool, value: Double, badness: Double, severity: Severity)
    }

    public enum Output: Sendable, Equatable {
        case start(onset: Timestamp, severity: Severity)
        case severity(Severity)
        case uncertain
        case certain
        case clear(clearOnset: Timestamp)
    }

    public enum Phase: Sendable, Equatable { case idle, pending, active, clearing }

    public internal(set) var timing: Timing
    public private(set) var phase = Phase.idle
    public private(set) var onset = Timestamp.distantPast
    public private(set) var isUncertain = false
    public private(set) var severity = Severity.note
    /// Worst value since the onset, and the start of its bin.
    public private(set) var peak: (value: Double, at: Timestamp) = (.nan, .distantPast)
    public private(set) var peakBadness = -Double.infinity
    /// Bins that begin before have been looked at for the peak.
    private var notedUntil = Timestamp.distantPast
    private var onFor = 0.0
    private var offFor = 0.0
    private var missingFor = 0.0
    private var clearOnset = Timestamp.distantPast
    private var milderFor = 0.0
    private var milderSeverity = Severity.note
    /// While it is active: since when the on-condition has held without a break.
    private var run: Run?

    private struct Run: Sendable {
        var onset: Timestamp
        var seconds = 0.0
        var peak: (value: Double, at: Timestamp)
        var peakBadness: Double
    }

    public init(_ timing: Timing) { self.timing = timing }

    public var isActive: Bool { phase == .active || phase == .clearing }

    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.timing == rhs.timing && lhs.phase == rhs.phase && lhs.onset == rhs.onset && lhs.onFor == rhs.onFor
            && lhs.offFor == rhs.offFor && lhs.isUncertain == rhs.isUncertain && lhs.severity == rhs.severity
            && lhs.peak.at == rhs.peak.at
    }

    /// Puts the detector back where a stored advisory says it was.
    ///
    /// - Parameter said: up to here its worst value is stored: a warm-up over what came before must not find it elsewhere, or in
    ///   a spell that was over.
    public mutating func restore(
        onset: Timestamp, severity: Severity, peak: Double, peakAt: Timestamp, badness: Double?, said: Timestamp,
        uncertain: Bool
    ) {
        // A warm-up over recent samples may have found the same activity; only what lies before it is added.
        if !isActive {
            phase = .active
            offFor = 0
        }
        self.onset = onset
        self.severity = severity
        // What came after the advisory was stored last may have been worse.
        let stored = badness ?? .infinity
        if self.peak.at < said || stored >= peakBadness { (self.peak, peakBadness) = ((peak, peakAt), stored) }
        notedUntil = said
        isUncertain = uncertain
    }

    /// Back to idle: what a warm-up found was over before, by the stored advisories.
    ///
    /// - Parameter end: when that was; what has held since is then pending, as it would be without the warm-up.
    public mutating func reset(endedAt end: Timestamp? = nil) {
        let since = run
        self = Self(timing)
        guard let since, let end else { return }
        let lasted = since.onset >= end ? since.seconds : since.onset + since.seconds - end
        guard lasted > 0 else { return }
        phase = .pending
        onset = max(since.onset, end)
        onFor = lasted
        (peak, peakBadness) = (since.peak, since.peakBadness)
    }

    /// - Parameters:
    ///   - start: start of the bin.
    ///   - width: its width in seconds.
    /// - Returns: what happened at the end of the bin, in order.
    public mutating func step(_ start: Timestamp, width: Double, _ input: Input) -> [Output] {
        guard case .bin(let on, let off, let value, let badness, let now) = input else { return stepMissing(width) }
        var outputs: [Output] = []
        missingFor = 0
        if isUncertain {
            isUncertain = false
            outputs.append(.certain)
        }
        switch phase {
        case .idle, .pending:
            guard on else {
                phase = .idle
                onFor = 0
                return outputs
            }
            if phase == .idle {
                phase = .pending
                onset = start
                onFor = 0
                peakBadness = -.infinity
            }
            note(value, badness, start)
            onFor += width
            if onFor >= timing.on {
                phase = .active
                offFor = 0
                milderFor = 0
                run = nil
                severity = now
                outputs.append(.start(onset: onset, severity: now))
            }
        case .active, .clearing:
            noteRun(start, width, on, value, badness)
            if let change = follow(now, width) { outputs.append(.severity(change)) }
            guard off else {
                phase = .active
                offFor = 0
                note(value, badness, start)
                return outputs
            }
            if phase == .active {
                phase = .clearing
                clearOnset = start
                offFor = 0
            }
            offFor += width
            if offFor >= timing.off {
                phase = .idle
                onFor = 0
                outputs.append(.clear(clearOnset: clearOnset))
            }
        }
        return outputs
    }

    private mutating func stepMissing(_ width: Double) -> [Output] {
        missingFor += width
        guard missingFor > timing.gap else { return [] }
        run = nil
        switch phase {
        case .idle: return []
        case .pending:
            phase = .idle
            onFor = 0
            return []
        case .active, .clearing:
            phase = .active
            offFor = 0
            guard !isUncertain else { return [] }
            isUncertain = true
            return [.uncertain]
        }
    }

    private mutating func noteRun(_ start: Timestamp, _ width: Double, _ on: Bool, _ value: Double, _ badness: Double) {
        guard on else {
            run = nil
            return
        }
        var now = run ?? Run(onset: start, peak: (value, start), peakBadness: badness)
        now.seconds += width
        if badness > now.peakBadness { (now.peak, now.peakBadness) = ((value, start), badness) }
        run = now
    }

    private mutating func note(_ value: Double, _ badness: Double, _ start: Timestamp) {
        guard badness > peakBadness, start >= notedUntil else { return }
        peakBadness = badness
        peak = (value, start)
    }

    /// Worse at once, milder only after ``Timing/lowerAfter`` seconds: then by the worst level seen meanwhile.
    private mutating func follow(_ now: Severity, _ width: Double) -> Severity? {
        if now > severity {
            severity = now
            milderFor = 0
            return now
        }
        guard now < severity else {
            milderFor = 0
            return nil
        }
        milderSeverity = milderFor == 0 ? now : max(milderSeverity, now)
        milderFor += width
        guard milderFor >= timing.lowerAfter else { return nil }
        milderFor = 0
        severity = milderSeverity
        return severity
    }
}
