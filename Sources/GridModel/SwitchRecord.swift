/// Where a switch stands, by everything that telemetry and people have said of it: one rule for everybody who asks.
///
/// The newest saying decides. Telemetry counts from its own time, and only where it is newer than the telemetry before
/// it; a person's statement counts from when it is made. Telemetry that goes on contradicting a person, without ever
/// having agreed, leaves the position in doubt until one of the two gives way.
public struct SwitchRecord: Sendable, Codable, Equatable {
    /// One position that was reported or stated.
    public struct Saying: Sendable, Codable, Equatable {
        public var position: SwitchPosition
        /// From when it holds.
        public var time: Timestamp
        /// When it was recorded, wall clock.
        public var recordedAt: Timestamp

        public init(position: SwitchPosition, time: Timestamp, recordedAt: Timestamp) {
            self.position = position
            self.time = time
            self.recordedAt = recordedAt
        }
    }

    /// Why a position cannot be relied on.
    public enum Doubt: Sendable, Equatable {
        /// Newer telemetry contradicts the statement and has never agreed with it.
        case contradicted
        /// A person has stated it, and telemetry that was heard shortly before says otherwise.
        case unconfirmed
    }

    public var id: String
    /// Newest of good quality; `nil`: never any.
    public private(set) var telemetry: Saying?
    /// Newest by a person; `nil`: never any.
    public private(set) var statement: Saying?
    /// The person who made ``statement``.
    public private(set) var statedBy: String?
    /// Telemetry has agreed with ``statement`` at its time, as far as is known by now, or since.
    public private(set) var hasAgreed: Bool
    /// Counts sayings that were taken: of two copies the larger is the newer.
    public private(set) var version: Int64
    /// Counts changes of position, and doubts that arise: a switch that opens and closes again has moved twice.
    public private(set) var moves: Int64
    /// When ``moves`` last changed, wall clock; `nil`: never.
    public private(set) var movedAt: Timestamp?

    public init(id: String) {
        self.id = id
        hasAgreed = false
        version = 0
        moves = 0
    }

    private var isStated: Bool {
        guard let statement else { return false }
        return telemetry.map { $0.time <= statement.time } ?? true
    }

    /// The saying that decides; `nil`: nothing was ever said, the switch counts as where it normally stands.
    public var newest: Saying? { isStated ? statement : telemetry }

    /// By the newest saying.
    public var position: SwitchPosition? { newest?.position }

    /// When anything was last recorded of it, wall clock.
    public var recordedAt: Timestamp? {
        switch (telemetry?.recordedAt, statement?.recordedAt) {
        case (let one?, let other?): max(one, other)
        case (let one, let other): one ?? other
        }
    }

    /// Newer telemetry contradicts the statement and has never agreed with it.
    public var isContradicted: Bool {
        guard let telemetry, let statement, !hasAgreed, !isStated else { return false }
        return telemetry.position != statement.position && telemetry.position.isSettled
    }

    /// The position to judge by: ``SwitchPosition/unknown`` while it is contradicted.
    public var judged: SwitchPosition? { isContradicted ? .unknown : position }

    /// - Parameters:
    ///   - now: wall clock.
    ///   - age: seconds for which telemetry that was heard before a statement is held against it.
    public func doubt(at now: Timestamp, within age: Double) -> Doubt? {
        if isContradicted { return .contradicted }
        guard isStated, let telemetry, let statement, telemetry.position != statement.position, !hasAgreed else {
            return nil
        }
        let silence = now - telemetry.recordedAt
        // A clock that was set back says nothing of how long ago it was.
        return silence <= age ? .unconfirmed : nil
    }

    /// The doubt in a sentence; `nil`: there is none.
    public func doubtText(at now: Timestamp, within age: Double) -> String? {
        guard let doubt = doubt(at: now, within: age), let telemetry, let statement else { return nil }
        let said = "\(statedBy ?? "somebody") stated \(statement.position.name) at \(statement.time)"
        let told = "telemetry says \(telemetry.position.name) at \(telemetry.time)"
        return switch doubt {
        case .contradicted: "\(id): \(said), and \(told): one of them is wrong."
        case .unconfirmed: "\(id): \(said), but \(told) and has not followed yet."
        }
    }

    /// Takes what telemetry says, good quality only.
    ///
    /// - Returns: false where it is older than telemetry that is known: history.
    public mutating func take(telemetry saying: Saying) -> Bool {
        if let telemetry, saying.time < telemetry.time { return false }
        change(at: saying.recordedAt) { record in
            record.telemetry = saying
            guard let statement = record.statement else { return }
            if saying.position == statement.position {
                record.hasAgreed = true
            } else if saying.time <= statement.time {
                // It was on its way when the statement was made: it, not what came before it, is what telemetry said then.
                record.hasAgreed = false
            }
        }
        return true
    }

    /// Takes a person's statement.
    ///
    /// - Parameters:
    ///   - time: from when it holds; `nil`: from now, whatever was said before.
    ///   - now: what "now" is in ``Saying/time``: the wall clock, or that of a replay's data.
    ///   - wall: wall clock.
    /// - Returns: what stands against it: a newer saying; `nil`: it was taken.
    public mutating func take(
        statement position: SwitchPosition, at time: Timestamp?, now: Timestamp, wall: Timestamp, by actor: String
    ) -> Saying? {
        // Telemetry may be a moment ahead of our clock: a statement made now is newer all the same.
        let time = time ?? max(now, newest?.time ?? now)
        if let newest, newest.time > time { return newest }
        change(at: wall) { record in
            record.statement = Saying(position: position, time: time, recordedAt: wall)
            record.statedBy = actor
            record.hasAgreed = record.telemetry?.position == position
        }
        return nil
    }

    /// Telemetry and statement differ and have never agreed, whichever is newer and however old.
    private var isOpposed: Bool {
        guard let telemetry, let statement else { return false }
        return telemetry.position != statement.position && !hasAgreed
    }

    private mutating func change(at wall: Timestamp, _ body: (inout Self) -> Void) {
        let before = (position, isContradicted, isOpposed)
        body(&self)
        version += 1
        // A doubt that arises counts, one that ends does not: telemetry may follow a statement at any time.
        guard before.0 != position || before.1 != isContradicted || (isOpposed && !before.2) else { return }
        movedAt = wall
        // The first saying may be what was assumed: whether it is a change, the positions themselves tell.
        if before.0 != nil { moves += 1 }
    }
}

extension SwitchPosition {
    /// Open or closed, not on its way or unknown.
    public var isSettled: Bool { self == .open || self == .closed }
}
