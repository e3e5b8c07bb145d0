internal import GridModel
internal import PowerFlow

/// How much of its rating a branch carries, in percent; `nil` where that is not judged: its rating is not known, or it is
/// low voltage, whose loads are not known well enough.
struct BranchLoading {
    let network: Network
    let graph: NetworkGraph

    func line(_ flow: FlowSolution, _ place: Int) -> Double? {
        let line = network.lines[place]
        guard let rated = line.ratedAmperes, isJudged(line) else { return nil }
        return flow.lines[place].amperes / rated * 100
    }

    /// Low-voltage lines are not.
    func isJudged(_ line: Network.Line) -> Bool {
        guard let node = graph.nodeIndex[line.from] else { return false }
        return network.nodes[node].nominalKilovolts >= 1
    }

    /// The same for a transformer whose low side has 1 kV or more.
    func transformer(_ flow: FlowSolution, _ place: Int) -> Double? {
        let unit = network.transformers[place]
        guard unit.ratedKVA > 0, let high = graph.nodeIndex[unit.highNode], let low = graph.nodeIndex[unit.lowNode],
            network.nodes[low].nominalKilovolts >= 1
        else { return nil }
        let highKV = unit.highKilovolts ?? network.nodes[high].nominalKilovolts
        let lowKV = unit.lowKilovolts ?? network.nodes[low].nominalKilovolts
        let flow = flow.transformers[place]
        return max(flow.fromAmperes * highKV, flow.toAmperes * lowKV) * 3.0.squareRoot()
            / (unit.ratedKVA * Double(unit.parallelUnits ?? 1)) * 100
    }
}
