internal import GridModel

/// What touches what.
public enum FaultKind: Sendable {
    case threePhase
    /// Needs the zero sequence of every line: ``FlowModel/hasZeroSequence``.
    case phaseToGround
}

extension FlowModel {
    /// A, by node, of a fault without resistance there; `nil` where nothing feeds it.
    ///
    /// IEC 60909 by the engine, loads and DER left out. The smallest current is that of the nominal voltage at the fault:
    /// what a transformer lifts the voltage above nominal does not count, so that reach is not overstated. In the largest
    /// it does count, and what it lowers does not, so that what a breaker has to bear is not understated.
    ///
    /// - Parameter isLargest: what breaking and making capacity is judged by; otherwise the smallest, for reach.
    /// - Throws: when the engine has no answer, or one that is no number.
    public mutating func faultCurrents(
        _ state: FlowState, at nodes: [Int], _ kind: FaultKind, isLargest: Bool = false
    ) throws(PowerFlowError) -> [Double?] {
        guard kind == .threePhase || hasZeroSequence else {
            throw PowerFlowError(.missingData, "short circuit", "r0_ohm and x0_ohm of the lines")
        }
        var idle = state
        idle.watts = Array(repeating: 0, count: state.watts.count)
        idle.vars = idle.watts
        let unloaded = try solveAlike(idle)
        var currents: [Double?] = []
        for node in nodes {
            guard unloaded.isEnergised[node] else {
                currents.append(nil)
                continue
            }
            let found = try faultCurrent(at: node, kind, isLargest: isLargest)
            let nominal = sourceVoltage / unloaded.perUnit[node]
            currents.append(found * (isLargest ? max(1, nominal) : nominal))
        }
        return currents
    }

    private mutating func faultCurrent(
        at node: Int, _ kind: FaultKind, isLargest: Bool
    ) throws(PowerFlowError) -> Double {
        let current = EngineColumn<PhaseTriple>(count: 1)
        do throws(PowerFlowError) {
            try update([plan.fault(at: node, kind)])
            try calculate(
                .shortCircuit(isMaximum: isLargest),
                into: [EngineTable(component: "fault", count: 1, columns: [.init("i_f", current)])])
        } catch {
            drop()
            throw error
        }
        let largest = current.values[0].largest
        guard largest.isFinite else { throw PowerFlowError(.notFinite, "short circuit", "the current is no number") }
        return largest
    }
}
