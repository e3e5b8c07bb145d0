internal import Foundation
public import GridModel

/// Reads `DIR/network/` into a ``Network``. All mistakes are collected, not the first.
public struct NetworkReader {
    public struct Result: Sendable {
        public var network: Network
        /// What was read, as `nodes 417`, in reading order.
        public var counts: [(what: String, count: Int)]
        /// Columns and files that were not understood and left out.
        public var ignored: [String]
        /// What is allowed but looks wrong.
        public var doubts: [String]
    }

    /// A; nothing in a distribution network carries or breaks more in service. 9999 and 99999 are what tools write where a rating is
    /// not known, and a rating nobody has would let everything pass. The same holds for the other upper bounds of ratings.
    private static let mostAmperes = 8000.0

    private let directory: String
    private var mistakes: [String] = []
    private var ignored: [String] = []
    private var doubts: [String] = []

    /// - Parameter directory: the directory that holds `network/`.
    public static func read(_ directory: String) throws(DataDirectoryError) -> Result {
        var reader = Self(directory: directory)
        return try reader.readAll()
    }

    private init(directory: String) { self.directory = "\(directory)/network" }

    private struct Manifest: Decodable {
        var network_id: String?
        var title: String?
        var attribution: String?
        var frequency_hz: Double?
    }

    private mutating func readAll() throws(DataDirectoryError) -> Result {
        guard DataFile.isDirectory(directory) else {
            throw DataDirectoryError("\(directory): no such directory; expected the network's CSV files in it")
        }
        checkFiles()
        var network = Network(id: "network")
        var places: [String: [String: Int]] = [:]
        if DataFile.exists("\(directory)/manifest.json") {
            do {
                let manifest = try JSONDecoder().decode(
                    Manifest.self, from: Data(try DataFile.read("\(directory)/manifest.json")))
                network.id = manifest.network_id ?? network.id
                network.attribution = [manifest.title, manifest.attribution].compactMap { $0 }.joined(separator: "; ")
                network.nominalFrequency = manifest.frequency_hz ?? 50
                if manifest.frequency_hz == nil {
                    doubts.append("\(directory)/manifest.json: frequency_hz is missing: 50 Hz assumed")
                } else if ![50, 60].contains(network.nominalFrequency) {
                    mistakes.append(
                        "\(directory)/manifest.json: frequency_hz: \(network.nominalFrequency) is neither 50 nor 60")
                }
            } catch {
                mistakes.append("\(directory)/manifest.json: \(error)")
            }
        } else {
            doubts.append("\(directory)/manifest.json is missing: 50 Hz assumed")
        }

        table("nodes", key: "node_id", required: ["node_id", "vn_kv", "kind"], &places) { row, table in
            let kinds = ["hv_busbar", "mv_busbar", "mv_node", "lv_busbar", "lv_node"]
            network.nodes.append(
                Network.Node(
                    id: table.identifier(row, "node_id"), name: table.text(row, "name"),
                    nominalKilovolts: table.number(row, "vn_kv", in: 0.05...1000),
                    kind: table.choice(
                        row, "kind", Dictionary(uniqueKeysWithValues: kinds.map { ($0, $0) }), otherwise: "mv_node"),
                    substation: table.text(row, "substation_id"), lowVoltageArea: table.text(row, "lv_area_id"),
                    feeder: table.text(row, "feeder_id"),
                    longitude: table.known(row, "lon", in: -180...180), latitude: table.known(row, "lat", in: -90...90),
                    phases: table.phases(row)))
        }
        table("lines", key: "line_id", required: ["line_id", "from_node", "to_node"], &places) { row, table in
            network.lines.append(
                Network.Line(
                    id: table.identifier(row, "line_id"), from: table.text(row, "from_node"),
                    to: table.text(row, "to_node"), resistance: table.known(row, "r_ohm", in: 0...1e6),
                    reactance: table.known(row, "x_ohm", in: -1e6...1e6),
                    capacitance: table.known(row, "c_nf", in: 0...1e9),
                    ratedAmperes: table.rating(row, "max_i_a", upTo: Self.mostAmperes),
                    emergencyAmperes: table.rating(row, "emergency_a", upTo: Self.mostAmperes),
                    kilometres: table.known(row, "length_km", in: 0...1e5),
                    zeroResistance: table.known(row, "r0_ohm", in: 0...1e6),
                    zeroReactance: table.known(row, "x0_ohm", in: -1e6...1e6),
                    construction: table.word(row, "construction", ["cable", "overhead"])))
            table.compareTotals(row)
        }
        table(
            "transformers", key: "transformer_id", required: ["transformer_id", "hv_node", "lv_node", "sn_kva"], &places
        ) { row, table in
            let phases = table.phases(row) ?? ""
            network.transformers.append(
                Network.Transformer(
                    id: table.identifier(row, "transformer_id"), highNode: table.text(row, "hv_node"),
                    lowNode: table.text(row, "lv_node"), ratedKVA: table.number(row, "sn_kva", in: 1e-3...2e6),
                    isSinglePhase: !phases.isEmpty && phases.count < 3,
                    hasZeroSequenceProtection: table.flag(row, "has_3v0"),
                    highKilovolts: table.known(row, "vn_hv_kv", in: 0.05...1000),
                    lowKilovolts: table.known(row, "vn_lv_kv", in: 0.05...1000),
                    impedancePercent: table.known(row, "vk_percent", in: -100...100),
                    resistancePercent: table.known(row, "vkr_percent", in: -100...100),
                    noLoadKilowatts: table.known(row, "pfe_kw", in: 0...1e5),
                    noLoadPercent: table.known(row, "i0_percent", in: 0...100),
                    shiftDegrees: table.known(row, "shift_degree", in: -3600...3600),
                    parallelUnits: table.whole(row, "parallel", in: 1...20), tap: table.tap(row),
                    windings: table.optionalText(row, "windings"), neutral: table.word(row, "neutral", .grounded),
                    tapGroup: table.optionalText(row, "oltc_group")))
        }
        table(
            "switches", key: "switch_id", required: ["switch_id", "connects", "node_id", "element_id", "normal_state"],
            &places
        ) { row, table in
            network.switches.append(
                Network.Switch(
                    id: table.identifier(row, "switch_id"), kind: table.text(row, "kind"),
                    connects: table.choice(
                        row, "connects", ["line": .line, "transformer": .transformer, "bus": .bus], otherwise: .line),
                    node: table.text(row, "node_id"), element: table.text(row, "element_id"),
                    normalPosition: table.choice(
                        row, "normal_state", ["open": .open, "closed": .closed], otherwise: .open),
                    role: table.text(row, "role"), feeder: table.text(row, "feeder_id"),
                    phases: table.phases(row) ?? "",
                    loadBreakAmperes: table.known(row, "load_break_a", in: 0...Self.mostAmperes),
                    faultMakeKiloamperes: table.known(row, "fault_make_ka", in: 0...800),
                    interruptKiloamperes: table.known(row, "interrupt_ka", in: 0...300), relay: table.relay(row),
                    remote: table.word(row, "remote", .none)))
        }
        if DataFile.exists("\(directory)/regulators.csv") {
            var regulators: [Network.Regulator] = []
            table("regulators", key: "regulator_id", required: ["regulator_id", "line_id", "mode"], &places) {
                row, table in
                let modes = Dictionary(uniqueKeysWithValues: Network.Regulator.Mode.allCases.map { ($0.rawValue, $0) })
                regulators.append(
                    Network.Regulator(
                        id: table.identifier(row, "regulator_id"), line: table.text(row, "line_id"),
                        isForwardFrom: table.isEmptyThroughout("forward")
                            || table.choice(row, "forward", ["from_to": true, "to_from": false], otherwise: true),
                        mode: table.choice(row, "mode", modes, otherwise: .lockedForward)))
            }
            network.regulators = regulators
        }
        if DataFile.exists("\(directory)/shunts.csv") {
            var shunts: [Network.Shunt] = []
            table("shunts", key: "shunt_id", required: ["shunt_id", "node_id", "q_kvar"], &places) { row, table in
                shunts.append(
                    Network.Shunt(
                        id: table.identifier(row, "shunt_id"), node: table.text(row, "node_id"),
                        kilovars: table.number(row, "q_kvar", in: -1e6...1e6),
                        // Without losses where none are said.
                        kilowatts: table.known(row, "p_kw", in: 0...1e6) ?? 0))
            }
            network.shunts = shunts
        }
        table("feeders", key: "feeder_id", required: ["feeder_id", "busbar_node", "head_line_id"], &places) {
            row, table in
            network.feeders.append(
                Network.Feeder(
                    id: table.identifier(row, "feeder_id"), substation: table.text(row, "substation_id"),
                    busbar: table.text(row, "busbar_node"), headSwitch: table.text(row, "head_switch_id"),
                    headLine: table.text(row, "head_line_id"),
                    ratedAmperes: table.rating(row, "head_rating_a", upTo: Self.mostAmperes)))
        }
        table("ties", key: "tie_id", required: ["tie_id", "switch_id"], optional: true, &places) { row, table in
            network.ties.append(
                Network.Tie(
                    id: table.identifier(row, "tie_id"), switchID: table.text(row, "switch_id"),
                    line: table.text(row, "line_id"), openAtNode: table.text(row, "open_at_node"),
                    farNode: table.text(row, "far_node"), feederA: table.text(row, "feeder_a"),
                    feederB: table.text(row, "feeder_b")))
        }
        table("loads", key: "load_id", required: ["load_id", "node_id", "p_kw"], optional: true, &places) {
            row, table in
            network.loads.append(
                Network.Load(
                    id: table.identifier(row, "load_id"), node: table.text(row, "node_id"),
                    kilowatts: table.number(row, "p_kw"), kilovars: table.known(row, "q_kvar"),
                    activeProfile: table.text(row, "p_profile"), reactiveProfile: table.text(row, "q_profile"),
                    customers: table.whole(row, "n_customers", in: 0...10_000_000)))
        }
        network.saysLoads = DataFile.exists("\(directory)/loads.csv")
        network.saysDERs = DataFile.exists("\(directory)/ders.csv")
        let derKinds = Dictionary(
            uniqueKeysWithValues: DeviceKind.allCases.filter(\.isDER).map { ($0.rawValue, $0) })
        table("ders", key: "der_id", required: ["der_id", "kind", "node_id", "rated_kw"], optional: true, &places) {
            row, table in
            network.ders.append(
                Network.DER(
                    id: table.identifier(row, "der_id"),
                    kind: table.choice(row, "kind", derKinds, otherwise: .photovoltaic),
                    node: table.text(row, "node_id"), lowVoltageArea: table.text(row, "lv_area_id"),
                    site: table.text(row, "site_id"), ratedKW: table.number(row, "rated_kw", in: 0...1e7),
                    ratedKVA: table.known(row, "rated_kva", in: 0...1e7),
                    profile: table.text(row, "profile"), scaleKW: table.known(row, "scale_kw"),
                    reactiveShare: table.known(row, "q_over_p", in: -10...10)))
        }
        table("sources", key: "source_id", required: ["source_id", "node_id"], &places) { row, table in
            let isStiff = table.text(row, "sk_mva") == "stiff"
            network.sources.append(
                Network.Source(
                    id: table.identifier(row, "source_id"), node: table.text(row, "node_id"),
                    voltagePerUnit: table.known(row, "vm_pu", in: 0.5...1.5),
                    angleDegrees: table.known(row, "va_degree", in: -3600...3600),
                    shortCircuitMVA: isStiff ? nil : table.known(row, "sk_mva", in: 1e-3...8e4),
                    isStiff: isStiff ? true : nil))
        }
        checkReferences(network, places)
        if mistakes.isEmpty {
            // Only in a network whose parts exist can they contradict each other.
            for fault in network.faults {
                let path = DataFile.find("\(directory)/\(fault.table).csv") ?? "\(directory)/\(fault.table).csv"
                mistakes.append(
                    "\(path):\(places[fault.table]?[fault.id] ?? 0): column \(fault.column): \(fault.text)")
            }
        }
        checkDoubts(network)
        if !mistakes.isEmpty { throw DataDirectoryError(mistakes) }
        let counts = [
            ("nodes", network.nodes.count), ("lines", network.lines.count),
            ("transformers", network.transformers.count), ("switches", network.switches.count),
            ("feeders", network.feeders.count), ("ties", network.ties.count), ("loads", network.loads.count),
            ("ders", network.ders.count), ("sources", network.sources.count),
        ]
        return Result(
            network: network, counts: counts.map { (what: $0.0, count: $0.1) }, ignored: ignored, doubts: doubts)
    }

    private static let tables: Set<String> = [
        "nodes", "lines", "transformers", "switches", "feeders", "ties", "loads", "ders", "sources", "regulators",
        "shunts",
    ]

    /// A table under a name that is nearly right would not be read, and what it says would count as not there.
    private mutating func checkFiles() {
        var seen: [String: String] = [:]
        for file in DataFile.names(in: directory) {
            let lower = file.lowercased()
            guard let end = [".csv.gz", ".csv"].first(where: lower.hasSuffix) else { continue }
            let name = String(file.dropLast(end.count))
            if Self.tables.contains(name), file.hasSuffix(end) {
                if let other = seen[name] {
                    mistakes.append(
                        "\(directory)/\(file): stands beside \(other): which of the two is meant is not said")
                }
                seen[name] = file
                continue
            }
            let word = name.lowercased().trimmingCharacters(in: .whitespaces)
            let meant = Self.tables.first { table in
                word == table + "s" || table.hasPrefix(word) && word.count >= max(3, table.count - 2)
            }
            if let meant {
                mistakes.append("\(directory)/\(file): is not read: the table is called \(meant).csv")
            } else {
                ignored.append("\(directory)/\(file): not a table of a network")
            }
        }
    }

    /// Reads one file row by row; remembers where each key stands, so that a reference can be checked with its line.
    private mutating func table(
        _ name: String, key: String, required: [String], optional: Bool = false,
        _ places: inout [String: [String: Int]],
        _ body: (Int, inout TableReading) -> Void
    ) {
        let path = "\(directory)/\(name).csv"
        guard DataFile.exists(path) else {
            if !optional { mistakes.append("\(path): no such file (nor \(path).gz)") }
            return
        }
        do throws(DataDirectoryError) {
            let csv = try CSVTable(path: path)
            let missing = required.filter { csv.column($0) == nil }
            guard missing.isEmpty else {
                mistakes += missing.map {
                    "\(csv.path):1: column \($0) is missing; the header has \(csv.columns.joined(separator: ", "))"
                }
                return
            }
            var reading = TableReading(table: csv)
            var lines: [String: Int] = [:]
            for row in 0..<csv.rowCount {
                body(row, &reading)
                let id = reading.text(row, key)
                if let first = lines[id] {
                    reading.mistake(row, key, "\(id) stands already on line \(first)")
                } else {
                    lines[id] = csv.line(row)
                }
            }
            places[name] = lines
            mistakes += reading.mistakes
            let unknown = csv.columns.filter { !reading.used.contains($0) }
            for (taken, other) in TableReading.others where reading.used.contains(taken) && csv.column(taken) == nil {
                if csv.column(other) != nil {
                    doubts.append("\(csv.path):1: column \(other) is not read, and \(taken) is missing")
                }
            }
            if !unknown.isEmpty { ignored.append("\(csv.path): columns not used: \(unknown.joined(separator: ", "))") }
        } catch {
            mistakes += error.mistakes
        }
    }

    private mutating func checkReferences(_ network: Network, _ places: [String: [String: Int]]) {
        let nodes = places["nodes"] ?? [:]
        let lines = places["lines"] ?? [:]
        let units = places["transformers"] ?? [:]
        let switches = places["switches"] ?? [:]
        let feeders = places["feeders"] ?? [:]
        func refer(
            _ file: String, _ id: String, _ column: String, _ target: String, _ known: [String: Int], _ what: String
        ) {
            guard known[target] == nil else { return }
            let path = DataFile.find("\(directory)/\(file).csv") ?? "\(directory)/\(file).csv"
            mistakes.append("\(path):\(places[file]?[id] ?? 0): column \(column): there is no \(what) \"\(target)\"")
        }
        for line in network.lines {
            refer("lines", line.id, "from_node", line.from, nodes, "node")
            refer("lines", line.id, "to_node", line.to, nodes, "node")
        }
        for unit in network.transformers {
            refer("transformers", unit.id, "hv_node", unit.highNode, nodes, "node")
            refer("transformers", unit.id, "lv_node", unit.lowNode, nodes, "node")
        }
        for item in network.switches {
            refer("switches", item.id, "node_id", item.node, nodes, "node")
            switch item.connects {
            case .line: refer("switches", item.id, "element_id", item.element, lines, "line")
            case .transformer: refer("switches", item.id, "element_id", item.element, units, "transformer")
            case .bus: refer("switches", item.id, "element_id", item.element, nodes, "node")
            }
        }
        for feeder in network.feeders {
            refer("feeders", feeder.id, "busbar_node", feeder.busbar, nodes, "node")
            refer("feeders", feeder.id, "head_line_id", feeder.headLine, lines, "line")
            if !feeder.headSwitch.isEmpty {
                refer("feeders", feeder.id, "head_switch_id", feeder.headSwitch, switches, "switch")
            }
        }
        for item in network.shunts ?? [] { refer("shunts", item.id, "node_id", item.node, nodes, "node") }
        for item in network.regulators ?? [] { refer("regulators", item.id, "line_id", item.line, lines, "line") }
        for tie in network.ties {
            refer("ties", tie.id, "switch_id", tie.switchID, switches, "switch")
            for (column, id, known, what) in [
                ("line_id", tie.line, lines, "line"), ("open_at_node", tie.openAtNode, nodes, "node"),
                ("far_node", tie.farNode, nodes, "node"), ("feeder_a", tie.feederA, feeders, "feeder"),
                ("feeder_b", tie.feederB, feeders, "feeder"),
            ] where !id.isEmpty { refer("ties", tie.id, column, id, known, what) }
        }
        for load in network.loads { refer("loads", load.id, "node_id", load.node, nodes, "node") }
        for der in network.ders { refer("ders", der.id, "node_id", der.node, nodes, "node") }
        for source in network.sources { refer("sources", source.id, "node_id", source.node, nodes, "node") }
        for node in network.nodes where !node.feeder.isEmpty {
            refer("nodes", node.id, "feeder_id", node.feeder, feeders, "feeder")
        }
    }

    private mutating func checkDoubts(_ network: Network) {
        guard mistakes.isEmpty else { return }
        let graph = NetworkGraph(network)
        let normal = Topology(graph, positions: graph.normalPositions)
        if network.sources.isEmpty {
            mistakes.append("\(directory)/sources.csv: no source: nothing would be energised")
        }
        if !normal.isRadial {
            doubts.append("the normal state has \(normal.loops) loops and \(normal.parallelSources) parallel sources")
        }
        if normal.deadNodeCount > 0 {
            let names = normal.deadIslands.joined().prefix(5).map { graph.nodeIDs[$0] }.joined(separator: ", ")
            doubts.append("\(normal.deadNodeCount) nodes are dead in the normal state: \(names) …")
        }
        let differing = network.nodes.enumerated().filter { number, node in
            let traced = normal.feeder[number] < 0 ? "" : graph.feederIDs[Int(normal.feeder[number])]
            return !node.feeder.isEmpty && node.feeder != traced
        }
        if let first = differing.first {
            doubts.append(
                "\(differing.count) nodes name another feeder than the trace finds, for example \(first.element.id): "
                    + "\(first.element.feeder)")
        }
        for feeder in network.feeders where feeder.headSwitch.isEmpty {
            doubts.append("feeder \(feeder.id) has no breaker of its own")
        }
        doubts += Self.doubts(of: network, graph)
    }

    /// Columns in which values are missing, and values that look wrong but may be right.
    private static func doubts(of network: Network, _ graph: NetworkGraph) -> [String] {
        var doubts: [String] = []
        for gap in network.flowGaps + network.checkGaps {
            let who = gap.isOfAll ? "every one of \(gap.table)" : gap.description.dropFirst(gap.column.count + 4)
            doubts.append(
                "\(gap.column) is missing for \(who) (\(gap.elements.count) of \(gap.count)): "
                    + (gap.checks == ["LF"]
                        ? "there is no load flow, and no plan can be assessed"
                        : "\(gap.checks.joined(separator: ", ")) cannot be judged there"))
        }
        func count(_ number: Int, _ of: Int, _ what: String, _ meaning: String) {
            if number > 0 { doubts.append("\(number) of \(of) \(what): \(meaning)") }
        }
        if network.saysDERs == false {
            doubts.append("ders.csv is missing: plans are judged as if there were no DER, and say so")
        }
        if network.saysLoads == false {
            doubts.append("loads.csv is missing: what customers take is not known, and no plan can be assessed")
        }
        let loads = network.loads
        count(
            loads.filter { $0.kilovars == nil }.count, loads.count, "loads have no q_kvar",
            "what they take of reactive power is not known, and no study can be assessed")
        count(
            loads.filter(\.activeProfile.isEmpty).count, loads.count, "loads have no p_profile",
            "in a study they take p_kw at every moment")
        count(
            loads.filter { $0.customers == nil }.count, loads.count, "loads have no n_customers",
            "there may be some")
        count(
            network.ders.filter { !$0.profile.isEmpty && $0.scaleKW == nil }.count, network.ders.count,
            "DER have a profile and no scale_kw", "what they give in a study is not known")
        for unit in network.transformers {
            guard let high = graph.nodeIndex[unit.highNode], let low = graph.nodeIndex[unit.lowNode] else { continue }
            let levels = (network.nodes[high].nominalKilovolts, network.nodes[low].nominalKilovolts)
            if unit.ratedKVA < (levels.1 < 1 ? 5 : levels.0 >= 30 ? 2000 : 100) {
                doubts.append(
                    "transformer \(unit.id): sn_kva \(unit.ratedKVA) is little between \(levels.0) and \(levels.1) kV")
            }
            for (name, rated, level) in [
                ("vn_hv_kv", unit.highKilovolts, levels.0), ("vn_lv_kv", unit.lowKilovolts, levels.1),
            ] {
                if let rated, abs(rated / level - 1) > 0.1 {
                    doubts.append("transformer \(unit.id): \(name) \(rated) at a node of \(level) kV")
                }
            }
        }
        for line in network.lines {
            guard let from = graph.nodeIndex[line.from], let to = graph.nodeIndex[line.to] else { continue }
            let (one, other) = (network.nodes[from], network.nodes[to])
            if one.isBusbar, other.isBusbar, !one.substation.isEmpty, one.substation == other.substation {
                doubts.append(
                    "line \(line.id) joins two busbars of \(one.substation): a ring over it counts as a loop")
            }
        }
        let kinds = Set(network.switches.map(\.kind)).filter { !$0.isEmpty && !Network.Switch.knows(kind: $0) }
        if !kinds.isEmpty {
            doubts.append(
                "kinds of switches that mean nothing here: \(kinds.sorted().joined(separator: ", ")): what they may break is not known"
            )
        }
        // Live, what its head measures is spread over its loads.
        let normal = Topology(graph, positions: graph.normalPositions)
        let loaded = Set(
            network.loads.filter { $0.kilowatts > 0 }.compactMap { load in
                graph.nodeIndex[load.node].map { Int(normal.feeder[$0]) }
            })
        // The second cable of a feeder is traced to none: its loads are the first one's.
        let bare = Set(normal.feeder.map { Int($0) }).filter { $0 >= 0 && !loaded.contains($0) }.sorted()
            .map { network.feeders[$0].id }
        if !bare.isEmpty {
            doubts.append(
                "\(bare.count == 1 ? "feeder" : "feeders") \(bare.prefix(5).joined(separator: ", "))\(bare.count > 5 ? " …" : "") "
                    + "\(bare.count == 1 ? "has" : "have") no load with p_kw above 0: power that the head measures there has nothing to stand on, and live "
                    + "nothing can be assessed while there is any")
        }
        return doubts
    }
}
