internal import Glibc
public import GridModel

/// Device names to numbers, straight from the bytes of a message: open addressing, no `String` a sample.
///
/// Made once and never changed, hence `@unchecked Sendable`.
public final class DeviceTable: @unchecked Sendable {
    /// What a slot needs to tell names apart without following a pointer to most of the wrong ones.
    private struct Slot {
        var hash: UInt32
        /// -1: empty.
        var number: Int32
        var start: Int32
        var length: Int32
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let names: UnsafeMutablePointer<UInt8>
    private let mask: Int

    public init(_ registry: DeviceRegistry) {
        var size = 16
        while size < registry.devices.count * 2 { size *= 2 }
        mask = size - 1
        slots = .allocate(capacity: size)
        slots.initialize(repeating: Slot(hash: 0, number: -1, start: 0, length: 0), count: size)
        names = .allocate(capacity: max(1, registry.devices.reduce(0) { $0 + $1.name.utf8.count }))
        var end = 0
        for (number, device) in registry.devices.enumerated() {
            let start = end
            for byte in device.name.utf8 {
                names[end] = byte
                end += 1
            }
            let hash = Self.hash(UnsafeRawPointer(names + start), end - start)
            var place = Int(truncatingIfNeeded: hash) & mask
            while slots[place].number >= 0 { place = (place + 1) & mask }
            slots[place] = Slot(
                hash: Self.tag(hash), number: Int32(number), start: Int32(start), length: Int32(end - start))
        }
    }

    deinit {
        slots.deallocate()
        names.deallocate()
    }

    /// Eight bytes at a time; the length is part of it, so that a padded end is not another name's.
    @inline(__always)
    static func hash(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
        var value = UInt64(truncatingIfNeeded: count) &* 0x9e37_79b9_7f4a_7c15
        var at = 0
        func mix(_ word: UInt64) {
            let product = (value ^ word).multipliedFullWidth(by: 0xa076_1d64_78bd_642f)
            value = product.high ^ product.low
        }
        while count - at >= 8 {
            mix(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        // What is left, in two pieces that may overlap: names are short, and a step for each byte is most of their hash.
        let left = count - at
        if left >= 4 {
            let first = UInt64(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            mix(first << 32 | UInt64(bytes.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)))
        } else if left > 0 {
            let first = UInt64(bytes.load(fromByteOffset: at, as: UInt8.self))
            let middle = UInt64(bytes.load(fromByteOffset: at + left / 2, as: UInt8.self))
            mix(first << 16 | middle << 8 | UInt64(bytes.load(fromByteOffset: count - 1, as: UInt8.self)))
        }
        return value
    }

    /// The half of a hash that does not choose the slot.
    @inline(__always)
    private static func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

    /// The device's number, or `nil` when no device has this name.
    public func number(of name: UnsafeRawBufferPointer) -> Int32? {
        guard let base = name.baseAddress else { return nil }
        let number = find(Self.hash(base, name.count), base, name.count)
        return number < 0 ? nil : number
    }

    /// - Returns: -1 when no device has this name.
    @inline(__always)
    func find(_ hash: UInt64, _ name: UnsafeRawPointer, _ count: Int) -> Int32 {
        let tag = Self.tag(hash)
        var place = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots[place]
            guard slot.number >= 0 else { return -1 }
            if slot.hash == tag, slot.length == count, memcmp(names + Int(slot.start), name, count) == 0 {
                return slot.number
            }
            place = (place + 1) & mask
        }
    }
}
