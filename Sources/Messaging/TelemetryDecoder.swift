internal import CSimdJSON
internal import CTelemetry
internal import Glibc
public import GridModel

/// One sample as it was sent: shape checked, meaning not yet. Inlinable: read field by field for each sample.
@frozen
public struct TelemetrySample {
    /// Bytes of the device's name; valid until the decoder's next message.
    public var device: UnsafeRawBufferPointer
    public var time: Timestamp
    public var quality: Quality
    /// 0 absent, else the state's place in `telemetry.proto` plus one.
    public var state: UInt8
    /// 0 absent, else ``SwitchPosition``'s raw value.
    public var switchPosition: UInt8
    @usableFromInline var present: UInt32
    @usableFromInline var values: UnsafePointer<Double>

    @inlinable @inline(__always)
    public func has(_ quantity: Quantity) -> Bool { present & quantity.bit != 0 }

    /// The value, NaN where the sample carries none.
    @inlinable @inline(__always)
    public subscript(quantity: Quantity) -> Double { has(quantity) ? values[quantity.place] : .nan }

    @inlinable @inline(__always)
    public var isEmpty: Bool { present == 0 && state == 0 && switchPosition == 0 }

    /// The first quantity whose value is not finite.
    @inlinable @inline(__always)
    public var notFinite: Quantity? {
        var rest = present
        while rest != 0 {
            let place = rest.trailingZeroBitCount
            if !values[place].isFinite { return Quantity(rawValue: place) }
            rest &= rest - 1
        }
        return nil
    }

    /// It carries something beside the columns of `sample`: phases, counters, a limit, a tap position.
    @inlinable @inline(__always)
    public var hasRareQuantities: Bool { present >> Quantity.limit.place != 0 }
}

/// Payloads to samples. One decoder a thread: it reuses its memory from message to message.
public struct TelemetryDecoder: ~Copyable {
    /// Why a whole message cannot be used.
    public struct MessageMistake: Error, Sendable {
        public let code: String
        public let detail: String
    }

    public static let maximumSamples = 10_000

    private let parser: OpaquePointer
    private let samples: UnsafeMutablePointer<csj_sample>
    private let arena = MessageArena()
    /// Of the device names of a message.
    private let hashes: UnsafeMutablePointer<UInt64>
    private let numbers: UnsafeMutablePointer<Int32>
    /// Of the names of a Protobuf batch, in bytes.
    private var lengths: [UInt32] = []

    public init() {
        guard let parser = csj_parser_new() else { preconditionFailure("out of memory") }
        self.parser = parser
        samples = .allocate(capacity: Self.maximumSamples)
        hashes = .allocate(capacity: Self.maximumSamples)
        numbers = .allocate(capacity: Self.maximumSamples)
    }

    deinit {
        numbers.deallocate()
        hashes.deallocate()
        samples.deallocate()
        csj_parser_free(parser)
    }

    /// Decodes a payload; its samples are then read by ``sample(_:)``, until the next call.
    ///
    /// - Returns: how many samples it holds, at least one.
    public mutating func decode(_ payload: UnsafeRawBufferPointer, _ encoding: TelemetryFrame.Encoding)
        throws(MessageMistake) -> Int
    {
        switch encoding {
        case .json: try decodeJSON(payload, csj_decode)
        case .senml: try decodeJSON(payload, csj_decode_senml)
        case .protobuf: try decodeProtobuf(payload)
        }
    }

    /// A sample of the last message; `nil` when it is wrong in itself: see ``mistake(_:)``.
    public func sample(_ index: Int) -> TelemetrySample? {
        let raw = samples + index
        guard raw.pointee.error == 0 else { return nil }
        return TelemetrySample(
            device: UnsafeRawBufferPointer(start: raw.pointee.device, count: Int(raw.pointee.device_length)),
            time: Timestamp(microseconds: raw.pointee.time_us),
            quality: Quality(rawValue: UInt16(truncatingIfNeeded: raw.pointee.quality & Self.knownFlags)).union(
                // A flag that we do not know must not count as good.
                raw.pointee.quality & ~Self.knownFlags == 0 ? [] : .questionable),
            state: raw.pointee.state, switchPosition: raw.pointee.switch_position, present: raw.pointee.present,
            values: csj_values(raw))
    }

    /// Number of each device of the last message, -1 where none has that name; valid until the next call.
    ///
    /// All at once: a table of many devices does not stay in the cache, and only loops this short wait for several of
    /// its lines at a time.
    public func numbers(in table: DeviceTable, count: Int) -> UnsafePointer<Int32> {
        for index in 0..<count {
            let raw = samples + index
            hashes[index] = raw.pointee.device.map { DeviceTable.hash($0, Int(raw.pointee.device_length)) } ?? 0
        }
        for index in 0..<count {
            let raw = samples + index
            numbers[index] =
                raw.pointee.device.map { table.find(hashes[index], $0, Int(raw.pointee.device_length)) } ?? -1
        }
        return UnsafePointer(numbers)
    }

    /// What is wrong with a sample of the last message.
    public func mistake(_ index: Int) -> MessageMistake {
        let raw = samples[index]
        let field = String(cString: raw.error_field)
        switch UInt32(raw.error) {
        case CSJ_MISSING.rawValue: return .init(code: "missing_\(field)", detail: "field \(field) is missing")
        case CSJ_BAD_TIME.rawValue:
            return .init(
                code: "bad_time",
                detail: field == "t"
                    ? "t: expected seconds since 1970; a time relative to now cannot be told afterwards"
                    : "time: expected RFC 3339 or whole microseconds since 1970")
        case CSJ_NOT_AN_OBJECT.rawValue: return .init(code: "bad_value", detail: "a \(field) must be an object")
        case CSJ_REPEATED.rawValue: return .init(code: "bad_value", detail: "\(field): stands twice, with two values")
        default: return .init(code: "bad_value", detail: "\(field): wrong type")
        }
    }

    /// The bytes of each sample of a message, for the reject table: found in one pass, when there is something to reject.
    public struct SampleBytes {
        private let payload: UnsafeRawBufferPointer
        private let ranges: [csj_range]

        /// - Parameter count: samples of the message. The payload must have been decoded, and outlive this value.
        public init(_ payload: UnsafeRawBufferPointer, _ encoding: TelemetryFrame.Encoding, count: Int) {
            self.payload = payload
            guard encoding == .json, let text = payload.baseAddress?.assumingMemoryBound(to: CChar.self) else {
                ranges = []
                return
            }
            ranges = Array(unsafeUninitializedCapacity: count) { buffer, found in
                found = csj_sample_ranges(text, payload.count, buffer.baseAddress, count)
            }
        }

        /// A sample's own bytes; `nil` where it is spread over the message.
        public subscript(index: Int) -> UnsafeRawBufferPointer? {
            guard index < ranges.count else { return nil }
            let range = ranges[index]
            return UnsafeRawBufferPointer(rebasing: payload[range.offset..<range.offset + range.count])
        }
    }

    // MARK: JSON

    private typealias JSONReader = (
        OpaquePointer?, UnsafePointer<CChar>?, Int, UnsafeMutablePointer<csj_sample>?, Int,
        UnsafeMutablePointer<UnsafePointer<CChar>?>?
    ) -> Int

    private mutating func decodeJSON(_ payload: UnsafeRawBufferPointer, _ read: JSONReader) throws(MessageMistake)
        -> Int
    {
        var problem: UnsafePointer<CChar>?
        guard let base = payload.baseAddress else { throw .init(code: "malformed", detail: "empty payload") }
        let count = read(
            parser, base.assumingMemoryBound(to: CChar.self), payload.count, samples, Self.maximumSamples, &problem)
        if count == -2 { throw Self.tooMany }
        guard count >= 0 else {
            throw .init(code: "malformed", detail: problem.map { String(cString: $0) } ?? "not JSON")
        }
        guard count > 0 else { throw Self.empty }
        return count
    }

    private static let tooMany = MessageMistake(
        code: "too_many_samples", detail: "more than \(maximumSamples) samples in one message")
    private static let empty = MessageMistake(code: "empty_batch", detail: "no samples in the message")

    // MARK: Protobuf

    private typealias Batch = Backfeed__Telemetry__V1__Batch
    private typealias Column = Backfeed__Telemetry__V1__Column
    private typealias Counter = Backfeed__Telemetry__V1__Counter
    private typealias Codes = Backfeed__Telemetry__V1__Codes

    private mutating func decodeProtobuf(_ payload: UnsafeRawBufferPointer) throws(MessageMistake) -> Int {
        arena.reset()
        guard
            let message = backfeed__telemetry__v1__batch__unpack(
                arena.allocator, payload.count, payload.baseAddress?.assumingMemoryBound(to: UInt8.self))
        else { throw .init(code: "malformed", detail: "not a backfeed.telemetry.v1.Batch") }
        let batch = message.pointee
        let count = batch.n_device
        guard count <= Self.maximumSamples else { throw Self.tooMany }
        guard count > 0 else { throw Self.empty }
        guard batch.n_time_us == count else {
            throw .init(code: "malformed", detail: "\(count) devices but \(batch.n_time_us) times")
        }
        lengths.removeAll(keepingCapacity: true)
        for place in 0..<batch.n_device_ids {
            lengths.append(batch.device_ids[place].map { UInt32(truncatingIfNeeded: strlen($0)) } ?? 0)
        }
        for index in 0..<count {
            let raw = samples + index
            raw.pointee.present = 0
            raw.pointee.quality = 0
            raw.pointee.state = 0
            raw.pointee.switch_position = 0
            raw.pointee.error = 0
            raw.pointee.time_us = batch.time_us[index]
            let name = Int(batch.device[index])
            if name < lengths.count {
                raw.pointee.device = UnsafePointer(batch.device_ids[name])
                raw.pointee.device_length = lengths[name]
            } else {
                raw.pointee.device = nil
                raw.pointee.error = UInt8(CSJ_MISSING.rawValue)
                raw.pointee.error_field = Self.deviceField
            }
        }
        let columns: [(UnsafeMutablePointer<Column>?, Quantity)] = [
            (batch.active_power_w, .activePower), (batch.reactive_power_var, .reactivePower),
            (batch.voltage_v, .voltage), (batch.current_a, .current), (batch.frequency_hz, .frequency),
            (batch.state_of_charge_pct, .stateOfCharge), (batch.interval_s, .interval), (batch.limit_w, .limit),
            (batch.active_power_a_w, .activePowerA), (batch.active_power_b_w, .activePowerB),
            (batch.active_power_c_w, .activePowerC), (batch.reactive_power_a_var, .reactivePowerA),
            (batch.reactive_power_b_var, .reactivePowerB), (batch.reactive_power_c_var, .reactivePowerC),
            (batch.voltage_a_v, .voltageA), (batch.voltage_b_v, .voltageB), (batch.voltage_c_v, .voltageC),
            (batch.current_a_a, .currentA), (batch.current_b_a, .currentB), (batch.current_c_a, .currentC),
            (batch.tap_position, .tapPosition),
        ]
        for (column, quantity) in columns {
            guard let column = column?.pointee else { continue }
            try spread(column.n_sample, column.sample, column.n_value, count, quantity.name) { index, place in
                put(index, quantity, Double(column.value[place]))
            }
        }
        for (column, quantity) in [
            (batch.energy_imported_wh, Quantity.energyImported), (batch.energy_exported_wh, .energyExported),
        ] {
            guard let column = column?.pointee else { continue }
            try spread(column.n_sample, column.sample, column.n_value, count, quantity.name) { index, place in
                put(index, quantity, column.value[place])
            }
        }
        if let codes = batch.state?.pointee {
            try spread(codes.n_sample, codes.sample, codes.n_value, count, "state") { index, place in
                samples[index].state = UInt8(truncatingIfNeeded: min(codes.value[place], 9) + 1)
            }
        }
        if let codes = batch.switch_position?.pointee {
            try spread(codes.n_sample, codes.sample, codes.n_value, count, "switch_position") { index, place in
                let position = codes.value[place] <= 4 ? UInt8(codes.value[place]) : 4
                if samples[index].switch_position != 0, samples[index].switch_position != position { repeated(index) }
                samples[index].switch_position = position
            }
        }
        if let codes = batch.quality?.pointee {
            try spread(codes.n_sample, codes.sample, codes.n_value, count, "quality") { index, place in
                samples[index].quality |= codes.value[place]
            }
        }
        return count
    }

    /// Lives as long as the program, and is never written: `csj_sample.error_field` points at it.
    private nonisolated(unsafe) static let deviceField = UnsafePointer(strdupForever("device"))
    private nonisolated(unsafe) static let valueField = UnsafePointer(strdupForever("a value"))
    /// Bits of quality that have a name.
    private static let knownFlags: UInt32 = 0x0fff

    private static func strdupForever(_ text: String) -> UnsafeMutablePointer<CChar> {
        let bytes = text.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (place, byte) in bytes.enumerated() { copy[place] = byte }
        return copy
    }

    @inline(__always)
    private func put(_ index: Int, _ quantity: Quantity, _ value: Double) {
        // -0, and what single precision would make -0, becomes 0, as in JSON.
        let value = abs(value) < 1e-37 ? 0 : value
        let bit: UInt32 = 1 << UInt32(quantity.rawValue)
        let values = csj_values(samples + index)!
        if samples[index].present & bit != 0, values[quantity.rawValue] != value { repeated(index) }
        values[quantity.rawValue] = value
        samples[index].present |= bit
    }

    /// A column names a sample twice, with two values.
    private func repeated(_ index: Int) {
        guard samples[index].error == 0 else { return }
        samples[index].error = UInt8(CSJ_REPEATED.rawValue)
        samples[index].error_field = Self.valueField
    }

    /// Calls `body` with each sample's index and the place of its value; a column that fits nothing spoils the message.
    @inline(__always)
    private func spread(
        _ indexCount: Int, _ indexes: UnsafeMutablePointer<UInt32>?, _ valueCount: Int, _ count: Int, _ name: String,
        _ body: (_ index: Int, _ place: Int) -> Void
    ) throws(MessageMistake) {
        if indexCount == 0 {
            guard valueCount == count || valueCount == 0 else {
                throw .init(code: "malformed", detail: "column \(name) has \(valueCount) values for \(count) samples")
            }
            for index in 0..<valueCount { body(index, index) }
            return
        }
        guard indexCount == valueCount, let indexes else {
            throw .init(code: "malformed", detail: "column \(name) has \(indexCount) indexes and \(valueCount) values")
        }
        for place in 0..<indexCount {
            let index = Int(indexes[place])
            guard index < count else {
                throw .init(code: "malformed", detail: "column \(name) names sample \(index) of \(count)")
            }
            body(index, place)
        }
    }
}
