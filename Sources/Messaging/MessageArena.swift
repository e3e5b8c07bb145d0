internal import CTelemetry

/// Memory for one unpacked Protobuf message, given back as a whole: protobuf-c asks for a piece a name and a column,
/// and asking the system for each costs more than reading them.
final class MessageArena {
    /// As protobuf-c wants it; valid as long as the arena.
    let allocator: UnsafeMutablePointer<ProtobufCAllocator>
    private var chunks: [(base: UnsafeMutableRawPointer, size: Int)] = []
    // One thread owns it, and this is asked for every name of every message: checks at run time would be most of it.
    @exclusivity(unchecked) private var next: UnsafeMutableRawPointer?
    @exclusivity(unchecked) private var room = 0
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
        next = chunks.first?.base
        room = chunks.first?.size ?? 0
    }

    private func take(_ size: Int) -> UnsafeMutableRawPointer {
        let needed = (size + 15) & ~15
        if let place = next, needed <= room {
            next = place + needed
            room -= needed
            return place
        }
        let size = max(Self.chunk, needed)
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        chunks.append((base, size))
        next = base + needed
        room = size - needed
        return base
    }
}
