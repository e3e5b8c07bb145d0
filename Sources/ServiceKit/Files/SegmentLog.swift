internal import Glibc

/// Records on disk in the order they were appended: files of bounded size, a checksum a record, released from the front.
///
/// What a crash can leave is a torn last record; opening cuts it off. One owner, one thread at a time.
///
/// A segment is an 8-byte magic and records of `length` u32, `crc` u32 (CRC-32 of the length's bytes and the record,
/// so that a run of zeros is no record), then the bytes; all little-endian.
public final class SegmentLog {
    /// Where a record begins. Ordered as the records are.
    public struct Position: Hashable, Comparable, Sendable {
        public var segment: Int
        public var offset: Int

        public init(segment: Int, offset: Int) {
            self.segment = segment
            self.offset = offset
        }

        public static func < (lhs: Self, rhs: Self) -> Bool {
            (lhs.segment, lhs.offset) < (rhs.segment, rhs.offset)
        }
    }

    /// When appended records are forced to the disk.
    public enum Sync: Sendable, Equatable {
        /// Each record before ``append(_:)`` returns.
        case always
        /// At the first append, or ``syncIfDue()``, after so many milliseconds.
        case every(milliseconds: Int)
        /// Left to the kernel: what was appended survives our death, not the machine's.
        case never
    }

    /// What opening had to repair.
    public struct Repair: Sendable, Equatable {
        public var path: String
        public var bytesCut: Int
    }

    public static let magic: [UInt8] = Array("BFSEG001".utf8)
    static let headerBytes = 8
    /// A length above this is taken for damage.
    public static let maximumRecord = 1 << 28

    public let directory: String
    public private(set) var repairs: [Repair] = []
    private let segmentBytes: Int
    private let maximumBytes: Int
    private let sync: Sync
    /// Size of each segment, by number; never empty.
    private var sizes: [Int: Int] = [:]
    private var first: Int
    private var last: Int
    private var writer: CInt = -1
    private var reader: (segment: Int, descriptor: CInt)?
    private var unsynced = false
    private var syncedAt = SystemClock.monotonicNanoseconds

    /// Opens what is there, or starts anew.
    ///
    /// - Parameters:
    ///   - segmentBytes: a segment that has reached this size is followed by another.
    ///   - maximumBytes: of all segments; beyond it ``append(_:)`` refuses.
    public init(directory: String, segmentBytes: Int = 64 << 20, maximumBytes: Int = .max, sync: Sync)
        throws(FileError)
    {
        self.directory = directory
        self.segmentBytes = segmentBytes
        self.maximumBytes = maximumBytes
        self.sync = sync
        first = 1
        last = 1
        try Self.makeDirectory(directory)
        let numbers = Self.segments(in: directory)
        first = numbers.first ?? 1
        last = numbers.last ?? 1
        for number in numbers {
            let path = Self.path(directory, number)
            let (valid, size) = try Self.scan(path)
            if valid < size {
                guard truncate(path, off_t(valid)) == 0 else { throw .last("cut", path) }
                repairs.append(Repair(path: path, bytesCut: size - valid))
            }
            sizes[number] = valid
        }
        try openWriter()
    }

    deinit {
        if unsynced, sync != .never { fdatasync(writer) }
        if writer >= 0 { close(writer) }
        if let reader { close(reader.descriptor) }
    }

    private static func path(_ directory: String, _ number: Int) -> String {
        let digits = String(number)
        return "\(directory)/\(String(repeating: "0", count: max(0, 10 - digits.count)))\(digits).segment"
    }

    /// Makes a directory and those above it.
    private static func makeDirectory(_ path: String) throws(FileError) {
        if mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw .last("make directory", path)
        }
        try makeDirectory(String(path[..<slash]))
        if mkdir(path, 0o750) != 0, errno != EEXIST { throw .last("make directory", path) }
    }

    private static func segments(in directory: String) -> [Int] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var numbers: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".segment"), let number = Int(name.dropLast(8)), number > 0 { numbers.append(number) }
        }
        return numbers.sorted()
    }

    private func openWriter() throws(FileError) {
        if writer >= 0 { close(writer) }
        let path = Self.path(directory, last)
        writer = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o640)
        guard writer >= 0 else { throw .last("open", path) }
        if sizes[last] ?? 0 < Self.magic.count {
            guard ftruncate(writer, 0) == 0, pwrite(writer, Self.magic, Self.magic.count, 0) == Self.magic.count else {
                throw .last("write", path)
            }
            sizes[last] = Self.magic.count
            // The new name must survive too.
            let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if folder >= 0 {
                fsync(folder)
                close(folder)
            }
        }
    }

    // MARK: What is there

    /// Bytes on disk, headers included.
    public var bytes: Int { sizes.values.reduce(0, +) }
    public var start: Position { Position(segment: first, offset: Self.magic.count) }
    public var end: Position { Position(segment: last, offset: sizes[last] ?? Self.magic.count) }

    // MARK: Writing

    /// Appends one record made of `parts`, one after the other. Its position, or `nil` when the log, or the disk, is full:
    /// then nothing was appended.
    ///
    /// - Parameter beyondLimit: for a last record that has nowhere else to go.
    public func append(_ parts: [UnsafeRawBufferPointer], beyondLimit: Bool = false) throws(FileError) -> Position? {
        let length = parts.reduce(0) { $0 + $1.count }
        precondition(length <= Self.maximumRecord, "a record of \(length) bytes")
        let total = Self.headerBytes + length
        guard beyondLimit || bytes + total <= maximumBytes else { return nil }
        if let size = sizes[last], size > Self.magic.count, size + total > segmentBytes {
            try syncNow()
            last += 1
            do {
                try openWriter()
            } catch {
                last -= 1
                writer = -1
                try openWriter()
                if error.isFull { return nil }
                throw error
            }
        }
        let offset = sizes[last] ?? 0
        var header = (UInt32(length).littleEndian, UInt32(0))
        withUnsafeBytes(of: header.0) { header.1 = Compression.checksum(0, $0) }
        for part in parts { header.1 = Compression.checksum(header.1, part) }
        header.1 = header.1.littleEndian
        let path = Self.path(directory, last)
        let written = withUnsafeBytes(of: header) { head in
            var vector = [iovec(iov_base: UnsafeMutableRawPointer(mutating: head.baseAddress), iov_len: head.count)]
            for part in parts {
                vector.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
            }
            return pwritev(writer, vector, CInt(vector.count), off_t(offset))
        }
        guard written == total else {
            let error = FileError.last("write", path)
            // A part of a record must not stand before the next one.
            ftruncate(writer, off_t(offset))
            if written >= 0 || error.isFull { return nil }
            throw error
        }
        sizes[last] = offset + total
        unsynced = true
        switch sync {
        case .always: try syncNow()
        case .every: try syncIfDue()
        case .never: break
        }
        return Position(segment: last, offset: offset)
    }

    /// Forces to the disk what was appended longer ago than the policy allows.
    public func syncIfDue() throws(FileError) {
        guard unsynced, case .every(let milliseconds) = sync,
            SystemClock.monotonicNanoseconds - syncedAt >= UInt64(milliseconds) * 1_000_000
        else { return }
        try syncNow()
    }

    public func syncNow() throws(FileError) {
        guard unsynced, sync != .never else { return }
        guard fdatasync(writer) == 0 else { throw .last("sync", Self.path(directory, last)) }
        unsynced = false
        syncedAt = SystemClock.monotonicNanoseconds
    }

    // MARK: Reading

    /// Reads the record at `position` into `record`; the position behind it, or `nil` at the end.
    public func read(at position: Position, into record: inout [UInt8]) throws(FileError) -> Position? {
        var position = max(position, start)
        while position.offset >= sizes[position.segment] ?? 0 {
            guard position.segment < last else { return nil }
            position = Position(segment: position.segment + 1, offset: Self.magic.count)
        }
        let path = Self.path(directory, position.segment)
        if reader?.segment != position.segment {
            if let reader { close(reader.descriptor) }
            reader = nil
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw .last("open", path) }
            reader = (position.segment, descriptor)
        }
        guard let descriptor = reader?.descriptor else { return nil }
        var header = (UInt32(0), UInt32(0))
        let got = withUnsafeMutableBytes(of: &header) {
            pread(descriptor, $0.baseAddress, $0.count, off_t(position.offset))
        }
        let length = Int(UInt32(littleEndian: header.0))
        guard got == Self.headerBytes, length <= Self.maximumRecord else {
            throw FileError("read", path, reason: "no record at \(position.offset)")
        }
        record.removeAll(keepingCapacity: true)
        if record.capacity < length { record.reserveCapacity(length) }
        record.append(contentsOf: repeatElement(0, count: length))
        let count = record.withUnsafeMutableBytes {
            pread(descriptor, $0.baseAddress, length, off_t(position.offset + Self.headerBytes))
        }
        var sum = withUnsafeBytes(of: header.0) { Compression.checksum(0, $0) }
        record.withUnsafeBytes { sum = Compression.checksum(sum, $0) }
        guard count == length, sum == UInt32(littleEndian: header.1) else {
            throw FileError("read", path, reason: "checksum differs at \(position.offset)")
        }
        return Position(segment: position.segment, offset: position.offset + Self.headerBytes + length)
    }

    /// Gives back the room of everything before `position`: whole segments, and all of it once nothing is behind.
    public func release(before position: Position) throws(FileError) {
        while first < last, first < position.segment { try removeFirst() }
        guard first == last, position >= end, end.offset > Self.magic.count else { return }
        last += 1
        try openWriter()
        unsynced = false
        try removeFirst()
    }

    private func removeFirst() throws(FileError) {
        if reader?.segment == first {
            if let reader { close(reader.descriptor) }
            reader = nil
        }
        let path = Self.path(directory, first)
        guard unlink(path) == 0 || errno == ENOENT else { throw .last("remove", path) }
        sizes[first] = nil
        first += 1
    }

    /// Where to go on behind a place that cannot be read: the next segment, or `nil` when there is none.
    public func position(afterDamageAt position: Position) -> Position? {
        position.segment < last ? Position(segment: position.segment + 1, offset: Self.magic.count) : nil
    }

    // MARK: Opening

    /// Bytes up to the end of the last good record, and the file's size.
    private static func scan(_ path: String) throws(FileError) -> (valid: Int, size: Int) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("open", path) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw .last("stat", path) }
        let size = Int(info.st_size)
        guard size > 0 else { return (0, 0) }
        guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
            throw .last("map", path)
        }
        defer { munmap(memory, size) }
        return (validBytes(UnsafeRawBufferPointer(start: memory, count: size)), size)
    }

    /// How much of a segment's bytes are whole, good records. Total: takes any bytes.
    public static func validBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard bytes.count >= magic.count, bytes.prefix(magic.count).elementsEqual(magic) else { return 0 }
        var at = magic.count
        while at + headerBytes <= bytes.count {
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            let stored = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self))
            let end = at + headerBytes + length
            guard length <= maximumRecord, end <= bytes.count else { break }
            var sum = Compression.checksum(0, UnsafeRawBufferPointer(rebasing: bytes[at..<at + 4]))
            sum = Compression.checksum(sum, UnsafeRawBufferPointer(rebasing: bytes[(at + headerBytes)..<end]))
            guard sum == stored else { break }
            at = end
        }
        return at
    }
}
