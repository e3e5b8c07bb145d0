internal import Analysis
internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit

/// The analyser alone with all detectors, 1,000 feeders and 100,000 devices; beside it the rule for reverse power at
/// heads alone in Bytewax (`scripts/bench-detect`), on the same samples.
///
/// CPU is that of the thread that analyses. Both get a thousand samples at a time; latency is from there to the finding.
struct AnalyserBench {
    private let feeders = 1000
    private let devices = 100_000
    private let minutes = 15
    private let portion = 1000
    private let python: String?

    init(python: String?) { self.python = python }

    private struct Found: Hashable {
        var head: Int
        var onset: Int64
    }

    private struct Peer: Decodable {
        var version: String
        var seconds, cpu_seconds, p50_ms, p99_ms: Double
        var starts: [[Int64]]
    }

    func run() throws -> [[String]] {
        let network = BenchCommand.network(feeders: feeders, devices: devices)
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        let model = AnalysisModel(network: network, registry: registry, revision: 1)
        let samples = self.samples(registry)
        var analyser = Analyser(model: model, settings: AnalysisSettings())
        var found: Set<Found> = []
        var latencies: [Double] = []
        var advisories = 0
        let (began, cpu) = (SystemClock.monotonicNanoseconds, Self.threadCPU())
        for from in stride(from: 0, to: samples.count, by: portion) {
            let handed = SystemClock.monotonicNanoseconds
            let output = analyser.absorb(samples[from..<min(from + portion, samples.count)])
            let took = Double(SystemClock.monotonicNanoseconds - handed) / 1e6
            for report in output.reports where report.change == .start {
                advisories += 1
                guard report.facts.detector == "RPF_HEAD", let head = Int(report.facts.feeder.dropFirst()) else {
                    continue
                }
                found.insert(Found(head: head, onset: report.facts.onset.microseconds))
                latencies.append(took)
            }
        }
        let used = Self.threadCPU() - cpu
        let seconds = Double(SystemClock.monotonicNanoseconds - began) / 1e9
        latencies.sort()
        guard !latencies.isEmpty else { throw UsageError("the analyser found no reverse power") }
        let millions = Double(samples.count) / 1e6
        func short(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
        var rows = [
            [
                "backfeed analyser, all detectors", "\(Int(Double(samples.count) / seconds))", short(used / millions),
                short(latencies[latencies.count / 2]), short(latencies[latencies.count * 99 / 100]),
                "\(found.count) of \(feeders)", "\(advisories)",
            ]
        ]
        if let python {
            let limits = ReversePower.onThreshold(
                ratingVA: registry.devices[Int(registry.index["FH-F0"] ?? 0)].rating)
            let peer = try run(python, samples, registry, threshold: limits)
            let theirs = Set(peer.starts.map { Found(head: Int($0[0]), onset: $0[1]) })
            rows.append([
                "Bytewax \(peer.version), RPF_HEAD alone", "\(Int(Double(samples.count) / peer.seconds))",
                short(peer.cpu_seconds / millions), short(peer.p50_ms), short(peer.p99_ms),
                "\(theirs.count) of \(feeders), \(theirs.intersection(found).count) the same", "-",
            ])
        }
        return rows
    }

    /// Heads every 5 s that turn one after the other, PV every minute; all wander, as measured values do.
    private func samples(_ registry: DeviceRegistry) -> [Sample] {
        let start = Timestamp("2026-06-21T10:00:00Z") ?? .distantPast
        let heads = (0..<feeders).compactMap { registry.index["FH-F\($0)"] }
        let plants = (0..<devices).compactMap { registry.index["pv-\($0)"] }
        var list: [Sample] = []
        list.reserveCapacity(minutes * (feeders * 12 + devices))
        for second in stride(from: 0, to: minutes * 60, by: 5) {
            let time = start + Double(second)
            for (number, head) in heads.enumerated() {
                let turn = 120 + (number % 30) * 10
                let wander = Float((second * 7919 + number * 104_729) % 2003) * 10
                list.append(
                    Sample(
                        device: head, time: time, activePower: (second < turn ? 1_500_000 : -900_000) + wander,
                        reactivePower: 100_000, voltage: 20_200 + wander / 500))
            }
            // A twelfth of the plants each five seconds.
            let part = second / 5 % 12
            for number in stride(from: part, to: plants.count, by: 12) {
                let wander = Float((second * 31 + number * 17) % 997)
                list.append(
                    Sample(
                        device: plants[number], time: time, activePower: 5000 + wander, voltage: 20_300 + wander / 10))
            }
        }
        return list
    }

    private func run(
        _ python: String, _ samples: [Sample], _ registry: DeviceRegistry, threshold: Double
    ) throws -> Peer {
        let directory = FileManager.default.temporaryDirectory.appending(path: "backfeed-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let numbers = Dictionary(
            uniqueKeysWithValues: (0..<feeders).compactMap { number in
                registry.index["FH-F\(number)"].map { ($0, Int32(number)) }
            })
        var bytes: [UInt8] = []
        bytes.reserveCapacity(samples.count * 16)
        for sample in samples {
            withUnsafeBytes(of: (numbers[sample.device] ?? -1).littleEndian) { bytes += $0 }
            withUnsafeBytes(of: sample.time.microseconds.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: sample.activePower.bitPattern.littleEndian) { bytes += $0 }
        }
        let file = directory.appending(path: "samples")
        try Data(bytes).write(to: file)
        let output = directory.appending(path: "output").path
        let child = try ChildProcess(
            [python, "\(Resources.root)/scripts/bench-detect", file.path, "\(threshold)"], outputPath: output)
        child.wait()
        let text = try String(contentsOfFile: output, encoding: .utf8)
        guard let line = text.split(separator: "\n").last,
            let peer = try? JSONDecoder().decode(Peer.self, from: Data(line.utf8))
        else { throw UsageError("\(python): Bytewax did not run: \(text.suffix(400))") }
        return peer
    }

    private static func threadCPU() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
