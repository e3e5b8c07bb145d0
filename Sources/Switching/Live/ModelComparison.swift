internal import Foundation
internal import GridModel
internal import PowerFlow

/// The load flow of now beside what is measured now: power, current and voltage of every head, section and transformer,
/// and voltages from 1 to 60 kV. Whichever is wrong, nothing can be told of a feeder where they differ.
struct ModelComparison {
    let network: Network
    let graph: NetworkGraph
    let topology: Topology
    /// By edge.
    let conducts: [Bool]
    let live: LiveMeasurements
    let estimate: LoadEstimate
    let loads: LoadEstimate.Loads
    let solution: FlowSolution

    private var tolerance: LiveMeasurements.Tolerance { live.tolerance }

    func contradictions() -> [Contradiction] {
        // Load that no head measures makes the comparison at a bank uncertain by as much.
        let unmeasured = estimate.unmeasuredWatts(loads)
        var found: [Contradiction] = []
        for (place, point) in live.points.all.enumerated() where live.flows[place].isSettled {
            found += contradictions(point, live.flows[place], unmeasured)
        }
        let regulated = behindRegulators()
        for voltage in live.voltages {
            let node = network.nodes[voltage.node]
            // Beyond, limits are not judged; below, loads are not known well enough; a regulator's ratio is not modelled.
            guard topology.energised[voltage.node], solution.isEnergised[voltage.node], node.nominalKilovolts >= 1,
                node.nominalKilovolts < 60, !regulated[voltage.node],
                abs(voltage.perUnit - solution.perUnit[voltage.node]) > tolerance.voltage
            else { continue }
            found.append(
                Contradiction(
                    device: voltage.device, element: node.id, feeders: feeders(at: voltage.node),
                    quantity: "voltage_pu", measured: voltage.perUnit, modelled: solution.perUnit[voltage.node],
                    tolerance: tolerance.voltage))
        }
        return found
    }

    private func contradictions(
        _ point: MeasuringPoints.Point, _ flow: LiveMeasurements.Flow, _ unmeasured: Double
    ) -> [Contradiction] {
        let feeders = feeders(at: point)
        // It has been told that nothing is known there.
        if point.headOf != nil, feeders.contains(where: loads.contradicted.contains) { return [] }
        let branch =
            switch point.branch {
            case .line(let place): solution.lines[place]
            case .transformer(let place): solution.transformers[place]
            }
        let sign = point.sign ?? 1
        let watts = sign * (point.atFrom ? branch.fromWatts : branch.toWatts)
        let vars = sign * (point.atFrom ? branch.fromVars : branch.toVars)
        let amperes = point.atFrom ? branch.fromAmperes : branch.toAmperes
        var rating = point.rating
        if point.kind == .transformerMeter, point.nominalVolts < 1000 {
            // One of many: how a feeder's load lies on its low-voltage grids is only guessed.
            rating = max(rating, feederRating(at: point.near))
        }
        let volts = point.nominalVolts * 3.0.squareRoot()
        let larger = max(hypot(watts, vars), hypot(flow.watts ?? 0, flow.vars ?? 0), (flow.amperes ?? 0) * volts)
        let uncertain = point.headOf == nil && !estimate.isMeasured(point) ? unmeasured : 0
        let limit = tolerance.apparent(larger, rating: rating) + uncertain
        var found: [Contradiction] = []
        func compare(_ quantity: String, _ measured: Double?, _ modelled: Double, _ limit: Double) {
            guard let measured else { return }
            let isSigned = point.sign != nil
            guard abs((isSigned ? measured : abs(measured)) - (isSigned ? modelled : abs(modelled))) > limit else {
                return
            }
            found.append(
                Contradiction(
                    device: point.device, element: point.element, feeders: feeders, quantity: quantity,
                    measured: measured, modelled: modelled, tolerance: limit))
        }
        compare("active_power_w", flow.watts, watts, limit)
        compare("reactive_power_var", flow.vars, vars, limit)
        // Also of what is measured more than once, only one is told: the gravest.
        if volts > 0 { compare("current_a", flow.amperes.map { abs($0) }, amperes, limit / volts) }
        return found
    }

    /// One finding for what makes the same feeders unknown: the measurement that is farthest off, and how many others.
    static func doubts(_ contradictions: [Contradiction], _ live: LiveMeasurements) -> [Finding] {
        Dictionary(grouping: contradictions, by: \.feeders).sorted { $0.key.lexicographicallyPrecedes($1.key) }.map {
            feeders, found in
            let sorted = found.sorted {
                abs($0.measured - $0.modelled) / $0.tolerance > abs($1.measured - $1.modelled) / $1.tolerance
            }
            let worst = sorted[0]
            let others = Set(found.map(\.device)).count - 1
            let more =
                others == 0
                ? ""
                : others == 1
                    ? " Another device does not agree, either." : " \(others) other devices do not agree, either."
            return Finding(
                "X2", live.severity(Set(feeders)), elements: feeders + Set(found.map(\.device)).sorted(),
                value: worst.measured, limit: worst.tolerance, unit: worst.unit,
                limitSource: worst.quantity == "voltage_pu" ? "validator.measured_voltage_pct" : "validator.measured_*",
                "\(worst.device) measures \(worst.text(worst.measured)) at \(worst.element), the model of now has \(worst.text(worst.modelled)) (\(worst.text(worst.tolerance)) are tolerated).\(more)",
                remedy:
                    "Find out whether the meter, a switch position or the network's data is wrong, then validate again."
            )
        }
    }

    // MARK: Which feeders

    private func feeders(at point: MeasuringPoints.Point) -> [String] {
        if let head = point.headOf { return [network.feeders[head].id] }
        let own = [point.near, point.far].map { Int(topology.feeder[$0]) }.filter { $0 >= 0 }
        return own.isEmpty ? fedFrom(point.near) : Set(own.map { graph.feederIDs[$0] }).sorted()
    }

    private func feeders(at node: Int) -> [String] {
        let feeder = topology.feeder[node]
        return feeder >= 0 ? [graph.feederIDs[Int(feeder)]] : fedFrom(node)
    }

    /// Feeders of a busbar, and of those that closed couplers join to it.
    private func fedFrom(_ node: Int) -> [String] {
        var seen: Set<Int> = [node]
        var stack = [node]
        while let next = stack.popLast() {
            for (other, edge) in graph.neighbours(of: next)
            where conducts[edge] && topology.feeder[other] < 0 && !seen.contains(other)
                // Nodes fed by another bank have meters of their own.
                && network.nodes[other].nominalKilovolts <= network.nodes[next].nominalKilovolts
            {
                seen.insert(other)
                stack.append(other)
            }
        }
        return network.feeders.filter { graph.nodeIndex[$0.busbar].map(seen.contains) ?? false }.map(\.id).sorted()
    }

    private func feederRating(at node: Int) -> Double {
        let feeder = Int(topology.feeder[node])
        guard feeder >= 0 else { return 0 }
        return live.points.all.first { $0.headOf == feeder }?.rating ?? 0
    }

    /// By node: a regulator stands between it and its source.
    private func behindRegulators() -> [Bool] {
        var behind = [Bool?](repeating: nil, count: network.nodes.count)
        let edges = Set(live.points.all.filter { $0.kind == .regulator }.map(\.edge))
        guard !edges.isEmpty else { return behind.map { _ in false } }
        for start in behind.indices {
            var path: [Int] = []
            var (node, answer) = (start, false)
            // Up to the source, or to where it is known already.
            while !answer, behind[node] == nil {
                path.append(node)
                let edge = Int(topology.parentEdge[node])
                guard edge >= 0 else { break }
                answer = edges.contains(edge)
                let ends = graph.edgeEnds[edge]
                node = Int(ends.from) == node ? Int(ends.to) : Int(ends.from)
            }
            if !answer { answer = behind[node] ?? false }
            for node in path { behind[node] = answer }
        }
        return behind.map { $0 ?? false }
    }
}

extension Contradiction {
    var unit: String {
        switch quantity {
        case "active_power_w": "W"
        case "reactive_power_var": "var"
        case "current_a": "A"
        default: "pu"
        }
    }

    func text(_ value: Double) -> String {
        switch quantity {
        case "active_power_w": LoadEstimate.text(value)
        case "reactive_power_var": LoadEstimate.text(value).replacing("W", with: "var")
        case "current_a": "\(value.rounded()) A"
        default: "\((value * 10_000).rounded() / 10_000) pu"
        }
    }
}
