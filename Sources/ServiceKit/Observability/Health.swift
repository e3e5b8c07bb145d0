/// Present problems of the service's parts. Each part is given a ``PartHealth`` of its own and cannot reach another's: that
/// one part works again says nothing about the next.
public final class Health: Sendable {
    /// As people and programs read it.
    public enum Part: String, Sendable, CaseIterable {
        /// Samples and positions of streams.
        case ingest
        /// Claims of devices, clocks of feeders, marks of late samples, rejects, partitions on demand.
        case records
        case upkeep
        /// The publishers' keys that are valid.
        case keys
        case analyser
        /// Devices that are handed over, and streams that begin anew.
        case orders
        /// Shelves that end, proposals, floods.
        case times
        /// Quarter hours and days of the profiles.
        case profiles
        /// Changes by late samples.
        case amendments
        case daily
        case feed
        /// Profiles that verdicts look ahead by.
        case outlook
        case approvals
        /// The validator's own endpoint on ZeroMQ.
        case validator
        case webhooks
        case backup

        /// Without it the service does not do what people rely on; the others may wait for a while.
        public var isEssential: Bool {
            switch self {
            case .ingest, .analyser, .times, .feed, .approvals: true
            default: false
            }
        }

        /// While it fails, what a verdict rests on may have changed without anybody's knowing.
        public var bearsOnVerdicts: Bool {
            switch self {
            case .ingest, .analyser, .times, .approvals: true
            default: false
            }
        }
    }

    public struct Problem: Sendable, Equatable {
        public var part: Part
        public var text: String
        /// Wall clock, microseconds.
        public var since: Int64

        public var line: String { "\(part.rawValue): \(text)" }
    }

    private let current = Guarded<[Part: Problem]>([:])

    public init() {}

    /// For the part itself, and nobody else.
    public func report(_ part: Part) -> PartHealth { PartHealth(part: part, health: self) }

    /// In the order of the parts.
    public var problems: [Problem] {
        let current = current.withLock { $0 }
        return Part.allCases.compactMap { current[$0] }
    }

    fileprivate func set(_ part: Part, _ text: String?) {
        let now = SystemClock.nowMicroseconds
        current.withLock { current in
            current[part] = text.map { Problem(part: part, text: $0, since: current[part]?.since ?? now) }
        }
    }
}

/// The health of one part, as reported by itself.
public struct PartHealth: Sendable {
    fileprivate let part: Health.Part
    fileprivate let health: Health

    public func failed(_ problem: String) { health.set(part, problem) }
    public func works() { health.set(part, nil) }
    /// - Parameter problems: empty: it works.
    public func say(_ problems: [String]) {
        health.set(part, problems.isEmpty ? nil : problems.joined(separator: "; "))
    }
}
