internal import Glibc

/// A file operation that failed: which, on what, and why.
public struct FileError: Error, Sendable, CustomStringConvertible {
    public let operation: String
    public let path: String
    /// errno of the call; 0 when the content is what is wrong.
    public let code: Int32
    public let reason: String

    public init(_ operation: String, _ path: String, reason: String) {
        self.operation = operation
        self.path = path
        code = 0
        self.reason = reason
    }

    /// Captures `errno`. Call it at once after the failing call.
    static func last(_ operation: String, _ path: String) -> Self {
        Self(operation, path, code: errno)
    }

    private init(_ operation: String, _ path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
        reason = String(cString: strerror(code))
    }

    /// The disk is full, or a quota is.
    public var isFull: Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }

    public var description: String { "\(operation) \(path): \(reason)" }
}
