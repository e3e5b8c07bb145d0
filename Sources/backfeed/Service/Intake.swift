internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From a message to rows: envelope, sequence, decoding, identity, time and range. No I/O; owned by one thread.
struct Intake: ~Copyable {
    private let limits: Ingest.Limits
    private let analysis: AnalysisSettings
    private let stored: StoredNetwork
    private let table: DeviceTable
    private var decoder = TelemetryDecoder()
    private var tracker: SequenceTracker
    /// By feeder number: strings would cost more than the rest of a sample's way.
    private let feeders: [String]
    private var clocks: [FeederClock]
    private var heardAt: [Int64]
    private var isDirty: [Bool]
    private let traits: [Traits]
    private var owners: [String?]
    private var counts = Counts()

    /// What is asked of a device for each sample, without its strings.
    private struct Traits {
        var kind: DeviceKind
        /// -1 without a feeder.
        var feeder: Int
        var rating: Double
        var voltageBase: Double
    }

    /// Counted here, told to the metrics once a batch.
    private struct Counts {
        var samples: [String: Int] = [:]
        var messages: [String: Int] = [:]
        var rejects: [String: Int] = [:]
        var duplicates: [String: Int] = [:]
        var gaps: [String: Int] = [:]
        var late = 0
        /// Of the message being taken.
        var taken = 0
        var rejectsNotKept = 0
    }

    init(limits: Ingest.Limits, analysis: AnalysisSettings, stored: StoredNetwork, state: SampleStore.IngestState) {
        self.limits = limits
        self.analysis = analysis
        self.stored = stored
        table = DeviceTable(stored.registry)
        owners = stored.aggregators
        tracker = SequenceTracker(
            streams: state.streams.mapValues { StreamPosition(epoch: $0.epoch, last: $0.last, missing: $0.missing) })
        let feeders = stored.network.feeders.map(\.id)
        let number = Dictionary(feeders.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        self.feeders = feeders
        clocks = feeders.map { state.clocks[$0].map { FeederClock(now: $0) } ?? FeederClock() }
        heardAt = Array(repeating: 0, count: feeders.count)
        isDirty = Array(repeating: false, count: feeders.count)
        traits = stored.registry.devices.map {
            Traits(
                kind: $0.kind, feeder: number[$0.normalFeeder] ?? -1, rating: $0.rating, voltageBase: $0.voltageBase)
        }
    }

    /// Takes one message. Whatever is wrong with it ends in a reject, never in an exception.
    mutating func take(_ message: borrowing MessageBuffer, into batch: SampleBatch, now: Int64) {
        guard message.count == 3, message.surplus == 0 else {
            let text = message.count > 0 ? Array(message.bytes(0).prefix(limits.rejectBytes)) : []
            return reject(
                batch, "?", "wrong_frame_count", "\(message.count + message.surplus) frames, expected 3", text)
        }
        let payload = message.bytes(2)
        let frame: TelemetryFrame
        do throws(TelemetryFrame.Mistake) {
            frame = try TelemetryFrame(topic: message.bytes(0), position: message.bytes(1))
        } catch {
            let topic = String(decoding: message.bytes(0).prefix(128), as: UTF8.self)
            return reject(
                batch, "?", error.rawValue, "topic \(topic)", Array(message.bytes(0).prefix(limits.rejectBytes)))
        }
        let aggregator = frame.aggregator
        counts.messages[aggregator, default: 0] += 1
        let before = tracker.streams[aggregator]
        switch tracker.judge(aggregator, epoch: frame.epoch, sequence: frame.sequence) {
        case .duplicate:
            counts.duplicates[aggregator, default: 0] += 1
            return
        case .oldEpoch:
            return reject(
                batch, aggregator, "old_epoch",
                "epoch \(frame.epoch) is older than \(before?.epoch ?? 0): the publisher has started afresh since",
                bytes(payload))
        case .gap(let range):
            counts.gaps[aggregator, default: 0] += Int(clamping: range.upperBound - range.lowerBound + 1)
        case .next, .filled: break
        }
        note(aggregator, before, in: batch)
        guard payload.count <= limits.maximumMessage else {
            return reject(
                batch, aggregator, "too_large", "\(payload.count) bytes, at most \(limits.maximumMessage)",
                bytes(payload))
        }
        decode(payload, frame, batch, now)
    }

    private mutating func decode(
        _ payload: UnsafeRawBufferPointer, _ frame: TelemetryFrame, _ batch: SampleBatch, _ now: Int64
    ) {
        var decoder = TelemetryDecoder()
        swap(&decoder, &self.decoder)
        defer { swap(&decoder, &self.decoder) }
        do throws(TelemetryDecoder.MessageMistake) {
            var found: [(index: Int, code: String, detail: String)] = []
            try decoder.decode(payload, frame.encoding) { index, sample, mistake in
                guard let sample else {
                    found.append((index, mistake?.code ?? "malformed", mistake?.detail ?? ""))
                    return
                }
                if let problem = store(sample, frame.aggregator, batch, now) {
                    found.append((index, problem.0, problem.1))
                }
            }
            counts.samples[frame.aggregator, default: 0] += counts.taken
            counts.taken = 0
            for (index, code, detail) in found {
                let own = TelemetryDecoder.bytes(of: index, in: payload, frame.encoding)
                reject(batch, frame.aggregator, code, detail, bytes(own))
            }
        } catch {
            reject(batch, frame.aggregator, error.code, error.detail, bytes(payload))
        }
    }

    /// Stores a sample, or says why not.
    private mutating func store(
        _ sample: TelemetrySample, _ aggregator: String, _ batch: SampleBatch, _ now: Int64
    ) -> (String, String)? {
        func name() -> String { String(decoding: sample.device.prefix(96), as: UTF8.self) }
        guard let number = table.number(of: sample.device) else {
            return ("unknown_device", "no device is called \"\(name())\"")
        }
        let index = Int(number)
        if limits.ownershipIsChecked {
            if let owner = owners[index] {
                guard owner == aggregator else { return ("wrong_aggregator", "\(name()) belongs to \(owner)") }
            } else {
                owners[index] = aggregator
                batch.claims.append((stored.deviceIDs[index], aggregator))
            }
        }
        guard sample.time >= limits.oldest else { return ("time_too_old", "\(sample.time) is before \(limits.oldest)") }
        let ahead = Double(sample.time.microseconds - now) / 1e6
        guard ahead <= limits.future else {
            return ("time_in_future", "\(sample.time) is \(Int(ahead)) s ahead of our clock")
        }
        if let quantity = sample.notFinite { return ("not_finite", "\(name()): \(quantity.name) is no finite number") }
        guard !sample.isEmpty else { return ("no_quantity", "\(name()): the sample carries no quantity") }

        let device = traits[index]
        var quality = sample.quality
        if ahead > limits.suspectFuture { quality.insert(.clockSuspect) }
        let power = total(sample, .activePower, .activePowerA, .activePowerB, .activePowerC)
        let reactive = total(sample, .reactivePower, .reactivePowerA, .reactivePowerB, .reactivePowerC)
        let voltage = sample.has(.voltage) ? sample[.voltage] : mean(sample, .voltageA, .voltageB, .voltageC)
        quality.formUnion(Self.outOfRange(sample, device, power: power, voltage: voltage))

        if device.feeder >= 0, device.kind != .switchStatus {
            let before = clocks[device.feeder].now
            if clocks[device.feeder].observe(sample.time, kind: device.kind, grade: quality.grade, analysis) {
                quality.insert(.late)
                counts.late += 1
            }
            heardAt[device.feeder] = now
            if clocks[device.feeder].now != before { isDirty[device.feeder] = true }
        }
        let interval = sample.has(.interval) ? sample[.interval] : 0
        batch.append(
            Sample(
                device: number, time: sample.time, activePower: Float(power), reactivePower: Float(reactive),
                voltage: Float(voltage), interval: Float(max(0, interval)), quality: quality,
                switchPosition: SwitchPosition(rawValue: sample.switchPosition)),
            deviceID: stored.deviceIDs[index], areaID: stored.areaIDs[index], current: Float(sample[.current]),
            frequency: Float(sample[.frequency]), stateOfCharge: Float(sample[.stateOfCharge]), state: sample.state)
        if sample.hasRareQuantities {
            for quantity in Quantity.allCases.dropFirst(Quantity.limit.rawValue) where sample.has(quantity) {
                batch.appendExtra(
                    time: sample.time, deviceID: stored.deviceIDs[index], areaID: stored.areaIDs[index], quantity,
                    sample[quantity])
            }
        }
        counts.taken += 1
        return nil
    }

    /// The total as sent, or the sum when all three phases are there: a missing phase is never taken as zero.
    private func total(_ sample: TelemetrySample, _ whole: Quantity, _ a: Quantity, _ b: Quantity, _ c: Quantity)
        -> Double
    {
        sample.has(whole) ? sample[whole] : sample[a] + sample[b] + sample[c]
    }

    private func mean(_ sample: TelemetrySample, _ phases: Quantity...) -> Double {
        let present = phases.filter { sample.has($0) }.map { sample[$0] }
        return present.isEmpty ? .nan : present.reduce(0, +) / Double(present.count)
    }

    /// `domain-rules.md` A.6: outside what is physically possible.
    private static func outOfRange(_ sample: TelemetrySample, _ device: Traits, power: Double, voltage: Double)
        -> Quality
    {
        if device.kind.isDER, device.rating > 0, abs(power) > 1.2 * device.rating + 1000 { return .outOfRange }
        if device.voltageBase > 0, voltage < 0 || voltage > 2 * device.voltageBase { return .outOfRange }
        let charge = sample[.stateOfCharge]
        if charge < 0 || charge > 100 { return .outOfRange }
        let frequency = sample[.frequency]
        return frequency < 40 || frequency > 72 ? .outOfRange : []
    }

    // MARK: Bookkeeping

    private mutating func note(_ aggregator: String, _ before: StreamPosition?, in batch: SampleBatch) {
        guard let after = tracker.streams[aggregator] else { return }
        if batch.streams[aggregator] == nil, let before { batch.before[aggregator] = (before.epoch, before.last) }
        batch.streams[aggregator] = SampleBatch.Stream(
            aggregator: aggregator, epoch: after.epoch, last: after.last, missing: after.missing)
    }

    private func bytes(_ payload: UnsafeRawBufferPointer) -> [UInt8] { Array(payload.prefix(limits.rejectBytes)) }

    private mutating func reject(
        _ batch: SampleBatch, _ aggregator: String, _ reason: String, _ detail: String, _ bytes: [UInt8]
    ) {
        counts.rejects["\(aggregator)\n\(reason)", default: 0] += 1
        guard batch.rejects.count < limits.rejectRows else {
            counts.rejectsNotKept += 1
            return
        }
        batch.rejects.append(
            .init(aggregator: aggregator, reason: reason, detail: String(detail.prefix(500)), bytes: bytes))
    }

    /// A feeder that was up to date and has gone silent: its clock follows ours, so that silence becomes missing bins.
    /// A feeder that replays history is left alone.
    mutating func tick(into batch: SampleBatch, now: Int64) {
        let allowance = 3 * analysis.scadaLateness
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

    /// Before the batch leaves: the clocks it moved are stored with it.
    mutating func finish(_ batch: SampleBatch) {
        for feeder in feeders.indices where isDirty[feeder] {
            let name = feeders[feeder]
            batch.clocks[name] = (stored.areaID(ofFeeder: name), clocks[feeder].now)
            isDirty[feeder] = false
        }
    }

    mutating func report(to metrics: Metrics) {
        for (aggregator, count) in counts.samples {
            metrics.add(
                "backfeed_samples_accepted_total", Double(count), ["aggregator": aggregator],
                help: "Samples that passed every check")
        }
        for (aggregator, count) in counts.messages {
            metrics.add(
                "backfeed_messages_received_total", Double(count), ["aggregator": aggregator],
                help: "Telemetry messages received")
        }
        for (key, count) in counts.rejects {
            let parts = key.split(separator: "\n", maxSplits: 1).map(String.init)
            metrics.add(
                "backfeed_rejects_total", Double(count), ["aggregator": parts[0], "reason": parts[1]],
                help: "Messages and samples refused, by reason")
        }
        for (aggregator, count) in counts.duplicates {
            metrics.add(
                "backfeed_messages_duplicate_total", Double(count), ["aggregator": aggregator],
                help: "Messages that had come before")
        }
        for (aggregator, count) in counts.gaps {
            metrics.add(
                "backfeed_sequence_gap_messages_total", Double(count), ["aggregator": aggregator],
                help: "Messages found missing when a later one came")
        }
        for (aggregator, stream) in tracker.streams {
            metrics.set(
                "backfeed_sequence_missing", Double(stream.missingCount), ["aggregator": aggregator],
                help: "Messages missing now")
        }
        if counts.late > 0 {
            metrics.add(
                "backfeed_samples_late_total", Double(counts.late), help: "Samples that came after their bin was final")
        }
        if counts.rejectsNotKept > 0 {
            metrics.add(
                "backfeed_rejects_not_kept_total", Double(counts.rejectsNotKept), help: "Rejects counted but not stored"
            )
        }
        counts = Counts()
    }
}
