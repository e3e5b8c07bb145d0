/// What is known against a sample. Bits in this order also on the wire (Protobuf) and in `sample.quality`.
@frozen
public struct Quality: OptionSet, Hashable, Sendable, Codable {
    public let rawValue: UInt16

    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var invalid: Self { Self(rawValue: 1 << 0) }
    @inlinable public static var questionable: Self { Self(rawValue: 1 << 1) }
    @inlinable public static var old: Self { Self(rawValue: 1 << 2) }
    @inlinable public static var outOfRange: Self { Self(rawValue: 1 << 3) }
    @inlinable public static var frozen: Self { Self(rawValue: 1 << 4) }
    @inlinable public static var test: Self { Self(rawValue: 1 << 5) }
    @inlinable public static var clockSuspect: Self { Self(rawValue: 1 << 6) }
    @inlinable public static var signUnverified: Self { Self(rawValue: 1 << 7) }
    @inlinable public static var signSuspect: Self { Self(rawValue: 1 << 8) }
    @inlinable public static var inconsistent: Self { Self(rawValue: 1 << 9) }
    @inlinable public static var substituted: Self { Self(rawValue: 1 << 10) }
    @inlinable public static var estimated: Self { Self(rawValue: 1 << 11) }
    /// Arrived after its bin was final: stored, never used by a live detector.
    @inlinable public static var late: Self { Self(rawValue: 1 << 12) }

    public static let names = [
        "INVALID", "QUESTIONABLE", "OLD", "OUT_OF_RANGE", "FROZEN", "TEST", "CLOCK_SUSPECT", "SIGN_UNVERIFIED",
        "SIGN_SUSPECT", "INCONSISTENT", "SUBSTITUTED", "ESTIMATED", "LATE",
    ]

    @inlinable static var usableBits: Self { [.estimated, .substituted, .questionable, .signUnverified] }

    /// The class detectors work with: `late` does not lower it, it keeps the sample out of the live path altogether.
    @inlinable public var grade: Grade {
        let flags = subtracting(.late)
        if flags.isEmpty { return .good }
        return flags.isSubset(of: Self.usableBits) ? .usable : .bad
    }

    @frozen public enum Grade: Int, Sendable, Comparable {
        case good, usable, bad
        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
    }
}
