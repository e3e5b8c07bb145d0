public import GridModel

/// Samples of one device on their way into bins (`domain-rules.md` A.8): zero-order hold for instantaneous values,
/// the interval itself for means, never a straight line across a gap.
public struct HeldSignal: Sendable {
    /// Which value of a sample is binned.
    public enum Measure: Sendable {
        case activePower, reactivePower, voltage, stateOfCharge, leastPhasePower, unbalance
    }

    /// What lies before the last finished bin is dropped but for one carried sample.
    private var packed = PackedSamples()
    /// What came behind a later one, in the order of its arrival: put into place together. One by one, each would have
    /// all others looked at, and a flood of them would hold up every feeder.
    private var strays: [Sample] = []
    private var settled = 0
    public private(set) var last = Timestamp.distantPast
    /// Samples that were taken so far; a second one of the same time is none.
    public var count: Int { strays.isEmpty ? settled : settled + merged.count - packed.count }
    /// How many are held, second ones that are not told apart yet among them.
    public var held: Int { packed.count + strays.count }
    /// Bytes that those take which are in place.
    package var heldBytes: Int { packed.codedBytes }

    public init() {}

    /// Inserts in time order. A second sample of the same time is dropped: the first counts.
    public mutating func insert(_ sample: Sample) {
        // Nearly always the newest; then nothing is read of the samples before.
        if sample.time > last {
            packed.append(sample)
            last = sample.time
            settled += 1
            return
        }
        // A fleet that says everything twice is told apart at once.
        if sample.time == last { return }
        if let carry = packed.carry, carry.time >= sample.time { return }
        strays.append(sample)
        if strays.count > 4 + packed.count / 4 { settle() }
    }

    private mutating func settle() {
        guard !strays.isEmpty else { return }
        let samples = merged
        settled += samples.count - packed.count
        packed.replaceAll(with: samples)
        strays = []
    }

    /// All that are held, in time order, the first of each time.
    private var merged: [Sample] {
        var samples = packed.all
        guard !strays.isEmpty else { return samples }
        samples += strays
        // Stable: what is in place came before.
        samples.sort { $0.time < $1.time }
        var newest = Timestamp.distantPast
        samples.removeAll { sample in
            defer { newest = sample.time }
            return sample.time == newest
        }
        return samples
    }

    /// The samples, to be looked at: made anew each time, so ask once for all that is asked of it.
    public var window: SignalWindow { SignalWindow(carry: packed.carry, samples: merged) }

    /// Drops what no bin from `time` on needs.
    /// - Returns: the window as it was.
    @discardableResult
    public mutating func discard(before time: Timestamp) -> SignalWindow {
        settle()
        let carry = packed.carry
        return SignalWindow(carry: carry, samples: packed.removeAll(before: time))
    }

    /// As ``SignalWindow/bin(_:width:hold:_:)``.
    public func bin(_ start: Timestamp, width: Double, hold: Double, _ measure: Measure) -> SignalWindow.Bin {
        window.bin(start, width: width, hold: hold, measure)
    }

    /// As ``SignalWindow/held(at:hold:_:)``.
    public func held(at time: Timestamp, hold: Double, _ measure: Measure) -> Double? {
        window.held(at: time, hold: hold, measure)
    }
}
