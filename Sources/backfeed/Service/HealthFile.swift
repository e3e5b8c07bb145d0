internal import Foundation
internal import GridModel
internal import ServiceKit

/// Problems of the running service's parts, in a file of its data directory: for `backfeed doctor`, also while neither the
/// database nor the API answers.
final class HealthFile: Sendable {
    private let path: String
    private let written = Guarded<[Health.Problem]?>(nil)

    init(_ dataDirectory: String) { path = "\(dataDirectory)/health" }

    /// Only when something has changed.
    func write(_ problems: [Health.Problem]) {
        let isNews = written.withLock { written in
            defer { written = problems }
            return written != problems
        }
        guard isNews else { return }
        let lines = problems.map { "\($0.line) (since \(Timestamp(microseconds: $0.since)))\n" }
        // For people beside /readyz and /metrics: no reason to stop when the disk is full.
        try? lines.joined().write(toFile: path, atomically: true, encoding: .utf8)
    }

    func read() -> [String] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }
}
