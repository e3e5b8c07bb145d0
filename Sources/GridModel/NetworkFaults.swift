/// A value that cannot be meant: it contradicts another, or no such element has it. Found at import, and again before a
/// network is solved, so that it is reported as a fault in the data and not as one of a plan.
public struct DataFault: Sendable, Hashable {
    /// The row and column that it is seen in.
    public var table, id, column: String
    public var text: String
    /// Nothing can be solved with it.
    public var spoilsFlow: Bool

    public var description: String { "\(column) of \(id) (\(table)) \(text)" }
}

extension Network {
    /// Every value that cannot be meant.
    public var faults: [DataFault] {
        var found: [DataFault] = []
        func fault(_ table: String, _ id: String, _ column: String, _ text: String, spoilsFlow: Bool = false) {
            found.append(DataFault(table: table, id: id, column: column, text: text, spoilsFlow: spoilsFlow))
        }
        let levels = Dictionary(nodes.map { ($0.id, $0.nominalKilovolts) }, uniquingKeysWith: { first, _ in first })
        sharedNames(fault)
        for line in lines { check(line, levels) { fault("lines", line.id, $0, $1, spoilsFlow: $2) } }
        for unit in transformers { check(unit, levels) { fault("transformers", unit.id, $0, $1, spoilsFlow: $2) } }
        checkSwitches(levels) { fault("switches", $0, $1, $2, spoilsFlow: $3) }
        checkFeeders(fault)
        checkSources { fault("sources", $0, $1, $2, spoilsFlow: true) }
        for load in loads where load.kilowatts < 0 {
            fault(
                "loads", load.id, "p_kw",
                "is \(load.kilowatts) kW: what gives power is a DER, or nobody knows what it does to loads when it trips",
                spoilsFlow: true)
        }
        for der in ders { check(der) { fault("ders", der.id, $0, $1, spoilsFlow: true) } }
        return found
    }

    /// Ids of what a plan, the register or telemetry names: each stands for one thing, whatever table it is in.
    private func sharedNames(_ fault: (String, String, String, String, Bool) -> Void) {
        var owners: [String: String] = [:]
        func own(_ id: String, _ table: String, _ row: String, _ column: String, _ what: String) {
            if let other = owners[id] {
                fault(table, row, column, "\(id == row ? "" : "makes the device \(id), which ")is also \(other)", false)
            } else {
                owners[id] = what
            }
        }
        for item in nodes { own(item.id, "nodes", item.id, "node_id", "a node") }
        for item in lines { own(item.id, "lines", item.id, "line_id", "a line") }
        for item in transformers { own(item.id, "transformers", item.id, "transformer_id", "a transformer") }
        for item in switches { own(item.id, "switches", item.id, "switch_id", "a switch") }
        for item in regulators ?? [] { own(item.id, "regulators", item.id, "regulator_id", "a regulator") }
        for item in shunts ?? [] { own(item.id, "shunts", item.id, "shunt_id", "a shunt") }
        for item in ders { own(item.id, "ders", item.id, "der_id", "a DER") }
        // Measuring points that a network implies, by the names of DeviceRegistry.
        for item in feeders {
            own("FH-\(item.id)", "feeders", item.id, "feeder_id", "the head of feeder \(item.id)")
        }
        for item in nodes { own("VM-\(item.id)", "nodes", item.id, "node_id", "the voltage meter of node \(item.id)") }
        for item in switches {
            own("RC-\(item.id)", "switches", item.id, "switch_id", "the meter of switch \(item.id)")
        }
        for item in regulators ?? [] {
            own("RG-\(item.id)", "regulators", item.id, "regulator_id", "the meter of regulator \(item.id)")
        }
        for item in transformers {
            own("TM-\(item.id)", "transformers", item.id, "transformer_id", "the meter of transformer \(item.id)")
        }
    }

    /// Heads and ties: each line and each switch is that of one, and stands where the other columns say.
    private func checkFeeders(_ fault: (String, String, String, String, Bool) -> Void) {
        let lines = Dictionary(self.lines.map { ($0.id, [$0.from, $0.to]) }, uniquingKeysWith: { first, _ in first })
        let switches = Dictionary(self.switches.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var owners: [String: String] = [:]
        func own(_ id: String, _ table: String, _ row: String, _ column: String) {
            guard !id.isEmpty else { return }
            if let other = owners["\(table) \(id)"] {
                fault(table, row, column, "is \(id), as that of \(other)", false)
            } else {
                owners["\(table) \(id)"] = row
            }
        }
        func stands(_ id: String, in line: String, _ table: String, _ row: String, _ column: String) {
            guard let item = switches[id], lines[line] != nil else { return }
            if item.connects != .line || item.element != line {
                fault(table, row, column, "is \(id), which does not stand in \(line)", false)
            }
        }
        for feeder in feeders {
            if let ends = lines[feeder.headLine], !ends.contains(feeder.busbar) {
                fault(
                    "feeders", feeder.id, "head_line_id",
                    "is \(feeder.headLine), which does not end at \(feeder.busbar)", false)
            }
            own(feeder.headLine, "feeders", feeder.id, "head_line_id")
            own(feeder.headSwitch, "feeders", feeder.id, "head_switch_id")
            stands(feeder.headSwitch, in: feeder.headLine, "feeders", feeder.id, "head_switch_id")
        }
        for tie in ties {
            own(tie.switchID, "ties", tie.id, "switch_id")
            stands(tie.switchID, in: tie.line, "ties", tie.id, "switch_id")
            guard let ends = lines[tie.line] else { continue }
            for (column, node) in [("open_at_node", tie.openAtNode), ("far_node", tie.farNode)]
            where !node.isEmpty && !ends.contains(node) {
                fault("ties", tie.id, column, "is \(node), where \(tie.line) does not end", false)
            }
        }
    }

    /// Two voltages at one node are held by nobody.
    private func checkSources(_ fault: (String, String, String) -> Void) {
        var first: [String: Source] = [:]
        for source in sources {
            guard let other = first[source.node] else {
                first[source.node] = source
                continue
            }
            for (column, one, another) in [
                ("vm_pu", source.voltagePerUnit, other.voltagePerUnit),
                ("va_degree", source.angleDegrees, other.angleDegrees),
            ] {
                if let one, let another, one != another {
                    fault(source.id, column, "is \(one), and that of \(other.id) at the same node is \(another)")
                }
            }
        }
    }

    /// Its ratings are those of one machine: what is told in MW or as 0 would hide what it can give.
    private func check(_ der: DER, _ fault: (String, String) -> Void) {
        guard der.ratedKW > 0 else {
            fault("rated_kw", "is \(der.ratedKW) kW, which is no rating")
            return
        }
        if let apparent = der.ratedKVA, apparent < der.ratedKW / 2 {
            fault("rated_kva", "is \(apparent) kVA, less than half of rated_kw, \(der.ratedKW) kW")
        }
        guard let scale = der.scaleKW else { return }
        if abs(scale) > 2 * der.ratedKW {
            fault("scale_kw", "is \(scale) kW, more than twice rated_kw, \(der.ratedKW) kW")
        }
        if scale < 0, ![.battery, .electricVehicleCharger, .otherGenerator].contains(der.kind) {
            fault("scale_kw", "is \(scale) kW: positive is what a DER gives")
        }
    }

    private func differ(_ one: Double?, _ other: Double?) -> Bool {
        guard let one, let other else { return false }
        return abs(one - other) > 1e-6 * max(abs(one), abs(other))
    }

    private func check(_ line: Line, _ levels: [String: Double], _ fault: (String, String, Bool) -> Void) {
        if line.from == line.to { fault("to_node", "is \(line.to), as its from_node", true) }
        if differ(levels[line.from], levels[line.to]) {
            fault("to_node", "joins \(volts(line.from, levels)) and \(volts(line.to, levels))", true)
        }
        if let rated = line.ratedAmperes, let emergency = line.emergencyAmperes, emergency < rated {
            fault("emergency_a", "is \(emergency) A, less than max_i_a, \(rated) A", false)
        }
        if let rated = line.ratedAmperes, let emergency = line.emergencyAmperes, emergency > 2 * rated {
            fault("emergency_a", "is \(emergency) A, more than twice max_i_a, \(rated) A", false)
        }
        for (column, value) in [("x_ohm", line.reactance), ("x0_ohm", line.zeroReactance)] {
            if let value, value < 0 { fault(column, "is \(value) Ω, which no line has", column == "x_ohm") }
        }
        if let r = line.resistance, let x = line.reactance, let r0 = line.zeroResistance, let x0 = line.zeroReactance,
            max(r, abs(x)) > 0, max(r0, abs(x0)) > 100 * max(r, abs(x))
        {
            fault(r0 > abs(x0) ? "r0_ohm" : "x0_ohm", "is more than a hundred times that of its phases", false)
        }
        if (line.zeroResistance == nil) != (line.zeroReactance == nil) {
            let column = line.zeroResistance == nil ? "r0_ohm" : "x0_ohm"
            fault(column, "is empty beside \(column == "r0_ohm" ? "x0_ohm" : "r0_ohm")", false)
        }
    }

    private func volts(_ node: String, _ levels: [String: Double]) -> String { "\(node) of \(levels[node] ?? 0) kV" }

    private func check(
        _ unit: Transformer, _ levels: [String: Double], _ fault: (String, String, Bool) -> Void
    ) {
        if unit.highNode == unit.lowNode { fault("lv_node", "is \(unit.lowNode), as its hv_node", true) }
        guard let high = levels[unit.highNode], let low = levels[unit.lowNode] else { return }
        if high < low {
            fault("hv_node", "is \(volts(unit.highNode, levels)), less than \(volts(unit.lowNode, levels))", true)
        }
        for (column, rated, node) in [
            ("vn_hv_kv", unit.highKilovolts, unit.highNode), ("vn_lv_kv", unit.lowKilovolts, unit.lowNode),
        ] {
            if let rated, let level = levels[node], abs(rated / level - 1) > 0.2 {
                fault(column, "is \(rated) kV at \(volts(node, levels))", true)
            }
        }
        if unit.ratedKVA < Self.leastKVA(high, low) {
            fault(
                "sn_kva", "is \(unit.ratedKVA) kVA, too little between \(high) and \(low) kV: it is kVA, not MVA", true)
        }
        if let impedance = unit.impedancePercent {
            if !(0.01...100).contains(abs(impedance)) {
                fault("vk_percent", "is \(impedance) %, which no transformer has", true)
            } else if let resistance = unit.resistancePercent, abs(resistance) > abs(impedance) {
                fault("vkr_percent", "is \(resistance) %, more than vk_percent, \(impedance) %", true)
            }
        }
        if let losses = unit.noLoadKilowatts, losses > 0.1 * unit.ratedKVA {
            fault("pfe_kw", "is \(losses) kW, more than a tenth of sn_kva", true)
        }
        checkWindings(unit, fault)
        checkTaps(unit, fault)
    }

    /// kVA that any transformer between two levels has at least.
    private static func leastKVA(_ high: Double, _ low: Double) -> Double {
        low < 1 ? 1 : high >= 30 ? 250 : 25
    }

    private func checkWindings(_ unit: Transformer, _ fault: (String, String, Bool) -> Void) {
        if let name = unit.windings, unit.vectorGroup == nil {
            fault("windings", "is \"\(name)\", which is no vector group, as Dyn5", true)
        }
        guard let shift = unit.shiftDegrees else { return }
        let clock = (shift / 30).rounded()
        guard shift == clock * 30, abs(shift) <= 3600 else {
            fault("shift_degree", "is \(shift)°, which is no multiple of 30", true)
            return
        }
        guard let group = unit.vectorGroup, let name = unit.windings else { return }
        let hour = (Int(clock) % 12 + 12) % 12
        if (hour % 2 == 1) != group.hasOddClock {
            fault("shift_degree", "is \(shift)°, which no \(name) has", true)
        } else if let known = group.clock, known != hour {
            fault("shift_degree", "is \(shift)°, and windings \(name) is \(known * 30)°", true)
        }
    }

    private func checkTaps(_ unit: Transformer, _ fault: (String, String, Bool) -> Void) {
        let tap = unit.tap
        for column in tap.missing {
            fault(column, "is empty beside other data of its taps", true)
        }
        for column in tap.missingControl where !tap.missing.contains(column) {
            fault(column, "is empty, and oltc is 1", true)
        }
        if tap.isAutomatic == nil, tap.setPoint != nil || tap.band != nil || unit.tapGroup != nil {
            fault("oltc", "is empty beside other data of its control", true)
        }
        if tap.stepPercent == 0, tap.position != nil || tap.isAutomatic == true {
            fault("tap_step_percent", "is 0 beside \(tap.isAutomatic == true ? "oltc 1" : "tap_pos")", true)
        }
        if let band = tap.band, tap.isAutomatic == true, band <= 0 { fault("oltc_band_pu", "is \(band)", true) }
        for (column, value) in [("tap_pos", tap.position), ("tap_neutral", tap.neutral)] {
            if let value, value < tap.least ?? value || value > tap.most ?? value {
                fault(column, "is \(value), outside of tap_min to tap_max", true)
            }
        }
    }

    private func checkSwitches(_ levels: [String: Double], _ fault: (String, String, String, Bool) -> Void) {
        let lines = Dictionary(self.lines.map { ($0.id, [$0.from, $0.to]) }, uniquingKeysWith: { first, _ in first })
        let units = Dictionary(
            transformers.map { ($0.id, [$0.highNode, $0.lowNode]) }, uniquingKeysWith: { first, _ in first })
        for item in switches {
            if let relay = item.relay, let ground = relay.groundPickup, ground > relay.phasePickup {
                fault(
                    item.id, "ground_pickup_a", "is \(ground) A, more than phase_pickup_a, \(relay.phasePickup) A",
                    false)
            }
            switch item.connects {
            case .bus:
                if item.node == item.element {
                    fault(item.id, "element_id", "is \(item.element), as its node_id", true)
                }
                if differ(levels[item.node], levels[item.element]) {
                    fault(
                        item.id, "element_id", "joins \(volts(item.node, levels)) and \(volts(item.element, levels))",
                        true)
                }
            case .line, .transformer:
                if let ends = (item.connects == .line ? lines : units)[item.element], !ends.contains(item.node) {
                    fault(item.id, "node_id", "is \(item.node), where \(item.element) does not end", true)
                }
            }
        }
    }
}
