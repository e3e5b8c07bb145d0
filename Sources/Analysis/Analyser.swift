public import GridModel

/// What the analyser has to say after some input.
public struct AnalysisOutput: Sendable, Equatable {
    public var reports: [AdvisoryReport] = []
    public var minutes: [FeederMinute] = []

    public init() {}
    public var isEmpty: Bool { reports.isEmpty && minutes.isEmpty }
}

/// Samples in, advisories and profile minutes out. Pure: time comes with the samples, nothing is read from a clock.
///
/// The same samples in the same order give the same output, byte for byte. After a restart, feed the stored samples of
/// the last ``warmUp`` seconds and what the store knows (``restore(positions:latest:)``): the output goes on where
/// it had stopped.
public struct Analyser: Sendable {
    /// How far each feeder's (or bank's) analysis has come.
    public struct Position: Sendable, Equatable, Codable {
        /// Head bins are final up to here, minutes up to there.
        public var head: Timestamp
        public var minute: Timestamp
        public init(head: Timestamp, minute: Timestamp) {
            self.head = head
            self.minute = minute
        }
    }

    /// Seconds of stored samples that rebuild every window: 60 min of attribution, 20 min of clearing, a margin.
    public static let warmUp = 5400.0

    private var model: AnalysisModel
    private let settings: AnalysisSettings
    private var feeders: [FeederState] = []
    private var banks: [BankState] = []
    private var devices: [DeviceState]
    private var context: FeederState.Context
    /// Per device: number of its feeder in the normal state, -1 without.
    private let homeFeeder: [Int]
    private let clockRules: [FeederClock.Rule]
    private let isHead: [Bool]
    private var topologies: [(time: Timestamp, feeder: [Int32])] = []
    private var topologyOfFeeder: [Int]
    // Restart: nothing is said before these positions; then the trackers take over what was stored.
    private var quiet: [String: Position] = [:]
    private var stored: [String: AdvisoryFacts] = [:]
    private var settledHead: Set<String> = []
    private var settledMinute: Set<String> = []

    public init(model: AnalysisModel, settings: AnalysisSettings) {
        self.model = model
        self.settings = settings
        let registry = model.registry
        devices = Array(repeating: DeviceState(), count: registry.devices.count)
        context = FeederState.Context(settings: settings, model: model)
        let feederNumber = model.graph.feederIndex
        clockRules = registry.devices.map { FeederClock.Rule($0.kind, settings) }
        isHead = registry.devices.map { $0.kind == .feederHead }
        homeFeeder = registry.devices.map { feederNumber[$0.normalFeeder] ?? -1 }
        topologyOfFeeder = Array(repeating: 0, count: model.network.feeders.count)

        // Banks: busbars of a substation joined by closed couplers.
        var loads: [Int: Double] = [:]
        let normal = Topology(model.graph, positions: model.graph.normalPositions)
        for load in model.network.loads {
            guard let node = model.graph.nodeIndex[load.node], normal.feeder[node] >= 0 else { continue }
            loads[Int(normal.feeder[node]), default: 0] += load.kilowatts
        }
        let bankOfBusbar = Self.banks(model)
        for (number, feeder) in model.network.feeders.enumerated() {
            var limits = settings.feederLimits[feeder.id] ?? settings.limits
            let head = registry.index["FH-\(feeder.id)"].map(Int.init) ?? -1
            if limits.rating == 0, head >= 0 { limits.rating = registry.devices[head].rating }
            if limits.rating == 0 { limits.rating = FeederLimits.assumedRating }
            feeders.append(
                FeederState(
                    number: number, id: feeder.id, area: head >= 0 ? registry.devices[head].area : model.graph.areas[0],
                    limits: limits, headDevice: head,
                    headVoltageBase: head >= 0 ? registry.devices[head].voltageBase : 0,
                    nominalLoad: (loads[number] ?? 0) * 1000, bank: bankOfBusbar[feeder.busbar] ?? "",
                    settings: settings))
        }
        let names = Dictionary(grouping: bankOfBusbar.keys.sorted(), by: { bankOfBusbar[$0] ?? "" })
        for (bank, busbars) in names.sorted(by: { $0.key < $1.key }) {
            let units = model.network.transformers.filter { busbars.contains($0.lowNode) }
            let members = model.network.feeders.enumerated().filter { busbars.contains($1.busbar) }.map(\.offset)
            guard !members.isEmpty, !units.isEmpty, let node = model.graph.nodeIndex[busbars[0]] else { continue }
            banks.append(
                BankState(
                    id: bank, area: model.graph.areas[Int(model.graph.nodeArea[node])],
                    substation: model.network.nodes[node].substation, feeders: members,
                    busbarDevices: registry.devices.indices.filter {
                        registry.devices[$0].kind.isDER && busbars.contains(registry.devices[$0].node)
                    },
                    ratingVA: units.reduce(0) { $0 + $1.ratedKVA * 1000 },
                    hasZeroSequence: settings.bankHasZeroSequence
                        ?? (units.allSatisfy { $0.hasZeroSequenceProtection == true } ? true : nil),
                    reverseLimit: settings.bankReverseLimit, rearm: settings.rearm, gap: settings.gap))
        }
        addTopology(at: .distantPast)
        for number in feeders.indices { assignDevices(number) }
    }

    private static func banks(_ model: AnalysisModel) -> [String: String] {
        let busbars = model.network.nodes.filter { $0.kind == "mv_busbar" }
        var group = Dictionary(uniqueKeysWithValues: busbars.map { ($0.id, $0.id) })
        for item in model.network.switches where item.connects == .bus && item.normalPosition == .closed {
            guard let a = group[item.node], let b = group[item.element], a != b else { continue }
            for (key, value) in group where value == b { group[key] = a }
        }
        let substations = Dictionary(grouping: busbars, by: \.substation)
        return group.reduce(into: [:]) { result, entry in
            let node = busbars.first { $0.id == entry.key }
            let substation = node?.substation ?? ""
            let groups = Set((substations[substation] ?? []).compactMap { group[$0.id] })
            result[entry.key] =
                groups.count <= 1 && !substation.isEmpty
                ? substation : "\(substation.isEmpty ? "BANK" : substation)/\(entry.value)"
        }
    }

    // MARK: Input

    /// Takes samples in the order of their arrival. Late ones (``Quality/late``) are left out.
    public mutating func absorb(_ samples: [Sample]) -> AnalysisOutput {
        var output = AnalysisOutput()
        for sample in samples { absorb(sample, &output) }
        return output
    }

    public mutating func absorb(_ samples: ArraySlice<Sample>) -> AnalysisOutput { absorb(Array(samples)) }

    private mutating func absorb(_ sample: Sample, _ output: inout AnalysisOutput) {
        let number = Int(sample.device)
        guard devices.indices.contains(number), !sample.quality.contains(.late) else { return }
        if let position = SwitchPosition(rawValue: sample.switchPosition) {
            switchMoved(model.registry.devices[number].name, to: position, at: sample.time)
        }
        guard sample.quality.grade != .bad else { return }
        let home = homeFeeder[number]
        guard home >= 0 else {
            devices[number].signal.insert(sample)
            return
        }
        if Double(sample.interval) > feeders[home].slack { feeders[home].slack = min(3600, Double(sample.interval)) }
        var clock = FeederClock(now: feeders[home].clock)
        _ = clock.observe(sample.time, clockRules[number], grade: sample.quality.grade)
        guard clock.now != .distantPast else { return }
        leap(home, to: clock.now, &output)
        if isHead[number] {
            if !sample.activePower.isNaN { feeders[home].hasSeenHead = true }
            feeders[home].head.insert(sample)
        } else {
            devices[number].signal.insert(sample)
            if !sample.voltage.isNaN, !devices[number].hasVoltage {
                devices[number].hasVoltage = true
                addVoltagePoint(number, to: home)
            }
        }
        feeders[home].begin(at: feeders[home].clock == .distantPast ? min(clock.now, sample.time) : clock.now, settings)
        feeders[home].clock = clock.now
        advance(home, &output)
    }

    /// Moves a feeder's time on although nothing came: silence becomes missing bins.
    public mutating func tick(feeder: String, to time: Timestamp) -> AnalysisOutput {
        var output = AnalysisOutput()
        guard let number = model.graph.feederIndex[feeder], feeders[number].clock != .distantPast else { return output }
        leap(number, to: time, &output)
        feeders[number].clock = max(feeders[number].clock, time)
        advance(number, &output)
        return output
    }

    /// A switch position from telemetry or a person: devices change their feeder from that time on.
    public mutating func switchMoved(_ id: String, to position: SwitchPosition, at time: Timestamp) {
        guard let number = model.graph.switchIndex[id], position == .open || position == .closed,
            model.positions[number] != position
        else { return }
        model.positions[number] = position
        addTopology(at: time)
    }

    /// More than an hour without data is not binned in full: an hour of missing bins says all there is to say.
    private mutating func leap(_ number: Int, to time: Timestamp, _ output: inout AnalysisOutput) {
        let limit = 3600 + feeders[number].slack
        guard feeders[number].clock != .distantPast, time - feeders[number].clock > limit else { return }
        feeders[number].clock = feeders[number].clock + limit
        advance(number, &output)
        let next = (time - settings.gatewayLateness - feeders[number].slack - 60).floored(toSeconds: 60)
        guard next > feeders[number].nextMinute else { return }
        feeders[number].nextHead = next
        feeders[number].nextMinute = next
    }

    private mutating func advance(_ number: Int, _ output: inout AnalysisOutput) {
        while true {
            let clock = feeders[number].clock
            let (head, minute) = (feeders[number].headDue(settings), feeders[number].minuteDue(settings))
            guard min(head, minute) <= clock else { return }
            if head <= minute {
                settle(number, head: true)
                let end = feeders[number].nextHead + FeederState.headBin
                let reports = feeders[number].finishHeadBin(context)
                if isLoud(feeders[number].id, end, head: true) { output.reports += reports }
            } else {
                assignDevices(number)
                settle(number, head: false)
                let end = feeders[number].nextMinute + FeederState.minute
                let (reports, rows) = feeders[number].finishMinute(&devices, &context, nativeRatio: nativeRatio(number))
                if isLoud(feeders[number].id, end, head: false) {
                    output.reports += reports
                    output.minutes += rows
                }
                advanceBank(of: number, &output)
            }
        }
    }

    // MARK: Banks

    private mutating func advanceBank(of feeder: Int, _ output: inout AnalysisOutput) {
        guard let place = banks.firstIndex(where: { $0.feeders.contains(feeder) }) else { return }
        let members = banks[place].feeders
        if banks[place].nextMinute == .distantPast {
            banks[place].nextMinute = feeders[feeder].nextMinute - 60
        }
        while true {
            let start = banks[place].nextMinute
            let newest = members.map { feeders[$0].nextMinute }.max() ?? start
            guard newest > start else { return }
            // Wait for the slower feeders, but not for ever: after five minutes theirs is missing.
            let complete = members.allSatisfy { feeders[$0].nextMinute > start }
            guard complete || newest - start > 300 else { return }
            if newest - start > 7200 { banks[place].nextMinute = newest - 3600 }
            let minute = banks[place].nextMinute
            var (heads, injection) = (0.0, 0.0)
            for number in members {
                let found = feeders[number].minutes.newest(70).last { $0.start == minute }
                heads += found?.net ?? .nan
                injection += found?.fleet.total ?? 0
            }
            var busbar = 0.0
            for number in banks[place].busbarDevices {
                busbar += devices[number].signal.held(at: minute + 60, hold: settings.derHold, .activePower) ?? 0
                devices[number].signal.discard(before: minute)
            }
            settleBank(place)
            let reports = banks[place].step(
                minute, heads: heads, injection: injection + busbar, busbar: busbar, settings: settings,
                revision: model.revision)
            if isLoud("bank/\(banks[place].id)", minute + 60, head: false) { output.reports += reports }
            if banks[place].reverse.isActive, banks[place].hasZeroSequence != true {
                context.reversedBanks.insert(banks[place].id)
            } else {
                context.reversedBanks.remove(banks[place].id)
            }
        }
    }

    /// Native load per nominal load of the other feeders now, for those without a head meter.
    private func nativeRatio(_ number: Int) -> (median: Double, sigma: Double)? {
        var ratios = feeders.compactMap { other -> Double? in
            guard other.number != number, other.nominalLoad > 0, let last = other.minutes.last, !last.net.isNaN,
                last.derCoverage >= 0.2
            else { return nil }
            return max(0, last.net + last.fleet.total) / other.nominalLoad
        }
        guard ratios.count >= 2, let median = Slope.median(&ratios) else { return nil }
        var deviations = ratios.map { abs($0 - median) }
        return (median, 1.25 * (Slope.median(&deviations) ?? 0))
    }

    // MARK: Topology

    private mutating func addTopology(at time: Timestamp) {
        let topology = Topology(model.graph, positions: model.positions)
        let feeder = model.registry.devices.map { device in
            device.kind.isDER ? model.graph.nodeIndex[device.node].map { topology.feeder[$0] } ?? -1 : -1
        }
        topologies.append((time, feeder))
    }

    /// Gives a feeder the DER that it feeds in its next minute.
    private mutating func assignDevices(_ number: Int) {
        let start = feeders[number].nextMinute
        guard
            let newest = topologies.lastIndex(where: { $0.time <= max(start, .distantPast) })
                ?? topologies.indices.first
        else { return }
        guard topologyOfFeeder[number] != newest + 1 else { return }
        let isFirst = topologyOfFeeder[number] == 0
        topologyOfFeeder[number] = newest + 1
        let list = topologies[newest].feeder
        feeders[number].ders = list.indices.filter { list[$0] == Int32(number) }
        if !isFirst { feeders[number].switchedAt = topologies[newest].time }
        for place in feeders[number].groups.indices { fillGroup(number, place) }
    }

    private mutating func addVoltagePoint(_ number: Int, to feeder: Int) {
        let device = model.registry.devices[number]
        let isLow = !device.lowVoltageArea.isEmpty && device.voltageBase < 1000
        let id = isLow ? device.lowVoltageArea : "\(feeders[feeder].id)/MV"
        if let place = feeders[feeder].groups.firstIndex(where: { $0.id == id }) {
            let points = feeders[feeder].groups[place].points
            feeders[feeder].groups[place].points.insert(number, at: points.firstIndex { $0 > number } ?? points.count)
            return
        }
        var bands = Voltage.Bands(settings.standard, isLowVoltage: isLow)
        let limits = feeders[feeder].limits
        bands.warnHigh = limits.warnHigh ?? bands.warnHigh
        bands.high = limits.high ?? bands.high
        bands.warnLow = limits.warnLow ?? bands.warnLow
        bands.low = limits.low ?? bands.low
        func tracker(_ kind: AdvisoryKind) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: feeders[feeder].id, element: id,
                timing: .init(on: 60, off: 1200, gap: settings.gap), rearm: settings.rearm)
        }
        let group = VoltageGroup(
            id: id, isLowVoltage: isLow, bands: bands, points: [number], high: tracker(.voltageHigh),
            low: tracker(.voltageLow), rise: tracker(.voltageRise))
        let groups = feeders[feeder].groups
        let place = groups.firstIndex { $0.id > id } ?? groups.count
        feeders[feeder].groups.insert(group, at: place)
        fillGroup(feeder, place)
        // Found after the warm-up had begun: it takes over its stored advisories at once.
        if settledMinute.contains(feeders[feeder].id) { settleGroup(feeder, place) }
    }

    private mutating func fillGroup(_ feeder: Int, _ place: Int) {
        let group = feeders[feeder].groups[place]
        let ders = feeders[feeder].ders.filter {
            !group.isLowVoltage || model.registry.devices[$0].lowVoltageArea == group.id
        }
        feeders[feeder].groups[place].ders = ders
        feeders[feeder].groups[place].rating = ders.reduce(0) { $0 + model.registry.devices[$1].rating }
    }

    // MARK: What there is

    /// By bank, the feeders on it.
    public var banksByFeeder: [String: Set<String>] {
        Dictionary(
            banks.map { bank in (bank.id, Set(bank.feeders.map { feeders[$0].id })) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Whether the network still has what an advisory is about.
    public func knows(_ facts: AdvisoryFacts) -> Bool {
        let element = facts.element
        if banks.contains(where: { $0.id == element || $0.substation == element }) { return true }
        guard model.graph.feederIndex[facts.feeder] != nil else { return false }
        return element == "FH-\(facts.feeder)" || element.hasPrefix("\(facts.feeder)/")
            || model.registry.index[element] != nil
            || model.registry.devices.contains { $0.lowVoltageArea == element }
    }

    // MARK: Restart

    /// How far the analysis has come, by feeder id and `bank/<id>`: what the heartbeat says, and what the store keeps.
    public var positions: [String: Position] {
        var found: [String: Position] = [:]
        for feeder in feeders where feeder.nextHead != .distantPast {
            found[feeder.id] = Position(head: feeder.nextHead, minute: feeder.nextMinute)
        }
        for bank in banks where bank.nextMinute != .distantPast {
            found["bank/\(bank.id)"] = Position(head: bank.nextMinute, minute: bank.nextMinute)
        }
        return found
    }

    /// Feeders' clocks, for the ticks of silence.
    public var clocks: [String: Timestamp] {
        Dictionary(uniqueKeysWithValues: feeders.filter { $0.clock != .distantPast }.map { ($0.id, $0.clock) })
    }

    /// Call before the first sample after a restart.
    /// - Parameters:
    ///   - positions: as stored with the last output.
    ///   - latest: of each kind and element the newest advisory: open, or cleared within the re-arm time.
    public mutating func restore(positions: [String: Position], latest: [AdvisoryFacts]) {
        quiet = positions
        for facts in latest { stored["\(facts.kind.rawValue)|\(facts.element)"] = facts }
    }

    private func isLoud(_ name: String, _ end: Timestamp, head: Bool) -> Bool {
        guard let position = quiet[name] else { return true }
        return end > (head ? position.head : position.minute)
    }

    /// Before the first bin that is said again, the trackers become what the store says they were.
    private mutating func settle(_ number: Int, head: Bool) {
        let id = feeders[number].id
        guard let position = quiet[id] else { return }
        if head {
            guard !settledHead.contains(id), feeders[number].nextHead + FeederState.headBin > position.head else {
                return
            }
            settledHead.insert(id)
            take(&feeders[number].reverse)
            take(&feeders[number].ramp)
            take(&feeders[number].headGap)
        } else {
            guard !settledMinute.contains(id), feeders[number].nextMinute + FeederState.minute > position.minute else {
                return
            }
            settledMinute.insert(id)
            take(&feeders[number].fleetGap)
            take(&feeders[number].signs)
            take(&feeders[number].estimated)
            take(&feeders[number].near)
            for place in feeders[number].groups.indices { settleGroup(number, place) }
            for device in feeders[number].ders {
                let name = model.registry.devices[device].name
                if stored["\(AdvisoryKind.dataGap.rawValue)|\(name)"] != nil, devices[device].gap == nil {
                    devices[device].gap = AdvisoryTracker(
                        .dataGap, feeder: id, element: name, timing: .init(on: 0, off: 0), rearm: settings.rearm)
                }
                if var tracker = devices[device].gap {
                    take(&tracker)
                    devices[device].gap = tracker
                }
            }
        }
    }

    private mutating func settleGroup(_ feeder: Int, _ place: Int) {
        take(&feeders[feeder].groups[place].high)
        take(&feeders[feeder].groups[place].low)
        take(&feeders[feeder].groups[place].rise)
    }

    private mutating func settleBank(_ place: Int) {
        let name = "bank/\(banks[place].id)"
        guard let position = quiet[name], !settledMinute.contains(name), banks[place].nextMinute + 60 > position.minute
        else { return }
        settledMinute.insert(name)
        take(&banks[place].reverse)
        take(&banks[place].ratio)
        take(&banks[place].watch)
    }

    private func take(_ tracker: inout AdvisoryTracker) {
        if let facts = stored[tracker.key] { tracker.restore(facts) } else { tracker.forget() }
    }
}
