internal import GridModel

/// The fields of a row in COPY's binary format, one after the other: each a 32-bit length (-1 NULL) and its value.
struct CopyRow {
    private let bytes: UnsafeRawBufferPointer
    private var place = 0
    /// A field was not as long as what was asked for, or missing.
    private(set) var isMalformed = false

    /// - Parameter bytes: behind the count of fields.
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// - Returns: `nil` for NULL, and where the field is no such number.
    @inline(__always)
    private mutating func next<Word: FixedWidthInteger>(_ type: Word.Type) -> Word? {
        guard place + 4 <= bytes.count else { return malformed() }
        let length = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: Int32.self))
        place += 4
        if length == -1 { return nil }
        guard length == MemoryLayout<Word>.size, place + Int(length) <= bytes.count else { return malformed() }
        defer { place += MemoryLayout<Word>.size }
        return Word(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: Word.self))
    }

    private mutating func malformed<Word>() -> Word? {
        isMalformed = true
        return nil
    }

    mutating func int2() -> Int16? { next(Int16.self) }
    mutating func int4() -> Int32? { next(Int32.self) }
    /// NaN for NULL.
    mutating func float4() -> Float { next(UInt32.self).map(Float.init(bitPattern:)) ?? .nan }
    mutating func float8() -> Double { next(UInt64.self).map(Double.init(bitPattern:)) ?? .nan }
    mutating func time() -> Timestamp? {
        next(Int64.self).map { Timestamp(microseconds: $0 + CopyBuffer.postgresEpoch) }
    }
}
