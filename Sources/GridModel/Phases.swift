/// Phases of a network, or poles of a switch: any of A, B and C.
public struct Phases: OptionSet, Sendable, Hashable, Codable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let a = Self(rawValue: 1)
    public static let b = Self(rawValue: 2)
    public static let c = Self(rawValue: 4)
    public static let all: Self = [.a, .b, .c]
    public static let each: [Self] = [.a, .b, .c]

    /// From letters, as `ABC` or `B`; the neutral (`N`) is none of them.
    public init(letters: String) {
        self = []
        for (letter, phase) in zip("ABC", Self.each) where letters.contains(letter) { insert(phase) }
    }

    public var count: Int { rawValue.nonzeroBitCount }
    public var letters: String { String(zip("ABC", Self.each).filter { contains($0.1) }.map(\.0)) }
}
