internal import GridModel

/// What one device has sent lately, and its minutes. Kept per device, because switching moves devices between feeders.
///
/// There are many: what is small stands where the one before leaves room.
struct DeviceState: Sendable {
    var signal = HeldSignal()
    /// When it said last, in finished minutes, what its kind is there for, or, if it never has, when it was heard first.
    /// Beside the signal: both are asked for each minute of each device.
    var since = Timestamp.distantPast
    /// It has said it at all.
    var isUseful = false
    /// Mean W of the newest minutes, NaN where unknown.
    var minutes = Ring<Float>(capacity: 8)
    /// Samples with voltage in a row while nothing feeds it.
    var lively: Int32 = 0
    /// Per-unit voltage of the newest minutes.
    var voltages = Ring<Float>(capacity: 60)
    /// Voltage far out in the newest minute: +1 high, -1 low.
    var extreme: Int8 = 0
    var hasVoltage = false
    private var watched = GapWatch.no
    var sign = SignWatch()
    var frozen = FrozenWatch()
    /// Voltage beyond the band of its group that has not come back yet: bit 0 high, bit 1 low.
    var outside: UInt8 = 0
    /// It has sent something wrong, and is no DER: looked at each minute.
    var isSuspect = false
    var unusable = UnusableSamples()
    /// Of the samples that came too late to count, the newest time.
    var late = Timestamp.distantPast
    var extremes = Voltage.ExtremeWatch()
    var samplesAtGapEnd = 0

    /// Apart from the rest, because it is large and nearly no device has one.
    private indirect enum GapWatch: Sendable {
        case no
        case yes(AdvisoryTracker)
    }

    var gap: AdvisoryTracker? {
        get { if case .yes(let tracker) = watched { tracker } else { nil } }
        set { watched = newValue.map { .yes($0) } ?? .no }
    }
    mutating func note(_ quality: Quality, at time: Timestamp) { unusable.note(quality, at: time) }

    var hasActiveGap: Bool { if case .yes(let tracker) = watched { tracker.isActive } else { false } }
}

/// What a finished minute is to a device. Nothing of the device is copied: there are many.
extension DeviceState {
    /// - Returns: mean W of the minute, INJ; NaN where it is not known, or known to be wrong.
    mutating func finishMinute(
        _ start: Timestamp, _ end: Timestamp, _ device: DeviceTraits, _ given: FeederState.Context.Given,
        _ variations: inout Int
    ) -> Double {
        let hold = given.settings.derHold
        let window = signal.discard(before: end)
        var power = window.bin(start, width: FeederState.minute, hold: hold, .activePower).mean
        inspect(window, start, end, device, &variations)
        if hasVoltage { binVoltage(window, start, end, device.voltageBase, given.settings.standard) }
        let charge = device.kind == .battery ? window.held(at: end, hold: hold, .stateOfCharge) : nil
        sign.step(kind: device.kind, rating: device.rating, power: power, charge: charge, end: end)
        if sign.isWrong == true || frozen.isFrozen { power = .nan }
        minutes.append(Float(power))
        return power
    }

    /// Looks at what came in the minute.
    mutating func inspect(
        _ window: SignalWindow, _ start: Timestamp, _ end: Timestamp, _ device: DeviceTraits, _ variations: inout Int
    ) {
        let samples = window.samples(from: start, until: end)
        var good = 0
        for sample in samples {
            frozen.take(sample, kind: device.kind, rating: device.rating, &variations)
            guard sample.isUseful(of: device.kind) else { continue }
            good += 1
            since = sample.time
        }
        if good > 0 {
            isUseful = true
        } else {
            noteCarry(window, device.kind)
        }
        unusable.finish(good: good, until: end)
    }

    /// Accounts for samples that came while its minutes were not being finished, and for when it was first heard.
    private mutating func noteCarry(_ window: SignalWindow, _ kind: DeviceKind) {
        if let carry = window.carry, carry.time > since, carry.isUseful(of: kind) {
            (isUseful, since) = (true, carry.time)
        } else if since == .distantPast, let sample = window.carry ?? window.samples.first {
            since = sample.time
        }
    }

    /// - Parameter base: V of 1 pu.
    mutating func binVoltage(
        _ window: SignalWindow, _ start: Timestamp, _ end: Timestamp, _ base: Double, _ standard: Voltage.Standard
    ) {
        let rms = window.bin(start, width: FeederState.minute, hold: 90, .voltage).rms
        let isKnown = base > 0 && !frozen.isFrozen
        voltages.append(Float(isKnown ? rms / base : .nan))
        guard isKnown else {
            extreme = 0
            return
        }
        extreme = extremes.take(window.samples(from: start, until: end), base, standard)
    }
}

extension Sample {
    /// Whether it says what a device of its kind is there for.
    func isUseful(of kind: DeviceKind) -> Bool {
        kind == .voltageMeter ? !voltage.isNaN : !kind.isDER || !activePower.isNaN
    }
}

/// What is asked of each device each minute: a ``Device`` has names, and costs a copy of each of them.
struct DeviceTraits: Sendable {
    var kind: DeviceKind
    /// W, and V of 1 pu.
    var rating, voltageBase: Double
}

/// Sums of a feeder's devices by their kind.
struct KindSums {
    /// W of those that report, their rating, and the rating of all.
    struct Sum {
        var power = 0.0
        var reporting = 0.0
        var total = 0.0
    }

    private var sums = [Sum](repeating: Sum(), count: DeviceKind.allCases.count)

    subscript(kind: DeviceKind) -> Sum {
        get { sums[kind.place] }
        set { sums[kind.place] = newValue }
    }
}

extension DeviceKind {
    /// Its place among all kinds.
    fileprivate var place: Int {
        switch self {
        case .photovoltaic: 0
        case .battery: 1
        case .electricVehicleCharger: 2
        case .wind: 3
        case .biomass: 4
        case .hydro: 5
        case .otherGenerator: 6
        case .feederHead: 7
        case .voltageMeter: 8
        case .switchStatus: 9
        case .regulator: 10
        case .recloser: 11
        case .transformerMeter: 12
        }
    }
}
