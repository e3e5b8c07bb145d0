import Analysis
import GridModel
import TestSupport
import Testing

@testable import backfeed

/// Data that are bad, missing, late or of another time end no advisory, hide no silence, and change nothing where they come
/// within what may be late.
@Suite struct LiveAdvisoryTests {
    private static let end = LiveWorld.seconds

    // MARK: Nothing is called off

    @Test func whatStandsIsNotEndedByDataThatAreDegraded() throws {
        for seed in Draws.seeds(40) {
            var dice = SplitMix(seed: seed &+ 2_000_000)
            let world = try LiveWorld(exporting: seed)
            let sent = world.stream()
            let twin = try ServiceRig(LiveWorld.network)
            var early: Set<String> = []
            twin.run(sent, looks: [900, Self.end]) { second in
                let names = Set(twin.standing.keys)
                early = second == 900 ? names : early.intersection(names)
            }
            #expect(early.contains("reverse_power FH-F1"), "seed \(seed): \(early)")
            // What stood at both moments and was not over between them.
            for item in twin.reports where item.told >= 900 && item.change == .clear {
                early.remove(item.facts.name)
            }
            let faults = Degradation.draw(&dice, clock: true, values: false, until: Double(Self.end)).map { item in
                var item = item
                item.time = max(900, item.time.lowerBound)...max(910, item.time.upperBound)
                return item
            }
            let rig = try ServiceRig(LiveWorld.network)
            rig.run(Degradation.apply(faults, to: sent, seed: seed), faults, looks: []) { _ in }
            for item in rig.reports where item.told >= 900 && item.change == .clear {
                let facts = item.facts
                guard early.contains(facts.name), !LiveVerdictTests.isOfData(facts.kind) else { continue }
                Issue.record("seed \(seed), \(faults), at \(item.told) s: \(facts.name): \(facts.message)")
            }
        }
    }

    // MARK: Silence

    @Test func aSilentHeadIsToldInItsTimeWhateverElseIsWrong() throws {
        for seed in Draws.seeds(40) {
            var dice = SplitMix(seed: seed &+ 3_000_000)
            let world = try LiveWorld(seed: seed)
            let head = ["FH-F1", "FH-F2", "FH-F3"][Int(dice.next() % 3)]
            let from = 400 + (dice.unit() * 500).rounded()
            let silence = from...from + 60 + (dice.unit() * 300).rounded()
            // It says nothing, or nothing that may be used, or too late.
            let unusable: [Quality] = [.invalid, .old, .frozen, .test, .signSuspect, .inconsistent]
            let kinds: [Degradation.Kind] = [
                .silent, .flagged(unusable[Int(dice.next() % UInt64(unusable.count))], 1),
                .delayed(1000, isRandom: false),
            ]
            var faults = [
                Degradation(kind: kinds[Int(dice.next() % 3)], devices: head, time: silence)
            ]
            // Others have troubles of their own, and so has our clock.
            faults += Degradation.draw(&dice, clock: false, values: false, until: Double(Self.end)).filter {
                !head.hasPrefix($0.devices)
            }
            if dice.unit() < 0.7 {
                let step = [-7200, -600, -60, -4, 3, 50, 600, 7200][Int(dice.next() % 8)]
                // One that goes on with a clock that is not ours is named for that, and not as silent.
                if step < -5 { faults[0].kind = .silent }
                faults.append(
                    Degradation(kind: .clock(Double(step)), devices: "-", time: (from + 1)...Double(Self.end)))
            }
            let rig = try ServiceRig(LiveWorld.network)
            rig.run(Degradation.apply(faults, to: world.stream(), seed: seed), faults, looks: []) { _ in }
            // A bin, a tick, and as long as it may be until its next word.
            let due = Int(from) + 30 + 10 + 2
            let isTold = rig.reports.contains { item in
                item.facts.name == "data_gap \(head)" && item.change == .start
                    && (Int(from)...due).contains(item.told)
            }
            let told = rig.reports.filter { $0.facts.name == "data_gap \(head)" }
                .map { "\($0.told) \($0.change)" }
            #expect(isTold, "seed \(seed), \(faults), due at \(due): \(told)")
        }
    }

    @Test func aSilentDERIsToldInItsTimeWhateverElseIsWrong() throws {
        for seed in Draws.seeds(30) {
            var dice = SplitMix(seed: seed &+ 4_000_000)
            let world = try LiveWorld(seed: seed)
            let ders = LiveWorld.network.ders.map(\.id)
            let der = ders[Int(dice.next() % UInt64(ders.count))]
            let from = 90 + (dice.unit() * 90).rounded()
            var faults = [
                Degradation(
                    kind: dice.unit() < 0.5 ? .silent : .delayed(3000, isRandom: false), devices: der,
                    time: from...Double(Self.end))
            ]
            // The whole feeder falls silent with it, and our clock is set.
            if dice.unit() < 0.4 {
                faults.append(Degradation(kind: .silent, devices: "F", time: (from + 5)...Double(Self.end)))
                faults.append(Degradation(kind: .silent, devices: "VM-", time: (from + 5)...Double(Self.end)))
                faults.append(Degradation(kind: .silent, devices: "TM-", time: (from + 5)...Double(Self.end)))
            }
            if dice.unit() < 0.6 {
                let step = [-7200, -600, -60, -4, 3, 600][Int(dice.next() % 6)]
                faults.append(
                    Degradation(kind: .clock(Double(step)), devices: "-", time: (from + 200)...Double(Self.end)))
            }
            let rig = try ServiceRig(LiveWorld.network)
            rig.run(Degradation.apply(faults, to: world.stream(), seed: seed), faults, looks: []) { _ in }
            // The last minute in which it spoke, the lateness of gateways, and that of a feeder that is silent as a whole.
            let due = Int(from) + 900 + 60 + 90 + 90 + 2
            let told = rig.reports.filter { $0.facts.name == "data_gap \(der)" && $0.change == .start }
            #expect(told.contains { $0.told <= due }, "seed \(seed), \(faults), due at \(due): \(told.map(\.told))")
        }
    }

    // MARK: Late, but in time

    @Test func whatComesWithinTheAllowanceIsAsInOrder() throws {
        for seed in Draws.seeds(40) {
            var dice = SplitMix(seed: seed &+ 5_000_000)
            let world = try LiveWorld(seed: seed, isWild: false)
            let sent = world.stream(headPeriod: 5)
            let all = 0...Double(Self.end)
            var faults = [
                Degradation(kind: .delayed(dice.unit() * 18, isRandom: true), devices: "FH-", time: all),
                Degradation(kind: .delayed(dice.unit() * 80, isRandom: true), devices: "F1-", time: all),
                Degradation(kind: .delayed(dice.unit() * 80, isRandom: true), devices: "F3-", time: all),
                Degradation(kind: .delayed(dice.unit() * 80, isRandom: true), devices: "VM-", time: all),
                Degradation(kind: .delayed(dice.unit() * 80, isRandom: true), devices: "TM-", time: all),
            ]
            if dice.unit() < 0.5 {
                faults.append(
                    Degradation(kind: .doubled(5), devices: ["F", "FH-", "VM-"][Int(dice.next() % 3)], time: all))
            }
            let late = Degradation.apply(faults, to: sent, seed: seed)
            let rigs = try [sent, late].map { stream in
                let rig = try ServiceRig(LiveWorld.network)
                rig.run(stream, until: Self.end + 120, looks: []) { _ in }
                rig.flush(2000)
                return rig
            }
            func said(_ rig: ServiceRig) -> [String] {
                rig.reports.filter { $0.change != .peak }.map(\.text).sorted()
            }
            let unusable = late.filter { rigs[1].unusable.contains($0.number) }
            #expect(unusable.isEmpty, "seed \(seed): \(unusable)")
            let (one, other) = (said(rigs[0]), said(rigs[1]))
            if let pair = zip(one, other).first(where: { $0 != $1 }) {
                Issue.record("seed \(seed), \(faults):\n\(pair.0)\n\(pair.1)")
            }
            #expect(one.count == other.count, "seed \(seed), \(faults)")
            LiveAdvisoryTests.expectSameMinutes(rigs[0], rigs[1], "seed \(seed), \(faults)")
        }
    }

    /// Profiles and forecasts.
    static func expectSameMinutes(
        _ one: ServiceRig, _ other: ServiceRig, _ comment: @autoclosure () -> String,
        at location: SourceLocation = #_sourceLocation
    ) {
        func sorted(_ rig: ServiceRig) -> [FeederMinute] {
            rig.minutes.sorted { ($0.time, $0.feeder, $0.normalFeeder) < ($1.time, $1.feeder, $1.normalFeeder) }
        }
        let (minutes, others) = (sorted(one), sorted(other))
        if let pair = zip(minutes, others).first(where: { $0 != $1 }) {
            Issue.record("\(comment()):\n\(pair.0)\n\(pair.1)", sourceLocation: location)
        } else if minutes.count != others.count {
            Issue.record("\(comment()): \(minutes.count) minutes and \(others.count)", sourceLocation: location)
        }
        let (runs, more) = (one.forecasts.map { "\($0)" }.sorted(), other.forecasts.map { "\($0)" }.sorted())
        if runs != more { Issue.record("\(comment()): forecasts differ", sourceLocation: location) }
    }
}

extension LiveWorld {
    /// F1 feeds back and the voltage is high, from the second stretch to the end.
    init(exporting seed: UInt64) throws {
        try self.init(seed: seed, isWild: false)
        stretches[1].from = 120
        stretches[1].positions = [:]
        for load in ["A", "B", "LV"] {
            if let taken = stretches[1].taken[load] {
                stretches[1].taken[load] = (taken.kilowatts * 0.2, taken.kilovars * 0.2)
            }
        }
        stretches[1].given["F1-der-pv"] = 3500
        stretches[1].voltage = 1.12
        try solve()
    }
}
