internal import Analysis
internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

/// Messages from socket to table, against raw COPY BINARY of the same rows: interleaved pairs in one run, so that a
/// noisy machine troubles both alike.
struct IngestBench {
    private let settings: Settings
    private let conninfo: String
    private let rows: Int
    private let pairs: Int
    private let devices: Int
    private let batch = 20_000

    init(_ invocation: Invocation, _ conninfo: String) throws {
        settings = invocation.settings
        self.conninfo = conninfo
        rows = Int(try invocation.arguments.number("rows", in: 20_000...50_000_000) ?? 400_000) / 20_000 * 20_000
        pairs = Int(try invocation.arguments.number("pairs", in: 1...101) ?? 5)
        devices = Int(try invocation.arguments.number("devices", in: 10...1_000_000) ?? 2000)
    }

    func run() throws -> [(String, String)] {
        _ = try NetworkStore.importRevision(BenchCommand.network(feeders: 20, devices: devices), by: "bench", conninfo)
        guard let stored = try NetworkStore.load(conninfo) else { throw UsageError("the bench network is not there") }
        let start = Timestamp(microseconds: SystemClock.nowMicroseconds / 86_400_000_000 * 86_400_000_000)
        var figures: [(String, String)] = [("rows_a_run", "\(rows)"), ("pairs", "\(pairs)"), ("devices", "\(devices)")]
        for encoding in TelemetryFrame.Encoding.allCases.reversed() {
            let messages = makeMessages(encoding, start)
            var (ratios, rates, raws, cpus): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
            var memory: [Int] = []
            for pair in 0..<pairs {
                let cpuBefore = SystemClock.processCPUSeconds
                let seconds = try through(messages, encoding, stored, epoch: UInt64(SystemClock.nowMicroseconds))
                cpus.append((SystemClock.processCPUSeconds - cpuBefore) / Double(rows) * 1e6)
                memory.append(SystemClock.residentBytes)
                let raw = try copyRaw(stored, start)
                ratios.append(raw / seconds)
                rates.append(Double(rows) / seconds)
                raws.append(Double(rows) / raw)
                complain(
                    "\(encoding.rawValue) pair \(pair + 1): \(Int(rates[pair])) rows/s, raw COPY \(Int(raws[pair])) rows/s, ratio \(round3(ratios[pair]))"
                )
            }
            let name = encoding.rawValue
            figures += [
                ("\(name)_ratio_to_raw_copy_median", "\(round3(median(ratios)))"),
                ("\(name)_ratio_range", "\(round3(ratios.min() ?? 0))-\(round3(ratios.max() ?? 0))"),
                ("\(name)_rows_per_s_median", "\(Int(median(rates)))"),
                ("\(name)_raw_copy_rows_per_s_median", "\(Int(median(raws)))"),
                ("\(name)_cpu_s_per_million_with_publisher", "\(round3(median(cpus)))"),
                ("\(name)_resident_mb_first_run", "\(memory[0] >> 20)"),
                ("\(name)_resident_mb_last_run", "\(memory[memory.count - 1] >> 20)"),
            ]
        }
        return figures
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    private func round3(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }

    private func makeMessages(_ encoding: TelemetryFrame.Encoding, _ start: Timestamp) -> [[UInt8]] {
        stride(from: 0, to: rows, by: 200).map { from in
            let rows = (from..<from + 200).map { row($0, start) }
            return TelemetryEncoder.encode(rows, encoding)
        }
    }

    private func row(_ n: Int, _ start: Timestamp) -> TelemetryEncoder.Row {
        let voltage: Double = 230 + Double(n % 13) / 10
        return TelemetryEncoder.Row(
            device: "pv-\(n % devices)", time: start + Double(n / devices), activePower: Double(n % 9973),
            reactivePower: Double(n % 997), voltage: voltage)
    }

    /// Seconds from the first send to the commit of the last row.
    private func through(
        _ messages: [[UInt8]], _ encoding: TelemetryFrame.Encoding, _ stored: StoredNetwork, epoch: UInt64
    ) throws -> Double {
        let context = try MessagingContext()
        let metrics = Metrics()
        let output = BoundedQueue<AnalyserInput>(capacity: 64)
        var limits = try Ingest.Limits(settings, dataDirectory: "")
        limits.controlBind = "tcp://127.0.0.1:*"
        limits.spoolDirectory = ""
        (limits.messagesPerSecond, limits.bytesPerSecond) = (0, 0)
        limits.bind = ["tcp://127.0.0.1:*"]
        limits.connect = []
        let ingest = Ingest(
            limits: limits, analysis: AnalysisSettings(), stored: stored, conninfo: conninfo, context: context,
            metrics: metrics,
            live: LiveState(stored), output: output)
        let endpoint = try ingest.start().telemetry
        let finished = Gate()
        let expected = rows
        let sink = WorkerThread(name: "bench.sink") {
            var seen = 0
            while case .element(let input) = output.take() {
                guard case .batch(let batch) = input else { continue }
                seen += batch.count
                ingest.recycle(batch)
                if seen >= expected { finished.open() }
            }
        }
        let context2 = try MessagingContext()
        var socket = try Socket(.announcedPublish, in: context2)
        try socket.limitQueues(sending: 1000)
        try socket.blockWhenFull()
        try socket.connect(endpoint)
        while try !socket.waitForSubscriber(milliseconds: 100) {}
        let started = SystemClock.monotonicNanoseconds
        for (number, payload) in messages.enumerated() {
            let frame = TelemetryFrame(
                aggregator: "bench", encoding: encoding, epoch: epoch, sequence: UInt64(number + 1))
            try socket.send([Array(frame.topic.utf8), frame.position, payload])
        }
        guard finished.wait(milliseconds: 300_000) else { throw UsageError("the rows did not arrive within 300 s") }
        let seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
        ingest.stop()
        output.close()
        sink.join()
        return seconds
    }

    /// Seconds that plain COPY takes for as many such rows, encoded before the clock starts, in transactions of 20,000.
    private func copyRaw(_ stored: StoredNetwork, _ start: Timestamp) throws -> Double {
        let batch = SampleBatch(capacity: self.batch)
        var blocks: [[UInt8]] = []
        for from in stride(from: 0, to: rows, by: self.batch) {
            batch.reset()
            for n in from..<from + self.batch {
                let index = stored.registry.index["pv-\(n % devices)"] ?? 0
                batch.append(
                    Sample(
                        device: index, time: start + Double(n / devices), activePower: Float(n % 9973),
                        reactivePower: Float(n % 997), voltage: 230 + Float(n % 13) / 10),
                    deviceID: stored.deviceIDs[Int(index)], areaID: stored.areaIDs[Int(index)], current: .nan,
                    frequency: .nan,
                    stateOfCharge: .nan, state: 0)
            }
            blocks.append(batch.copyBytes())
        }
        var connection = try PostgresConnection(conninfo)
        let started = SystemClock.monotonicNanoseconds
        for block in blocks {
            try connection.transaction("raw copy") { connection throws(StoreError) in
                var problem: StoreError?
                block.withUnsafeBytes { bytes in
                    do throws(StoreError) {
                        try connection.copy(SampleStore.copyStatement, bytes, as: "raw copy")
                    } catch {
                        problem = error
                    }
                }
                if let problem { throw problem }
            }
        }
        return Double(SystemClock.monotonicNanoseconds - started) / 1e9
    }
}
