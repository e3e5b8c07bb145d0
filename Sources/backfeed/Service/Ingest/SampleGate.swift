internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From a decoded sample to a row: device, owner, time, range, and the clock of its feeder. No I/O, no `String` a sample.
struct SampleGate: ~Copyable {
    private let limits: Ingest.Limits
    private let stored: StoredNetwork
    private let table: DeviceTable
    private let traits: [Traits]
    /// Numbers of the aggregators that own devices, and theirs by device; -1: nobody has spoken for it yet.
    private var aggregators: [String] = []
    private var numbers: [String: Int32] = [:]
    private var owners: [Int32]
    /// By feeder number: strings would cost more than the rest of a sample's way.
    private let feeders: [String]
    private var clocks: [FeederClock]
    private var heardAt: [Int64]
    private var isDirty: [Bool]
    /// Seconds of silence after which a feeder's clock follows ours.
    private let allowance: Double
    /// How long a late sample's value may have been held: what it changes reaches that far.
    private let hold: Double
    private(set) var late = 0

    /// What is asked of a device for each sample.
    private struct Traits {
        /// -1 without a feeder.
        var feeder: Int
        var plausibility: Plausibility
        /// `nil`: its samples are no part of the feeder's time.
        var clock: FeederClock.Rule?
    }

    /// Why a sample is refused.
    enum Refusal {
        case unknownDevice
        case notTheOwner(String)
        case tooOld(Timestamp)
        /// Seconds ahead of our clock.
        case inFuture(Double)
        case notFinite(Quantity)
        case empty

        func reason(_ sample: TelemetrySample) -> (code: String, detail: String) {
            let name = String(decoding: sample.device.prefix(96), as: UTF8.self)
            return switch self {
            case .unknownDevice: ("unknown_device", "no device is called \"\(name)\"")
            case .notTheOwner(let owner): ("wrong_aggregator", "\(name) belongs to \(owner)")
            case .tooOld(let oldest): ("time_too_old", "\(sample.time) is before \(oldest)")
            case .inFuture(let ahead): ("time_in_future", "\(sample.time) is \(Int(ahead)) s ahead of our clock")
            case .notFinite(let quantity): ("not_finite", "\(name): \(quantity.name) is no finite number")
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
        owners = []
        allowance = 3 * analysis.scadaLateness
        hold = max(analysis.derHold, analysis.meterHold)
        let feeders = stored.network.feeders.map(\.id)
        let number = Dictionary(feeders.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        self.feeders = feeders
        clocks = feeders.map { known[$0].map { FeederClock(now: $0) } ?? FeederClock() }
        heardAt = Array(repeating: 0, count: feeders.count)
        isDirty = Array(repeating: false, count: feeders.count)
        traits = stored.registry.devices.map { device in
            let feeder = number[device.normalFeeder] ?? -1
            return Traits(
                feeder: feeder, plausibility: Plausibility(device),
                clock: feeder >= 0 && device.kind != .switchStatus ? .init(device.kind, analysis) : nil)
        }
        owners.reserveCapacity(stored.aggregators.count)
        for owner in stored.aggregators { owners.append(owner.map { self.number(ofAggregator: $0) } ?? -1) }
    }

    /// The number by which ``pass(_:from:into:now:)`` knows an aggregator.
    mutating func number(ofAggregator name: String) -> Int32 {
        if let known = numbers[name] { return known }
        aggregators.append(name)
        numbers[name] = Int32(aggregators.count - 1)
        return Int32(aggregators.count - 1)
    }

    /// Puts a sample into the batch, or says why not.
    ///
    /// - Parameter now: microseconds, wall clock.
    mutating func pass(_ sample: TelemetrySample, from aggregator: Int32, into batch: SampleBatch, now: Int64)
        -> Refusal?
    {
        guard let number = table.number(of: sample.device) else { return .unknownDevice }
        let index = Int(number)
        if limits.ownershipIsChecked {
            let owner = owners[index]
            if owner < 0 {
                owners[index] = aggregator
                batch.claims.append((stored.deviceIDs[index], aggregators[Int(aggregator)]))
            } else if owner != aggregator {
                return .notTheOwner(aggregators[Int(owner)])
            }
        }
        guard sample.time >= limits.oldest else { return .tooOld(limits.oldest) }
        let ahead = Double(sample.time.microseconds - now) / 1e6
        guard ahead <= limits.future else { return .inFuture(ahead) }
        if let quantity = sample.notFinite { return .notFinite(quantity) }
        guard !sample.isEmpty else { return .empty }

        let device = traits[index]
        var quality = sample.quality
        if ahead > limits.suspectFuture { quality.insert(.clockSuspect) }
        let power = sample.totalPower
        let voltage = sample.meanVoltage
        if device.plausibility.excludes(sample, power: power, voltage: voltage) { quality.insert(.outOfRange) }
        let interval = sample.has(.interval) ? max(0, sample[.interval]) : 0

        if let rule = device.clock {
            let before = clocks[device.feeder].now
            if clocks[device.feeder].observe(sample.time, rule, grade: quality.grade) {
                quality.insert(.late)
                late += 1
                batch.noteLate(
                    feeder: feeders[device.feeder], area: stored.areaIDs[index], from: sample.time - interval,
                    until: sample.time + hold)
            }
            heardAt[device.feeder] = now
            if clocks[device.feeder].now != before { isDirty[device.feeder] = true }
        }
        let (deviceID, areaID) = (stored.deviceIDs[index], stored.areaIDs[index])
        batch.append(
            Sample(
                device: number, time: sample.time, activePower: Float(power),
                reactivePower: Float(sample.totalReactive),
                voltage: Float(voltage), interval: Float(interval),
                stateOfCharge: Float(sample[.stateOfCharge]), quality: quality,
                switchPosition: SwitchPosition(rawValue: sample.switchPosition)),
            deviceID: deviceID, areaID: areaID, current: Float(sample[.current]), frequency: Float(sample[.frequency]),
            state: sample.state)
        if sample.hasRareQuantities {
            for quantity in Quantity.allCases.dropFirst(Quantity.limit.rawValue) where sample.has(quantity) {
                batch.appendExtra(
                    time: sample.time, deviceID: deviceID, areaID: areaID, quantity, sample[quantity])
            }
        }
        return nil
    }

    // MARK: Clocks

    /// A feeder that was up to date and has gone silent: its clock follows ours, so that silence becomes missing bins.
    /// A feeder that replays history is left alone.
    mutating func tick(into batch: SampleBatch, now: Int64) {
        for feeder in feeders.indices where clocks[feeder].now != .distantPast {
            let behind = Double(now - clocks[feeder].now.microseconds) / 1e6
            let silent = Double(now - heardAt[feeder]) / 1e6
            guard behind > allowance, behind < 3600, silent > allowance / 2 else { continue }
            let target = Timestamp(microseconds: now) - allowance
            clocks[feeder].tick(to: target)
            isDirty[feeder] = true
            batch.ticks.append((feeders[feeder], target))
        }
    }

    /// Clocks that moved are stored with the batch.
    mutating func finish(_ batch: SampleBatch) {
        for feeder in feeders.indices where isDirty[feeder] {
            let name = feeders[feeder]
            batch.clocks[name] = (stored.areaID(ofFeeder: name), clocks[feeder].now)
            isDirty[feeder] = false
        }
    }

    /// Late samples since this was last asked.
    mutating func takeLate() -> Int {
        defer { late = 0 }
        return late
    }
}
