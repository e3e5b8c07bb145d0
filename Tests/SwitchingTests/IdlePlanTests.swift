import Foundation
import GridModel
import Switching
import Testing

/// A plan that changes nothing of the network is not refused for what the network is without it.
@Suite struct IdlePlanTests {
    private typealias Step = SwitchingPlan.Step

    /// Each as a person would write it: a note, a tag, a look, reclosing off and on again, and all of them together.
    private static func idle(_ element: String) -> [[Step]] {
        let one: [[Step]] = [
            [.init(sequence: 1, action: .text, element: "tell the crew")],
            [.init(sequence: 1, action: .placeTag, element: element, value: "HOLD")],
            [.init(sequence: 1, action: .placeTag, element: element, value: "HOTLINE")],
            [.init(sequence: 1, action: .verify, element: element)],
            [
                .init(sequence: 1, action: .disableReclosing, element: element),
                .init(sequence: 2, action: .enableReclosing, element: element),
            ],
        ]
        let all = one.prefix(2).joined().map(\.self) + one[4]
        return one
            + [
                all.enumerated().map { number, step in
                    var step = step
                    step.sequence = number + 1
                    return step
                }, [],
            ]
    }

    /// Far worse than any limit allows, in every way that is judged.
    private static func strict(_ dice: inout Dice) -> SwitchingLimits {
        var limits = WorkedCase.limits()
        limits.mvMaximum = .random(in: 0.9...1.08, using: &dice)
        limits.mvMinimum = .random(in: 0.94...1.05, using: &dice)
        limits.lineLoading = .random(in: 1...120, using: &dice)
        limits.lineEmergency = limits.lineLoading
        limits.transformerLoading = .random(in: 1...120, using: &dice)
        limits.transformerEmergency = limits.transformerLoading
        limits.bankReverse = .random(in: 0...200_000, using: &dice)
        limits.headReverse = .random(in: 1...80, using: &dice)
        limits.encroachmentMaximum = .random(in: 0.05...0.9, using: &dice)
        limits.encroachment = limits.encroachmentMaximum
        return limits
    }

    private static func snapshot(_ network: Network, _ dice: inout Dice) -> GridSnapshot {
        let (load, pv) = (Double.random(in: 0.05...2, using: &dice), Double.random(in: 0...2, using: &dice))
        var snapshot = WorkedCase.snapshot(network, load: load, pv: pv)
        for number in network.switches.indices where Int.random(in: 0..<6, using: &dice) == 0 {
            // Whatever stands so before: dead parts, loops, two sources in parallel.
            snapshot.positions[number] = Bool.random(using: &dice) ? .open : .closed
        }
        snapshot.lightLoadShare = .random(in: 0.1...1, using: &dice)
        for hour in 1...3 {
            let later = WorkedCase.snapshot(network, load: load * .random(in: 0.1...3, using: &dice))
            snapshot.outlook.append(
                .init(time: WorkedCase.start + Double(hour) * 900, watts: later.loadWatts, vars: later.loadVars))
        }
        for kind in AdvisoryKind.allCases where Int.random(in: 0..<4, using: &dice) == 0 {
            snapshot.advisories.append(
                .init(
                    id: kind.rawValue, kind: kind, severity: Severity.allCases.randomElement(using: &dice)!,
                    feeder: ["A1", "B1", "SUB-A"].randomElement(using: &dice)!, element: "e"))
        }
        return snapshot
    }

    @Test(arguments: WorkedCase.names)
    func aPlanThatChangesNothingIsNeverRejected(name: String) throws {
        let network = try WorkedCase.network(of: name)
        var dice = Dice(state: StableSeed.of(name))
        var counts: [Verdict.Decision: Int] = [:]
        for _ in 0..<4 {
            let validator = PlanValidator(network, limits: Self.strict(&dice), software: "test")
            var snapshot = Self.snapshot(network, &dice)
            // Beyond what can be carried there is no solution, and the network is not to blame for that.
            if Int.random(in: 0..<8, using: &dice) == 0 { snapshot.loadWatts[5] = 1e9 }
            for steps in Self.idle(network.switches.randomElement(using: &dice)!.id) {
                let plan = SwitchingPlan(
                    id: "idle", kind: .allCases.randomElement(using: &dice)!, steps: steps)
                let verdict = validator.validate(plan, snapshot)
                counts[verdict.verdict, default: 0] += 1
                let against = verdict.findings.filter { $0.severity > .unknown }
                #expect(against.isEmpty, "\(steps): \(against)")
                #expect(verdict.heals == [])
            }
        }
        #expect(counts[.reject] == nil, "\(counts)")
    }

    /// The shipped network's case: when DER give all they can, the control lowers the voltage, plan or not.
    @Test func whatTapChangersDoByThemselvesIsNotThePlansDoing() throws {
        var network = try WorkedCase.network()
        let place = try #require(network.transformers.firstIndex { $0.id.contains("A") })
        network.transformers[place].tap = .init(
            isOnLowSide: false, neutral: 0, least: -9, most: 9, position: 0, stepPercent: 1.5, isAutomatic: true,
            setPoint: 1, band: 0.01)
        var limits = WorkedCase.limits()
        (limits.mvMaximum, limits.voltageMargin) = (1.0, 0)
        let tag = SwitchingPlan(
            id: "tag", kind: .clearance, steps: [.init(sequence: 1, action: .placeTag, element: "R-A", value: "HOLD")])
        var snapshot = WorkedCase.snapshot(network)
        snapshot.lightLoadShare = 0.2
        let verdict = PlanValidator(network, limits: limits, software: "test").validate(tag, snapshot)
        #expect(verdict.findings.allSatisfy { $0.severity <= .condition }, "\(verdict.findings)")
        #expect(verdict.findings.contains { $0.check == "V2" && $0.severity == .note })
    }

    /// An evening peak on another feeder is there with or without the plan.
    @Test func laterHoursAreComparedWithTheSameHoursWithoutThePlan() throws {
        let network = try WorkedCase.network()
        var snapshot = WorkedCase.snapshot(network, load: 0.3, pv: 0)
        let later = WorkedCase.snapshot(network, load: 1.7, pv: 0)
        snapshot.outlook = [
            .init(time: WorkedCase.start + 900, watts: later.loadWatts, vars: later.loadVars)
        ]
        let validator = PlanValidator(network, limits: WorkedCase.limits(), software: "test")
        // A limit on a DER that gives nothing: the state is another one, and nothing flows otherwise.
        let limit = SwitchingPlan(
            id: "limit", kind: .loadTransfer,
            steps: [.init(sequence: 1, action: .control, element: "PV-B1a", value: "limit_kw 400")])
        let quiet = validator.validate(limit, snapshot)
        #expect(quiet.findings.contains { $0.check == "H3" && $0.severity == .note })
        #expect(!quiet.findings.contains { $0.check == "H3" && $0.severity > .note }, "\(quiet.findings)")
        // An overload that the plan adds is held against it.
        let transfer = SwitchingPlan(
            id: "transfer", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
            steps: [
                .init(sequence: 1, action: .close, element: "T"), .init(sequence: 2, action: .open, element: "R-A"),
            ])
        let moved = validator.validate(transfer, snapshot)
        #expect(moved.findings.contains { $0.check == "H3" && $0.severity >= .blockSoft })
    }

    @Test func aNetworkProtectorThatHadItBeforeIsNotThePlansDoing() throws {
        var network = try WorkedCase.network()
        network.switches[try #require(network.switches.firstIndex { $0.id == "R-B" })].kind = "NETWORK_PROTECTOR"
        let snapshot = WorkedCase.snapshot(network, load: 0.05, pv: 1)
        let tag = SwitchingPlan(
            id: "other", kind: .loadTransfer,
            steps: [.init(sequence: 1, action: .control, element: "PV-A1a", value: "limit_kw 100")])
        let verdict = PlanValidator(network, limits: WorkedCase.limits(), software: "test").validate(tag, snapshot)
        let found = verdict.findings.filter { $0.check == "F3" }
        #expect(!found.isEmpty && found.allSatisfy { $0.severity == .note }, "\(verdict.findings)")
    }
}

/// A number from a name, the same in every run.
enum StableSeed {
    static func of(_ name: String) -> UInt64 {
        name.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }
}

/// A verdict says what gets better, too.
@Suite struct HealTests {
    private func verdict(
        _ plan: SwitchingPlan, _ change: (inout Network) -> Void = { _ in },
        limits adjust: (inout SwitchingLimits) -> Void = { _ in }, load: Double = 1, pv: Double = 1,
        state: (inout GridSnapshot, Network) -> Void = { _, _ in }
    ) throws -> Verdict {
        var network = try WorkedCase.network()
        change(&network)
        var limits = WorkedCase.limits()
        adjust(&limits)
        var snapshot = WorkedCase.snapshot(network, load: load, pv: pv)
        state(&snapshot, network)
        return PlanValidator(network, limits: limits, software: "test").validate(plan, snapshot)
    }

    private var transfer: SwitchingPlan {
        .init(
            id: "transfer", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
            steps: [
                .init(sequence: 1, action: .close, element: "T"), .init(sequence: 2, action: .open, element: "R-A"),
            ])
    }

    @Test func aPlanThatIsRefusedSaysWhatItMakesBetter() throws {
        // A1a carries less when A1b hangs on B, and B1a more; and the loop in between is not declared.
        var plan = transfer
        plan.policy.allowTransientLoop = false
        let verdict = try verdict(plan, limits: { ($0.lineLoading, $0.lineEmergency) = (40, 40) })
        #expect(verdict.verdict == .reject)
        let heal = try #require(verdict.heals?.first { $0.check == "H1" && $0.elements.contains("A1a") })
        #expect(heal.before > 40 && heal.after < heal.before && heal.limit == 40 && heal.unit == "%")
        #expect(heal.remaining == (heal.after > 40 ? 1 : 0) && heal.loadCase == .now)
        #expect(heal.limitSource == "limits.line_loading_pct" && heal.message.contains("A1a"))
        #expect(!(verdict.heals ?? []).contains { $0.elements.contains("B1a") })
        // It comes through JSON as it is; verdicts of before have none, and are read all the same.
        let data = try JSONEncoder().encode(verdict)
        #expect(try JSONDecoder().decode(Verdict.self, from: data) == verdict)
        var fields = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        fields["heals"] = nil
        let old = try JSONDecoder().decode(Verdict.self, from: JSONSerialization.data(withJSONObject: fields))
        #expect(old.heals == nil && old.findings == verdict.findings)
    }

    @Test func fromFarTooHighToNearlyRightIsTold() throws {
        // Night on B, sun on A: the voltage of A's end comes down when B takes it over.
        let verdict = try verdict(
            transfer, limits: { ($0.mvMaximum, $0.voltageMargin) = (1.0, 0) }, load: 0.1, pv: 1)
        let heal = try #require(verdict.heals?.first { $0.check == "V2" && $0.loadCase == .now })
        #expect(heal.before > heal.after && heal.limit == 1.0 && heal.unit == "pu")
        #expect(heal.message.hasPrefix("High voltage at ") && heal.message.contains("before the plan"))
    }

    @Test func customersThatGetTheirSupplyBackAreCounted() throws {
        let close = SwitchingPlan(
            id: "restore", kind: .restoration, steps: [.init(sequence: 1, action: .close, element: "R-A")])
        let verdict = try verdict(close, load: 0.5, pv: 0) { snapshot, network in
            snapshot.positions[network.switches.firstIndex { $0.id == "R-A" }!] = .open
        }
        let heal = try #require(verdict.heals?.first { $0.check == "T7" })
        #expect(heal.before == 800 && heal.after == 0 && heal.unit == "customers" && heal.remaining == 0)
        // Without supply nothing has a voltage that could be better.
        #expect(!(verdict.heals ?? []).contains { $0.check == "V1" && $0.before == 0 })
    }

    @Test func loopsAndWhatIsGroundedAndLive() throws {
        let open = SwitchingPlan(
            id: "open", kind: .loadTransfer, steps: [.init(sequence: 1, action: .open, element: "T")])
        let loop = try verdict(open, load: 0.3, pv: 0) { snapshot, network in
            snapshot.positions[network.switches.firstIndex { $0.id == "T" }!] = .closed
        }
        #expect(loop.heals?.contains { $0.check == "T6" && $0.before > 0 && $0.after == 0 } == true)
        let outage = SwitchingPlan(
            id: "off", kind: .plannedOutage, policy: .init(outageNotice: true),
            steps: [.init(sequence: 1, action: .open, element: "R-A")])
        let dead = try verdict(outage, load: 0.3, pv: 0) { snapshot, _ in snapshot.grounds = ["A1b"] }
        #expect(dead.heals?.contains { $0.check == "T4" && $0.elements == ["A1b"] } == true)
        // People may be there: whatever else the plan does, it is refused.
        #expect(dead.verdict == .reject)
    }

    @Test func whatFeedsBackLessIsTold() throws {
        let limit = SwitchingPlan(
            id: "limit", kind: .loadTransfer,
            steps: [.init(sequence: 1, action: .control, element: "PV-A1b", value: "limit_kw 0")])
        let verdict = try verdict(
            limit, { network in for place in network.feeders.indices { network.feeders[place].ratedAmperes = 20 } },
            load: 0.05, pv: 1)
        let heal = try #require(verdict.heals?.first { $0.check == "F1" && $0.loadCase == .now }, "\(verdict)")
        #expect(heal.before > heal.limit && heal.after < heal.before && heal.unit == "W")
    }

    @Test func onValuesThatAreNotKnownNothingIsSaidToGetBetter() throws {
        let verdict = try verdict(transfer, limits: { ($0.lineLoading, $0.lineEmergency) = (40, 40) }) { snapshot, _ in
            snapshot.doubts = [Finding("X2", .unknown, "The head of A1 is silent.")]
        }
        #expect(verdict.heals == [])
    }
}
