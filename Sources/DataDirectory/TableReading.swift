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
        _ row: Int, _ name: String, in range: ClosedRange<Double> = -1e12...1e12, otherwise: Double? = nil
    ) -> Double {
        used.insert(name)
        guard let column = table.column(name), !table.isEmpty(row, column) else {
            if let otherwise { return otherwise }
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
        let dial = known(row, "time_dial", in: 0.01...100)
        let reclose = known(row, "first_reclose_s", in: 0...3600)
        let curve: Network.Relay.Curve? = word(row, "curve", .veryInverse)
        let (directional, alternate) = (flag(row, "directional"), flag(row, "alternate_settings"))
        guard let phase = known(row, "phase_pickup_a", in: 0.1...1e5) else {
            if ground != nil || curve != nil || directional != nil || alternate != nil {
                mistake(row, "phase_pickup_a", "is empty beside other relay settings")
            }
            return nil
        }
        return Network.Relay(
            phasePickup: phase, groundPickup: ground, curve: curve, timeDial: dial, firstReclose: reclose,
            isDirectional: directional, hasAlternateSettings: alternate)
    }
}
