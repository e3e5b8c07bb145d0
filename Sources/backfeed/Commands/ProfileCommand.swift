internal import Foundation
internal import GridModel
internal import HTTPAPI
internal import Store

enum ProfileCommand {
    static let command = Command(
        "profile", operands: "FEEDER", "historical profile of a feeder",
        detail: "Without --from and --until: the last day there is. net_w is the head, negative is reverse power.",
        options: [
            Option("from", "T", "RFC 3339"), Option("until", "T", "RFC 3339"),
            Option("bucket", "B", "1m, 5m, 15m, 1h or 1d (default 15m)"),
            Option(
                "view", "switched|normal",
                "its DER: those that it fed, or those of the normal switching state (default switched)"),
            Option("quantity", "Q,Q", "columns, for example net_w,pv_w"),
            Option("format", "table|csv|json|plot", "how to print it (default table)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let feeder = try arguments.operand(0, "FEEDER")
        let bucket = try arguments.choice("bucket", ["1m", "5m", "15m", "1h", "1d"], otherwise: "15m")
        let format = try arguments.choice("format", ["table", "csv", "json", "plot"], otherwise: "table")
        let view: Queries.DERView =
            try arguments.choice("view", Queries.DERView.allCases.map(\.rawValue), otherwise: "switched") == "normal"
            ? .normal : .switched
        let standard =
            format == "plot"
            ? "net_w"
            : "net_w,net_min_w,net_max_w,pv_w,battery_w,ev_charger_w,native_w,reverse_wh,voltage_pu,head_coverage"
        let wanted =
            (arguments.text("quantity")
            ?? (format == "csv" || format == "json" ? Queries.profileColumns.joined(separator: ",") : standard))
            .split(separator: ",").map(String.init)
        let places = try wanted.map { name in
            guard let place = Queries.profileColumns.firstIndex(of: name) else {
                throw UsageError(
                    "--quantity: there is no \(name); there are \(Queries.profileColumns.joined(separator: ", "))")
            }
            return place
        }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        var queries = Queries(conninfo: database.conninfo)
        guard let range = try queries.profileRange(feeder: feeder) else {
            complain("feeder \(feeder) has no profile")
            return .negative
        }
        let until = try invocation.time("until") ?? range.last + 60
        let from = try invocation.time("from") ?? until - 86_400
        guard from < until else { throw UsageError("--from must be before --until") }
        let source = TableSource(
            header: [
                ("feeder", feeder), ("bucket", bucket), ("view", view.rawValue), ("from", "\(from)"),
                ("until", "\(until)"),
            ],
            columns: Queries.profileColumns
        ) { _ in }
        var encoder = TableEncoder(source, format == "json" ? .json : .csv, places: places)
        let isStreamed = format == "csv" || format == "json"
        try queries.profile(feeder: feeder, from: from, until: until, bucket: bucket, view: view) { time, values in
            encoder.append(time, values)
            if isStreamed, encoder.bytes.count > 1 << 16 { FileHandle.standardOutput.write(Data(encoder.take())) }
            return true
        }
        encoder.finish()
        guard !isStreamed else {
            FileHandle.standardOutput.write(Data(encoder.take() + (format == "json" ? [0x0A] : [])))
            return .done
        }
        let lines = String(decoding: encoder.take(), as: UTF8.self).split(separator: "\n")
        let rows = lines.dropFirst().map { line in
            line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let columns = ["time"] + wanted
        if format == "plot" {
            say(Plot.lines(columns, rows, title: "\(feeder), \(bucket)"))
        } else {
            say(table(columns, rows.map { $0.map { $0.isEmpty ? "-" : $0 } }))
        }
        return .done
    }
}

/// A chart for the terminal: Braille dots, a zero line, the axis in round numbers.
enum Plot {
    /// - Parameters:
    ///   - names: of the columns; the first is the time.
    ///   - rows: texts; an empty one is no value.
    static func lines(
        _ names: [String], _ rows: [[String]], title: String, width: Int = 72, height: Int = 16
    ) -> String {
        guard rows.count > 1 else { return "\(title): nothing to plot" }
        let series = (1..<names.count).map { column in rows.map { Double($0[column]) ?? .nan } }
        let finite = series.joined().filter { !$0.isNaN }
        guard let low = finite.min(), let high = finite.max() else { return "\(title): no values" }
        let isPower = names.dropFirst().allSatisfy { $0.hasSuffix("_w") }
        let (bottom, top) = isPower ? (min(0, low), max(0, high)) : (low, high == low ? high + 1 : high)
        let (columns, dots) = (width * 2, height * 4)
        var cells = [UInt8](repeating: 0, count: width * height)
        let bits: [[UInt8]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]
        func set(_ x: Int, _ y: Int) {
            guard (0..<columns).contains(x), (0..<dots).contains(y) else { return }
            cells[y / 4 * width + x / 2] |= bits[y % 4][x % 2]
        }
        func y(_ value: Double) -> Int { Int(((top - value) / max(top - bottom, 1e-9) * Double(dots - 1)).rounded()) }
        for values in series {
            var last: Int?
            for x in 0..<columns {
                let value = values[min(values.count - 1, x * values.count / columns)]
                guard !value.isNaN else {
                    last = nil
                    continue
                }
                let now = y(value)
                for step in min(last ?? now, now)...max(last ?? now, now) { set(x, step) }
                last = now
            }
        }
        if bottom < 0, top > 0 { for x in stride(from: 0, to: columns, by: 4) { set(x, y(0)) } }
        var text = "\(title): \(names.dropFirst().joined(separator: ", "))\n"
        for row in 0..<height {
            let value = top - (top - bottom) * Double(row) / Double(height - 1)
            let label = row % 5 == 0 || row == height - 1 ? Self.label(value, isPower) : ""
            let line = (0..<width).map { Character(UnicodeScalar(0x2800 + UInt32(cells[row * width + $0])) ?? " ") }
            text += String(repeating: " ", count: max(0, 10 - label.count)) + label + " ┤" + String(line) + "\n"
        }
        let (first, last) = (rows[0][0], rows[rows.count - 1][0])
        let gap = String(repeating: " ", count: max(1, width - first.count - last.count))
        return text + String(repeating: " ", count: 12) + first + gap + last
            + (bottom < 0 && isPower ? "\n            below the dotted line: reverse power" : "")
    }

    private static func label(_ value: Double, _ isPower: Bool) -> String {
        guard isPower else { return String(format: "%.3f", value) }
        return abs(value) >= 1e6 ? String(format: "%.2f MW", value / 1e6) : String(format: "%.0f kW", value / 1e3)
    }
}
