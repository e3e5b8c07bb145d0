internal import Analysis
internal import DataDirectory
internal import GridModel
internal import PowerFlow
internal import Store

enum VerifyCommand {
    static let command = Command(
        "verify", operands: "DIR", "prove the product on a data directory that carries truth",
        detail: """
            Detections against the event tables and the load flow against voltages, currents and powers, of each window; verdicts
            and every state of the switching orders.
            Exit code 1 when a comparison is missed.
            """,
        options: [
            Option("window", "W", "only this window (default: all with truth)"),
            Option("format", "table|json", "how to print it (default table)"),
        ]
    ) { invocation in
        let directory = try invocation.arguments.operand(0, "DIR")
        let format = try invocation.arguments.choice("format", ["table", "json"], otherwise: "table")
        let network: Network
        do {
            network = try NetworkReader.read(directory).network
        } catch {
            complain("\(error)")
            return .negative
        }
        var names = ProfileWindow.names(in: directory).filter { TruthWindow.exists(in: directory, window: $0) }
        if let wanted = invocation.arguments.text("window") {
            guard names.contains(wanted) else {
                throw UsageError(
                    "--window: no truth for \(wanted); there is truth for: \(names.joined(separator: ", "))")
            }
            names = [wanted]
        }
        guard !names.isEmpty else { throw UsageError("\(directory): no window with truth") }
        let settings = invocation.settings.analysis(nominalFrequency: network.nominalFrequency)
        var passed = true
        var documents: [String] = []
        for name in names {
            let window = try ProfileWindow(directory: directory, name: name, network: network)
            let truth = try TruthWindow(directory: directory, window: name, start: window.start, step: window.step)
            var result = DetectionVerifier(network: network, window: window, truth: truth).run(settings: settings)
            result.comparisons += try FlowVerifier(
                network: network, window: window,
                injections: WindowInjections(directory: directory, window: window, network: network),
                truth: FlowTruth(directory: directory, window: name)
            ).run()
            passed = passed && result.comparisons.allSatisfy(\.passed)
            if format == "json" {
                documents.append(JSONCoding.encode(Document(window: name, result)))
            } else {
                show(name, window, result)
            }
        }
        var switching = "null"
        let truth = SwitchingTruth.exists(in: directory) ? try SwitchingTruth(directory: directory) : nil
        if let truth = truth?.inWindows(names), !truth.orders.isEmpty {
            let result = try SwitchingVerifier(directory: directory, network: network, truth: truth).run()
            passed = passed && result.comparisons.allSatisfy(\.passed)
            if format == "json" {
                switching = JSONCoding.encode(SwitchingDocument(orders: result.rows, comparisons: result.comparisons))
            } else {
                show(result)
            }
        }
        if format == "json" {
            say(
                "{\"directory\":\"\(directory)\",\"passed\":\(passed),\"windows\":[\(documents.joined(separator: ","))],\"switching\":\(switching)}"
            )
        }
        return passed ? .done : .negative
    }

    private struct Document: Encodable {
        struct Found: Encodable {
            var kind: AdvisoryKind
            var detector, feeder, element: String
            var severity: Severity
            var onset: Timestamp
            var endedAt, clearedAt: Timestamp?
            var occurrence: Int
            var peak: AdvisoryFacts.Peak
        }
        var window: String
        var comparisons: [Comparison]
        var found: [Found]
        var rates: AdvisoryRates

        init(window: String, _ result: DetectionVerifier.Result) {
            self.window = window
            comparisons = result.comparisons
            rates = result.rates
            found = result.advisories.map {
                Found(
                    kind: $0.kind, detector: $0.detector, feeder: $0.feeder, element: $0.element, severity: $0.severity,
                    onset: $0.onset, endedAt: $0.endedAt, clearedAt: $0.clearedAt, occurrence: $0.occurrence,
                    peak: $0.peak)
            }
        }
    }

    private struct SwitchingDocument: Encodable {
        var orders: [SwitchingVerifier.Row]
        var comparisons: [Comparison]
    }

    private static func show(_ result: SwitchingVerifier.Result) {
        say("switching plans\n")
        say(
            table(
                ["", "order", "truth", "verdict", "states", "loading error", "voltage error", "head error"],
                result.rows.map {
                    [
                        $0.passed ? "ok" : "MISSED", $0.order, $0.truth, $0.verdict.rawValue, "\($0.states)",
                        "\(Comparing.brief($0.loadingError)) %", "\(Comparing.brief($0.voltageError)) pu",
                        "\(Comparing.brief($0.headError)) kW",
                    ]
                }))
        show(result.comparisons)
    }

    private static func show(_ comparisons: [Comparison]) {
        say("")
        say(
            table(
                ["", "comparison", "truth", "found", "precision", "recall", "worst error"],
                comparisons.map {
                    [
                        $0.passed ? "ok" : "MISSED", $0.what, "\($0.truth)", "\($0.found)", share($0.precision),
                        share($0.recall),
                        $0.worstErrorS.map { "\(Int($0)) s" } ?? $0.worstError ?? "",
                    ]
                }))
        say("\nrules:")
        for comparison in comparisons { say("  \(comparison.what): \(comparison.rule)") }
    }

    private static func show(_ name: String, _ window: ProfileWindow, _ result: DetectionVerifier.Result) {
        say("window \(name): \(window.start) to \(window.end), every \(Int(window.step)) s")
        show(result.comparisons)
        say("\nadvisories of the product:")
        let groups = Dictionary(grouping: result.advisories, by: { "\($0.kind.rawValue) \($0.feeder)" })
        say(
            table(
                ["kind", "element of", "advisories", "last severity", "first onset"],
                groups.sorted { $0.key < $1.key }.map { _, list in
                    [
                        list[0].kind.rawValue, list[0].feeder, "\(list.count)",
                        "\(list.map(\.severity.rawValue).min() ?? 4)",
                        "\(list[0].onset)",
                    ]
                }))
        let rates = result.rates
        func short(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
        let mix = rates.mixPct.sorted { $0.key < $1.key }.map { "\(Int($0.value.rounded())) % of severity \($0.key)" }
        say(
            "\none desk for all feeders: at most \(rates.max10Min) new in 10 minutes, more than 2 in \(short(rates.above2Pct)) % of them, "
                + "more than 10 in \(short(rates.above10Pct)) %; \(rates.fleeting) fleeting, \(rates.chattering) chattering; "
                + mix.joined(separator: ", ") + "\n")
    }

    private static func share(_ value: Double) -> String { "\((value * 10_000).rounded() / 10_000)" }
}
