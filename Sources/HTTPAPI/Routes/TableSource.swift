public import GridModel
internal import ServiceKit

/// Rows as they come from the store: a time, then numbers; what is not finite is absent.
public struct TableSource: Sendable {
    public typealias Row = (_ time: Timestamp, _ values: UnsafeBufferPointer<Double>) -> Bool
    public enum Digits: Sendable {
        /// One decimal from 100 on, five below: far more than any meter has.
        case few
        /// Every digit of a single-precision number.
        case all
    }

    public var header: [(name: String, value: String)]
    /// Behind `time`.
    public var columns: [String]
    public var digits: Digits
    /// Calls with each row until that returns false.
    public var rows: @Sendable (Row) throws -> Void
    /// Called once, when nobody needs the rows any more.
    public var ended: @Sendable () -> Void

    public init(
        header: [(name: String, value: String)], columns: [String], digits: Digits = .few,
        ended: @escaping @Sendable () -> Void = {}, rows: @escaping @Sendable (Row) throws -> Void
    ) {
        self.header = header
        self.columns = columns
        self.digits = digits
        self.ended = ended
        self.rows = rows
    }
}

/// Rows to CSV or JSON, byte by byte: a million of them are a few hundred megabytes of digits.
public struct TableEncoder {
    public enum Format: Sendable { case csv, json }

    public private(set) var bytes: [UInt8] = []
    private let format: Format
    private let digits: TableSource.Digits
    private let places: [Int]
    /// Of JSON: what stands before each value.
    private let keys: [[UInt8]]
    private var isFirst = true
    private var day = Int64.min
    private var dayText: [UInt8] = []

    /// - Parameter places: of the columns wanted, in order; `nil`: all.
    public init(_ source: TableSource, _ format: Format, places: [Int]? = nil) {
        self.format = format
        digits = source.digits
        let places = places ?? Array(source.columns.indices)
        self.places = places
        keys = places.map { Array(",\"\(source.columns[$0])\":".utf8) }
        switch format {
        case .csv: bytes = Array((["time"] + places.map { source.columns[$0] }).joined(separator: ",").utf8) + [0x0A]
        case .json:
            let header = source.header.map { "\"\($0.name)\":\(JSONText.quoted($0.value))," }.joined()
            bytes = Array("{\(header)\"items\":[".utf8)
        }
    }

    /// What there is so far; it starts anew.
    public mutating func take() -> [UInt8] {
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    public mutating func finish() {
        if format == .json { bytes += Array("],\"next\":null}".utf8) }
    }

    public mutating func append(_ time: Timestamp, _ values: UnsafeBufferPointer<Double>) {
        switch format {
        case .csv:
            append(time)
            for place in places {
                bytes.append(0x2C)
                if values[place].isFinite { append(values[place]) }
            }
            bytes.append(0x0A)
        case .json:
            bytes += isFirst ? Self.firstRow : Self.nextRow
            append(time)
            bytes.append(0x22)
            for (number, place) in places.enumerated() {
                bytes += keys[number]
                if values[place].isFinite { append(values[place]) } else { bytes += Self.null }
            }
            bytes.append(0x7D)
        }
        isFirst = false
    }

    private static let firstRow = Array("{\"time\":\"".utf8)
    private static let nextRow = Array(",{\"time\":\"".utf8)
    private static let null = Array("null".utf8)

    private mutating func append(_ time: Timestamp) {
        guard time.microseconds % 1_000_000 == 0 else {
            bytes += Array(time.description.utf8)
            return
        }
        let seconds = time.microseconds / 1_000_000
        let today = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        if today != day {
            day = today
            dayText = Array(Timestamp(microseconds: today * 86_400_000_000).description.utf8.prefix(11))
        }
        bytes += dayText
        let second = Int(seconds - today * 86_400)
        for (number, part) in [second / 3600, second / 60 % 60, second % 60].enumerated() {
            if number > 0 { bytes.append(0x3A) }
            bytes.append(UInt8(0x30 + part / 10))
            bytes.append(UInt8(0x30 + part % 10))
        }
        bytes.append(0x5A)
    }

    private mutating func append(_ value: Double) {
        if abs(value) < 1e13 {
            if value == value.rounded() {
                append(Int64(value), decimals: 0)
                return
            }
            if digits == .few {
                let decimals = abs(value) >= 100 ? 1 : 5
                append(Int64((value * (decimals == 1 ? 10 : 100_000)).rounded()), decimals: decimals)
                return
            }
        }
        bytes += Array((digits == .all ? Float(value).description : value.description).utf8)
    }

    /// - Parameter scaled: the number times ten to the power of `decimals`.
    private mutating func append(_ scaled: Int64, decimals: Int) {
        if scaled < 0 { bytes.append(0x2D) }
        var (rest, left) = (scaled.magnitude, decimals)
        // Zeros at the end say nothing.
        while left > 0, rest % 10 == 0 {
            rest /= 10
            left -= 1
        }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 24) { text in
            var place = text.count
            var written = 0
            repeat {
                if written == left, left > 0 {
                    place -= 1
                    text[place] = 0x2E
                }
                place -= 1
                text[place] = UInt8(0x30 + rest % 10)
                rest /= 10
                written += 1
            } while rest > 0 || written <= left && left > 0
            bytes += text[place...]
        }
    }
}
