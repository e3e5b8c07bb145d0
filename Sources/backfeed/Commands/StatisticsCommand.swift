internal import Analysis
internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

enum StatisticsCommand {
    static let command = Command(
        "statistics", operands: "FEEDER",
        "what a feeder's past says: load, minimum daytime load, screens, reverse flow",
        detail: """
            From the quarter hours of its profile, in the time zone of the network (site.time_zone). Without --from and --until:
            the last year there is. A figure with too few valid quarter hours behind it is n/a, never a guess.
            """,
        options: [
            Option("from", "T", "RFC 3339"), Option("until", "T", "RFC 3339"),
            Option("format", "table|json", "how to print it (default table)"),
            Option("by-season", nil, "day shapes by three months and the sky of the day, too"),
        ]
    ) { invocation in
        let feeder = try invocation.arguments.operand(0, "FEEDER")
        let format = try invocation.arguments.choice("format", ["table", "json"], otherwise: "table")
        let (from, until) = try FeederQuestion.range(invocation)
        return try FeederQuestion.ask(feeder, invocation) { stored, queries in
            guard
                let made = try FeederReport.make(
                    feeder, from: from, until: until, zone: invocation.settings.text("site.time_zone"),
                    place: invocation.settings.flag("site.sun") ? stored.network.centre : nil,
                    network: stored, &queries)
            else {
                complain("feeder \(feeder) has no profile")
                return .negative
            }
            say(
                format == "json"
                    ? JSONCoding.encode(made) : text(made, bySeason: invocation.arguments.has("by-season")))
            return .done
        }
    }

    private static func text(_ made: FeederStatistics, bySeason: Bool) -> String {
        func power(_ value: Double?) -> String { value.map { String(format: "%.3f MW", $0 / 1e6) } ?? "n/a" }
        func point(_ value: FeederStatistics.Point?) -> String { value.map { "\(power($0.w)) at \($0.at)" } ?? "n/a" }
        func energy(_ value: Double?) -> String { value.map { String(format: "%.2f MWh", $0 / 1e6) } ?? "n/a" }
        func plain(_ value: Double?, _ format: String = "%.3f") -> String {
            value.map { String(format: format, $0) } ?? "n/a"
        }
        func part(_ percent: Double) -> String { "\(percent) % valid" }
        var rows: [[String]] = [
            ["net energy", energy(made.load.netEnergyWh), part(made.load.completenessPct)],
            ["native energy", energy(made.load.nativeEnergyWh), part(made.minimumLoad.completenessPct)],
            ["native load that is estimated", plain(made.load.estimatedPct, "%.1f %%"), ""],
            ["net peak", point(made.load.netPeak), ""],
            ["net minimum", point(made.load.netMinimum), ""],
            ["native peak", point(made.load.nativePeak), ""],
            ["load factor, net", plain(made.load.loadFactor), ""],
        ]
        rows += made.load.duration.map {
            ["exceeded \($0.pct) % of the time", "net \(power($0.netW)), native \(power($0.nativeW))", ""]
        }
        rows += [
            [
                "minimum daytime load, \(made.minimumLoad.fromHour) to \(made.minimumLoad.untilHour) h",
                power(made.minimumLoad.w), part(made.minimumLoad.completenessPct),
            ],
            ["the same at weekends", power(made.minimumLoad.weekendW), ""],
            ["the same on clear spring days", power(made.minimumLoad.clearSpringW), ""],
            ["DER rating over it", plain(made.minimumLoad.generationLoadRatio, "%.2f"), ""],
        ]
        rows += made.screens.map { screen in
            let verdict = screen.exceeded.map { $0 ? "exceeded" : "kept" } ?? "not assessable"
            return ["screen: \(screen.name)", "\(verdict): \(power(screen.ratingW)) of \(power(screen.limitW))", ""]
        }
        rows += [
            [
                "reverse flow", "\(plain(made.reverse.hours, "%.2f h")), \(energy(made.reverse.energyWh))",
                part(made.reverse.completenessPct),
            ],
            ["reverse peak", point(made.reverse.peak), ""],
        ]
        for shape in made.dayShapes + (bySeason ? made.seasonalShapes : []) {
            let reversal = shape.reversalFrom.map { ", reverse \($0) to \(shape.reversalUntil ?? "")" } ?? ""
            rows.append([
                ([shape.dayType, shape.season?.rawValue, shape.sky?.rawValue].compactMap(\.self) + [
                    "median of \(shape.days)"
                ])
                .joined(separator: ", "),
                "belly \(power(shape.bellyW)), rise in 3 h \(power(shape.rise3hW)), neck \(power(shape.neckW))\(reversal)",
                "",
            ])
        }
        rows += made.ramps.map {
            [
                "change in \($0.minutes) min, P1 and P99", "\(power($0.downW)), \(power($0.upW))",
                part($0.completenessPct),
            ]
        }
        rows += [
            ["PV energy", energy(made.pv.energyWh), part(made.pv.completenessPct)],
            ["PV capacity factor", plain(made.pv.capacityFactor), ""],
            [
                "PV of native energy; of native peak",
                "\(plain(made.pv.energyPenetrationPct, "%.1f %%")); \(plain(made.pv.capacityPenetrationPct, "%.1f %%"))",
                "",
            ],
            ["EV energy", energy(made.evChargers.energyWh), part(made.evChargers.completenessPct)],
            ["EV coincidence", plain(made.evChargers.coincidence), ""],
        ]
        if let voltage = made.voltage {
            rows.append([
                "EN 50160, weeks of points",
                "\(voltage.passed) pass, \(voltage.failed) fail, \(voltage.notAssessable) not assessable", "",
            ])
            rows += voltage.weeks.filter { $0.result == .fails }.prefix(10).map {
                ["  fails: \($0.device), week of \($0.week)", plain($0.compliancePct, "%.2f %% within ±10 %%"), ""]
            }
        }
        return "\(made.feeder), \(made.from) to \(made.until)\n" + table(["figure", "value", "completeness"], rows)
    }
}
