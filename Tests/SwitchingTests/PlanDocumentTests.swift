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

    /// A person reads one of the two, and the plan would be judged by the other.
    @Test(arguments: [
        (
            "{\"id\":\"P\",\"kind\":\"LOAD_TRANSFER\",\"steps\":[{\"action\":\"open\",\"element\":\"A\",\"element\":\"B\"}]}",
            "steps[0].element"
        ),
        ("{\"id\":\"P\",\"kind\":\"LOAD_TRANSFER\",\"steps\":[],\"steps\":[{\"action\":\"text\"}]}", "steps"),
        ("{\"id\":\"P\",\"kind\":\"LOAD_TRANSFER\",\"k\\u0069nd\":\"EMERGENCY\",\"steps\":[]}", "kind"),
        (
            "{\"id\":\"{\\\"id\",\"kind\":\"LOAD_TRANSFER\",\"policy\":{\"outage_notice\":true,\"outage_notice\":true},\"steps\":[]}",
            "policy.outage_notice"
        ),
    ]) func aFieldThatStandsTwiceIsRefused(text: String, path: String) {
        #expect(mistakes(text) == ["\(path): stands twice: which of the two is meant is not said"])
    }

    @Test func namesOfDifferentObjectsAreNoRepetition() throws {
        let text = """
            {"id":"a","kind":"LOAD_TRANSFER","steps":[{"action":"text","element":"a,\\"b"},{"action":"text","element":"id"}],
             "policy":{},"author":"id"}
            """
        #expect(try PlanDocument.decode(Array(text.utf8)).steps.count == 2)
    }

    @Test(arguments: [
        ("\"hold_hours\":true", "hold_hours: expected a number of hours"),
        ("\"policy\":{\"outage_notice\":1}", "got 1"),
        (
            "\"steps\":[{\"sequence\":true,\"action\":\"text\"}]",
            "steps[0].sequence: expected a whole number from 1, got true"
        ),
        ("\"author\":5", "author: expected text"), ("\"id\":\" \"", "id: expected text"),
        ("\"steps\":[{\"action\":\"open\",\"element\":\"S\",\"phases\":\"AA\"}]", "letters of ABC, each once"),
        ("\"steps\":[{\"action\":\"open\",\"element\":\"S\",\"phases\":\"N\"}]", "letters of ABC, each once"),
        ("\"steps\":[{\"action\":\"remove_tag\",\"element\":\"S\",\"value\":\"hold\"}]", "HOLD or HOTLINE"),
        ("\"steps\":[{\"action\":\"verify\",\"element\":\"S\",\"value\":\"patroled\"}]", "expected patrolled"),
        ("\"steps\":[{\"action\":\"issue_clearance\",\"element\":\"S\"}]", "the holder of the clearance, got nothing"),
        (
            "\"steps\":[{\"action\":\"issue_clearance\",\"element\":\"S\",\"value\":\" \"}]",
            "the holder of the clearance"
        ),
        (
            "\"initial_switch_states\":[{\"element\":\"S\",\"state\":\"open\"},{\"element\":\"S\",\"state\":\"closed\"}]",
            "initial_switch_states[1].element: S stands already above"
        ),
    ]) func whatIsOfAnotherTypeOrSaysTwoThingsIsRefused(field: String, told: String) {
        var fields = ["\"id\":\"P\"", "\"kind\":\"LOAD_TRANSFER\"", "\"steps\":[]"]
        let name = field.prefix { $0 != ":" }
        fields.removeAll { $0.hasPrefix(name) }
        let found = mistakes("{\((fields + [field]).joined(separator: ","))}")
        #expect(found.contains { $0.contains(told) }, "\(found)")
        #expect(mistakes("{\(fields.joined(separator: ",")),\"hold_hours\":null}").allSatisfy { !$0.contains("hold") })
    }
}
