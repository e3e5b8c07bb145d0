/// Why there is no load-flow result. A result that cannot be trusted is one of these, never a number.
public struct PowerFlowError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        /// The network lacks data that the engine needs; ``PowerFlowError/detail`` names it.
        case missingData
        /// Values of the network contradict each other, or cannot be meant; ``PowerFlowError/detail`` names them.
        case invalidData
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
    /// Elements of the network that it is about, where that is known.
    public let elements: [String]

    public init(_ code: Code, _ operation: String, _ detail: String, elements: [String] = []) {
        self.elements = elements
        self.code = code
        self.operation = operation
        self.detail = detail
    }

    /// The network is to blame, and not the state that was asked for.
    public var isOfData: Bool { code == .missingData || code == .invalidData || code == .invalidInput }

    public var description: String { "\(operation): \(detail)" }
}
