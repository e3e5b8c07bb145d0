public import GridModel

/// Checks that a network's data cannot feed, because no element has what they need: told with every verdict, and not judged.
/// Where some elements have it, what another that matters lacks is an unknown of the check itself.
public enum DataNeeds {
    /// Every plan rests on them: one that is not run makes a verdict impossible, unless a setting accepts it.
    public static let vital: Set<String> = ["LF", "H1", "H2", "H3", "H4", "H5", "V1", "V2", "V3", "P1"]

    /// Checks that rest on a load flow.
    static let onLoadFlow = [
        "H1", "H2", "H3", "H4", "H5", "V1", "V2", "V3", "V4", "P2", "P3", "P4", "P6", "F1", "F2", "F3", "C1", "C2",
        "C3",
        "C4", "C5", "C8", "R1", "R2", "R3", "R4", "R5",
    ]

    /// Checks of numbers that rest on what loads and DER do.
    static let onValues: Set<String> = [
        "LF", "T10", "C1", "C2", "C5", "C6", "C8", "P2", "P3", "P4", "R3", "R4", "R6", "H1", "H2", "H3", "H4", "H5",
        "F1",
        "F2", "F3", "V1", "V2", "V3", "V4",
    ]

    /// By check, for want of what.
    public static func notRun(_ network: Network) -> [Verdict.NotRun] {
        let switches = network.switches
        let relays = switches.contains { $0.relay != nil }
        let ground = switches.contains { $0.relay?.groundPickup != nil }
        var missing: [(String, String)] = []
        func need(_ isThere: Bool, _ check: String, _ what: String) {
            if !isThere { missing.append((check, what)) }
        }
        for gap in network.checkGaps where gap.isOfAll {
            for check in gap.checks { need(false, check, gap.description) }
        }
        for gap in network.flowGaps where gap.isOfAll { need(false, "LF", gap.description) }
        need(network.saysLoads != false, "LF", "loads.csv")
        // What feeds back, holds a part without source, or hides load: all of it rests on them.
        for check in ["F1", "R6", "T10"] { need(network.saysDERs != false, check, "ders.csv") }
        need(switches.contains { $0.loadBreakAmperes != nil }, "C1", "load_break_a of switches")
        need(switches.contains { $0.faultMakeKiloamperes != nil }, "C3", "fault_make_ka of switches")
        need(network.transformers.contains { $0.windings != nil }, "C6", "windings of transformers")
        need(
            network.lines.contains { $0.construction != nil && $0.kilometres != nil }, "C6",
            "construction and length_km of lines")
        need(ground, "C5", "ground_pickup_a of switches")
        need(switches.contains { $0.interruptKiloamperes != nil }, "P6", "interrupt_ka of switches")
        for check in ["R1", "R3", "R4"] { need(relays, check, "phase_pickup_a of switches") }
        need(switches.contains { $0.remote != nil }, "C7", "remote of switches")
        need(switches.contains { $0.relay?.isDirectional != nil }, "F2", "directional of switches")
        need(switches.contains { $0.relay?.hasAlternateSettings != nil }, "R7", "alternate_settings of switches")
        // Where every bank's neutral only signals a fault to ground, there is nothing to be tripped by its current.
        let banks = network.transformers.filter { unit in
            network.nodes.contains { $0.id == unit.highNode && $0.kind == "hv_busbar" }
        }
        let signals = !banks.isEmpty && banks.allSatisfy { $0.neutral?.isOnlySignalled ?? false }
        need(
            signals || ground && hasZeroSequence(network), "R2",
            "ground_pickup_a of switches, r0_ohm and x0_ohm of lines")
        need(hasCurves(network), "R5", "curve and time_dial of switches")
        need(hasReclosing(network), "R6", "first_reclose_s of switches")
        need(network.nodes.contains { $0.phases != nil }, "T8", "phases of nodes")
        need(network.regulators != nil, "V4", "regulators.csv")
        return missing.map { Verdict.NotRun(check: $0.0, reason: "not in the network's data: \($0.1)") }
    }

    static func hasCurves(_ network: Network) -> Bool {
        network.switches.contains { $0.relay?.curve != nil && $0.relay?.timeDial != nil }
    }

    static func hasReclosing(_ network: Network) -> Bool {
        network.switches.contains { $0.relay?.firstReclose != nil || $0.relay?.recloses != nil }
    }

    static func hasZeroSequence(_ network: Network) -> Bool {
        network.lines.contains { $0.zeroResistance != nil && $0.zeroReactance != nil }
    }

    /// A finding for a vital check that is not run: nobody can assess the plan, or people have accepted that.
    static func finding(_ missing: Verdict.NotRun, _ limits: SwitchingLimits) -> Finding {
        let isAccepted = limits.acceptedNotRun.contains(missing.check)
        return Finding(
            missing.check, isAccepted ? .condition : .unknown, limitSource: "limits.accept_not_run",
            "\(missing.check) is not run\(isAccepted ? ", which the settings accept" : ""): \(missing.reason).",
            remedy: isAccepted
                ? "Have somebody look at it who knows the network."
                : "Complete the network's data, or accept in limits.accept_not_run that \(missing.check) is not run.")
    }
}
