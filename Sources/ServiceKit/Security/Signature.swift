internal import CSodium
internal import Foundation

/// Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over id, time and body.
public enum WebhookSignature {
    /// 32 random bytes in base64, behind `whsec_`.
    public static func makeSecret() -> String {
        precondition(sodium_init() >= 0, "libsodium cannot be set up")
        var bytes = [UInt8](repeating: 0, count: 32)
        randombytes_buf(&bytes, bytes.count)
        return "whsec_" + Data(bytes).base64EncodedString()
    }

    /// Value of the header `webhook-signature`; `nil`: the secret is none.
    public static func sign(_ body: String, id: String, seconds: Int64, secret: String) -> String? {
        guard secret.hasPrefix("whsec_"), let key = Data(base64Encoded: String(secret.dropFirst(6))), key.count >= 16
        else { return nil }
        let message = Array("\(id).\(seconds).\(body)".utf8)
        var state = crypto_auth_hmacsha256_state()
        var digest = [UInt8](repeating: 0, count: 32)
        _ = crypto_auth_hmacsha256_init(&state, Array(key), key.count)
        _ = crypto_auth_hmacsha256_update(&state, message, UInt64(message.count))
        _ = crypto_auth_hmacsha256_final(&state, &digest)
        return "v1," + Data(digest).base64EncodedString()
    }
}
