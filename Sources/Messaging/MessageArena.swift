internal import CTelemetry

/// Memory for one unpacked Protobuf message, given back as a whole: protobuf-c asks for a piece a name and a column,
/// and asking the system for each costs more than reading them.
final class MessageArena {
    /// As protobuf-c wants it; valid as long as the arena.
    let allocator: UnsafeMutablePointer<ProtobufCAllocator>
    private var chunks: [(base: UnsafeMutableRawPointer, size: Int)] = []
    private var used = 0
    private static let chunk = 1 << 18

    init() {
        allocator = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { data, size in
                    data.map { Unmanaged<MessageArena>.fromOpaque($0).takeUnretainedValue().take(size) }
                },
                // Given back by ``reset()``.
                free: { _, _ in }, allocator_data: nil))
        allocator.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        for chunk in chunks { chunk.base.deallocate() }
        allocator.deallocate()
    }

    /// Everything handed out is gone. What one large message needed is not kept.
    func reset() {
        for chunk in chunks.dropFirst() { chunk.base.deallocate() }
        chunks.removeLast(max(0, chunks.count - 1))
        if let first = chunks.first, first.size > Self.chunk {
            first.base.deallocate()
            chunks.removeAll()
        }
        used = 0
    }

    private func take(_ size: Int) -> UnsafeMutableRawPointer {
        let room = (size + 15) & ~15
        if let last = chunks.last, used + room <= last.size {
            used += room
            return last.base + (used - room)
        }
        let larger = max(Self.chunk, room)
        chunks.append((.allocate(byteCount: larger, alignment: 16), larger))
        used = room
        return chunks[chunks.count - 1].base
    }
}
