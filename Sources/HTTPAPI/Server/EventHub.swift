internal import CMicroHTTPD
internal import ServiceKit

/// Frames for all clients of `/v1/events`: one shared ring, a cursor a client. A client a whole ring behind is cut off
/// and comes back with `Last-Event-ID`. Of what only the newest counts, the ring holds only the newest: the list of a few hundred
/// feeders every second would otherwise fill it with gigabytes.
public final class EventHub: Sendable {
    static let ringSize = 4096
    /// Bytes of frames that are kept for those who are behind.
    static let ringBytes = 16 << 20
    /// From so many bytes on a frame is not copied together with others.
    private static let large = 4096

    fileprivate struct State: Sendable {
        var ring: [EventFrame] = []
        /// Number of the ring's first frame, counted from the start of the process.
        var first = 0
        /// Of all frames in the ring.
        var bytes = 0
        /// Number of the newest frame of each event that is not replayed.
        var newest: [String: Int] = [:]
        var waiting: [Connection] = []
        var isClosed = false
        /// By digest of who reads: how many streams. The empty digest: from before there were accounts.
        var clients: [String: Int] = [:]
        /// Digests that are no longer valid, until their streams are gone.
        var barred: Set<String> = []
    }

    /// Bytes of frames that are kept for those who are behind.
    public var keptBytes: Int { state.withLock { $0.bytes } }

    /// `MHD_Connection *`. Only suspended and resumed, which libmicrohttpd allows from any thread.
    struct Connection: @unchecked Sendable {
        let handle: OpaquePointer
    }

    private let state = Guarded(State())

    public init() {}

    public var clientCount: Int { state.withLock { $0.clients.values.reduce(0, +) } }

    /// Who reads now.
    public var digests: Set<String> { state.withLock { Set($0.clients.keys) } }

    /// Ends the streams of those who may no longer read, at the next frame: a heartbeat comes every second.
    public func end(_ digests: Set<String>) {
        state.withLock { $0.barred.formUnion(digests.intersection($0.clients.keys)) }
    }

    public func publish(_ frames: [EventFrame]) {
        guard !frames.isEmpty else { return }
        let waiting = state.withLock { state -> [Connection] in
            for frame in frames { state.add(frame) }
            state.shorten()
            defer { state.waiting = [] }
            return state.waiting
        }
        for connection in waiting { MHD_resume_connection(connection.handle) }
    }

    /// Ends every stream; call before the daemon stops, because a suspended connection would hang it.
    func close() {
        let waiting = state.withLock { state -> [Connection] in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for connection in waiting { MHD_resume_connection(connection.handle) }
    }

    /// The oldest place that can still be read, and the place where a client joins now.
    func join(_ digest: String) -> (oldest: Int, now: Int) {
        state.withLock { state in
            state.clients[digest, default: 0] += 1
            return (state.first, state.first + state.ring.count)
        }
    }

    func leave(_ digest: String) {
        state.withLock { state in
            state.clients[digest, default: 1] -= 1
            guard state.clients[digest] == 0 else { return }
            state.clients[digest] = nil
            state.barred.remove(digest)
        }
    }

    enum Next: Sendable { case bytes([UInt8], cursor: Int), suspended, ended }

    /// What a client gets next; suspends its connection, under the lock, when there is nothing.
    func next(
        cursor: Int, joined: Int, after sequence: Int64, digest: String, connection: Connection
    ) -> Next {
        state.withLock { state in
            if state.isClosed || cursor < state.first || state.barred.contains(digest) { return .ended }
            var bytes: [UInt8] = []
            var place = cursor - state.first
            while place < state.ring.count, bytes.count < 65_536 {
                let frame = state.ring[place]
                place += 1
                // A newer one has taken its place.
                if frame.bytes.isEmpty { continue }
                // Already sent from the store.
                if frame.sequence > 0, frame.sequence <= sequence { continue }
                // From before it joined, a client is owed events, not heartbeats.
                if frame.sequence == 0, state.first + place <= joined { continue }
                // A large frame goes alone, and stays one in memory however many clients are being sent it.
                if frame.bytes.count >= Self.large {
                    if bytes.isEmpty { return .bytes(frame.bytes, cursor: state.first + place) }
                    place -= 1
                    break
                }
                bytes += frame.bytes
            }
            if !bytes.isEmpty { return .bytes(bytes, cursor: state.first + place) }
            // What was skipped is skipped again next time, at no harm.
            state.waiting.append(connection)
            MHD_suspend_connection(connection.handle)
            return .suspended
        }
    }
}

extension EventHub.State {
    fileprivate mutating func add(_ frame: EventFrame) {
        if frame.sequence == 0 {
            if let old = newest[frame.event], old >= first {
                bytes -= ring[old - first].bytes.count
                ring[old - first].bytes = []
            }
            newest[frame.event] = first + ring.count
        }
        bytes += frame.bytes.count
        ring.append(frame)
    }

    /// In blocks, so that a frame costs the same however long the ring is.
    fileprivate mutating func shorten() {
        guard ring.count > EventHub.ringSize * 2 || bytes > EventHub.ringBytes else { return }
        var surplus = max(0, ring.count - EventHub.ringSize)
        var kept = bytes - ring[..<surplus].reduce(0) { $0 + $1.bytes.count }
        while kept > EventHub.ringBytes / 2, surplus < ring.count - 1 {
            kept -= ring[surplus].bytes.count
            surplus += 1
        }
        ring.removeFirst(surplus)
        first += surplus
        bytes = kept
    }
}
