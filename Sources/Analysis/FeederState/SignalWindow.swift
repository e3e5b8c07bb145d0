public import GridModel

/// The samples of a ``HeldSignal``, as they stood when it was asked.
public struct SignalWindow: Sendable {
    /// The newest sample before the others: what it says may hold into their time.
    let carry: Sample?
    /// Sorted by time.
    let samples: [Sample]

    public struct Bin: Sendable {
        /// Time-weighted mean over the covered part; NaN below half coverage.
        public var mean = Double.nan
        /// Root of the time-weighted mean square, likewise.
        public var rms = Double.nan
        public var coverage = 0.0
        public var usable = false
    }

    /// The bin [start, start + width).
    public func bin(_ start: Timestamp, width: Double, hold: Double, _ measure: HeldSignal.Measure) -> Bin {
        let from = start.microseconds
        let to = from + Int64(width * 1e6)
        let holding = Int64(hold * 1e6)
        var (covered, sum, squares) = (Int64(0), 0.0, 0.0)
        var usable = false
        // An interval mean speaks for itself; two overlapping ones share no time because `until` moves on.
        var until = from
        func add(_ sample: Sample, _ next: Int64?) {
            let value = sample.value(of: measure)
            guard !value.isNaN else { return }
            let time = sample.time.microseconds
            var (a, b): (Int64, Int64)
            if sample.interval > 0 {
                (a, b) = (time - Int64(Double(sample.interval) * 1e6), time)
            } else {
                (a, b) = (time, min(time + holding, next ?? .max))
            }
            a = max(a, until)
            b = min(b, to)
            guard b > a else { return }
            until = b
            covered += b - a
            sum += Double(value) * Double(b - a)
            squares += Double(value) * Double(value) * Double(b - a)
            if sample.quality.grade == .usable { usable = true }
        }
        // One pass: a value holds until the next sample that carries one.
        var previous: Sample?
        if let carry, !carry.value(of: measure).isNaN { previous = carry }
        for sample in samples where !sample.value(of: measure).isNaN {
            if let previous { add(previous, sample.time.microseconds) }
            previous = sample
            if sample.interval == 0, sample.time.microseconds >= to { break }
        }
        if let previous { add(previous, nil) }
        var bin = Bin()
        bin.coverage = Double(covered) / Double(to - from)
        bin.usable = usable
        if covered > 0, bin.coverage >= 0.5 {
            bin.mean = sum / Double(covered)
            bin.rms = (squares / Double(covered)).squareRoot()
        }
        return bin
    }

    /// What was measured in [start, end), oldest first.
    public func samples(from start: Timestamp, until end: Timestamp) -> ArraySlice<Sample> {
        let first = samples.firstIndex { $0.time >= start } ?? samples.count
        var last = first
        while last < samples.count, samples[last].time < end { last += 1 }
        return samples[first..<last]
    }

    /// How many were measured at `start` or later.
    public func count(from start: Timestamp) -> Int { samples.reversed().prefix { $0.time >= start }.count }

    /// The newest instantaneous value at `time`, not older than `hold` seconds.
    public func held(at time: Timestamp, hold: Double, _ measure: HeldSignal.Measure) -> Double? {
        var best: Sample?
        if let carry, !carry.value(of: measure).isNaN { best = carry }
        for sample in samples where !sample.value(of: measure).isNaN {
            if sample.interval > 0 {
                let from = sample.time - Double(sample.interval)
                if from < time, sample.time >= time { return Double(sample.value(of: measure)) }
            }
            if sample.time <= time { best = sample } else { break }
        }
        guard let best, time - best.time <= hold else { return nil }
        return Double(best.value(of: measure))
    }
}

extension Sample {
    func value(of measure: HeldSignal.Measure) -> Float {
        switch measure {
        case .activePower: activePower
        case .reactivePower: reactivePower
        case .voltage: voltage
        case .stateOfCharge: stateOfCharge
        case .leastPhasePower: leastPhasePower
        case .unbalance: unbalance
        }
    }
}
