internal import GridModel

/// One table being read: hands out fields and collects what is wrong with them.
struct TableReading {
    let table: CSVTable
    var mistakes: [String] = []
    var used: Set<String> = []

    mutating func text(_ row: Int, _ name: String) -> String {
        used.insert(name)
        guard let column = table.column(name) else { return "" }
        return table.text(row, column)
    }

    mutating func identifier(_ row: Int, _ name: String) -> String {
        let value = text(row, name)
        if let complaint = Identifier.complaint(value) { mistake(row, name, complaint) }
        return value
    }

    mutating func number(
        _ row: Int, _ name: String, in range: ClosedRange<Double> = -1e12...1e12
    ) -> Double {
        used.insert(name)
        guard let column = table.column(name), !table.isEmpty(row, column) else {
            mistake(row, name, "is empty, expected a number")
            return 0
        }
        guard let value = table.number(row, column) else {
            mistake(row, name, "\"\(table.text(row, column))\" is no number")
            return 0
        }
        if !range.contains(value) {
            mistake(row, name, "\(value) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    mutating func choice<Value>(_ row: Int, _ name: String, _ words: [String: Value], otherwise: Value) -> Value {
        let value = text(row, name)
        if let found = words[value] { return found }
        mistake(row, name, "\"\(value)\" is none of \(words.keys.sorted().joined(separator: ", "))")
        return otherwise
    }

    mutating func mistake(_ row: Int, _ name: String, _ what: String) {
        mistakes.append("\(table.path):\(table.line(row)): column \(name): \(what)")
    }

    /// A number that may be missing.
    mutating func known(_ row: Int, _ name: String, in range: ClosedRange<Double> = -1e12...1e12) -> Double? {
        text(row, name).isEmpty ? nil : number(row, name, in: range)
    }

    /// A number above zero that may be missing: nothing is rated at zero.
    mutating func rating(_ row: Int, _ name: String, upTo most: Double) -> Double? {
        let value = known(row, name, in: 0...most)
        if value == 0 { mistake(row, name, "is 0, which is no rating: leave it empty where it is not known") }
        return value == 0 ? nil : value
    }

    /// A whole number that may be missing.
    mutating func whole(_ row: Int, _ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = known(row, name, in: Double(range.lowerBound)...Double(range.upperBound)) else { return nil }
        guard let whole = Int(exactly: value) else {
            mistake(row, name, "\(value) is no whole number")
            return nil
        }
        return whole
    }

    mutating func optionalText(_ row: Int, _ name: String) -> String? {
        let value = text(row, name)
        return value.isEmpty ? nil : value
    }

    /// One of some words, or not known.
    mutating func word(_ row: Int, _ name: String, _ words: [String]) -> String? {
        guard let value = optionalText(row, name) else { return nil }
        return choice(row, name, Dictionary(uniqueKeysWithValues: words.map { ($0, $0) }), otherwise: value)
    }

    /// No row says anything in a column, or there is none.
    mutating func isEmptyThroughout(_ name: String) -> Bool {
        used.insert(name)
        guard let column = table.column(name) else { return true }
        return (0..<table.rowCount).allSatisfy { table.isEmpty($0, column) }
    }

    /// Columns that other formats have where totals are expected.
    static let others = [
        ("r_ohm", "r_ohm_per_km"), ("x_ohm", "x_ohm_per_km"), ("c_nf", "c_nf_per_km"), ("max_i_a", "max_i_ka"),
        ("sn_kva", "sn_mva"), ("p_kw", "p_mw"), ("q_kvar", "q_mvar"),
    ]

    /// Totals of a line against values per kilometre beside them: two values of one thing must agree.
    mutating func compareTotals(_ row: Int) {
        func number(_ name: String) -> Double? { table.column(name).flatMap { table.number(row, $0) } }
        guard let length = number("length_km") else { return }
        for (total, other) in Self.others.prefix(3) {
            guard let one = number(total), let each = number(other) else { continue }
            if abs(one - each * length) > 0.01 * max(abs(one), abs(each * length)) {
                mistake(row, total, "is \(one), and \(other) times length_km is \(each * length)")
            }
        }
    }

    /// Taps of a transformer and their control.
    mutating func tap(_ row: Int) -> Network.Transformer.Tap {
        Network.Transformer.Tap(
            isOnLowSide: word(row, "tap_side", ["hv", "lv"]).map { $0 == "lv" },
            neutral: whole(row, "tap_neutral", in: -100...100), least: whole(row, "tap_min", in: -100...100),
            most: whole(row, "tap_max", in: -100...100), position: whole(row, "tap_pos", in: -100...100),
            stepPercent: known(row, "tap_step_percent", in: -20...20), isAutomatic: flag(row, "oltc"),
            setPoint: known(row, "oltc_setpoint_pu", in: 0.5...1.5), band: known(row, "oltc_band_pu", in: 0...0.5))
    }

    /// Yes or no, or not known.
    mutating func flag(_ row: Int, _ name: String) -> Bool? {
        text(row, name).isEmpty
            ? nil : choice(row, name, ["1": true, "true": true, "0": false, "false": false], otherwise: false)
    }

    /// One of the words of a type, or not known.
    mutating func word<Value: RawRepresentable & CaseIterable>(_ row: Int, _ name: String, _ otherwise: Value) -> Value?
    where Value.RawValue == String {
        let words = Dictionary(uniqueKeysWithValues: Value.allCases.map { ($0.rawValue, $0) })
        return text(row, name).isEmpty ? nil : choice(row, name, words, otherwise: otherwise)
    }

    /// Of a node: some of `ABC`, each once.
    mutating func phases(_ row: Int) -> String? {
        let value = text(row, "phases")
        guard !value.isEmpty else { return nil }
        if Set(value).count != value.count || !Set(value).isSubset(of: "ABC") {
            mistake(row, "phases", "\"\(value)\" is none of A, B, C or several of them")
        }
        return value
    }

    /// Overcurrent protection; `nil` without a phase pickup.
    mutating func relay(_ row: Int) -> Network.Relay? {
        let ground = known(row, "ground_pickup_a", in: 0.1...1e5)
        let dial = known(row, "time_dial", in: 0.01...30)
        let isWithoutReclosing = text(row, "first_reclose_s") == "none"
        let reclose = isWithoutReclosing ? nil : known(row, "first_reclose_s", in: 0...3600)
        let curve: Network.Relay.Curve? = word(row, "curve", .veryInverse)
        let (directional, alternate) = (flag(row, "directional"), flag(row, "alternate_settings"))
        guard let phase = known(row, "phase_pickup_a", in: 0.1...1e5) else {
            if ground != nil || curve != nil || directional != nil || alternate != nil || dial != nil || reclose != nil
                || isWithoutReclosing
            {
                mistake(row, "phase_pickup_a", "is empty beside other relay settings")
            }
            return nil
        }
        return Network.Relay(
            phasePickup: phase, groundPickup: ground, curve: curve, timeDial: dial, firstReclose: reclose,
            isDirectional: directional, hasAlternateSettings: alternate, recloses: isWithoutReclosing ? false : nil)
    }
}
