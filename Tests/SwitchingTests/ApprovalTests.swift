import Foundation
import GridModel
import Switching
import Testing

@Suite struct ApprovalTests {
    let now = WorkedCase.start

    // MARK: Lifecycle

    @Test func everyPairThatIsNotInTheTableIsRefused() {
        let table: [PlanState: [PlanLifecycle.Event: PlanState]] = [
            .draft: [.edit: .draft, .approve: .approved, .cancel: .cancelled],
            .approved: [.edit: .draft, .issue: .executing, .evidenceChanged: .recheck, .cancel: .cancelled],
            .recheck: [.edit: .draft, .approve: .approved, .cancel: .cancelled],
            .executing: [
                .issue: .executing, .executed: .executing, .completed: .completed, .evidenceChanged: .hold,
                .foundOtherwise: .hold, .cancel: .cancelled,
            ],
            .hold: [
                .approve: .executing, .executed: .hold, .completed: .completed, .foundOtherwise: .hold,
                .cancel: .cancelled,
            ],
        ]
        for state in PlanState.allCases {
            for event in PlanLifecycle.Event.allCases {
                switch PlanLifecycle.outcome(of: event, in: state) {
                case .moved(let next): #expect(table[state]?[event] == next, "\(event) in \(state)")
                case .refused(let reason):
                    #expect(table[state]?[event] == nil, "\(event) in \(state)")
                    #expect(!reason.isEmpty)
                }
            }
        }
    }

    // MARK: Overrides

    private func finding(_ severity: Finding.Severity, _ check: String = "H1", value: Double? = 105) -> Finding {
        Finding(check, step: 2, severity, elements: ["L"], value: value, limit: 100, "told")
    }

    private func given(
        _ finding: Finding, _ role: Override.Role, _ actor: String, age: Double = 60, value: Double?? = nil
    ) -> Override {
        Override(
            key: finding.key, role: role, actor: actor, reason: "known", givenAt: now - age, expiresAt: now + 3600,
            value: value ?? finding.value)
    }

    private func severity(_ finding: Finding, _ overrides: Override...) -> Finding.Severity {
        Override.apply(overrides, to: [finding], at: now)[0].severity
    }

    @Test func aSoftBlockNeedsASupervisorAndAnEngineerWhoAreTwo() {
        let soft = finding(.blockSoft)
        let (sue, ed) = (given(soft, .supervisor, "sue"), given(soft, .engineer, "ed"))
        #expect(severity(soft, sue, ed) == .condition)
        #expect(severity(soft, sue) == .blockSoft)
        #expect(severity(soft, ed) == .blockSoft)
        #expect(severity(soft, sue, given(soft, .engineer, "Sue")) == .blockSoft)
        #expect(severity(soft, sue, given(soft, .supervisor, "ed")) == .blockSoft)
        #expect(severity(soft, sue, given(soft, .field, "ed")) == .blockSoft)
        // For exactly this finding, as it was.
        #expect(severity(soft, sue, given(finding(.blockSoft, "H2"), .engineer, "ed")) == .blockSoft)
        #expect(severity(finding(.blockSoft, value: 110), sue, ed) == .blockSoft)
        #expect(severity(finding(.blockSoft, value: 106), sue, ed) == .condition)
        #expect(severity(soft, sue, given(soft, .engineer, "ed", age: -10)) == .blockSoft)
        #expect(Override.apply([sue, ed], to: [soft], at: now + 7200)[0].severity == .blockSoft)
    }

    @Test func aHardBlockIsNeverOverridden() {
        for check in ["S2", "T4", "T9", "H1", "LF"] {
            let hard = finding(.blockHard, check)
            let all = Override.Role.allCases.map { given(hard, $0, $0.rawValue) }
            #expect(Override.apply(all, to: [hard], at: now) == [hard])
            #expect(Override.Role.allCases.allSatisfy { Override.refusal(of: hard, role: $0) != nil })
        }
    }

    @Test func anUnknownNeedsOneWhoLooksAndOnlyWhereLookingHelps() {
        let position = finding(.unknown, "T1", value: nil)
        #expect(severity(position, given(position, .field, "pat")) == .condition)
        #expect(severity(position, given(position, .field, "pat", age: 901)) == .unknown)
        #expect(severity(position, given(position, .supervisor, "sue"), given(position, .engineer, "ed")) == .unknown)
        // Without measurements, register or load flow there is no number to judge by.
        for check in ["X2", "T4", "LF", "P3", "C2"] {
            let missing = finding(.unknown, check, value: nil)
            #expect(severity(missing, given(missing, .field, "pat")) == .unknown)
        }
    }

    /// Whatever people add, a verdict gets no better than approved with conditions.
    @Test func overridesNeverMakeAnApprovalWithoutConditions() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let findings = (0..<4).map { number in
                Finding(
                    ["H1", "T1", "X2", "S4", "V1"].randomElement(using: &random) ?? "H1", step: number,
                    Finding.Severity.allCases.randomElement(using: &random) ?? .unknown, "told")
            }
            let overrides = findings.flatMap { item in
                Override.Role.allCases.map { given(item, $0, $0.rawValue, value: .some(nil)) }
            }
            let before = Verdict.Decision(findings.map(\.severity))
            let after = Verdict.Decision(Override.apply(overrides, to: findings, at: now).map(\.severity))
            #expect(after <= before)
            #expect(before <= .approveWithConditions ? after == before : after >= .approveWithConditions)
        }
    }

    // MARK: Evidence

    private func evidence(_ plan: SwitchingPlan, _ snapshot: GridSnapshot) throws -> Verdict.Evidence {
        let validator = PlanValidator(try WorkedCase.network(), limits: WorkedCase.limits(), software: "test")
        return validator.evidence(plan, snapshot)
    }

    private static let transfer = SwitchingPlan(
        id: "x", kind: .loadTransfer, author: "kim", policy: .init(allowTransientOutage: true),
        steps: [.init(sequence: 1, action: .open, element: "R-A"), .init(sequence: 2, action: .close, element: "T")])

    /// Each trigger alone.
    @Test func whateverChangesIsNamed() throws {
        let network = try WorkedCase.network()
        var base = WorkedCase.snapshot(network)
        base.headWatts = ["A1": 3_500_000, "B1": 4_000_000]
        let plan = Self.transfer
        let old = try evidence(plan, base)
        func reasons(
            share: Double = 0.1, isSwitching: Bool = false, _ change: (inout GridSnapshot) -> Void
        ) throws -> [String] {
            var snapshot = base
            change(&snapshot)
            return EvidenceChange.reasons(
                from: old, to: try evidence(plan, snapshot), ratings: ["A1": 8_000_000, "B1": 7_000_000], share: share,
                isSwitching: isSwitching)
        }
        #expect(try reasons { _ in } == [])
        #expect(try reasons { $0.positions[0] = .unknown }.first?.contains("switch has moved") == true)
        #expect(try reasons { $0.tags = [.init(element: "T", kind: "HOLD")] }.first?.contains("tags") == true)
        #expect(try reasons { $0.grounds = ["A1b"] }.count == 1)
        #expect(try reasons { $0.clearances = [.init(element: "A1b", holder: "c")] }.count == 1)
        #expect(try reasons { $0.reclosingDisabled = ["R-A"] }.count == 1)
        #expect(try reasons { $0.networkRevision = "2" }.first?.contains("revision 2") == true)
        let advisory = GridSnapshot.ActiveAdvisory(
            id: "adv", kind: .voltageHigh, severity: .medium, feeder: "B1", element: "T-B")
        #expect(try reasons { $0.advisories = [advisory] }.first?.contains("adv came") == true)
        var note = advisory
        note.severity = .note
        #expect(try reasons { $0.advisories = [note] } == [])
        let other = GridSnapshot.OpenPlan(
            id: "O", state: "approved", elements: ["R-B"], feeders: ["B1"], from: now, until: now + 3600,
            isOpenEnded: false)
        #expect(try reasons { $0.openPlans = [other] }.first?.contains("other plans") == true)
        #expect(try reasons { $0.headWatts["A1"] = 4_290_000 } == [])
        #expect(try reasons { $0.headWatts["A1"] = 4_310_000 }.first?.contains("A1 carries 4.31 MW") == true)
        #expect(try reasons { $0.headWatts["B1"] = nil }.first?.contains("not known") == true)
        #expect(try reasons(isSwitching: true) { $0.headWatts["A1"] = 0 } == [])
        var edited = plan
        edited.purpose = "other"
        #expect(edited.hash != plan.hash)
        let text = plan.document
        #expect(try PlanDocument.decode(Array(text.utf8)).document == text)
    }

    /// States alone look the same when something came and went between two looks.
    @Test func whatCameAndWentIsNamed() throws {
        let network = try WorkedCase.network()
        var base = WorkedCase.snapshot(network)
        base.activity = .init(moves: ["R-A": 4, "T": 2, "HV-TIE": 7], advisories: ["A1": 3, "far": 1], register: 9)
        let plan = Self.transfer
        let old = try evidence(plan, base)
        func reasons(
            issued: Set<String> = [], _ change: (inout GridSnapshot.Activity) -> Void
        ) throws -> [String] {
            var snapshot = base
            if var activity = snapshot.activity {
                change(&activity)
                snapshot.activity = activity
            }
            return EvidenceChange.reasons(
                from: old, to: try evidence(plan, snapshot), ratings: [:], share: 0.1, issued: issued)
        }
        #expect(try reasons { _ in } == [])
        #expect(try reasons { $0.moves["HV-TIE"] = 9 } == ["a switch has moved outside the plan, and back"])
        #expect(try reasons { $0.moves["new"] = 2 }.count == 1)
        #expect(try reasons { $0.moves["T"] = 4 } == ["T has moved, and back"])
        #expect(try reasons(issued: ["T"]) { $0.moves["T"] = 4 } == [])
        #expect(try reasons { $0.advisories["A1"] = 5 } == ["an advisory came and went"])
        #expect(try reasons { $0.register = 11 }.count == 1)
        // A verdict of before anything was counted says nothing of what happened since.
        var snapshot = base
        snapshot.activity = nil
        let uncounted = try evidence(plan, snapshot)
        let since = EvidenceChange.reasons(from: uncounted, to: old, ratings: [:], share: 0.1)
        #expect(since.count == 1)
    }

    @Test func aConditionIsMetForTheValueThatWasSeenAndNoOther() throws {
        func condition(_ value: Double?) throws -> Condition {
            let finding = Finding("X2", .condition, elements: ["A1"], value: value, limit: 50, unit: "%", "told")
            return try #require(
                Condition.of(
                    Verdict(
                        plan: "x", planHash: "", assessedAt: now, validUntil: nil,
                        evidence: try evidence(Self.transfer, WorkedCase.snapshot(try WorkedCase.network())),
                        findings: [finding], notRun: [], steps: [])
                ).first)
        }
        #expect(try condition(28).key == condition(0).key)
        #expect(try condition(28.5).isSame(as: 28))
        #expect(try !condition(0).isSame(as: 28))
        #expect(try !condition(28).isSame(as: nil))
        #expect(try condition(nil).isSame(as: nil))
    }

    // MARK: Execution

    /// The rest of a plan, judged from the state that the first step left, is judged as it was in the whole plan.
    @Test func theRestIsJudgedAsPartOfTheWhole() throws {
        let network = try WorkedCase.network()
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        let whole = WorkedCase.snapshot(network)
        let before = validator.validate(Self.transfer, whole)
        var after = whole.applying(Self.transfer.steps[0], of: Self.transfer, executed: [], network)
        let rest = validator.validate(Self.transfer, after, executed: [.init(sequence: 1, before: .closed)])
        #expect(rest.verdict == before.verdict)
        #expect(rest.steps == before.steps)
        #expect(rest.findings.filter { $0.step == 2 }.map(\.key) == before.findings.filter { $0.step == 2 }.map(\.key))
        #expect(!rest.findings.contains { $0.step == 1 })
        // Found in another position than it was left in: stop.
        after.positions[network.switches.firstIndex { $0.id == "R-A" } ?? 0] = .closed
        let wrong = validator.validate(Self.transfer, after, executed: [.init(sequence: 1, before: .closed)])
        #expect(wrong.verdict == .reject)
        #expect(wrong.findings.contains { $0.check == "T2" && $0.severity == .blockHard && $0.elements == ["R-A"] })
        // A switch on its way by an issued step counts as where it was.
        let moving = whole.applying(Self.transfer.steps[0], of: Self.transfer, executed: [], network)
        let masked = moving.masking([(step: Self.transfer.steps[0], before: .closed)], network)
        #expect(masked.switchStateHash == whole.switchStateHash)
    }

    /// A switch is intermediate until all its poles have moved, and the plan that moves them goes on knowing which have.
    @Test func polesThatStandApartAreIntermediateToEverybodyElse() throws {
        let network = try WorkedCase.network(of: "D18-blocked")
        let place = try #require(network.switches.firstIndex { $0.id == "POLE" })
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        let path = WorkedCase.folder.appending(path: "D18-blocked/plan.json")
        let plan = try PlanDocument.decode(Array(Data(contentsOf: path)))
        var snapshot = WorkedCase.snapshot(network, load: 1.16, pv: 0)
        let whole = validator.validate(plan, snapshot)
        var executed: [ExecutedStep] = []
        for (step, expected) in zip(
            plan.steps, [.closed, .intermediate, .intermediate, .open, .open] as [SwitchPosition])
        {
            let before = snapshot.positions[place]
            snapshot = snapshot.applying(step, of: plan, executed: executed, network)
            executed.append(ExecutedStep(sequence: step.sequence, before: before))
            #expect(snapshot.positions[place] == expected)
            // What the plan has made dead does not make it concern other feeders.
            let feeders = validator.feeders(touchedBy: plan, positions: snapshot.positions, executed: executed)
            #expect(feeders == ["A1"])
            let rest = validator.validate(plan, snapshot, executed: executed)
            #expect(rest.steps == whole.steps && rest.verdict <= whole.verdict)
            // Who knows nothing of the plan does not know where the switch stands.
            var other = plan
            other.steps = [.init(sequence: 1, action: .open, element: "R-A")]
            let isKnown = !validator.validate(other, snapshot).findings.contains { $0.check == "T1" }
            #expect(isKnown == (expected != .intermediate))
        }
        // Somebody has closed it meanwhile.
        snapshot.positions[place] = .closed
        let wrong = validator.validate(plan, snapshot, executed: executed)
        #expect(wrong.findings.contains { $0.check == "T2" && $0.severity == .blockHard })
    }

    /// D28: another approved order reserves R-B in an overlapping window.
    @Test func plansThatShareADeviceOrAFeederDoNotOverlap() throws {
        let network = try WorkedCase.network()
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        var snapshot = WorkedCase.snapshot(network)
        var plan = Self.transfer
        plan.plannedStart = now + 5400
        func conflict(_ elements: Set<String>, _ feeders: Set<String>, _ from: Double, _ until: Double) -> Finding? {
            snapshot.openPlans = [
                .init(
                    id: "O-88", state: "approved", elements: elements, feeders: feeders, from: now + from,
                    until: now + until, isOpenEnded: false)
            ]
            return validator.validate(plan, snapshot).findings.first { $0.check == "X3" }
        }
        #expect(conflict(["R-A"], [], 3600, 7200)?.severity == .blockSoft)
        #expect(conflict(["R-B"], ["B1"], 3600, 7200)?.elements == ["B1"])
        #expect(conflict(["R-A"], ["A1"], 0, 5400) == nil)
        #expect(conflict(["elsewhere"], ["C1"], 0, 9000) == nil)
        snapshot.openPlans[0].id = plan.id
        #expect(!validator.validate(plan, snapshot).findings.contains { $0.check == "X3" })
    }
}
