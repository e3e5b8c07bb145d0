internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit

/// Exit codes of the interface.
enum ExitCode: Int32 {
    case done = 0, negative = 1, usage = 2, unavailable = 3, cannotAssess = 4
}

/// One command of the program: its words, its help, what it does.
struct Command: Sendable {
    let name: String
    let operands: String
    let summary: String
    /// More for its own help; may be empty.
    let detail: String
    let options: [Option]
    /// Settings file below the product's own files that is read when none is given.
    let standardConfiguration: String?
    let run: @Sendable (Invocation) throws -> ExitCode

    init(
        _ name: String, operands: String = "", _ summary: String, detail: String = "", options: [Option] = [],
        standardConfiguration: String? = nil, run: @escaping @Sendable (Invocation) throws -> ExitCode
    ) {
        self.name = name
        self.operands = operands
        self.summary = summary
        self.detail = detail
        self.options = options
        self.standardConfiguration = standardConfiguration
        self.run = run
    }

    /// Operands that it takes at most; `nil`: any number.
    var mostOperands: Int? {
        operands.contains("…") ? nil : operands.split(separator: " ").prefix { !$0.hasPrefix("--") }.count
    }

    static let common = [
        Option("config", "FILE", "TOML file with settings (also BACKFEED_CONFIG)"),
        Option("set", "SECTION.KEY=VALUE", "one setting; may stand several times"),
        Option("data-dir", "DIR", "where the service keeps its state (default var)"),
        Option("log-format", "text|json", "how the log on standard error looks (default text)"),
        Option("log-level", "LEVEL", "debug, info, warning or error (default info)"),
        Option("help", nil, "this text"),
    ]

    var help: String {
        var text = "\(summary)\n\nUsage: backfeed \(name)\(operands.isEmpty ? "" : " \(operands)") [options]\n"
        if !detail.isEmpty { text += "\n\(detail)\n" }
        for (title, list) in [("Options", options), ("Options of every command", Self.common)] where !list.isEmpty {
            text += "\n\(title):\n"
            for option in list {
                let left = "  --\(option.name)\(option.value.map { " \($0)" } ?? "")"
                text +=
                    left.padding(toLength: max(34, left.count + 2), withPad: " ", startingAt: 0) + option.help + "\n"
            }
        }
        return text
    }
}

/// One call of a command: arguments and settings, checked.
struct Invocation {
    let arguments: Arguments
    let settings: Settings

    var dataDirectory: String { arguments.text("data-dir") ?? "var" }

    func time(_ name: String) throws -> Timestamp? {
        guard let text = arguments.text(name) else { return nil }
        guard let time = Timestamp(text) else {
            throw UsageError("--\(name): expected RFC 3339 with a zone, like 2026-06-21T11:00:00Z; got \"\(text)\"")
        }
        return time
    }
}

/// Writes to standard output; a reader that went away ends the program quietly.
func say(_ text: String, terminator: String = "\n") {
    let bytes = Array((text + terminator).utf8)
    var offset = 0
    while offset < bytes.count {
        let written = bytes[offset...].withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        guard written > 0 else {
            if errno == EINTR { continue }
            exit(0)
        }
        offset += written
    }
}

func complain(_ text: String, terminator: String = "\n") {
    let bytes = Array((text + terminator).utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// A table for people: columns as wide as their widest cell, numbers to the right.
func table(_ header: [String], _ rows: [[String]]) -> String {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    let isNumeric = header.indices.map { column in
        !rows.isEmpty && rows.allSatisfy { $0[column].isEmpty || "-+0123456789".contains($0[column].prefix(1)) }
    }
    return all.map { row in
        row.enumerated().map { column, cell in
            let space = String(repeating: " ", count: widths[column] - cell.count)
            return isNumeric[column] ? space + cell : cell + space
        }.joined(separator: "  ").trimmingTrailingSpaces
    }.joined(separator: "\n")
}

extension String {
    var trimmingTrailingSpaces: String {
        var text = self[...]
        while text.hasSuffix(" ") { text = text.dropLast() }
        return String(text)
    }
}
