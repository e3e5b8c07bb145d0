internal import Foundation
internal import Glibc
internal import ServiceKit

/// What a user would write instead: `scripts/bench-peers`, in Python, fed by the same publisher, into the same table.
struct PythonPeers {
    let python: String
    let conninfo: String
    let directory: String

    struct Figures {
        var rowsPerSecond, cpuSecondsPerMillion: Double
    }

    /// - Parameter method: `copy` or `executemany`.
    func run(_ method: String, _ load: LoadPublisher.Load) throws -> Figures {
        let output = "\(directory)/peer-\(method)"
        let messages = (load.rows + load.shape.samplesPerMessage - 1) / load.shape.samplesPerMessage
        let peer = try ChildProcess(
            [python, "\(Resources.root)/scripts/bench-peers", method, conninfo, "\(messages)"], outputPath: output,
            endsWithUs: true)
        let endpoint = try line(0, of: output, peer)
        let report = "\(output).report"
        let publisher = try LoadPublisher.spawn(load, to: endpoint, report: report)
        publisher.wait()
        let fields = try line(1, of: output, peer).split(separator: " ").compactMap { Double($0) }
        peer.wait()
        guard fields.count == 2 else { throw UsageError("\(output): expected \"MICROSECONDS CPU\"") }
        let began = try LoadPublisher.Report(report).moments[0]
        return Figures(
            rowsPerSecond: Double(load.rows) / ((fields[0] - Double(began)) / 1e6),
            cpuSecondsPerMillion: fields[1] / Double(load.rows) * 1e6)
    }

    private func line(_ number: Int, of path: String, _ peer: ChildProcess) throws -> String {
        for _ in 0..<3000 {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            // The last one may not be written out yet.
            if lines.count > number + 1 { return String(lines[number]) }
            if let code = peer.poll() { throw UsageError("\(python) ended with \(code): \(text)") }
            SystemClock.pause(milliseconds: 100)
        }
        peer.send(signal: SIGKILL)
        throw UsageError("\(path): the peer did not end within 300 s")
    }
}
