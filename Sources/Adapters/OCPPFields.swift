internal import GridModel

/// How a measurand of OCPP is treated. Names as in the schemas of `MeterValues` of 1.6, 2.0.1 and 2.1.
struct OCPPMeasurand {
    enum Place: Equatable {
        case activeImport, activeExport, reactiveImport, reactiveExport
        case voltage, current
        case plain(Quantity)
        case none
    }

    let name: String
    let place: Place
    /// Readings of one family are taken at one place of the station.
    let family: String
    /// Factor of each unit; the first is what an absent unit means.
    let units: [(name: String, factor: Double)]
    /// How it is treated, in the words of the documentation.
    let meaning: String

    static func of(_ name: String) -> OCPPMeasurand? { all.first { $0.name == name } }

    private static let watts = [("W", 1.0), ("kW", 1e3), ("MW", 1e6)]
    private static let vars = [("var", 1.0), ("kvar", 1e3), ("Mvar", 1e6)]
    private static let wattHours = [("Wh", 1.0), ("kWh", 1e3), ("MWh", 1e6)]

    static let all: [OCPPMeasurand] = [
        .init(
            name: "Power.Active.Import", place: .activeImport, family: "Power.Active", units: watts,
            meaning: "`active_power_w`: Export less Import; of one that is missing, nothing flows"),
        .init(
            name: "Power.Active.Export", place: .activeExport, family: "Power.Active", units: watts,
            meaning: "as Import"),
        .init(
            name: "Power.Reactive.Import", place: .reactiveImport, family: "Power.Reactive", units: vars,
            meaning: "`reactive_power_var`: Export less Import"),
        .init(
            name: "Power.Reactive.Export", place: .reactiveExport, family: "Power.Reactive", units: vars,
            meaning: "as Import"),
        .init(
            name: "Energy.Active.Import.Register", place: .plain(.energyImported), family: "Energy.Active",
            units: wattHours, meaning: "`energy_imported_wh`; also where there is no measurand"),
        .init(
            name: "Energy.Active.Export.Register", place: .plain(.energyExported), family: "Energy.Active",
            units: wattHours, meaning: "`energy_exported_wh`"),
        .init(
            name: "Voltage", place: .voltage, family: "Voltage", units: [("V", 1), ("kV", 1e3)],
            meaning: "`voltage_v`, by phase; without a phase see below"),
        .init(
            name: "Current.Import", place: .current, family: "Current", units: [("A", 1)],
            meaning: "`current_a`, as a magnitude; without a phase see below"),
        .init(
            name: "Current.Export", place: .current, family: "Current", units: [("A", 1)],
            meaning: "as Import: of the two, the larger"),
        .init(
            name: "Frequency", place: .plain(.frequency), family: "Frequency", units: [("Hz", 1), ("Hertz", 1)],
            meaning: "`frequency_hz`"),
        .init(
            name: "SoC", place: .plain(.stateOfCharge), family: "SoC", units: [("Percent", 1), ("%", 1)],
            meaning: "`state_of_charge_pct`: the vehicle's"),
        .init(
            name: "Power.Offered", place: .plain(.limit), family: "Power.Offered", units: watts,
            meaning: "`limit_w`: a limit, no measurement"),
    ]

    /// Why other measurands are left out: the first row whose name or beginning fits.
    static let others: [(names: [String], why: String)] = [
        (
            [
                "Current.Offered", "Current.Import.Offered", "Current.Export.Offered", "Power.Import.Offered",
                "Power.Export.Offered", "Current.Import.Minimum", "Current.Export.Minimum", "Power.Import.Minimum",
                "Power.Export.Minimum", "Voltage.Minimum", "Voltage.Maximum",
            ], "a limit, not a measurement"
        ),
        (
            ["Power.Active.Setpoint", "Power.Active.Residual", "Energy.Active.Setpoint.Interval"],
            "what is wanted or left, not what flows"
        ),
        (
            [
                "Energy.Active.Import.Interval", "Energy.Active.Export.Interval", "Energy.Reactive.Import.Interval",
                "Energy.Reactive.Export.Interval",
            ], "energy of an interval that the reading does not name"
        ),
        (
            [
                "Energy.Active.Net", "Energy.Active.Import.CableLoss", "Energy.Active.Import.LocalGeneration.Register",
                "Energy.Reactive.Import.Register", "Energy.Reactive.Export.Register", "Energy.Reactive.Net",
                "Energy.Apparent.Import", "Energy.Apparent.Export", "Energy.Apparent.Net",
            ], "a counter that a sample does not have"
        ),
        (["Power.Factor"], "follows from power"),
        (["Temperature", "RPM", "Display.*", "EnergyRequest.*"], "no quantity of a sample"),
    ]

    static func whyNot(_ name: String) -> String {
        others.first {
            $0.names.contains { $0.hasSuffix("*") ? name.hasPrefix($0.dropLast()) : $0 == name }
        }?.why ?? "not a measurand of OCPP 1.6, 2.0.1 or 2.1"
    }
}

extension OCPPReading {
    /// Fields of a sampled value other than its measurand: value, and what becomes of the reading.
    private static let fields: [(field: String, value: String, meaning: String)] = [
        ("value", "number, text", "also text with blanks around it; anything else costs this value only"),
        ("format", "`Raw`, absent", "taken"),
        ("format", "`SignedData`", "left out: the raw value stands beside it"),
        ("signedMeterValue", "2.x", "not read: `value` is the raw one"),
        (
            "location", "`Outlet`, absent",
            "taken, unless the same was measured at `Inlet`; power may be the DC side's, see below"
        ),
        ("location", "`Inlet`", "taken: the grid's side"),
        ("location", "`EV`", "only `SoC`: its voltage is the battery's"),
        ("location", "`Cable`, `Body`, `Upstream`", "left out: not the terminal"),
        ("phase", "absent", "the whole"),
        ("phase", "`L1`, `L2`, `L3`, `L1-N`, `L2-N`, `L3-N`", "that phase"),
        ("phase", "`N`", "left out: no phase"),
        ("phase", "`L1-L2`, `L2-L3`, `L3-L1`", "left out: between lines"),
        ("context", "`Sample.Periodic`, absent", "taken"),
        (
            "context", "`Sample.Clock`, `Trigger`, `Transaction.End`, `Other`",
            "taken; where the same is there twice, the context further up in this table"
        ),
        ("context", "`Interruption.Begin`, `Interruption.End`", "taken as QUESTIONABLE, where nothing else is there"),
        ("context", "`Transaction.Begin`", "taken where nothing else is there: it is the oldest"),
        ("context", "another", "taken as QUESTIONABLE, where nothing else is there"),
        ("unit", "absent", "the measurand's own: W, var, Wh, V, A, Hz, Percent"),
        ("unit", "`kW` `MW` `kvar` `Mvar` `kWh` `MWh` `kV` `Hertz` `%`", "converted"),
        ("unit", "another's, such as Wh with power, or two that differ", "left out"),
        ("unitOfMeasure.multiplier", "-12 to 12", "power of ten; absent is 0"),
        ("unitOfMeasure.multiplier", "another", "left out"),
        ("*", "a field that no version has", "left out; names may be written `sampled_value`, too"),
    ]

    static var fieldTable: String {
        var rows = ["| measurand | what becomes of it |", "|---|---|"]
        rows += OCPPMeasurand.all.map { "| `\($0.name)` | \($0.meaning) |" }
        rows += OCPPMeasurand.others.map { group in
            "| \(group.names.map { "`\($0)`" }.joined(separator: " ")) | left out: \(group.why) |"
        }
        rows += ["", "| field | is | what becomes of the value |", "|---|---|---|"]
        rows += fields.map { "| `\($0.field)` | \($0.value) | \($0.meaning) |" }
        return rows.joined(separator: "\n")
    }
}
