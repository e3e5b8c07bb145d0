public import GridModel

/// Where the flow of each feeder is read: the busbar end of its head line. FLOW, positive away from the substation.
public struct FeederHeads: Sendable {
    /// By feeder: the head line's place and whether its `from` end is the busbar; `nil` without a head line.
    private let ends: [(line: Int, isFrom: Bool)?]

    public init(_ network: Network) {
        let lines = Dictionary(
            network.lines.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        ends = network.feeders.map { feeder in
            lines[feeder.headLine].map { ($0, network.lines[$0].from == feeder.busbar) }
        }
    }

    /// W, var and A at the head of a feeder; `nil` where the network does not have its head line: nothing is known then.
    public func flow(_ feeder: Int, _ solution: FlowSolution) -> (watts: Double, vars: Double, amperes: Double)? {
        guard let end = ends[feeder] else { return nil }
        let flow = solution.lines[end.line]
        return end.isFrom
            ? (flow.fromWatts, flow.fromVars, flow.fromAmperes) : (flow.toWatts, flow.toVars, flow.toAmperes)
    }
}
