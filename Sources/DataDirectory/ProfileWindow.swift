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
        let isHires = information.type == "hires"
        isHighResolution = isHires

        let factors = try CSVTable(path: "\(folder)/factors.csv")
        func column(_ profile: String) -> [Float]? {
            guard let place = factors.column(profile) else { return nil }
            return (0..<factors.rowCount).map { Float(factors.number($0, place) ?? 0) }
        }
        var photovoltaic: [String: Series] = [:]
        var segments: [String: [(start: Double, end: Double, kilowatts: Double)]] = [:]
        if isHires {
            let shapes = try CSVTable(path: "\(folder)/pv_shape.csv")
            var cumulative: [String: [Double]] = [:]
            for (place, shape) in shapes.columns.enumerated() where shape != "second_of_day" {
                var sum = [0.0]
                sum.reserveCapacity(shapes.rowCount + 1)
                for row in 0..<shapes.rowCount { sum.append(sum[row] + (shapes.number(row, place) ?? 0)) }
                cumulative[shape] = sum
            }
            let map = try CSVTable(path: "\(folder)/pv_map.csv")
            let (id, shape, lag) = (try map.require("der_id"), try map.require("shape"), try map.require("lag_s"))
            let (smooth, scale) = (try map.require("smooth_s"), try map.require("scale_kw"))
            for row in 0..<map.rowCount {
                guard let sum = cumulative[map.text(row, shape)] else {
                    throw DataDirectoryError(
                        "\(map.path):\(map.line(row)): column shape: there is no shape \(map.text(row, shape))")
                }
                photovoltaic[map.text(row, id)] = .photovoltaic(
                    cumulative: sum, lag: map.number(row, lag) ?? 0, smooth: Int(map.number(row, smooth) ?? 1),
                    scale: map.number(row, scale) ?? 0)
            }
            if DataFile.exists("\(folder)/ev_segments.csv") {
                let table = try CSVTable(path: "\(folder)/ev_segments.csv")
                let (id, from, to) = (try table.require("der_id"), try table.require("start"), try table.require("end"))
                let power = try table.require("p_kw")
                for row in 0..<table.rowCount {
                    guard let a = Timestamp(table.text(row, from)), let b = Timestamp(table.text(row, to)) else {
                        throw DataDirectoryError("\(table.path):\(table.line(row)): start or end is no RFC 3339 time")
                    }
                    segments[table.text(row, id), default: []].append(
                        (a - start, b - start, table.number(row, power) ?? 0))
                }
            }
        }
        var chargers: [String: [Float]] = [:]
        if !isHires, DataFile.exists("\(folder)/ev_kw.csv") {
            let table = try CSVTable(path: "\(folder)/ev_kw.csv")
            let (time, id) = (try table.require("ts"), try table.require("der_id"))
            let power = try table.require("p_kw")
            for row in 0..<table.rowCount {
                guard let at = Timestamp(table.text(row, time)) else {
                    throw DataDirectoryError("\(table.path):\(table.line(row)): column ts: no RFC 3339 time")
                }
                let k = Int((at - start) / information.step_s)
                guard (0..<information.rows).contains(k) else { continue }
                chargers[table.text(row, id), default: Array(repeating: 0, count: information.rows)][k] =
                    Float(table.number(row, power) ?? 0)
            }
        }
        var profiles: [String: [Float]] = [:]
        var missing: Set<String> = []
        let stepSeconds = information.step_s
        ders = network.ders.map { der in
            if let series = photovoltaic[der.id] { return series }
            if let list = segments[der.id] { return .segments(list) }
            if let values = chargers[der.id] { return .stepped(values, step: stepSeconds) }
            guard !der.profile.isEmpty else { return .zero }
            if profiles[der.profile] == nil { profiles[der.profile] = column(der.profile) }
            guard let values = profiles[der.profile] else {
                missing.insert(der.profile)
                return .zero
            }
            let scaled = values.map { $0 * Float(der.scaleKW) }
            return isHires ? .interpolated(scaled, step: 900) : .stepped(scaled, step: stepSeconds)
        }
        if !missing.isEmpty {
            throw DataDirectoryError(
                "\(factors.path):1: profiles named in ders.csv have no column: \(missing.sorted().joined(separator: ", "))"
            )
        }
    }
}
