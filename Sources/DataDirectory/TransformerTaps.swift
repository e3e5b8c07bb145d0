public import GridModel

/// Tap positions of a window, where its truth has them: `truth/<window>/transformer.csv`.
public struct TransformerTaps: Sendable {
    private let byTime: [(time: Timestamp, taps: [String: Int])]

    /// `nil`: the window has no such table.
    public init?(directory: String, window: String) throws(DataDirectoryError) {
        let path = "\(directory)/truth/\(window)/transformer.csv"
        guard DataFile.exists(path) else { return nil }
        let table = try CSVTable(path: path)
        let (at, id, tap) = (
            try table.require("ts"), try table.require("transformer_id"), try table.require("tap_pos")
        )
        var reading = ColumnReading(table)
        var byTime: [(time: Timestamp, taps: [String: Int])] = []
        for row in 0..<table.rowCount {
            guard let time = Timestamp(table.text(row, at)) else {
                reading.mistake(row, at, "\"\(table.text(row, at))\" is no RFC 3339 time")
                continue
            }
            let position = reading.number(row, tap, in: -100...100)
            if position != position.rounded() { reading.mistake(row, tap, "\(position) is no whole number") }
            if table.isEmpty(row, id) { reading.mistake(row, id, "is empty") }
            if byTime.last?.time != time { byTime.append((time, [:])) }
            byTime[byTime.count - 1].taps[table.text(row, id)] = Int(position)
        }
        try reading.end()
        self.byTime = byTime
    }

    /// By transformer id, as of a moment; empty before the first row.
    public func at(_ time: Timestamp) -> [String: Int] {
        byTime.last { $0.time <= time }?.taps ?? [:]
    }
}
