import Foundation
import Messaging
import Testing

@Suite struct JournalTests {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("journal-\(UUID().uuidString)").path
    private let topic = Array("telemetry/1/a/json".utf8)

    private func payload(_ n: Int) -> [UInt8] { Array(repeating: UInt8(n % 250), count: 1 + n % 400) }

    private func fill(_ journal: Journal, _ numbers: ClosedRange<Int>) throws {
        for n in numbers { _ = try journal.append(topic: topic, payload: payload(n)) }
    }

    @Test func aKilledPublisherGoesOnWithTheSameEpochAndTheNextNumber() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let epoch: UInt64
        do {
            let journal = try Journal(directory: folder, segmentBytes: 2000)
            epoch = journal.epoch
            try fill(journal, 1...100)
            try journal.settle(through: 40)
        }
        let journal = try Journal(directory: folder, segmentBytes: 2000)
        #expect(journal.epoch == epoch)
        #expect(journal.last == 100)
        // Room is given back file by file, so a few more than needed may be kept.
        #expect((2...41).contains(journal.firstKept))
        for n in 41...100 {
            let frames = try #require(try journal.message(UInt64(n)))
            #expect(frames[0] == topic)
            #expect(frames[2] == payload(n))
        }
        let frames = try journal.append(topic: topic, payload: [1])
        #expect(frames[1].suffix(8) == [0, 0, 0, 0, 0, 0, 0, 101])
    }

    @Test func aJournalThatIsAllDurableStillKnowsItsNumber() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let journal = try Journal(directory: folder, segmentBytes: 2000)
            try fill(journal, 1...100)
            try journal.settle(through: 100)
        }
        let journal = try Journal(directory: folder, segmentBytes: 2000)
        #expect(journal.last == 100)
        let tooEarly = try journal.message(1)
        #expect(tooEarly == nil)
    }

    @Test func aFullJournalGivesUpItsOldestMessages() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let journal = try Journal(directory: folder, maximumBytes: 20_000, segmentBytes: 2000)
        try fill(journal, 1...500)
        #expect(journal.last == 500)
        #expect(journal.firstKept > 300)
        let newest = try journal.message(500)
        #expect(newest?[2] == payload(500))
        let oldest = try journal.message(journal.firstKept)
        #expect(oldest?[2] == payload(Int(journal.firstKept)))
    }
}
