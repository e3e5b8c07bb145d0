internal import CSodium

/// SHA-256, for what somebody may want to forge: plans, evidence, the audit log. `StableHash` is for everything else.
public enum Digest {
    /// 64 lower-case hexadecimal digits.
    public static func sha256(_ text: String) -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        let bytes = Array(text.utf8)
        // Fails for no input; libsodium needs no set-up for hashing.
        _ = crypto_hash_sha256(&digest, bytes, UInt64(bytes.count))
        return digest.reduce(into: "") { text, byte in
            let digits = Array("0123456789abcdef")
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
    }

    /// Of several texts, so that no two lists of texts look alike: each with its length in front.
    public static func sha256(_ parts: [String]) -> String {
        sha256(parts.map { "\($0.utf8.count):\($0)" }.joined())
    }
}
