public import GridModel

/// Device names to numbers, straight from the bytes of a message: open addressing over FNV-1a, no `String` a sample.
public struct DeviceTable: Sendable {
    private let slots: [Int32]
    private let mask: Int
    private let names: [[UInt8]]

    public init(_ registry: DeviceRegistry) {
        names = registry.devices.map { Array($0.name.utf8) }
        var size = 16
        while size < names.count * 2 { size *= 2 }
        mask = size - 1
        var slots = [Int32](repeating: -1, count: size)
        for (number, name) in names.enumerated() {
            var place = name.withUnsafeBytes { Self.hash($0) } & (size - 1)
            while slots[place] >= 0 { place = (place + 1) & (size - 1) }
            slots[place] = Int32(number)
        }
        self.slots = slots
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: value ^ (value >> 32))
    }

    /// The device's number, or `nil` when no device has this name.
    public func number(of name: UnsafeRawBufferPointer) -> Int32? {
        var place = Self.hash(name) & mask
        while slots[place] >= 0 {
            let known = names[Int(slots[place])]
            if known.count == name.count, known.withUnsafeBytes({ memoryEqual($0, name) }) { return slots[place] }
            place = (place + 1) & mask
        }
        return nil
    }

    private func memoryEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        for place in 0..<a.count where a[place] != b[place] { return false }
        return true
    }
}
