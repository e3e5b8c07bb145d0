/// Who looks at which feeders.
public struct Desk: Sendable, Equatable {
    public var name: String
    /// `nil`: all of them.
    public var feeders: Set<String>?

    public init(name: String, feeders: Set<String>?) {
        self.name = name
        self.feeders = feeders
    }

    /// - Parameter feeder: or bank: one that no desk names belongs to every desk.
    public func covers(_ feeder: String, among desks: [Desk]) -> Bool {
        guard let feeders else { return true }
        return feeders.contains(feeder) || !desks.contains { $0.feeders?.contains(feeder) ?? true }
    }

    /// Whether somebody who answers for some desks answers for a feeder. A desk that is no longer set up covers nothing.
    ///
    /// - Parameter mine: names; empty: every desk.
    public static func covers(_ mine: [String], _ feeder: String, among desks: [Desk]) -> Bool {
        mine.isEmpty || desks.contains { mine.contains($0.name) && $0.covers(feeder, among: desks) }
    }

    /// From `north: F01 F02; south: F03`; empty: one desk for all.
    ///
    /// - Returns: `nil`: it cannot be read.
    public static func parse(_ text: String) -> [Desk]? {
        let parts = text.split(separator: ";").map { $0.split(separator: ":", maxSplits: 1) }
        guard !parts.isEmpty else { return [Desk(name: "all", feeders: nil)] }
        var desks: [Desk] = []
        for part in parts {
            let words = part.map { $0.split { $0 == " " || $0 == "," }.map(String.init) }
            guard words.count == 2, words[0].count == 1, Identifier.isValid(words[0][0]), !words[1].isEmpty,
                words[1].allSatisfy(Identifier.isValid), !desks.contains(where: { $0.name == words[0][0] })
            else { return nil }
            desks.append(Desk(name: words[0][0], feeders: Set(words[1])))
        }
        return desks
    }
}
