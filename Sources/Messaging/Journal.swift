internal import Foundation
public import ServiceKit

/// What an aggregator keeps of the messages it has sent, until the service has said that they are durable. On disk, so
/// that a publisher that is killed goes on where it stopped.
public final class Journal {
    /// Microseconds since 1970 when this journal was started.
    public let epoch: UInt64
    /// Newest sequence; 0: none yet.
    public private(set) var last: UInt64 = 0
    private let log: SegmentLog
    /// Positions of the messages from ``firstKept`` on.
    private var places: [SegmentLog.Position] = []
    private var first: UInt64 = 1
    private var record: [UInt8] = []

    /// Opens a journal, or starts one.
    ///
    /// - Parameter maximumBytes: beyond it the oldest messages are given up.
    public init(directory: String, maximumBytes: Int = 1 << 30, segmentBytes: Int = 4 << 20) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let path = "\(directory)/epoch"
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            guard let known = UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw FileError("read", path, reason: "expected a number of microseconds")
            }
            epoch = known
        } else {
            epoch = UInt64(SystemClock.nowMicroseconds)
            try "\(epoch)\n".write(toFile: path, atomically: true, encoding: .utf8)
        }
        log = try SegmentLog(
            directory: directory, segmentBytes: segmentBytes, maximumBytes: maximumBytes,
            sync: .every(milliseconds: 100))
        var place = log.start
        while let next = try log.read(at: place, into: &record) {
            guard let sequence = Self.sequence(of: record) else {
                throw FileError("read", directory, reason: "a record of the journal is too short")
            }
            // The first record of a segment may stand behind the end of the one before.
            if places.isEmpty { first = sequence }
            places.append(SegmentLog.Position(segment: next.segment, offset: next.offset - 8 - record.count))
            last = sequence
            place = next
        }
        if places.isEmpty { first = last + 1 }
    }

    /// Oldest sequence that can be sent again.
    public var firstKept: UInt64 { first }

    /// Writes the next message down; its frames, to be published now.
    public func append(topic: [UInt8], payload: [UInt8]) throws(FileError) -> [[UInt8]] {
        let sequence = last + 1
        let position = bigEndian(epoch) + bigEndian(sequence)
        let header = position + [UInt8(topic.count)] + topic
        while true {
            var place: SegmentLog.Position?
            var problem: FileError?
            header.withUnsafeBytes { head in
                payload.withUnsafeBytes { body in
                    do throws(FileError) {
                        place = try log.append([head, body])
                    } catch {
                        problem = error
                    }
                }
            }
            if let problem { throw problem }
            if let place {
                places.append(place)
                break
            }
            // Full: the oldest messages go, a segment at a time.
            guard let oldest = places.first, let next = places.first(where: { $0.segment > oldest.segment }) else {
                throw FileError("append", log.directory, reason: "the disk is full")
            }
            try drop(before: next)
        }
        last = sequence
        return [topic, position, payload]
    }

    /// The frames of a message that was sent; `nil` when it is not kept any more.
    public func message(_ sequence: UInt64) throws(FileError) -> [[UInt8]]? {
        guard sequence >= first, sequence <= last else { return nil }
        guard try log.read(at: places[Int(sequence - first)], into: &record) != nil, record.count > 17 else {
            return nil
        }
        let topic = 17 + Int(record[16])
        guard topic <= record.count else { return nil }
        return [Array(record[17..<topic]), Array(record[0..<16]), Array(record[topic...])]
    }

    /// Everything up to `sequence` is stored by the service and need not be kept.
    public func settle(through sequence: UInt64) throws(FileError) {
        guard sequence >= first, last >= first else { return }
        // The last message stays: it is where a restart finds the number to go on from.
        let keep = min(sequence + 1, last)
        try drop(before: places[Int(keep - first)])
    }

    private func drop(before place: SegmentLog.Position) throws(FileError) {
        try log.release(before: place)
        let start = log.start
        let gone = places.firstIndex { $0 >= start } ?? places.count
        places.removeFirst(gone)
        first += UInt64(gone)
    }

    private static func sequence(of record: [UInt8]) -> UInt64? {
        guard record.count > 17 else { return nil }
        return record[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func bigEndian(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
}
