import GridModel
import Switching
import Testing

/// A seeded generator, so that a failure can be had again.
struct Dice: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct VerdictTests {
    @Test func addingAFindingNeverImprovesAndOrderNeverMatters() {
        var dice = Dice(state: 1)
        for _ in 0..<2000 {
            let findings = (0..<Int.random(in: 0...6, using: &dice)).map { _ in
                Finding.Severity.allCases.randomElement(using: &dice)!
            }
            let verdict = Verdict.Decision(findings)
            for more in Finding.Severity.allCases { #expect(Verdict.Decision(findings + [more]) >= verdict) }
            #expect(Verdict.Decision(findings.shuffled(using: &dice)) == verdict)
            if findings.contains(.unknown) { #expect(verdict >= .cannotAssess) }
        }
        #expect(Verdict.Decision([]) == .approve)
        #expect(Verdict.Decision([.unknown, .blockSoft]) == .reject)
        #expect(Verdict.Decision([.condition, .unknown]) == .cannotAssess)
    }

    /// Whatever the plan and whatever is not known: no crash, and no approval on any unknown.
    @Test func nothingUnknownIsEverApproved() throws {
        let network = try WorkedCase.network()
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        var dice = Dice(state: 20_261_125)
        let names = network.switches.map(\.id) + network.lines.map(\.id) + network.nodes.map(\.id) + ["nobody", ""]
        var counts: [Verdict.Decision: Int] = [:]
        for number in 0..<600 {
            let steps = (1...Int.random(in: 1...5, using: &dice)).map { sequence in
                SwitchingPlan.Step(
                    sequence: sequence, action: .allCases.randomElement(using: &dice)!,
                    element: names.randomElement(using: &dice)!,
                    phases: Int.random(in: 0..<20, using: &dice) == 0 ? "A" : "ABC",
                    value: [nil, "HOLD", "X"].randomElement(using: &dice)!,
                    freeGroup: Int.random(in: 0..<4, using: &dice) == 0 ? "g" : nil)
            }
            let plan = SwitchingPlan(
                id: "\(number)", kind: .allCases.randomElement(using: &dice)!,
                policy: .init(
                    allowTransientLoop: .random(using: &dice), allowTransientOutage: .random(using: &dice),
                    outageNotice: .random(using: &dice)),
                steps: steps)
            var snapshot = WorkedCase.snapshot(network)
            let what = Int.random(in: 0..<4, using: &dice)
            let place = Int.random(in: 0..<network.switches.count, using: &dice)
            switch what {
            case 0: snapshot.positions[place] = [.unknown, .intermediate].randomElement(using: &dice)!
            case 1: snapshot.loadWatts[Int.random(in: 4..<network.nodes.count, using: &dice)] = .nan
            case 2:
                // Far beyond what can be carried: there is no solution.
                snapshot.loadWatts[5] = 1e9
            default: break
            }
            let verdict = validator.validate(plan, snapshot)
            counts[verdict.verdict, default: 0] += 1
            #expect(verdict.verdict == Verdict.Decision(verdict.findings.map(\.severity)))
            // The position matters to whoever does something in this network; here every switch is near.
            let acts = steps.contains { step in
                step.action.movesSwitch && network.switches.contains { $0.id == step.element }
            }
            if what == 1 || what == 0 && acts || what == 2 && plan.kind != .emergency {
                #expect(verdict.verdict >= .cannotAssess, "\(plan) \(what)")
            }
        }
        print("random plans: \(counts.map { "\($0.key.rawValue) \($0.value)" }.sorted().joined(separator: ", "))")
        #expect(counts[.approve] != nil && counts[.cannotAssess] != nil && counts[.reject] != nil)
    }

    @Test func everyOrderOfAFreeGroupIsChecked() throws {
        let network = try WorkedCase.network()
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        func plan(_ group: String?) -> SwitchingPlan {
            .init(
                id: "free", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
                steps: [
                    .init(sequence: 1, action: .close, element: "T", freeGroup: group),
                    .init(sequence: 2, action: .open, element: "R-A", freeGroup: group),
                ])
        }
        let snapshot = WorkedCase.snapshot(network, load: 0.6, pv: 0)
        #expect(validator.validate(plan(nil), snapshot).verdict == .approveWithConditions)
        // The other order leaves A1b dead in between, which the plan does not declare.
        let free = validator.validate(plan("g"), snapshot)
        #expect(free.verdict == .reject)
        #expect(free.findings.contains { $0.check == "T7" && $0.severity == .blockSoft && $0.step == 2 })
        let many = SwitchingPlan(
            id: "many", kind: .loadTransfer,
            steps: (1...6).map { .init(sequence: $0, action: .verify, element: "T", freeGroup: "g") })
        #expect(validator.validate(many, snapshot).verdict == .cannotAssess)
    }

    @Test func thePlansHashTellsPlansApart() {
        let step = SwitchingPlan.Step(sequence: 1, action: .open, element: "S")
        let plan = SwitchingPlan(id: "a", kind: .loadTransfer, steps: [step])
        var other = plan
        other.purpose = "told otherwise"
        // Whatever is edited makes it another plan.
        #expect(other.hash != plan.hash && plan.hash.count == 64)
        other.steps[0].action = .close
        #expect(other.hash != plan.hash)
        other = plan
        other.policy.allowTransientLoop = true
        #expect(other.hash != plan.hash)
    }
}
