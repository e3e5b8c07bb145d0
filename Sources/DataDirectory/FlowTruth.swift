public import GridModel

/// The independent load flow of a window, row by row: `truth/<window>/bus_vm_pu`, `line_loading_percent`, `transformer`,
/// `feeder_head`.
public struct FlowTruth: Sendable {
    /// One row of the tables.
    public struct Row: Sendable {
        public var time: Timestamp
        /// By node and by line id: pu, percent of the rating.
        public var perUnit: [String: Double]
        public var loadingPercent: [String: Double]
        public var taps: [String: Int]
        public var transformerKilowatts: [String: Double]
        /// kW and kvar, positive away from the busbar.
        public var heads: [String: (kilowatts: Double, kilovars: Double)]
    }

    public let times: [Timestamp]
    private let voltages, loadings: CSVTable
    private let units: [String: [(id: String, tap: Int, kilowatts: Double)]]
    private let heads: [String: [(id: String, kilowatts: Double, kilovars: Double)]]

    public init(directory: String, window: String) throws(DataDirectoryError) {
        let folder = "\(directory)/truth/\(window)"
        voltages = try CSVTable(path: "\(folder)/bus_vm_pu.csv")
        loadings = try CSVTable(path: "\(folder)/line_loading_percent.csv")
        let time = try voltages.require("ts")
        guard try loadings.require("ts") == 0, time == 0, voltages.rowCount == loadings.rowCount else {
            throw DataDirectoryError("\(loadings.path): expected the same rows as \(voltages.path), ts first")
        }
        var times: [Timestamp] = []
        for row in 0..<voltages.rowCount {
            guard let moment = Timestamp(voltages.text(row, 0)), voltages.text(row, 0) == loadings.text(row, 0) else {
                throw DataDirectoryError("\(voltages.path):\(voltages.line(row)): column ts: no RFC 3339 time")
            }
            times.append(moment)
        }
        self.times = times
        let table = try CSVTable(path: "\(folder)/transformer.csv")
        let (at, id) = (try table.require("ts"), try table.require("transformer_id"))
        let (tap, power) = (try table.require("tap_pos"), try table.require("p_hv_kw"))
        var units: [String: [(id: String, tap: Int, kilowatts: Double)]] = [:]
        var reading = ColumnReading(table)
        for row in 0..<table.rowCount {
            units[table.text(row, at), default: []].append(
                (table.text(row, id), Int(reading.number(row, tap, in: -100...100)), reading.number(row, power)))
        }
        try reading.end()
        self.units = units
        let head = try CSVTable(path: "\(folder)/feeder_head.csv")
        let (moment, feeder) = (try head.require("ts"), try head.require("feeder_id"))
        let (active, reactive) = (try head.require("p_kw"), try head.require("q_kvar"))
        var heads: [String: [(id: String, kilowatts: Double, kilovars: Double)]] = [:]
        for row in 0..<head.rowCount {
            heads[head.text(row, moment), default: []].append(
                (head.text(row, feeder), head.number(row, active) ?? .nan, head.number(row, reactive) ?? .nan))
        }
        self.heads = heads
    }

    public func row(_ number: Int) -> Row {
        func wide(_ table: CSVTable) -> [String: Double] {
            Dictionary(
                uniqueKeysWithValues: table.columns.indices.dropFirst().map {
                    (table.columns[$0], table.number(number, $0) ?? .nan)
                })
        }
        let key = voltages.text(number, 0)
        let here = units[key] ?? []
        return Row(
            time: times[number], perUnit: wide(voltages), loadingPercent: wide(loadings),
            taps: Dictionary(here.map { ($0.id, $0.tap) }, uniquingKeysWith: { first, _ in first }),
            transformerKilowatts: Dictionary(here.map { ($0.id, $0.kilowatts) }, uniquingKeysWith: { a, _ in a }),
            heads: Dictionary(
                (heads[key] ?? []).map { ($0.id, ($0.kilowatts, $0.kilovars)) }, uniquingKeysWith: { first, _ in first }
            ))
    }
}
