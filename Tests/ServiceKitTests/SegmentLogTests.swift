import Foundation
import ServiceKit
import Testing

@Suite struct SegmentLogTests {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("segments-\(UUID().uuidString)").path

    private func open(maximum: Int = .max, sync: SegmentLog.Sync = .never) throws -> SegmentLog {
        try SegmentLog(directory: folder, segmentBytes: 1000, maximumBytes: maximum, sync: sync)
    }

    private func append(_ bytes: [UInt8], to log: SegmentLog) throws -> SegmentLog.Position? {
        try bytes.withUnsafeBytes { try log.append([$0]) }
    }

    private func all(_ log: SegmentLog) throws -> [[UInt8]] {
        var (list, record, place): ([[UInt8]], [UInt8], SegmentLog.Position) = ([], [], log.start)
        while let next = try log.read(at: place, into: &record) {
            list.append(record)
            place = next
        }
        return list
    }

    private func record(_ n: Int) -> [UInt8] { Array(repeating: UInt8(n % 251), count: n % 300) }

    @Test(arguments: [SegmentLog.Sync.always, .every(milliseconds: 1), .never])
    func recordsComeBackInOrderAlsoAfterOpeningAgain(sync: SegmentLog.Sync) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let wanted = (0..<100).map(record)
        do {
            let log = try open(sync: sync)
            for item in wanted { #expect(try append(item, to: log) != nil) }
            #expect(try all(log) == wanted)
        }
        let log = try open()
        #expect(log.repairs.isEmpty)
        #expect(try all(log) == wanted)
    }

    @Test func aTornEndIsCutWhereverItIsTorn() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let wanted = (1..<4).map { record($0 * 50) }
        do {
            let log = try open()
            for item in wanted { _ = try append(item, to: log) }
        }
        let path = "\(folder)/0000000001.segment"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for cut in stride(from: whole.count - 1, through: 0, by: -1) {
            try whole.prefix(cut).write(to: URL(fileURLWithPath: path))
            let log = try open()
            let back = try all(log)
            #expect(back == Array(wanted.prefix(back.count)))
            // And it goes on from there.
            _ = try append([7], to: log)
            #expect(try all(log) == back + [[7]])
        }
    }

    @Test func aFlippedBitIsFound() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let log = try open()
            for n in 1..<4 { _ = try append(record(n * 50), to: log) }
        }
        let url = URL(fileURLWithPath: "\(folder)/0000000001.segment")
        let whole = try Data(contentsOf: url)
        for place in stride(from: 0, to: whole.count, by: 7) {
            var bytes = whole
            bytes[place] ^= 0x10
            let valid = Array(bytes).withUnsafeBytes { SegmentLog.validBytes($0) }
            #expect(valid <= place)
        }
    }

    @Test func roomIsGivenBackAndTheLimitHolds() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = try open(maximum: 5000)
        var places: [SegmentLog.Position] = []
        while let place = try append(record(199), to: log) { places.append(place) }
        #expect(log.bytes <= 5000)
        // A last record that has nowhere else to go.
        let extra = try record(250).withUnsafeBytes { try log.append([$0], beyondLimit: true) }
        #expect(extra != nil && log.bytes > 5000)
        #expect(try all(log).last == record(250))
        #expect(places.count > 20)
        try log.release(before: places[10])
        #expect(log.bytes < 4500)
        #expect(try append(record(199), to: log) != nil)
        try log.release(before: log.end)
        #expect(log.bytes <= 8)
        #expect(try all(log).isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
        _ = try append([1, 2], to: log)
        #expect(try all(log) == [[1, 2]])
    }
}
