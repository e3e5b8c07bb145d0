internal import GridModel

/// Samples of a device that are stored and never used: because of its clock, its range, or the flags of its source.
struct UnusableSamples: Sendable {
    var clock = FlagWatch()
    var range = FlagWatch()
    /// All other flags, which its source has set.
    var other = FlagWatch()
    /// Nothing is against it, and nothing waits: of nearly all devices there is nothing to do each minute.
    private var isSound = false
    /// The newest, and what was against it: it is not silent, it is wrong.
    private(set) var last = Timestamp.distantPast
    private(set) var quality: Quality = []
    /// Samples of minutes that are not finished: one for each minute and quality.
    private var waiting: [(time: Timestamp, quality: Quality)] = []
    /// A device whose minutes nobody finishes keeps no more.
    private static let mostWaiting = 256

    /// Flags that make a sample unusable and that its source sets.
    private static let sourceFlags: Quality = [.invalid, .old, .frozen, .test, .signSuspect, .inconsistent]

    mutating func note(_ quality: Quality, at time: Timestamp) {
        isSound = false
        last = max(last, time)
        self.quality = quality
        if let newest = waiting.last, newest.quality == quality,
            newest.time.floored(toSeconds: 60) == time.floored(toSeconds: 60)
        {
            return
        }
        if waiting.count == Self.mostWaiting { waiting.removeFirst() }
        waiting.append((time, quality))
    }

    /// - Parameter good: samples of the minute that ends at `end` which say something.
    mutating func finish(good: Int, until end: Timestamp) {
        if good > 0 ? isSound : waiting.isEmpty { return }
        var counts = (clock: 0, range: 0, other: 0)
        if !waiting.isEmpty {
            waiting.removeAll { item in
                guard item.time < end else { return false }
                if item.quality.contains(.clockSuspect) { counts.clock += 1 }
                if item.quality.contains(.outOfRange) { counts.range += 1 }
                if !item.quality.isDisjoint(with: Self.sourceFlags) { counts.other += 1 }
                return true
            }
        }
        clock.step(flagged: counts.clock, good: good)
        range.step(flagged: counts.range, good: good)
        other.step(flagged: counts.other, good: good)
        isSound = good > 0 && waiting.isEmpty
    }

    /// The words of what was against the newest.
    var words: String {
        let bits = quality.subtracting([.late, .estimated, .substituted, .questionable, .signUnverified]).rawValue
        return Quality.names.enumerated().filter { bits & 1 << UInt16($0.offset) != 0 }.map(\.element)
            .joined(separator: ", ")
    }
}

/// Whether a device has sent nothing but samples with one flag (A.6, A.7) for a while.
struct FlagWatch: Sendable, Equatable {
    /// Minutes in a row that had flagged samples and no good ones.
    static let minutes: Int8 = 3

    private(set) var isOn = false
    private var run: Int8 = 0
    private var hasJudged = false

    mutating func step(flagged: Int, good: Int) {
        if good > 0 {
            (isOn, run, hasJudged) = (false, 0, true)
        } else if flagged > 0 {
            hasJudged = true
            run = min(run + 1, Self.minutes)
            if run == Self.minutes { isOn = true }
        }
    }

    /// After a restart: by the store it was on, and nothing good has come since.
    mutating func restore() { if !hasJudged || run > 0 { isOn = true } }
}
