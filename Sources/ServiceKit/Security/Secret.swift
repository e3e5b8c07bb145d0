internal import CSodium
internal import Foundation

/// Secrets that are shown once, and what is kept of them.
public enum Secret {
    /// 32 random bytes as base64url, behind a prefix that tells what it is.
    public static func make(prefix: String) -> String {
        precondition(sodium_init() >= 0, "libsodium cannot be set up")
        var bytes = [UInt8](repeating: 0, count: 32)
        randombytes_buf(&bytes, bytes.count)
        let text = Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
        return prefix + text.prefix { $0 != "=" }
    }
}

/// Passwords, by argon2id of libsodium.
public enum Password {
    /// Characters; longer ones than the most are no password but an attack on our time.
    public static let least = 12
    public static let most = 256

    /// Two passes over 64 MiB, about 0.1 s (RFC 9106 asks for as much as can be afforded; libsodium calls it interactive).
    ///
    /// - Returns: the encoded hash with its salt and costs.
    public static func hash(_ password: String) -> String {
        precondition(sodium_init() >= 0, "libsodium cannot be set up")
        var encoded = [CChar](repeating: 0, count: Int(crypto_pwhash_strbytes()))
        let bytes = password.utf8.map { CChar(bitPattern: $0) }
        let made = crypto_pwhash_str(
            &encoded, bytes, UInt64(bytes.count), UInt64(crypto_pwhash_opslimit_interactive()),
            crypto_pwhash_memlimit_interactive())
        // Fails only when there are no 64 MiB.
        precondition(made == 0, "no memory to hash a password")
        return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// - Parameter encoded: `nil`: there is no such account. It takes as long, so that names cannot be told from outside.
    public static func matches(_ password: String, _ encoded: String?) -> Bool {
        precondition(sodium_init() >= 0, "libsodium cannot be set up")
        guard password.utf8.count <= most else { return false }
        var hash = (encoded ?? nobody).utf8.map { CChar(bitPattern: $0) }
        hash += [CChar](repeating: 0, count: max(0, Int(crypto_pwhash_strbytes()) - hash.count))
        let bytes = password.utf8.map { CChar(bitPattern: $0) }
        let isRight = crypto_pwhash_str_verify(hash, bytes, UInt64(bytes.count)) == 0
        return isRight && encoded != nil
    }

    private static let nobody = hash(Secret.make(prefix: ""))
}
