public import GridModel

/// Batches as an aggregator would send them: for the replay, the benchmark and the tests.
public struct TelemetryEncoder {
    /// W, var, V; NaN where absent.
    public struct Row: Sendable {
        public var device: String
        public var time: Timestamp
        public var activePower, reactivePower, voltage: Double
        public var interval: Double

        public init(
            device: String, time: Timestamp, activePower: Double = .nan, reactivePower: Double = .nan,
            voltage: Double = .nan, interval: Double = 0
        ) {
            self.device = device
            self.time = time
            self.activePower = activePower
            self.reactivePower = reactivePower
            self.voltage = voltage
            self.interval = interval
        }
    }

    public static func encode(_ rows: [Row], _ encoding: TelemetryFrame.Encoding) -> [UInt8] {
        switch encoding {
        case .json: json(rows)
        case .protobuf: protobuf(rows)
        case .senml: senml(rows)
        }
    }

    private static func json(_ rows: [Row]) -> [UInt8] {
        var text = "{\"samples\":["
        for (place, row) in rows.enumerated() {
            if place > 0 { text += "," }
            text += "{\"device\":\"\(row.device)\",\"time\":\(row.time.microseconds)"
            if !row.activePower.isNaN { text += ",\"active_power_w\":\(row.activePower)" }
            if !row.reactivePower.isNaN { text += ",\"reactive_power_var\":\(row.reactivePower)" }
            if !row.voltage.isNaN { text += ",\"voltage_v\":\(row.voltage)" }
            if row.interval > 0 { text += ",\"interval_s\":\(row.interval)" }
            text += "}"
        }
        return Array((text + "]}").utf8)
    }

    /// A record a quantity; base name and base time where a sample begins.
    private static func senml(_ rows: [Row]) -> [UInt8] {
        var records: [String] = []
        for row in rows {
            // Six decimals are a microsecond, which a double of this size still holds apart.
            let seconds = Double(row.time.microseconds) / 1e6
            var start = "\"bn\":\"\(row.device)/\",\"bt\":\(seconds),"
            let values = [
                ("active_power", "W", row.activePower), ("reactive_power", "var", row.reactivePower),
                ("voltage", "V", row.voltage), ("interval", "s", row.interval > 0 ? row.interval : .nan),
            ]
            for (name, unit, value) in values where !value.isNaN {
                records.append("{\(start)\"n\":\"\(name)\",\"u\":\"\(unit)\",\"v\":\(value)}")
                start = ""
            }
        }
        return Array("[\(records.joined(separator: ","))]".utf8)
    }

    private static func protobuf(_ rows: [Row]) -> [UInt8] {
        var names: [String: UInt32] = [:]
        var order: [String] = []
        var writer = ProtobufWriter()
        var (devices, times) = (ProtobufWriter(), ProtobufWriter())
        for row in rows {
            let number: UInt32
            if let known = names[row.device] {
                number = known
            } else {
                number = UInt32(order.count)
                names[row.device] = number
                order.append(row.device)
            }
            devices.varint(UInt64(number))
            times.varint(UInt64(bitPattern: row.time.microseconds))
        }
        for name in order { writer.field(1, Array(name.utf8)) }
        writer.field(2, devices.bytes)
        writer.field(3, times.bytes)
        column(&writer, 4, rows.map(\.activePower))
        column(&writer, 5, rows.map(\.reactivePower))
        column(&writer, 6, rows.map(\.voltage))
        column(&writer, 10, rows.map { $0.interval > 0 ? $0.interval : .nan })
        return writer.bytes
    }

    private static func column(_ writer: inout ProtobufWriter, _ number: Int, _ values: [Double]) {
        let present = values.indices.filter { !values[$0].isNaN }
        guard !present.isEmpty else { return }
        var (column, packed) = (ProtobufWriter(), ProtobufWriter())
        if present.count < values.count {
            var indexes = ProtobufWriter()
            for index in present { indexes.varint(UInt64(index)) }
            column.field(1, indexes.bytes)
        }
        for index in present { packed.fixed32(Float(values[index]).bitPattern) }
        column.field(2, packed.bytes)
        writer.field(number, column.bytes)
    }
}

/// Protobuf's wire format, as far as a batch needs it: length-delimited fields, varints, fixed 32-bit words.
struct ProtobufWriter {
    var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func fixed32(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }

    mutating func field(_ number: Int, _ content: [UInt8]) {
        varint(UInt64(number) << 3 | 2)
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }
}
