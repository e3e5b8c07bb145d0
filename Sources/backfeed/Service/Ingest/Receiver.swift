internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// The receiving thread: telemetry and control messages in, batches out; the spool when the database is away.
///
/// The spool is one queue. While there is something on it, everything that comes goes to its end, and batches are filled
/// from its front: order stays, and a message is judged new or known when it leaves the spool. Batches that were on
/// their way to the database when it went are put on the spool too, as copies: should we be killed, they are there;
/// otherwise their sequence numbers show them to be stored already.
struct Receiver: ~Copyable {
    private let limits: Ingest.Limits
    private let exchange: IngestExchange
    private let metrics: Metrics
    private let pulse: Pulse
    private let ring: KeyRing?
    private let log = Log("ingest")

    private var live: ReceiveBuffer.Reader
    private let buffer: ReceiveBuffer
    private var control: Socket
    /// Where aggregators say hello.
    let endpoint: String
    private var intake: Intake
    private var desk: ControlDesk
    /// The newest message of the control channel.
    private var message: MessageBuffer

    private var batch: SampleBatch?
    private var openedAt: UInt64 = 0
    private var batchNumber = 0
    /// Batches that are not known to be committed, oldest first.
    private var inFlight: [SampleBatch] = []

    private let spool: Spool?
    /// The database is away, and the batches in flight are copied.
    private var isCopied = false
    /// The newest message of the live stream, or that of the control channel, did not fit onto the spool. Nothing is
    /// read before it has a place.
    private var held: Intake.Origin?
    private var toldAt: UInt64 = 0

    init(
        limits: Ingest.Limits, intake: consuming Intake, ring: KeyRing?, context: MessagingContext,
        buffer: ReceiveBuffer, exchange: IngestExchange, metrics: Metrics, pulse: Pulse
    ) throws {
        let spool =
            limits.keepsMessages
            ? try Spool(
                directory: limits.spoolDirectory, segmentBytes: limits.spoolSegmentBytes,
                maximumBytes: limits.spoolBytes, sync: limits.spoolSync) : nil
        var control = try Socket(.router, in: context)
        try control.limitMessage(bytes: limits.hardMessage)
        // Short: what comes here is asked for, and waits at the sender.
        try control.limitQueues(sending: 1000, receiving: limits.controlQueue)
        try control.linger(milliseconds: 0)
        if let key = limits.serverKey { try control.requireKeys(server: key) }
        try control.bind(limits.controlBind)
        endpoint = control.boundEndpoint()
        self.control = control
        self.buffer = buffer
        live = ReceiveBuffer.Reader(buffer)
        self.spool = spool
        self.limits = limits
        self.intake = intake
        self.ring = ring
        self.exchange = exchange
        self.metrics = metrics
        self.pulse = pulse
        desk = ControlDesk(limits.desk)
        message = MessageBuffer()
    }

    /// Until the exchange says stop.
    ///
    /// - Parameters:
    ///   - take: an empty batch, when one is free.
    ///   - deliver: hands a filled batch to the writing thread.
    ///   - drained: waits until the inlet has put everything into the buffer that it will.
    mutating func run(take: () -> SampleBatch?, deliver: (SampleBatch) -> Void, drained: () -> Void) throws {
        var lastTick: UInt64 = 0
        var lastSecond = SystemClock.monotonicNanoseconds
        while true {
            if batch == nil, let next = take() {
                next.reset()
                batch = next
                openedAt = 0
            }
            try copyInFlight()
            // Without a batch there is nowhere to put anything; while the database is away, the spool takes it.
            let canRead = held == nil && (batch != nil || isSpooling)
            let isReady = canRead && live.isReady
            let ready = try control.wait(
                alsoFor: exchange.wake.rawValue, watchingSocket: canRead, milliseconds: isReady ? 0 : patience)
            if ready.descriptor { exchange.wake.clear() }
            let state = exchange.now
            settle(state.committedBatch)
            obey(state.orders)
            try placeHeld()
            if state.isStopping {
                drained()
                try leave(take, deliver)
                return
            }
            // Bounded, so that a flood on one channel keeps us neither from the other nor from flushing.
            if ready.socket { try receiveControl() }
            try receiveTelemetry()
            drain(state)
            let now = SystemClock.monotonicNanoseconds
            if now - lastTick > 100_000_000 {
                lastTick = now
                try converse(state)
                try spool?.syncIfDue()
            }
            if now - lastSecond > 1_000_000_000 {
                lastSecond = now
                pulse.beat("ingest")
                if let batch {
                    intake.tick(into: batch, now: SystemClock.nowMicroseconds)
                    // When nobody says anything any more, that is what is to be told.
                    if openedAt == 0, !batch.isEmpty { openedAt = now }
                }
                tell()
            }
            try flush(deliver)
        }
    }

    private mutating func obey(_ orders: [IngestOrder]) {
        guard !orders.isEmpty, let batch else { return }
        for order in orders {
            intake.obey(order, in: batch)
            log.info("order obeyed", ["kind": order.kind.rawValue, "subject": order.subject])
        }
        let done = Set(orders.map(\.id))
        exchange.update { $0.orders.removeAll { done.contains($0.id) } }
        if openedAt == 0 { openedAt = SystemClock.monotonicNanoseconds }
    }

    private var isSpooling: Bool { spool?.hasBacklog ?? false || isCopied }

    /// Milliseconds to wait for something to happen.
    private var patience: Int {
        // Something is on the spool and there is room for it.
        if spool?.hasBacklog ?? false, batch != nil, !isCopied { return 0 }
        guard openedAt != 0, batch != nil else { return 100 }
        let age = Int((SystemClock.monotonicNanoseconds - openedAt) / 1_000_000)
        return min(100, max(1, limits.flushMilliseconds - age))
    }

    // MARK: In

    private mutating func receiveTelemetry() throws {
        let now = SystemClock.nowMicroseconds
        for _ in 0..<2000 {
            guard hasRoom, live.take() else { break }
            if openedAt == 0 { openedAt = SystemClock.monotonicNanoseconds }
            try take(now: now)
        }
    }

    /// The message that ``live`` has given.
    private mutating func take(now: Int64) throws {
        guard live.frameCount == 3 else {
            intake.refuse(frameCount: live.frameCount, first: live.frames.0)
            return
        }
        let frames = live.frames
        guard let admitted = intake.admit(frames, key: live.key, ring, now: now) else { return }
        try put(admitted, frames, .live, now: now)
    }

    /// Another message can be taken.
    private var hasRoom: Bool { held == nil && (isSpooling || batch.map { !isFull($0) } ?? false) }

    private func isFull(_ batch: SampleBatch) -> Bool {
        batch.count >= limits.batchRows || batch.messageBytes >= limits.batchBytes
    }

    /// Into the batch, or behind what waits on the spool.
    private mutating func put(
        _ admitted: Intake.Admitted, _ frames: MessageLog.Frames, _ origin: Intake.Origin, now: Int64
    ) throws {
        if isSpooling {
            try putOnSpool(frames, origin)
        } else if let batch {
            intake.take(admitted, frames, origin, into: batch, now: now)
        }
    }

    private mutating func receiveControl() throws {
        let now = SystemClock.nowMicroseconds
        for _ in 0..<1000 {
            guard hasRoom else { break }
            guard try control.receive(into: &message) else { break }
            guard message.count >= 2, message.surplus == 0 else { continue }
            let identity = Array(message.bytes(0))
            let key = ring == nil ? nil : message.userID
            let said: ControlMessage
            do throws(ControlMessage.Mistake) {
                said = try ControlMessage(message.bytes(1))
            } catch {
                metrics.add("backfeed_control_refused_total", 1, help: "Control messages refused")
                try answer(
                    identity,
                    .rejected(epoch: 0, sequence: 0, [.init(device: nil, code: "bad_control", detail: "\(error)")]))
                continue
            }
            switch said {
            case .hello(let name, let epoch, let firstKept, let last):
                if let ring, key.flatMap({ ring.aggregator(ofKey: $0) }) != name {
                    metrics.add("backfeed_control_refused_total", 1, help: "Control messages refused")
                    let detail = "this key does not speak for \(name)"
                    try answer(
                        identity,
                        .rejected(
                            epoch: epoch, sequence: 0, [.init(device: nil, code: "wrong_aggregator", detail: detail)]))
                    continue
                }
                if let complaint = intake.complaint(ofEpoch: epoch, now: now) {
                    metrics.add("backfeed_control_refused_total", 1, help: "Control messages refused")
                    try answer(
                        identity,
                        .rejected(
                            epoch: epoch, sequence: 0,
                            [.init(device: nil, code: TelemetryFrame.Mistake.badPosition.rawValue, detail: complaint)]))
                    continue
                }
                let actions = desk.hello(
                    from: identity, aggregator: name, epoch: epoch,
                    // What is on the spool is not judged yet, and may be what is missing.
                    firstKept: spool?.hasBacklog ?? false ? 1 : firstKept, last: last, stream: intake.stream(of: name),
                    now: seconds)
                try perform(actions)
            case .data:
                guard message.count == 5 else { continue }
                let frames = (message.bytes(2), message.bytes(3), message.bytes(4))
                guard let admitted = intake.admit(frames, key: key, ring, now: now, isReplay: true) else { continue }
                try put(admitted, frames, .replayed, now: now)
            case .gone(let epoch, let range):
                // What is on the spool is not judged yet: the aggregator will say it again when asked again.
                guard let name = desk.aggregator(of: identity), !(spool?.hasBacklog ?? false) else { continue }
                intake.giveUp(name, epoch: epoch, range, .gone)
            case .durable, .replay, .rejected: continue
            }
        }
        if openedAt == 0 { openedAt = SystemClock.monotonicNanoseconds }
    }

    // MARK: Control

    private var seconds: Double { Double(SystemClock.monotonicNanoseconds) / 1e9 }

    private mutating func answer(_ identity: [UInt8], _ said: ControlMessage) throws {
        if try !control.offer([identity, said.bytes]) { desk.forget(identity) }
    }

    private mutating func perform(_ actions: [ControlDesk.Action]) throws {
        for action in actions {
            switch action {
            case .send(let said, let identity):
                if case .replay(_, let range, _) = said {
                    metrics.add(
                        "backfeed_replay_requested_total", Double(range.count),
                        help: "Messages that were asked for again")
                }
                try answer(identity, said)
            case .expect(let name, let epoch, let through): intake.expect(name, epoch: epoch, through: through)
            case .giveUp(let name, let epoch, let range, let reason):
                log.warning(
                    "messages are declared lost",
                    [
                        "aggregator": name, "first": "\(range.lowerBound)", "last": "\(range.upperBound)",
                        "why": reason.rawValue,
                    ])
                intake.giveUp(name, epoch: epoch, range, reason)
            }
        }
    }

    private mutating func converse(_ state: IngestExchange.Contents) throws {
        for item in intake.takeAnswers() {
            guard let identity = desk.identity(of: item.aggregator) else { continue }
            try answer(identity, .rejected(epoch: item.epoch, sequence: item.sequence, item.reasons))
        }
        try perform(
            desk.tick(
                now: seconds, streams: intake.streams, committed: state.committed,
                isJudged: batch != nil && !isSpooling))
    }

    // MARK: Spool

    private mutating func putOnSpool(_ frames: MessageLog.Frames, _ origin: Intake.Origin) throws {
        guard let spool, try !spool.put(frames, isCopy: false) else { return }
        // Not read again before this one has its place: the buffer, then the sender's journal, hold what follows.
        held = origin
        metrics.add("backfeed_spool_full_total", 1, help: "Times that the spool was full and reading stopped")
        log.error("the spool is full: reading stops until there is room", ["bytes": "\(spool.bytes)"])
    }

    /// The message that did not fit goes where it can go now.
    ///
    /// - Parameter isLast: we are about to end: one message more than the spool's limit is better than one less.
    private mutating func placeHeld(isLast: Bool = false) throws {
        guard let origin = held else { return }
        let frames = origin == .live ? live.frames : (message.bytes(2), message.bytes(3), message.bytes(4))
        if isSpooling {
            guard let spool, try spool.put(frames, isCopy: false, beyondLimit: isLast) else { return }
        } else {
            guard let batch else { return }
            intake.takeSpooled(frames, isCopy: false, into: batch, now: SystemClock.nowMicroseconds)
        }
        held = nil
        log.info("there is room again: reading goes on")
    }

    /// When the database goes, what is on its way there is put on the spool too.
    ///
    /// - Parameter isLast: we are about to end: all of it, also beyond the spool's limit.
    private mutating func copyInFlight(isLast: Bool = false) throws {
        guard let spool else { return }
        guard exchange.now.storeIsAway else {
            isCopied = false
            return
        }
        guard !isCopied else { return }
        isCopied = true
        log.warning("the database is away: messages go to the spool", ["directory": limits.spoolDirectory])
        settle(exchange.now.committedBatch)
        var isWhole = true
        for item in inFlight + (batch.map { [$0] } ?? []) {
            // What came from the spool is still there, and not in `messages`.
            try item.messages.forEach { frames throws(FileError) in
                if isWhole { isWhole = try spool.put(frames, isCopy: true, beyondLimit: isLast) }
            }
        }
        if !isWhole {
            log.error("the spool is full: what is in memory is only there", ["batches": "\(inFlight.count)"])
        }
    }

    /// Fills the batch from the front of the spool.
    private mutating func drain(_ state: IngestExchange.Contents) {
        guard let batch, let spool, spool.hasBacklog, !state.storeIsAway else { return }
        let now = SystemClock.nowMicroseconds
        for _ in 0..<5000 where !isFull(batch) {
            let isMore = spool.take(for: batchNumber + 1) { frames, isCopy in
                intake.takeSpooled(frames, isCopy: isCopy, into: batch, now: now)
            }
            if !isMore { break }
        }
        if openedAt == 0 { openedAt = SystemClock.monotonicNanoseconds }
    }

    /// Batches up to this one are committed.
    private mutating func settle(_ committed: Int) {
        while let first = inFlight.first, first.number <= committed { inFlight.removeFirst() }
        spool?.settle(committed)
    }

    // MARK: Out

    private mutating func flush(_ deliver: (SampleBatch) -> Void) throws {
        guard let current = batch, openedAt != 0 else { return }
        let isDue = SystemClock.monotonicNanoseconds - openedAt >= UInt64(limits.flushMilliseconds) * 1_000_000
        guard isFull(current) || isDue else { return }
        guard !current.isEmpty || intake.hasMoved || spool?.hasMark(batchNumber + 1) ?? false else {
            openedAt = 0
            return
        }
        hand(current, deliver)
        batch = nil
    }

    private mutating func hand(_ current: SampleBatch, _ deliver: (SampleBatch) -> Void) {
        intake.finish(current)
        intake.report(to: metrics)
        batchNumber += 1
        current.number = batchNumber
        inFlight.append(current)
        deliver(current)
    }

    /// What was received is written, or is on the spool when the database is away.
    private mutating func leave(_ take: () -> SampleBatch?, _ deliver: (SampleBatch) -> Void) throws {
        try placeHeld(isLast: true)
        let deadline = SystemClock.monotonicNanoseconds + 10_000_000_000
        while live.take() {
            if !isSpooling, batch.map({ isFull($0) }) ?? true { try makeRoom(until: deadline, take, deliver) }
            try self.take(now: SystemClock.nowMicroseconds)
            try placeHeld(isLast: true)
        }
        if let batch, !batch.isEmpty || intake.hasMoved { hand(batch, deliver) }
        batch = nil
        // The writing thread tries once more. What it then cannot write must be on the spool before we are gone.
        for _ in 0..<200 {
            let state = exchange.now
            settle(state.committedBatch)
            if inFlight.isEmpty || state.storeIsAway { break }
            SystemClock.pause(milliseconds: 50)
        }
        if !inFlight.isEmpty {
            exchange.update { $0.storeIsAway = true }
            isCopied = false
            try copyInFlight(isLast: true)
        }
        try spool?.syncNow()
    }

    /// While we end: another batch, or the spool if there is none in time.
    private mutating func makeRoom(
        until deadline: UInt64, _ take: () -> SampleBatch?, _ deliver: (SampleBatch) -> Void
    ) throws {
        if let batch { hand(batch, deliver) }
        batch = take()
        while batch == nil, !exchange.now.storeIsAway, SystemClock.monotonicNanoseconds < deadline {
            SystemClock.pause(milliseconds: 10)
            batch = take()
        }
        if let batch { return batch.reset() }
        exchange.update { $0.storeIsAway = true }
        isCopied = false
        try copyInFlight(isLast: true)
    }

    private mutating func tell() {
        intake.report(to: metrics)
        for (name, silence) in desk.silences(at: seconds) {
            metrics.set(
                "backfeed_control_silence_seconds", (silence * 10).rounded() / 10, ["aggregator": name],
                help: "Time since the aggregator was last heard on the control channel")
        }
        metrics.set(
            "backfeed_receive_buffer_bytes", Double(buffer.bytes), help: "Messages that wait for the receiving thread")
        guard let spool else { return }
        let isIdle = !spool.hasBacklog && !isCopied
        metrics.set("backfeed_spool_bytes", isIdle ? 0 : Double(spool.bytes), help: "Bytes waiting on the spool")
        metrics.set(
            "backfeed_spool_messages", Double(spool.waiting),
            help: "Messages put on the spool by this run and not taken")
        metrics.set(
            "backfeed_spool_damaged", Double(spool.damaged), help: "Places of the spool that could not be read")
        let now = SystemClock.monotonicNanoseconds
        if !isIdle, now - toldAt > 5_000_000_000 {
            toldAt = now
            log.info("on the spool", ["messages": "\(spool.waiting)", "bytes": "\(spool.bytes)"])
        }
    }
}
