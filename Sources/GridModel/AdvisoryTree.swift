/// Which advisory is part of which: one cause, one advisory (`domain-rules.md` C.4). A value: open advisories in, parents
/// and severities out.
public struct AdvisoryTree: Sendable {
    public struct Node: Sendable, Hashable {
        public var id: String
        public var kind: AdvisoryKind
        public var detector, feeder, element: String
        /// Its own, without that of its children.
        public var severity: Severity
        public var cause: String?

        public init(
            id: String, kind: AdvisoryKind, detector: String, feeder: String, element: String, severity: Severity,
            cause: String? = nil
        ) {
            self.id = id
            self.kind = kind
            self.detector = detector
            self.feeder = feeder
            self.element = element
            self.severity = severity
            self.cause = cause
        }

        public init(_ facts: AdvisoryFacts) {
            self.init(
                id: facts.id, kind: facts.kind, detector: facts.detector, feeder: facts.feeder,
                element: facts.element, severity: facts.severity, cause: facts.cause)
        }
    }

    /// By child.
    public private(set) var parents: [String: String] = [:]
    /// By advisory: its own severity, or the worst of what is part of it.
    public private(set) var severities: [String: Severity] = [:]
    /// Parts that ask for attention themselves: of severity 1 or 2, of something that is told at another place. Where
    /// somebody looks at a feeder, or is responsible for it, the bank's advisory does not stand for the feeder's own limit.
    /// A front does: it names its feeders, and asks the same of all of them.
    public private(set) var callers: Set<String> = []
    /// By advisory, the severity with which it asks for attention: as ``severities``, without what asks by itself.
    public private(set) var calls: [String: Severity] = [:]

    /// - Parameters:
    ///   - nodes: whose condition holds, and that are evaluated.
    ///   - banks: by bank, the feeders on it.
    public init(_ nodes: [Node], banks: [String: Set<String>]) {
        let heads = nodes.filter { $0.kind == .reversePower && $0.detector == "RPF_HEAD" }
        let headOfFeeder = Dictionary(heads.map { ($0.feeder, $0.id) }, uniquingKeysWith: min)
        let fleetGaps = Dictionary(
            nodes.filter { $0.detector == "DQ_FLEET_GAP" }.map { ($0.feeder, $0.id) }, uniquingKeysWith: min)
        let lifted = Set(nodes.filter { $0.kind == .voltageRise && $0.cause == "der" }.map(\.element))
        let outages = Dictionary(
            nodes.filter { $0.kind == .outage }.map { ($0.feeder, $0.id) }, uniquingKeysWith: min)
        let ramps = Dictionary(
            nodes.filter { $0.kind == .fastRamp && $0.detector != "RAMP_FRONT" }.map { ($0.feeder, $0.id) },
            uniquingKeysWith: min)
        let front = nodes.first { $0.detector == "RAMP_FRONT" }?.id
        let many = Dictionary(
            nodes.filter { $0.element == "\($0.feeder)/voltage" }.map { ("\($0.kind)|\($0.feeder)", $0.id) },
            uniquingKeysWith: min)
        for node in nodes {
            // A feeder without voltage has no data, no steady load and low voltage; also while it settles.
            if [.dataGap, .fastRamp, .fleetRamp, .voltageLow].contains(node.kind), let outage = outages[node.feeder] {
                parents[node.id] = outage
                continue
            }
            let feeders = many["\(node.kind)|\(node.feeder)"]
            switch node.kind {
            // Voltage that DER lift on a feeder that feeds back has one cause with it; what is urgent stands alone.
            case .voltageHigh, .voltageRise:
                if node.severity != .urgent, lifted.contains(node.element), let head = headOfFeeder[node.feeder] {
                    parents[node.id] = head
                } else if feeders != node.id {
                    parents[node.id] = feeders
                }
            // Many places of a feeder are one.
            case .voltageLow:
                if feeders != node.id { parents[node.id] = feeders }
            // What several feeders do at a time has one cause.
            case .fastRamp:
                if node.id != front { parents[node.id] = front }
            // What the DER do, the head shows.
            case .fleetRamp: parents[node.id] = ramps[node.feeder] ?? front
            // A bank that feeds back does so because all its feeders do.
            case .reversePower where node.detector == "RPF_HEAD":
                for bank in nodes where bank.kind == .reversePowerBank {
                    guard let feeders = banks[bank.element], feeders.contains(node.feeder),
                        feeders.isSubset(of: headOfFeeder.keys)
                    else { continue }
                    parents[node.id] = bank.id
                }
            // What comes back through a device of the feeder comes back at its head, too.
            case .reversePowerDevice where node.severity != .urgent: parents[node.id] = headOfFeeder[node.feeder]
            // What was expected is there.
            case .reversePowerForecast: parents[node.id] = headOfFeeder[node.feeder]
            case .voltageForecast:
                parents[node.id] =
                    nodes.filter { $0.kind == .voltageHigh && $0.feeder == node.feeder }.map(\.id).min()
            // DER behind a gateway that is silent.
            case .dataGap where node.detector != "DQ_FLEET_GAP" && !node.element.hasPrefix("FH-"):
                parents[node.id] = fleetGaps[node.feeder]
            default: break
            }
        }
        severities = worst(of: nodes, without: [])
        let places = Dictionary(nodes.map { ($0.id, $0.feeder) }, uniquingKeysWith: { first, _ in first })
        callers = Set(
            parents.filter { child, parent in
                severities[child].map { $0 >= .high } ?? false && places[child] != places[parent] && parent != front
            }.keys)
        calls = worst(of: nodes, without: callers)
    }

    /// - Parameter silent: parts that count for themselves only.
    private func worst(of nodes: [Node], without silent: Set<String>) -> [String: Severity] {
        var found = Dictionary(nodes.map { ($0.id, $0.severity) }, uniquingKeysWith: max)
        // Three levels at most: twice upwards settles them.
        for _ in 0..<2 {
            for (child, parent) in parents where !silent.contains(child) {
                if let own = found[child], let above = found[parent] { found[parent] = max(own, above) }
            }
        }
        return found
    }

    /// Whether it stands for itself: it is part of nothing, or asks for attention though it is.
    public func stands(_ id: String) -> Bool { parents[id] == nil || callers.contains(id) }
}
