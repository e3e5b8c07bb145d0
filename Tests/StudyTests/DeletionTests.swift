import DataDirectory
import Foundation
import GridModel
import Study
import Switching
import TestSupport
import Testing

/// Data that disappear never help a plan: whichever field of whichever table is emptied, and whichever column.
///
/// `BACKFEED_DRAWS` is how many fields and columns are emptied of each network; otherwise a few, the same each time.
@Suite struct DeletionTests {
    /// Columns whose emptiness has a meaning of its own (docs/data-directory.md): a verdict may become better with it.
    static let documented: [String: String] = [
        "nodes.lon": "no place: DER of the sun are taken to have daylight",
        "nodes.lat": "no place: DER of the sun are taken to have daylight",
        "lines.emergency_a": "limits.line_emergency_pct of max_i_a",
        "transformers.pfe_kw": "nothing is taken without load",
        "transformers.i0_percent": "nothing is taken without load",
        "transformers.parallel": "one unit",
        "transformers.oltc_group": "it moves alone",
        "transformers.phases": "three phases",
        "switches.phases": "all poles",
        "loads.p_profile": "p_kw at every moment, which is a condition",
        "loads.q_profile": "that of p_profile",
        "ders.q_over_p": "it gives no reactive power",
        "shunts.p_kw": "no losses",
        "regulators.forward": "from_to, where nobody says it",
        "sources.sk_mva": "the load flow takes it to hold its voltage",
    ]

    /// The complaint about a verdict after a field was emptied; `nil`: none.
    static func complaint(_ before: Verdict, _ after: Verdict, field: String, id: String) -> String? {
        guard after.distance >= before.distance else { return "\(before.verdict) became \(after.verdict)" }
        guard after.verdict == .cannotAssess, before.verdict == .reject else { return nil }
        // Then something new is not known, and it says what.
        let column = field.split(separator: ".").last.map(String.init) ?? field
        let known = Set(before.findings)
        let isTold = after.findings.contains { finding in
            finding.severity == .unknown && !known.contains(finding)
                && (finding.elements.contains(id) || finding.message.contains(column) || finding.message.contains(id)
                    || (finding.limitSource ?? "").contains(column))
        }
        return isTold ? nil : "a reject became unknown, and nothing names \(column) or \(id)"
    }

    /// The same for a column.
    static func complaint(_ before: Verdict, _ after: Verdict, _ plan: SwitchingPlan) -> String? {
        guard after.verdict < before.verdict else { return nil }
        let stood = before.findings.filter { Verdict.Decision([$0.severity]) > after.verdict }
        let headline = after.headline(plan)
        for check in Set(stood.map(\.check)) where !after.isNotRun(check) || !headline.contains(check) {
            return "\(before.verdict) became \(after.verdict), and \(check) is neither not run nor in \"\(headline)\""
        }
        return nil
    }

    @Test(arguments: Situation.all) func noFieldAndNoColumnThatIsEmptiedHelpsAPlan(situation: Situation) throws {
        let folder = try TemporaryFolder()
        try situation.data.write(to: folder)
        let wrong = try Self.empty(situation.data, [situation.plan], seed: situation.testDescription, (12, 8)) {
            table, data in
            try data.write(to: folder, only: table)
        } verdict: {
            try DataFolder.verdict($0, in: folder.path)
        }
        #expect(wrong.isEmpty, "\(wrong.count) of them: \(wrong.prefix(3).joined(separator: "\n\n"))")
    }

    @Test func nothingEmptiedHelpsAPlanOnTheNetworkOfTheRules() throws {
        try noFieldAndNoColumnThatIsEmptiedHelpsAPlan(situation: Situation.rules())
    }

    /// The shipped network, and the one beside the repository where there is one, with the orders that come with them.
    @Test(arguments: ["data/semiurb", "../shared/data/semiurb"])
    func nothingEmptiedHelpsAPlanOnARealNetwork(path: String) throws {
        let source = "\(Repository.root)/\(path)"
        guard FileManager.default.fileExists(atPath: source) else { return }
        let folder = try TemporaryFolder()
        let files = FileManager.default
        try files.createDirectory(atPath: "\(folder.path)/network", withIntermediateDirectories: true)
        for part in ["profiles", "truth"] {
            try files.createSymbolicLink(atPath: "\(folder.path)/\(part)", withDestinationPath: "\(source)/\(part)")
        }
        for file in try files.contentsOfDirectory(atPath: "\(source)/network") {
            try files.copyItem(atPath: "\(source)/network/\(file)", toPath: "\(folder.path)/network/\(file)")
        }
        let orders = try SwitchingTruth(directory: source).inWindows(["summer"]).orders
        let times = Dictionary(orders.map { ($0.plan.id, $0.time) }, uniquingKeysWith: { first, _ in first })
        let read: Set = ["nodes", "lines", "transformers", "switches", "feeders", "ties", "loads", "ders", "sources"]
        var data = try DataFolder(directory: source)
        data.tables = data.tables.filter { read.contains($0.key) }
        let wrong = try Self.empty(data, Array(orders.map(\.plan).prefix(2)), seed: path, (3, 2)) { table, data in
            try data[table].text.write(
                toFile: "\(folder.path)/network/\(table).csv", atomically: false, encoding: .utf8)
        } verdict: { plan in
            var plan = plan
            plan.holdHours = 1
            return try DataFolder.verdict(
                plan, in: folder.path, window: "summer", at: times[plan.id] ?? DataFolder.noon)
        }
        #expect(wrong.isEmpty, "\(wrong.count) of them: \(wrong.prefix(3).joined(separator: "\n\n"))")
    }

    /// Empties fields and columns one at a time.
    ///
    /// - Parameter counts: fields and columns, unless the environment says how many.
    /// - Returns: complaints.
    private static func empty(
        _ data: DataFolder, _ plans: [SwitchingPlan], seed: String, _ counts: (fields: Int, columns: Int),
        write: (String, DataFolder) throws -> Void, verdict: (SwitchingPlan) throws -> Verdict
    ) throws -> [String] {
        let before = try plans.map { try verdict($0) }
        var fields: [(table: String, row: Int, column: Int)] = []
        var columns: [(table: String, column: Int)] = []
        for (name, table) in data.tables.sorted(by: { $0.key < $1.key }) {
            for column in table.columns.indices where documented["\(name).\(table.columns[column])"] == nil {
                columns.append((name, column))
                for row in table.rows.indices where !table.rows[row][column].isEmpty {
                    fields.append((name, row, column))
                }
            }
        }
        var dice = SplitMix(seed: StableHash(seed).value)
        func choose<Item>(_ items: [Item], _ count: Int) -> [Item] {
            guard items.count > count else { return items }
            return (0..<count).map { _ in items[Int(dice.next() % UInt64(items.count))] }
        }
        var wrong: [String] = []
        func with(_ table: String, _ change: (inout DataFolder.Table) -> Void, _ judge: (Int, Verdict) -> String?)
            throws
        {
            var other = data
            change(&other[table])
            try write(table, other)
            for (number, plan) in plans.enumerated() {
                // Data that are refused on import can never be approved.
                guard let after = try? verdict(plan), let complaint = judge(number, after) else { continue }
                wrong.append("\(plan.id): \(complaint)\n\(before[number].told)\n-> \(after.told)")
            }
            try write(table, data)
        }
        for (name, row, column) in choose(fields, Draws.given ?? counts.fields) {
            let field = "\(name).\(data[name].columns[column])"
            let id = data[name].rows[row][0]
            try with(name, { $0.rows[row][column] = "" }) { number, after in
                complaint(before[number], after, field: field, id: id).map { "\(field) of \(id): \($0)" }
            }
        }
        for (name, column) in choose(columns, Draws.given ?? counts.columns) {
            let field = "\(name).\(data[name].columns[column])"
            try with(name, { table in for row in table.rows.indices { table.rows[row][column] = "" } }) {
                number, after in
                complaint(before[number], after, plans[number]).map { "all of \(field): \($0)" }
            }
        }
        return wrong
    }

    /// Every check that data can feed stands in the way of some plan above: otherwise its absence would prove nothing.
    @Test func theSituationsExerciseEveryCheck() throws {
        var stood: [String: Set<String>] = [:]
        for situation in Situation.all {
            let verdict = try situation.data.verdict(situation.plan)
            for finding in verdict.findings where finding.severity >= .condition {
                stood[finding.check, default: []].insert(situation.testDescription)
            }
        }
        let checks = [
            "H1", "H2", "H3", "H4", "V1", "V2", "V4", "C1", "C2", "C3", "C5", "C6", "C7", "C8", "F1", "F2", "F3", "P1",
            "P2",
            "P4", "P6", "R1", "R2", "R3", "R5", "R6", "R7", "T6", "T7", "T8", "T10",
        ]
        for check in checks { #expect(stood[check] != nil, "\(check)") }
    }
}
