import Analysis
import Foundation
import GridModel
import Messaging
import ServiceKit
import Store
import Switching

@testable import backfeed

/// What a device says; `nil`: nothing of that.
struct Reading {
    var device: String
    /// s since the start, by the device's own clock.
    var time: Double
    var watts, vars, volts, amperes, interval: Double?
    var position: SwitchPosition?
    var quality: Quality = []

    init(
        _ device: String, at time: Double, watts: Double? = nil, vars: Double? = nil, volts: Double? = nil,
        amperes: Double? = nil, position: SwitchPosition? = nil
    ) {
        self.device = device
        self.time = time
        self.watts = watts
        self.vars = vars
        self.volts = volts
        self.amperes = amperes
        self.position = position
    }

    /// As an aggregator would write it.
    fileprivate func json(_ start: Timestamp) -> String {
        var text = "{\"device\":\"\(device)\",\"time\":\((start + time).microseconds)"
        func add(_ name: String, _ value: Double?) { if let value { text += ",\"\(name)\":\(value)" } }
        add("active_power_w", watts)
        add("reactive_power_var", vars)
        add("voltage_v", volts)
        add("current_a", amperes)
        add("interval_s", interval)
        if let position { text += ",\"switch_position\":\"\(position.name)\"" }
        let words = Quality.names.enumerated().filter { quality.contains(Quality(rawValue: 1 << UInt16($0.offset))) }
        if !words.isEmpty { text += ",\"quality\":[\(words.map { "\"\($0.element)\"" }.joined(separator: ","))]" }
        return text + "}"
    }
}

/// What was said of an advisory, and the second in which it was.
struct Said {
    var told: Int
    var report: AdvisoryReport
    var facts: AdvisoryFacts { report.facts }
    var change: AdvisoryReport.Change { report.change }
    /// All of it: equal reports give equal texts.
    var text: String { "\(facts.name) \(change.rawValue) \(json)" }

    /// A number that is none would end the service where the advisory is stored.
    var isFinite: Bool { !json.contains("\"no number\"") }

    private var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "no number", negativeInfinity: "no number", nan: "no number")
        return (try? encoder.encode(facts)).map { String(decoding: $0, as: UTF8.self) } ?? "no number"
    }
}

/// A reading on its way.
struct Sent {
    var reading: Reading
    /// s since the start, when it comes in.
    var arrival: Double
    /// Its place in the stream as it was made: tells it apart from copies.
    var number: Int
}

/// A service from the message to the verdict, without sockets, threads and database: each part is the product's own, put
/// together as `Ingest`, `AnalyserService` and `ServiceValidator` do. Its clocks are the test's.
final class ServiceRig {
    static let start = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast

    let network: Network
    let stored: StoredNetwork
    let live: LiveState
    private let settings: Settings
    private let validator: PlanValidator
    private let snapshots: LiveSnapshot
    private var intake: Intake
    private let batch = SampleBatch(capacity: 64)
    private var sequences: [String: UInt64] = [:]
    private var analyser: Succession
    private var positions: PositionWatch
    private var records: [String: SwitchRecord] = [:]
    /// What stands, by kind and element.
    private(set) var standing: [String: AdvisoryFacts] = [:]
    private(set) var reports: [Said] = []
    private(set) var minutes: [FeederMinute] = []
    private(set) var forecasts: [ForecastRun] = []
    /// Places in the stream of those that are not to be used: refused, of bad quality, or too late.
    private(set) var unusable: Set<Int> = []
    /// One of them moved its feeder's time on all the same: what cannot be by its value has a time like any other, and so has
    /// the first that is heard of a feeder.
    private(set) var hasMovedTime = false
    private var heard: Set<String> = []
    private(set) var moment = Moment(wall: start, monotonic: monotonicStart)
    /// Microseconds.
    private static let monotonicStart: Int64 = 1_000_000_000_000
    let firstHeard = monotonicStart

    init(_ network: Network, settings changes: [String] = []) throws {
        self.network = network
        let graph = NetworkGraph(network)
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: graph))
        var stored = StoredNetwork.none
        stored.network = network
        stored.revision = 1
        stored.registry = registry
        stored.deviceIDs = registry.devices.indices.map { Int32($0 + 1) }
        stored.areaIDs = registry.devices.map { _ in 1 }
        stored.aggregators = registry.devices.map { _ in nil }
        stored.areaIDByName = Dictionary(uniqueKeysWithValues: Set(graph.areas).map { ($0, 1) })
        self.stored = stored
        settings = try Settings(
            definitions: SettingsCatalogue.all, file: nil, environment: [:],
            assignments: ["telemetry.max_messages_per_s=0", "telemetry.max_bytes_per_s=0", "site.sun=false"] + changes)
        let analysis = settings.analysis(nominalFrequency: network.nominalFrequency)
        live = LiveState(stored)
        intake = Intake(
            limits: try Ingest.Limits(settings, dataDirectory: "/nowhere"), analysis: analysis, stored: stored,
            state: .init())
        analyser = Succession(
            [.init(model: AnalysisModel(network: network, registry: registry, revision: 1), from: .distantPast)],
            settings: analysis)
        let heads = network.feeders.map(\.id)
        positions = PositionWatch(latest: []) { _ in heads.first }
        validator = PlanValidator(network, limits: settings.switchingLimits, software: "test")
        snapshots = LiveSnapshot(stored: stored, graph: live.graph, points: live.points, limits: .init(settings))
    }

    // MARK: Time

    /// Takes what comes in within one second, and lets the second pass.
    ///
    /// - Parameters:
    ///   - second: since the start.
    ///   - step: s by which our wall clock is wrong.
    func pass(_ second: Int, _ sent: ArraySlice<Sent>, clockOff step: Double = 0) {
        moment = Moment(
            wall: Self.start + Double(second) + step, monotonic: Self.monotonicStart + Int64(second) * 1_000_000)
        for (aggregator, group) in Dictionary(grouping: sent, by: { Self.aggregator(of: $0.reading.device) })
            .sorted(by: { $0.key < $1.key })
        {
            take(group, from: aggregator)
        }
        intake.tick(
            into: batch, now: moment.wall.microseconds, monotonic: UInt64(moment.monotonic) * 1000)
        guard !batch.isEmpty else { return }
        intake.finish(batch)
        absorb(second)
        batch.reset()
    }

    private static func aggregator(of device: String) -> String { device.contains("-der-") ? "FLEET" : "SCADA" }

    private func take(_ sent: [Sent], from aggregator: String) {
        let now = moment.wall.microseconds
        let sequence = (sequences[aggregator] ?? 0) + 1
        sequences[aggregator] = sequence
        let frame = TelemetryFrame(
            aggregator: aggregator, encoding: .json, epoch: UInt64(Self.start.microseconds), sequence: sequence)
        let payload = Array("{\"samples\":[\(sent.map { $0.reading.json(Self.start) }.joined(separator: ","))]}".utf8)
        let known = batch.samples.count
        Array(frame.topic.utf8).withUnsafeBytes { topic in
            frame.position.withUnsafeBytes { position in
                payload.withUnsafeBytes { payload in
                    guard let admitted = intake.admit((topic, position, payload), key: nil, nil, now: now) else {
                        preconditionFailure("not admitted")
                    }
                    intake.take(admitted, (topic, position, payload), .live, into: batch, now: now)
                }
            }
        }
        // Which of them came through, and as what.
        var taken = batch.samples[known...]
        for item in sent {
            if let sample = taken.first, Int(sample.device) == index(item.reading.device),
                sample.time == Self.start + item.reading.time
            {
                taken = taken.dropFirst()
                let (quality, home) = (sample.quality, stored.registry.devices[Int(sample.device)].normalFeeder)
                if quality.grade == .bad || quality.contains(.late) {
                    unusable.insert(item.number)
                    let isTimed = quality.subtracting([.outOfRange, .late]).grade != .bad || !heard.contains(home)
                    if isTimed, !quality.contains(.late), !quality.contains(.clockSuspect) { hasMovedTime = true }
                }
                if !quality.contains(.clockSuspect) { heard.insert(home) }
            } else {
                unusable.insert(item.number)
            }
        }
        precondition(taken.isEmpty, "a sample that nobody sent")
    }

    private func index(_ device: String) -> Int { stored.registry.index[device].map { Int($0) } ?? -1 }

    /// As the writing thread and the analyser's do.
    private func absorb(_ second: Int) {
        var touched: [String: SwitchRecord] = [:]
        for report in batch.positions {
            var record = records[report.switchID] ?? SwitchRecord(id: report.switchID)
            _ = record.take(
                telemetry: .init(position: report.position, time: report.time, recordedAt: moment.wall))
            records[report.switchID] = record
            touched[report.switchID] = record
        }
        for record in live.take(touched.values.sorted { $0.id < $1.id }) {
            if let saying = record.newest { analyser.switchMoved(record.id, to: saying.position, at: saying.time) }
            note(positions.take(record, at: moment.wall), second)
        }
        live.observe(batch.samples, currents: batch.currents, at: moment)
        let (ticks, silences) = (batch.ticks, batch.silences)
        take(analyser.absorb(batch.takeSamples()), second)
        for silence in silences { take(analyser.headIsSilent(feeder: silence.feeder, until: silence.time), second) }
        for tick in ticks { take(analyser.tick(feeder: tick.feeder, to: tick.time), second) }
    }

    private func take(_ output: AnalysisOutput, _ second: Int) {
        note(output.reports, second)
        minutes += output.minutes
        forecasts += output.forecasts
        let reached = analyser.positions
        live.update { live in
            live.positions = reached
            for minute in output.minutes where minute.feeder == minute.normalFeeder {
                live.derCoverage[minute.feeder] = minute.derCoverage
            }
        }
    }

    private func note(_ said: [AdvisoryReport], _ second: Int) {
        for report in said {
            reports.append(Said(told: second, report: report))
            standing[report.facts.name] = report.change == .clear ? nil : report.facts
        }
    }

    /// Everything that is still open comes to its end: all feeders' time moves on by so many seconds.
    func flush(_ seconds: Double) {
        for feeder in network.feeders { take(analyser.tick(feeder: feeder.id, to: moment.wall + seconds), -1) }
    }

    // MARK: What it answers

    /// What stands in the database.
    ///
    /// - Parameter kinds: advisories that count.
    func record(_ kinds: (AdvisoryKind) -> Bool = { _ in true }) -> OperatingRecord {
        let active = standing.values.filter { kinds($0.kind) }.sorted { $0.name < $1.name }.map { facts in
            """
            {"id": "\(facts.name)", "kind": "\(facts.kind.rawValue)", "severity": \(facts.severity.rawValue), \
            "feeder": "\(facts.feeder)", "element": "\(facts.element)", "is_evaluated": true}
            """
        }
        let text = """
            {"revision": 1, "switches": [], "advisories": [\(active.joined(separator: ","))], "items": [], \
            "advisory_activity": [], "register_acts": 1, "declared_by": "ann", "plans": [], "has_accounts": true, \
            "confirmed": []}
            """
        guard var record = try? JSONCoding.decode(OperatingRecord.self, text) else { preconditionFailure(text) }
        record.switches = records.values.sorted { $0.id < $1.id }
        record.movedAt = records.values.compactMap(\.movedAt).max()
        return record
    }

    func snapshot(_ plan: SwitchingPlan, _ record: OperatingRecord) -> GridSnapshot {
        snapshots.make(
            live.now, record, concerned: { self.validator.feeders(touchedBy: plan, positions: $0) },
            holdHours: plan.holdHours, at: moment)
    }

    func verdict(_ plan: SwitchingPlan, _ record: OperatingRecord) -> Verdict {
        validator.validate(plan, snapshot(plan, record))
    }

    /// The network page.
    func page(_ record: OperatingRecord) -> String {
        let nothing = SwitchingPlan(id: "now", kind: .normalise, steps: [])
        let snapshot = snapshot(nothing, record)
        let picture = validator.picture(nothing, snapshot)
        return LiveNetwork(picture, snapshot, record, live.graph).map { JSONCoding.encode($0) } ?? "nothing"
    }

    /// Values that are shown and judged by, with their times.
    var values: [String] {
        let now = live.now
        var list = now.heads.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        list += zip(live.points.all, now.flows).map { "\($0.device): \($1)" }
        list += zip(stored.registry.devices, now.newest).map { "\($0.name): \($1)" }
        list += now.switches.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        list.append("\(now.topology.feeder)")
        return list
    }
}

extension AdvisoryFacts {
    /// By which it is found again: one of a kind and element stands at a time.
    var name: String { "\(kind.rawValue) \(element)" }
}

extension Verdict {
    var told: String {
        "\(verdict)\n"
            + findings.filter { $0.severity > .note }
            .map { "\($0.severity.rawValue) \($0.check) \($0.step ?? 0): \($0.message)" }.joined(separator: "\n")
    }
}
