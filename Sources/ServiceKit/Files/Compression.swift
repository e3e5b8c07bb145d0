internal import CZlib
internal import Glibc

/// zlib: gzip files in, checksums.
public enum Compression {
    /// Reads a whole file, plain or gzip: zlib's gzread passes plain files through, so one call serves both.
    ///
    /// - Parameter maximumBytes: of the content; a guard against a gzip bomb.
    public static func readFile(_ path: String, maximumBytes: Int) throws(FileError) -> [UInt8] {
        guard let file = gzopen(path, "rb") else { throw .last("open", path) }
        defer { gzclose(file) }
        gzbuffer(file, 1 << 18)
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = gzread(file, &block, UInt32(block.count))
            if count < 0 {
                var code: Int32 = 0
                let reason = gzerror(file, &code).map { String(cString: $0) } ?? "error \(code)"
                throw FileError("decompress", path, reason: reason)
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: block[..<Int(count)])
            if bytes.count > maximumBytes {
                throw FileError("read", path, reason: "larger than \(maximumBytes) bytes")
            }
        }
    }

    /// Writes a gzip file, and returns when it is on the disk.
    public static func writeFile(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        guard let file = gzopen(path, "wb1") else { throw .last("open", path) }
        let written = bytes.isEmpty ? 0 : gzwrite(file, bytes, UInt32(bytes.count))
        let closed = gzclose(file)
        guard Int(written) == bytes.count, closed == Z_OK else { throw .last("write", path) }
        try sync(path)
    }

    /// Forces a file, or the names in a folder, to the disk.
    public static func sync(_ path: String) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .last("sync", path) }
    }

    /// CRC-32 (ISO 3309) over several pieces, one after the other.
    static func checksum(_ seed: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(
            truncatingIfNeeded: crc32_z(UInt(seed), bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
        )
    }
}
