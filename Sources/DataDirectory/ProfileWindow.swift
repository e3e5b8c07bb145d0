internal import Foundation
public import GridModel

/// One window of `profiles/`: what every load and DER of the network does, second by second.
public struct ProfileWindow: Sendable {
    /// How one device's power follows from the window's data. kW, INJ.
    public enum Series: Sendable {
        case zero
        /// Value k holds on [k·step, (k+1)·step).
        case stepped([Float], step: Double)
        /// Knots every `step` seconds, straight lines between.
        case interpolated([Float], step: Double)
        /// scale × mean of the 1-s shape over the last `smooth` seconds, `lag` seconds ago; `cumulative` is shared.
        case photovoltaic(cumulative: [Double], lag: Double, smooth: Int, scale: Double)
        /// Piecewise constant, zero elsewhere; sorted by start.
        case segments([(start: Double, end: Double, kilowatts: Double)])

        /// - Parameter seconds: since the window's start.
        public func kilowatts(at seconds: Double) -> Double {
            switch self {
            case .zero: return 0
            case .stepped(let values, let step):
                guard !values.isEmpty else { return 0 }
                return Double(values[min(max(Int(seconds / step), 0), values.count - 1)])
            case .interpolated(let values, let step):
                guard !values.isEmpty else { return 0 }
                let x = max(0, seconds / step)
                let k = Int(x)
                guard k < values.count - 1 else { return Double(values[values.count - 1]) }
                return Double(values[k]) + (Double(values[k + 1]) - Double(values[k])) * (x - Double(k))
            case .photovoltaic(let cumulative, let lag, let smooth, let scale):
                let count = cumulative.count - 1
                let to = min(max(Int((seconds - lag).rounded(.down)) + 1, 0), count)
                let from = min(max(to - max(1, smooth), 0), count)
                return to > from ? scale * (cumulative[to] - cumulative[from]) / Double(to - from) : 0
            case .segments(let list):
                // Few per charger: a scan is enough.
                var value = 0.0
                for item in list where seconds >= item.start && seconds < item.end { value = item.kilowatts }
                return value
            }
        }
    }

    private struct Information: Decodable {
        var start: Timestamp
        var end: Timestamp
        var step_s: Double
        var rows: Int
        var type: String?
        var ramp_thresholds_kw_per_min: [Double]?
    }

    public let name: String
    public let start: Timestamp
    public let end: Timestamp
    /// Seconds between the rows of its truth tables.
    public let step: Double
    public let rows: Int
    public let rampThresholds: [Double]?
    /// Its factors are knots every quarter hour with straight lines between, not steps.
    public let isHighResolution: Bool
    /// Power of each DER, in the order of `Network.ders`.
    public let ders: [Series]
    /// Places in `Network.ders` of those that no table of the window speaks of: what they give is not known, and their
    /// series are zero only to have one.
    public let unknownDERs: [Int]

    /// Names of the windows that a data directory has.
    public static func names(in directory: String) -> [String] {
        DataFile.names(in: "\(directory)/profiles").filter {
            DataFile.exists("\(directory)/profiles/\($0)/window.json")
        }
    }

    public init(directory: String, name: String, network: Network) throws(DataDirectoryError) {
        let folder = "\(directory)/profiles/\(name)"
        guard DataFile.exists("\(folder)/window.json") else {
            let known = Self.names(in: directory).joined(separator: ", ")
            throw DataDirectoryError("\(folder): no window of that name; there are: \(known.isEmpty ? "none" : known)")
        }
        let information: Information
        do {
            information = try JSONDecoder().decode(
                Information.self, from: Data(try DataFile.read("\(folder)/window.json")))
        } catch let failure as DataDirectoryError {
            throw failure
        } catch {
            throw DataDirectoryError("\(folder)/window.json: \(error)")
        }
        self.name = name
        start = information.start
        end = information.end
        step = information.step_s
        rows = information.rows
        rampThresholds = information.ramp_thresholds_kw_per_min
        if let type = information.type, type != "hires" {
            throw DataDirectoryError("\(folder)/window.json: type: \"\(type)\", expected \"hires\" or none")
        }
        let isHires = information.type == "hires"
        isHighResolution = isHires

        guard information.end > information.start, information.step_s > 0, information.rows > 0 else {
            throw DataDirectoryError("\(folder)/window.json: expected end after start, and step_s and rows above 0")
        }
        let (start, end) = (information.start, information.end)
        guard abs((end - start) / step - Double(rows)) < 1e-6 else {
            throw DataDirectoryError(
                "\(folder)/window.json: rows: is \(rows), and from start to end there are \((end - start) / step) steps of \(step) s"
            )
        }
        var factors = Factors(
            try CSVTable(path: "\(folder)/factors.csv"), start: start, end: end, step: isHires ? 900 : step,
            areKnots: isHires)
        let known = Set(network.ders.map(\.id))
        var photovoltaic: [String: Series] = [:]
        // Tables of charging list every charging: a charger that is in none of its rows takes nothing.
        var segments: [String: [(start: Double, end: Double, kilowatts: Double)]]?
        var chargers: [String: [Float]]?
        if isHires {
            photovoltaic = try Self.photovoltaic(folder, known)
            if DataFile.exists("\(folder)/ev_segments.csv") { segments = try Self.segments(folder, start, known) }
        } else if DataFile.exists("\(folder)/ev_kw.csv") {
            chargers = try Self.chargers(folder, start, step: step, rows: rows, known)
        }
        var unknown: [Int] = []
        let stepSeconds = information.step_s
        var series: [Series] = []
        for (place, der) in network.ders.enumerated() {
            if let found = photovoltaic[der.id] {
                series.append(found)
            } else if let list = segments?[der.id] {
                series.append(.segments(list))
            } else if let values = chargers?[der.id] {
                series.append(.stepped(values, step: stepSeconds))
            } else if !der.profile.isEmpty, let scale = der.scaleKW {
                let scaled = factors.values(der.profile).map { $0 * Float(scale) }
                series.append(isHires ? .interpolated(scaled, step: 900) : .stepped(scaled, step: stepSeconds))
            } else {
                let isIdle =
                    der.profile.isEmpty && der.kind == .electricVehicleCharger && (segments != nil || chargers != nil)
                if !isIdle, der.ratedKW > 0 { unknown.append(place) }
                series.append(.zero)
            }
        }
        try factors.end("ders.csv")
        ders = series
        unknownDERs = unknown
    }

    private static func device(_ reading: inout ColumnReading, _ row: Int, _ column: Int, _ known: Set<String>)
        -> String
    {
        let id = reading.table.text(row, column)
        if !known.contains(id) { reading.mistake(row, column, "there is no DER \"\(id)\"") }
        return id
    }

    private static func photovoltaic(
        _ folder: String, _ known: Set<String>
    ) throws(DataDirectoryError) -> [String: Series] {
        var shapes = ColumnReading(try CSVTable(path: "\(folder)/pv_shape.csv"))
        var cumulative: [String: [Double]] = [:]
        for (place, shape) in shapes.table.columns.enumerated() where shape != "second_of_day" {
            var sum = [0.0]
            sum.reserveCapacity(shapes.table.rowCount + 1)
            for row in 0..<shapes.table.rowCount { sum.append(sum[row] + shapes.number(row, place)) }
            cumulative[shape] = sum
        }
        try shapes.end()
        let table = try CSVTable(path: "\(folder)/pv_map.csv")
        var map = ColumnReading(table)
        let (id, shape, lag) = (try table.require("der_id"), try table.require("shape"), try table.require("lag_s"))
        let (smooth, scale) = (try table.require("smooth_s"), try table.require("scale_kw"))
        var found: [String: Series] = [:]
        for row in 0..<table.rowCount {
            let device = device(&map, row, id, known)
            if found[device] != nil { map.mistake(row, id, "\(device) stands already above") }
            guard let sum = cumulative[table.text(row, shape)] else {
                map.mistake(row, shape, "there is no shape \"\(table.text(row, shape))\"")
                continue
            }
            found[device] = .photovoltaic(
                cumulative: sum, lag: map.number(row, lag, in: -86_400...86_400),
                smooth: Int(map.number(row, smooth, in: 0...86_400)), scale: map.number(row, scale))
        }
        try map.end()
        return found
    }

    private static func segments(
        _ folder: String, _ start: Timestamp, _ known: Set<String>
    ) throws(DataDirectoryError) -> [String: [(start: Double, end: Double, kilowatts: Double)]] {
        let table = try CSVTable(path: "\(folder)/ev_segments.csv")
        var reading = ColumnReading(table)
        let (id, from, to) = (try table.require("der_id"), try table.require("start"), try table.require("end"))
        let power = try table.require("p_kw")
        var found: [String: [(start: Double, end: Double, kilowatts: Double)]] = [:]
        for row in 0..<table.rowCount {
            let device = device(&reading, row, id, known)
            let kilowatts = reading.number(row, power)
            guard let a = Timestamp(table.text(row, from)) else {
                reading.mistake(row, from, "\"\(table.text(row, from))\" is no RFC 3339 time")
                continue
            }
            guard let b = Timestamp(table.text(row, to)), b > a else {
                reading.mistake(row, to, "\"\(table.text(row, to))\" is no RFC 3339 time after its start")
                continue
            }
            found[device, default: []].append((a - start, b - start, kilowatts))
        }
        try reading.end()
        return found
    }

    private static func chargers(
        _ folder: String, _ start: Timestamp, step: Double, rows: Int, _ known: Set<String>
    ) throws(DataDirectoryError) -> [String: [Float]] {
        let table = try CSVTable(path: "\(folder)/ev_kw.csv")
        var reading = ColumnReading(table)
        let (time, id) = (try table.require("ts"), try table.require("der_id"))
        let power = try table.require("p_kw")
        var found: [String: [Float]] = [:]
        for row in 0..<table.rowCount {
            let device = device(&reading, row, id, known)
            let kilowatts = Float(reading.number(row, power))
            guard let at = Timestamp(table.text(row, time)) else {
                reading.mistake(row, time, "\"\(table.text(row, time))\" is no RFC 3339 time")
                continue
            }
            let k = Int(((at - start) / step).rounded(.down))
            guard (0..<rows).contains(k) else {
                reading.mistake(row, time, "\(at) is not in the window")
                continue
            }
            found[device, default: Array(repeating: 0, count: rows)][k] = kilowatts
        }
        try reading.end()
        return found
    }
}

/// The columns of `factors.csv`, read as they are asked for: a number in every row, and a row for every moment of the window.
struct Factors {
    private var reading: ColumnReading
    private var columns: [String: [Float]] = [:]
    private var missing: Set<String> = []

    /// - Parameter areKnots: values are those of moments with straight lines between, so that the window's end needs one.
    init(_ table: CSVTable, start: Timestamp, end: Timestamp, step: Double, areKnots: Bool) {
        reading = ColumnReading(table)
        let expected = Int(((end - start) / step).rounded(.up)) + (areKnots ? 1 : 0)
        if table.rowCount < expected {
            reading.mistake("\(table.rowCount) rows, expected \(expected): one every \(Int(step)) s of the window")
        }
        guard let column = table.column("ts") else { return }
        for row in 0..<table.rowCount {
            let due = start + Double(row) * step
            if Timestamp(table.text(row, column)) != due {
                reading.mistake(row, column, "\"\(table.text(row, column))\", expected \(due)")
            }
        }
    }

    /// - Parameter isTaken: of what a load takes, so that less than nothing is a mistake: what gives power is a DER.
    mutating func values(_ profile: String, isTaken: Bool = false) -> [Float] {
        if let known = columns[profile], !isTaken || known.allSatisfy({ $0 >= 0 }) { return known }
        guard let column = reading.table.column(profile) else {
            missing.insert(profile)
            return []
        }
        let values = (0..<reading.table.rowCount).map { row in
            let value = reading.number(row, column)
            if isTaken, value < 0 {
                reading.mistake(row, column, "is \(value) for a load, which takes power: what gives it is a DER")
            }
            return Float(value)
        }
        columns[profile] = values
        return values
    }

    /// - Parameter file: that named the profiles.
    /// - Throws: every mistake, and profiles that have no column.
    func end(_ file: String) throws(DataDirectoryError) {
        var all = reading
        if !missing.isEmpty {
            all.mistake("profiles named in \(file) have no column: \(missing.sorted().joined(separator: ", "))")
        }
        try all.end()
    }
}
