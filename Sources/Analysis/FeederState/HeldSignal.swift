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
    public private(set) var last = Timestamp.distantPast
    /// Samples that were taken so far, and those of them that are held.
    public private(set) var count = 0
    public var held: Int { packed.count }
    /// Bytes that those take.
    package var heldBytes: Int { packed.codedBytes }

    public init() {}

    /// Inserts in time order. A second sample of the same time is dropped: the first counts.
    /// - Returns: whether it was taken.
    @discardableResult
    public mutating func insert(_ sample: Sample) -> Bool {
        // Nearly always the newest; then nothing is read of the samples before.
        if sample.time > last {
            packed.append(sample)
            last = sample.time
            count += 1
            return true
        }
        if let carry = packed.carry, carry.time >= sample.time { return false }
        let samples = packed.all
        var place = samples.count
        while place > 0, samples[place - 1].time > sample.time { place -= 1 }
        if place > 0, samples[place - 1].time == sample.time { return false }
        packed.insert(sample, at: place)
        count += 1
        return true
    }

    /// The samples, to be looked at: made anew each time, so ask once for all that is asked of it.
    public var window: SignalWindow { SignalWindow(carry: packed.carry, samples: packed.all) }

    /// Drops what no bin from `time` on needs.
    /// - Returns: the window as it was.
    @discardableResult
    public mutating func discard(before time: Timestamp) -> SignalWindow {
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
