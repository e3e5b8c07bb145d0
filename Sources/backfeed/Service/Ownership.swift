internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

/// Something belongs to another running service.
struct OwnedByAnother: Error, CustomStringConvertible {
    let description: String
}

/// One service for one data directory: two would write one spool and keep one database.
enum DataDirectoryLock {
    static func path(_ dataDirectory: String) -> String { "\(dataDirectory)/service.lock" }

    /// - Throws: ``OwnedByAnother``, which names the holder.
    static func take(_ dataDirectory: String) throws -> FileLock {
        try FileManager.default.createDirectory(atPath: dataDirectory, withIntermediateDirectories: true)
        let lock = try FileLock(path: path(dataDirectory))
        guard lock.take(.exclusive) else {
            throw OwnedByAnother(
                description:
                    "the data directory \(dataDirectory) belongs to a running service (\(lock.note)): stop that one, or choose another --data-dir"
            )
        }
        lock.note = ServiceOwner.this(dataDirectory).description
        return lock
    }

    /// The process that holds it; `nil`: none.
    static func holder(_ dataDirectory: String) -> String? {
        guard FileManager.default.fileExists(atPath: path(dataDirectory)),
            let lock = try? FileLock(path: path(dataDirectory)), !lock.take(.shared)
        else { return nil }
        return lock.note
    }
}

extension ServiceOwner {
    /// This process.
    static func this(_ dataDirectory: String) -> Self {
        Self(
            process: getpid(), host: ProcessInfo.processInfo.hostName,
            since: Timestamp(microseconds: SystemClock.nowMicroseconds),
            directory: URL(fileURLWithPath: dataDirectory).standardizedFileURL.path)
    }
}

/// Keeps the database this service's own, for as long as it runs: on a connection of its own, looked at every two seconds. Where
/// another service got the lock while the connection was lost, this one ends. Where the database is of an earlier time than it was,
/// it was restored, however: then nothing counts that may have been different since.
final class DatabaseKeeper: Sendable {
    private let ending = BoundedQueue<Bool>(capacity: 1)
    private let thread = Guarded<WorkerThread?>(nil)
    private static let log = Log("service")

    /// How long the connection of a service that was killed may take to be noticed by the server, ms.
    private static let patience: UInt64 = 3000

    /// The database was restored while the service ran: its parts must start again.
    private let isStale = Guarded(false)

    /// - Throws: ``OwnedByAnother``, which names the holder.
    init(conninfo: String, owner: ServiceOwner, dataDirectory: String) throws {
        let isStale = isStale
        let file = SeenFile(dataDirectory)
        let taken = Gate()
        let failure = Guarded<(any Error)?>(nil)
        let ending = ending
        let worker = WorkerThread(name: "service.lock") {
            var lock = ServiceLock(conninfo: conninfo, owner: owner)
            do {
                try Self.wait(for: &lock)
                _ = try Self.compare(&lock, file)
            } catch {
                failure.withLock { $0 = error }
                return taken.open()
            }
            taken.open()
            while case .timedOut = ending.take(within: 2000) {
                if Self.look(&lock, file) { isStale.withLock { $0 = true } }
            }
            // Nothing is stored behind this one.
            if let state = try? lock.mark() { try? file.write(SeenState(state: state, isFinal: true)) }
        }
        taken.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
        thread.withLock { $0 = worker }
    }

    private static func wait(for lock: inout ServiceLock) throws {
        let until = SystemClock.monotonicNanoseconds + patience * 1_000_000
        while let holder = try lock.take() {
            guard SystemClock.monotonicNanoseconds < until else {
                throw OwnedByAnother(
                    description: "the database belongs to a running service (\(holder)): stop that one first")
            }
            SystemClock.pause(milliseconds: 200)
        }
    }

    /// Whether the parts of the service must start again; asked once.
    func takeStale() -> Bool {
        isStale.withLock { isStale in
            defer { isStale = false }
            return isStale
        }
    }

    /// Compares the database with what was seen of it, and takes the consequences.
    ///
    /// - Returns: whether it was restored.
    private static func compare(
        _ lock: inout ServiceLock, _ file: SeenFile, isRunning: Bool = false
    ) throws -> Bool {
        let seen = try file.read()
        let found = try lock.compare(seen, isRunning: isRunning)
        if let reason = found.restoration {
            log.error(
                "the database was restored: register, positions and approvals no longer count", ["reason": reason])
            try lock.declareRestored(reason, seen: seen?.state.auditNumber)
        }
        try file.write(SeenState(state: try lock.mark(), isFinal: false))
        return found.restoration != nil
    }

    /// Gives the database free. Call when nothing stores any more.
    func stop() {
        ending.close()
        thread.withLock { $0.take() }?.join()
    }

    private static func look(_ lock: inout ServiceLock, _ file: SeenFile) -> Bool {
        do {
            guard let holder = try lock.take() else { return try compare(&lock, file, isRunning: true) }
            log.error("the database belongs to another service now: stopping", ["holder": "\(holder)"])
            ShutdownSignal.request()
        } catch {
            // The database is away: nobody else has it either, and the next look takes the lock again.
            log.warning("the lock on the database could not be looked at", ["error": "\(error)"])
        }
        return false
    }
}

/// The state in which the database was last seen, in the data directory.
struct SeenFile {
    let path: String

    init(_ dataDirectory: String) { path = "\(dataDirectory)/seen.json" }

    /// - Returns: `nil`: there is none.
    func read() throws -> SeenState? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        // One that cannot be read says as little as none, and must not pass for a database that was never seen.
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return try JSONDecoder().decode(SeenState.self, from: data)
    }

    func write(_ seen: SeenState) throws {
        try JSONEncoder().encode(seen).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}
