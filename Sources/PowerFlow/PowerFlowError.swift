/// Why there is no load-flow result. A result that cannot be trusted is one of these, never a number.
public struct PowerFlowError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        /// The network lacks data that the engine needs; ``PowerFlowError/detail`` names it.
        case missingData
        /// The engine refused its input.
        case invalidInput
        /// No solution was found: the state is not feasible, or not sensible.
        case notConverged
        /// The engine answered with something that is no number.
        case notFinite
    }

    public let code: Code
    /// What was being done.
    public let operation: String
    public let detail: String

    public init(_ code: Code, _ operation: String, _ detail: String) {
        self.code = code
        self.operation = operation
        self.detail = detail
    }

    public var description: String { "\(operation): \(detail)" }
}
