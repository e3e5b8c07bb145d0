internal import Glibc
internal import GridModel

/// Rows in PostgreSQL's binary COPY format, in memory of its own that is reused from batch to batch.
///
/// https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format": header, per row a 16-bit field count and per field
/// a 32-bit length (-1 NULL) with the value, all big-endian; a row of -1 fields ends it.
public struct CopyBuffer: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    public private(set) var count: Int
    public private(set) var rows = 0
    private var isFinished = false
    private static let header: [UInt8] = Array("PGCOPY\n".utf8) + [0xff, 13, 10, 0] + [UInt8](repeating: 0, count: 8)
    /// Bytes behind the last row.
    private static let trailer = 2
    /// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps start.
    static let postgresEpoch: Int64 = 946_684_800_000_000

    public init(capacity: Int = 1 << 16) {
        self.capacity = max(capacity, 64)
        base = .allocate(byteCount: self.capacity, alignment: 16)
        count = 0
        reset()
    }

    deinit { base.deallocate() }

    public mutating func reset() {
        Self.header.withUnsafeBytes {
            base.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(base), byteCount: $0.count)
        }
        count = Self.header.count
        isFinished = false
        rows = 0
    }

    @inline(__always)
    private mutating func reserve(_ more: Int) {
        guard count + more > capacity else { return }
        let larger = max(capacity * 2, count + more)
        let grown = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        grown.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = grown
        capacity = larger
    }

    @inline(__always)
    private mutating func store<Word: FixedWidthInteger>(_ value: Word) {
        base.storeBytes(of: value.bigEndian, toByteOffset: count, as: Word.self)
        count += MemoryLayout<Word>.size
    }

    @inline(__always)
    public mutating func beginRow(fields: Int) {
        reserve(2 + fields * 12)
        store(Int16(truncatingIfNeeded: fields))
        rows += 1
    }

    @inline(__always)
    public mutating func time(_ microseconds: Int64) {
        store(Int32(8))
        store(microseconds &- Self.postgresEpoch)
    }

    @inline(__always)
    public mutating func int4(_ value: Int32) {
        store(Int32(4))
        store(value)
    }

    @inline(__always)
    public mutating func int2(_ value: Int16) {
        store(Int32(2))
        store(value)
    }

    @inline(__always)
    public mutating func null() { store(Int32(-1)) }

    /// NaN becomes NULL.
    @inline(__always)
    public mutating func float4(_ value: Float) {
        guard !value.isNaN else { return null() }
        store(Int32(4))
        store(value.bitPattern)
    }

    @inline(__always)
    public mutating func float8(_ value: Double) {
        store(Int32(8))
        store(value.bitPattern)
    }

    /// A row of `sample`, in the order of ``SampleStore``'s columns. The one row that is written a million times: length
    /// and value of a field go out in one store.
    mutating func sample(
        _ sample: Sample, deviceID: Int32, areaID: Int32, current: Float, frequency: Float,
        state: UInt8
    ) {
        reserve(2 + 12 * 12)
        var at = base + count
        @inline(__always)
        func put<Word: FixedWidthInteger>(_ word: Word) {
            at.storeBytes(of: word.bigEndian, as: Word.self)
            at += MemoryLayout<Word>.size
        }
        @inline(__always)
        func float(_ value: Float) {
            if value.isNaN { put(Int32(-1)) } else { put(UInt64(4) << 32 | UInt64(value.bitPattern)) }
        }
        put(Int16(12))
        put(Int32(8))
        put(sample.time.microseconds &- Self.postgresEpoch)
        put(UInt64(4) << 32 | UInt64(UInt32(bitPattern: deviceID)))
        put(UInt64(4) << 32 | UInt64(UInt32(bitPattern: areaID)))
        float(sample.activePower)
        float(sample.reactivePower)
        float(sample.voltage)
        float(current)
        float(frequency)
        float(sample.stateOfCharge)
        float(sample.interval > 0 ? sample.interval : .nan)
        put(Int32(2))
        put(sample.quality.rawValue)
        if state == 0 {
            put(Int32(-1))
        } else {
            put(Int32(2))
            put(Int16(state) - 1)
        }
        count = at - base
        rows += 1
    }

    public mutating func bytes(_ value: UnsafeRawBufferPointer) {
        reserve(4 + value.count + 64)
        store(Int32(truncatingIfNeeded: value.count))
        if let from = value.baseAddress { (base + count).copyMemory(from: from, byteCount: value.count) }
        count += value.count
    }

    public mutating func text(_ value: String) {
        var value = value
        value.withUTF8 { bytes(UnsafeRawBufferPointer($0)) }
    }

    /// Several of what ``finished()`` hands out as the pieces of one stream: one header, all rows, one trailer.
    static func joined(_ streams: [UnsafeRawBufferPointer]) -> [UnsafeRawBufferPointer] {
        streams.enumerated().map { place, stream in
            let first = place == 0 ? 0 : header.count
            let end = place == streams.count - 1 ? stream.count : stream.count - trailer
            return UnsafeRawBufferPointer(rebasing: stream[first..<end])
        }
    }

    /// Where each row begins, and where the last one ends.
    func rowOffsets() -> [Int] {
        var offsets: [Int] = []
        offsets.reserveCapacity(rows + 1)
        var at = Self.header.count
        for _ in 0..<rows {
            offsets.append(at)
            let fields = Int(Int16(bigEndian: base.loadUnaligned(fromByteOffset: at, as: Int16.self)))
            at += 2
            for _ in 0..<fields {
                at += 4 + max(0, Int(Int32(bigEndian: base.loadUnaligned(fromByteOffset: at, as: Int32.self))))
            }
        }
        return offsets + [at]
    }

    /// The bytes between two of ``rowOffsets()``, as they stand: without header and trailer.
    func bytes(from start: Int, to end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + start, count: end - start)
    }

    /// A stream of its own with some rows of this one.
    func copy(from start: Int, to end: Int, rows count: Int) -> CopyBuffer {
        var part = CopyBuffer(capacity: Self.header.count + end - start + Self.trailer)
        (part.base + part.count).copyMemory(from: base + start, byteCount: end - start)
        part.count += end - start
        part.rows = count
        return part
    }

    /// Ends the rows and hands out everything, as often as it is asked. ``reset()`` before the next row.
    public mutating func finished() -> UnsafeRawBufferPointer {
        if !isFinished {
            reserve(Self.trailer)
            store(Int16(-1))
            isFinished = true
        }
        return UnsafeRawBufferPointer(start: base, count: count)
    }
}
