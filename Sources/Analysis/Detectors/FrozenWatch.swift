internal import GridModel

/// Whether a meter repeats one value although what it measures cannot stand still (`domain-rules.md` B.4.3).
///
/// Fed with samples in time order. Values that may stand still are not judged: nothing flows; an inverter at its limit;
/// chargers and batteries that keep a set power, unless their voltage stands still, too.
struct FrozenWatch: Sendable, Equatable {
    /// Samples and seconds without any change, and changes of its neighbours meanwhile: when nothing moves, nothing has
    /// to. Voltage meters need fewer seconds.
    static let samples = 20
    static let powerSeconds = 900.0
    static let voltageSeconds = 600.0
    /// Shares of the rating: nothing flows below, an inverter may be at its limit above.
    static let nothing = 0.001
    static let limited = 0.98

    /// Since when the value stands.
    private(set) var since = Timestamp.distantPast
    private var neighboursThen = 0
    private var value = Float.nan
    private var voltage = Float.nan
    private var count: Int32 = 0
    private var changes: Int32 = 0
    private(set) var isFrozen = false

    /// After a restart: by the store it stood still, and nothing that came since says otherwise.
    mutating func restore() { if value.isNaN { isFrozen = true } }

    /// - Parameter variations: changes of all devices of the feeder so far; its own are added.
    mutating func take(_ sample: Sample, kind: DeviceKind, rating: Double, _ variations: inout Int) {
        let isVoltmeter = kind == .voltageMeter
        let now = isVoltmeter ? sample.voltage : sample.activePower
        guard !now.isNaN else { return }
        if now == value, sample.voltage == voltage || sample.voltage.isNaN && voltage.isNaN || !kind.needsVoltage {
            count += 1
            let enough = isVoltmeter ? Self.voltageSeconds : Self.powerSeconds
            if count >= Self.samples, sample.time - since >= enough, variations - neighboursThen >= Self.samples,
                mayNotStand(Double(now), sample, kind, rating)
            {
                isFrozen = true
            }
            return
        }
        variations += 1
        (value, voltage, since, count, neighboursThen) = (now, sample.voltage, sample.time, 1, variations)
        guard isFrozen else { return }
        changes += 1
        if changes >= 2 { (isFrozen, changes) = (false, 0) }
    }

    private func mayNotStand(_ power: Double, _ sample: Sample, _ kind: DeviceKind, _ rating: Double) -> Bool {
        switch kind {
        case .voltageMeter: return power > 0
        case .feederHead, .photovoltaic, .wind, .hydro:
            guard rating > 0 else { return power != 0 }
            return abs(power) > Self.nothing * rating && (kind == .feederHead || power < Self.limited * rating)
        case .battery, .electricVehicleCharger, .biomass, .otherGenerator: return !sample.voltage.isNaN
        case .regulator, .recloser, .transformerMeter: return abs(power) > Self.nothing * rating
        case .switchStatus: return false
        }
    }
}

extension DeviceKind {
    /// Its power may stand still by itself: only a voltage that does, too, tells.
    fileprivate var needsVoltage: Bool {
        switch self {
        case .battery, .electricVehicleCharger, .biomass, .otherGenerator: true
        default: false
        }
    }
}
