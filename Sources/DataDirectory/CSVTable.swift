internal import Glibc

/// A CSV file with a header row, held as its bytes and the place of every field (RFC 4180 quotes understood).
public struct CSVTable: Sendable {
    public let path: String
    public let columns: [String]
    public let rowCount: Int
    private let bytes: [UInt8]
    // Field f of row r: bytes[starts[r * columns + f]..<ends[…]].
    private let starts: [UInt32]
    private let ends: [UInt32]
    private let lines: [UInt32]
    private let place: [String: Int]

    public init(path: String) throws(DataDirectoryError) {
        try self.init(path: DataFile.find(path) ?? path, bytes: try DataFile.read(path))
    }

    /// - Throws: every row whose number of fields differs from the header's, by line.
    public init(path: String, bytes: [UInt8]) throws(DataDirectoryError) {
        self.path = path
        var starts: [UInt32] = []
        var ends: [UInt32] = []
        var lines: [UInt32] = []
        var mistakes: [String] = []
        var header: [String] = []
        var rowStart = 0
        var line: UInt32 = 1
        var at = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while at < bytes.count {
            // One record.
            let firstLine = line
            rowStart = starts.count
            var endOfRecord = false
            while !endOfRecord {
                var from = at
                var to: Int
                if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
                    from = at + 1
                    at += 1
                    while at < bytes.count {
                        if bytes[at] == UInt8(ascii: "\"") {
                            if at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "\"") { at += 1 } else { break }
                        }
                        if bytes[at] == 10 { line += 1 }
                        at += 1
                    }
                    to = at
                    if at >= bytes.count { mistakes.append("\(path):\(firstLine): a quoted field is not closed") }
                    at += 1
                    while at < bytes.count, bytes[at] != UInt8(ascii: ","), bytes[at] != 10 { at += 1 }
                } else {
                    while at < bytes.count, bytes[at] != UInt8(ascii: ","), bytes[at] != 10 { at += 1 }
                    to = at
                    if to > from, bytes[to - 1] == 13 { to -= 1 }
                }
                starts.append(UInt32(from))
                ends.append(UInt32(min(to, bytes.count)))
                endOfRecord = at >= bytes.count || bytes[at] == 10
                at += 1
            }
            line += 1
            let count = starts.count - rowStart
            let isBlank = count == 1 && starts[rowStart] == ends[rowStart]
            if isBlank {
                starts.removeLast()
                ends.removeLast()
            } else if header.isEmpty {
                header = (rowStart..<starts.count).map {
                    String(decoding: bytes[Int(starts[$0])..<Int(ends[$0])], as: UTF8.self)
                }
                starts.removeAll()
                ends.removeAll()
            } else if count != header.count {
                mistakes.append("\(path):\(firstLine): \(count) fields, expected \(header.count) as in the header")
                starts.removeLast(count)
                ends.removeLast(count)
            } else {
                lines.append(firstLine)
            }
        }
        if header.isEmpty { mistakes.append("\(path):1: empty, expected a header row") }
        let doubled = Dictionary(grouping: header, by: { $0 }).filter { $1.count > 1 }.keys.sorted()
        for name in doubled { mistakes.append("\(path):1: column \(name) stands twice in the header") }
        if !mistakes.isEmpty { throw DataDirectoryError(mistakes) }
        self.bytes = bytes
        self.starts = starts
        self.ends = ends
        self.lines = lines
        columns = header
        rowCount = lines.count
        place = Dictionary(header.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public func column(_ name: String) -> Int? { place[name] }

    /// Line of the file a row starts on, from 1.
    public func line(_ row: Int) -> Int { Int(lines[row]) }

    public func text(_ row: Int, _ column: Int) -> String {
        let field = row * columns.count + column
        let slice = bytes[Int(starts[field])..<Int(ends[field])]
        let text = String(decoding: slice, as: UTF8.self)
        return text.contains("\"\"") ? text.replacing("\"\"", with: "\"") : text
    }

    public func isEmpty(_ row: Int, _ column: Int) -> Bool {
        let field = row * columns.count + column
        return starts[field] == ends[field]
    }

    /// The number in a field; `nil` when it is empty or no finite decimal number.
    public func number(_ row: Int, _ column: Int) -> Double? {
        let field = row * columns.count + column
        let (from, to) = (Int(starts[field]), Int(ends[field]))
        guard to > from, to - from < 64 else { return nil }
        // strtod also reads hexadecimal, "inf" and "nan": refuse letters other than an exponent's.
        for byte in bytes[from..<to] {
            switch byte {
            case 48...57, 43, 45, 46, 69, 101: continue
            default: return nil
            }
        }
        // "1e999" is infinite.
        return Double(String(decoding: bytes[from..<to], as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }

    /// A required column, or the mistake that it is missing.
    public func require(_ name: String) throws(DataDirectoryError) -> Int {
        guard let found = column(name) else {
            throw DataDirectoryError(
                "\(path):1: column \(name) is missing; the header has \(columns.joined(separator: ", "))")
        }
        return found
    }
}
