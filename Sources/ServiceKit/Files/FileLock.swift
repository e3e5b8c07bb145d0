internal import Glibc

/// flock(2) on a file: held until it is released, or until this process ends, however it ends. Programs that this process starts
/// do not inherit it.
public final class FileLock: Sendable {
    public enum Kind: Sendable { case shared, exclusive }

    public let path: String
    private let descriptor: CInt

    /// Opens the file, or makes it; holds nothing yet.
    public init(path: String) throws(FileError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .last("open", path) }
    }

    deinit { close(descriptor) }

    /// Takes the lock, or changes its kind; false when another holder does not let it.
    public func take(_ kind: Kind) -> Bool {
        flock(descriptor, (kind == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0
    }

    /// Waits for the lock; false when the time ran out.
    public func take(_ kind: Kind, within milliseconds: Int) -> Bool {
        let until = SystemClock.monotonicNanoseconds + UInt64(milliseconds) * 1_000_000
        while !take(kind) {
            guard SystemClock.monotonicNanoseconds < until else { return false }
            SystemClock.pause(milliseconds: 20)
        }
        return true
    }

    public func release() { flock(descriptor, LOCK_UN) }

    /// The note in the file, for a process that does not get the lock.
    public var note: String {
        get {
            var buffer = [UInt8](repeating: 0, count: 1024)
            let count = pread(descriptor, &buffer, buffer.count, 0)
            return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        }
        // A note is for people: that it could not be written is no reason not to hold the lock.
        set {
            let bytes = Array(newValue.utf8)
            ftruncate(descriptor, 0)
            _ = pwrite(descriptor, bytes, bytes.count, 0)
        }
    }
}
