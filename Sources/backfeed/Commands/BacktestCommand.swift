internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store

enum BacktestCommand {
    static let command = Command(
        "backtest", "run stored telemetry through the detectors with these settings, and compare with what was raised",
        detail: """
            Reads the samples and switch positions of a time, and writes nothing. The settings are those of --config and --set, as
            a service would have them. Said is what would be new, gone, or moved; with the settings that were in force nothing is.
            Compared are advisories raised in the time, before anybody acted on them and before any became part of another; rates count
            what a desk would have been asked to look at, without what starts as a part of another.
            """,
        options: [
            Option("from", "T", "RFC 3339 (default: a day before the end)"),
            Option("until", "T", "RFC 3339 (default: the newest that is analysed)"),
            Option("format", "table|json", "how to print it (default table)"),
        ]
    ) { invocation in
        let format = try invocation.arguments.choice("format", ["table", "json"], otherwise: "table")
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard let stored = try NetworkStore.load(database.conninfo) else {
            complain("no network has been imported")
            return .negative
        }
        var advisories = AdvisoryStore(conninfo: database.conninfo)
        let reached = try advisories.restartState().positions.filter { !$0.key.hasPrefix("bank/") }.values.map(\.minute)
        guard let until = try invocation.time("until") ?? reached.min() else {
            complain("nothing has been analysed yet")
            return .negative
        }
        let from = try invocation.time("from") ?? until - 86_400
        guard from < until else { throw UsageError("--from must be before --until") }

        let started = SystemClock.monotonicNanoseconds
        let settings = invocation.settings.analysis(nominalFrequency: stored.network.nominalFrequency)
        let (after, samples, banks) = try run(stored, settings, database.conninfo, from: from, until: until)
        let seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
        let before = try advisories.spells(from: from, until: until)
        let report = Report(
            from: from, until: until, samples: samples, timesRealTime: (until - from) / seconds,
            settingsHash: settings.hash, ratesBefore: rates(before, banks, from, until),
            rates: rates(after, banks, from, until),
            result: Backtest(before: before, after: after))
        say(format == "json" ? JSONCoding.encode(report) : report.text(seconds: seconds))
        return .done
    }

    private struct Report: Encodable {
        var from, until: Timestamp
        var samples: Int
        var timesRealTime: Double
        var settingsHash: String
        var ratesBefore, rates: AdvisoryRates
        var result: Backtest

        func text(seconds: Double) -> String {
            let rows = result.differences.map { item in
                [
                    item.change.rawValue, "\(item.severity.rawValue)", item.kind.rawValue, item.feeder, item.element,
                    "\(item.raisedAt)", item.clearedAt.map { "\($0)" } ?? "-", item.moved.joined(separator: "; "),
                ]
            }
            let count = { (change: Backtest.Change) in result.differences.count { $0.change == change } }
            let total = { (rates: AdvisoryRates) in rates.topSources.isEmpty ? 0 : rates.new24H }
            let list =
                rows.isEmpty
                ? "" : table(["change", "sev", "kind", "feeder", "element", "raised", "cleared", "moved"], rows) + "\n"
            return """
                \(list)\(from) to \(until): as before \(result.asBefore) (\(result.identical) byte by byte), new \(count(.new)), gone \(count(.gone)), moved \(count(.moved))
                severity 1 to 3 in the last 24 h of it: \(total(rates)) raised (\(total(ratesBefore)) before), at most \(rates.max10Min) in 10 minutes (\(ratesBefore.max10Min)), \(percent(rates.above2Pct)) of them above 2 (\(percent(ratesBefore.above2Pct)))
                \(samples) samples in \((seconds * 10).rounded() / 10) s: \(Int(timesRealTime)) times real time
                """
        }

        private func percent(_ value: Double) -> String { "\((value * 10).rounded() / 10) %" }
    }

    /// Each spell as it was said last, in the order of their raising.
    private static func run(
        _ stored: StoredNetwork, _ settings: AnalysisSettings, _ conninfo: String, from: Timestamp, until: Timestamp
    ) throws -> (spells: [AdvisoryFacts], samples: Int, banks: [String: Set<String>]) {
        let begin = from - Analyser.warmUp
        var profiles = ProfileStore(conninfo: conninfo)
        let switches = try profiles.positions(at: begin, until: until)
        let history = try NetworkHistory.load(from: begin, until: until, known: stored, conninfo)
        var analyser = Succession(history.stages(positions: switches.start), settings: settings)
        for move in switches.moves { analyser.switchMoved(move.switchID, to: move.position, at: move.time) }
        var forecasts = AdvisoryStore(conninfo: conninfo)
        try forecasts.forecasts(from: from - Analyser.forecastMemory, until: from, allFrom: begin) {
            analyser.recall($0, warmFrom: begin)
        }
        var spells: [String: AdvisoryFacts] = [:]
        var count = 0
        var samples = SampleStore(conninfo: conninfo)
        try samples.replay(from: begin, until: until, of: history) { portion in
            count += portion.count
            // As it was said: of a worst value nobody is told until something else is.
            for report in analyser.absorb(portion).reports
            where report.facts.watermark <= until && report.change != .peak {
                spells[report.facts.id] = report.facts
            }
        }
        let found = spells.values.filter { $0.raisedAt >= from && $0.raisedAt < until }
        return (found.sorted { ($0.raisedAt, $0.id) < ($1.raisedAt, $1.id) }, count, analyser.banksByFeeder)
    }

    private static func rates(
        _ spells: [AdvisoryFacts], _ banks: [String: Set<String>], _ from: Timestamp, _ until: Timestamp
    ) -> AdvisoryRates {
        let happenings = AdvisoryRates.annunciated(spells, banks: banks)
        return AdvisoryRates(happenings.sorted { $0.time < $1.time }, from: from, until: until)
    }
}
