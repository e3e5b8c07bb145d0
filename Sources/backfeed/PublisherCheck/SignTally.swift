internal import Analysis
internal import GridModel

/// Whether a device counts its power the right way round, as far as a short listening tells: the same rules as
/// ``SignWatch``, over whatever time was heard.
struct SignTally {
    enum Verdict { case right, wrong, unknown }

    private var (sum, count) = (0.0, 0)
    private var (lowest, highest) = (Double.infinity, -Double.infinity)
    private var charges: [(time: Timestamp, charge: Double, power: Double)] = []

    mutating func add(_ time: Timestamp, power: Double, charge: Double) {
        if !power.isNaN {
            sum += power
            count += 1
            lowest = min(lowest, power)
            highest = max(highest, power)
        }
        if !charge.isNaN, !power.isNaN, charges.count < 100_000 { charges.append((time, charge, power)) }
    }

    func verdict(_ kind: DeviceKind, rating: Double) -> Verdict {
        guard count >= 3, rating > 0 else { return .unknown }
        let mean = sum / Double(count)
        let quiet = SignWatch.quiet * rating
        switch kind {
        case .photovoltaic:
            if mean < -quiet, highest <= quiet { return .wrong }
            return mean > quiet ? .right : .unknown
        case .electricVehicleCharger:
            if mean > quiet, lowest >= -quiet { return .wrong }
            return mean < -quiet ? .right : .unknown
        case .battery: return battery(rating)
        default: return .unknown
        }
    }

    /// The longest stretch in one direction, and which way the charge went in it.
    private func battery(_ rating: Double) -> Verdict {
        var best = (step: 0.0, verdict: Verdict.unknown)
        var start: (direction: Double, charge: Double)?
        for item in charges.sorted(by: { $0.time < $1.time }) {
            let direction = abs(item.power) > SignWatch.batteryQuiet * rating ? (item.power < 0 ? -1.0 : 1.0) : 0
            guard direction != 0, direction == start?.direction, let open = start else {
                start = direction == 0 ? nil : (direction, item.charge)
                continue
            }
            let step = item.charge - open.charge
            // Giving must empty it.
            if abs(step) > max(best.step, 0.4) { best = (abs(step), step * direction > 0 ? .wrong : .right) }
        }
        return best.verdict
    }
}
