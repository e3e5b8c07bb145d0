/// A step of a plan that has been done.
public struct ExecutedStep: Sendable, Codable, Equatable {
    public var sequence: Int
    /// Where its switch stood before; `nil`: it operates none.
    public var before: SwitchPosition?

    public init(sequence: Int, before: SwitchPosition?) {
        self.sequence = sequence
        self.before = before
    }
}
