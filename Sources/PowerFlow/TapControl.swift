internal import GridModel

/// On-load tap changers under automatic control, in groups that move together.
struct TapControl {
    private struct Group {
        let units: [Int]
        let setPoint, band: Double
        /// pu, of one tap.
        let step: Double
    }

    private struct Unit {
        let busbar: Int
        let least, most: Int
        let normal: Int
        /// +1: a higher tap lowers the voltage behind it.
        let sense: Int
        /// pu; the last of one tap.
        let setPoint, band, step: Double
    }

    private let groups: [Group]
    private let units: [Int: Unit]

    var isEmpty: Bool { groups.isEmpty }

    /// Units with `oltc`, set point, band and step; those of one `oltc_group` are one group.
    init(_ network: Network) {
        let nodes = Dictionary(
            network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        var units: [Int: Unit] = [:]
        var members: [String: [Int]] = [:]
        for (place, unit) in network.transformers.enumerated() {
            let tap = unit.tap
            guard tap.isAutomatic == true, let setPoint = tap.setPoint, let band = tap.band, band > 0,
                let step = tap.stepPercent, step != 0, let busbar = nodes[unit.lowNode]
            else { continue }
            // As the engine has them: whatever the table says, there is an end.
            let taps = EnginePlan.Taps(unit)
            units[place] = Unit(
                busbar: busbar, least: Int(taps.least), most: Int(taps.most), normal: Int(taps.position),
                sense: (tap.isOnLowSide == true) == (step > 0) ? -1 : 1, setPoint: setPoint, band: band,
                step: abs(step) / 100)
            members[unit.tapGroup ?? unit.id, default: []].append(place)
        }
        self.units = units
        groups = members.sorted { $0.key < $1.key }.map { _, places in
            let members = places.compactMap { units[$0] }
            func mean(_ value: (Unit) -> Double) -> Double {
                members.reduce(0) { $0 + value($1) } / Double(max(1, members.count))
            }
            return Group(units: places, setPoint: mean(\.setPoint), band: mean(\.band), step: mean(\.step))
        }
    }

    /// Where taps go next.
    ///
    /// - Parameters:
    ///   - moved: by group, which way it has moved; one that would turn back has a band narrower than its steps, and
    ///     stays.
    ///   - measured: pu, by node. Where a group's busbars are among them its taps go to where these are, be they in the
    ///     band or not.
    /// - Returns: `nil`: every group is in its band, or can go no further.
    func next(
        _ taps: [Int?], _ solution: FlowSolution, measured: [Int: Double], moved: inout [Int: Int]
    ) -> [Int?]? {
        var next = taps
        for (number, group) in groups.enumerated() {
            var live = group.units.compactMap { units[$0]?.busbar }.filter { solution.isEnergised[$0] }
            var (setPoint, band) = (group.setPoint, group.band)
            let known = live.compactMap { node in measured[node].map { (node, $0) } }
            if !known.isEmpty {
                live = known.map(\.0)
                // Half a step is as near as taps come; a little more, so that rounding moves none back and forth.
                (setPoint, band) = (known.reduce(0) { $0 + $1.1 } / Double(known.count), 0.55 * group.step)
            }
            guard !live.isEmpty else { continue }
            let mean = live.reduce(0) { $0 + solution.perUnit[$1] } / Double(live.count)
            guard abs(mean - setPoint) > band + 1e-9 else { continue }
            let way = mean > setPoint ? 1 : -1
            guard moved[number] ?? way == way else { continue }
            moved[number] = way
            for place in group.units {
                guard let unit = units[place] else { continue }
                next[place] = min(unit.most, max(unit.least, (taps[place] ?? unit.normal) + way * unit.sense))
            }
        }
        return next == taps ? nil : next
    }
}

extension FlowModel {
    /// The state once automatic tap changers have done what they will, from a solution of it: one tap at a time, as long as
    /// the mean voltage of a group's busbars is outside of its band.
    ///
    /// - Parameter measured: pu, by node: voltages at busbars as they are; taps then go to where these are.
    /// - Returns: `nil`: nothing moves.
    public mutating func settled(
        _ state: FlowState, from solution: FlowSolution, measured: [Int: Double] = [:]
    ) throws(PowerFlowError) -> (taps: [Int?], solution: FlowSolution)? {
        guard !tapControl.isEmpty else { return nil }
        var (state, solution, isMoved, moved) = (state, solution, false, [Int: Int]())
        while let next = tapControl.next(state.taps, solution, measured: measured, moved: &moved) {
            state.taps = next
            solution = try solve(state)
            isMoved = true
        }
        return isMoved ? (state.taps, solution) : nil
    }
}
