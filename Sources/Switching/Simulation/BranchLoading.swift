internal import GridModel
internal import PowerFlow

/// How much of its rating a branch carries, in percent; `nil` where that is not judged: its rating is not known, or it is
/// low voltage, whose loads are not known well enough.
struct BranchLoading {
    let network: Network
    let graph: NetworkGraph

    func line(_ flow: FlowSolution, _ place: Int) -> Double? {
        let line = network.lines[place]
        guard line.ratedAmperes > 0, let node = graph.nodeIndex[line.from],
            network.nodes[node].nominalKilovolts >= 1
        else { return nil }
        return flow.lines[place].amperes / line.ratedAmperes * 100
    }

    /// Of a transformer between high and medium voltage.
    func transformer(_ flow: FlowSolution, _ place: Int) -> Double? {
        let unit = network.transformers[place]
        guard unit.ratedKVA > 0, let high = graph.nodeIndex[unit.highNode], let low = graph.nodeIndex[unit.lowNode],
            network.nodes[low].nominalKilovolts >= 1,
            network.nodes[high].nominalKilovolts > network.nodes[low].nominalKilovolts
        else { return nil }
        let highKV = unit.parameters["vn_hv_kv"] ?? network.nodes[high].nominalKilovolts
        let lowKV = unit.parameters["vn_lv_kv"] ?? network.nodes[low].nominalKilovolts
        let flow = flow.transformers[place]
        return max(flow.fromAmperes * highKV, flow.toAmperes * lowKV) * 3.0.squareRoot() / unit.ratedKVA * 100
    }
}
