internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

/// The network as it is now, element by element: switched as known, heads as measured, between them by load flow. Columns
/// like those of ``PlanPicture``.
struct LiveNetwork: Encodable {
    var assessedAt: Timestamp
    var networkRevision: String
    var feeders, nodes, branches: [String]
    var limits: PlanPicture.Limits
    var stage: PlanPicture.Stage
    /// Feeders whose head is silent: nothing is told of what they feed.
    var unknownFeeders: [String]
    /// Feeders whose reactive power is neither measured nor in the network's data: loading and voltage are not told.
    var unmeasuredFeeders: [String]
    /// Feeders of which what is measured cannot be, or is not what the load flow has: nothing is told of them, either.
    var contradictedFeeders: [String]
    /// Pairs of a measured value and the load flow's value at the same place that do not agree.
    var contradictions: [Contradiction]
    /// Why, in a sentence each.
    var modelDoubts: [String]
    /// Groups of nodes that no source reaches.
    var deadIslands: [[String]]
    /// Switches that are open, or not where they normally stand.
    var switches: [Position]
    /// Elements under tags, grounds and clearances.
    var register: [Item]

    struct Position: Encodable {
        var id: String
        var position, normalPosition: SwitchPosition
    }

    struct Item: Encodable {
        var kind, element: String
    }

    /// - Parameter picture: of no steps.
    init?(_ picture: PlanPicture, _ snapshot: GridSnapshot, _ record: OperatingRecord, _ graph: NetworkGraph) {
        guard var stage = picture.stages.first else { return nil }
        // An estimate in the place of a silent head would look like a measurement.
        let silent = Set(snapshot.doubts.filter { $0.check == "X2" && $0.unit == "s" }.flatMap(\.elements))
        // And one that had to leave the measurement would look as calm as a feeder that is.
        let untold = silent.union(picture.contradictedFeeders)
        let wrong = Set(picture.contradictions.map(\.element))
        func isOf(_ feeders: Set<String>, _ node: Int) -> Bool {
            stage.feeder[node].map { feeders.contains(picture.feeders[$0]) } ?? false
        }
        let hidden = graph.nodeIDs.indices.map { isOf(untold, $0) || wrong.contains(graph.nodeIDs[$0]) }
        // Power alone is as measured, whatever the reactive power is.
        let unmeasured = Set(picture.unmeasuredFeeders)
        let vague = hidden.indices.map { hidden[$0] || isOf(unmeasured, $0) }
        for node in vague.indices where vague[node] { stage.voltagePu[node] = nil }
        let edge = Dictionary(graph.edgeIDs.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        for (place, id) in picture.branches.enumerated() {
            guard let ends = edge[id].map({ graph.edgeEnds[$0] }) else { continue }
            let (from, to) = (Int(ends.from), Int(ends.to))
            if vague[from] || vague[to] || wrong.contains(id) { stage.loadingPct[place] = nil }
            if hidden[from] || hidden[to] || wrong.contains(id) { stage.activePowerW[place] = nil }
        }
        assessedAt = picture.assessedAt
        networkRevision = picture.networkRevision
        feeders = picture.feeders
        nodes = picture.nodes
        branches = picture.branches
        limits = picture.limits
        unknownFeeders = picture.feeders.filter(silent.contains)
        contradictedFeeders = picture.contradictedFeeders
        contradictions = picture.contradictions
        modelDoubts = picture.modelDoubts
        unmeasuredFeeders = picture.unmeasuredFeeders
        deadIslands = Topology(graph, positions: snapshot.positions).deadIslands.map { island in
            island.map { graph.nodeIDs[$0] }
        }
        switches = graph.switchIDs.indices.compactMap { number in
            let (position, normal) = (snapshot.positions[number], graph.normalPositions[number])
            guard position != normal || position != .closed else { return nil }
            return Position(id: graph.switchIDs[number], position: position, normalPosition: normal)
        }
        register = record.items.map { Item(kind: $0.kind.rawValue, element: $0.element) }
        if hidden.allSatisfy(\.self), stage.problem == nil { stage.problem = "no head is measured" }
        self.stage = stage
    }
}

/// One load flow for all who look at the network at the same time.
final class LiveNetworkDesk: Sendable {
    private struct Kept {
        var madeAt: UInt64
        var text: String
    }

    private let desk: SwitchingDesk
    private let graph: NetworkGraph
    private let kept = Guarded<Kept?>(nil)
    /// An answer is at most so old.
    private static let lifetime: UInt64 = 2_000_000_000

    init(desk: SwitchingDesk, graph: NetworkGraph) {
        self.desk = desk
        self.graph = graph
    }

    /// - Throws: ``StoreError`` when the register cannot be read: without it nothing is told.
    func now() throws -> String {
        try kept.withLock { kept in Result { try self.text(&kept) } }.get()
    }

    private func text(_ kept: inout Kept?) throws -> String {
        let now = SystemClock.monotonicNanoseconds
        if let kept, now - kept.madeAt < Self.lifetime { return kept.text }
        let record = try desk.sessions.connected { connection throws(StoreError) in
            try OperatingRecord.read(&connection)
        }
        let nothing = SwitchingPlan(id: "now", kind: .normalise, steps: [])
        let snapshot = desk.validator.snapshot(nothing, record)
        let picture = desk.validator.picture(nothing, snapshot)
        guard let live = LiveNetwork(picture, snapshot, record, graph) else {
            throw APIError(503, "Service unavailable", "the network could not be simulated")
        }
        let text = JSONCoding.encode(live)
        kept = Kept(madeAt: now, text: text)
        return text
    }
}
