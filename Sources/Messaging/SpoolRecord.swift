internal import Glibc
public import ServiceKit

/// A telemetry message on the spool: how it was received, then its three frames, byte for byte.
public enum SpoolRecord {
    /// Topic, position, payload.
    public typealias Frames = (UnsafeRawBufferPointer, UnsafeRawBufferPointer, UnsafeRawBufferPointer)

    /// Version, flags, length of the topic u16, length of the position u16, all little-endian.
    static let headerBytes = 6
    static let version: UInt8 = 1
    static let copyFlag: UInt8 = 1

    /// - Parameter isCopy: the message is also in a batch that is not committed yet; finding it stored is no surprise.
    /// - Returns: false when the spool is full.
    public static func append(_ frames: Frames, isCopy: Bool, beyondLimit: Bool = false, to log: SegmentLog)
        throws(FileError) -> Bool
    {
        guard frames.0.count <= Int(UInt16.max), frames.1.count <= Int(UInt16.max) else { return true }
        var header: [UInt8] = [version, isCopy ? copyFlag : 0]
        for length in [frames.0.count, frames.1.count] {
            header += [UInt8(length & 0xff), UInt8(length >> 8)]
        }
        var place: SegmentLog.Position?
        var problem: FileError?
        header.withUnsafeBytes { head in
            do throws(FileError) {
                place = try log.append([head, frames.0, frames.1, frames.2], beyondLimit: beyondLimit)
            } catch {
                problem = error
            }
        }
        if let problem { throw problem }
        return place != nil
    }

    /// Calls `body` with the frames of a record; false when the bytes are no record. Total: takes any bytes.
    public static func read(_ record: UnsafeRawBufferPointer, _ body: (Frames, _ isCopy: Bool) -> Void) -> Bool {
        guard record.count >= headerBytes, record[0] == version else { return false }
        let topic = Int(record[2]) | Int(record[3]) << 8
        let position = Int(record[4]) | Int(record[5]) << 8
        guard headerBytes + topic + position <= record.count else { return false }
        let first = headerBytes + topic
        let second = first + position
        body(
            (
                UnsafeRawBufferPointer(rebasing: record[headerBytes..<first]),
                UnsafeRawBufferPointer(rebasing: record[first..<second]),
                UnsafeRawBufferPointer(rebasing: record[second...])
            ), record[1] & copyFlag != 0)
        return true
    }
}
