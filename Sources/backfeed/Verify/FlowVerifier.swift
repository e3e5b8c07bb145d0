internal import DataDirectory
internal import GridModel
internal import PowerFlow

/// Solves moments of a window that carries truth, and compares node by node and line by line.
struct FlowVerifier {
    let network: Network
    let window: ProfileWindow
    let injections: WindowInjections
    let truth: FlowTruth
    /// Moments, spread evenly over the window.
    private static let count = 96

    func run() throws -> [Comparison] {
        var model = try FlowModel(network)
        var state = model.normalState
        var volts: [(Double, Double, Double)] = []
        var amperes: [(Double, Double, Double)] = []
        var heads: [(Double, Double, Double)] = []
        var units: [(Double, Double, Double)] = []
        var taps: [(Double, Double, Double)] = []
        let headEnds = FeederHeads(network)
        let stride = max(1, truth.times.count / Self.count)
        for number in Swift.stride(from: 0, to: truth.times.count, by: stride) {
            let row = truth.row(number)
            let moment = injections.at(row.time)
            for node in network.nodes.indices {
                state.watts[node] = moment.loadWatts[node] - moment.derWatts[node]
                state.vars[node] = moment.loadVars[node] - moment.derVars[node]
            }
            // The control finds the truth's taps from the normal ones, and afterwards leaves them alone.
            if number > 0 { state.taps = network.transformers.map { row.taps[$0.id] } }
            let standing = try model.solve(state)
            if let settled = try model.settled(state, from: standing) { state.taps = settled.taps }
            for (place, unit) in network.transformers.enumerated() {
                guard let expected = row.taps[unit.id] else { continue }
                taps.append((Double(expected), Double(state.taps[place] ?? 0), 0))
            }
            state.taps = network.transformers.map { row.taps[$0.id] }
            let solution = try model.solve(state)
            for (place, node) in network.nodes.enumerated() {
                guard let expected = row.perUnit[node.id] else { continue }
                volts.append((expected, solution.perUnit[place], 1e-4))
            }
            for (place, line) in network.lines.enumerated() {
                guard let rated = line.ratedAmperes, let expected = row.loadingPercent[line.id] else { continue }
                // The table has two decimals of a percent.
                let tolerance = 0.001 * expected + 0.0051
                amperes.append((expected, solution.lines[place].amperes / rated * 100, tolerance))
            }
            for (place, feeder) in network.feeders.enumerated() {
                guard let expected = row.heads[feeder.id], let flow = headEnds.flow(place, solution) else { continue }
                heads.append((expected.kilowatts, flow.watts / 1000, 0.1 + 1e-4 * abs(expected.kilowatts)))
                heads.append((expected.kilovars, flow.vars / 1000, 0.1 + 1e-4 * abs(expected.kilovars)))
            }
            for (place, unit) in network.transformers.enumerated() {
                guard let expected = row.transformerKilowatts[unit.id] else { continue }
                units.append((expected, solution.transformers[place].fromWatts / 1000, 0.1 + 1e-4 * abs(expected)))
            }
        }
        return [
            Comparing.values(
                "voltages (load flow)", rule: "every node of \(Self.count) moments: within 1e-4 pu", unit: "pu", volts),
            Comparing.values(
                "taps (tap control)", rule: "every transformer of the same moments: the same", unit: "steps", taps),
            Comparing.values(
                "line currents (load flow)",
                rule: "every line, percent of its rating: within 0.1 % and the table's digits",
                unit: "%", amperes),
            Comparing.values(
                "feeder heads (load flow)", rule: "P and Q: within 0.1 kW and 0.01 %", unit: "kW or kvar", heads),
            Comparing.values(
                "transformers (load flow)", rule: "P at the high-voltage side: within 0.1 kW and 0.01 %", unit: "kW",
                units),
        ]
    }
}
