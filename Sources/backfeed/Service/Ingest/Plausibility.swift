internal import GridModel
internal import Messaging

/// `domain-rules.md` A.6: what is physically possible for a device.
struct Plausibility {
    /// Largest absolute W; infinite where none is known.
    let maximumPower: Double
    /// V; 0 unknown.
    let voltageBase: Double

    init(_ device: Device) {
        maximumPower = device.kind.isDER && device.rating > 0 ? 1.2 * device.rating + 1000 : .infinity
        voltageBase = device.voltageBase
    }

    /// NaN, absent, is not excluded.
    @inline(__always)
    func excludes(_ sample: TelemetrySample, power: Double, voltage: Double) -> Bool {
        if abs(power) > maximumPower { return true }
        if voltageBase > 0, voltage < 0 || voltage > 2 * voltageBase { return true }
        let charge = sample[.stateOfCharge]
        if charge < 0 || charge > 100 { return true }
        let frequency = sample[.frequency]
        return frequency < 40 || frequency > 72
    }
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
