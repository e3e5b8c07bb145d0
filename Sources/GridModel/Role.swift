/// What an account may do. Each role stands for itself: none contains another.
public enum Role: String, Sendable, Codable, CaseIterable {
    /// Looks, and comments.
    case viewer
    /// Acknowledges, shelves, approves and switches.
    case `operator`
    /// Takes out of service, imports networks, studies.
    case engineer
    /// What an operator may not decide alone.
    case supervisor
    /// Accounts and keys.
    case admin
    /// A program: it reads, and never acknowledges, shelves or resets.
    case machine
}
