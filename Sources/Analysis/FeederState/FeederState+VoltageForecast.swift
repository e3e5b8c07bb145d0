internal import GridModel

/// Where the sun will lift the voltage too far within the hour (`domain-rules.md` B.5).
extension FeederState {
    private struct Expectation {
        var place: String
        var seconds, voltage, limit: Double
        var isLegal: Bool
        /// pu per W of the place's DER, and what they are expected to give more, W.
        var sensitivity, more: Double
        /// How far it is over its limit, pu; negative: under it.
        var over: Double { voltage - limit }
    }

    /// pu by which it must be under the limit again.
    private static let deadband = 0.005

    mutating func stepVoltageForecast(
        _ run: ForecastRun?, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        var input = expired(voltageExpectedAt, end)
        var worst: Expectation?
        if let run {
            let known = groups.filter { !$0.high.isActive }.compactMap { expect($0, run, end, devices, context) }
            worst = known.max { ($0.isLegal ? 1 : 0, $0.over) < ($1.isLegal ? 1 : 0, $1.over) }
            if let worst {
                input = .bin(
                    on: worst.over > 0, off: worst.over < -Self.deadband, value: worst.voltage, badness: worst.over,
                    severity: worst.isLegal ? .medium : .note)
                if worst.over > -Self.deadband { voltageExpectedAt = end + worst.seconds }
            }
        }
        let isMeasured = groups.contains { $0.high.isActive }
        // What is measured is no forecast any more.
        if isMeasured, worst == nil { input = .bin(on: false, off: true, value: .nan, badness: 0, severity: .note) }
        var tracker = voltageForecast
        defer { voltageForecast = tracker }
        return tracker.step(
            end - ForecastRun.cadence, width: ForecastRun.cadence, input, unit: "pu", watermark: end
        ) { facts in
            facts.detector = "FC_VHIGH"
            facts.confidence = .low
            facts.contributors = contributors(context)
            facts.evidence = evidence(unit: "pu", bins: 180, end, context, steps: 1e5) { $0.voltage }
            if let worst {
                facts.limit = .init(
                    value: worst.limit, unit: "pu",
                    source: "B.5: expected above the \(worst.isLegal ? "legal" : "warning") band of B.2.1")
                facts.evidence.notes["in_min"] = worst.seconds / 60
                facts.evidence.notes["expected_pu"] = (worst.voltage * 1e5).rounded() / 1e5
                facts.evidence.notes["more_w"] = worst.more.rounded()
                facts.evidence.notes["pu_per_mw"] = (worst.sensitivity * 1e6 * 1e5).rounded() / 1e5
            }
            if facts.clearedAt != nil {
                facts.message =
                    isMeasured
                    ? "Feeder \(id): the voltage is high now, as was expected."
                    : "Feeder \(id): the voltage is not expected to become high within the hour any more."
            } else if let worst {
                facts.message =
                    "Feeder \(id): the voltage at \(worst.place) will probably reach \(Words.decimal(worst.voltage, 3)) pu by "
                    + "\(Words.clock(end + worst.seconds)) (in \(Words.decimal(worst.seconds / 60, 0)) min), above "
                    + "\(Words.decimal(worst.limit, 3)) pu: its DER are expected to give \(Words.power(worst.more)) more."
            }
            facts.response = "No action yet. Lower the tap or have vars absorbed in time if it goes on."
        }
    }

    /// The worst of the next hour at one place; `nil`: what its DER do to its voltage is not known.
    private func expect(
        _ group: VoltageGroup, _ run: ForecastRun, _ end: Timestamp, _ devices: [DeviceState], _ context: Context
    ) -> Expectation? {
        let registry = context.model.registry
        func photovoltaics(_ numbers: [Int]) -> Double {
            numbers.reduce(0) { $0 + (registry.devices[$1].kind == .photovoltaic ? registry.devices[$1].rating : 0) }
        }
        let (here, all) = (photovoltaics(group.ders), photovoltaics(ders))
        let recent = minutes.newest(5).map(\.fleet.photovoltaic)
        guard here > 0, all > 0, !recent.isEmpty else { return nil }
        let now = recent.reduce(0, +) / Double(recent.count)
        var highest: (device: Int, ten: Double)?
        for number in group.points {
            if let ten = Voltage.tenMinute(devices[number].voltages.newest(10)), ten > highest?.ten ?? -.infinity {
                highest = (number, ten)
            }
        }
        guard let highest, let sensitivity = lift(group, devices[highest.device]) else { return nil }
        let horizons = run.horizons.map { horizon -> Expectation in
            let more = (Double(horizon.photovoltaic) - now) * here / all
            return Expectation(
                place: group.id, seconds: horizon.seconds, voltage: highest.ten + sensitivity * more,
                limit: group.bands.warnHigh, isLegal: false, sensitivity: sensitivity, more: more)
        }
        guard var worst = horizons.max(by: { $0.voltage < $1.voltage }) else { return nil }
        // The legal band where that will be broken, and the first time that it will.
        let isLegal = worst.voltage > group.bands.high
        let limit = isLegal ? group.bands.high : group.bands.warnHigh
        worst = horizons.first { $0.voltage > limit } ?? worst
        (worst.limit, worst.isLegal) = (limit, isLegal)
        return worst
    }

    /// pu per W: how the place's voltage above the busbar went with its DER in the last hour. `nil` unless these moved by
    /// a tenth of their rating and the voltage went with them.
    private func lift(_ group: VoltageGroup, _ device: DeviceState) -> Double? {
        let voltages = device.voltages.newest(60).map(Double.init)
        let power = group.power.newest(60).map(Double.init)
        let sources = minutes.newest(60).map(\.sourceVoltage)
        let count = min(voltages.count, power.count, sources.count)
        var (x, y): ([Double], [Double]) = ([], [])
        for back in (1...max(1, count)).reversed() where back <= count {
            let rise = voltages[voltages.count - back] - sources[sources.count - back]
            guard !rise.isNaN else { continue }
            x.append(power[power.count - back])
            y.append(rise)
        }
        guard x.count >= 30, let low = x.min(), let high = x.max(), high - low >= 0.1 * group.rating,
            let correlation = VoltageAttribution.correlation(x, y), correlation >= 0.8,
            let slope = Slope.theilSen(x, y), slope > 0
        else { return nil }
        return slope
    }
}
