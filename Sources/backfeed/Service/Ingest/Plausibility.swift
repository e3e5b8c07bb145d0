internal import GridModel
internal import Messaging

/// `domain-rules.md` A.6: what is physically possible for a device.
struct Plausibility {
    /// Largest absolute W, or var, of the whole and of each phase; infinite where no rating is known.
    let maximumPower: Double
    /// V; 0 unknown.
    let voltageBase: Double
    /// V below which a meter that measures in volts says that nothing is live.
    let deadVoltage: Double
    /// V: what a meter that sends kilovolts gives at the most. 0: the base is not known.
    private let thousandth: Double
    /// V of the low side of a transformer: a customer's own, or one that voltage is measured by. Empty at low voltage.
    private let lowSide: Range<Double>
    /// W that flow only where there is voltage; infinite where no rating is known.
    private let flowing: Double
    private let frequencies: ClosedRange<Double>

    /// - Parameters:
    ///   - meterFactor: largest power of heads, line and transformer meters, in ratings of what they measure.
    ///   - nominalFrequency: Hz.
    init(_ device: Device, meterFactor: Double, nominalFrequency: Double) {
        let isRated = device.rating > 0
        maximumPower =
            !isRated
            ? .infinity : device.kind.isDER ? 1.2 * device.rating + 1000 : max(1, meterFactor) * device.rating
        voltageBase = device.voltageBase
        deadVoltage = 0.1 * device.voltageBase
        thousandth = 0.002 * device.voltageBase
        lowSide = device.voltageBase > 1000 ? 50..<max(50, min(1000, 0.1 * device.voltageBase)) : 0..<0
        flowing = isRated ? 0.02 * device.rating : .infinity
        frequencies = 0.8 * nominalFrequency...1.2 * nominalFrequency
    }

    /// NaN, absent, is not excluded.
    @inline(__always)
    func excludes(_ sample: TelemetrySample, power: Double, voltage: Double) -> Bool {
        if abs(power) > maximumPower { return true }
        if voltageBase > 0, voltage < 0 || voltage > 2 * voltageBase { return true }
        let charge = sample[.stateOfCharge]
        if charge < 0 || charge > 100 { return true }
        let frequency = sample[.frequency]
        if frequency < frequencies.lowerBound || frequency > frequencies.upperBound { return true }
        return sample.hasRareQuantities && excludesAPhase(sample)
    }

    /// A mean of three hides what one of them cannot be.
    private func excludesAPhase(_ sample: TelemetrySample) -> Bool {
        for phase in [Quantity.activePowerA, .activePowerB, .activePowerC] where abs(sample[phase]) > maximumPower {
            return true
        }
        guard voltageBase > 0 else { return false }
        return [Quantity.voltageA, .voltageB, .voltageC].contains {
            sample[$0] < 0 || sample[$0] > 2 * voltageBase
        }
    }

    /// About a thousandth of nominal, kilovolts for volts; or a low voltage at a higher one's node, measured behind a
    /// transformer: or nothing is live.
    @inline(__always)
    func isFarTooSmall(_ voltage: Double) -> Bool {
        voltage <= thousandth && voltage >= thousandth / 4 && voltage > 0 || lowSide.contains(voltage)
    }

    /// Whether a voltage near zero is a wrong unit rather than a dead line, for a device that has never shown another
    /// voltage: where power flows there is voltage. A head that is dead at the start must be seen as dead; of other devices
    /// nothing is known until they show a voltage.
    func isWrongUnit(power: Double, isHead: Bool) -> Bool { !isHead || abs(power) > flowing }
}

extension TelemetrySample {
    /// W: the total as sent, or the sum when all three phases are there: a missing phase is never taken as zero.
    @inline(__always)
    var totalPower: Double { total(.activePower, .activePowerA, .activePowerB, .activePowerC) }
    @inline(__always)
    var totalReactive: Double { total(.reactivePower, .reactivePowerA, .reactivePowerB, .reactivePowerC) }

    @inline(__always)
    private func total(_ whole: Quantity, _ a: Quantity, _ b: Quantity, _ c: Quantity) -> Double {
        has(whole) || !hasRareQuantities ? self[whole] : self[a] + self[b] + self[c]
    }

    /// Of three phases; NaN unless all three are there.
    @inline(__always)
    var leastPhasePower: Double {
        hasRareQuantities
            ? PhaseMeasures.least(self[.activePowerA], self[.activePowerB], self[.activePowerC]) : .nan
    }

    /// - Parameter base: V of 1 pu: line-line above 1 kV, phase-neutral below.
    @inline(__always)
    func unbalance(base: Double) -> Double {
        hasRareQuantities
            ? PhaseMeasures.unbalance(
                self[.voltageA], self[.voltageB], self[.voltageC], betweenLines: base > 1000) : .nan
    }

    /// A: as sent, or the mean of three phases where all three are there.
    @inline(__always)
    var meanCurrent: Double {
        has(.current) || !hasRareQuantities
            ? self[.current] : (self[.currentA] + self[.currentB] + self[.currentC]) / 3
    }

    /// V: as sent, or the mean of the phases that are there.
    @inline(__always)
    var meanVoltage: Double {
        guard !has(.voltage), hasRareQuantities else { return self[.voltage] }
        var (sum, count) = (0.0, 0.0)
        for phase in [Quantity.voltageA, .voltageB, .voltageC] where has(phase) {
            sum += self[phase]
            count += 1
        }
        return sum / count
    }
}
