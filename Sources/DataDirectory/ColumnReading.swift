/// Columns of a table of numbers, each of which must be one: an empty field, `1,0` or `NaN` is a mistake with its place.
struct ColumnReading {
    let table: CSVTable
    private(set) var mistakes: [String] = []
    /// Places named of one table at most: a column in the wrong notation is wrong in each of its rows.
    private static let most = 20
    private var more = 0

    init(_ table: CSVTable) { self.table = table }

    /// Zero where it is a mistake, which the caller throws before anybody uses it.
    mutating func number(_ row: Int, _ column: Int, in range: ClosedRange<Double> = -1e12...1e12) -> Double {
        guard let value = table.number(row, column), range.contains(value) else {
            let text = table.text(row, column)
            mistake(row, column, text.isEmpty ? "is empty, expected a number" : Self.complaint(text, range))
            return 0
        }
        return value
    }

    mutating func mistake(_ row: Int, _ column: Int, _ what: String) {
        guard mistakes.count < Self.most else {
            more += 1
            return
        }
        mistakes.append("\(table.path):\(table.line(row)): column \(table.columns[column]): \(what)")
    }

    mutating func mistake(_ what: String) { mistakes.append("\(table.path):1: \(what)") }

    /// - Throws: every mistake so far.
    func end() throws(DataDirectoryError) {
        guard mistakes.isEmpty else {
            throw DataDirectoryError(mistakes + (more > 0 ? ["\(table.path): and \(more) more such fields"] : []))
        }
    }

    private static func complaint(_ text: String, _ range: ClosedRange<Double>) -> String {
        Double(text).map { $0.isFinite ? "\(text) is outside \(range.lowerBound) to \(range.upperBound)" : nil }
            .flatMap { $0 } ?? "\"\(text)\" is no number"
    }
}
