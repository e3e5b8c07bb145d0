internal import GridModel

/// How long a meter of the control system has said nothing, by what came before the end of each bin (B.4.1): a gap is
/// seen whether or not it is over by the time that its bins are final.
struct SilenceWatch: Sendable {
    /// Samples of finished bins so far, and as many as there were when the newest silence ended.
    private(set) var count = 0
    private(set) var countAtSilence = 0
    /// When the newest silence began: the last sample before it.
    private(set) var since = Timestamp.distantPast
    /// The newest sample of finished bins.
    private(set) var last = Timestamp.distantPast
    /// Seconds between the newest samples: how often it usually speaks.
    private var spacings = Ring<Float>(capacity: 5)

    /// Seconds without a word that are too many: `setting`, or, of one that speaks seldom, as much beyond the time of its
    /// next sample, at most three of its intervals.
    ///
    /// - Parameter interval: s, of its means; 0 instantaneous.
    func limit(_ setting: Double, interval: Double) -> Double {
        let known = spacings.newest(5).sorted()
        let usual = max(known.isEmpty ? 0 : Double(known[known.count / 2]), interval)
        return max(setting, min(3 * usual, usual + setting))
    }

    /// A bin that ends at `end`, with its samples that say something.
    ///
    /// - Parameters:
    ///   - carry: the newest sample before the bin, for the first bin after a jump.
    ///   - heard: when its first word came, if none said anything yet; `distantPast`: it has not spoken.
    /// - Returns: the longest silence that lasted into the bin or in it, s; and whether it was too long.
    mutating func step(
        _ samples: some Sequence<Timestamp>, carry: Timestamp, heard: Timestamp, end: Timestamp, setting: Double,
        interval: Double
    ) -> (longest: Double, isTooLong: Bool) {
        last = max(last, carry)
        var (longest, isTooLong) = (0.0, false)
        func look(_ from: Timestamp, _ until: Timestamp) -> Bool {
            let silent = until - from
            longest = max(longest, silent)
            // The setting is the least; what is usual is only asked for beyond it.
            return silent > setting && silent > limit(setting, interval: interval)
        }
        for time in samples {
            let before = last == .distantPast ? heard : last
            if before != .distantPast, time > before {
                if look(before, time) {
                    (isTooLong, since, countAtSilence) = (true, before, count)
                }
                if last != .distantPast { spacings.append(Float(time - last)) }
            }
            count += 1
            last = max(last, time)
        }
        let before = last == .distantPast ? heard : last
        if before != .distantPast, look(before, end) {
            (isTooLong, since, countAtSilence) = (true, before, count)
        }
        return (longest, isTooLong)
    }
}
