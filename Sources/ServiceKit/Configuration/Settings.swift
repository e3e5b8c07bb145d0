internal import CToml
internal import Foundation

/// One setting: what it is called, what it may be, and where its default comes from.
public struct SettingDefinition: Sendable {
    public enum Shape: Sendable {
        case text
        /// Text of a form: what is expected, in words, and whether a text is of it.
        case form(String, @Sendable (String) -> Bool)
        case number(ClosedRange<Double>)
        case flag
        case choice([String])
    }

    public let key: String
    public let shape: Shape
    public let defaultText: String
    public let unit: String
    /// Where the default comes from: a standard, a measurement, engineering judgement.
    public let source: String
    public let summary: String
    /// May also stand in `[feeder.<id>]`, by the part of the key after its dot.
    public let perFeeder: Bool

    public init(
        _ key: String, _ shape: Shape, default defaultText: String, unit: String = "", source: String,
        _ summary: String,
        perFeeder: Bool = false
    ) {
        self.key = key
        self.shape = shape
        self.defaultText = defaultText
        self.unit = unit
        self.source = source
        self.summary = summary
        self.perFeeder = perFeeder
    }

    var leaf: String { String(key[key.index(after: key.lastIndex(of: ".") ?? key.startIndex)...]) }

    fileprivate func complaint(_ text: String) -> String? {
        switch shape {
        case .text: return nil
        case .form(let expected, let isValid):
            return isValid(text) ? nil : "expected \(expected), got \"\(Masking.text(text))\""
        case .flag:
            return ["true", "false"].contains(text) ? nil : "expected true or false, got \"\(Masking.text(text))\""
        case .choice(let words):
            return words.contains(text)
                ? nil : "expected one of \(words.joined(separator: ", ")), got \"\(Masking.text(text))\""
        case .number(let range):
            guard let value = Double(text), value.isFinite else {
                return "expected a number, got \"\(Masking.text(text))\""
            }
            guard range.contains(value) else {
                return "expected \(Self.short(range.lowerBound)) to \(Self.short(range.upperBound))"
                    + "\(unit.isEmpty ? "" : " \(unit)"), got \(text)"
            }
            return nil
        }
    }

    static func short(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e12 ? String(Int64(value)) : String(value)
    }
}

/// Every mistake of a configuration, reported together before anything starts.
public struct SettingsError: Error, CustomStringConvertible {
    public let mistakes: [String]
    public var description: String { mistakes.joined(separator: "\n") }
}

/// The settings in force. Precedence: `--set`, environment, file, default.
public struct Settings: Sendable {
    public let definitions: [SettingDefinition]
    private var values: [String: String] = [:]
    private var feederValues: [String: [String: String]] = [:]

    /// - Parameters:
    ///   - file: path of a TOML file, or `nil`.
    ///   - environment: `BACKFEED_<SECTION>_<KEY>`, as in `BACKFEED_DATABASE_URL`.
    ///   - assignments: `section.key=value`, from `--set`.
    /// - Throws: ``SettingsError`` with every mistake: where it stands and what was expected.
    public init(
        definitions: [SettingDefinition], file: String? = nil, environment: [String: String] = [:],
        assignments: [String] = []
    ) throws(SettingsError) {
        self.definitions = definitions
        var mistakes: [String] = []
        let known = Dictionary(uniqueKeysWithValues: definitions.map { ($0.key, $0) })
        let perFeeder = Dictionary(
            definitions.filter(\.perFeeder).map { ($0.leaf, $0) }, uniquingKeysWith: { first, _ in first })

        func assign(_ key: String, _ text: String, from origin: String) {
            if let definition = known[key] {
                if let complaint = definition.complaint(text) {
                    mistakes.append("\(origin): \(key): \(complaint)")
                } else {
                    values[key] = text
                }
                return
            }
            let parts = key.split(separator: ".", omittingEmptySubsequences: false)
            if parts.count >= 3, parts[0] == "feeder", let leaf = parts.last {
                let feeder = parts.dropFirst().dropLast().joined(separator: ".")
                guard let definition = perFeeder[String(leaf)] else {
                    let names = perFeeder.keys.sorted().joined(separator: ", ")
                    mistakes.append("\(origin): \(key): no such setting of a feeder; expected one of \(names)")
                    return
                }
                if let complaint = definition.complaint(text) {
                    mistakes.append("\(origin): \(key): \(complaint)")
                } else {
                    feederValues[feeder, default: [:]][definition.key] = text
                }
                return
            }
            let near = definitions.map(\.key).min { Self.distance($0, key) < Self.distance($1, key) } ?? ""
            mistakes.append("\(origin): no setting is called \(key); did you mean \(near)?")
        }

        if let file {
            do {
                for (key, value) in try Self.flatten(tomlAt: file) { assign(key, value, from: file) }
            } catch let failure as SettingsError {
                mistakes += failure.mistakes
            } catch {
                mistakes.append("\(file): cannot be read: \(error.localizedDescription)")
            }
        }
        for definition in definitions {
            let name = "BACKFEED_" + definition.key.uppercased().replacing(".", with: "_")
            if let text = environment[name] { assign(definition.key, text, from: name) }
        }
        for assignment in assignments {
            guard let equals = assignment.firstIndex(of: "=") else {
                mistakes.append("--set \(Masking.text(assignment)): expected section.key=value")
                continue
            }
            let value = String(assignment[assignment.index(after: equals)...])
            assign(String(assignment[..<equals]), value, from: "--set")
        }
        if !mistakes.isEmpty { throw SettingsError(mistakes: mistakes) }
    }

    private static func flatten(tomlAt path: String) throws -> [(String, String)] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        var problem: UnsafeMutablePointer<CChar>?
        guard let json = ctoml_to_json(text, &problem) else {
            defer { ctoml_free(problem) }
            throw SettingsError(mistakes: ["\(path):\(problem.map { String(cString: $0) } ?? "not TOML")"])
        }
        defer { ctoml_free(json) }
        let object = try JSONSerialization.jsonObject(with: Data(String(cString: json).utf8))
        var found: [(String, String)] = []
        func walk(_ value: Any, _ path: String) {
            if let table = value as? [String: Any] {
                for (key, inner) in table.sorted(by: { $0.key < $1.key }) {
                    walk(inner, path.isEmpty ? key : "\(path).\(key)")
                }
            } else if let list = value as? [Any] {
                found.append((path, list.map { "\($0)" }.joined(separator: ",")))
            } else if let number = value as? NSNumber {
                let isFlag = String(cString: number.objCType) == "c"
                found.append((path, isFlag ? (number.boolValue ? "true" : "false") : "\(number)"))
            } else {
                found.append((path, "\(value)"))
            }
        }
        walk(object, "")
        return found
    }

    /// Edit distance, for "did you mean".
    private static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        var row = Array(0...b.count)
        for (i, left) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (left == right ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }

    private func definition(_ key: String) -> SettingDefinition {
        guard let found = definitions.first(where: { $0.key == key }) else {
            preconditionFailure("setting \(key) is not declared")
        }
        return found
    }

    public func text(_ key: String, feeder: String? = nil) -> String {
        if let feeder, let own = feederValues[feeder]?[key] { return own }
        return values[key] ?? definition(key).defaultText
    }

    public func number(_ key: String, feeder: String? = nil) -> Double { Double(text(key, feeder: feeder)) ?? .nan }
    public func integer(_ key: String) -> Int { Int(number(key)) }
    public func flag(_ key: String) -> Bool { text(key) == "true" }

    /// Feeders that have settings of their own.
    public var feedersWithOwn: [String] { feederValues.keys.sorted() }

    /// The settings that were given, for a hash that says under which limits something was decided.
    public func fingerprint(prefixes: [String]) -> String {
        definitions.filter { definition in prefixes.contains { definition.key.hasPrefix($0) } }
            .map { definition in
                let own = feederValues.sorted { $0.key < $1.key }
                    .compactMap { feeder, values in values[definition.key].map { "\(feeder)=\($0)" } }
                return "\(definition.key)=\(text(definition.key)) \(own.joined(separator: " "))"
            }
            .joined(separator: "\n")
    }
}
