public import GridModel

/// What the analyser has to say after some input.
public struct AnalysisOutput: Sendable, Equatable {
    public var reports: [AdvisoryReport] = []
    public var minutes: [FeederMinute] = []
    public var forecasts: [ForecastRun] = []

    public init() {}
    public var isEmpty: Bool { reports.isEmpty && minutes.isEmpty && forecasts.isEmpty }
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

    var model: AnalysisModel
    let settings: AnalysisSettings
    var feeders: [FeederState] = []
    var banks: [BankState] = []
    var devices: [DeviceState]
    var context: FeederState.Context
    /// Per device: number of its feeder in the normal state, -1 without.
    let homeFeeder: [Int]
    let clockRules: [FeederClock.Rule]
    let isHead, isDER: [Bool]
    /// DER and transformers' meters at busbars: looked at with their bank.
    var isAtBusbar: [Bool]
    var topologies: [(time: Timestamp, feeder: [Int32])] = []
    /// By topology and feeder: most of it is dead.
    var isFeederOff: [[Bool]] = []
    /// By topology: lines with a regulator or a recloser, fed from their `from` end or not.
    var isFedFrom: [[Int: Bool]] = []
    /// By device: what a regulator, recloser or service transformer is watched for.
    let lineRoles: [Int: LineRole]
    /// By topology and feeder: it does not feed what it feeds normally.
    var isFeederSwitched: [[Bool]] = []
    let normalFeederOfNode: [Int32]
    var front: Front
    /// By feeder with a head that has spoken, its next head bin: read for each bin of each feeder.
    var headTimes: [Timestamp] = []
    /// The slowest of them that is waited for.
    var awaitedHead = 0
    /// By feeder, the place of its bank, -1 without.
    var bankOfFeeder: [Int] = []
    var chatters = ChatterWatch()
    var topologyOfFeeder: [Int]
    // Restart: nothing is said before these positions; then the trackers take over what was stored.
    var quiet: [String: Position] = [:]
    var stored: [String: AdvisoryFacts] = [:]
    /// By feeder, the runs of before that the warm-up takes again instead of making them.
    var storedRuns: [String: [Timestamp: ForecastRun]] = [:]
    var settledHead: Set<String> = []
    var settledMinute: Set<String> = []

    public init(model: AnalysisModel, settings: AnalysisSettings) {
        self.model = model
        self.settings = settings
        let registry = model.registry
        devices = Array(repeating: DeviceState(), count: registry.devices.count)
        context = FeederState.Context(
            given: FeederState.Context.Given(settings, model),
            injections: Array(repeating: .nan, count: registry.devices.count))
        let feederNumber = model.graph.feederIndex
        clockRules = registry.devices.map { FeederClock.Rule($0.kind, settings) }
        isHead = registry.devices.map { $0.kind == .feederHead }
        isDER = registry.devices.map(\.kind.isDER)
        isAtBusbar = Array(repeating: false, count: registry.devices.count)
        homeFeeder = registry.devices.map { feederNumber[$0.normalFeeder] ?? -1 }
        topologyOfFeeder = Array(repeating: 0, count: model.network.feeders.count)

        // Banks: busbars of a substation joined by closed couplers.
        var loads: [Int: Double] = [:]
        let normal = Topology(model.graph, positions: model.graph.normalPositions)
        for load in model.network.loads {
            guard let node = model.graph.nodeIndex[load.node], normal.feeder[node] >= 0 else { continue }
            loads[Int(normal.feeder[node]), default: 0] += load.kilowatts
        }
        normalFeederOfNode = normal.feeder
        lineRoles = Self.lineRoles(model, normal)
        front = Front(settings)
        if settings.followsSun { context.place = model.network.centre }
        let bankOfBusbar = Self.banks(model)
        for (number, feeder) in model.network.feeders.enumerated() {
            let head = registry.index["FH-\(feeder.id)"].map(Int.init) ?? -1
            let limits = settings.limits(of: feeder.id, registry: registry)
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
            if banks[banks.count - 1].hasZeroSequence == false { context.banksWithoutZeroSequence.insert(bank) }
            banks[banks.count - 1].balance = BankBalance(
                bank, busbars: busbars, feeders: members, ratingVA: banks[banks.count - 1].ratingVA, model,
                rearm: settings.rearm, gap: settings.gap)
            banks[banks.count - 1].steps.watch(members.map { feeders[$0].id }, rearm: settings.rearm)
        }
        for bank in banks {
            for number in bank.busbarDevices + (bank.balance?.meters ?? []) { isAtBusbar[number] = true }
        }
        headTimes = Array(repeating: .distantPast, count: feeders.count)
        bankOfFeeder = Array(repeating: -1, count: feeders.count)
        for (place, bank) in banks.enumerated() { for number in bank.feeders { bankOfFeeder[number] = place } }
        addTopology(at: .distantPast)
        for number in feeders.indices { assignDevices(number) }
    }

    // MARK: Input

    /// Takes samples in the order of their arrival. Late ones (``Quality/late``) are not analysed.
    public mutating func absorb(_ samples: [Sample]) -> AnalysisOutput {
        var output = AnalysisOutput()
        for sample in samples { absorb(sample, &output) }
        return output
    }

    public mutating func absorb(_ samples: ArraySlice<Sample>) -> AnalysisOutput { absorb(Array(samples)) }

    mutating func absorb(_ sample: Sample, _ output: inout AnalysisOutput) {
        let number = Int(sample.device)
        guard devices.indices.contains(number) else { return }
        guard !sample.quality.contains(.late) else {
            noteLate(sample)
            return
        }
        let home = homeFeeder[number]
        // A sample known to be wrong is used for nothing, neither its values nor its position. It only shows that its
        // device sends samples that cannot be used.
        guard sample.quality.grade != .bad else {
            noteUnusable(sample, number, home, &output)
            return
        }
        if let position = SwitchPosition(rawValue: sample.switchPosition) {
            switchMoved(model.registry.devices[number].name, to: position, at: sample.time)
        }
        guard home >= 0 else {
            if isAtBusbar[number] { devices[number].signal.insert(sample) }
            return
        }
        // Nobody waits for the quarter hours of transformers' meters.
        if Double(sample.interval) > feeders[home].slack, model.registry.devices[number].kind != .transformerMeter {
            feeders[home].slack = min(3600, Double(sample.interval))
        }
        if isHead[number] { feeders[home].noteHead(interval: Double(sample.interval)) }
        var clock = FeederClock(now: feeders[home].clock)
        _ = clock.observe(sample.time, clockRules[number], sample.quality)
        guard clock.now != .distantPast else { return }
        leap(home, to: clock.now, &output)
        if !sample.unbalance.isNaN, feeders[home].unbalances[number] == nil {
            feeders[home].unbalances[number] = Ring(capacity: 10)
        }
        if isHead[number] {
            if !sample.leastPhasePower.isNaN { feeders[home].hasPhases = true }
            if !sample.activePower.isNaN { feeders[home].hasSeenHead = true }
            feeders[home].head.insert(sample)
        } else {
            // What nobody looks at is not kept: the reactive power of DER, a switch that repeats its position all year.
            if isDER[number] {
                var sample = sample
                sample.reactivePower = .nan
                devices[number].signal.insert(sample)
            } else if !sample.voltage.isNaN || lineRoles[number] != nil || devices[number].isSuspect {
                devices[number].signal.insert(sample)
            }
            if !lineRoles.isEmpty, !sample.activePower.isNaN || !sample.tapPosition.isNaN {
                addLinePoint(number, to: home)
            }
            if !sample.voltage.isNaN, !devices[number].hasVoltage {
                devices[number].hasVoltage = true
                addVoltagePoint(number, to: home)
            }
        }
        feeders[home].begin(at: feeders[home].clock == .distantPast ? min(clock.now, sample.time) : clock.now, context)
        feeders[home].clock = clock.now
        advance(home, &output)
    }

    /// A sample that is known to be wrong: its device is not silent, and it is named when nothing else comes of it, also
    /// when nothing else ever came.
    private mutating func noteUnusable(
        _ sample: Sample, _ number: Int, _ home: Int, _ output: inout AnalysisOutput
    ) {
        guard home >= 0 else {
            if isAtBusbar[number] { devices[number].note(sample.quality, at: sample.time) }
            return
        }
        // A feeder of which nothing good ever came has a time of its own, too: else nobody would be told.
        var clock = FeederClock(now: feeders[home].clock)
        _ = clock.observe(sample.time, clockRules[number], sample.quality)
        let hasMoved = clock.now != feeders[home].clock
        if hasMoved { leap(home, to: clock.now, &output) }
        // A clock that is ahead makes its device heard now, not in time to come.
        let ahead = isHead[number] ? settings.scadaLateness : settings.derClockGuard
        let time = clock.now == .distantPast ? sample.time : min(sample.time, clock.now + ahead)
        if isHead[number] {
            feeders[home].headUnusable.note(sample.quality, at: time)
            if feeders[home].headFirst == .distantPast { feeders[home].headFirst = time }
        } else {
            devices[number].note(sample.quality, at: time)
            watchSuspect(number, of: home)
        }
        guard hasMoved else { return }
        feeders[home].begin(at: feeders[home].clock == .distantPast ? min(clock.now, sample.time) : clock.now, context)
        feeders[home].clock = clock.now
        advance(home, &output)
    }

    /// A device that has sent something wrong is checked every minute, whatever else it has sent.
    private mutating func watchSuspect(_ number: Int, of feeder: Int) {
        let kind = model.registry.devices[number].kind
        guard !kind.isDER, kind != .switchStatus, !devices[number].isSuspect else { return }
        devices[number].isSuspect = true
        let place = feeders[feeder].suspects.firstIndex { $0 > number } ?? feeders[feeder].suspects.count
        feeders[feeder].suspects.insert(number, at: place)
    }

    /// What came too late counts for nothing, but says that its device is not silent: its data are stale.
    private mutating func noteLate(_ sample: Sample) {
        let number = Int(sample.device)
        if isHead[number], homeFeeder[number] >= 0 {
            feeders[homeFeeder[number]].headLate = max(feeders[homeFeeder[number]].headLate, sample.time)
        } else {
            devices[number].late = max(devices[number].late, sample.time)
        }
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

    /// Nothing has come of a feeder's head until `time`, as far as whoever listens to it knows.
    ///
    /// The bins of the feeder stay open, for what is still on its way; but silence that is long enough is said at once,
    /// as it will be said of its bin should nothing more come.
    ///
    /// - Parameter time: of the data: what the head's own clock shows now.
    public mutating func headIsSilent(feeder: String, until time: Timestamp) -> AnalysisOutput {
        var output = AnalysisOutput()
        guard let number = model.graph.feederIndex[feeder], feeders[number].nextHead != .distantPast else {
            return output
        }
        settle(number, head: true)
        guard !feeders[number].headGap.isActive else { return output }
        var ahead = feeders[number]
        while ahead.nextHead + FeederState.headBin <= time {
            let end = ahead.nextHead + FeederState.headBin
            let gap = ahead.finishHeadBin(context).filter { $0.facts.kind == .dataGap }
            guard !gap.isEmpty else { continue }
            guard isLoud(feeder, end, head: true) else { return output }
            feeders[number].headGap = ahead.headGap
            feeders[number].countAtGap = ahead.countAtGap
            say(gap, &output)
            return output
        }
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
    mutating func leap(_ number: Int, to time: Timestamp, _ output: inout AnalysisOutput) {
        let clock = feeders[number].clock
        guard clock != .distantPast, time.microseconds - clock.microseconds > 3_600_000_000 else { return }
        let limit = 3600 + feeders[number].slack
        guard time - clock > limit else { return }
        feeders[number].clock = feeders[number].clock + limit
        advance(number, &output)
        let next = (time - settings.gatewayLateness - feeders[number].slack - 60).floored(toSeconds: 60)
        guard next > feeders[number].nextMinute else { return }
        feeders[number].nextHead = next
        feeders[number].nextMinute = next
    }

    mutating func advance(_ number: Int, _ output: inout AnalysisOutput) {
        while true {
            let clock = feeders[number].clock
            let (head, minute) = (feeders[number].headDue, feeders[number].minuteDue)
            guard min(head, minute) <= clock else { return }
            if head <= minute {
                settle(number, head: true)
                let end = feeders[number].nextHead + FeederState.headBin
                let reports = feeders[number].finishHeadBin(context)
                if isLoud(feeders[number].id, end, head: true) {
                    front.note(reports)
                    say(reports, &output)
                    output.reports += feeders[number].worsened(end, head: true)
                }
                if feeders[number].hasSeenHead {
                    headTimes[number] = feeders[number].nextHead
                    advanceFront(by: number, &output)
                }
            } else {
                assignDevices(number)
                settle(number, head: false)
                let end = feeders[number].nextMinute + FeederState.minute
                let (reports, rows) = feeders[number].finishMinute(&devices, &context, nativeRatio: nativeRatio(number))
                let id = feeders[number].id
                let isLoud = isLoud(id, end, head: false)
                let forecast = feeders[number].stepForecast(
                    end, devices, context, stored: storedRuns[id]?.removeValue(forKey: end), isLoud: isLoud)
                if isLoud {
                    say(reports + forecast.reports, &output)
                    output.reports += feeders[number].worsened(end, head: false)
                    if let run = forecast.run { output.forecasts.append(run) }
                    say(chatters.step(end - FeederState.minute, feeder: feeders[number].id), &output)
                    output.minutes += rows
                }
                advanceBank(of: number, &output)
            }
        }
    }

    /// Samples that it holds until their bins are final: some for each device that reports.
    package var heldSamples: Int {
        devices.reduce(0) { $0 + $1.signal.held } + feeders.reduce(0) { $0 + $1.head.held }
    }

    private mutating func say(_ reports: [AdvisoryReport], _ output: inout AnalysisOutput) {
        guard !reports.isEmpty else { return }
        output.reports += reports
        output.reports += chatters.observe(reports, rearm: settings.rearm)
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
        // What chatters is called by its element and kind.
        var element = facts.element
        if facts.kind == .chatter, let end = element.lastIndex(of: "/") { element = String(element[..<end]) }
        if element == Front.element { return true }
        if banks.contains(where: { $0.id == element || $0.substation == element || element.hasPrefix("\($0.id)/") }) {
            return true
        }
        guard model.graph.feederIndex[facts.feeder] != nil else { return false }
        return element == "FH-\(facts.feeder)" || element.hasPrefix("\(facts.feeder)/")
            || model.registry.index[element] != nil
            || model.registry.devices.contains { $0.lowVoltageArea == element }
    }

}
