/// How many messages may wait in libzmq for each sender, so that their bytes stay bounded.
///
/// libzmq counts messages, and a queue that is long enough for small ones would hold gigabytes of large ones. A large
/// message shortens the queues at once; they grow again when none has come for some time.
public struct QueueLimit: Sendable {
    private let messages: Int
    private let bytes: Int
    private var senders = 1
    /// The largest message of this second, and of the seconds before.
    private var largest = 1
    private var recent: [Int] = []
    private var length: Int

    /// Seconds that a large message is remembered.
    private static let memory = 30
    /// Even the largest messages are not taken one by one.
    private static let shortest = 4

    public init(messages: Int, bytes: Int) {
        (self.messages, self.bytes) = (messages, bytes)
        length = messages
    }

    private func length(for size: Int) -> Int {
        min(messages, max(Self.shortest, bytes / max(1, size) / max(1, senders)))
    }

    /// The new length, when this message makes it shorter.
    public mutating func observe(bytes size: Int) -> Int? {
        guard size > largest else { return nil }
        largest = size
        return change(to: min(length, length(for: size)))
    }

    /// Once a second: the new length, when it changes.
    public mutating func tick(senders count: Int) -> Int? {
        senders = count
        recent.append(largest)
        if recent.count > Self.memory { recent.removeFirst() }
        largest = 1
        return change(to: length(for: recent.max() ?? 1))
    }

    private mutating func change(to new: Int) -> Int? {
        guard new != length else { return nil }
        length = new
        return new
    }
}
