internal import Foundation
internal import ServiceKit
internal import Switching

extension SettingsCatalogue {
    private static let truth = "limits of the benchmark's switching orders"

    /// What switching plans are judged by.
    static let switching: [SettingDefinition] = [
        .init(
            "limits.mv_min_pu", .number(0.5...1), default: "0.95", unit: "pu", source: "ANSI C84.1 range B",
            "a plan that brings a node of 1 to 60 kV below is refused"),
        .init(
            "limits.mv_max_pu", .number(1...1.5), default: "1.07", unit: "pu", source: truth,
            "a plan that brings a node of 1 to 60 kV above is refused"),
        .init(
            "limits.lv_min_pu", .number(0.5...1), default: "0.9", unit: "pu", source: "EN 50160",
            "as mv_min_pu, below 1 kV"),
        .init(
            "limits.lv_max_pu", .number(1...1.5), default: "1.1", unit: "pu", source: "EN 50160",
            "as mv_max_pu, below 1 kV"),
        .init(
            "limits.voltage_margin_pu", .number(0...0.1), default: "0.01", unit: "pu", source: "domain rules V2",
            "nearer to a limit there is a condition"),
        .init(
            "limits.voltage_step_pu", .number(0.001...0.5), default: "0.03", unit: "pu", source: "domain rules V3",
            "change at a customer by one step: a condition above"),
        .init(
            "limits.voltage_step_max_pu", .number(0.001...0.5), default: "0.05", unit: "pu", source: "domain rules V3",
            "change at a customer by one step: refused above"),
        .init(
            "limits.line_loading_pct", .number(1...300), default: "100", unit: "%", source: truth,
            "of the line's rating: a condition above"),
        .init(
            "limits.line_emergency_pct", .number(1...300), default: "100", unit: "%", source: truth,
            "of the line's rating: refused above, and beyond 1.2 times it nobody may override"),
        .init(
            "limits.transformer_loading_pct", .number(1...300), default: "100", unit: "%", source: "domain rules H2",
            "of a transformer between high and medium voltage: a condition above"),
        .init(
            "limits.transformer_emergency_pct", .number(1...300), default: "120", unit: "%", source: "domain rules H2",
            "of a transformer between high and medium voltage: refused above"),
        .init(
            "limits.head_reverse_pct", .number(0...200), default: "80", unit: "%", source: truth,
            "of the head's rating that may flow back: a condition above"),
        .init(
            "limits.new_reverse_kw", .number(0...1e6), default: "50", unit: "kW", source: truth,
            "reverse flow at a head that had none: a condition above"),
        .init(
            "limits.bank_reverse_kw", .number(0...1e6), default: "100", unit: "kW", source: "domain rules F1",
            "or 1 % of its rating: reverse flow of a bank without zero-sequence overvoltage protection: refused above"),
        .init(
            "limits.parallel_voltage_pu", .number(0...0.5), default: "0.03", unit: "pu", source: "domain rules P2",
            "across a switch that closes between live parts: a condition above"),
        .init(
            "limits.parallel_voltage_max_pu", .number(0...0.5), default: "0.05", unit: "pu", source: "domain rules P2",
            "across a switch that closes between live parts: refused above"),
        .init(
            "limits.parallel_angle_deg", .number(0...180), default: "5", unit: "°", source: "domain rules P3",
            "across a switch that closes between live parts: a condition above"),
        .init(
            "limits.parallel_angle_max_deg", .number(0...180), default: "10", unit: "°", source: "domain rules P3",
            "across a switch that closes between live parts: refused above"),
        .init(
            "limits.no_load_a", .number(0...100), default: "2", unit: "A", source: "domain rules C2",
            "a disconnector may interrupt: more is refused"),
        .init(
            "limits.parallel_pickup_pct", .number(1...200), default: "75", unit: "%", source: "domain rules P4",
            "of the phase pickup of each device in a loop, for load and circulating current together: refused above"),
        .init(
            "limits.phase_reach", .number(1...20), default: "2", unit: "of pickup", source: "domain rules R1",
            "current of a fault between two phases at the end of a zone: a condition below"),
        .init(
            "limits.phase_reach_min", .number(1...20), default: "1.5", unit: "of pickup", source: "domain rules R1",
            "the same: refused below"),
        .init(
            "limits.ground_reach", .number(1...20), default: "3", unit: "of pickup", source: "domain rules R2",
            "current of a fault to ground at the end of a zone: a condition below"),
        .init(
            "limits.ground_reach_min", .number(1...20), default: "2", unit: "of pickup", source: "domain rules R2",
            "the same: refused below"),
        .init(
            "limits.load_encroachment_pct", .number(1...200), default: "80", unit: "%", source: "domain rules R3",
            "of the phase pickup that load may reach: a condition above"),
        .init(
            "limits.load_encroachment_max_pct", .number(1...200), default: "90", unit: "%",
            source: "domain rules R3, R4", "the same: refused above; with cold load a condition"),
        .init(
            "limits.coordination_s", .number(0...5), default: "0.3", unit: "s", source: "domain rules R5",
            "that a device waits for the one behind it: a condition below"),
        .init(
            "limits.cold_load_scale", .number(0...3), default: "1", unit: "1", source: "domain rules B.3.4",
            "of what load takes more after an outage (30 % to 150 % by its length); 0: nothing"),
        .init(
            "validator.head_age_s", .number(1...86_400), default: "300", unit: "s", source: "domain rules D.6",
            "older heads of the feeders concerned make a plan impossible to assess"),
        .init(
            "limits.accept_not_run",
            .form("some of \(DataNeeds.vital.sorted().joined(separator: ", "))") {
                $0.split(separator: ",").allSatisfy {
                    DataNeeds.vital.contains($0.trimmingCharacters(in: .whitespaces).uppercased())
                }
            }, default: "", source: "people who answer for it",
            "checks that every plan rests on (LF, H1 to H5, V1 to V3, P1), separated by commas: where no element has what one needs, it is a condition of every verdict instead of CANNOT_ASSESS"
        ),
        .init(
            "limits.restrictions", .text, default: "", source: "domain rules X7",
            "what is in force for the whole network, separated by commas (fire day, lightning): each is a condition of every plan"
        ),
        .init(
            "validator.switch_age_s", .number(0...86_400), default: "900", unit: "s", source: "as validator.der_age_s",
            "telemetry of a switch that was heard so shortly before a person stated another position is held against the statement: the position is not known until telemetry agrees"
        ),
        .init(
            "validator.statement_age_h", .number(0...8760), default: "24", unit: "h", source: "engineering judgement",
            "a position that a person states from a time longer ago is refused"),
        .init(
            "validator.clock_step_s", .number(0.1...3600), default: "2", unit: "s",
            source: "NTP steps beyond 0.128 s, and slews below; a look every half second",
            "a wall clock that is set by more than this voids approvals"),
        .init(
            "validator.measured_pct", .number(0...50), default: "5", unit: "%",
            source: "domain rules B.4.8 c: flow balance at a metered point",
            "of the larger of the two that power and current may differ between a meter and the load flow of now; further apart the feeder cannot be assessed"
        ),
        .init(
            "validator.measured_rating_pct", .number(0...50), default: "2", unit: "%",
            source: "instrument transformers of class 1 or 5P (IEC 61869), with a transducer",
            "of what the metered point is rated for, on top: the error of the meter itself"),
        .init(
            "validator.measured_w", .number(0...1e9), default: "50000", unit: "W", source: "engineering judgement",
            "of power, and as much of reactive power and current, below which a difference is none"
        ),
        .init(
            "validator.measured_voltage_pct", .number(0.1...50), default: "2", unit: "%",
            source: "voltage transformers of class 1 (IEC 61869), half a tap",
            "of nominal that a voltage from 1 to 60 kV may differ between a meter and the load flow of now"),
        .init(
            "validator.power_factor", .number(0...1), default: "0", unit: "1", source: "engineering judgement",
            "of loads whose reactive power neither their head measures nor the network's data have: a condition; 0: none is assumed, and their feeder cannot be assessed"
        ),
        .init(
            "validator.der_age_s", .number(1...86_400), default: "900", unit: "s", source: "domain rules D.6",
            "of DER that have been silent longer only bounds are known: nothing, and their rating"),
        .init(
            "validator.der_share_pct", .number(0...100), default: "50", unit: "%", source: "domain rules D.6",
            "of a feeder's DER rating that must have reported: a condition below"),
        .init(
            "validator.light_load_pct", .number(0...100), default: "35", unit: "%",
            source: "domain rules D.9, network N1",
            "load of the EXPORT case on the live network, of the load now, while there are too few days of profiles"),
        .init(
            "validator.profile_weeks", .number(1...104), default: "8", unit: "weeks", source: "domain rules B.1.2",
            "of stored profiles from which the load and the DER of the next hours are taken"),
        .init(
            "validator.profile_days_min", .number(1...100), default: "5", unit: "days", source: "engineering judgement",
            "of the same kind (weekday, weekend) that there must be for each quarter hour: a condition below"),
        .init(
            "validator.clock", .choice(["wall", "data"]), default: "wall", source: "interface",
            "data: for replays, whose newest sample then counts as now; verdicts say so"),
        .init(
            "validator.validity_min", .number(1...1440), default: "30", unit: "min", source: "domain rules D.7",
            "that a verdict and its approval are good for, when nothing changes before"),
        .init(
            "validator.clearance_validity_min", .number(1...1440), default: "240", unit: "min",
            source: "domain rules D.7", "the same for a plan of kind CLEARANCE that moves no switch"),
        .init(
            "validator.head_change_pct", .number(0.1...100), default: "10", unit: "%", source: "domain rules D.7",
            "of a head's rating: when its load has moved further, the approval is void"),
        .init(
            "validator.watch_ms", .number(50...1500), default: "500", unit: "ms",
            source: "interface: within two seconds",
            "between two looks at the evidence of approvals"),
        .init(
            "validator.watch_gap_s", .number(1...60), default: "5", unit: "s", source: "engineering judgement",
            "an approval that nobody has watched for longer is void; backfeed.switching_plan counts 5 s"),
        .init(
            "validator.analyser_age_s", .number(1...86_400), default: "120", unit: "s", source: "domain rules D.6",
            "further behind, the analyser makes a plan impossible to assess"),
    ]
}

extension Settings {
    var switchingLimits: SwitchingLimits {
        var made = SwitchingLimits()
        made.mvMinimum = number("limits.mv_min_pu")
        made.mvMaximum = number("limits.mv_max_pu")
        made.lvMinimum = number("limits.lv_min_pu")
        made.lvMaximum = number("limits.lv_max_pu")
        made.voltageMargin = number("limits.voltage_margin_pu")
        made.voltageStepCondition = number("limits.voltage_step_pu")
        made.voltageStepMaximum = number("limits.voltage_step_max_pu")
        made.lineLoading = number("limits.line_loading_pct")
        made.lineEmergency = number("limits.line_emergency_pct")
        made.transformerLoading = number("limits.transformer_loading_pct")
        made.transformerEmergency = number("limits.transformer_emergency_pct")
        made.headReverse = number("limits.head_reverse_pct")
        made.newReverse = number("limits.new_reverse_kw") * 1000
        made.bankReverse = number("limits.bank_reverse_kw") * 1000
        made.parallelVoltageCondition = number("limits.parallel_voltage_pu")
        made.parallelVoltageMaximum = number("limits.parallel_voltage_max_pu")
        made.parallelAngleCondition = number("limits.parallel_angle_deg")
        made.parallelAngleMaximum = number("limits.parallel_angle_max_deg")
        made.noLoadAmperes = number("limits.no_load_a")
        made.parallelPickup = number("limits.parallel_pickup_pct")
        made.phaseReach = number("limits.phase_reach")
        made.phaseReachMinimum = number("limits.phase_reach_min")
        made.groundReach = number("limits.ground_reach")
        made.groundReachMinimum = number("limits.ground_reach_min")
        made.encroachment = number("limits.load_encroachment_pct") / 100
        made.encroachmentMaximum = number("limits.load_encroachment_max_pct") / 100
        made.coordinationSeconds = number("limits.coordination_s")
        made.coldLoadScale = number("limits.cold_load_scale")
        made.restrictions = list("limits.restrictions")
        made.acceptedNotRun = Set(list("limits.accept_not_run").map { $0.uppercased() })
        return made
    }

    /// Items between commas, without blanks around them.
    private func list(_ name: String) -> [String] {
        text(name).split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
