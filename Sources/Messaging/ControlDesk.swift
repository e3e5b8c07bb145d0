public import GridModel

/// The service's side of the control channel: who is there, what to ask for, what to say. A pure value: time is an
/// input, what is to be done comes back as actions.
public struct ControlDesk: Sendable {
    public struct Limits: Sendable {
        /// Between a gap and the first request: a message may only have been overtaken.
        public var grace: Double
        /// Until a request that brought nothing is repeated; doubled each time up to `longestWait`.
        public var firstWait: Double
        public var longestWait: Double
        /// Messages asked for at a time.
        public var credit: UInt64
        /// Between two `durable` to one aggregator.
        public var durableInterval: Double
        /// After which a gap that nobody fills is declared lost.
        public var giveUp: Double

        /// Seconds and messages; `giveUp` 0: never.
        public init(
            grace: Double = 0.2, firstWait: Double = 1, longestWait: Double = 60, credit: UInt64 = 512,
            durableInterval: Double = 1, giveUp: Double = 86_400
        ) {
            self.grace = grace
            self.firstWait = firstWait
            self.longestWait = longestWait
            self.credit = credit
            self.durableInterval = durableInterval
            self.giveUp = giveUp
        }
    }

    public enum Action: Sendable, Equatable {
        case send(ControlMessage, to: [UInt8])
        /// The aggregator has sent everything up to `through`: see ``SequenceTracker/expect(_:epoch:through:)``.
        case expect(aggregator: String, epoch: UInt64, through: UInt64)
        case giveUp(aggregator: String, epoch: UInt64, ClosedRange<UInt64>, LostRange.Reason)
    }

    private struct Request: Sendable {
        var range: ClosedRange<UInt64>
        var movedAt: Double
        var wait: Double
        var left: UInt64
    }

    private struct Session: Sendable {
        var identity: [UInt8]
        var epoch: UInt64
        var firstKept: UInt64
        /// What the aggregator said it has sent, and since when we have not all of it.
        var announced: UInt64
        var behindSince: Double?
        var heardAt: Double
        var request: Request?
        /// Kept from request to request, so that an aggregator that never answers is asked ever less often.
        var wait: Double
        var durable: (epoch: UInt64, sequence: UInt64) = (0, 0)
        var durableAt = -Double.infinity
    }

    private let limits: Limits
    private var sessions: [String: Session] = [:]
    private var names: [[UInt8]: String] = [:]
    /// Since when each stream misses something without a step forward.
    private var stuckSince: [String: (at: Double, missing: UInt64)] = [:]

    public init(_ limits: Limits = Limits()) { self.limits = limits }

    /// The aggregator behind a router identity, once it has said hello.
    public func aggregator(of identity: [UInt8]) -> String? { names[identity] }
    public func identity(of aggregator: String) -> [UInt8]? { sessions[aggregator]?.identity }
    public var count: Int { sessions.count }

    /// Seconds since each aggregator was last heard on the control channel.
    public func silences(at now: Double) -> [String: Double] { sessions.mapValues { now - $0.heardAt } }

    public mutating func hello(
        from identity: [UInt8], aggregator: String, epoch: UInt64, firstKept: UInt64, last: UInt64,
        stream: StreamPosition?, now: Double
    ) -> [Action] {
        if let stream, epoch < stream.epoch {
            let detail = "epoch \(epoch) is older than \(stream.epoch): start a new, larger one"
            return [
                .send(
                    .rejected(epoch: epoch, sequence: 0, [.init(device: nil, code: "old_epoch", detail: detail)]),
                    to: identity)
            ]
        }
        var session =
            sessions[aggregator]
            ?? Session(
                identity: identity, epoch: epoch, firstKept: firstKept, announced: 0, heardAt: now,
                wait: limits.firstWait)
        if session.identity != identity || session.epoch != epoch {
            // Another connection or another journal: what was asked of the one before is asked again.
            names[session.identity] = nil
            session.identity = identity
            session.request = nil
            session.wait = limits.firstWait
            session.durable = (0, 0)
            if session.epoch != epoch { (session.announced, session.behindSince) = (0, nil) }
        }
        session.epoch = epoch
        session.firstKept = firstKept
        session.heardAt = now
        session.announced = max(session.announced, last)
        sessions[aggregator] = session
        names[identity] = aggregator
        guard let stream, stream.epoch == epoch, firstKept > 1,
            stream.missing.contains(where: { $0.sequences.lowerBound < firstKept })
        else { return [] }
        return [.giveUp(aggregator: aggregator, epoch: epoch, 1...(firstKept - 1), .gone)]
    }

    /// The peer cannot be reached any more.
    public mutating func forget(_ identity: [UInt8]) {
        guard let name = names.removeValue(forKey: identity), sessions[name]?.identity == identity else { return }
        sessions[name] = nil
    }

    /// What is due now. Call several times a second.
    ///
    /// - Parameters:
    ///   - streams: as the tracker sees them.
    ///   - committed: as the table has them.
    ///   - isJudged: false while messages wait on the spool: nothing can then be called missing.
    public mutating func tick(
        now: Double, streams: [String: StreamPosition], committed: [String: StreamPosition], isJudged: Bool = true
    ) -> [Action] {
        var actions: [Action] = []
        for (name, session) in sessions.sorted(by: { $0.key < $1.key }) {
            var session = session
            actions += Self.tick(name, &session, now, streams[name], committed[name], limits, isJudged)
            sessions[name] = session
        }
        guard isJudged else { return actions }
        for (name, stream) in streams {
            let missing = stream.missingCount
            guard missing > 0 else {
                stuckSince[name] = nil
                continue
            }
            guard let stuck = stuckSince[name], stuck.missing == missing else {
                stuckSince[name] = (now, missing)
                continue
            }
            if limits.giveUp > 0, now - stuck.at > limits.giveUp {
                actions.append(.giveUp(aggregator: name, epoch: stream.epoch, 1...stream.last, .givenUp))
            }
        }
        return actions
    }

    private static func tick(
        _ name: String, _ session: inout Session, _ now: Double, _ stream: StreamPosition?,
        _ committed: StreamPosition?, _ limits: Limits, _ isJudged: Bool
    ) -> [Action] {
        var actions: [Action] = []
        if let committed, committed.epoch == session.epoch, committed.contiguous > 0,
            session.durable != (committed.epoch, committed.contiguous),
            now - session.durableAt >= limits.durableInterval
        {
            session.durable = (committed.epoch, committed.contiguous)
            session.durableAt = now
            actions.append(
                .send(.durable(epoch: committed.epoch, sequence: committed.contiguous), to: session.identity))
        }
        guard isJudged else { return actions }
        let reached = stream?.epoch == session.epoch ? stream?.last ?? 0 : 0
        if stream.map({ $0.epoch <= session.epoch }) ?? true, session.announced > reached {
            // What has been sent may still be on its way: only what does not come within the grace is missing.
            if let since = session.behindSince {
                if now - since > limits.grace {
                    actions.append(.expect(aggregator: name, epoch: session.epoch, through: session.announced))
                    session.behindSince = nil
                }
            } else {
                session.behindSince = now
            }
        } else {
            session.behindSince = nil
        }
        guard let stream, stream.epoch == session.epoch, let first = stream.missing.first else {
            session.request = nil
            return actions
        }
        func left(_ range: ClosedRange<UInt64>) -> UInt64 {
            stream.missing.reduce(0) { sum, item in
                guard item.sequences.overlaps(range) else { return sum }
                let part = item.sequences.clamped(to: range)
                return sum + part.upperBound - part.lowerBound + 1
            }
        }
        if var request = session.request {
            let still = left(request.range)
            if still == 0 {
                session.request = nil
                session.wait = limits.firstWait
            } else {
                if still < request.left { (request.left, request.movedAt) = (still, now) }
                if now - request.movedAt > request.wait {
                    request.wait = min(limits.longestWait, request.wait * 2)
                    request.movedAt = now
                    session.wait = request.wait
                    actions.append(
                        .send(
                            .replay(epoch: stream.epoch, request.range, credit: Int(limits.credit)),
                            to: session.identity))
                }
                session.request = request
                return actions
            }
        }
        let lower = first.sequences.lowerBound
        let range = lower...min(first.sequences.upperBound, lower + limits.credit - 1)
        session.request = Request(range: range, movedAt: now, wait: session.wait, left: left(range))
        actions.append(
            .send(.replay(epoch: stream.epoch, range, credit: Int(limits.credit)), to: session.identity))
        return actions
    }
}
