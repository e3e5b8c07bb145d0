internal import Foundation
internal import GridModel

/// What is said on the control channel (`docs/protocol.md`): one JSON frame.
public enum ControlMessage: Sendable, Equatable {
    // From the aggregator.
    case hello(aggregator: String, epoch: UInt64, firstKept: UInt64, last: UInt64)
    /// The three frames of a telemetry message follow.
    case data
    case gone(epoch: UInt64, ClosedRange<UInt64>)
    // From the service.
    case durable(epoch: UInt64, sequence: UInt64)
    case replay(epoch: UInt64, ClosedRange<UInt64>, credit: Int)
    case rejected(epoch: UInt64, sequence: UInt64, [Reason])

    public struct Reason: Sendable, Equatable, Codable {
        public var device: String?
        public var code: String
        public var detail: String

        public init(device: String?, code: String, detail: String) {
            self.device = device
            self.code = code
            self.detail = detail
        }
    }

    /// Why a frame is no control message.
    public struct Mistake: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Larger frames are refused unread.
    public static let maximumBytes = 65_536

    private struct Wire: Codable {
        var type: String
        var aggregator: String?
        var epoch: UInt64?
        var sequence: UInt64?
        var first: UInt64?
        var first_kept: UInt64?
        var last: UInt64?
        var credit: Int?
        var reasons: [Reason]?
    }

    private static let dataFrame = Array(#"{"type":"data"}"#.utf8)

    public init(_ bytes: UnsafeRawBufferPointer) throws(Mistake) {
        if bytes.elementsEqual(Self.dataFrame) {
            self = .data
            return
        }
        guard bytes.count <= Self.maximumBytes else { throw Mistake(description: "\(bytes.count) bytes are too many") }
        guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(bytes)) else {
            throw Mistake(
                description: "expected a JSON object with \"type\", and whole numbers for epoch and sequences")
        }
        func number(_ value: UInt64?, _ name: String) throws(Mistake) -> UInt64 {
            guard let value else { throw Mistake(description: "\(wire.type): \(name) is missing") }
            // Positions are stored as signed 64-bit numbers; one is kept free for the number behind the last.
            guard value < UInt64(Int64.max) else { throw Mistake(description: "\(wire.type): \(name) is too large") }
            return value
        }
        func range() throws(Mistake) -> ClosedRange<UInt64> {
            let (first, last) = (try number(wire.first, "first"), try number(wire.last, "last"))
            guard first >= 1, first <= last else {
                throw Mistake(description: "\(wire.type): expected 1 ≤ first ≤ last")
            }
            return first...last
        }
        switch wire.type {
        case "hello":
            let name = wire.aggregator ?? ""
            guard Identifier.isValid(name) else { throw Mistake(description: "hello: aggregator is no identifier") }
            self = .hello(
                aggregator: name, epoch: try number(wire.epoch, "epoch"),
                firstKept: max(1, try number(wire.first_kept ?? 1, "first_kept")), last: try number(wire.last, "last"))
        case "data": self = .data
        case "gone": self = .gone(epoch: try number(wire.epoch, "epoch"), try range())
        case "durable":
            self = .durable(epoch: try number(wire.epoch, "epoch"), sequence: try number(wire.sequence, "sequence"))
        case "replay":
            self = .replay(epoch: try number(wire.epoch, "epoch"), try range(), credit: wire.credit ?? .max)
        case "rejected":
            self = .rejected(
                epoch: try number(wire.epoch, "epoch"), sequence: try number(wire.sequence, "sequence"),
                wire.reasons ?? [])
        default:
            throw Mistake(description: "type \"\(wire.type.prefix(32))\" is none of hello, data, gone")
        }
    }

    public var bytes: [UInt8] {
        var wire = Wire(type: "")
        switch self {
        case .hello(let aggregator, let epoch, let firstKept, let last):
            wire = Wire(type: "hello", aggregator: aggregator, epoch: epoch, first_kept: firstKept, last: last)
        case .data: return Self.dataFrame
        case .gone(let epoch, let range):
            wire = Wire(type: "gone", epoch: epoch, first: range.lowerBound, last: range.upperBound)
        case .durable(let epoch, let sequence): wire = Wire(type: "durable", epoch: epoch, sequence: sequence)
        case .replay(let epoch, let range, let credit):
            wire = Wire(
                type: "replay", epoch: epoch, first: range.lowerBound, last: range.upperBound, credit: credit)
        case .rejected(let epoch, let sequence, let reasons):
            wire = Wire(type: "rejected", epoch: epoch, sequence: sequence, reasons: reasons)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(wire) else {
            preconditionFailure("a control message has no strange values")
        }
        return Array(data)
    }
}
