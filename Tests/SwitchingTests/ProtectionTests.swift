import GridModel
import Switching
import Testing

/// Checks of ratings and protection that no worked case of the rules has.
@Suite struct ProtectionTests {
    static let transfer: [SwitchingPlan.Step] = [
        .init(sequence: 1, action: .close, element: "T"), .init(sequence: 2, action: .open, element: "R-A"),
    ]

    struct Change: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var load = 0.6
        var pv = 0.0
        var steps = ProtectionTests.transfer
        var kind = SwitchingPlan.Kind.loadTransfer
        var isOpen: Set<String> = []
        var change: @Sendable (inout Network) -> Void = { _ in }
        var check: String
        var severity: Finding.Severity?
        var element: String
        var step = 2
    }

    private static func on(_ id: String, _ body: @escaping @Sendable (inout Network.Switch) -> Void)
        -> @Sendable (
            inout Network
        ) -> Void
    {
        { network in body(&network.switches[network.switches.firstIndex { $0.id == id }!]) }
    }

    static let changes: [Change] = [
        // 338 A without DER: 60 % of 560 A; 87 % of 400 A; 97 % of 360 A.
        .init(testDescription: "load clear of the pickup", load: 1, check: "R3", severity: nil, element: "CB-B1"),
        .init(
            testDescription: "load near the pickup", load: 1, change: on("CB-B1") { $0.relay?.phasePickup = 400 },
            check: "R3", severity: .condition, element: "CB-B1"),
        .init(
            testDescription: "load at the pickup", load: 1, change: on("CB-B1") { $0.relay?.phasePickup = 360 },
            check: "R3", severity: .blockSoft, element: "CB-B1"),
        // What the plan does not make worse is told, not held against it.
        .init(
            testDescription: "as before the plan", load: 1,
            steps: [.init(sequence: 1, action: .disableReclosing, element: "R-B")],
            change: on("CB-A1") { $0.relay?.phasePickup = 260 },
            check: "R3", severity: .note, element: "CB-A1", step: 1),
        .init(
            testDescription: "fast reclosing onto DER", load: 0.3, pv: 1,
            change: on("R-B") { $0.relay?.firstReclose = 0.5 },
            check: "R6", severity: .condition, element: "R-B"),
        .init(
            testDescription: "slow reclosing onto DER", load: 0.3, pv: 1,
            change: on("R-B") { $0.relay?.firstReclose = 5 },
            check: "R6", severity: nil, element: "R-B"),
        .init(
            testDescription: "fast reclosing that is disabled", load: 0.3, pv: 1,
            steps: [.init(sequence: 1, action: .disableReclosing, element: "R-B")]
                + transfer.map { .init(sequence: $0.sequence + 1, action: $0.action, element: $0.element) },
            change: on("R-B") { $0.relay?.firstReclose = 0.5 }, check: "R6", severity: nil, element: "R-B", step: 3),
        .init(
            testDescription: "a margin that is small", change: on("CB-B1") { $0.relay?.timeDial = 1.6 }, check: "R5",
            severity: .condition, element: "R-B"),
        .init(
            testDescription: "a curve that is missing", change: on("CB-B1") { $0.relay?.curve = nil }, check: "R5",
            severity: .unknown, element: "CB-B1"),
        .init(
            testDescription: "no settings where power comes from now",
            change: { network in
                for id in ["CB-B1", "R-B"] { on(id) { $0.relay = nil }(&network) }
            }, check: "R1", severity: .unknown, element: "A1b-end"),
        // Close to the banks 5.9 kA or less in all: 87.5 % of 9 kA are not reached, of 6 kA they are.
        .init(
            testDescription: "breaking capacity in parallel", change: on("CB-B1") { $0.interruptKiloamperes = 40 },
            check: "P6", severity: nil, element: "CB-B1", step: 1),
        .init(
            testDescription: "breaking capacity exceeded in parallel",
            change: on("CB-B1") { $0.interruptKiloamperes = 4 }, check: "P6", severity: .blockSoft, element: "CB-B1",
            step: 1),
        .init(
            testDescription: "a switch opened beyond its rating", load: 1,
            steps: [
                .init(sequence: 1, action: .open, element: "R-A"), .init(sequence: 2, action: .close, element: "T"),
            ],
            change: on("R-A") {
                $0.kind = "LBS"
                $0.loadBreakAmperes = 50
            }, check: "C1", severity: .blockHard, element: "R-A", step: 1),
        .init(
            testDescription: "a switch whose rating is not known beside others", load: 1,
            steps: [
                .init(sequence: 1, action: .open, element: "R-A"), .init(sequence: 2, action: .close, element: "T"),
            ],
            change: on("R-A") { $0.kind = "LBS" }, check: "C1", severity: .unknown, element: "R-A", step: 1),
        .init(
            testDescription: "closing onto the unknown with a switch of enough making capacity",
            steps: [.init(sequence: 1, action: .close, element: "T")], kind: .restoration, isOpen: ["R-A"],
            change: on("T") { $0.faultMakeKiloamperes = 40 }, check: "C3", severity: nil, element: "T", step: 1),
        .init(
            testDescription: "closing onto the unknown with too little making capacity",
            steps: [.init(sequence: 1, action: .close, element: "T")], kind: .restoration, isOpen: ["R-A"],
            change: on("T") { $0.faultMakeKiloamperes = 2 }, check: "C3", severity: .blockSoft, element: "T", step: 1),
        .init(
            testDescription: "closing onto the unknown with a making capacity that nobody knows",
            steps: [.init(sequence: 1, action: .close, element: "T")], kind: .restoration, isOpen: ["R-A"],
            change: on("R-B") { $0.faultMakeKiloamperes = 40 }, check: "C3", severity: .unknown, element: "T", step: 1),
        .init(
            testDescription: "closing onto the unknown with a recloser that would try again",
            steps: [.init(sequence: 1, action: .close, element: "T")], kind: .restoration, isOpen: ["R-A"],
            change: on("T") {
                $0.kind = "RECLOSER"
                $0.faultMakeKiloamperes = 40
            }, check: "C3", severity: .condition, element: "T", step: 1),
        .init(
            testDescription: "cold load of unknown age at a low pickup",
            steps: [.init(sequence: 1, action: .close, element: "T")], kind: .restoration, isOpen: ["R-A"],
            change: on("R-B") { $0.relay?.phasePickup = 200 }, check: "R4", severity: .condition, element: "R-B",
            step: 1),
        // 38 A of load and 13 A around the loop, through a recloser between two nodes.
        .init(
            testDescription: "a recloser in the loop", change: on("R-B") { $0.relay?.phasePickup = 60 }, check: "P4",
            severity: .blockSoft, element: "R-B", step: 1),
        .init(
            testDescription: "an elbow between live parts", change: on("T") { $0.kind = "ELBOW_LB" }, check: "C8",
            severity: .blockHard, element: "T", step: 1),
        // 0.4 MW of load and 2.3 MW of PV behind R-B: 88 A come back when loads are low.
        .init(
            testDescription: "power back through what tells no directions", load: 0.1, pv: 1,
            change: on("R-B") {
                $0.relay?.phasePickup = 100
                $0.relay?.isDirectional = false
            }, check: "F2", severity: .blockSoft, element: "R-B"),
        .init(
            testDescription: "power back through what tells directions", load: 0.1, pv: 1,
            change: on("R-B") {
                $0.relay?.phasePickup = 100
                $0.relay?.isDirectional = true
            }, check: "F2", severity: nil, element: "R-B"),
        .init(
            testDescription: "power back through what may not tell directions", load: 0.1, pv: 1,
            change: { network in
                on("CB-A1") { $0.relay?.isDirectional = true }(&network)
                on("R-B") { $0.relay?.phasePickup = 100 }(&network)
            }, check: "F2", severity: .unknown, element: "R-B"),
        .init(
            testDescription: "power back, clear of the pickup", load: 0.1, pv: 1,
            change: on("R-B") { $0.relay?.isDirectional = false }, check: "F2", severity: nil, element: "R-B"),
        .init(
            testDescription: "power back through a network protector", load: 0.1, pv: 1,
            change: on("T") { $0.kind = "NETWORK_PROTECTOR" }, check: "F3", severity: .blockHard, element: "T"),
        .init(
            testDescription: "nothing back through a network protector",
            change: { network in
                on("T") { $0.kind = "NETWORK_PROTECTOR" }(&network)
                network.ders = []
            }, check: "F3", severity: nil, element: "T"),
        .init(
            testDescription: "alternate settings left unused", steps: Self.whole(),
            change: on("R-A") { $0.relay?.hasAlternateSettings = true }, check: "R7", severity: .condition,
            element: "R-A"),
        .init(
            testDescription: "alternate settings used",
            steps: Self.whole(after: [.init(sequence: 1, action: .control, element: "R-A", value: "alternate_settings")]
            ),
            change: on("R-A") { $0.relay?.hasAlternateSettings = true }, check: "R7", severity: nil, element: "R-A",
            step: 3),
        .init(
            testDescription: "alternate settings that nobody knows of", steps: Self.whole(),
            change: on("R-B") { $0.relay?.hasAlternateSettings = false }, check: "R7", severity: .unknown,
            element: "R-A"),
        .init(
            testDescription: "a remote control that is faulty", change: on("T") { $0.remote = .faulty }, check: "C7",
            severity: .condition, element: "T", step: 1),
        .init(
            testDescription: "a switch worked by hand", change: on("T") { $0.remote = Network.Switch.Remote.none },
            check: "C7", severity: nil, element: "T", step: 1),
        .init(
            testDescription: "a remote control that nobody knows of", change: on("R-A") { $0.remote = .healthy },
            check: "C7", severity: .unknown, element: "T", step: 1),
    ]

    /// All of A fed from B, over R-A from its other side.
    private static func whole(after first: [SwitchingPlan.Step] = []) -> [SwitchingPlan.Step] {
        first + [
            .init(sequence: first.count + 1, action: .close, element: "T"),
            .init(sequence: first.count + 2, action: .open, element: "CB-A1"),
        ]
    }

    @Test(arguments: changes)
    func eachCheckSpeaksWhenItMust(item: Change) throws {
        var network = try WorkedCase.network()
        item.change(&network)
        var snapshot = WorkedCase.snapshot(network, load: item.load, pv: item.pv)
        for (number, one) in network.switches.enumerated() where item.isOpen.contains(one.id) {
            snapshot.positions[number] = .open
        }
        let plan = SwitchingPlan(
            id: "p", kind: item.kind, policy: .init(allowTransientLoop: true, allowTransientOutage: true),
            steps: item.steps)
        let verdict = PlanValidator(network, limits: WorkedCase.limits(), software: "test").validate(plan, snapshot)
        let found = verdict.findings.filter {
            $0.check == item.check && $0.step == item.step && $0.elements.contains(item.element)
        }
        let all = verdict.findings.map { "\($0.severity.rawValue) \($0.check) step \($0.step ?? 0): \($0.message)" }
        #expect(found.map(\.severity) == [item.severity].compactMap { $0 }, "\(all.joined(separator: "\n"))")
    }

    /// Trip times of the rules' case D33.
    @Test(arguments: [(400.0, 1.5, 1.577), (560, 1.8, 2.916), (560, 0.9, 1.458)])
    func tripTimesAreTheStandards(pickup: Double, dial: Double, seconds: Double) throws {
        let relay = Network.Relay(phasePickup: pickup, curve: .veryInverse, timeDial: dial)
        #expect(abs(try #require(relay.tripSeconds(amperes: 2400)) - seconds) < 0.001)
        #expect(relay.tripSeconds(amperes: pickup) == nil)
        // IEC standard inverse at ten times the pickup: 2.97 s at multiplier 1.
        let iec = Network.Relay(phasePickup: 100, curve: .standardInverseIEC, timeDial: 1)
        #expect(abs(try #require(iec.tripSeconds(amperes: 1000)) - 2.971) < 0.001)
    }

    /// What the network does not carry is told, check by check; what it carries is not.
    @Test func whatIsMissingIsTold() throws {
        var network = try WorkedCase.network()
        func missing() -> Set<String> {
            let plan = SwitchingPlan(id: "p", kind: .loadTransfer, steps: Self.transfer)
            let verdict = PlanValidator(network, limits: .init(), software: "test").validate(
                plan, WorkedCase.snapshot(network))
            return Set(verdict.notRun.map(\.check))
        }
        let carried = missing()
        #expect(carried.isSuperset(of: ["C3", "C6", "C7", "F2", "P6", "R6", "R7", "T8", "V4"]))
        #expect(carried.isDisjoint(with: ["F3", "X7", "C1", "C5", "R1", "R2", "R3", "R4", "R5"]))
        for place in network.switches.indices {
            network.switches[place].relay = nil
            network.switches[place].loadBreakAmperes = nil
        }
        #expect(missing().isSuperset(of: ["C1", "C5", "R1", "R2", "R3", "R4", "R5", "R6"]))
    }
}

/// What people are asked to see to beside the steps, and when.
@Suite struct DutyTests {
    private func verdict(
        _ steps: [SwitchingPlan.Step], kind: SwitchingPlan.Kind = .loadTransfer, hold: Double = 4,
        limits: SwitchingLimits = WorkedCase.limits(), change: (inout Network) -> Void = { _ in }
    ) throws -> Verdict {
        var network = try WorkedCase.network()
        change(&network)
        let plan = SwitchingPlan(
            id: "p", kind: kind, holdHours: hold, policy: .init(allowTransientLoop: true), steps: steps)
        return PlanValidator(network, limits: limits, software: "test").validate(
            plan, WorkedCase.snapshot(network, load: 0.6, pv: 0))
    }

    @Test func aRestrictionInForceIsAConditionOfEveryPlan() throws {
        var limits = WorkedCase.limits()
        limits.restrictions = ["fire day", "lightning"]
        let asked = Condition.of(try verdict(ProtectionTests.transfer, limits: limits)).filter { $0.check == "X7" }
        #expect(asked.map(\.text) == ["In force: fire day.", "In force: lightning."])
        #expect(asked.allSatisfy { $0.kind == .before && $0.isDue(before: 1) })
        // An approval given without it is void: the limits are others.
        #expect(limits.hash != WorkedCase.limits().hash)
    }

    @Test func aRestrictionOfTheRegisterConcernsItsFeederOrAll() throws {
        let network = try WorkedCase.network()
        func asked(_ restrictions: Set<GridSnapshot.Restriction>) -> [String] {
            var snapshot = WorkedCase.snapshot(network, load: 0.6, pv: 0)
            let before = snapshot.safetyHash
            snapshot.restrictions = restrictions
            // An approval given without it is void: the register is another.
            #expect(snapshot.safetyHash != before)
            let plan = SwitchingPlan(
                id: "p", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
                steps: [.init(sequence: 1, action: .control, element: "PV-A1b", value: "limit_kw 1500")])
            let verdict = PlanValidator(network, limits: WorkedCase.limits(), software: "test").validate(plan, snapshot)
            return verdict.findings.filter { $0.check == "X7" && $0.severity == .condition }.map(\.message)
        }
        let own = try #require(network.feeders.first { $0.id.contains("A") }).id
        let other = try #require(network.feeders.last { $0.id != own }).id
        #expect(asked([.init(feeder: nil, text: "lightning")]) == ["In force: lightning."])
        #expect(asked([.init(feeder: own, text: "crew")]) == ["In force on \(own): crew."])
        #expect(asked([.init(feeder: other, text: "crew")]) == [])
    }

    @Test func aLimitOnDERIsWatchedAndAnEmergencyIsReviewed() throws {
        let limited = try verdict(
            [.init(sequence: 1, action: .control, element: "PV-A1b", value: "limit_kw 1500")], kind: .emergency)
        let asked = Condition.of(limited)
        #expect(asked.map(\.kind) == [.after])
        #expect(asked.first?.check == "X4" && asked.first?.dueHours == 24)
        let calm = Condition.of(
            try verdict([.init(sequence: 1, action: .control, element: "PV-A1b", value: "limit_kw 1500")]))
        #expect(calm.filter { $0.check == "F1" }.map(\.kind) == [.during])
    }

    @Test func whatAPlanLeavesOtherwiseIsDueAfterwards() throws {
        let block = SwitchingPlan.Step(sequence: 1, action: .control, element: "R-A", value: "block_ground")
        let left = Condition.of(try verdict([block])).filter { $0.check == "C5" }
        #expect(left.map(\.kind) == [.after] && left.map(\.dueHours) == [1])
        #expect(left.allSatisfy { !$0.isDue(before: 1) })
        let undone = try verdict([
            block, .init(sequence: 2, action: .control, element: "R-A", value: "unblock_ground"),
        ])
        #expect(!undone.findings.contains { $0.check == "C5" })
        let regulator = Condition.of(
            try verdict(
                [.init(sequence: 1, action: .control, element: "VR1", value: "MANUAL_NEUTRAL")], hold: 12
            ) { $0.regulators = [.init(id: "VR1", line: "A1a", mode: .lockedForward)] })
        #expect(regulator.filter { $0.kind == .after }.map(\.dueHours) == [12])
    }

    @Test(arguments: ["limit_kw", "limit_kw x", "limit_kw -1", "limit 5", "limit_kw inf", ""])
    func aCommandThatIsNoneIsNotKnown(text: String) throws {
        let verdict = try verdict([.init(sequence: 1, action: .control, element: "PV-A1b", value: text)])
        #expect(verdict.verdict == .cannotAssess)
    }
}

/// What tap changers do before a plan and after its steps.
@Suite struct TapTests {
    private func verdict(setPoint: Double, isMeasured: Bool) throws -> Verdict {
        var network = try WorkedCase.network()
        let place = try #require(network.transformers.firstIndex { $0.id == "BANK-B" })
        network.transformers[place].tap = .init(
            isOnLowSide: false, neutral: 0, least: -16, most: 16, position: 0, stepPercent: 1.25, isAutomatic: true,
            setPoint: setPoint, band: 0.01)
        var snapshot = WorkedCase.snapshot(network, load: 0.6, pv: 0)
        snapshot.taps = network.transformers.map { $0.id == "BANK-B" ? 0 : nil }
        snapshot.hasMeasuredTaps = isMeasured
        let plan = SwitchingPlan(
            id: "p", kind: .loadTransfer, policy: .init(allowTransientLoop: true), steps: ProtectionTests.transfer)
        return PlanValidator(network, limits: WorkedCase.limits(), software: "test").validate(plan, snapshot)
    }

    /// As measured the bank holds 1.02 pu; its control would take it down to 0.93 pu.
    @Test func aVoltageOnceTapChangersHaveReactedCounts() throws {
        let verdict = try verdict(setPoint: 0.93, isMeasured: true)
        let found = verdict.findings.filter { $0.check == "V1" && $0.severity == .blockSoft }
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.message.contains("once tap changers have reacted") }, "\(found)")
        #expect(verdict.steps.allSatisfy { ($0.minVoltagePu ?? 0) > 0.95 })
        let calm = try self.verdict(setPoint: 1.02, isMeasured: true)
        #expect(!calm.findings.contains { $0.message.contains("reacted") })
    }

    /// Nobody has measured the taps: they stand where the control has put them, before the plan too.
    @Test func tapsThatNobodyMeasuredStandWhereTheirControlPutsThem() throws {
        let verdict = try verdict(setPoint: 0.96, isMeasured: false)
        let first = try #require(verdict.steps.first)
        #expect(try #require(first.minVoltagePu) < 0.965)
        let measured = try #require(try self.verdict(setPoint: 0.96, isMeasured: true).steps.first?.minVoltagePu)
        #expect(measured > 0.99)
    }
}
