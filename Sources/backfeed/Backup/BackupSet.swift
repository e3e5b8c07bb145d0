internal import Foundation
internal import GridModel
internal import ServiceKit

/// Name of a segment of WAL, 16 MB each: 8 hexadecimal digits each of timeline, log and segment.
struct WALName: Hashable, Comparable, CustomStringConvertible {
    var timeline, log, segment: UInt32

    /// `nil`: it is something else, as a history file.
    init?(_ text: some StringProtocol) {
        let digits = Array(text)
        guard digits.count == 24, let timeline = UInt32(String(digits[..<8]), radix: 16),
            let log = UInt32(String(digits[8..<16]), radix: 16), let segment = UInt32(String(digits[16...]), radix: 16),
            segment < 256
        else { return nil }
        (self.timeline, self.log, self.segment) = (timeline, log, segment)
    }

    var next: Self {
        var next = self
        if segment < 255 { next.segment += 1 } else { (next.log, next.segment) = (log &+ 1, 0) }
        return next
    }

    static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.timeline, lhs.log, lhs.segment) < (rhs.timeline, rhs.log, rhs.segment)
    }

    var description: String {
        [timeline, log, segment].map { number in
            let text = String(number, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - text.count) + text
        }.joined()
    }
}

/// One base backup, as `backup.json` in its folder says.
struct BaseBackup: Codable {
    var name: String
    /// Version of the program that made it.
    var program: String
    var startedAt, endedAt: Timestamp
    /// First segment of WAL that it needs.
    var firstWAL: String
    var systemIdentifier: String
    /// Audit records that it has at least.
    var auditNumber: Int64
    /// The files kept in `files` beside the database: their names there, and where they came from.
    var files: [String: String]
    /// Files that settings name and that are not in the backup: certificates of an authority, their keys.
    var notIncluded: [String]
}

/// The folder `backup.directory`: base backups in `base`, archived WAL in `wal`.
struct BackupSet {
    let directory: String

    var wal: String { "\(directory)/wal" }
    func folder(_ base: String) -> String { "\(directory)/base/\(base)" }
    private var tested: String { "\(directory)/tested.json" }

    /// The oldest first. What is not finished is not there.
    func bases() -> [BaseBackup] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/base")) ?? []
        return names.sorted().compactMap { name in
            guard let data = FileManager.default.contents(atPath: "\(folder(name))/backup.json") else { return nil }
            return try? Self.decoder.decode(BaseBackup.self, from: data)
        }
    }

    func write(_ base: BaseBackup, in folder: String) throws {
        try Self.encoder.encode(base).write(to: URL(fileURLWithPath: "\(folder)/backup.json"), options: .atomic)
    }

    private func segments() -> [WALName] {
        ((try? FileManager.default.contentsOfDirectory(atPath: wal)) ?? []).compactMap { name in
            name.hasSuffix(".gz") ? WALName(name.dropLast(3)) : nil
        }.sorted()
    }

    /// The first segment that is missing though later ones of its timeline are there; `nil`: none.
    func gap(from first: WALName) -> WALName? {
        let there = segments().filter { $0.timeline == first.timeline && $0 >= first }
        guard let last = there.last else { return first }
        let known = Set(there)
        var next = first
        while next < last {
            guard known.contains(next) else { return next }
            next = next.next
        }
        return nil
    }

    /// Removes base backups that ended before `limit` and WAL that no kept one needs. The newest stays.
    ///
    /// - Returns: names of the base backups that were removed.
    func prune(before limit: Timestamp) throws -> [String] {
        let all = bases()
        let gone = all.dropLast().filter { $0.endedAt < limit }.map(\.name)
        for name in gone { try FileManager.default.removeItem(atPath: folder(name)) }
        guard let oldest = all.first(where: { !gone.contains($0.name) }).flatMap({ WALName($0.firstWAL) }) else {
            return gone
        }
        for segment in segments() where segment < oldest && segment.timeline <= oldest.timeline {
            try FileManager.default.removeItem(atPath: "\(wal)/\(segment).gz")
        }
        return gone
    }

    // MARK: Tests

    struct Tested: Codable {
        var at: Timestamp
        var base: String
        var auditRecords, samples: Int64
    }

    func write(_ test: Tested) throws {
        try Self.encoder.encode(test).write(to: URL(fileURLWithPath: tested), options: .atomic)
    }

    /// `nil`: no restore was ever tried.
    func lastTest() -> Tested? {
        FileManager.default.contents(atPath: tested).flatMap { try? Self.decoder.decode(Tested.self, from: $0) }
    }

    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()
    private static let decoder = JSONDecoder()
}
