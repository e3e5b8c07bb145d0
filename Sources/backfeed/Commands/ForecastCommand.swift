internal import Analysis
internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

enum ForecastCommand {
    static let command = Command(
        "forecast", operands: "FEEDER",
        "what a feeder is expected to do in the next hour, and how good such forecasts were",
        detail: """
            Made every five minutes from the usual load of that time, the clearness of the sky, and what was wrong with forecasts
            so far. --skill judges those that were made, by week, beside taking the present for the future; without --from and
            --until those of the last four weeks there are.
            """,
        options: [
            Option("skill", nil, "how good the forecasts were"),
            Option("from", "T", "RFC 3339, with --skill"), Option("until", "T", "RFC 3339, with --skill"),
            Option("format", "table|json", "how to print it (default table)"),
        ]
    ) { invocation in
        let feeder = try invocation.arguments.operand(0, "FEEDER")
        let format = try invocation.arguments.choice("format", ["table", "json"], otherwise: "table")
        let (from, until) = try FeederQuestion.range(invocation)
        let wantsSkill = invocation.arguments.has("skill")
        if !wantsSkill, from != nil || until != nil { throw UsageError("--from and --until go with --skill") }
        return try FeederQuestion.ask(feeder, invocation) { stored, queries in
            if wantsSkill {
                guard
                    let made = try ForecastReport.skill(
                        feeder, from: from, until: until, settings: invocation.settings, stored: stored, &queries)
                else {
                    complain("feeder \(feeder) has no forecast")
                    return .negative
                }
                say(format == "json" ? JSONCoding.encode(made) : text(made))
                return .done
            }
            guard let run = try queries.newestForecast(feeder: feeder) else {
                complain("feeder \(feeder) has no forecast: its head has not been measured for long enough")
                return .negative
            }
            say(format == "json" ? JSONCoding.encode(ForecastReport(run)) : text(ForecastReport(run)))
            return .done
        }
    }

    private static func megawatts(_ watts: Double) -> String { String(format: "%.3f", watts / 1e6) }
    private static func share(_ value: Double?) -> String { value.map { String(format: "%.2f", $0) } ?? "n/a" }

    private static func text(_ made: ForecastReport) -> String {
        let rows = made.horizons.map { item in
            [
                "\(item.time)", "\(item.aheadMin)", megawatts(item.p05W), megawatts(item.p50W), megawatts(item.p95W),
                megawatts(item.loadW), megawatts(item.pvW), share(item.reverseProbability),
                share(item.overloadProbability), item.method,
            ]
        }
        return """
            \(table(["time", "min", "P05 MW", "P50 MW", "P95 MW", "load MW", "PV MW", "P(reverse)", "P(overload)", "method"], rows))
            made \(made.madeAt): net \(megawatts(made.netW)) MW, PV \(megawatts(made.pvW)) MW, clearness \(share(made.clearness))\(made.isSwitched ? ", switched" : "")
            """
    }

    private static func text(_ made: ForecastSkill) -> String {
        let rows = made.weeks.flatMap { week in
            week.horizons.map { item in
                [
                    "\(week.starts.description.prefix(10))", "\(item.aheadMin)", "\(item.runs)", megawatts(item.rmseW),
                    megawatts(item.persistenceRmseW), share(item.skill), megawatts(item.biasW),
                    String(format: "%.0f", item.within60Pct), String(format: "%.0f", item.within90Pct),
                    "\(item.hits)/\(item.reversed)", share(item.falseAlarms), String(format: "%.3f", item.brier),
                ]
            }
        }
        let onsets = made.weeks.map { week in
            "week of \(week.starts.description.prefix(10)): \(week.foreseen) of \(week.onsets) onsets of reverse power foreseen"
                + (week.meanLeadMin.map { String(format: ", %.0f min before on average", $0) } ?? "")
        }
        return
            (rows.isEmpty
            ? ["no forecast has come to its time between \(made.from) and \(made.until)"]
            : [
                table(
                    [
                        "week", "min", "runs", "RMSE MW", "persist. MW", "skill", "bias MW", "in 60 %", "in 90 %",
                        "reverse hit", "false", "Brier",
                    ], rows)
            ] + onsets).joined(separator: "\n")
    }
}
