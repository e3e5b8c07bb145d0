/// Values that some or all elements of a kind do not have.
public struct DataGap: Sendable, Hashable {
    public var table, column: String
    /// Elements that have none.
    public var elements: [String]
    /// Elements that would need one.
    public var count: Int
    /// Checks of `docs/switching.md` that need it.
    public var checks: [String]

    public var isOfAll: Bool { elements.count == count }

    /// `r_ohm of lines L1, L2`, `max_i_a of lines`.
    public var description: String {
        guard !isOfAll else { return "\(column) of \(table)" }
        let more = elements.count > 5 ? " and \(elements.count - 5) more" : ""
        return "\(column) of \(table) \(elements.prefix(5).joined(separator: ", "))\(more)"
    }
}

extension Network {
    /// Data that the load flow needs and does not have: while there are any gaps, nothing is solved.
    public var flowGaps: [DataGap] {
        var found: [DataGap] = []
        func need<Item>(
            _ table: String, _ column: String, _ items: [Item], _ id: (Item) -> String, _ has: (Item) -> Bool
        ) {
            let without = items.filter { !has($0) }.map(id)
            guard !without.isEmpty else { return }
            found.append(
                DataGap(table: table, column: column, elements: without, count: items.count, checks: ["LF"]))
        }
        need("lines", "r_ohm", lines, \.id) { $0.resistance != nil }
        need("lines", "x_ohm", lines, \.id) { $0.reactance != nil }
        need("lines", "c_nf", lines, \.id) { $0.capacitance != nil }
        need("transformers", "vn_hv_kv", transformers, \.id) { $0.highKilovolts != nil }
        need("transformers", "vn_lv_kv", transformers, \.id) { $0.lowKilovolts != nil }
        need("transformers", "vk_percent", transformers, \.id) { $0.impedancePercent != nil }
        need("transformers", "vkr_percent", transformers, \.id) { $0.resistancePercent != nil }
        need("transformers", "sn_kva", transformers, \.id) { $0.ratedKVA > 0 }
        for column in ["tap_side", "tap_neutral", "tap_pos", "tap_step_percent"] {
            need("transformers", column, transformers, \.id) { !$0.tap.missing.contains(column) }
        }
        for column in ["tap_min", "tap_max", "tap_step_percent", "oltc_setpoint_pu", "oltc_band_pu"] {
            need("transformers", column, transformers, \.id) { !$0.tap.missingControl.contains(column) }
        }
        // Angles are relative: where nobody turns, or there is one source, nothing is missing.
        if transformers.contains(where: { $0.turn != nil }) {
            need("transformers", "shift_degree", transformers, \.id) { $0.turn != nil }
        }
        need("sources", "vm_pu", sources, \.id) { $0.voltagePerUnit != nil }
        if sources.count > 1 { need("sources", "va_degree", sources, \.id) { $0.angleDegrees != nil } }
        if sources.contains(where: { $0.shortCircuitMVA != nil }) {
            need("sources", "sk_mva", sources, \.id) { $0.shortCircuitMVA != nil || $0.isStiff == true }
        }
        // Where some nodes say which phases they have, one that does not may be a lateral.
        if nodes.contains(where: { $0.phases != nil }) { need("nodes", "phases", nodes, \.id) { $0.phases != nil } }
        return found
    }

    /// The other columns of a network's tables whose absence keeps a check from being made.
    public var checkGaps: [DataGap] {
        var found: [DataGap] = []
        func need<Item>(
            _ checks: [String], _ table: String, _ column: String, _ items: [Item], _ id: (Item) -> String,
            _ has: (Item) -> Bool
        ) {
            let without = items.filter { !has($0) }.map(id)
            guard !without.isEmpty else { return }
            found.append(DataGap(table: table, column: column, elements: without, count: items.count, checks: checks))
        }
        let levels = Dictionary(nodes.map { ($0.id, $0.nominalKilovolts) }, uniquingKeysWith: { first, _ in first })
        // Low-voltage lines are not judged.
        need(
            ["H1", "H3", "H4", "H5", "P4"], "lines", "max_i_a", lines.filter { levels[$0.from] ?? 1 >= 1 }, \.id
        ) { $0.ratedAmperes != nil }
        need(["P1"], "transformers", "shift_degree", transformers, \.id) { $0.turn != nil }
        need(["F1"], "feeders", "head_rating_a", feeders, \.id) { $0.ratedAmperes != nil }
        need(["C2", "C8", "F3"], "switches", "kind", switches, \.id) { !$0.kind.isEmpty }
        return found
    }
}
