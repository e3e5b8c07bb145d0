internal import Foundation
internal import GridModel
internal import Switching

/// A verdict as an operator reads it in ten seconds: the decision, then what stands against it, then the states.
struct VerdictText {
    let verdict: Verdict
    let plan: SwitchingPlan

    private static let shown = 12

    var text: String {
        [headline, findings, heals, states, notRun].filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    private var headline: String {
        let counts = Dictionary(grouping: verdict.findings, by: \.severity).mapValues(\.count)
        let hard = counts[.blockHard, default: 0]
        let reason =
            switch verdict.verdict {
            case .approve: "nothing stands against it"
            case .approveWithConditions: "allowed only with the conditions below"
            case .cannotAssess: "something needed is not known; this is no approval"
            case .reject: hard > 0 ? "\(hard) of the findings can never be overridden" : "do not switch"
            }
        let better = (verdict.heals ?? []).isEmpty ? "" : " It makes something better, too: BETTER below."
        return """
            \(verdict.headline(plan))
            \(reason). Assessed for \(verdict.assessedAt)\(verdict.validUntil.map { ", void after \($0) or when anything changes" } ?? "").\(better)
            """
    }

    private var findings: String {
        let telling = verdict.findings.filter { $0.severity > .pass }
        let lines = telling.prefix(Self.shown).map { finding in
            let place = finding.step.map { "step \($0)" } ?? "plan"
            let loadCase = finding.loadCase.map { $0 == .now ? "" : " \($0.rawValue)" } ?? ""
            let left =
                finding.severity.rawValue.replacing("_", with: " ").padding(toLength: 11, withPad: " ", startingAt: 0)
                + place.padding(toLength: 9, withPad: " ", startingAt: 0)
                + (finding.check + loadCase).padding(toLength: 11, withPad: " ", startingAt: 0)
            let remedy = finding.remedy.map { "\n" + String(repeating: " ", count: 31) + "-> \($0)" } ?? ""
            return left + finding.message + remedy
        }
        let rest = telling.count - lines.count
        return (lines + (rest > 0 ? ["and \(rest) more findings: --format json has all"] : [])).joined(separator: "\n")
    }

    /// The plan's improvements: beside a REJECT they say what leaving things as they are would mean.
    private var heals: String {
        (verdict.heals ?? []).map { heal in
            "BETTER     plan     "
                + (heal.check + (heal.loadCase.map { $0 == .now ? "" : " \($0.rawValue)" } ?? ""))
                .padding(toLength: 11, withPad: " ", startingAt: 0) + heal.message
        }.joined(separator: "\n")
    }

    private var states: String {
        let actions = Dictionary(plan.steps.map { ($0.sequence, $0) }, uniquingKeysWith: { first, _ in first })
        return table(
            [
                "after", "action", "element", "radial", "dead nodes", "customers", "loading", "of", "lowest pu",
                "highest pu",
            ],
            verdict.steps.map { state in
                let step = actions[state.sequence]
                return [
                    state.sequence == 0 ? "start" : "\(state.sequence)", step?.action.rawValue ?? "",
                    step?.element ?? "", state.radial ? "yes" : "NO", "\(state.deEnergisedNodes)",
                    "\(state.deEnergisedCustomers)",
                    state.worstLoadingPct.map { String(format: "%.1f %%", $0) } ?? "not known",
                    state.worstLoadingElement ?? "", state.minVoltagePu.map { String(format: "%.4f", $0) } ?? "",
                    state.maxVoltagePu.map { String(format: "%.4f", $0) } ?? "",
                ]
            })
    }

    private var notRun: String {
        guard !verdict.notRun.isEmpty else { return "" }
        return
            "Not run, left out and not passed: \(Set(verdict.notRun.map(\.check)).sorted().joined(separator: ", ")) (--format json says why)."
    }
}
