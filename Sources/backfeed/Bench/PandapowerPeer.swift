internal import Foundation
internal import GridModel
internal import PowerFlow
internal import ServiceKit

/// The same load flows in pandapower, by `scripts/bench-powerflow`: beside ours in one run, and a second opinion on them.
struct PandapowerPeer {
    let python: String

    struct Figures: Decodable {
        var version: String
        var numba: Bool
        /// By state: milliseconds, and the lowest voltage, pu.
        var ms, lowest: [Double]
    }

    private struct Case: Encodable {
        struct Line: Encodable {
            var ends: [Int]
            var r, x, c: Double
        }
        var nodes: Int
        var kv: Double
        var lines: [Line]
        var ties: [[Int]]
        var watts: [Double]
        var states: [[Int]]
    }

    /// - Parameter states: differ in switches on lines alone.
    func run(_ network: Network, _ states: [FlowState]) throws -> Figures {
        let nodes = Dictionary(network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let lines = Dictionary(network.lines.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        func node(_ id: String) -> Int { nodes[id] ?? 0 }
        let directory = FileManager.default.temporaryDirectory.appending(path: "backfeed-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "case.json")
        let item = Case(
            nodes: network.nodes.count, kv: network.nodes[0].nominalKilovolts,
            lines: network.lines.compactMap { line in
                guard let r = line.resistance, let x = line.reactance, let c = line.capacitance else { return nil }
                return .init(ends: [node(line.from), node(line.to)], r: r, x: x, c: c)
            }, ties: network.switches.filter { $0.connects == .bus }.map { [node($0.node), node($0.element)] },
            watts: states[0].watts,
            states: states.map { state in
                network.switches.enumerated().compactMap { number, item in
                    item.connects == .line && !state.isClosed[number] ? lines[item.element] : nil
                }
            })
        try JSONEncoder().encode(item).write(to: file)
        let output = directory.appending(path: "answer").path
        let peer = try ChildProcess(
            [python, "\(Resources.root)/scripts/bench-powerflow", file.path], outputPath: output)
        let code = peer.wait()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard let line = text.split(separator: "\n").last,
            let found = try? JSONDecoder().decode(Figures.self, from: Data(line.utf8))
        else { throw UsageError("\(python) scripts/bench-powerflow ended with \(code): \(text.suffix(500))") }
        return found
    }
}
