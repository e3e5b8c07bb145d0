internal import CLibPQ

/// What went wrong at PostgreSQL: safe to show in `description`, everything in `debugDescription`.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    public enum Code: Hashable, Sendable { case connectionFailed, statementFailed, copyFailed, conflict, setUpFailed }

    public let code: Code
    /// What was being done, without values or credentials: `COPY sample`.
    public let operation: String
    /// PostgreSQL's five characters, for example `23505`.
    public let sqlState: String?
    public let serverMessage: String

    public init(_ code: Code, _ operation: String, sqlState: String? = nil, message: String = "") {
        self.code = code
        self.operation = operation
        self.sqlState = sqlState
        serverMessage = message
    }

    /// Trying again later may help: the server was away, or asked for it.
    public var isRetriable: Bool {
        code == .connectionFailed || ["40001", "40P01", "57P01", "57P02", "57P03", "53300"].contains(sqlState ?? "")
    }

    /// The server refused what was sent for what it is (class 22, data exception; 23, integrity constraint): trying the
    /// same again gives the same.
    public var isAboutContent: Bool {
        code != .connectionFailed && (sqlState?.hasPrefix("22") ?? false || sqlState?.hasPrefix("23") ?? false)
    }

    public var description: String {
        let reason = serverMessage.split(separator: "\n").first.map { ": \($0)" } ?? ""
        return "\(operation): \(code)\(sqlState.map { " \($0)" } ?? "")\(reason)"
    }
    public var debugDescription: String { "\(description) \(serverMessage)" }
}
