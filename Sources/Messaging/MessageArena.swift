internal import CTelemetry

/// Memory for one unpacked Protobuf message, given back as a whole: protobuf-c asks for a piece a name and a column,
/// and asking the system for each costs more than reading them.
final class MessageArena {
    /// As protobuf-c wants it; valid as long as the arena.
    let allocator: UnsafeMutablePointer<ProtobufCAllocator>
    private var chunks: [(base: UnsafeMutableRawPointer, size: Int)] = []
    private let free: UnsafeMutablePointer<Free>
    private static let chunk = 1 << 18

    /// What of the newest chunk is not handed out. Apart from the object: protobuf-c asks for every name of every
    /// message, and to count who holds the object would be most of it.
    private struct Free {
        var next: UnsafeMutableRawPointer?
        var room = 0
        let arena: Unmanaged<MessageArena>

        mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
            guard let place = next, size <= room else { return nil }
            next = place + size
            room -= size
            return place
        }
    }

    init() {
        allocator = .allocate(capacity: 1)
        free = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { data, size in
                    guard let free = data?.assumingMemoryBound(to: Free.self) else { return nil }
                    let needed = (size + 15) & ~15
                    return free.pointee.take(needed) ?? free.pointee.arena.takeUnretainedValue().grow(needed)
                },
                // Given back by ``reset()``.
                free: { _, _ in }, allocator_data: free))
        free.initialize(to: Free(arena: Unmanaged.passUnretained(self)))
    }

    deinit {
        for chunk in chunks { chunk.base.deallocate() }
        allocator.deallocate()
        free.deallocate()
    }

    /// Everything handed out is gone. What one large message needed is not kept.
    func reset() {
        for chunk in chunks.dropFirst() { chunk.base.deallocate() }
        chunks.removeLast(max(0, chunks.count - 1))
        if let first = chunks.first, first.size > Self.chunk {
            first.base.deallocate()
            chunks.removeAll()
        }
        free.pointee.next = chunks.first?.base
        free.pointee.room = chunks.first?.size ?? 0
    }

    private func grow(_ needed: Int) -> UnsafeMutableRawPointer? {
        let size = max(Self.chunk, needed)
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        chunks.append((base, size))
        free.pointee.next = base
        free.pointee.room = size
        return free.pointee.take(needed)
    }
}
