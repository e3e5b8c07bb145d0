internal import Foundation
public import GridModel
internal import ServiceKit

/// Mistakes of a plan's text: each names its place (`steps[2].action`) and what was expected.
public struct PlanDocumentError: Error, Sendable, CustomStringConvertible {
    public let mistakes: [String]
    public var description: String { mistakes.joined(separator: "\n") }
}

/// A switching plan as JSON, by the names of `docs/switching.md`.
public enum PlanDocument {
    /// Bytes of a plan at most; more is refused before it is read.
    public static let maximumBytes = 1_000_000
    /// Steps of a plan at most.
    public static let maximumSteps = 500

    /// - Throws: every mistake at once.
    public static func decode(_ bytes: [UInt8]) throws(PlanDocumentError) -> SwitchingPlan {
        guard bytes.count <= maximumBytes else {
            throw PlanDocumentError(mistakes: ["a plan has at most \(maximumBytes) bytes, this has \(bytes.count)"])
        }
        let root: Any
        do {
            root = try JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
        } catch {
            let detail = (error as NSError).userInfo["NSDebugDescription"] as? String
            throw PlanDocumentError(mistakes: ["no JSON: \(detail ?? "it cannot be read")"])
        }
        if let name = JSONFields.repeated(bytes) {
            throw PlanDocumentError(mistakes: ["\(name): stands twice: which of the two is meant is not said"])
        }
        let reader = PlanReader()
        let plan = reader.plan(root)
        guard reader.mistakes.isEmpty else { throw PlanDocumentError(mistakes: reader.mistakes) }
        return plan
    }
}

extension SwitchingPlan {
    /// As JSON with sorted keys: equal plans give equal bytes, and ``PlanDocument/decode(_:)`` reads it.
    public var document: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        } catch {
            preconditionFailure("a plan holds finite numbers only: \(error)")
        }
    }

    /// SHA-256 of ``document``: whatever is edited, purpose and author too, makes it another plan.
    public var hash: String { Digest.sha256(document) }
}

/// Walks a JSON value and collects what is wrong with it.
private final class PlanReader {
    private(set) var mistakes: [String] = []

    private func wrong(_ path: String, _ expected: String, _ got: Any?) {
        let shown: String =
            switch got {
            case nil: "nothing"
            case is NSNull: "null"
            case let text as String: "\"\(text.prefix(60))\""
            case is [Any]: "an array"
            case is [String: Any]: "an object"
            case let flag? where isFlag(flag): (flag as? Bool) == true ? "true" : "false"
            case let number as NSNumber: "\(number)"
            default: "something else"
            }
        mistakes.append("\(path): expected \(expected), got \(shown)")
    }

    private func object(_ value: Any?, _ path: String, known: [String]) -> [String: Any] {
        guard let object = value as? [String: Any] else {
            wrong(path, "an object", value)
            return [:]
        }
        for key in object.keys.sorted() where !known.contains(key) {
            mistakes.append(
                "\(path.isEmpty ? "" : path + ".")\(key): not known here; known are \(known.joined(separator: ", "))")
        }
        return object.filter { !($0.value is NSNull) }
    }

    private func text(_ object: [String: Any], _ key: String, _ path: String, otherwise: String? = nil) -> String {
        guard let value = object[key] ?? otherwise, let text = value as? String else {
            wrong(path + key, "text", object[key])
            return ""
        }
        if otherwise == nil, text.allSatisfy(\.isWhitespace) { wrong(path + key, "text", text) }
        return text
    }

    /// `true` or `false` as written: a number is also given as a `Bool`, and a `Bool` as a number.
    private func isFlag(_ value: Any) -> Bool {
        guard let number = value as? NSNumber else { return value is Bool }
        return ["B", "c"].contains(String(cString: number.objCType))
    }

    private func flag(_ object: [String: Any], _ key: String, _ path: String) -> Bool {
        guard let value = object[key] else { return false }
        guard isFlag(value), let flag = value as? Bool else {
            wrong(path + key, "true or false", value)
            return false
        }
        return flag
    }

    private func list(_ object: [String: Any], _ key: String, required: Bool) -> [Any] {
        guard let value = object[key] else {
            if required { wrong(key, "an array", nil) }
            return []
        }
        guard let list = value as? [Any] else {
            wrong(key, "an array", value)
            return []
        }
        return list
    }

    private func choice<Value: RawRepresentable & CaseIterable>(
        _ object: [String: Any], _ key: String, _ path: String, _ fallback: Value
    ) -> Value where Value.RawValue == String {
        if let text = object[key] as? String, let value = Value(rawValue: text) { return value }
        wrong(path + key, Value.allCases.map(\.rawValue).joined(separator: ", "), object[key])
        return fallback
    }

    func plan(_ root: Any) -> SwitchingPlan {
        let fields = object(
            root, "",
            known: [
                "id", "purpose", "kind", "planned_start", "hold_hours", "author", "policy", "initial_switch_states",
                "steps",
            ])
        var start: Timestamp?
        if let value = fields["planned_start"] {
            start = (value as? String).flatMap { Timestamp($0) }
            if start == nil { wrong("planned_start", "an RFC 3339 time like 2026-06-21T11:00:00Z", value) }
        }
        var hold = 4.0
        if let value = fields["hold_hours"] {
            if let number = value as? Double, !isFlag(value), number >= 1, number <= 24 * 31 {
                hold = number
            } else {
                wrong("hold_hours", "a number of hours from 1 to 744", value)
            }
        }
        var policy = SwitchingPlan.Policy()
        if let value = fields["policy"] {
            let inner = object(
                value, "policy", known: ["allow_transient_loop", "allow_transient_outage", "outage_notice"])
            policy = .init(
                allowTransientLoop: flag(inner, "allow_transient_loop", "policy."),
                allowTransientOutage: flag(inner, "allow_transient_outage", "policy."),
                outageNotice: flag(inner, "outage_notice", "policy."))
        }
        let overrides = list(fields, "initial_switch_states", required: false).enumerated().map { number, value in
            override(value, "initial_switch_states[\(number)]")
        }
        var stated: Set<String> = []
        for (number, item) in overrides.enumerated() where !stated.insert(item.element).inserted {
            mistakes.append("initial_switch_states[\(number)].element: \(item.element) stands already above")
        }
        let given = list(fields, "steps", required: true)
        if given.count > PlanDocument.maximumSteps {
            mistakes.append("steps: at most \(PlanDocument.maximumSteps), got \(given.count)")
        }
        let steps = given.prefix(PlanDocument.maximumSteps).enumerated().map { step($1, "steps[\($0)]", $0 + 1) }
        for (number, pair) in zip(steps, steps.dropFirst()).enumerated() where pair.0.sequence >= pair.1.sequence {
            mistakes.append(
                "steps[\(number + 1)].sequence: expected more than \(pair.0.sequence), got \(pair.1.sequence)")
        }
        return SwitchingPlan(
            id: text(fields, "id", ""), purpose: text(fields, "purpose", "", otherwise: ""),
            kind: choice(fields, "kind", "", .loadTransfer), plannedStart: start, holdHours: hold,
            author: text(fields, "author", "", otherwise: ""), policy: policy, initialSwitchStates: overrides,
            steps: steps)
    }

    private func override(_ value: Any, _ path: String) -> SwitchingPlan.Override {
        let fields = object(value, path, known: ["element", "state"])
        var state = SwitchPosition.unknown
        if let name = fields["state"] as? String, let known = SwitchPosition(name: name) {
            state = known
        } else {
            wrong("\(path).state", SwitchPosition.allCases.map(\.name).joined(separator: ", "), fields["state"])
        }
        return .init(element: text(fields, "element", "\(path)."), state: state)
    }

    private func step(_ value: Any, _ path: String, _ place: Int) -> SwitchingPlan.Step {
        let fields = object(
            value, path, known: ["sequence", "action", "element", "phases", "value", "free_group"])
        var sequence = place
        if let given = fields["sequence"] {
            if let number = given as? Int, !isFlag(given), number >= 1, number <= 1_000_000 {
                sequence = number
            } else {
                wrong("\(path).sequence", "a whole number from 1", given)
            }
        }
        let action: SwitchingPlan.Action = choice(fields, "action", "\(path).", .text)
        let phases = text(fields, "phases", "\(path).", otherwise: "ABC")
        if phases.isEmpty || !phases.allSatisfy({ "ABCN".contains($0) }) || Set(phases).count != phases.count
            || phases == "N"
        {
            wrong("\(path).phases", "letters of ABC, each once", phases)
        }
        var content: String?
        if let given = fields["value"] {
            content = given as? String
            if content == nil { wrong("\(path).value", "text", given) }
        }
        if [.placeTag, .removeTag].contains(action), let kind = content, !["HOLD", "HOTLINE"].contains(kind) {
            wrong("\(path).value", "HOLD or HOTLINE", kind)
        }
        if action == .verify, let word = content, word != "patrolled" { wrong("\(path).value", "patrolled", word) }
        // Without its holder nobody could be asked to release it.
        if action == .issueClearance, (content ?? "").allSatisfy(\.isWhitespace) {
            wrong("\(path).value", "the holder of the clearance", fields["value"])
        }
        var group: String?
        if fields["free_group"] != nil { group = text(fields, "free_group", "\(path).") }
        return .init(
            sequence: sequence, action: action,
            element: text(fields, "element", "\(path).", otherwise: action == .text ? "" : nil),
            phases: phases, value: content, freeGroup: group)
    }
}
