internal import GridModel

/// Checks that a network's data cannot feed: told with every verdict, and not judged. Where a network carries something for
/// one element, what it lacks for another is an unknown of the check itself.
enum MissingData {
    static func of(_ network: Network) -> [Verdict.NotRun] {
        let switches = network.switches
        let relays = switches.contains { $0.relay != nil }
        let curves = switches.contains { $0.relay?.curve != nil }
        let ground = switches.contains { $0.relay?.groundPickup != nil }
        let zero = network.lines.allSatisfy { $0.zeroResistance != nil && $0.zeroReactance != nil }
        var missing: [(String, String)] = []
        func need(_ isThere: Bool, _ check: String, _ what: String) {
            if !isThere { missing.append((check, what)) }
        }
        need(switches.contains { $0.loadBreakAmperes != nil }, "C1", "load_break_a of switches")
        need(switches.contains { $0.faultMakeKiloamperes != nil }, "C3", "fault_make_ka of switches")
        need(network.transformers.contains { $0.windings != nil }, "C6", "windings of transformers")
        need(ground, "C5", "ground_pickup_a of switches")
        need(switches.contains { $0.interruptKiloamperes != nil }, "P6", "interrupt_ka of switches")
        for check in ["R1", "R3", "R4"] { need(relays, check, "phase_pickup_a of switches") }
        need(switches.contains { $0.remote != nil }, "C7", "remote of switches")
        need(switches.contains { $0.relay?.isDirectional != nil }, "F2", "directional of switches")
        need(switches.allSatisfy { !$0.kind.isEmpty }, "F3", "kind of every switch")
        need(switches.contains { $0.relay?.hasAlternateSettings != nil }, "R7", "alternate_settings of switches")
        // Where every bank's neutral only signals a fault to ground, there is nothing to be tripped by its current.
        let banks = network.transformers.filter { unit in
            network.nodes.contains { $0.id == unit.highNode && $0.kind == "hv_busbar" }
        }
        let signals = !banks.isEmpty && banks.allSatisfy { $0.neutral?.isOnlySignalled ?? false }
        need(signals || ground && zero, "R2", "ground_pickup_a of switches, r0_ohm and x0_ohm of every line")
        need(curves, "R5", "curve and time_dial of switches")
        need(switches.contains { $0.relay?.firstReclose != nil }, "R6", "first_reclose_s of switches")
        need(network.nodes.contains { $0.phases != nil }, "T8", "phases of nodes")
        need(network.regulators != nil, "V4", "regulators.csv")
        return missing.map { Verdict.NotRun(check: $0.0, reason: "not in the network's data: \($0.1)") }
    }
}
