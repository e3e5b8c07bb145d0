import Store
import Testing

/// However a database was put back, it is noticed where it can be.
@Suite struct SeenStateTests {
    private let before = DatabaseState(system: "7", timeline: 2, mark: 100, auditNumber: 10, auditDigest: "a")

    private func reason(
        isFinal: Bool = false, digest: String? = "a", isRunning: Bool = false, _ change: (inout DatabaseState) -> Void
    ) -> String? {
        var now = before
        change(&now)
        return SeenState.restoration(
            SeenState(state: before, isFinal: isFinal), now, digest: digest, isRunning: isRunning)
    }

    @Test func whatGoesOnFromWhereItWasIsNone() {
        #expect(reason { _ in } == nil)
        #expect(reason { ($0.mark, $0.auditNumber, $0.auditDigest) = (101, 12, "c") } == nil)
        // A failover while the service ran, or after it had ended in order, that lost nothing.
        #expect(reason(isRunning: true) { ($0.timeline, $0.mark) = (3, 101) } == nil)
        #expect(reason(isFinal: true) { $0.timeline = 3 } == nil)
        // The first start on a new database.
        let fresh = DatabaseState(system: "7", timeline: 1, mark: 0, auditNumber: 0, auditDigest: "0")
        #expect(SeenState.restoration(nil, fresh, digest: nil) == nil)
        #expect(SeenState.restoration(SeenState(state: fresh, isFinal: true), fresh, digest: nil) == nil)
    }

    @Test func whateverIsOfAnEarlierTimeIsOne() {
        for isRunning in [false, true] {
            #expect(reason(isRunning: isRunning) { $0.system = "8" }?.contains("another cluster") == true)
            #expect(reason(isRunning: isRunning) { $0.timeline = 1 }?.contains("timeline") == true)
            #expect(
                reason(digest: nil, isRunning: isRunning) { $0.auditNumber = 9 }?.contains("ends at record 9") == true)
            #expect(reason(digest: "b", isRunning: isRunning) { $0.auditNumber = 11 }?.contains("record 10") == true)
            // Only samples and positions were stored since: the audit log does not tell.
            #expect(reason(isRunning: isRunning) { $0.mark = 99 }?.contains("earlier time") == true)
        }
        // Another timeline, and nobody knows what was stored last.
        #expect(reason { $0.timeline = 3 } != nil)
        // The data directory is new, the database is not.
        #expect(SeenState.restoration(nil, before, digest: nil) != nil)
    }
}
