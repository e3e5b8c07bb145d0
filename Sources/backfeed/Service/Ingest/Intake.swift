internal import Analysis
internal import Glibc
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// From a message to rows: envelope, identity, rate, sequence, decoding; the samples then pass the ``SampleGate``.
/// No I/O; owned by one thread.
struct Intake: ~Copyable {
    private let limits: Ingest.Limits
    private var gate: SampleGate
    private var decoder = TelemetryDecoder()
    private var tracker: SequenceTracker
    private var sources: [Source] = []
    /// Places in ``sources`` by aggregator.
    private var places: [String: Int] = [:]
    private var rejects: Rejects
    /// Topics that came before, to their envelope: a topic is parsed once.
    private var topics: [[UInt8]: TelemetryFrame] = [:]
    /// The newest of them, and its sender's place, -1 not known: most messages come from where the one before came from.
    private var recentTopic: [UInt8] = []
    private var recentFrame = TelemetryFrame(aggregator: "", encoding: .json, epoch: 0, sequence: 0)
    private var recentSource = -1
    /// Message-level answers that the control channel has not sent yet.
    private var answers: [Answer] = []

    /// What is kept of an aggregator beside its stream.
    private struct Source {
        let aggregator: String
        /// As the gate knows it.
        let number: Int32
        /// As in the table.
        var version: Int64?
        var hasMoved = false
        var messages: RateLimit
        var bytes: RateLimit
        var counts = SourceCounts()
    }

    /// A message whose sender may speak, with the place of what is kept of it.
    struct Admitted {
        let frame: TelemetryFrame
        fileprivate let source: Int
    }

    /// What an aggregator is told of a message that was refused, whole or in part.
    struct Answer {
        var aggregator: String
        var epoch, sequence: UInt64
        var reasons: [ControlMessage.Reason]
    }

    /// Where a message came from: decides what is checked again and counted.
    enum Origin { case live, replayed, spooled, spooledCopy }

    init(limits: Ingest.Limits, analysis: AnalysisSettings, stored: StoredNetwork, state: SampleStore.IngestState) {
        self.limits = limits
        rejects = Rejects(rows: limits.rejectRows, bytes: limits.batchBytes / 2, each: limits.rejectBytes)
        gate = SampleGate(limits: limits, analysis: analysis, stored: stored, clocks: state.clocks)
        tracker = SequenceTracker(streams: state.streams.mapValues(\.position), openEnded: state.openEnded)
        for (name, stream) in state.streams { _ = open(name, version: stream.versionBefore) }
    }

    private mutating func open(_ aggregator: String, version: Int64? = nil) -> Int {
        sources.append(
            Source(
                aggregator: aggregator, number: gate.number(ofAggregator: aggregator), version: version,
                messages: RateLimit(perSecond: limits.messagesPerSecond),
                bytes: RateLimit(perSecond: limits.bytesPerSecond)))
        places[aggregator] = sources.count - 1
        return sources.count - 1
    }

    /// The place of an aggregator that may be new; `nil` when there is no room for one more.
    private mutating func place(of aggregator: String) -> Int? {
        if let known = places[aggregator] { return known }
        return sources.count < limits.maximumAggregators ? open(aggregator) : nil
    }

    /// Every stream, by aggregator; made anew each time.
    var streams: [String: StreamPosition] { tracker.streams }

    func stream(of aggregator: String) -> StreamPosition? { tracker[aggregator] }

    // MARK: Admission

    /// Checks a message's envelope, who sent it and how fast, before anything is decoded or kept. What is refused here
    /// is a reject; the sequence does not move, so that it can come again.
    ///
    /// - Parameters:
    ///   - key: the sender's public key; `nil` on sockets without keys.
    ///   - isReplay: it came on the control channel. What we know to be missing, and so ask for, then does not count
    ///     against the rate; nor does what we have, which is dropped before it costs anything.
    mutating func admit(
        _ frames: MessageLog.Frames, key: String?, _ ring: KeyRing?, now: Int64, isReplay: Bool = false
    ) -> Admitted? {
        guard let (frame, known) = envelope(frames) else { return nil }
        let name = frame.aggregator
        if let ring {
            guard let owner = key.flatMap({ ring.aggregator(ofKey: $0) }) else {
                rejects.add(name, "revoked_key", "the key that sent this is not, or no longer, accepted", nil)
                return nil
            }
            guard owner == name else {
                rejects.add(
                    owner, "wrong_aggregator", "the key of \(owner) sent a message of \(name)", frames.2)
                return nil
            }
        }
        guard let place = known ?? place(of: name) else {
            rejects.add("?", "too_many_aggregators", "\(name): \(sources.count) are known", nil)
            return nil
        }
        recentSource = place
        sources[place].counts.messages += 1
        // It would shut out every right epoch until then.
        if let complaint = complaint(ofEpoch: frame.epoch, now: now) {
            refuse(frame, TelemetryFrame.Mistake.badPosition.rawValue, complaint, frames.2)
            return nil
        }
        let isKnown =
            isReplay && tracker[name].map { $0.epoch == frame.epoch && frame.sequence <= $0.last } ?? false
        let isSlowEnough =
            isKnown
            || sources[place].messages.take(1, at: now) && sources[place].bytes.take(Double(frames.2.count), at: now)
        guard isSlowEnough else {
            rejects.count(name, "rate_limited")
            return nil
        }
        return Admitted(frame: frame, source: place)
    }

    /// Why an epoch cannot be the start of a journal; `nil`: it can.
    ///
    /// - Parameter now: microseconds, wall clock.
    func complaint(ofEpoch epoch: UInt64, now: Int64) -> String? {
        let latest = now + Int64(limits.future * 1e6)
        guard latest > 0, epoch > UInt64(latest) else { return nil }
        return
            "epoch \(epoch) is more than \(Int(limits.future)) s (ingest.future_s) ahead of our clock, \(now): expected microseconds since 1970 when the journal was started"
    }

    /// Topic and position, parsed, with the sender's place if it is known; afterwards ``recentTopic`` is this one.
    private mutating func envelope(_ frames: MessageLog.Frames) -> (TelemetryFrame, Int?)? {
        do throws(TelemetryFrame.Mistake) {
            if recentTopic.count == frames.0.count, !recentTopic.isEmpty,
                recentTopic.withUnsafeBytes({ Self.areEqual($0, frames.0) })
            {
                return (try recentFrame.at(frames.1), recentSource >= 0 ? recentSource : nil)
            }
            let key = Array(frames.0)
            let frame: TelemetryFrame
            if let known = topics[key] {
                frame = try known.at(frames.1)
            } else {
                frame = try TelemetryFrame(topic: frames.0, position: frames.1)
                if topics.count > 4 * limits.maximumAggregators { topics.removeAll() }
                topics[key] = frame
            }
            let place = places[frame.aggregator]
            (recentTopic, recentFrame, recentSource) = (key, frame, place ?? -1)
            return (frame, place)
        } catch {
            let topic = String(decoding: frames.0.prefix(128), as: UTF8.self)
            rejects.add("?", error.rawValue, "topic \(topic)", frames.0)
            return nil
        }
    }

    private static func areEqual(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard let first = one.baseAddress, let second = other.baseAddress else { return one.count == other.count }
        return one.count == other.count && memcmp(first, second, one.count) == 0
    }

    /// A message that is none.
    mutating func refuse(frameCount: Int, first: UnsafeRawBufferPointer) {
        rejects.add("?", "wrong_frame_count", "\(frameCount) frames, expected 3", first)
    }

    // MARK: Messages

    /// Takes a spooled message: it was admitted when it came.
    mutating func takeSpooled(_ frames: MessageLog.Frames, isCopy: Bool, into batch: SampleBatch, now: Int64) {
        guard let (frame, known) = envelope(frames) else { return }
        let place = known ?? open(frame.aggregator)
        recentSource = place
        take(
            Admitted(frame: frame, source: place), frames, isCopy ? .spooledCopy : .spooled, into: batch, now: now)
    }

    /// Takes one admitted message. Whatever is wrong with it ends in a reject, never in an exception.
    mutating func take(
        _ admitted: Admitted, _ frames: MessageLog.Frames, _ origin: Origin, into batch: SampleBatch, now: Int64
    ) {
        let (frame, place) = (admitted.frame, admitted.source)
        let aggregator = frame.aggregator
        let verdict = tracker.judge(aggregator, epoch: frame.epoch, sequence: frame.sequence)
        switch verdict {
        case .next: break
        case .duplicate:
            if origin != .spooledCopy { sources[place].counts.duplicates += 1 }
        case .oldEpoch:
            refuse(
                frame, "old_epoch",
                "epoch \(frame.epoch) is older than \(tracker[aggregator]?.epoch ?? 0): the publisher has started afresh since",
                frames.2)
        case .tooManyGaps: rejects.count(aggregator, "too_many_gaps")
        case .gap(let range): sources[place].counts.missing += Int(clamping: range.count)
        case .filled: sources[place].counts.filled += 1
        }
        guard verdict.isTaken else { return }
        sources[place].hasMoved = true
        // What comes from the spool stays there until the batch is committed.
        if limits.keepsMessages, origin == .live || origin == .replayed { batch.messages.append(frames) }
        guard frames.2.count <= limits.maximumMessage else {
            return refuse(
                frame, "too_large", "\(frames.2.count) bytes, at most \(limits.maximumMessage)", frames.2)
        }
        decode(frames.2, admitted, batch, now)
    }

    private mutating func decode(
        _ payload: UnsafeRawBufferPointer, _ admitted: Admitted, _ batch: SampleBatch, _ now: Int64
    ) {
        let frame = admitted.frame
        batch.speaker = frame.aggregator
        let count: Int
        do throws(TelemetryDecoder.MessageMistake) {
            count = try decoder.decode(payload, frame.encoding)
        } catch {
            return refuse(frame, error.code, error.detail, payload)
        }
        var wrong: [(index: Int, code: String, detail: String)] = []
        let number = sources[admitted.source].number
        let devices = decoder.numbers(in: gate.table, count: count)
        var (oldest, newest) = (Timestamp.distantFuture, Timestamp.distantPast)
        for index in 0..<count {
            guard let sample = decoder.sample(index) else {
                let mistake = decoder.mistake(index)
                wrong.append((index, mistake.code, mistake.detail))
                continue
            }
            if let refusal = gate.pass(sample, of: devices[index], from: number, into: batch, now: now) {
                let (code, detail) = refusal.reason(sample)
                wrong.append((index, code, detail))
                continue
            }
            if sample.time < oldest { oldest = sample.time }
            if sample.time > newest { newest = sample.time }
        }
        sources[admitted.source].counts.samples += count - wrong.count
        if newest >= oldest {
            tracker.note(frame.aggregator, sequence: frame.sequence, oldest: oldest, newest: newest)
        }
        guard !wrong.isEmpty else { return }
        let own = TelemetryDecoder.SampleBytes(payload, frame.encoding, count: count)
        for (place, (index, code, detail)) in wrong.enumerated() {
            // Where a sample has no bytes of its own, the message's are kept once.
            rejects.add(frame.aggregator, code, detail, own[index] ?? (place == 0 ? payload : nil))
        }
        answer(frame, wrong.prefix(20).map { .init(device: nil, code: $0.code, detail: $0.detail) })
    }

    /// Refuses a whole message of a known aggregator.
    private mutating func refuse(
        _ frame: TelemetryFrame, _ code: String, _ detail: String, _ payload: UnsafeRawBufferPointer
    ) {
        rejects.add(frame.aggregator, code, detail, payload)
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
        guard let place = place(of: aggregator) else { return }
        let found = tracker.expect(aggregator, epoch: epoch, through: through)
        guard found > 0 else { return }
        sources[place].counts.missing += Int(clamping: found)
        sources[place].hasMoved = true
    }

    /// Does what an operator has ordered; it is marked as done with the batch.
    mutating func obey(_ order: IngestOrder, in batch: SampleBatch) {
        switch order.kind {
        case .owner: gate.hand(order.subject, to: order.aggregator)
        case .reset:
            if tracker.reset(order.subject), let place = places[order.subject] { sources[place].hasMoved = true }
        }
        batch.orders.append(order.id)
    }

    mutating func giveUp(
        _ aggregator: String, epoch: UInt64, _ range: ClosedRange<UInt64>, _ reason: LostRange.Reason
    ) {
        if tracker.giveUp(aggregator, epoch: epoch, range, reason), let place = places[aggregator] {
            sources[place].hasMoved = true
        }
    }

    // MARK: Bookkeeping

    /// Lets the clocks of silent feeders follow ours.
    ///
    /// - Parameters:
    ///   - now: microseconds, wall clock.
    ///   - monotonic: ns.
    mutating func tick(into batch: SampleBatch, now: Int64, monotonic: UInt64 = SystemClock.monotonicNanoseconds) {
        gate.tick(into: batch, now: now, monotonic: monotonic)
    }

    /// Something is to be stored, beside rows.
    var hasMoved: Bool { tracker.hasNews || !rejects.isEmpty || sources.contains(where: \.hasMoved) }

    /// Before the batch leaves: positions and clocks it moved are stored with it.
    mutating func finish(_ batch: SampleBatch) {
        for place in sources.indices where sources[place].hasMoved {
            let name = sources[place].aggregator
            guard let position = tracker[name] else { continue }
            let stream = SampleBatch.Stream(position: position, versionBefore: sources[place].version)
            batch.streams[name] = stream
            sources[place].version = stream.version
            sources[place].hasMoved = false
        }
        rejects.move(to: batch)
        batch.lost = tracker.takeLost()
        batch.lostEnds = tracker.takeEnds()
        gate.finish(batch)
    }

    mutating func report(to metrics: Metrics) {
        for place in sources.indices {
            sources[place].counts.report(sources[place].aggregator, to: metrics)
            sources[place].counts = SourceCounts()
        }
        for (aggregator, stream) in tracker.streams {
            metrics.set(
                "backfeed_sequence_missing", Double(stream.missingCount), ["aggregator": aggregator],
                help: "Messages missing now")
        }
        rejects.report(to: metrics)
        let late = gate.takeLate()
        if late > 0 {
            metrics.add(
                "backfeed_samples_late_total", Double(late), help: "Samples that came after their bin was final")
        }
    }
}
