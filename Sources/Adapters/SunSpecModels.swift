internal import GridModel

/// How a register is stored, which decides which numbers it can hold and which of them means "not implemented".
///
/// Types and sentinels: SunSpec Information Model Specification, "Data Types"; the same in `sunspec2/mb.py` of pysunspec2.
enum Register: String {
    case int16, uint16, enum16, uint32, uint64, acc32, float32, sunssf

    /// The meaning of a number read from a register.
    enum Content: Equatable {
        /// The register says that it is not implemented; the text says why that was not plain.
        case absent(String?)
        case value(Double, remark: String?)
        case impossible(String)
    }

    /// - Parameter raw: as the reader gave it: signed or unsigned, whichever the register is not.
    func content(_ raw: Double) -> Content {
        if self == .float32 {
            if raw.isNaN { return .absent(nil) }
            // 0x7fc00000, the pattern of NaN, written as a number by an encoder that took it for one.
            if raw == 2_143_289_344 { return .absent("\(Int(raw)) is the pattern of NaN") }
            return Float(raw).isFinite ? .value(raw, remark: nil) : .impossible("\(raw) is no float32")
        }
        guard let number = Int(exactly: raw) ?? (self == .uint64 && raw >= 0x1p63 ? Int.max : nil) else {
            return .impossible("\(raw) is no number of a register")
        }
        switch self {
        case .int16: return signed(number)
        case .sunssf:
            let content = signed(number)
            if case .value(let exponent, _) = content, !(-10...10).contains(exponent) {
                return .impossible("\(number) is no scale factor, expected -10 to 10")
            }
            return content
        case .uint16: return unsigned(number, bits: 16)
        case .enum16:
            if number == -1 || number == 65_535 { return .absent(nil) }
            return (0..<65_535).contains(number)
                ? .value(raw, remark: nil) : .impossible("\(number) is no number of an enum16")
        case .uint32: return unsigned(number, bits: 32)
        case .acc32: return number == 0 ? .absent(nil) : unsigned(number, bits: 32)
        case .uint64:
            if raw >= 18_446_744_073_709_549_568 || number == -1 { return .absent(nil) }
            if raw == 0x1p63 || raw == -0x1p63 {
                return .absent("0x8000000000000000 is the sentinel of signed registers")
            }
            return number >= 0 ? .value(raw, remark: nil) : .impossible("\(raw) is no number of a uint64")
        case .float32: return .absent(nil)
        }
    }

    private func signed(_ number: Int) -> Content {
        switch number {
        case -32_768, 32_768: .absent(nil)
        case -32_767...32_767: .value(Double(number), remark: nil)
        case 32_769...65_535: .value(Double(number - 65_536), remark: "\(number) read as signed: \(number - 65_536)")
        default: .impossible("\(number) is no number of an \(rawValue == "sunssf" ? "int16" : rawValue)")
        }
    }

    private func unsigned(_ number: Int, bits: Int) -> Content {
        let (all, half) = (1 << bits - 1, 1 << (bits - 1))
        switch number {
        case all, -1: return .absent(self == .acc32 ? "all ones is the sentinel of unsigned registers" : nil)
        case half, -half: return .absent("0x\(String(half, radix: 16)) is the sentinel of signed registers")
        case 0..<all: return .value(Double(number), remark: nil)
        case -half..<0:
            let value = number + all + 1
            return .value(Double(value), remark: "\(number) read as unsigned: \(value)")
        default: return .impossible("\(number) is no number of a \(rawValue)")
        }
    }
}

/// One point of a model, or several that are treated alike.
struct SunSpecPoint {
    /// Names as in the model; `*` at either end for any text there, `?` for one letter.
    let names: [String]
    /// `nil` where the point is not read.
    var register: Register?
    /// The point with the exponent; empty where the model has none.
    var scale = ""
    /// How it is treated, in the words of the documentation.
    let meaning: String

    static func taken(_ names: String, _ register: Register, _ scale: String = "", _ meaning: String) -> Self {
        .init(names: words(names), register: register, scale: scale, meaning: meaning)
    }

    static func left(_ names: String, _ why: String) -> Self { .init(names: words(names), meaning: why) }

    private static func words(_ names: String) -> [String] { names.split(separator: " ").map(String.init) }

    func covers(_ name: String) -> Bool { names.contains { Self.matches(name.utf8, $0.utf8) } }

    private static func matches(_ name: String.UTF8View, _ pattern: String.UTF8View) -> Bool {
        if pattern.first == UInt8(ascii: "*") {
            return name.count >= pattern.count - 1 && name.suffix(pattern.count - 1).elementsEqual(pattern.dropFirst())
        }
        var rest = name[...]
        for byte in pattern {
            if byte == UInt8(ascii: "*") { return true }
            guard let first = rest.popFirst(), byte == UInt8(ascii: "?") || byte == first else { return false }
        }
        return rest.isEmpty
    }
}

/// Models that are read, each with every point of its definition: what is taken, and what is left out and why.
///
/// Names, types, scale factors and states: SunSpec's `models` repository, `json/model_*.json`.
struct SunSpecModel {
    let numbers: [Int]
    let points: [SunSpecPoint]

    static func of(_ number: Int) -> SunSpecModel? { all.first { $0.numbers.contains(number) } }

    func point(_ name: String) -> SunSpecPoint? { points.first { $0.covers(name) } }

    static let all: [SunSpecModel] = [
        .init(numbers: [101, 102, 103], points: inverter(.uint16, .int16, .acc32, isScaled: true)),
        .init(numbers: [111, 112, 113], points: inverter(.float32, .float32, .float32, isScaled: false)),
        .init(numbers: [201, 202, 203, 204], points: meter(.int16, .acc32, isScaled: true)),
        .init(numbers: [211, 212, 213, 214], points: meter(.float32, .float32, isScaled: false)),
        .init(numbers: [701], points: der701),
        .init(
            numbers: [713],
            points: [
                header,
                .taken("SoC", .uint16, "Pct_SF", "`state_of_charge_pct`, unless it is 0 and `WHRtg` is not above 0"),
                .taken("WHRtg", .uint16, "WH_SF", "tells whether there is storage: without, `SoC` is fixed at 0"),
                .left("WHAvail SoH Sta", "no quantity of a sample"), scales,
            ]),
        .init(
            numbers: [802],
            points: [
                header,
                .taken("SoC", .uint16, "SoC_SF", "`state_of_charge_pct`"),
                .taken(
                    "W", .int16, "W_SF",
                    "`active_power_w` by `ChaSt`, ESTIMATED: it is the DC side, and its sign is not defined; 0 is 0"),
                .taken("ChaSt", .enum16, "", "3 gives and 4 takes; with anything else a `W` other than 0 is left out"),
                .left(
                    """
                    AHRtg WHRtg WChaRteMax WDisChaRteMax DisChaRte SoCMax SoCMin SocRsvMax SoCRsvMin DoD SoH NCyc \
                    LocRemCtl Hb CtrlHb AlmRst Typ WarrDt ReqInvState ReqW SetOp SetInvState AChaMax ADisChaMax
                    """, "ratings, settings and counters of the battery"),
                .left("State StateVnd Evt*", "the battery's, not the terminal's"),
                .left("V VM?? CellVMax* CellVMin* CellVAvg A", "the DC side's"), scales,
            ]),
    ]

    private static let header = SunSpecPoint.left("ID L", "the model's number and length")
    private static let scales = SunSpecPoint.left(
        "*_SF", "exponent of its points: without it, or beyond -10 to 10, they are left out")

    private static func inverter(_ unsigned: Register, _ signed: Register, _ counter: Register, isScaled: Bool)
        -> [SunSpecPoint]
    {
        func scale(_ name: String) -> String { isScaled ? name : "" }
        return [
            header,
            .taken("W", signed, scale("W_SF"), "`active_power_w`, positive into the grid"),
            .taken(
                "VAr", signed, scale("VAr_SF"),
                "`reactive_power_var`, only with `\"reactive_verified\":true`: its sign is not defined"),
            .taken("PhVphA PhVphB PhVphC", unsigned, scale("V_SF"), "`voltage_v`, by phase"),
            .taken(
                "PPVphAB PPVphBC PPVphCA", unsigned, scale("V_SF"),
                "`voltage_v` where no `PhVph?` is there, ESTIMATED up to 1 kV: divided by √3, in 102 and 112 by 2"),
            .taken("A", unsigned, scale("A_SF"), "`current_a` in 101 and 111; elsewhere a sum, no line's current"),
            .taken("AphA AphB AphC", unsigned, scale("A_SF"), "`current_a`, by phase"),
            .taken("Hz", unsigned, scale("Hz_SF"), "`frequency_hz`; outside 40 to 72, as asleep, left out"),
            .taken("WH", counter, scale("WH_SF"), "`energy_exported_wh`"),
            .taken("St", .enum16, "", "`state`, numbered from 1"),
            .left("VA PF", "follow from power"),
            .left("DCA DCV DCW", "the DC side's"),
            .left("TmpCab TmpSnk TmpTrns TmpOt StVnd Evt*", "no quantity of a sample"),
        ] + (isScaled ? [scales] : [])
    }

    private static func meter(_ register: Register, _ counter: Register, isScaled: Bool) -> [SunSpecPoint] {
        func scale(_ name: String) -> String { isScaled ? name : "" }
        return [
            header,
            .taken("W", register, scale("W_SF"), "`active_power_w` with `polarity`, without it SIGN_UNVERIFIED"),
            .taken("WphA WphB WphC", register, scale("W_SF"), "`active_power_w`, by phase"),
            .taken("VAR", register, scale("VAR_SF"), "`reactive_power_var` with `polarity`"),
            .taken("VARphA VARphB VARphC", register, scale("VAR_SF"), "`reactive_power_var`, by phase"),
            .taken("PhVphA PhVphB PhVphC", register, scale("V_SF"), "`voltage_v`, by phase"),
            .taken("PhV", register, scale("V_SF"), "`voltage_v` where no phase is there"),
            .taken(
                isScaled ? "PhVphAB PhVphBC PhVphCA PPVphAB PPVphBC PPVphCA" : "PPVphAB PPVphBC PPVphCA", register,
                scale("V_SF"),
                "`voltage_v` above 1 kV; below only where none is to neutral, ESTIMATED. "
                    + (isScaled ? "201 calls them `PPVph??`, 202 to 204 `PhVph??`: both are understood" : "")),
            .taken("PPV", register, scale("V_SF"), "as `PPVph??`, where none of them is there"),
            .taken("A", register, scale("A_SF"), "`current_a` in \(isScaled ? 201 : 211); elsewhere a sum"),
            .taken("AphA AphB AphC", register, scale("A_SF"), "`current_a`, by phase, as a magnitude"),
            .taken("Hz", register, scale("Hz_SF"), "`frequency_hz`"),
            .taken("TotWhImp", counter, scale("TotWh_SF"), "`energy_imported_wh`, whatever the polarity"),
            .taken("TotWhExp", counter, scale("TotWh_SF"), "`energy_exported_wh`, whatever the polarity"),
            .left("TotWhImpPh? TotWhExpPh?", "counters of one phase"),
            .left(
                "VA VAph? PF PFph? TotVAhImp* TotVAhExp* TotVArhImp* TotVArhExp*",
                "follow from power, or no quantity of a sample"),
            .left("Evt", "no quantity of a sample"),
        ] + (isScaled ? [scales] : [])
    }

    private static let der701: [SunSpecPoint] = [
        header,
        .taken("W", .int16, "W_SF", "`active_power_w`, positive into the grid"),
        .taken(
            "WL1 WL2 WL3", .int16, "W_SF",
            "`active_power_w`, by phase; their sum where `W` is missing and all phases of `ACType` are there"),
        .taken("Var", .int16, "Var_SF", "`reactive_power_var`"),
        .taken("VarL1 VarL2 VarL3", .int16, "Var_SF", "`reactive_power_var`, by phase"),
        .taken("VL1 VL2 VL3", .uint16, "V_SF", "`voltage_v`, by phase"),
        .taken("LNV", .uint16, "V_SF", "`voltage_v` where no phase is there"),
        .taken("VL1L2 VL2L3 VL3L1", .uint16, "V_SF", "`voltage_v` above 1 kV; below only where none is to neutral"),
        .taken("LLV", .uint16, "V_SF", "as `VL1L2`, where none of them is there"),
        .taken("AL1 AL2 AL3", .int16, "A_SF", "`current_a`, by phase, as a magnitude"),
        .taken("Hz", .uint32, "Hz_SF", "`frequency_hz`; outside 40 to 72, as asleep, left out"),
        .taken("TotWhInj", .uint64, "TotWh_SF", "`energy_exported_wh`"),
        .taken("TotWhAbs", .uint64, "TotWh_SF", "`energy_imported_wh`"),
        .taken("InvSt", .enum16, "", "`state`, numbered from 0: one less than `St` of 101 to 103"),
        .taken("ACType", .enum16, "", "how many phases there are: 0 one, 1 split, 2 or missing three"),
        .left("A", "a sum, no line's current"),
        .left(
            "VA PF VAL? PFL? TotVarhInj* TotVarhAbs* TotWhInjL? TotWhAbsL?", "follow from power, or are of one phase"),
        .left("St ConnSt Alrm DERMode ThrotPct ThrotSrc MnAlrmInfo", "no quantity of a sample"),
        .left("TmpAmb TmpCab TmpSnk TmpTrns TmpSw TmpOt", "no quantity of a sample"),
        scales,
    ]

    /// Why a model is not read.
    static func refusal(_ number: Int) -> String {
        let expected = "expected 101-103, 111-113, 201-204, 211-214, 701, 713 or 802"
        return switch number {
        case 702...712: "carries ratings and settings, not readings; \(expected)"
        case 714: "measures the DC side, which says nothing certain about the grid's: read 701; \(expected)"
        default: "is not read; \(expected)"
        }
    }
}

extension SunSpecReading {
    static var fieldTable: String {
        var rows = ["| models | points | register | what becomes of them |", "|---|---|---|---|"]
        for model in SunSpecModel.all {
            let numbers = model.numbers.map(String.init).joined(separator: ", ")
            for point in model.points {
                let names = point.names.map { "`\($0)`" }.joined(separator: " ")
                let register = point.register.map { $0.rawValue + (point.scale.isEmpty ? "" : " × `\(point.scale)`") }
                rows.append(
                    "| \(numbers) | \(names) | \(register ?? "–") | \(register == nil && !point.covers("_SF") ? "left out: " : "")\(point.meaning) |"
                )
            }
        }
        for (numbers, name) in [("702 to 712", 702), ("714", 714)] {
            rows.append("| \(numbers) | `*` | – | refused: the model \(SunSpecModel.refusal(name)) |")
        }
        return rows.joined(separator: "\n")
    }
}
