internal import GridModel

/// The envelope of a telemetry message: topic and position (`docs/protocol.md`).
public struct TelemetryFrame: Sendable, Equatable {
    public enum Encoding: String, Sendable, CaseIterable { case json, protobuf, senml }

    public enum Mistake: String, Error, Sendable {
        case wrongFrameCount = "wrong_frame_count"
        case badTopic = "bad_topic"
        case unknownEncoding = "unknown_encoding"
        case badPosition = "bad_position"
    }

    public var aggregator: String
    public var encoding: Encoding
    /// Microseconds since 1970 when the publisher's journal was started.
    public var epoch: UInt64
    /// 1, 2, 3 … without gaps within an epoch.
    public var sequence: UInt64

    public init(aggregator: String, encoding: Encoding, epoch: UInt64, sequence: UInt64) {
        self.aggregator = aggregator
        self.encoding = encoding
        self.epoch = epoch
        self.sequence = sequence
    }

    public var topic: String { "telemetry/1/\(aggregator)/\(encoding.rawValue)" }

    /// 16 bytes, big-endian.
    public var position: [UInt8] {
        withUnsafeBytes(of: epoch.bigEndian, Array.init) + withUnsafeBytes(of: sequence.bigEndian, Array.init)
    }

    public init(topic: UnsafeRawBufferPointer, position: UnsafeRawBufferPointer) throws(Mistake) {
        guard topic.count <= 128 else { throw .badTopic }
        let parts = String(decoding: topic, as: UTF8.self).split(separator: "/", omittingEmptySubsequences: false)
        // An aggregator's name may hold slashes: what stands between the version and the encoding.
        guard parts.count >= 4, parts[0] == "telemetry", parts[1] == "1" else { throw .badTopic }
        let name = parts[2..<(parts.count - 1)].joined(separator: "/")
        guard Identifier.isValid(name) else { throw .badTopic }
        guard let encoding = Encoding(rawValue: String(parts[parts.count - 1])) else { throw .unknownEncoding }
        self.init(aggregator: name, encoding: encoding, epoch: 0, sequence: 0)
        self = try at(position)
    }

    /// The same topic at another position.
    public func at(_ position: UnsafeRawBufferPointer) throws(Mistake) -> Self {
        guard position.count == 16 else { throw .badPosition }
        var frame = self
        frame.epoch = UInt64(bigEndian: position.loadUnaligned(as: UInt64.self))
        frame.sequence = UInt64(bigEndian: position.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        // Positions are stored as signed 64-bit numbers; one is kept free for the number behind the last.
        guard frame.sequence > 0, frame.sequence < UInt64(Int64.max), frame.epoch <= UInt64(Int64.max) else {
            throw .badPosition
        }
        return frame
    }
}
