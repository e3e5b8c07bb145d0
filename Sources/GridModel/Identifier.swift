/// Identifiers of devices, feeders, switches, aggregators: `[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}`.
public enum Identifier {
    public static let maximumLength = 64

    public static func isValid(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= maximumLength, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == 46 || $0 == 95 || $0 == 58 || $0 == 47 || $0 == 45 }
    }

    /// Why the text is no identifier, for an error message; `nil` when it is one.
    public static func complaint(_ text: some StringProtocol) -> String? {
        isValid(text)
            ? nil
            : "\"\(text)\" is no identifier: expected 1 to 64 of A-Z a-z 0-9 . _ : / - with a letter or digit first"
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
}

/// FNV-1a, 64 bits: short, stable names for things that are fully described by their text. Not for secrets.
public struct StableHash: Sendable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}
    public init(_ text: String) { combine(text) }

    public mutating func combine(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    public var hexadecimal: String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
