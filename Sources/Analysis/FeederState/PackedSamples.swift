internal import GridModel

/// Samples of one device in time order, each kept as what differs from the one before.
///
/// Of devices that report once a second, up to 150 s are held until their bins are final: with many devices, 48 bytes for
/// each sample are most of a gigabyte. A sample in its step takes one byte, and what has changed of its values up to four
/// each, in tenths one or two.
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
        var newest: State
        var hasBase = false
        var count: Int32 = 0
        var bytes: Int32 = 0
        /// Bytes there is room for, without the margin.
        var capacity: Int32
    }

    private typealias Memory = ManagedBuffer<Header, UInt8>

    private var memory: Memory?

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
        guard let newest = memory?.withUnsafeMutablePointerToHeader({ $0.pointee.newest }) else {
            let none = State(sample: Sample(device: sample.device, time: Timestamp(microseconds: 0)))
            memory = Self.allocate(Header(base: none, newest: none, capacity: 0))
            return append(sample)
        }
        let change = Change(from: newest, to: sample)
        if let memory, Self.append(change, sample, to: memory) { return }
        grow(by: Int32(change.size))
        if let memory { _ = Self.append(change, sample, to: memory) }
    }

    /// - Returns: false when there is no room.
    @inline(__always)
    private static func append(_ change: Change, _ sample: Sample, to memory: Memory) -> Bool {
        memory.withUnsafeMutablePointers { header, bytes in
            guard header.pointee.bytes + Int32(change.size) <= header.pointee.capacity else { return false }
            let at = bytes + Int(header.pointee.bytes)
            header.pointee.bytes += Int32(change.write(at) - at)
            header.pointee.newest = State(sample: sample, step: change.step)
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

    private mutating func grow(by room: Int32) {
        guard let full = memory?.withUnsafeMutablePointerToHeader({ $0.pointee }) else { return }
        // By an eighth: of doubled memory a third would lie idle, with each of many devices.
        resize(to: full.bytes + room + max(8, full.capacity / 8))
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
        /// So many words of two bytes say how much more or less than before.
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

    /// From one sample to the next.
    private struct Change {
        private let sample: Sample
        /// Microseconds between the two.
        let step: Int64
        private let time: UInt8
        private let change: Int64
        private let power, voltage: Difference
        private let rest: Rest

        @inline(__always)
        init(from before: State, to sample: Sample) {
            self.sample = sample
            step = sample.time.microseconds &- before.sample.time.microseconds
            change = step &- before.step
            power = Difference(sample.activePower, before.sample.activePower)
            voltage = Difference(sample.voltage, before.sample.voltage)
            rest = PackedSamples.changes(sample, before.sample)
            if !rest.isEmpty || Int64(Int32(truncatingIfNeeded: change)) != change {
                time = Step.more
            } else if change == 0 {
                time = Step.same
            } else {
                time = Int64(Int16(truncatingIfNeeded: change)) == change ? Step.near : Step.far
            }
        }

        /// Bytes it takes; at most, where more has changed than time, active power and voltage.
        @inline(__always)
        var size: Int {
            let timed = time == Step.more ? 1 + 8 : 2 * Int(time)
            return 1 + timed + power.length + voltage.length + (rest.isEmpty ? 0 : 6 * 4 + 3)
        }

        @inline(__always)
        func write(_ start: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
            var at = start + 1
            switch time {
            case Step.same: break
            case Step.near: put(Int16(truncatingIfNeeded: change), &at)
            case Step.far: put(Int32(truncatingIfNeeded: change), &at)
            default:
                put(rest.rawValue, &at)
                put(sample.time.microseconds, &at)
            }
            start.pointee = time << 6 | power.code << 3 | voltage.code
            power.write(&at)
            voltage.write(&at)
            if !rest.isEmpty { PackedSamples.write(rest, of: sample, &at) }
            return at
        }
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
}

/// What two numbers differ in.
///
/// Meters send decimals: where both are near a tenth, a byte or two say by how many tenths. Of other numbers it is the
/// bits that differ, in whole bytes: the third, the middle two, the highest two, the lowest three or all four.
private struct Difference {
    let code: UInt8
    private let bits: UInt32

    private enum Code {
        static let none: UInt8 = 0
        static let fewTenths: UInt8 = 1
        static let manyTenths: UInt8 = 2
    }

    /// By code, four bits each: how many bytes are written, and how many are skipped below them.
    private static let lengths: UInt32 = 0x2124_3210
    private static let skipped: UInt32 = 0x2210_0000

    @inline(__always)
    init(_ value: Float, _ before: Float) {
        let changed = value.bitPattern ^ before.bitPattern
        guard changed != 0 else {
            (code, bits) = (Code.none, 0)
            return
        }
        if let tenths = Self.tenths(value), let start = Self.tenths(before),
            Self.number(tenths).bitPattern == value.bitPattern
        {
            let step = tenths &- start
            if step == Int32(Int8(truncatingIfNeeded: step)) {
                (code, bits) = (Code.fewTenths, UInt32(bitPattern: step))
                return
            }
            if changed & 0xff00_ffff != 0, step == Int32(Int16(truncatingIfNeeded: step)) {
                (code, bits) = (Code.manyTenths, UInt32(bitPattern: step))
                return
            }
        }
        bits = changed
        if changed & 0xffff == 0 {
            code = changed >> 24 == 0 ? 6 : 7
        } else if changed >> 24 == 0 {
            code = changed & 0xff == 0 ? 5 : 3
        } else {
            code = 4
        }
    }

    /// The nearest number of tenths, of numbers that are small enough to have one.
    @inline(__always)
    private static func tenths(_ value: Float) -> Int32? {
        guard value.magnitude < 400_000 else { return nil }
        // 3 << 22: what is added to it is rounded to a whole number, and stands in the lowest bits.
        let shift: Float = 12_582_912
        return Int32(bitPattern: (value * 10 + shift).bitPattern &- shift.bitPattern)
    }

    @inline(__always)
    private static func number(_ tenths: Int32) -> Float { Float(tenths) / 10 }

    @inline(__always)
    private static func nibble(_ table: UInt32, _ code: UInt8) -> UInt32 { table >> (4 * UInt32(code)) & 15 }

    @inline(__always)
    func write(_ at: inout UnsafeMutablePointer<UInt8>) {
        UnsafeMutableRawPointer(at).storeBytes(of: bits >> (8 * Self.nibble(Self.skipped, code)), as: UInt32.self)
        at += length
    }

    @inline(__always)
    var length: Int { Int(Self.nibble(Self.lengths, code)) }

    @inline(__always)
    static func read(_ code: UInt8, from before: Float, _ at: inout UnsafePointer<UInt8>) -> Float {
        let length = nibble(lengths, code)
        let word = UnsafeRawPointer(at).loadUnaligned(as: UInt32.self)
        at += Int(length)
        if code == Code.fewTenths || code == Code.manyTenths, let start = tenths(before) {
            let unused = 32 - 8 * Int32(length)
            return number(start &+ (Int32(bitPattern: word) &<< unused) &>> unused)
        }
        let changed = UInt32(truncatingIfNeeded: UInt64(word) & (1 << (8 * UInt64(length)) - 1))
        return Float(bitPattern: before.bitPattern ^ changed << (8 * nibble(skipped, code)))
    }
}

@inline(__always)
private func put<Word: BitwiseCopyable>(_ word: Word, _ at: inout UnsafeMutablePointer<UInt8>) {
    UnsafeMutableRawPointer(at).storeBytes(of: word, as: Word.self)
    at += MemoryLayout<Word>.size
}

@inline(__always)
private func take<Word: BitwiseCopyable>(_ type: Word.Type, _ at: inout UnsafePointer<UInt8>) -> Word {
    defer { at += MemoryLayout<Word>.size }
    return UnsafeRawPointer(at).loadUnaligned(as: Word.self)
}
