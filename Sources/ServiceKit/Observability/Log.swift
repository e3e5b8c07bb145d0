@preconcurrency internal import Glibc

/// One line an event, to standard error, in one write(2): `text` for people, `json` for machines.
public struct Log: Sendable {
    public enum Level: Int, Sendable, Comparable {
        case debug, info, warning, error
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
        var name: String { ["debug", "info", "warning", "error"][rawValue] }
    }
    public enum Format: String, Sendable { case text, json }

    private struct Sink: Sendable {
        var format = Format.text
        var minimum = Level.info
    }
    private static let sink = Guarded(Sink())

    public let label: String

    /// - Parameter label: the part that speaks, for example `ingest`.
    public init(_ label: String) { self.label = label }

    public static func configure(format: Format, minimum: Level) {
        sink.withLock { $0 = Sink(format: format, minimum: minimum) }
    }

    public func debug(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.debug, message, fields)
    }
    public func info(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) { write(.info, message, fields) }
    public func warning(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warning, message, fields)
    }
    public func error(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, message, fields)
    }

    private func write(_ level: Level, _ message: String, _ fields: KeyValuePairs<String, String>) {
        let sink = Self.sink.withLock { $0 }
        guard level >= sink.minimum else { return }
        var line: String
        switch sink.format {
        case .text:
            line = "\(Self.time()) \(level.name) \(label): \(message)"
            for (key, value) in fields { line += " \(key)=\(value.contains(" ") ? "\"\(value)\"" : value)" }
        case .json:
            line = "{\"time\":\"\(Self.time())\",\"level\":\"\(level.name)\",\"part\":\(JSONText.quoted(label))"
            line += ",\"message\":\(JSONText.quoted(message))"
            for (key, value) in fields { line += ",\(JSONText.quoted(key)):\(JSONText.quoted(value))" }
            line += "}"
        }
        // A newline inside a message would make two lines of one event.
        line = line.replacing("\n", with: "\\n") + "\n"
        var bytes = Array(line.utf8)
        let written = Glibc.write(2, &bytes, bytes.count)
        _ = written  // Standard error is gone: there is nowhere left to say so.
    }

    private static func time() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        strftime(&buffer, 32, "%Y-%m-%dT%H:%M:%S", &parts)
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let milliseconds = String(now.tv_nsec / 1_000_000 + 1000).dropFirst()
        return "\(text).\(milliseconds)Z"
    }
}

/// JSON string literals, for the few places that write JSON by hand.
public enum JSONText {
    public static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let code = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - code.count) + code
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
