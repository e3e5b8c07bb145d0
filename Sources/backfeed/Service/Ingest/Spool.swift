internal import Messaging
internal import ServiceKit
internal import Store

/// Messages on disk while the database is away: one queue, given back behind committed batches. Owned by the receiving
/// thread.
final class Spool {
    private let log: SegmentLog
    private let output = Log("spool")
    /// Where the next message is taken from; `nil`: nothing waits.
    private var front: SegmentLog.Position?
    /// Up to where the spool may be given back once a batch is committed.
    private var marks: [(batch: Int, front: SegmentLog.Position)] = []
    private var record: [UInt8] = []
    private(set) var waiting = 0
    private(set) var damaged = 0

    init(directory: String, segmentBytes: Int, maximumBytes: Int, sync: SegmentLog.Sync) throws(FileError) {
        log = try SegmentLog(
            directory: directory, segmentBytes: segmentBytes, maximumBytes: maximumBytes, sync: sync)
        for repair in log.repairs {
            output.warning("a torn end was cut off", ["file": repair.path, "bytes": "\(repair.bytesCut)"])
        }
        guard log.start < log.end else { return }
        front = log.start
        output.info("messages of an earlier run wait", ["bytes": "\(log.bytes)"])
    }

    /// Messages wait: whatever comes must queue behind them.
    var hasBacklog: Bool { front != nil }
    var bytes: Int { log.bytes }

    /// Puts a message at the end; false when the spool (`beyondLimit`: only the disk) is full.
    func put(_ frames: MessageLog.Frames, isCopy: Bool, beyondLimit: Bool = false) throws(FileError) -> Bool {
        let end = log.end
        guard try SpoolRecord.append(frames, isCopy: isCopy, beyondLimit: beyondLimit, to: log) else { return false }
        if front == nil { front = end }
        waiting += 1
        return true
    }

    /// Takes the oldest message; false when there is none.
    ///
    /// - Parameter batch: number of the batch it goes to.
    func take(for batch: Int, _ body: (MessageLog.Frames, _ isCopy: Bool) -> Void) -> Bool {
        guard let place = front else { return false }
        do throws(FileError) {
            guard let next = try log.read(at: place, into: &record) else {
                front = nil
                waiting = 0
                output.info("drained")
                return false
            }
            front = next
            let isGood = record.withUnsafeBytes { SpoolRecord.read($0, body) }
            if !isGood { damaged += 1 }
        } catch {
            output.error("a part cannot be read and is left out", ["error": "\(error)"])
            damaged += 1
            front = log.position(afterDamageAt: place)
        }
        waiting = max(0, waiting - 1)
        if marks.last?.batch == batch { marks.removeLast() }
        marks.append((batch, front ?? log.end))
        return true
    }

    /// Whether the batch took something from here.
    func hasMark(_ batch: Int) -> Bool { marks.last?.batch == batch }

    /// Batches up to this one are committed: gives back what they took.
    func settle(_ committed: Int) {
        guard let mark = marks.last(where: { $0.batch <= committed }) else { return }
        marks.removeAll { $0.batch <= committed }
        do throws(FileError) {
            try log.release(before: mark.front)
        } catch {
            output.error("could not be shortened", ["error": "\(error)"])
        }
    }

    func syncIfDue() throws(FileError) { try log.syncIfDue() }
    func syncNow() throws(FileError) { try log.syncNow() }
}
