import GridModel
import Switching
import Testing

@Suite struct PlanDocumentTests {
    private func mistakes(_ text: String) -> [String] {
        do {
            _ = try PlanDocument.decode(Array(text.utf8))
            return []
        } catch {
            return error.mistakes
        }
    }

    @Test func aWholePlanIsRead() throws {
        let plan = try PlanDocument.decode(
            Array(
                """
                {"id":"P1","purpose":"why","kind":"PLANNED_OUTAGE","planned_start":"2026-06-21T11:00:00Z","hold_hours":2.5,
                 "author":"kim","policy":{"allow_transient_loop":true,"outage_notice":true},
                 "initial_switch_states":[{"element":"S1","state":"open"}],
                 "steps":[{"action":"open","element":"S2"},{"sequence":7,"action":"place_tag","element":"S2","value":"HOLD","free_group":null}]}
                """.utf8))
        #expect(plan.kind == .plannedOutage && plan.holdHours == 2.5 && plan.author == "kim")
        #expect(plan.policy == .init(allowTransientLoop: true, outageNotice: true))
        #expect(plan.initialSwitchStates == [.init(element: "S1", state: .open)])
        #expect(
            plan.steps.map(\.sequence) == [1, 7] && plan.steps[1].value == "HOLD" && plan.steps[1].freeGroup == nil)
    }

    @Test func everyMistakeNamesItsPlace() {
        let found = mistakes(
            """
            {"id":"","kind":"LOAD","hold_hours":-1,"planned_start":"noon","policy":{"allow_transient_lop":1},
             "steps":[{"sequence":2,"action":"opn","element":"S"},{"sequence":2,"action":"open"},3]}
            """)
        for (place, expected) in [
            ("id:", "text"), ("kind:", "LOAD_TRANSFER"), ("hold_hours:", "1 to 744"), ("planned_start:", "RFC 3339"),
            ("policy.allow_transient_lop:", "not known"), ("steps[0].action:", "close"), ("steps[1].element:", "text"),
            ("steps[1].sequence:", "more than 2"), ("steps[2]:", "an object"),
        ] {
            #expect(found.contains { $0.hasPrefix(place) && $0.contains(expected) }, "\(place) \(found)")
        }
        #expect(mistakes("{").contains { $0.hasPrefix("no JSON") })
        #expect(mistakes("[]") == mistakes("[1]"))
        #expect(mistakes(String(repeating: "[", count: 1_000_001)).first?.contains("at most 1000000 bytes") ?? false)
        #expect(!mistakes(String(repeating: "[", count: 100_000)).isEmpty)
    }
}
