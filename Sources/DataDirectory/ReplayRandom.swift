internal import Glibc

/// The replay's random numbers: a pure function of seed, stream, index and channel, so that any sample's draws are the
/// same whatever else is replayed. splitmix64's finaliser (Steele, Lea, Flood 2014) over FNV-1a of the stream's name.
public struct ReplayRandom: Sendable {
    public let seed: UInt64
    private let stream: UInt64

    public init(seed: UInt64, stream: String) {
        self.seed = seed
        self.stream = Self.hash(stream)
    }

    public static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// Uniform in [0, 1).
    public func uniform(_ k: Int, _ channel: UInt64) -> Double {
        var z =
            seed &+ stream &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(bitPattern: Int64(k)) &* 0xbf58_476d_1ce4_e5b9 &+ channel
            &* 0x94d0_49bb_1331_11eb
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z >> 31
        return Double(z >> 11) * 0x1p-53
    }

    /// Standard normal, by Box and Muller from two channels.
    public func normal(_ k: Int, _ channel: UInt64) -> Double {
        let first = max(uniform(k, channel), 1e-300)
        return (-2 * log(first)).squareRoot() * cos(2 * .pi * uniform(k, channel + 1))
    }
}
