internal import DataDirectory
internal import GridModel
internal import PowerFlow
internal import Study
internal import Switching

/// Validates the orders of a data directory that carries truth, and compares verdict and every state.
struct SwitchingVerifier {
    struct Row: Encodable {
        var order, truth: String
        var expected, verdict: Verdict.Decision
        var states: Int
        /// Percentage points of a rating, pu, kW; worst of all states.
        var loadingError, voltageError, headError: Double
        var passed: Bool
    }
    struct Result {
        var rows: [Row] = []
        var comparisons: [Comparison] = []
    }

    let directory: String
    let network: Network
    let truth: SwitchingTruth

    /// Checks that the truth does not make.
    private static let omitted: Set<String> = [
        "T3", "T8", "T9", "T10", "H3", "H5", "V3", "V4", "P2", "P3", "P4", "P5", "P6", "S", "C", "R", "X",
    ]

    func run() throws -> Result {
        var limits = SwitchingLimits()
        limits.mvMinimum = truth.limits.mvMinimum
        limits.mvMaximum = truth.limits.mvMaximum
        limits.lvMinimum = truth.limits.lvMinimum
        limits.lvMaximum = truth.limits.lvMaximum
        limits.lineLoading = truth.limits.lineLoading
        limits.lineEmergency = truth.limits.lineLoading
        limits.transformerLoading = truth.limits.transformerLoading
        limits.transformerEmergency = truth.limits.transformerLoading
        limits.headReverse = truth.limits.headReverse
        limits.newReverse = truth.limits.newReverse * 1000
        limits.omitted = Self.omitted
        let validator = PlanValidator(network, limits: limits, software: "backfeed \(Program.version)")
        var sources: [String: WindowSnapshot] = [:]
        var result = Result()
        var (decisions, radial, dead) = (
            [(Double, Double, Double)](), [(Double, Double, Double)](), [(Double, Double, Double)]()
        )
        var (loading, volts, heads) = (
            [(Double, Double, Double)](), [(Double, Double, Double)](), [(Double, Double, Double)]()
        )
        var falseApprovals = 0
        for order in truth.orders {
            if sources[order.window] == nil {
                sources[order.window] = try WindowSnapshot(
                    directory: directory,
                    window: ProfileWindow(directory: directory, name: order.window, network: network), network: network)
            }
            guard let source = sources[order.window] else { continue }
            let verdict = validator.validate(order.plan, source.at(order.time, holdHours: 0), cases: [.now])
            var row = Row(
                order: order.plan.id, truth: order.outcome, expected: order.decision, verdict: verdict.verdict,
                states: order.states.count, loadingError: 0, voltageError: 0, headError: 0, passed: true)
            let before = [decisions, radial, dead, loading, volts, heads].map(\.count)
            decisions.append((1, verdict.verdict == order.decision ? 1 : 0, 0))
            if verdict.verdict < order.decision { falseApprovals += 1 }
            // An invalid order has the truth of its first state only.
            dead.append((Double(order.plan.steps.count + 1), Double(verdict.steps.count), 0))
            for (expected, found) in zip(order.states, verdict.steps) {
                radial.append((expected.isRadial ? 1 : 0, found.radial ? 1 : 0, 0))
                dead.append((Double(expected.deadNodes), Double(found.deEnergisedNodes), 0))
                guard let flow = expected.flow else { continue }
                loading.append(
                    (max(flow.worstLinePercent, flow.worstTransformerPercent), found.worstLoadingPct ?? .nan, 0.5))
                volts.append((flow.minimumPerUnit, found.minVoltagePu ?? .nan, 5e-4))
                volts.append((flow.maximumPerUnit, found.maxVoltagePu ?? .nan, 5e-4))
                for (feeder, kilowatts) in flow.headKilowatts {
                    heads.append(
                        (kilowatts, (found.heads[feeder]?.activePowerW ?? .nan) / 1000, 1 + 1e-3 * abs(kilowatts)))
                }
            }
            func worst(_ pairs: [(Double, Double, Double)], _ from: Int) -> Double {
                pairs[from...].map { abs($0.0 - $0.1) }.max() ?? 0
            }
            row.loadingError = worst(loading, before[3])
            row.voltageError = worst(volts, before[4])
            row.headError = worst(heads, before[5])
            row.passed = zip([decisions, radial, dead, loading, volts, heads], before).allSatisfy { pairs, from in
                pairs[from...].allSatisfy { abs($0.0 - $0.1) <= $0.2 }
            }
            result.rows.append(row)
        }
        result.comparisons = [
            Comparing.values(
                "verdicts (switching)", rule: "class of the verdict on each order", unit: "", decisions),
            Comparing.values("radiality (switching)", rule: "each state of each order", unit: "", radial),
            Comparing.values(
                "de-energised nodes (switching)", rule: "each state, and the number of states: exactly", unit: "nodes",
                dead),
            Comparing.values(
                "worst loading (switching)",
                rule:
                    "lines from 1 kV and transformers between high and medium voltage, each state: within 0.5 points of the rating",
                unit: "%", loading),
            Comparing.values(
                "extreme voltages (switching)", rule: "nodes of medium voltage, each state: within 5e-4 pu", unit: "pu",
                volts),
            Comparing.values(
                "feeder heads (switching)", rule: "P of each feeder, each state: within 1 kW and 0.1 %", unit: "kW",
                heads),
            Comparison(
                what: "false approvals (switching)", rule: "verdicts better than the truth's: none", truth: 0,
                found: falseApprovals, precision: falseApprovals == 0 ? 1 : 0, recall: 1, worstErrorS: nil,
                passed: falseApprovals == 0),
        ]
        return result
    }
}
