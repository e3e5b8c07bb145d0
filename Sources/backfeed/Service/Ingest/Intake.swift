internal import Analysis
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From a message to rows: envelope, identity, rate, sequence, decoding, time and range. No I/O; owned by one thread.
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
    /// By aggregator; versions as in the table.
    private var sources: [String: Source] = [:]
    private var counts = Counts()
    /// Topics that came before, to their envelope: a topic is parsed once.
    private var topics: [[UInt8]: TelemetryFrame] = [:]
    /// Message-level answers that the control channel has not sent yet.
    private var answers: [Answer] = []
    /// Newest and oldest sample of the message being taken.
    private var span: (oldest: Timestamp, newest: Timestamp) = (.distantFuture, .distantPast)

    /// What is kept of an aggregator beside its stream.
    private struct Source {
        var version: Int64?
        var hasMoved = false
        var messages: RateLimit
        var bytes: RateLimit
    }

    /// What an aggregator is told of a message that was refused, whole or in part.
    struct Answer {
        var aggregator: String
        var epoch, sequence: UInt64
        var reasons: [ControlMessage.Reason]
    }

    /// Where a message came from: decides what is checked again and counted.
    enum Origin { case live, replayed, spooled, spooledCopy }

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
        var filled: [String: Int] = [:]
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
        tracker = SequenceTracker(streams: state.streams.mapValues(\.position), openEnded: state.openEnded)
        for (name, stream) in state.streams { sources[name] = Self.source(limits, version: stream.versionBefore) }
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

    private static func source(_ limits: Ingest.Limits, version: Int64?) -> Source {
        Source(
            version: version, messages: RateLimit(perSecond: limits.messagesPerSecond),
            bytes: RateLimit(perSecond: limits.bytesPerSecond))
    }

    var streams: [String: StreamPosition] { tracker.streams }

    // MARK: Admission

    /// Checks a message's envelope, who sent it and how fast, before anything is decoded or kept. What is refused here
    /// is a reject; the sequence does not move, so that it can come again.
    ///
    /// - Parameters:
    ///   - key: the sender's public key; `nil` on sockets without keys.
    ///   - isReplay: it came on the control channel. What we know to be missing, and so ask for, then does not count
    ///     against the rate; nor does what we have, which is dropped before it costs anything.
    mutating func admit(
        _ frames: MessageLog.Frames, key: String?, _ ring: KeyRing?, into batch: SampleBatch, now: Int64,
        isReplay: Bool = false
    ) -> TelemetryFrame? {
        guard let frame = envelope(frames, batch) else { return nil }
        let name = frame.aggregator
        if let ring {
            guard let owner = key.flatMap({ ring.aggregator(ofKey: $0) }) else {
                reject(batch, name, "revoked_key", "the key that sent this is not, or no longer, accepted", [])
                return nil
            }
            guard owner == name else {
                reject(
                    batch, owner, "wrong_aggregator", "the key of \(owner) sent a message of \(name)",
                    bytes(frames.2))
                return nil
            }
        }
        if sources[name] == nil {
            guard sources.count < limits.maximumAggregators else {
                reject(batch, "?", "too_many_aggregators", "\(name): \(sources.count) are known", [])
                return nil
            }
            sources[name] = Self.source(limits, version: nil)
        }
        counts.messages[name, default: 0] += 1
        let isKnown =
            isReplay && tracker.streams[name].map { $0.epoch == frame.epoch && frame.sequence <= $0.last } ?? false
        let isSlowEnough =
            isKnown
            || sources[name]?.messages.take(1, at: now) ?? true
                && sources[name]?.bytes.take(Double(frames.2.count), at: now) ?? true
        guard isSlowEnough else {
            counts.rejects["\(name)\nrate_limited", default: 0] += 1
            return nil
        }
        return frame
    }

    /// Topic and position, parsed; a topic that came before costs a look-up.
    private mutating func envelope(_ frames: MessageLog.Frames, _ batch: SampleBatch) -> TelemetryFrame? {
        do throws(TelemetryFrame.Mistake) {
            let key = Array(frames.0)
            if let known = topics[key] { return try known.at(frames.1) }
            let frame = try TelemetryFrame(topic: frames.0, position: frames.1)
            if topics.count > 4 * limits.maximumAggregators { topics.removeAll() }
            topics[key] = frame
            return frame
        } catch {
            let topic = String(decoding: frames.0.prefix(128), as: UTF8.self)
            reject(batch, "?", error.rawValue, "topic \(topic)", Array(frames.0.prefix(limits.rejectBytes)))
            return nil
        }
    }

    /// A message that is none.
    mutating func refuse(_ message: borrowing MessageBuffer, into batch: SampleBatch) {
        let text = message.count > 0 ? Array(message.bytes(0).prefix(limits.rejectBytes)) : []
        reject(batch, "?", "wrong_frame_count", "\(message.count + message.surplus) frames, expected 3", text)
    }

    // MARK: Messages

    /// Takes a spooled message: it was admitted when it came.
    mutating func takeSpooled(_ frames: MessageLog.Frames, isCopy: Bool, into batch: SampleBatch, now: Int64) {
        guard let frame = envelope(frames, batch) else { return }
        if sources[frame.aggregator] == nil { sources[frame.aggregator] = Self.source(limits, version: nil) }
        take(frame, frames, isCopy ? .spooledCopy : .spooled, into: batch, now: now)
    }

    /// Takes one admitted message. Whatever is wrong with it ends in a reject, never in an exception.
    mutating func take(
        _ frame: TelemetryFrame, _ frames: MessageLog.Frames, _ origin: Origin, into batch: SampleBatch, now: Int64
    ) {
        let aggregator = frame.aggregator
        let verdict = tracker.judge(aggregator, epoch: frame.epoch, sequence: frame.sequence)
        switch verdict {
        case .duplicate:
            if origin != .spooledCopy { counts.duplicates[aggregator, default: 0] += 1 }
        case .oldEpoch:
            refuse(
                frame, batch, "old_epoch",
                "epoch \(frame.epoch) is older than \(tracker.streams[aggregator]?.epoch ?? 0): the publisher has started afresh since",
                frames.2)
        case .tooManyGaps:
            counts.rejects["\(aggregator)\ntoo_many_gaps", default: 0] += 1
        case .gap(let range): counts.gaps[aggregator, default: 0] += Int(clamping: range.count)
        case .filled: counts.filled[aggregator, default: 0] += 1
        case .next: break
        }
        guard verdict.isTaken else { return }
        sources[aggregator]?.hasMoved = true
        // What comes from the spool stays there until the batch is committed.
        if limits.keepsMessages, origin == .live || origin == .replayed { batch.messages.append(frames) }
        guard frames.2.count <= limits.maximumMessage else {
            return refuse(
                frame, batch, "too_large", "\(frames.2.count) bytes, at most \(limits.maximumMessage)", frames.2)
        }
        span = (.distantFuture, .distantPast)
        decode(frames.2, frame, batch, now)
        if span.newest >= span.oldest {
            tracker.note(aggregator, sequence: frame.sequence, oldest: span.oldest, newest: span.newest)
        }
    }

    /// Refuses a whole message of a known aggregator.
    private mutating func refuse(
        _ frame: TelemetryFrame, _ batch: SampleBatch, _ code: String, _ detail: String,
        _ payload: UnsafeRawBufferPointer
    ) {
        reject(batch, frame.aggregator, code, detail, bytes(payload))
        answer(frame, [.init(device: nil, code: code, detail: detail)])
    }

    private mutating func answer(_ frame: TelemetryFrame, _ reasons: [ControlMessage.Reason]) {
        guard !reasons.isEmpty, answers.count < 100 else { return }
        answers.append(
            Answer(aggregator: frame.aggregator, epoch: frame.epoch, sequence: frame.sequence, reasons: reasons))
    }

    /// What the control channel should tell the aggregators, once.
    mutating func takeAnswers() -> [Answer] {
        defer { answers.removeAll(keepingCapacity: true) }
        return answers
    }

    // MARK: Control

    mutating func expect(_ aggregator: String, epoch: UInt64, through: UInt64) {
        if sources[aggregator] == nil {
            guard sources.count < limits.maximumAggregators else { return }
            sources[aggregator] = Self.source(limits, version: nil)
        }
        let found = tracker.expect(aggregator, epoch: epoch, through: through)
        guard found > 0 else { return }
        counts.gaps[aggregator, default: 0] += Int(clamping: found)
        sources[aggregator]?.hasMoved = true
    }

    mutating func giveUp(
        _ aggregator: String, epoch: UInt64, _ range: ClosedRange<UInt64>, _ reason: LostRange.Reason
    ) {
        if tracker.giveUp(aggregator, epoch: epoch, range, reason) { sources[aggregator]?.hasMoved = true }
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
            guard !found.isEmpty else { return }
            for (index, code, detail) in found {
                let own = TelemetryDecoder.bytes(of: index, in: payload, frame.encoding)
                reject(batch, frame.aggregator, code, detail, bytes(own))
            }
            answer(frame, found.prefix(20).map { .init(device: nil, code: $0.code, detail: $0.detail) })
        } catch {
            refuse(frame, batch, error.code, error.detail, payload)
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
        if sample.time < span.oldest { span.oldest = sample.time }
        if sample.time > span.newest { span.newest = sample.time }
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

    /// Something is to be stored, beside rows and rejects.
    var hasMoved: Bool { tracker.hasNews || sources.values.contains(where: \.hasMoved) }

    /// Before the batch leaves: positions and clocks it moved are stored with it.
    mutating func finish(_ batch: SampleBatch) {
        for (name, source) in sources where source.hasMoved {
            guard let position = tracker.streams[name] else { continue }
            let stream = SampleBatch.Stream(position: position, versionBefore: source.version)
            batch.streams[name] = stream
            sources[name]?.version = stream.version
            sources[name]?.hasMoved = false
        }
        batch.lost = tracker.takeLost()
        batch.lostEnds = tracker.takeEnds()
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
        for (aggregator, count) in counts.filled {
            metrics.add(
                "backfeed_messages_filled_total", Double(count), ["aggregator": aggregator],
                help: "Missing messages that came after all")
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
