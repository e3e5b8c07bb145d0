import GridModel
import Store
import Switching
import TestSupport
import Testing

@testable import backfeed

/// Data that are bad, missing, late or of another time never help a plan on the live network.
///
/// `BACKFEED_DRAWS` is how many situations are drawn; otherwise a few, the same each time. `BACKFEED_SEED` draws that one.
@Suite struct LiveVerdictTests {
    /// Of an advisory about data, another may stand in its place: silent, or heard and not to be used.
    static func isOfData(_ kind: AdvisoryKind) -> Bool {
        [.dataGap, .dataImplausible, .clockSuspect, .dataFrozen, .signSuspect, .chatter].contains(kind)
    }

    // MARK: What is not to be used

    /// Everything that is shown and judged by at a moment.
    private struct Answer: Equatable {
        var values: [String]
        var page: String
        var verdicts: [Verdict]
        var standing: [String]

        init(_ rig: ServiceRig) {
            let record = rig.record { !LiveVerdictTests.isOfData($0) }
            values = rig.values
            page = rig.page(record)
            verdicts = LiveWorld.plans.map {
                var verdict = rig.verdict($0, record)
                // Those that differ in their elements only stand in any order.
                verdict.findings.sort { JSONCoding.encode($0) < JSONCoding.encode($1) }
                return verdict
            }
            standing = record.advisories.map { "\($0.id) \($0.severity)" }
        }

        /// What differs first.
        func difference(_ other: Self) -> String? {
            if let pair = zip(values, other.values).first(where: { $0 != $1 }) { return "\(pair.0)\n\(pair.1)" }
            if standing != other.standing { return "\(standing)\n\(other.standing)" }
            if let pair = zip(verdicts, other.verdicts).first(where: { $0 != $1 }) {
                return "\(JSONCoding.encode(pair.0))\n\(JSONCoding.encode(pair.1))"
            }
            return page == other.page ? nil : "\(page)\n\(other.page)"
        }
    }

    @Test func whatIsNotToBeUsedIsAsIfItHadNeverBeenSent() throws {
        for seed in Draws.seeds(60) {
            var dice = SplitMix(seed: seed)
            let world = try LiveWorld(seed: seed)
            let faults = Degradation.draw(&dice, clock: true, values: true, until: Double(LiveWorld.seconds))
            let sent = Degradation.apply(faults, to: world.stream(), seed: seed, positions: true)
            let looks = [Int(dice.next() % 600) + 120, Int(dice.next() % 600) + 720]
            let rig = try ServiceRig(LiveWorld.network)
            var (answers, distances): ([Answer], [[Int]]) = ([], [])
            rig.run(sent, faults, looks: looks) { _ in
                answers.append(Answer(rig))
                distances.append(LiveWorld.plans.map { rig.verdict($0, rig.record()).distance })
            }
            let twin = try ServiceRig(LiveWorld.network)
            let unusable = rig.unusable
            var others: [Answer] = []
            let usable = sent.filter { !unusable.contains($0.number) }
            twin.run(usable, faults, looks: looks) { second in
                others.append(Answer(twin))
                // With all that is said of the data, too: no better for having heard them.
                for (plan, distance) in zip(LiveWorld.plans, distances[others.count - 1]) {
                    let verdict = twin.verdict(plan, twin.record())
                    guard verdict.distance > distance else { continue }
                    Issue.record("seed \(seed), \(faults), at \(second) s, \(plan.id): better than \(verdict.told)")
                }
            }
            if rig.hasMovedTime { continue }
            for (place, (one, other)) in zip(answers, others).enumerated() {
                guard let difference = one.difference(other) else { continue }
                Issue.record("seed \(seed), \(faults), at \(looks[place]) s:\n\(difference)")
            }
            // Detectors, profiles and forecasts, once everything has come to its end.
            for one in [rig, twin] { one.flush(1000) }
            for said in rig.reports where !said.isFinite {
                Issue.record("seed \(seed), \(faults): \(said.text)")
            }
            let (said, same) = (Self.said(rig), Self.said(twin))
            if let pair = zip(said, same).first(where: { $0 != $1 }) {
                Issue.record("seed \(seed), \(faults):\n\(pair.0)\n\(pair.1)")
            } else if said.count != same.count {
                Issue.record("seed \(seed), \(faults): \(said.count) reports and \(same.count)")
            }
            LiveAdvisoryTests.expectSameMinutes(rig, twin, "seed \(seed), \(faults)")
        }
    }

    /// What was said of the network, not of its data.
    private static func said(_ rig: ServiceRig) -> [String] {
        rig.reports.filter { $0.change != .peak && !isOfData($0.facts.kind) }.map(\.text).sorted()
    }

    // MARK: Never better

    @Test func noDegradationHelpsAPlan() throws {
        for seed in Draws.seeds(60) {
            var dice = SplitMix(seed: seed &+ 1_000_000)
            let world = try LiveWorld(seed: seed)
            let sent = world.stream()
            let end = LiveWorld.seconds
            let faults = Degradation.draw(&dice, clock: true, values: false, until: Double(end))
            let looks = [1230, end]
            var verdicts: [[Verdict]] = []
            let rig = try ServiceRig(LiveWorld.network)
            rig.run(Degradation.apply(faults, to: sent, seed: seed), faults, looks: looks) { _ in
                verdicts.append(LiveWorld.plans.map { rig.verdict($0, rig.record()) })
            }
            var before: [[Verdict]] = []
            let twin = try ServiceRig(LiveWorld.network)
            twin.run(sent, looks: looks) { _ in
                before.append(LiveWorld.plans.map { twin.verdict($0, twin.record()) })
            }
            for place in looks.indices {
                for (one, other) in zip(before[place], verdicts[place]) where other.distance < one.distance {
                    // What is measured now is compared with the model (docs/switching.md): who has fallen silent, or is not
                    // believed, contradicts nothing.
                    let grave = one.findings.filter { $0.severity >= .unknown }
                    if grave.allSatisfy({ ($0.limitSource ?? "").hasPrefix("validator.measured") }) { continue }
                    Issue.record(
                        "seed \(seed), \(faults), at \(looks[place]) s, \(one.plan): \(one.told)\n-> \(other.told)")
                }
            }
        }
    }

    @Test func theSituationsEndInEveryDecision() throws {
        var seen: Set<Verdict.Decision> = []
        for seed in UInt64(0)..<40 where seen.count < 4 {
            let rig = try ServiceRig(LiveWorld.network)
            rig.run(try LiveWorld(seed: seed).stream()) { _ in
                for plan in LiveWorld.plans { seen.insert(rig.verdict(plan, rig.record()).verdict) }
            }
        }
        #expect(seen.count >= 3 && seen.contains(.reject) && seen.contains(.cannotAssess), "\(seen)")
    }
}
