import GridModel
import Testing

/// The transitions of the rules (C.2), each with its number; whatever is not here is refused.
@Suite struct AdvisoryLifecycleTests {
    typealias Event = AdvisoryLifecycle.Event
    typealias State = AdvisoryState

    private struct Row: Sendable {
        var number: Int
        var from: [State?]
        var event: Event
        /// `nil`: from both.
        var active: Bool?
        var to: @Sendable (State?, Bool) -> State
        var isActive: @Sendable (Bool) -> Bool = { $0 }
        var type: String
        var isLatching: Bool?
    }

    private static let hour = 3600.0
    private static let open: [State?] = State.allCases.filter(\.isOpen)
    private static let held: [State?] = [.shelved, .suppressed, .outOfService]

    @Sendable
    private static func back(_ state: State?, _ isActive: Bool) -> State {
        isActive ? .unacknowledgedActive : .closed
    }

    /// States whose condition can only hold, or can only be over.
    private static func canBe(_ state: State?, active: Bool) -> Bool {
        switch state {
        case .unacknowledgedActive, .acknowledgedActive: active
        case .shelved, .suppressed, .outOfService: true
        default: !active
        }
    }

    private static let rows: [Row] = [
        Row(
            number: 1, from: [nil, .closed, .unacknowledgedCleared, .latchedUnacknowledged, .latchedAcknowledged],
            event: .start,
            to: { _, _ in .unacknowledgedActive }, isActive: { _ in true }, type: "raised"),
        Row(
            number: 2, from: [.unacknowledgedActive], event: .acknowledge(version: nil),
            to: { _, _ in .acknowledgedActive }, type: "acknowledged"),
        Row(
            number: 3, from: [.unacknowledgedActive], event: .clear, to: { _, _ in .unacknowledgedCleared },
            isActive: { _ in false }, type: "cleared", isLatching: false),
        Row(
            number: 4, from: [.unacknowledgedActive], event: .clear, to: { _, _ in .latchedUnacknowledged },
            isActive: { _ in false }, type: "cleared", isLatching: true),
        Row(
            number: 5, from: [.acknowledgedActive], event: .clear, to: { _, _ in .closed }, isActive: { _ in false },
            type: "cleared", isLatching: false),
        Row(
            number: 6, from: [.acknowledgedActive], event: .clear, to: { _, _ in .latchedAcknowledged },
            isActive: { _ in false }, type: "cleared", isLatching: true),
        Row(
            number: 7, from: [.unacknowledgedActive, .acknowledgedActive], event: .severityRose(to: .high),
            to: { _, _ in .unacknowledgedActive }, type: "updated"),
        Row(
            number: 8, from: [.acknowledgedActive], event: .reAlarm, to: { _, _ in .unacknowledgedActive },
            type: "updated"),
        Row(
            number: 9, from: [.unacknowledgedCleared], event: .acknowledge(version: nil), to: { _, _ in .closed },
            type: "closed"),
        Row(number: 11, from: [.unacknowledgedCleared], event: .autoClose, to: { _, _ in .closed }, type: "closed"),
        Row(
            number: 12, from: [.latchedUnacknowledged], event: .acknowledge(version: nil),
            to: { _, _ in .latchedAcknowledged }, type: "acknowledged"),
        Row(number: 14, from: [.latchedAcknowledged], event: .reset, to: { _, _ in .closed }, type: "closed"),
        Row(
            number: 16, from: [.unacknowledgedActive, .acknowledgedActive, .unacknowledgedCleared],
            event: .shelve(seconds: hour), to: { _, _ in .shelved }, type: "shelved"),
        Row(number: 17, from: [.shelved], event: .unshelve, to: back, type: "unshelved"),
        Row(number: 18, from: [.shelved], event: .holdEnded, to: back, type: "unshelved"),
        Row(
            number: 19, from: open.filter { $0 != .outOfService && $0 != .suppressed }, event: .suppress,
            to: { _, _ in .suppressed }, type: "updated"),
        Row(number: 20, from: [.suppressed], event: .unsuppress, active: true, to: back, type: "raised"),
        Row(number: 20, from: [.suppressed], event: .unsuppress, active: false, to: back, type: "closed"),
        Row(
            number: 21, from: open.filter { $0 != .outOfService }, event: .takeOutOfService(seconds: hour),
            to: { _, _ in .outOfService }, type: "updated"),
        Row(number: 22, from: [.outOfService], event: .returnToService, active: true, to: back, type: "raised"),
        Row(number: 22, from: [.outOfService], event: .returnToService, active: false, to: back, type: "closed"),
        Row(number: 22, from: [.outOfService], event: .holdEnded, active: true, to: back, type: "raised"),
        Row(number: 22, from: [.outOfService], event: .holdEnded, active: false, to: back, type: "closed"),
        Row(number: 23, from: open + [.closed], event: .comment, to: { state, _ in state ?? .closed }, type: "updated"),
        Row(
            number: 24, from: [.unacknowledgedActive, .acknowledgedActive], event: .amended,
            to: { state, _ in state ?? .closed }, type: "updated"),
        Row(
            number: 24, from: [.unacknowledgedActive, .acknowledgedActive], event: .severityFell,
            to: { state, _ in state ?? .closed }, type: "updated"),
        Row(number: 25, from: open, event: .remove, to: { _, _ in .closed }, isActive: { _ in false }, type: "closed"),
        // Silenced, and followed all the same.
        Row(
            number: 0, from: held, event: .start, active: false, to: { state, _ in state ?? .closed },
            isActive: { _ in true }, type: "updated"),
        Row(
            number: 0, from: held, event: .clear, active: true, to: { state, _ in state ?? .closed },
            isActive: { _ in false }, type: "cleared"),
        Row(
            number: 0, from: held, event: .amended, active: true, to: { state, _ in state ?? .closed }, type: "updated"),
        Row(
            number: 0, from: held, event: .severityFell, active: true, to: { state, _ in state ?? .closed },
            type: "updated"),
        Row(
            number: 0, from: held, event: .severityRose(to: .high), active: true, to: { state, _ in state ?? .closed },
            type: "updated"),
    ]

    private static let events: [Event] = [
        .start, .severityRose(to: .high), .severityFell, .amended, .clear, .acknowledge(version: nil), .reset,
        .shelve(seconds: hour), .unshelve, .takeOutOfService(seconds: hour), .returnToService, .comment, .holdEnded,
        .reAlarm, .autoClose, .suppress, .unsuppress, .remove,
    ]

    @Test func everyPairIsInTheTableOrRefused() {
        var moved = 0
        for state in [nil] + State.allCases.map(Optional.some) {
            for isActive in [false, true] where Self.canBe(state, active: isActive) {
                for isLatching in [false, true] {
                    for event in Self.events {
                        // Re-alarm is for 1 and 2, closing by itself for 3 and 4.
                        let severity: Severity = event == .reAlarm ? .high : .medium
                        let situation = AdvisorySituation(
                            state: state, isActive: isActive, severity: severity, isLatching: isLatching)
                        let outcome = AdvisoryLifecycle.outcome(of: event, in: situation)
                        let row = Self.rows.first {
                            $0.from.contains(state) && $0.event == event && ($0.active ?? isActive) == isActive
                                && ($0.isLatching ?? isLatching) == isLatching
                        }
                        if let row {
                            moved += 1
                            #expect(
                                outcome
                                    == .moved(
                                        .init(row.to(state, isActive), isActive: row.isActive(isActive), row.type)),
                                "\(row.number): \(event) in \(String(describing: state)), active \(isActive)")
                        } else if case .moved = outcome {
                            Issue.record(
                                "\(event) in \(String(describing: state)), active \(isActive), must be refused")
                        }
                    }
                }
            }
        }
        #expect(moved > 100)
        #expect(Set(Self.rows.map(\.number)).isSuperset(of: Set(1...25).subtracting([10, 13, 15])))
    }

    private func isRefused(_ event: Event, _ situation: AdvisorySituation, _ role: Role? = nil) -> Bool {
        if case .refused = AdvisoryLifecycle.outcome(of: event, in: situation, by: role) { return true }
        return false
    }

    @Test func severityLimitsShelvingReAlarmAndClosing() {
        func at(_ severity: Severity, _ state: State = .unacknowledgedActive) -> AdvisorySituation {
            .init(state: state, isActive: state != .unacknowledgedCleared, severity: severity)
        }
        #expect(isRefused(.shelve(seconds: 1), at(.urgent)))
        #expect(isRefused(.shelve(seconds: 3601), at(.high)) && !isRefused(.shelve(seconds: 3600), at(.high)))
        #expect(isRefused(.shelve(seconds: 8 * 3600 + 1), at(.note)) && isRefused(.shelve(seconds: 0), at(.note)))
        #expect(isRefused(.reAlarm, at(.medium, .acknowledgedActive)))
        #expect(isRefused(.autoClose, at(.high, .unacknowledgedCleared)))
        #expect(isRefused(.takeOutOfService(seconds: 31 * 86_400), at(.note)))
        // Nobody may have silenced what becomes urgent.
        #expect(
            AdvisoryLifecycle.outcome(of: .severityRose(to: .urgent), in: at(.high, .shelved))
                == .moved(.init(.unacknowledgedActive, isActive: true, "unshelved")))
    }

    @Test func anAcknowledgementOfAMilderVersionIsRefused() {
        let now = AdvisorySituation(state: .unacknowledgedActive, isActive: true, version: 3, lastRise: 2)
        #expect(isRefused(.acknowledge(version: 1), now) && isRefused(.acknowledge(version: 4), now))
        #expect(!isRefused(.acknowledge(version: 2), now))
    }

    /// Each act × each role.
    @Test func rolesMayDoWhatTheTableSays() {
        let active = AdvisorySituation(state: .unacknowledgedActive, isActive: true)
        var high = active
        high.severity = .high
        let latched = AdvisorySituation(state: .latchedAcknowledged, isLatching: true)
        var guarded = latched
        guarded.isGuarded = true
        let shelved = AdvisorySituation(state: .shelved, isActive: true)
        let out = AdvisorySituation(state: .outOfService)
        let table: [(Event, AdvisorySituation, Set<Role>)] = [
            (.acknowledge(version: nil), active, [.operator, .supervisor]),
            (.shelve(seconds: 60), active, [.operator, .supervisor]), (.shelve(seconds: 60), high, [.supervisor]),
            (.unshelve, shelved, [.operator, .supervisor]), (.reset, latched, [.operator, .supervisor]),
            (.reset, guarded, [.supervisor, .engineer]), (.takeOutOfService(seconds: 60), active, [.supervisor]),
            (.returnToService, out, [.engineer, .supervisor]), (.comment, active, Set(Role.allCases)),
            (.start, AdvisorySituation(state: nil), []), (.remove, active, []), (.suppress, active, []),
        ]
        for (event, situation, allowed) in table {
            #expect(!isRefused(event, situation))
            for role in Role.allCases {
                #expect(isRefused(event, situation, role) != allowed.contains(role), "\(event) by \(role)")
            }
        }
    }
}

/// One cause, one advisory (C.4).
@Suite struct AdvisoryTreeTests {
    private func node(
        _ id: String, _ kind: AdvisoryKind, _ detector: String, _ feeder: String, _ element: String,
        _ severity: Severity = .medium, cause: String? = nil
    ) -> AdvisoryTree.Node {
        .init(
            id: id, kind: kind, detector: detector, feeder: feeder, element: element, severity: severity, cause: cause)
    }

    private var sunny: [AdvisoryTree.Node] {
        [
            node("head1", .reversePower, "RPF_HEAD", "F1", "FH-F1"),
            node("rise1", .voltageRise, "V_RISE", "F1", "LV1", cause: "der"),
            node("high1", .voltageHigh, "V_HIGH_B", "F1", "LV1", .high),
            node("high2", .voltageHigh, "V_HIGH_A", "F1", "LV2"),
        ]
    }

    @Test func voltageThatDERLiftIsPartOfTheReversePower() {
        let tree = AdvisoryTree(sunny, banks: [:])
        // LV2 has no rise by DER: it may have another cause.
        #expect(tree.parents == ["rise1": "head1", "high1": "head1"])
        // A parent is never milder than what is part of it.
        #expect(tree.severities["head1"] == .high && tree.severities["high2"] == .medium)
        // What is urgent stands alone.
        var urgent = sunny
        urgent[2].severity = .urgent
        #expect(AdvisoryTree(urgent, banks: [:]).parents["high1"] == nil)
        #expect(AdvisoryTree(Array(sunny.dropFirst()), banks: [:]).parents.isEmpty)
    }

    @Test func headsArePartOfTheBankOnceAllOfThemFeedBack() {
        let bank = node("bank", .reversePowerBank, "RPF_BANK_NO3V0", "S1", "S1", .urgent)
        let two = sunny + [bank, node("head2", .reversePower, "RPF_HEAD", "F2", "FH-F2")]
        let all = AdvisoryTree(two, banks: ["S1": ["F1", "F2"]])
        #expect(all.parents["head1"] == "bank" && all.parents["head2"] == "bank" && all.parents["high1"] == "head1")
        #expect(all.severities["bank"] == .urgent)
        #expect(AdvisoryTree(two, banks: ["S1": ["F1", "F2", "F3"]]).parents["head1"] == nil)
        // Three levels: the worst of the lowest reaches the top.
        var mild = two
        mild[4].severity = .medium
        #expect(AdvisoryTree(mild, banks: ["S1": ["F1", "F2"]]).severities["bank"] == .high)
    }

    /// Whoever looks at a feeder, or has it at a desk, does not see the bank: what is serious there asks by itself.
    @Test func aSeriousPartOfWhatIsToldElsewhereAsksForAttentionItself() {
        let bank = node("bank", .reversePowerBank, "RPF_BANK", "S1", "S1")
        var nodes = sunny + [bank, node("head2", .reversePower, "RPF_HEAD", "F2", "FH-F2")]
        let banks: [String: Set<String>] = ["S1": ["F1", "F2"]]
        let tree = AdvisoryTree(nodes, banks: banks)
        // High voltage makes the head's advisory high, at one place: that one asks, once, for both.
        #expect(tree.callers == ["head1"] && tree.stands("head1") && !tree.stands("high1") && !tree.stands("head2"))
        // The bank shows how bad it is, and is not raised a second time for it.
        #expect(tree.severities["bank"] == .high && tree.calls["bank"] == .medium && tree.calls["head1"] == .high)
        // Milder ones are silent, as before.
        nodes[2].severity = .medium
        #expect(AdvisoryTree(nodes, banks: banks).callers.isEmpty)
        // A front names its feeders, and asks the same of all of them: one cause, asked once.
        let front = node("front", .fastRamp, "RAMP_FRONT", "network", "network", .high)
        let ramps = [
            front, node("r1", .fastRamp, "RAMP_UP", "F1", "FH-F1", .high),
            node("r2", .fastRamp, "RAMP_UP", "F2", "FH-F2"),
        ]
        #expect(AdvisoryTree(ramps, banks: [:]).callers.isEmpty)
        #expect(AdvisoryTree(ramps, banks: [:]).parents == ["r1": "front", "r2": "front"])
    }

    @Test func silentDERArePartOfTheSilentFleet() {
        let gaps = [
            node("fleet", .dataGap, "DQ_FLEET_GAP", "F1", "F1/fleet"),
            node("pv", .dataGap, "DQ_GAP", "F1", "PV-1", .note),
            node("head", .dataGap, "DQ_GAP", "F1", "FH-F1"), node("other", .dataGap, "DQ_GAP", "F2", "PV-2", .note),
        ]
        #expect(AdvisoryTree(gaps, banks: [:]).parents == ["pv": "fleet"])
    }
}
