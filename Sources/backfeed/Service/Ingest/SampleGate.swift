internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From a decoded sample to a row: device, owner, time, range, and the clock of its feeder. No I/O, no `String` a sample.
struct SampleGate: ~Copyable {
    private let limits: Ingest.Limits
    private let stored: StoredNetwork
    /// Names of devices to the numbers that ``pass(_:of:from:into:now:)`` takes.
    let table: DeviceTable
    /// By device number. What a sample's way asks of its device stands together: with many devices each line of memory
    /// has to be waited for. Memory of our own, as ``feeds``: an array's checks would cost as much as the rest.
    private let traits: UnsafeMutableBufferPointer<Traits>
    /// Numbers of the aggregators that own devices.
    private var aggregators: [String] = []
    private var numbers: [String: Int32] = [:]
    /// By feeder number: strings would cost more than the rest of a sample's way.
    private let feeders: [String]
    private let feeds: UnsafeMutableBufferPointer<Feed>
    /// Seconds of silence after which a feeder's clock follows ours.
    private let allowance: Double
    /// How long a late sample's value may have been held: what it changes reaches that far.
    private let hold: Double
    /// s: a head that has said nothing for less is none of our business.
    private let headGap: Double
    private(set) var late = 0
    /// Devices from this number on are no DER: what current they measure is compared with the load flow.
    private let firstPoint: Int32
    /// By aggregator number: expected latency, s; NaN when none is set. And what is known of its devices' clocks.
    private var latencies: [Double] = []
    private var skews: [Int32: ClockSkew] = [:]

    /// What is asked of a device for each sample.
    private struct Traits {
        /// The number of its aggregator; -1: nobody has spoken for it yet.
        var owner: Int32 = -1
        /// -1 without a feeder.
        var feeder: Int32
        /// As in the tables.
        var deviceID, areaID: Int32
        var plausibility: Plausibility
        /// It reports the position of a switch.
        var isSwitch: Bool
        var isHead: Bool
        /// It has measured something above a tenth of the nominal voltage since we started.
        var hasShownVoltage = false
        /// `nil`: its samples are no part of the feeder's time.
        var clock: FeederClock.Rule?
    }

    /// What is known of a feeder's data.
    private struct Feed {
        var clock: FeederClock
        /// One of its devices was heard since we looked last.
        var isHeard = false
        /// When it was: our monotonic clock, ns, and the wall clock then, or the data's time where that is ahead of it: from
        /// there on only the monotonic clock counts. `nil`: not since we started.
        var heardAt: UInt64 = 0
        var heardTime: Timestamp?
        /// Its data was of then, and no history that is played.
        var isCurrent = true
        /// The clock is not as in the table.
        var isDirty = false
        var head = HeadClock()
        /// Seconds of its silence at which it is told next.
        var headTold = 0.0
    }

    /// When a feeder's head was last heard: the time of its data, and ours, which no change of the wall clock moves.
    private struct HeadClock {
        /// Time of its newest sample with a power; before its first one, how far its feeder had come when the service
        /// started.
        var time = Timestamp.distantPast
        /// It has spoken since we looked last.
        var isFresh = false
        /// Our monotonic clock when it had last spoken, ns.
        var heardAt: UInt64 = 0
        /// Its data is of now, and no history that is played.
        var isCurrent = true
        var hasSpoken = false

        mutating func note(_ time: Timestamp) {
            self.time = max(self.time, time)
            isFresh = true
        }
    }

    /// s: no mean is over more than a day.
    static let longestInterval = 86_400.0

    /// Why a sample is refused.
    enum Refusal {
        case unknownDevice
        case notTheOwner(String)
        case tooOld(Timestamp)
        /// Its partition would be dropped before long.
        case beyondRetention(Timestamp)
        /// Seconds ahead of our clock.
        case inFuture(Double)
        case notFinite(Quantity)
        case interval(Double)
        case empty

        func reason(_ sample: TelemetrySample) -> (code: String, detail: String) {
            let name = String(decoding: sample.device.prefix(96), as: UTF8.self)
            return switch self {
            case .unknownDevice: ("unknown_device", "no device is called \"\(name)\"")
            case .notTheOwner(let owner): ("wrong_aggregator", "\(name) belongs to \(owner)")
            case .tooOld(let oldest): ("time_too_old", "\(sample.time) is before \(oldest)")
            case .beyondRetention(let oldest):
                ("time_too_old", "\(sample.time) is before \(oldest), older than retention.raw_days")
            case .inFuture(let ahead): ("time_in_future", "\(sample.time) is \(Int(ahead)) s ahead of our clock")
            case .notFinite(let quantity): ("not_finite", "\(name): \(quantity.name) is no finite number")
            case .interval(let seconds):
                (
                    "interval_out_of_range",
                    "\(name): interval_s is \(seconds), expected 0 to \(Int(SampleGate.longestInterval))"
                )
            case .empty: ("no_quantity", "\(name): the sample carries no quantity")
            }
        }
    }

    init(
        limits: Ingest.Limits, analysis: AnalysisSettings, stored: StoredNetwork, clocks known: [String: Timestamp]
    ) {
        self.limits = limits
        self.stored = stored
        table = DeviceTable(stored.registry)
        firstPoint = Int32(stored.network.ders.count)
        allowance = 3 * analysis.scadaLateness
        hold = max(analysis.derHold, analysis.meterHold)
        headGap = analysis.headGap
        let feeders = stored.network.feeders.map(\.id)
        let number = Dictionary(feeders.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        self.feeders = feeders
        feeds = .allocate(capacity: feeders.count)
        let started = SystemClock.monotonicNanoseconds
        _ = feeds.initialize(
            from: feeders.map { feeder in
                guard let time = known[feeder] else { return Feed(clock: FeederClock()) }
                var feed = Feed(clock: FeederClock(now: time))
                (feed.head.time, feed.head.heardAt, feed.headTold) = (time, started, analysis.headGap)
                return feed
            })
        traits = .allocate(capacity: stored.registry.devices.count)
        for (place, device) in stored.registry.devices.enumerated() {
            let feeder = number[device.normalFeeder].map { Int32($0) } ?? -1
            traits.initializeElement(
                at: place,
                to: Traits(
                    feeder: feeder, deviceID: stored.deviceIDs[place], areaID: stored.areaIDs[place],
                    plausibility: Plausibility(
                        device, meterFactor: limits.plausibleRating, nominalFrequency: stored.network.nominalFrequency),
                    isSwitch: device.kind == .switchStatus,
                    isHead: device.kind == .feederHead,
                    clock: feeder >= 0 && device.kind != .switchStatus ? .init(device.kind, analysis) : nil))
        }
        for (place, owner) in stored.aggregators.enumerated() {
            if let owner { traits[place].owner = self.number(ofAggregator: owner) }
        }
    }

    deinit {
        traits.deallocate()
        feeds.deallocate()
    }

    /// The number by which ``pass(_:of:from:into:now:)`` knows an aggregator.
    mutating func number(ofAggregator name: String) -> Int32 {
        if let known = numbers[name] { return known }
        aggregators.append(name)
        latencies.append(limits.latencies[name] ?? .nan)
        numbers[name] = Int32(aggregators.count - 1)
        return Int32(aggregators.count - 1)
    }

    /// Puts a sample into the batch, or says why not.
    ///
    /// - Parameters:
    ///   - number: the device's, -1 when there is none of that name.
    ///   - now: microseconds, wall clock.
    mutating func pass(
        _ sample: TelemetrySample, of number: Int32, from aggregator: Int32, into batch: SampleBatch, now: Int64
    ) -> Refusal? {
        guard number >= 0 else { return .unknownDevice }
        let device = traits[Int(number)]
        let isClaim = limits.ownershipIsChecked && device.owner != aggregator
        if isClaim, device.owner >= 0 { return .notTheOwner(aggregators[Int(device.owner)]) }
        guard sample.time >= limits.oldest else { return .tooOld(limits.oldest) }
        if let retention = limits.retention, sample.time.microseconds < now - retention {
            return .beyondRetention(Timestamp(microseconds: now - retention))
        }
        let ahead = Double(sample.time.microseconds - now) / 1e6
        guard ahead <= limits.future else { return .inFuture(ahead) }
        if let quantity = sample.notFinite { return .notFinite(quantity) }
        guard !sample.isEmpty else { return .empty }
        let interval = sample.has(.interval) ? sample[.interval] : 0
        guard interval >= 0, interval <= Self.longestInterval else { return .interval(interval) }
        // Only now: a sample that is refused changes nothing.
        if isClaim {
            traits[Int(number)].owner = aggregator
            batch.claims.append(.init(id: device.deviceID, aggregator: aggregators[Int(aggregator)]))
        }

        var quality = sample.quality
        if ahead > limits.suspectFuture { quality.insert(.clockSuspect) }
        let latency = latencies[Int(aggregator)]
        if !latency.isNaN {
            let isSuspect = skews[number, default: ClockSkew()].observe(
                -ahead - latency, limit: limits.suspectSkew, trust: limits.trustedSkew)
            if isSuspect { quality.insert(.clockSuspect) }
        }
        let power = sample.totalPower
        let voltage = sample.meanVoltage
        if device.plausibility.excludes(sample, power: power, voltage: voltage) { quality.insert(.outOfRange) }
        if device.plausibility.isFarTooSmall(voltage) {
            if !device.hasShownVoltage, device.plausibility.isWrongUnit(power: power, isHead: device.isHead) {
                quality.insert(.outOfRange)
            }
        } else if !device.hasShownVoltage, voltage > device.plausibility.deadVoltage, quality.grade != .bad {
            traits[Int(number)].hasShownVoltage = true
        }

        if let rule = device.clock {
            let feeder = Int(device.feeder)
            var feed = feeds[feeder]
            if feed.clock.observe(sample.time, rule, quality) {
                quality.insert(.late)
                late += 1
                batch.noteLate(
                    feeder: feeders[feeder], area: device.areaID, from: sample.time - interval,
                    until: sample.time + hold)
            } else if FeederClock.moves(rule, quality) {
                // Samples that are late or must not be used do not end a silence.
                feed.isHeard = true
                if device.isHead, !power.isNaN, quality.grade != .bad { feed.head.note(sample.time) }
            }
            if feed.clock != feeds[feeder].clock { feed.isDirty = true }
            feeds[feeder] = feed
        }
        // Stored with the batch by the record's rule, which alone says where a switch stands; no copy for the analyser.
        if device.isSwitch, quality.grade != .bad, let position = SwitchPosition(rawValue: sample.switchPosition) {
            batch.positions.append(
                .init(
                    switchID: stored.registry.devices[Int(number)].name, area: device.areaID, position: position,
                    time: sample.time))
        }
        let isPoint = number >= firstPoint
        batch.append(
            Sample(
                device: number, time: sample.time, activePower: Float(power),
                reactivePower: Float(sample.totalReactive),
                voltage: Float(voltage), interval: Float(interval),
                stateOfCharge: Float(sample[.stateOfCharge]), leastPhasePower: Float(sample.leastPhasePower),
                unbalance: Float(sample.unbalance(base: device.plausibility.voltageBase)),
                tapPosition: sample.hasRareQuantities ? Float(sample[.tapPosition]) : .nan, quality: quality),
            deviceID: device.deviceID, areaID: device.areaID, current: Float(sample[.current]),
            frequency: Float(sample[.frequency]),
            state: sample.state, measured: isPoint ? Float(sample.meanCurrent) : .nan)
        if sample.hasRareQuantities {
            for quantity in Quantity.allCases.dropFirst(Quantity.limit.rawValue) where sample.has(quantity) {
                batch.appendExtra(
                    time: sample.time, deviceID: device.deviceID, areaID: device.areaID, quantity, sample[quantity])
            }
        }
        return nil
    }

    /// Gives a device to another aggregator, or to whoever speaks for it next.
    mutating func hand(_ device: String, to aggregator: String?) {
        guard let place = stored.registry.index[device] else { return }
        traits[Int(place)].owner = aggregator.map { number(ofAggregator: $0) } ?? -1
    }

    // MARK: Clocks

    /// Feeders' heads that have fallen silent are told at once, by our own clock: bins are open for longer than silence
    /// may last. And a feeder that was up to date and has gone silent as a whole: its clock follows our monotonic one, so that
    /// silence becomes missing bins. A feeder that replays history is left alone.
    ///
    /// - Parameters:
    ///   - now: microseconds, wall clock.
    ///   - monotonic: ns.
    mutating func tick(
        into batch: SampleBatch, now: Int64, monotonic: UInt64 = SystemClock.monotonicNanoseconds
    ) {
        for feeder in feeds.indices {
            tickHead(feeder, into: batch, now, monotonic)
            let wall = max(Timestamp(microseconds: now), feeds[feeder].clock.now)
            if feeds[feeder].isHeard {
                feeds[feeder].isHeard = false
                (feeds[feeder].heardAt, feeds[feeder].heardTime) = (monotonic, wall)
                feeds[feeder].isCurrent = wall - feeds[feeder].clock.now < 3600
            }
            let feed = feeds[feeder]
            guard feed.clock.now != .distantPast else { continue }
            let silent = Double(monotonic - min(monotonic, feed.heardAt)) / 1e9
            let time = feed.heardTime.map { $0 + silent } ?? wall
            let behind = time - feed.clock.now
            guard behind > allowance, silent > allowance / 2, feed.heardTime != nil ? feed.isCurrent : behind < 3600
            else { continue }
            let target = time - allowance
            feeds[feeder].clock.tick(to: target)
            feeds[feeder].isDirty = true
            batch.ticks.append((feeders[feeder], target))
        }
    }

    /// Seconds between two words about one silence: short at first, so that it is told with its bin.
    private static let (headTick, firstTicks, laterTick) = (1.0, 15.0, 10.0)

    private mutating func tickHead(
        _ feeder: Int, into batch: SampleBatch, _ now: Int64, _ monotonic: UInt64
    ) {
        if feeds[feeder].head.isFresh {
            feeds[feeder].head.isFresh = false
            feeds[feeder].head.hasSpoken = true
            feeds[feeder].head.heardAt = monotonic
            feeds[feeder].head.isCurrent = now - feeds[feeder].head.time.microseconds < 3_600_000_000
            feeds[feeder].headTold = headGap
            return
        }
        let head = feeds[feeder].head
        guard head.time != .distantPast, head.isCurrent, monotonic > head.heardAt else { return }
        let silent = Double(monotonic - head.heardAt) / 1e9
        // After a start its publisher has to find us first.
        guard silent >= (head.hasSpoken ? feeds[feeder].headTold : max(feeds[feeder].headTold, allowance)) else {
            return
        }
        feeds[feeder].headTold = silent + (silent < headGap + Self.firstTicks ? Self.headTick : Self.laterTick)
        let time = head.hasSpoken ? head.time + silent : max(head.time, Timestamp(microseconds: now))
        batch.silences.append((feeders[feeder], time))
    }

    /// Clocks that moved are stored with the batch.
    mutating func finish(_ batch: SampleBatch) {
        for feeder in feeds.indices where feeds[feeder].isDirty {
            let name = feeders[feeder]
            batch.clocks[name] = (stored.areaID(ofFeeder: name), feeds[feeder].clock.now)
            feeds[feeder].isDirty = false
        }
    }

    /// Late samples since this was last asked.
    mutating func takeLate() -> Int {
        defer { late = 0 }
        return late
    }
}
