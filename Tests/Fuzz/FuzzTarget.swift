import Adapters
import DataDirectory
import Foundation
import GridModel
import Messaging
import ServiceKit
import Switching

/// What is fuzzed: everything that reads bytes which others wrote. `scripts/fuzz` runs each by its name.
///
/// A target takes any bytes, and stops the program when a promise about what it read is broken: crashes, memory errors
/// and endless loops are libFuzzer's and the address sanitizer's to find.
enum FuzzTarget: String, CaseIterable {
    case frame, json, senml, protobuf, control, spool, segment, sunspec, ieee2030_5, ocpp, csv, plan

    func take(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .frame: Self.frame(bytes)
        case .json: Self.telemetry(bytes, .json)
        case .senml: Self.telemetry(bytes, .senml)
        case .protobuf: Self.telemetry(bytes, .protobuf)
        case .control: Self.control(bytes)
        case .spool: Self.spool(bytes)
        case .segment: Self.segment(bytes)
        case .sunspec: Self.adapter(bytes, .sunspec)
        case .ieee2030_5: Self.adapter(bytes, .ieee2030_5)
        case .ocpp: Self.adapter(bytes, .ocpp)
        case .csv: Self.csv(bytes)
        case .plan: Self.plan(bytes)
        }
    }

    // MARK: Switching plans

    /// Two feeders with a tie, in which every second plan finds something that is not known.
    private static let networks: [(validator: PlanValidator, snapshot: GridSnapshot)] = [false, true].map { isUnknown in
        var network = Network(id: "fuzz")
        network.nodes = [
            .init(id: "S", nominalKilovolts: 10, kind: "mv_busbar"),
            .init(id: "A", nominalKilovolts: 10, kind: "mv_node"),
            .init(id: "B", nominalKilovolts: 10, kind: "mv_node"),
        ]
        network.sources = [.init(id: "G", node: "S", voltagePerUnit: 1)]
        network.lines = [
            .init(id: "SA", from: "S", to: "A", resistance: 1, reactance: 0.5, capacitance: 0, ratedAmperes: 200),
            .init(id: "SB", from: "S", to: "B", resistance: 1, reactance: 0.5, capacitance: 0, ratedAmperes: 200),
        ]
        network.switches = [
            .init(id: "CA", connects: .line, node: "S", element: "SA"),
            .init(id: "CB", connects: .line, node: "S", element: "SB"),
            .init(id: "T", connects: .bus, node: "A", element: "B", normalPosition: .open),
        ]
        network.feeders = [.init(id: "FA", busbar: "S", headLine: "SA"), .init(id: "FB", busbar: "S", headLine: "SB")]
        network.loads = [.init(id: "LA", node: "A", kilowatts: 100, customers: 1)]
        let snapshot = GridSnapshot(
            time: Timestamp(microseconds: 0), networkRevision: "1",
            positions: [.closed, .closed, isUnknown ? .unknown : .open], taps: [],
            loadWatts: [0, 1e5, isUnknown ? .nan : 1e5], loadVars: [0, 0, 0], derWatts: [], derVars: [0, 0, 0])
        return (PlanValidator(network, limits: SwitchingLimits(), software: "fuzz"), snapshot)
    }

    /// A plan that can be read gets a verdict; with something unknown it is never an approval.
    private static func plan(_ bytes: UnsafeRawBufferPointer) {
        let plan: SwitchingPlan
        do {
            plan = try PlanDocument.decode(Array(bytes))
        } catch {
            precondition(!error.mistakes.isEmpty)
            return
        }
        precondition(!plan.id.isEmpty && plan.steps.count <= PlanDocument.maximumSteps && plan.hash == plan.hash)
        for (number, item) in networks.enumerated() {
            let verdict = item.validator.validate(plan, item.snapshot, cases: [.now])
            precondition(verdict.verdict == Verdict.Decision(verdict.findings.map(\.severity)))
            precondition(verdict.steps.count == plan.steps.count + 1)
            precondition(number == 0 || verdict.verdict >= .cannotAssess, "approved unknown")
        }
    }

    // MARK: Telemetry

    /// The first byte tells where the position begins. What is read is written the same way again.
    private static func frame(_ bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else { return }
        let cut = min(Int(first), bytes.count - 1) + 1
        let position = UnsafeRawBufferPointer(rebasing: bytes[cut...])
        guard
            let frame = try? TelemetryFrame(
                topic: UnsafeRawBufferPointer(rebasing: bytes[1..<cut]), position: position)
        else { return }
        precondition(frame.topic.utf8.elementsEqual(bytes[1..<cut]), "another topic: \(frame.topic)")
        precondition(frame.position.elementsEqual(position), "another position")
    }

    /// Every field of every sample can be read, and what a plain batch says survives being written and read again.
    private static func telemetry(_ bytes: UnsafeRawBufferPointer, _ encoding: TelemetryFrame.Encoding) {
        decoding.take(bytes, encoding)
    }

    /// One decoder for all runs, as in the service: what one message leaves behind must not show in the next.
    private nonisolated(unsafe) static let decoding = Decoding()

    private final class Decoding {
        private var decoder = TelemetryDecoder()

        // libFuzzer hands over exactly as many bytes as the message has, so that a read beyond it is seen.
        func take(_ bytes: UnsafeRawBufferPointer, _ encoding: TelemetryFrame.Encoding) {
            guard let count = try? decoder.decode(bytes, encoding) else { return }
            precondition((1...TelemetryDecoder.maximumSamples).contains(count))
            var rows: [TelemetryEncoder.Row] = []
            let own = TelemetryDecoder.SampleBytes(bytes, encoding, count: count)
            for index in 0..<count {
                precondition((own[index]?.count ?? 0) <= bytes.count)
                guard let sample = decoder.sample(index) else {
                    precondition(!decoder.mistake(index).detail.isEmpty)
                    continue
                }
                let name = String(decoding: sample.device, as: UTF8.self)
                var sum = 0.0
                for quantity in Quantity.allCases where sample.has(quantity) { sum += sample[quantity] }
                _ = (sample.notFinite, sample.isEmpty, sample.hasRareQuantities, sum)
                guard Identifier.isValid(name), sample.notFinite == nil, abs(sample[.activePower]) < 1e30 else {
                    continue
                }
                rows.append(.init(device: name, time: sample.time, activePower: sample[.activePower]))
            }
            guard !rows.isEmpty else { return }
            // JSON writes every digit of a double; Protobuf holds a float.
            for again in [TelemetryFrame.Encoding.json, .protobuf] {
                let written = TelemetryEncoder.encode(rows, again)
                written.withUnsafeBytes { payload in
                    guard let count = try? decoder.decode(payload, again) else {
                        preconditionFailure(
                            "what was read cannot be written: \(String(decoding: written, as: UTF8.self))")
                    }
                    precondition(count == rows.count)
                    for (index, row) in rows.enumerated() {
                        guard let sample = decoder.sample(index) else {
                            preconditionFailure("\(decoder.mistake(index))")
                        }
                        precondition(sample.time == row.time && sample.device.elementsEqual(row.device.utf8))
                        let value = sample[.activePower]
                        precondition(
                            value == (again == .json ? row.activePower : Double(Float(row.activePower))),
                            "\(value) is not \(row.activePower)")
                    }
                }
            }
        }

        func expectSample(_ json: String) {
            Array(json.utf8).withUnsafeBytes { payload in
                guard (try? decoder.decode(payload, .json)) == 1, let sample = decoder.sample(0) else {
                    preconditionFailure("the service refuses \(json)")
                }
                precondition(sample.notFinite == nil, "not finite: \(json)")
            }
        }
    }

    private static func control(_ bytes: UnsafeRawBufferPointer) {
        guard let message = try? ControlMessage(bytes) else { return }
        message.bytes.withUnsafeBytes { written in
            // Reasons are free text and may not fit when every character is escaped.
            guard written.count <= ControlMessage.maximumBytes else { return }
            precondition((try? ControlMessage(written)) == message, "another message: \(message)")
        }
    }

    // MARK: Spool

    private static func spool(_ bytes: UnsafeRawBufferPointer) {
        var count = 0
        let isRecord = SpoolRecord.read(bytes) { frames, _ in
            count = frames.0.count + frames.1.count + frames.2.count
        }
        precondition(!isRecord || count < bytes.count)
    }

    /// The log opens whatever a crash or a bad disk left, gives back whole records only, and goes on behind them.
    private static func segment(_ bytes: UnsafeRawBufferPointer) {
        let folder = "/dev/shm/backfeed-fuzz-\(getpid())"
        let path = "\(folder)/0000000001.segment"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        mkdir(folder, 0o700)
        guard let file = fopen(path, "w") else { preconditionFailure("\(path) cannot be written") }
        fwrite(bytes.baseAddress, 1, bytes.count, file)
        fclose(file)
        func records(_ log: SegmentLog) throws -> [[UInt8]] {
            var (list, record, place): ([[UInt8]], [UInt8], SegmentLog.Position) = ([], [], log.start)
            while let next = try log.read(at: place, into: &record) {
                precondition(next > place, "no way forward")
                list.append(record)
                place = next
            }
            return list
        }
        do {
            let log = try SegmentLog(directory: folder, sync: .never)
            let found = try records(log)
            precondition(log.bytes <= max(bytes.count, SegmentLog.magic.count))
            let added: [UInt8] = [1, 2, 3]
            let place = try added.withUnsafeBytes { try log.append([$0]) }
            precondition(place != nil, "a log without limit is full")
            let back = try records(try SegmentLog(directory: folder, sync: .never))
            precondition(back == found + [added], "a record was lost behind damage")
        } catch {
            preconditionFailure("\(error)")
        }
    }

    // MARK: Adapters and files

    /// A sample that comes out of an adapter is one that the service takes, and carries no value that would cost its
    /// others the use; a reading without a sample says why.
    private static func adapter(_ bytes: UnsafeRawBufferPointer, _ standard: SourceStandard) {
        let adapted: Adapted
        do throws(AdapterMistake) {
            adapted = try standard.adapt(Array(bytes), now: Timestamp(microseconds: 1_782_039_600_000_000))
        } catch {
            precondition(!error.description.isEmpty)
            return
        }
        precondition(!adapted.samples.isEmpty)
        for sample in adapted.samples {
            decoding.expectSample("{\"samples\":[\(sample.json)]}")
            for (quantity, value) in sample.values {
                precondition(Float(value).isFinite && (value != 0 || value.sign == .plus), "\(quantity): \(value)")
            }
            precondition((0...100).contains(sample.values[.stateOfCharge] ?? 50))
            precondition((40...72).contains(sample.values[.frequency] ?? 50))
        }
    }

    private static func csv(_ bytes: UnsafeRawBufferPointer) {
        guard let table = try? CSVTable(path: "fuzz.csv", bytes: Array(bytes)) else { return }
        for row in 0..<table.rowCount {
            for column in table.columns.indices {
                _ = (table.text(row, column), table.isEmpty(row, column))
                if let number = table.number(row, column) { precondition(number.isFinite) }
            }
            precondition(table.line(row) > 0)
        }
    }
}
