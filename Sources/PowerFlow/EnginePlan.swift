internal import Foundation
internal import GridModel

/// A value that ``EnginePlan/require(_:)`` has found to be there.
private func value(_ known: Double?) -> Double { known ?? .nan }

/// How a network maps to the engine's components, and what changes between two states. Identifiers are one range over
/// all components: nodes, lines, transformers, links (bus switches and lines without impedance), sources, loads.
struct EnginePlan {
    let tables: [EngineTable]
    /// Lines that the engine has as lines, and those whose impedance is so small that they are links.
    let lines: [Int]
    let shortLines: [Int]
    /// Bus switches, by their place in the network's switches.
    let busSwitches: [Int]
    /// Bus switches whose poles may stand apart; `nil`: the phases are alike.
    let poleSwitches: [Int]?
    private let ends: BranchEnds
    private let firstLine, firstTransformer, firstLink, firstLoad, firstPole, faultID: Int
    private let nodeCount: Int
    private let transformerCount: Int

    /// Below this a line is a link to the engine (power-grid-model, "Link"): its own numbers would suffer.
    private static let leastOhms = 1e-4
    /// VA; a source without a short-circuit power holds its voltage.
    private static let stiff = 1e15

    /// - Parameter poleSwitches: for the three phases each for itself: bus switches whose poles may stand apart.
    ///
    /// - Throws: ``PowerFlowError/Code/missingData`` with what the network lacks, ``PowerFlowError/Code/invalidData`` with
    ///   what in it cannot be meant, each by the network's own names.
    init(_ network: Network, poleSwitches: [Int]? = nil) throws(PowerFlowError) {
        try Self.require(network)
        let nodeIndex = Dictionary(
            network.nodes.enumerated().map { ($1.id, Int32($0)) }, uniquingKeysWith: { first, _ in first })
        var missing: [String] = []
        func node(_ id: String, _ owner: String) -> Int32 {
            if let found = nodeIndex[id] { return found }
            missing.append("\(owner): node \(id)")
            return 0
        }
        ends = BranchEnds(network)
        nodeCount = network.nodes.count
        transformerCount = network.transformers.count
        var (lines, shortLines): ([Int], [Int]) = ([], [])
        for (place, line) in network.lines.enumerated() {
            if hypot(value(line.resistance), value(line.reactance)) < Self.leastOhms {
                shortLines.append(place)
            } else {
                lines.append(place)
            }
        }
        self.lines = lines
        self.shortLines = shortLines
        self.poleSwitches = poleSwitches
        let apart = Set(poleSwitches ?? [])
        busSwitches = network.switches.indices.filter {
            network.switches[$0].connects == .bus && !apart.contains($0)
        }
        firstLine = nodeCount
        firstTransformer = firstLine + lines.count
        firstLink = firstTransformer + transformerCount
        let firstSource = firstLink + shortLines.count + busSwitches.count
        firstLoad = firstSource + network.sources.count
        faultID = firstLoad + (poleSwitches == nil ? nodeCount : 2 * nodeCount)
        firstPole = faultID + 1
        let ids = { (first: Int, count: Int) in EngineColumn((first..<first + count).map { Int32($0) }) }
        let closed = { (count: Int) in EngineColumn([Int8](repeating: 1, count: count)) }

        var tables: [EngineTable] = []
        func add(_ component: String, _ count: Int, _ columns: [AnyEngineColumn]) {
            tables.append(EngineTable(component: component, count: count, columns: columns))
        }
        add(
            "node", nodeCount,
            [
                .init("id", ids(0, nodeCount)),
                .init("u_rated", EngineColumn(network.nodes.map { $0.nominalKilovolts * 1000 })),
            ])
        let real = lines.map { network.lines[$0] }
        add(
            "line", real.count,
            [
                .init("id", ids(firstLine, real.count)),
                .init("from_node", EngineColumn(real.map { node($0.from, $0.id) })),
                .init("to_node", EngineColumn(real.map { node($0.to, $0.id) })),
                .init("from_status", closed(real.count)), .init("to_status", closed(real.count)),
                .init("r1", EngineColumn(real.map { value($0.resistance) })),
                .init("x1", EngineColumn(real.map { value($0.reactance) })),
                .init("c1", EngineColumn(real.map { value($0.capacitance) * 1e-9 })),
                .init("tan1", EngineColumn(real.map { _ in 0.0 })),
                // Absent where it is not known: no fault to ground is then calculated.
                .init("r0", EngineColumn(real.map { $0.zeroResistance ?? .nan })),
                .init("x0", EngineColumn(real.map { $0.zeroReactance ?? .nan })),
                .init("c0", EngineColumn(real.map { value($0.capacitance) * 1e-9 })),
                .init("tan0", EngineColumn(real.map { _ in 0.0 })),
            ])
        tables.append(Self.transformers(network, first: firstTransformer, node: node))
        let links =
            shortLines.map { (network.lines[$0].from, network.lines[$0].to, network.lines[$0].id) }
            + busSwitches.map { (network.switches[$0].node, network.switches[$0].element, network.switches[$0].id) }
        add(
            "link", links.count,
            [
                .init("id", ids(firstLink, links.count)),
                .init("from_node", EngineColumn(links.map { node($0.0, $0.2) })),
                .init("to_node", EngineColumn(links.map { node($0.1, $0.2) })),
                .init("from_status", closed(links.count)), .init("to_status", closed(links.count)),
            ])
        add(
            "source", network.sources.count,
            [
                .init("id", ids(firstSource, network.sources.count)),
                .init("node", EngineColumn(network.sources.map { node($0.node, $0.id) })),
                .init("status", closed(network.sources.count)),
                .init("u_ref", EngineColumn(network.sources.map { value($0.voltagePerUnit) })),
                // Relative: a single source needs none.
                .init("u_ref_angle", EngineColumn(network.sources.map { ($0.angleDegrees ?? 0) * .pi / 180 })),
                .init("sk", EngineColumn(network.sources.map { $0.shortCircuitMVA.map { $0 * 1e6 } ?? Self.stiff })),
            ])
        if let poleSwitches {
            let count = network.nodes.count
            let kinds = [Int8(0), 1].flatMap { [Int8](repeating: $0, count: count) }
            let nothing = [PhaseTriple](repeating: .init(a: 0, b: 0, c: 0), count: 2 * nodeCount)
            add(
                "asym_load", 2 * nodeCount,
                [
                    .init("id", ids(firstLoad, 2 * nodeCount)),
                    .init("node", EngineColumn((0..<2 * nodeCount).map { Int32($0 % count) })),
                    .init("status", closed(2 * nodeCount)),
                    // 0 constant power, 1 constant impedance.
                    .init("type", EngineColumn(kinds)),
                    .init("p_specified", EngineColumn(nothing)), .init("q_specified", EngineColumn(nothing)),
                ])
            let places = poleSwitches.flatMap { [network.switches[$0], network.switches[$0], network.switches[$0]] }
            add(
                "asym_line", places.count,
                [
                    .init("id", ids(firstPole, places.count)),
                    .init("from_node", EngineColumn(places.map { node($0.node, $0.id) })),
                    .init("to_node", EngineColumn(places.map { node($0.element, $0.id) })),
                    .init("from_status", closed(places.count)), .init("to_status", closed(places.count)),
                ] + Self.poleOhms(places.count))
        } else {
            add(
                "sym_load", nodeCount,
                [
                    .init("id", ids(firstLoad, nodeCount)),
                    .init("node", EngineColumn((0..<nodeCount).map { Int32($0) })), .init("status", closed(nodeCount)),
                    .init("type", EngineColumn([Int8](repeating: 0, count: nodeCount))),
                    .init("p_specified", EngineColumn([Double](repeating: 0, count: nodeCount))),
                    .init("q_specified", EngineColumn([Double](repeating: 0, count: nodeCount))),
                ])
        }
        let shunts = network.shunts ?? []
        let siemens = shunts.map { item in
            let volts = (nodeIndex[item.node].map { network.nodes[Int($0)].nominalKilovolts } ?? 1) * 1000
            return (g: item.kilowatts * 1000 / (volts * volts), b: item.kilovars * 1000 / (volts * volts))
        }
        let nothing = EngineColumn([Double](repeating: 0, count: shunts.count))
        add(
            "shunt", shunts.count,
            [
                .init("id", ids(firstPole + 3 * apart.count, shunts.count)),
                .init("node", EngineColumn(shunts.map { node($0.node, $0.id) })),
                .init("status", closed(shunts.count)),
                .init("g1", EngineColumn(siemens.map(\.g))), .init("b1", EngineColumn(siemens.map(\.b))),
                // Between phases: nothing goes to ground.
                .init("g0", nothing), .init("b0", nothing),
            ])
        // One fault, moved from place to place; out of service for load flows.
        add(
            "fault", 1,
            [
                .init("id", ids(faultID, 1)), .init("status", EngineColumn([Int8(0)])),
                .init("fault_type", EngineColumn([Int8(0)])), .init("fault_object", EngineColumn([Int32(0)])),
                .init("r_f", EngineColumn([0.0])), .init("x_f", EngineColumn([0.0])),
            ])
        if network.sources.isEmpty { missing.append("the network has no source") }
        guard missing.isEmpty else {
            throw PowerFlowError(.missingData, "build the model", missing.joined(separator: "; "))
        }
        self.tables = tables
    }

    /// Refuses a network that the engine would answer with its own numbers, or take for another one.
    private static func require(_ network: Network) throws(PowerFlowError) {
        let gaps = network.flowGaps
        guard gaps.isEmpty else {
            throw PowerFlowError(
                .missingData, "load flow", "the data lack \(gaps.map(\.description).joined(separator: "; "))",
                elements: gaps.flatMap { $0.isOfAll ? [] : $0.elements })
        }
        let faults = network.faults.filter(\.spoilsFlow)
        guard faults.isEmpty else {
            let more = faults.count > 5 ? "; and \(faults.count - 5) more" : ""
            throw PowerFlowError(
                .invalidData, "load flow",
                "in the data \(faults.prefix(5).map(\.description).joined(separator: "; "))\(more)",
                elements: faults.map(\.id))
        }
    }

    /// A pole is a line of its own that conducts in one phase: as good as nothing there, as good as open in the others.
    private static func poleOhms(_ count: Int) -> [AnyEngineColumn] {
        func ohms(_ phase: Int) -> [Double] { (0..<count).map { $0 % 3 == phase ? 1e-5 : 1e6 } }
        let zero = [Double](repeating: 0, count: count)
        return zip(["aa", "bb", "cc"], 0..<3).map { .init("r_\($0)", EngineColumn(ohms($1))) }
            + ["r_ba", "r_ca", "r_cb"].map { .init($0, EngineColumn(zero)) }
            + ["x_aa", "x_ba", "x_bb", "x_ca", "x_cb", "x_cc", "c0", "c1"].map { .init($0, EngineColumn(zero)) }
    }

    private static func transformers(
        _ network: Network, first: Int, node: (String, String) -> Int32
    ) -> EngineTable {
        let units = network.transformers
        func column(_ body: (Network.Transformer) -> Double) -> EngineColumn<Double> { EngineColumn(units.map(body)) }
        func parallel(_ unit: Network.Transformer) -> Double { Double(unit.parallelUnits ?? 1) }
        func isOnLowSide(_ unit: Network.Transformer) -> Bool { unit.tap.isOnLowSide ?? false }
        // Relative: where no unit says by how much it turns, all turn as little as their windings can.
        let clocks = units.map { unit -> Int8 in
            guard let turn = unit.turn else { return unit.vectorGroup?.hasOddClock ?? false ? 1 : 0 }
            return Int8(truncatingIfNeeded: Int((turn / 30).rounded()))
        }
        let taps = units.map(Taps.init)
        let windings = zip(units, clocks).map { $0.vectorGroup.map(Windings.init) ?? Windings(clock: $1) }
        return EngineTable(
            component: "transformer", count: units.count,
            columns: [
                .init("id", EngineColumn(units.indices.map { Int32(first + $0) })),
                .init("from_node", EngineColumn(units.map { node($0.highNode, $0.id) })),
                .init("to_node", EngineColumn(units.map { node($0.lowNode, $0.id) })),
                .init("from_status", EngineColumn([Int8](repeating: 1, count: units.count))),
                .init("to_status", EngineColumn([Int8](repeating: 1, count: units.count))),
                .init("u1", column { value($0.highKilovolts) * 1000 }),
                .init("u2", column { value($0.lowKilovolts) * 1000 }),
                .init("sn", column { $0.ratedKVA * 1000 * parallel($0) }),
                .init("uk", column { value($0.impedancePercent) / 100 }),
                .init("pk", column { value($0.resistancePercent) / 100 * $0.ratedKVA * 1000 * parallel($0) }),
                .init(
                    "i0",
                    column {
                        // Without load nothing is taken where nothing is said; losses alone need this much current.
                        max(($0.noLoadPercent ?? 0) / 100, ($0.noLoadKilowatts ?? 0) / $0.ratedKVA)
                    }),
                .init("p0", column { ($0.noLoadKilowatts ?? 0) * 1000 * parallel($0) }),
                .init("winding_from", EngineColumn(windings.map(\.high.rawValue))),
                .init("winding_to", EngineColumn(windings.map(\.low.rawValue))),
                .init("clock", EngineColumn(clocks.map { ($0 % 12 + 12) % 12 })),
                .init("tap_side", EngineColumn(units.map { isOnLowSide($0) ? Int8(1) : 0 })),
                .init("tap_pos", EngineColumn(taps.map(\.position))), .init("tap_min", EngineColumn(taps.map(\.least))),
                .init("tap_max", EngineColumn(taps.map(\.most))), .init("tap_nom", EngineColumn(taps.map(\.neutral))),
                .init(
                    "tap_size",
                    column {
                        // Without a step no tap changes anything.
                        ($0.tap.stepPercent ?? 0) / 100 * value(isOnLowSide($0) ? $0.lowKilovolts : $0.highKilovolts)
                            * 1000
                    }),
            ])
    }

    /// Tap positions of a unit, within what the engine can hold.
    struct Taps {
        let position, least, most, neutral: Int8

        init(_ unit: Network.Transformer) {
            // A unit that lacks one of them has no step, or `require` has refused it.
            neutral = Int8(clamping: unit.tap.neutral ?? 0)
            position = unit.tap.position.map { Int8(clamping: $0) } ?? neutral
            least = min(unit.tap.least.map { Int8(clamping: $0) } ?? neutral, position)
            most = max(unit.tap.most.map { Int8(clamping: $0) } ?? neutral, position)
        }
    }

    /// A text of the engine with the network's names for its numbers.
    func naming(_ text: String, _ network: Network) -> String {
        let names =
            network.nodes.map(\.id) + lines.map { network.lines[$0].id } + network.transformers.map(\.id)
            + shortLines.map { network.lines[$0].id } + busSwitches.map { network.switches[$0].id }
            + network.sources.map(\.id)
        let kinds: Set<Substring> = ["id", "node", "line", "transformer", "link", "source", "load"]
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        return words.indices.map { place in
            let word = words[place]
            let digits = word.filter(\.isNumber)
            // A number after what it is the number of.
            guard place > 0, kinds.contains(words[place - 1].lowercased()[...]), let id = Int(digits),
                names.indices.contains(id)
            else { return String(word) }
            return String(word).replacing(digits, with: names[id])
        }.joined(separator: " ")
    }

    /// Puts the fault at a node. The engine's numbers: 0 three phases, 1 one phase to ground.
    func fault(at node: Int, _ kind: FaultKind) -> EngineTable {
        EngineTable(
            component: "fault", count: 1,
            columns: [
                .init("id", EngineColumn([Int32(faultID)])), .init("status", EngineColumn([Int8(1)])),
                .init("fault_type", EngineColumn([kind == .threePhase ? Int8(0) : 1])),
                .init("fault_object", EngineColumn([Int32(node)])),
            ])
    }

    /// Everything that may differ between two states, with the phases alike.
    func update(_ state: FlowState) -> [EngineTable] {
        switching(state) + [
            EngineTable(
                component: "sym_load", count: nodeCount,
                columns: [
                    .init("id", EngineColumn((0..<nodeCount).map { Int32(firstLoad + $0) })),
                    .init("p_specified", EngineColumn(state.watts)), .init("q_specified", EngineColumn(state.vars)),
                ])
        ]
    }

    /// The same for the three phases each for itself.
    ///
    /// - Parameter loads: W and var by node: of constant power first, then of constant impedance.
    func update(_ state: FlowState, loads: (watts: [PhaseTriple], vars: [PhaseTriple])) -> [EngineTable] {
        let poles = (poleSwitches ?? []).flatMap { number in
            Phases.each.map { phase in
                state.isClosed[number] && !(state.openPoles[number]?.contains(phase) ?? false) ? Int8(1) : 0
            }
        }
        return switching(state) + [
            EngineTable(
                component: "asym_line", count: poles.count,
                columns: [
                    .init("id", EngineColumn(poles.indices.map { Int32(firstPole + $0) })),
                    .init("from_status", EngineColumn(poles)), .init("to_status", EngineColumn(poles)),
                ]),
            EngineTable(
                component: "asym_load", count: 2 * nodeCount,
                columns: [
                    .init("id", EngineColumn((0..<2 * nodeCount).map { Int32(firstLoad + $0) })),
                    .init("p_specified", EngineColumn(loads.watts)), .init("q_specified", EngineColumn(loads.vars)),
                ]),
        ]
    }

    private func switching(_ state: FlowState) -> [EngineTable] {
        let flags = ends.closed(state.isClosed)
        func statuses(_ component: String, _ first: Int, _ pairs: [(from: Bool, to: Bool)]) -> EngineTable {
            EngineTable(
                component: component, count: pairs.count,
                columns: [
                    .init("id", EngineColumn(pairs.indices.map { Int32(first + $0) })),
                    .init("from_status", EngineColumn(pairs.map { $0.from ? Int8(1) : 0 })),
                    .init("to_status", EngineColumn(pairs.map { $0.to ? Int8(1) : 0 })),
                ])
        }
        let units = statuses("transformer", firstTransformer, flags.transformers)
        let taps = EngineColumn(state.taps.map { $0.map { Int8(clamping: $0) } ?? Int8.absent })
        return [
            statuses("line", firstLine, lines.map { flags.lines[$0] }),
            EngineTable(
                component: units.component, count: units.count, columns: units.columns + [.init("tap_pos", taps)]),
            statuses(
                "link", firstLink,
                shortLines.map { flags.lines[$0] } + busSwitches.map { (state.isClosed[$0], state.isClosed[$0]) }),
        ]
    }
}

/// Which switches open which end of which branch.
struct BranchEnds {
    private let lineCount, transformerCount: Int
    /// Per switch on a branch: which, and whether it is its `from` (high-voltage) end.
    private let places: [(number: Int, isLine: Bool, place: Int, isFrom: Bool)]

    init(_ network: Network) {
        lineCount = network.lines.count
        transformerCount = network.transformers.count
        let lines = Dictionary(
            network.lines.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let units = Dictionary(
            network.transformers.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        places = network.switches.enumerated().compactMap { number, item in
            switch item.connects {
            case .line:
                lines[item.element].map { (number, true, $0, network.lines[$0].from == item.node) }
            case .transformer:
                units[item.element].map { (number, false, $0, network.transformers[$0].highNode == item.node) }
            case .bus: nil
            }
        }
    }

    /// By branch: whether every switch at each of its ends is closed.
    func closed(_ isClosed: [Bool]) -> (lines: [(from: Bool, to: Bool)], transformers: [(from: Bool, to: Bool)]) {
        var lines = Array(repeating: (from: true, to: true), count: lineCount)
        var units = Array(repeating: (from: true, to: true), count: transformerCount)
        for item in places where !isClosed[item.number] {
            switch (item.isLine, item.isFrom) {
            case (true, true): lines[item.place].from = false
            case (true, false): lines[item.place].to = false
            case (false, true): units[item.place].from = false
            case (false, false): units[item.place].to = false
            }
        }
        return (lines, units)
    }
}
