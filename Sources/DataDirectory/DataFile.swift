internal import Glibc
internal import ServiceKit

/// What is wrong with a data directory: every mistake found, each naming file, line and column.
public struct DataDirectoryError: Error, CustomStringConvertible, Sendable {
    public var mistakes: [String]

    public init(_ mistakes: [String]) { self.mistakes = mistakes }
    public init(_ mistake: String) { mistakes = [mistake] }

    public var description: String { mistakes.joined(separator: "\n") }
}

/// Files of a data directory: plain, or gzip with `.gz` behind the name.
public enum DataFile {
    /// Largest file read, bytes after decompression: a guard against a gzip bomb.
    public static let maximumBytes = 2 << 30

    /// The path that is there, of `path` and `path.gz`, whether or not it can be read: a table that may be missing is not
    /// missing because somebody else owns it. `nil` when neither is.
    public static func find(_ path: String) -> String? {
        [path, path + ".gz"].first { path in
            var info = stat()
            return lstat(path, &info) == 0
        }
    }

    /// Reads the whole file, plain or gzip.
    public static func read(_ path: String) throws(DataDirectoryError) -> [UInt8] {
        guard let found = find(path) else { throw DataDirectoryError("\(path): no such file (nor \(path).gz)") }
        do {
            return try Compression.readFile(found, maximumBytes: maximumBytes)
        } catch {
            throw DataDirectoryError("\(found): cannot be read: \(error.reason)")
        }
    }

    public static func exists(_ path: String) -> Bool { find(path) != nil }

    public static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    /// Names in a directory, sorted; empty when it is not there.
    public static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }
}
