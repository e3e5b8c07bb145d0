/// What is known against a sample. Bits in this order also on the wire (Protobuf) and in `sample.quality`.
public struct Quality: OptionSet, Hashable, Sendable, Codable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let invalid = Self(rawValue: 1 << 0)
    public static let questionable = Self(rawValue: 1 << 1)
    public static let old = Self(rawValue: 1 << 2)
    public static let outOfRange = Self(rawValue: 1 << 3)
    public static let frozen = Self(rawValue: 1 << 4)
    public static let test = Self(rawValue: 1 << 5)
    public static let clockSuspect = Self(rawValue: 1 << 6)
    public static let signUnverified = Self(rawValue: 1 << 7)
    public static let signSuspect = Self(rawValue: 1 << 8)
    public static let inconsistent = Self(rawValue: 1 << 9)
    public static let substituted = Self(rawValue: 1 << 10)
    public static let estimated = Self(rawValue: 1 << 11)
    /// Arrived after its bin was final: stored, never used by a live detector.
    public static let late = Self(rawValue: 1 << 12)

    public static let names = [
        "INVALID", "QUESTIONABLE", "OLD", "OUT_OF_RANGE", "FROZEN", "TEST", "CLOCK_SUSPECT", "SIGN_UNVERIFIED",
        "SIGN_SUSPECT", "INCONSISTENT", "SUBSTITUTED", "ESTIMATED", "LATE",
    ]

    private static let usableBits: Self = [.estimated, .substituted, .questionable, .signUnverified]

    /// The class detectors work with: `late` does not lower it, it keeps the sample out of the live path altogether.
    public var grade: Grade {
        let flags = subtracting(.late)
        if flags.isEmpty { return .good }
        return flags.isSubset(of: Self.usableBits) ? .usable : .bad
    }

    public enum Grade: Int, Sendable, Comparable {
        case good, usable, bad
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
    }
}
