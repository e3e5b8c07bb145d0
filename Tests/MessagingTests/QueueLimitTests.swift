import Messaging
import Testing

@Suite struct QueueLimitTests {
    @Test func smallMessagesHaveTheWholeQueue() {
        var limit = QueueLimit(messages: 2000, bytes: 32 << 20)
        #expect(limit.observe(bytes: 300) == nil)
        #expect(limit.tick(senders: 11) == nil)
    }

    @Test func aLargeMessageShortensItAtOnceAndIsForgottenLater() {
        var limit = QueueLimit(messages: 2000, bytes: 32 << 20)
        #expect(limit.observe(bytes: 4 << 20) == 8)
        #expect(limit.observe(bytes: 300) == nil)
        #expect(limit.observe(bytes: 8 << 20) == 4)
        for _ in 0..<30 { #expect(limit.tick(senders: 1) == nil) }
        #expect(limit.tick(senders: 1) == 2000)
    }

    @Test func sendersShareTheBytes() {
        var limit = QueueLimit(messages: 2000, bytes: 32 << 20)
        #expect(limit.observe(bytes: 1 << 17) == 256)
        #expect(limit.tick(senders: 8) == 32)
        // Never so short that each message would wait for the one before.
        #expect(limit.tick(senders: 1000) == 4)
    }
}
