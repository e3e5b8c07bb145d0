internal import GridModel

/// Samples of one device in time order, each kept as what differs from the one before.
///
/// Of devices that report once a second, up to 150 s are held until their bins are final: with many devices, 48 bytes for
/// each sample are most of a gigabyte. A sample in its step takes one byte, and what has changed of its values up to four
/// each.
///
/// What a sample is coded as, one after the other:
/// - a byte: two bits for the time, three each for active power and voltage (``Difference``);
/// - where it is not the step before, the change of the step in time, two or four bytes; or a byte that names what else
///   has changed, and the time in full;
/// - what is different of active power and voltage;
/// - what else has changed, in full.
///
/// A value: copies share their memory, and whoever changes one makes it its own first, hence `@unchecked Sendable`.
struct PackedSamples: @unchecked Sendable {
    /// What the coding of a sample starts from.
    private struct State {
        var sample: Sample
        /// Microseconds between it and the one before.
        var step: Int64 = 0
    }

    private struct Header {
        /// What the first sample differs from: the last one that was dropped, if any was.
        var base: State
        var hasBase = false
        var newest: State
        var count: Int32 = 0
        var bytes: Int32 = 0
        /// Bytes there is room for, without the margin.
        var capacity: Int32
    }

    private typealias Memory = ManagedBuffer<Header, UInt8>

    private var memory: Memory?

    /// Of one coded sample, at most: 1 and 1, the time, eight numbers, quality and position.
    private static let longest = 2 + 8 + 8 * 4 + 3
    /// Words of four bytes are read and written whole.
    private static let margin = 8

    var count: Int { memory.map { memory in memory.withUnsafeMutablePointerToHeader { Int($0.pointee.count) } } ?? 0 }

    /// Bytes that the samples are coded in.
    var codedBytes: Int {
        memory.map { memory in memory.withUnsafeMutablePointerToHeader { Int($0.pointee.bytes) } } ?? 0
    }

    /// The sample before the first, which was dropped.
    var carry: Sample? {
        memory.flatMap { memory in
            memory.withUnsafeMutablePointerToHeader { $0.pointee.hasBase ? $0.pointee.base.sample : nil }
        }
    }

    /// The samples, oldest first.
    var all: [Sample] {
        let held = count
        guard let memory, held > 0 else { return [] }
        return Array(unsafeUninitializedCapacity: held) { samples, count in
            memory.withUnsafeMutablePointers { header, bytes in
                var (state, at) = (header.pointee.base, UnsafePointer(bytes))
                for place in 0..<held {
                    at = Self.read(at, &state)
                    samples.initializeElement(at: place, to: state.sample)
                }
            }
            count = held
        }
    }

    /// Drops the samples before `time`; the last of them is the ``carry``.
    /// - Returns: all samples, the dropped ones too.
    mutating func removeAll(before time: Timestamp) -> [Sample] {
        let held = count
        guard held > 0 else { return [] }
        makeUnique()
        guard let memory else { return [] }
        return Array(unsafeUninitializedCapacity: held) { samples, count in
            memory.withUnsafeMutablePointers { header, bytes in
                var (state, at) = (header.pointee.base, UnsafePointer(bytes))
                var (dropped, first) = (0, at)
                for place in 0..<held {
                    at = Self.read(at, &state)
                    samples.initializeElement(at: place, to: state.sample)
                    guard state.sample.time < time else { continue }
                    (dropped, first) = (place + 1, at)
                    header.pointee.base = state
                }
                count = held
                guard dropped > 0 else { return }
                header.pointee.hasBase = true
                header.pointee.count -= Int32(dropped)
                header.pointee.bytes = Int32(at - first)
                bytes.update(from: first, count: at - first)
            }
        }
    }

    /// Adds a sample behind the others.
    mutating func append(_ sample: Sample) {
        if !isKnownUniquelyReferenced(&memory) { makeUnique() }
        if let memory, Self.append(sample, to: memory) { return }
        grow(for: sample)
        if let memory { _ = Self.append(sample, to: memory) }
    }

    /// - Returns: false when there is no room.
    @inline(__always)
    private static func append(_ sample: Sample, to memory: Memory) -> Bool {
        memory.withUnsafeMutablePointers { header, bytes in
            guard header.pointee.bytes + Int32(longest) <= header.pointee.capacity else { return false }
            let at = bytes + Int(header.pointee.bytes)
            header.pointee.bytes += Int32(write(sample, at, &header.pointee.newest) - at)
            header.pointee.count += 1
            return true
        }
    }

    /// Holds these instead, in time order; the ``carry`` stays.
    mutating func replaceAll(with samples: [Sample]) {
        makeUnique()
        memory?.withUnsafeMutablePointerToHeader { header in
            header.pointee.newest = header.pointee.base
            header.pointee.count = 0
            header.pointee.bytes = 0
        }
        for sample in samples { append(sample) }
    }

    // MARK: Memory

    private mutating func grow(for sample: Sample) {
        guard let full = memory?.withUnsafeMutablePointerToHeader({ $0.pointee }) else {
            let none = State(sample: Sample(device: sample.device, time: Timestamp(microseconds: 0)))
            memory = Self.allocate(Header(base: none, newest: none, capacity: Int32(Self.longest)))
            return
        }
        // By an eighth: of doubled memory a third would lie idle, with each of many devices.
        resize(to: full.bytes + Int32(Self.longest) + max(16, full.capacity / 8))
    }

    private mutating func makeUnique() {
        guard let shared = memory?.withUnsafeMutablePointerToHeader({ $0.pointee.capacity }),
            !isKnownUniquelyReferenced(&memory)
        else { return }
        resize(to: shared)
    }

    private mutating func resize(to capacity: Int32) {
        memory = memory?.withUnsafeMutablePointers { header, bytes in
            var wider = header.pointee
            wider.capacity = capacity
            let made = Self.allocate(wider)
            made.withUnsafeMutablePointerToElements { $0.update(from: bytes, count: Int(wider.bytes)) }
            return made
        }
    }

    private static func allocate(_ header: Header) -> Memory {
        let made = Memory.create(minimumCapacity: Int(header.capacity) + margin) { _ in header }
        made.withUnsafeMutablePointerToElements { $0.initialize(repeating: 0, count: Int(header.capacity) + margin) }
        return made
    }

    // MARK: Coding

    /// What the two bits for the time say.
    private enum Step {
        static let same: UInt8 = 0
        /// Two bytes more or less than before.
        static let near: UInt8 = 1
        static let far: UInt8 = 2
        /// The time in full, and a byte that names what else has changed.
        static let more: UInt8 = 3
    }

    /// What has changed beside active power and voltage.
    private struct Rest: OptionSet {
        let rawValue: UInt8
        static let reactivePower = Self(rawValue: 1)
        static let interval = Self(rawValue: 2)
        static let stateOfCharge = Self(rawValue: 4)
        static let leastPhasePower = Self(rawValue: 8)
        static let unbalance = Self(rawValue: 16)
        static let tapPosition = Self(rawValue: 32)
        static let flags = Self(rawValue: 64)
    }

    private static func write(_ sample: Sample, _ start: UnsafeMutablePointer<UInt8>, _ state: inout State)
        -> UnsafeMutablePointer<UInt8>
    {
        let before = state.sample
        let step = sample.time.microseconds &- before.time.microseconds
        let change = step &- state.step
        let power = Difference(sample.activePower, before.activePower)
        let voltage = Difference(sample.voltage, before.voltage)
        let rest = changes(sample, before)
        var at = start + 1
        let time: UInt8
        if !rest.isEmpty || Int64(Int32(truncatingIfNeeded: change)) != change {
            time = Step.more
            put(rest.rawValue, &at)
            put(sample.time.microseconds, &at)
        } else if change == 0 {
            time = Step.same
        } else if let near = Int16(exactly: change) {
            time = Step.near
            put(near, &at)
        } else {
            time = Step.far
            put(Int32(truncatingIfNeeded: change), &at)
        }
        start.pointee = time << 6 | power.code << 3 | voltage.code
        power.write(&at)
        voltage.write(&at)
        if !rest.isEmpty { write(rest, of: sample, &at) }
        state = State(sample: sample, step: step)
        return at
    }

    private static func read(_ start: UnsafePointer<UInt8>, _ state: inout State) -> UnsafePointer<UInt8> {
        let first = start.pointee
        var at = start + 1
        var rest = Rest()
        switch first >> 6 {
        case Step.same: break
        case Step.near: state.step &+= Int64(take(Int16.self, &at))
        case Step.far: state.step &+= Int64(take(Int32.self, &at))
        default:
            rest = Rest(rawValue: take(UInt8.self, &at))
            state.step = take(Int64.self, &at) &- state.sample.time.microseconds
        }
        state.sample.time = Timestamp(microseconds: state.sample.time.microseconds &+ state.step)
        state.sample.activePower = Difference.read(first >> 3 & 7, from: state.sample.activePower, &at)
        state.sample.voltage = Difference.read(first & 7, from: state.sample.voltage, &at)
        if !rest.isEmpty { read(rest, &state.sample, &at) }
        return at
    }

    @inline(__always)
    private static func changes(_ sample: Sample, _ before: Sample) -> Rest {
        var rest = Rest()
        let differences =
            (sample.reactivePower.bitPattern ^ before.reactivePower.bitPattern)
            | (sample.interval.bitPattern ^ before.interval.bitPattern)
            | (sample.stateOfCharge.bitPattern ^ before.stateOfCharge.bitPattern)
            | (sample.leastPhasePower.bitPattern ^ before.leastPhasePower.bitPattern)
            | (sample.unbalance.bitPattern ^ before.unbalance.bitPattern)
            | (sample.tapPosition.bitPattern ^ before.tapPosition.bitPattern)
            | UInt32(sample.quality.rawValue ^ before.quality.rawValue)
            | UInt32(sample.switchPosition ^ before.switchPosition)
        // Nearly always nothing.
        guard differences != 0 else { return rest }
        if sample.reactivePower.bitPattern != before.reactivePower.bitPattern { rest.insert(.reactivePower) }
        if sample.interval.bitPattern != before.interval.bitPattern { rest.insert(.interval) }
        if sample.stateOfCharge.bitPattern != before.stateOfCharge.bitPattern { rest.insert(.stateOfCharge) }
        if sample.leastPhasePower.bitPattern != before.leastPhasePower.bitPattern { rest.insert(.leastPhasePower) }
        if sample.unbalance.bitPattern != before.unbalance.bitPattern { rest.insert(.unbalance) }
        if sample.tapPosition.bitPattern != before.tapPosition.bitPattern { rest.insert(.tapPosition) }
        if sample.quality != before.quality || sample.switchPosition != before.switchPosition { rest.insert(.flags) }
        return rest
    }

    private static func write(_ rest: Rest, of sample: Sample, _ at: inout UnsafeMutablePointer<UInt8>) {
        if rest.contains(.reactivePower) { put(sample.reactivePower.bitPattern, &at) }
        if rest.contains(.interval) { put(sample.interval.bitPattern, &at) }
        if rest.contains(.stateOfCharge) { put(sample.stateOfCharge.bitPattern, &at) }
        if rest.contains(.leastPhasePower) { put(sample.leastPhasePower.bitPattern, &at) }
        if rest.contains(.unbalance) { put(sample.unbalance.bitPattern, &at) }
        if rest.contains(.tapPosition) { put(sample.tapPosition.bitPattern, &at) }
        if rest.contains(.flags) {
            put(sample.quality.rawValue, &at)
            put(sample.switchPosition, &at)
        }
    }

    private static func read(_ rest: Rest, _ sample: inout Sample, _ at: inout UnsafePointer<UInt8>) {
        func float() -> Float { Float(bitPattern: take(UInt32.self, &at)) }
        if rest.contains(.reactivePower) { sample.reactivePower = float() }
        if rest.contains(.interval) { sample.interval = float() }
        if rest.contains(.stateOfCharge) { sample.stateOfCharge = float() }
        if rest.contains(.leastPhasePower) { sample.leastPhasePower = float() }
        if rest.contains(.unbalance) { sample.unbalance = float() }
        if rest.contains(.tapPosition) { sample.tapPosition = float() }
        if rest.contains(.flags) {
            sample.quality = Quality(rawValue: take(UInt16.self, &at))
            sample.switchPosition = take(UInt8.self, &at)
        }
    }

    @inline(__always)
    private static func put<Word: BitwiseCopyable>(_ word: Word, _ at: inout UnsafeMutablePointer<UInt8>) {
        UnsafeMutableRawPointer(at).storeBytes(of: word, as: Word.self)
        at += MemoryLayout<Word>.size
    }

    @inline(__always)
    private static func take<Word: BitwiseCopyable>(_ type: Word.Type, _ at: inout UnsafePointer<UInt8>) -> Word {
        defer { at += MemoryLayout<Word>.size }
        return UnsafeRawPointer(at).loadUnaligned(as: Word.self)
    }
}

/// What two numbers differ in, bit by bit: of values that are near each other, or rounded, a few bytes.
///
/// Eight kinds, by the bytes that differ: none; the lowest one, two, three or all four; the middle two; the third; the
/// highest two.
private struct Difference {
    let code: UInt8
    private let bits: UInt32

    /// By code, four bits each: how many bytes are written, and how many are skipped below them.
    private static let lengths: UInt32 = 0x2124_3210
    private static let skipped: UInt32 = 0x2210_0000

    @inline(__always)
    init(_ value: Float, _ before: Float) {
        bits = value.bitPattern ^ before.bitPattern
        if bits == 0 {
            code = 0
        } else if bits & 0xffff == 0 {
            code = bits >> 24 == 0 ? 6 : 7
        } else if bits >> 16 == 0 {
            code = bits >> 8 == 0 ? 1 : 2
        } else if bits >> 24 == 0 {
            code = bits & 0xff == 0 ? 5 : 3
        } else {
            code = 4
        }
    }

    @inline(__always)
    private static func nibble(_ table: UInt32, _ code: UInt8) -> UInt32 { table >> (4 * UInt32(code)) & 15 }

    @inline(__always)
    func write(_ at: inout UnsafeMutablePointer<UInt8>) {
        UnsafeMutableRawPointer(at).storeBytes(of: bits >> (8 * Self.nibble(Self.skipped, code)), as: UInt32.self)
        at += Int(Self.nibble(Self.lengths, code))
    }

    @inline(__always)
    static func read(_ code: UInt8, from before: Float, _ at: inout UnsafePointer<UInt8>) -> Float {
        let length = nibble(lengths, code)
        let word = UInt64(UnsafeRawPointer(at).loadUnaligned(as: UInt32.self)) & (1 << (8 * UInt64(length)) - 1)
        at += Int(length)
        return Float(bitPattern: before.bitPattern ^ UInt32(word) << (8 * nibble(skipped, code)))
    }
}
