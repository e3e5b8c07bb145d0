internal import Foundation
public import GridModel

/// Switching orders with their independent outcome: `switching/orders.json` and `switching/expected.json`.
public struct SwitchingTruth: Sendable {
    public struct Limits: Sendable {
        /// pu.
        public var mvMinimum, mvMaximum, lvMinimum, lvMaximum: Double
        /// Percent of the rating.
        public var lineLoading, transformerLoading, headReverse: Double
        /// kW.
        public var newReverse: Double
    }

    /// The network before the first step, or after one.
    public struct State: Sendable {
        public var isRadial: Bool
        public var deadNodes: Int
        /// `nil`: there is no solution.
        public var flow: Flow?
    }

    /// Extremes of nodes of medium voltage and of lines from 1 kV on, and of transformers from high to medium voltage.
    public struct Flow: Sendable {
        public var minimumPerUnit, maximumPerUnit: Double
        public var worstLinePercent, worstTransformerPercent: Double
        public var headKilowatts: [String: Double]
    }

    public struct Order: Sendable {
        public var plan: SwitchingPlan
        public var window: String
        public var time: Timestamp
        /// As the truth calls it, and the class of verdict that it stands for.
        public var outcome: String
        public var decision: Verdict.Decision
        /// Before the first step, then after each.
        public var states: [State]
    }

    public let limits: Limits
    public private(set) var orders: [Order]

    /// The orders of these windows only.
    public func inWindows(_ names: [String]) -> Self {
        var copy = self
        copy.orders = orders.filter { names.contains($0.window) }
        return copy
    }

    public static func exists(in directory: String) -> Bool {
        DataFile.exists("\(directory)/switching/orders.json") && DataFile.exists("\(directory)/switching/expected.json")
    }

    public init(directory: String) throws(DataDirectoryError) {
        let given = try Self.read(GivenFile.self, "\(directory)/switching/orders.json")
        let expected = try Self.read(ExpectedFile.self, "\(directory)/switching/expected.json")
        let outcomes = Dictionary(expected.expected.map { ($0.order_id, $0) }, uniquingKeysWith: { first, _ in first })
        limits = given.limits.limits
        var orders: [Order] = []
        for order in given.orders {
            guard let outcome = outcomes[order.order_id] else {
                throw DataDirectoryError("\(directory)/switching/expected.json: nothing for \(order.order_id)")
            }
            orders.append(try order.order(outcome, directory))
        }
        self.orders = orders
    }

    private static func read<Value: Decodable>(_ type: Value.Type, _ path: String) throws(DataDirectoryError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw DataDirectoryError("\(path): \(error)")
        }
    }
}

// The files as they are written.

private struct GivenFile: Decodable {
    struct Limits: Decodable {
        var v_min_mv_pu, v_max_mv_pu, v_min_lv_pu, v_max_lv_pu: Double
        var line_loading_max_percent, hvmv_transformer_loading_max_percent, reverse_limit_percent_of_head_rating: Double
        var new_reverse_threshold_kw: Double

        var limits: SwitchingTruth.Limits {
            .init(
                mvMinimum: v_min_mv_pu, mvMaximum: v_max_mv_pu, lvMinimum: v_min_lv_pu, lvMaximum: v_max_lv_pu,
                lineLoading: line_loading_max_percent, transformerLoading: hvmv_transformer_loading_max_percent,
                headReverse: reverse_limit_percent_of_head_rating, newReverse: new_reverse_threshold_kw)
        }
    }
    struct Override: Decodable {
        var switch_id: String
        var state: SwitchPosition
    }
    struct Policy: Decodable { var allow_transient_loop, allow_transient_outage: Bool }
    struct Step: Decodable {
        var seq: Int
        var action: SwitchingPlan.Action
        var switch_id: String
    }
    struct Order: Decodable {
        var order_id, kind, title, window: String
        var at_ts: Timestamp
        var initial_overrides: [Override]
        var policy: Policy
        var steps: [Step]

        func order(_ outcome: ExpectedFile.Outcome, _ directory: String) throws(DataDirectoryError)
            -> SwitchingTruth.Order
        {
            let plan = SwitchingPlan(
                id: order_id, purpose: title, kind: kind == "return_to_normal" ? .normalise : .loadTransfer,
                plannedStart: at_ts, holdHours: 1,
                policy: .init(
                    allowTransientLoop: policy.allow_transient_loop,
                    allowTransientOutage: policy.allow_transient_outage),
                initialSwitchStates: initial_overrides.map { .init(element: $0.switch_id, state: $0.state) },
                steps: steps.map { .init(sequence: $0.seq, action: $0.action, element: $0.switch_id) })
            let decision: Verdict.Decision
            switch outcome.verdict {
            case "ACCEPT": decision = .approve
            case "WARN_REVERSE": decision = .approveWithConditions
            case let text where text == "INVALID" || text.hasPrefix("REJECT_"): decision = .reject
            default:
                throw DataDirectoryError(
                    "\(directory)/switching/expected.json: \(order_id): unknown verdict \(outcome.verdict)")
            }
            return SwitchingTruth.Order(
                plan: plan, window: window, time: at_ts, outcome: outcome.verdict, decision: decision,
                states: ([outcome.initial].compactMap(\.self) + outcome.steps).map(\.state))
        }
    }
    var limits: Limits
    var orders: [Order]
}

private struct ExpectedFile: Decodable {
    struct Topology: Decodable {
        var radial: Bool
        var deenergised_nodes: Int
    }
    struct Head: Decodable { var p_kw: Double }
    struct Flow: Decodable {
        var v_max_mv_pu, v_min_mv_pu: Double
        var worst_line_loading_percent, worst_hvmv_transformer_loading_percent: Double
        var heads: [String: Head]
    }
    struct State: Decodable {
        var topology: Topology
        var flow: Flow?

        var state: SwitchingTruth.State {
            .init(
                isRadial: topology.radial, deadNodes: topology.deenergised_nodes,
                flow: flow.map {
                    .init(
                        minimumPerUnit: $0.v_min_mv_pu, maximumPerUnit: $0.v_max_mv_pu,
                        worstLinePercent: $0.worst_line_loading_percent,
                        worstTransformerPercent: $0.worst_hvmv_transformer_loading_percent,
                        headKilowatts: $0.heads.mapValues(\.p_kw))
                })
        }
    }
    struct Outcome: Decodable {
        var order_id, verdict: String
        var initial: State?
        var steps: [State]

        private enum CodingKeys: String, CodingKey { case order_id, verdict, initial, steps }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            order_id = try container.decode(String.self, forKey: .order_id)
            verdict = try container.decode(String.self, forKey: .verdict)
            initial = try container.decodeIfPresent(State.self, forKey: .initial)
            // An invalid order has no states.
            steps = try container.decodeIfPresent([State].self, forKey: .steps) ?? []
        }
    }
    var expected: [Outcome]
}
