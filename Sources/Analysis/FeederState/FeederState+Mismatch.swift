internal import GridModel

/// Devices that contradict the network as it is thought to be switched (`domain-rules.md` B.4.8).
extension FeederState {
    /// pu above which something is live.
    private static let live: Float = 0.5
    /// Devices without voltage on a live feeder that are no broken meters.
    private static let severalDead = 3

    /// Of the devices that nothing feeds, those that show voltage. Their samples go no further.
    func aliveInTheDark(
        _ start: Timestamp, _ end: Timestamp, _ devices: inout [DeviceState], _ context: Context
    ) -> [Int] {
        darkDevices.filter { number in
            let base = Double(context.model.registry.devices[number].voltageBase)
            let window = devices[number].signal.discard(before: end)
            let samples = window.samples(from: start, until: end).filter { !$0.voltage.isNaN }
            if samples.contains(where: { base <= 0 || Double($0.voltage) <= Double(Self.live) * base }) {
                devices[number].lively = 0
            }
            devices[number].lively = Int32(clamping: Int(devices[number].lively) + samples.count)
            return devices[number].lively >= 2
        }
    }

    mutating func stepMismatch(
        _ start: Timestamp, _ end: Timestamp, _ alive: [Int], _ devices: [DeviceState], _ context: Context
    ) -> [AdvisoryReport] {
        let registry = context.model.registry
        var dead: [Int] = []
        var isUnknown = false
        if !isOut, !outage.isActive {
            for place in groups.indices {
                for number in groups[place].points where devices[number].voltages.last ?? .nan < Float(Voltage.dead) {
                    dead.append(number)
                }
            }
        }
        if dead.count < Self.severalDead { dead = [] }
        let isFound = !alive.isEmpty || !dead.isEmpty
        if !dead.isEmpty { withoutVoltage = dead }
        guard isFound || mismatch.isActive else {
            withoutVoltage = []
            return []
        }
        // Those that were without voltage and say nothing now have not got it back.
        if !isFound, !isOut {
            isUnknown = withoutVoltage.contains { devices[$0].voltages.last.map(\.isNaN) ?? true }
        }
        let named = (alive + dead).sorted()
        func list(_ numbers: [Int]) -> String {
            let names = numbers.sorted().prefix(3).map { registry.devices[$0].name }.joined(separator: ", ")
            return names + (numbers.count > 3 ? " and \(numbers.count - 3) more" : "")
        }
        var tracker = mismatch
        defer { mismatch = tracker }
        return tracker.step(
            start, width: Self.minute,
            isUnknown
                ? .missing
                : .bin(
                    on: isFound, off: !isFound, value: Double(named.count), badness: Double(named.count),
                    severity: alive.isEmpty ? .high : .urgent),
            unit: "devices", watermark: end
        ) { facts in
            facts.detector = "DQ_TOPO"
            facts.limit = .init(value: Double(Self.live), unit: "pu", source: "B.4.8: live above, dead below 0.1 pu")
            facts.contributors = named.prefix(10).map {
                .init(
                    device: registry.devices[$0].name, kind: registry.devices[$0].kind,
                    activePowerW: context.injection(of: $0).rounded(), share: 0)
            }
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            var says: [String] = []
            if !alive.isEmpty { says.append("\(list(alive)) show voltage where the network is dead as switched") }
            if !dead.isEmpty { says.append("\(list(dead)) have no voltage where it is live as switched") }
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): topology mismatch suspected: \(says.joined(separator: "; "))."
                : "Feeder \(id): devices fit the switch positions again."
            facts.response =
                alive.isEmpty
                ? "Do not rely on this feeder's model for switching. Check switch positions and where the devices are."
                : "Treat the section as live. Stop work there; find what feeds it before anything else."
        }
    }
}
