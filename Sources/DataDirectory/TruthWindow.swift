public import GridModel

/// One window of `truth/`: what an independent load flow found.
public struct TruthWindow: Sendable {
    /// Values every ``step`` seconds from ``start``.
    public struct Head: Sendable {
        public var feeder: String
        /// kW, FLOW; kvar; pu at the busbar.
        public var kilowatts: [Double]
        public var kilovars: [Double]
        public var busbarPerUnit: [Double]
    }

    public struct Interval: Sendable {
        public var element: String
        public var rule: String
        public var start: Timestamp
        public var end: Timestamp
        /// Threshold the event belongs to, where the table has one.
        public var threshold: Double
        public var extreme: Double
        public var direction: String
    }

    public let start: Timestamp
    public let step: Double
    public let heads: [Head]
    /// Node voltages, pu, every ``voltageStep`` seconds; per node one column.
    public let voltageNodes: [String]
    public let voltages: [[Float]]
    public let voltageStep: Double
    /// HV-side active power by transformer, kW, positive HV → LV.
    public let transformers: [(id: String, kilowatts: [Double])]
    public let reverse: [Interval]
    public let overVoltage: [Interval]
    public let underVoltage: [Interval]
    public let ramps: [Interval]
    public let rampWindow: Double

    public static func exists(in directory: String, window: String) -> Bool {
        DataFile.exists("\(directory)/truth/\(window)/feeder_head.csv")
    }

    public init(directory: String, window: String, start: Timestamp, step: Double) throws(DataDirectoryError) {
        let folder = "\(directory)/truth/\(window)"
        self.start = start
        self.step = step
        let table = try CSVTable(path: "\(folder)/feeder_head.csv")
        let (time, feeder) = (try table.require("ts"), try table.require("feeder_id"))
        let (p, q, v) = (try table.require("p_kw"), try table.require("q_kvar"), try table.require("v_busbar_pu"))
        var heads: [Head] = []
        var place: [String: Int] = [:]
        for row in 0..<table.rowCount {
            let id = table.text(row, feeder)
            let number: Int
            if let known = place[id] {
                number = known
            } else {
                number = heads.count
                place[id] = number
                heads.append(Head(feeder: id, kilowatts: [], kilovars: [], busbarPerUnit: []))
            }
            heads[number].kilowatts.append(table.number(row, p) ?? .nan)
            heads[number].kilovars.append(table.number(row, q) ?? .nan)
            heads[number].busbarPerUnit.append(table.number(row, v) ?? .nan)
        }
        self.heads = heads
        guard table.rowCount == 0 || Timestamp(table.text(0, time)) == start else {
            throw DataDirectoryError("\(table.path):2: column ts: expected the window's start, \(start)")
        }

        let voltage = try CSVTable(path: "\(folder)/bus_vm_pu.csv")
        voltageNodes = Array(voltage.columns.dropFirst())
        var columns = [[Float]](repeating: [], count: voltageNodes.count)
        for column in columns.indices {
            columns[column] = (0..<voltage.rowCount).map { Float(voltage.number($0, column + 1) ?? .nan) }
        }
        voltages = columns
        if voltage.rowCount >= 2, let a = Timestamp(voltage.text(0, 0)), let b = Timestamp(voltage.text(1, 0)) {
            voltageStep = b - a
        } else {
            voltageStep = step
        }

        var units: [(id: String, kilowatts: [Double])] = []
        if DataFile.exists("\(folder)/transformer.csv") {
            let table = try CSVTable(path: "\(folder)/transformer.csv")
            let (id, power) = (try table.require("transformer_id"), try table.require("p_hv_kw"))
            var place: [String: Int] = [:]
            for row in 0..<table.rowCount {
                let name = table.text(row, id)
                if place[name] == nil {
                    place[name] = units.count
                    units.append((name, []))
                }
                if let number = place[name] { units[number].kilowatts.append(table.number(row, power) ?? .nan) }
            }
        }
        transformers = units

        reverse = try Self.intervals(
            "\(folder)/reverse_flow_events.csv", element: "element_id", rule: "rule", extreme: "peak_reverse_kw")
        overVoltage = try Self.intervals(
            "\(folder)/overvoltage_events.csv", element: "node_id", threshold: "threshold_pu", extreme: "peak_pu")
        underVoltage = try Self.intervals(
            "\(folder)/undervoltage_events.csv", element: "node_id", threshold: "threshold_pu", extreme: "min_pu")
        ramps = try Self.intervals(
            "\(folder)/ramp_events.csv", element: "feeder_id", threshold: "threshold_kw_per_min",
            extreme: "max_rate_kw_per_min", direction: "direction")
        if DataFile.exists("\(folder)/ramp_events.csv") {
            let table = try CSVTable(path: "\(folder)/ramp_events.csv")
            rampWindow = table.rowCount > 0 ? table.number(0, try table.require("window_s")) ?? step : step
        } else {
            rampWindow = step
        }
    }

    private static func intervals(
        _ path: String, element: String, rule: String? = nil, threshold: String? = nil, extreme: String,
        direction: String? = nil
    ) throws(DataDirectoryError) -> [Interval] {
        guard DataFile.exists(path) else { return [] }
        let table = try CSVTable(path: path)
        let (id, from, to) = (try table.require(element), try table.require("start"), try table.require("end"))
        let peak = try table.require(extreme)
        var list: [Interval] = []
        for row in 0..<table.rowCount {
            guard let start = Timestamp(table.text(row, from)), let end = Timestamp(table.text(row, to)) else {
                throw DataDirectoryError("\(table.path):\(table.line(row)): start or end is no RFC 3339 time")
            }
            var item = Interval(
                element: table.text(row, id), rule: "", start: start, end: end, threshold: 0,
                extreme: table.number(row, peak) ?? .nan, direction: "")
            if let rule { item.rule = table.text(row, try table.require(rule)) }
            if let threshold { item.threshold = table.number(row, try table.require(threshold)) ?? .nan }
            if let direction { item.direction = table.text(row, try table.require(direction)) }
            list.append(item)
        }
        return list
    }
}
