import Analysis
import GridModel
import TestSupport
import Testing

/// For any samples and any restarts, what is open is what an undisturbed run has open.
@Suite struct RestartTests {
    static let network = LineDeviceTests.network(.bidirectional)
    static let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
    static let start = Timestamp("2026-06-21T08:00:00Z") ?? .distantPast

    static func analyser() -> Analyser {
        Analyser(
            model: AnalysisModel(network: Self.network, registry: Self.registry, revision: 1),
            settings: AnalysisSettings())
    }

    /// Four hours of heads, PV and a meter that wander, jump, stand still and fall silent.
    static func recording(_ random: inout SplitMix) -> [Sample] {
        var levels: [Int32: Float] = [:]
        var silentUntil: [Int32: Int] = [:]
        var list: [Sample] = []
        var tap: Float = 0
        let names = [
            "FH-F1", "FH-F2", "FH-F3", "pv-1", "pv-2", "pv-3", "pv-4", "VM-LV2", "RG-R1", "RC-S-mid", "TM-TL", "TM-T",
        ]
        let numbers = names.compactMap { Self.registry.index[$0] }
        for second in stride(from: 0, to: 14_400, by: 10) {
            for number in numbers {
                let device = Self.registry.devices[Int(number)]
                if device.kind != .feederHead, second % 60 != 0 { continue }
                let isLine = [.regulator, .recloser, .transformerMeter].contains(device.kind)
                if random.next() % 400 == 0 { silentUntil[number] = second + Int(random.next() % 1500) }
                if second < silentUntil[number] ?? 0 { continue }
                let isMeter = device.kind == .voltageMeter
                var level = levels[number] ?? (isMeter ? 1.04 : 0.1)
                if random.next() % (device.kind == .feederHead ? 120 : 40) == 0 {
                    level = isMeter ? 0.96 + Float(random.unit()) * 0.24 : Float(random.unit()) * 1.4 - 0.5
                }
                levels[number] = level
                if device.kind == .regulator, random.next() % 6 == 0 {
                    tap += random.next() % 3 == 0 ? -1 : 1
                    tap = max(-16, min(16, tap))
                }
                let wobble = random.next() % 7 == 0 ? 0 : Float(random.unit()) * 0.004
                let rating = Float(device.rating)
                list.append(
                    Sample(
                        device: number, time: Self.start + Double(second),
                        activePower: isMeter
                            ? .nan
                            : device.kind.isDER
                                ? max(0, level + wobble) * rating : (level + wobble) * rating * (isLine ? 1.2 : 1),
                        voltage: isMeter || device.kind == .feederHead
                            ? Float(device.voltageBase) * (isMeter ? level + wobble : 1.01 + wobble) : .nan,
                        tapPosition: device.kind == .regulator ? tap : .nan,
                        quality: random.next() % 50 == 0 ? .clockSuspect : []))
            }
        }
        return list
    }

    @Test(arguments: 1...100) func whatIsOpenDoesNotDependOnRestarts(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let all = Self.recording(&random)
        var undisturbed = Self.analyser()
        let whole = undisturbed.absorb(all)
        let expected = whole.reports

        var running = Self.analyser()
        var reports: [AdvisoryReport] = []
        var runs: [ForecastRun] = []
        var from = 0
        for _ in 0..<3 {
            let cut = from + Int(random.next() % UInt64(max(1, all.count - from)))
            var said = running.absorb(all[from..<cut])
            reports += said.reports
            runs += said.forecasts
            var latest: [String: AdvisoryFacts] = [:]
            for report in reports { latest["\(report.facts.kind)|\(report.facts.element)"] = report.facts }
            var next = Self.analyser()
            next.restore(positions: running.positions, latest: Array(latest.values))
            let reached = running.positions.filter { !$0.key.hasPrefix("bank/") }.values.map(\.minute).max()
            let begin = (reached ?? Self.start) - Analyser.warmUp
            next.recall(runs, warmFrom: begin)
            said = next.absorb(all[..<cut].filter { $0.time >= begin })
            reports += said.reports
            runs += said.forecasts
            running = next
            from = cut
        }
        let last = running.absorb(all[from...])
        reports += last.reports
        runs += last.forecasts

        // Forecasts to the last bit: what was learned before a restart is not lost, and nothing is learned twice.
        let order = { (one: ForecastRun, other: ForecastRun) in (one.madeAt, one.feeder) < (other.madeAt, other.feeder)
        }
        #expect(!runs.isEmpty)
        #expect(runs.sorted(by: order) == whole.forecasts.sorted(by: order))

        // Ids, onsets, severities, occurrences and worst values of what is open, and how often each was raised.
        func open(_ list: [AdvisoryReport]) -> [String] {
            var last: [String: AdvisoryFacts] = [:]
            for report in list { last["\(report.facts.kind)|\(report.facts.element)"] = report.facts }
            return last.values.filter { $0.clearedAt == nil }.map {
                "\($0.id) \($0.detector) \($0.severity) \($0.onset) \($0.occurrence) \($0.uncertain) \($0.peak.value) at \($0.peak.at)"
            }.sorted()
        }
        func starts(_ list: [AdvisoryReport]) -> [String] {
            list.filter { $0.change == .start }.map {
                "\($0.facts.id) \($0.facts.detector) \($0.facts.element) \($0.facts.raisedAt) \($0.facts.onset) \($0.facts.occurrence)"
            }.sorted()
        }
        #expect(!starts(expected).isEmpty)
        let (opened, undoubted) = (Set(open(reports)), Set(open(expected)))
        #expect(opened.symmetricDifference(undoubted).sorted() == [])
        let (raised, due) = (starts(reports), starts(expected))
        #expect(Set(raised).symmetricDifference(due).sorted() == [])
        #expect(raised.count == due.count)
    }
}
