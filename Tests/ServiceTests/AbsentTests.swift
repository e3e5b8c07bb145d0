import Analysis
import GridModel
import Store
import Switching
import Testing

@testable import backfeed

/// What a service makes of values that are repeated, of another unit, or absent.
@Suite struct AbsentTests {
    private func devices(_ device: String, _ second: Int, _ change: (inout Reading) -> Void = { _ in }) -> Sent {
        var reading = Reading(device, at: Double(second))
        change(&reading)
        return Sent(reading: reading, arrival: Double(second), number: 0)
    }

    // MARK: What comes again

    @Test func whatComesAgainIsNoFresher() throws {
        let rig = try ServiceRig(LiveWorld.network)
        let head = devices("FH-F1", 0) { ($0.watts, $0.vars, $0.amperes, $0.volts) = (1e6, 2e5, 30, 20_400) }
        let pv = devices("F1-der-pv", 0) { $0.watts = 2e5 }
        rig.pass(0, [head, pv])
        let plan = LiveWorld.plans[0]
        func age() -> Double? {
            rig.snapshot(plan, rig.record()).doubts.first {
                $0.check == "X2" && $0.unit == "s" && $0.elements == ["F1"]
            }?
            .value
        }
        #expect(age() == nil)
        for second in 1...400 { rig.pass(second, []) }
        #expect(age() == 400)
        // Our clock is set back, and everything is sent once more.
        rig.pass(401, [head, pv], clockOff: -400)
        #expect(age() == 401)
        #expect(
            rig.live.now.newest[Int(rig.stored.registry.index["F1-der-pv"] ?? 0)].power.receivedAt == rig.firstHeard)
    }

    // MARK: The whole feeder

    /// All of F2 falls silent, and our clock is set: its time goes on at the pace of the monotonic clock.
    @Test(arguments: [-7200.0, -600, 0, 600, 7200]) func aFeederThatFallsSilentGoesOnWhateverOurClockSays(step: Double)
        throws
    {
        let rig = try ServiceRig(LiveWorld.network)
        let known = ["FH-F2", "F2-der-bat"]
        for second in 0...1500 {
            let sent =
                second > 300 || second % 10 > 0
                ? []
                : known.map { name in devices(name, second) { $0.watts = 1e5 + Double(second * 7919 % 101) } }
            rig.pass(second, sent[...], clockOff: second > 320 ? step : 0)
        }
        let reached = try #require(rig.live.now.positions["F2"])
        #expect(abs(reached.head - (ServiceRig.start + 1500 - 90 - 40)) <= 20, "\(reached.head)")
        let gaps = rig.reports.filter { $0.facts.kind == .dataGap && $0.change == .start }
        #expect(Set(gaps.map(\.facts.element)).isSuperset(of: ["FH-F2", "F2-der-bat"]))
        // And what then comes, of now, is not late.
        rig.pass(1501, [devices("FH-F2", 1501) { $0.watts = 1e5 }])
        #expect(rig.unusable.isEmpty)
    }

    // MARK: Units

    /// At 20 kV: what a plant measures behind its own transformer, and what a voltage transformer gives.
    @Test(arguments: [57.7, 100, 231, 400, 690]) func aLowVoltageAtAHigherOnesNodeIsAFaultOfItsUnit(volts: Double)
        throws
    {
        func run(_ volts: @escaping (Int) -> Double) throws -> ServiceRig {
            let rig = try ServiceRig(LiveWorld.network)
            for second in stride(from: 0, through: 1800, by: 10) {
                rig.pass(
                    second,
                    [
                        devices("FH-F1", second) { $0.watts = 1e6 + Double(second * 7919 % 1013) },
                        devices("F1-der-pv", second) {
                            ($0.watts, $0.volts) = (8e5 + Double(second * 7919 % 1013), volts(second))
                        },
                    ])
            }
            return rig
        }
        let wrong = Set(try run { _ in volts }.standing.keys)
        #expect(wrong == ["data_implausible F1/range"])
        // One that has measured volts before says by the same that nothing is live.
        let dead = try run { $0 < 600 ? 20_400 : volts }
        #expect(!dead.standing.keys.contains("data_implausible F1/range"))
    }

    // MARK: Reactive power of hours ahead

    /// q_kvar that the network has is scaled with its load; where it has none, it is in proportion to what is measured now.
    @Test func reactivePowerThatTheDataDoNotHaveIsInProportionToNow() throws {
        var network = LiveWorld.network
        network.loads = [
            .init(id: "LD-A", node: "A", kilowatts: 1000, kilovars: 300), .init(id: "LD-B", node: "B", kilowatts: 500),
            .init(id: "LD-C", node: "C", kilowatts: 500), .init(id: "LD-D", node: "D", kilowatts: 800),
        ]
        network.ders[0].reactiveShare = 0.1
        let graph = NetworkGraph(network)
        let nodes = Dictionary(uniqueKeysWithValues: network.nodes.enumerated().map { ($1.id, $0) })
        func byNode(_ values: [String: Double]) -> [Double] {
            network.nodes.map { node in values[node.id].map { $0 * 1000 } ?? 0 }
        }
        let now = GridSnapshot(
            time: ServiceRig.start, networkRevision: "1", positions: graph.normalPositions,
            taps: network.transformers.map { _ in nil }, loadWatts: byNode(["A": 800, "B": 400, "D": 500]),
            loadVars: byNode(["A": 240, "B": 160, "D": 100]), derWatts: network.ders.map { _ in 5000 },
            derVars: byNode(["D": 7]))
        func quantiles(_ feeder: String) throws -> ProfileQuantiles {
            try JSONCoding.decode(
                ProfileQuantiles.self,
                """
                {"feeder": "\(feeder)", "is_weekend": false, "quarter": 40, "days": 30, "native": [1.5e6, 2e6, 3e6], \
                "pv": [0, 4.2e5, 8.4e5], "battery": [0, 0, 0], "ev_charger": [0, 0, 0], "other": [0, 0, 0]}
                """)
        }
        let spread = Spread(network, graph)
        let moment = spread.moment(["F1": try quantiles("F1"), "F2": try quantiles("F2")], load: 2, der: 0, now)
        func at(_ node: String) -> (watts: Double, vars: Double) {
            nodes[node].map { (moment.watts[$0], moment.vars[$0]) } ?? (.nan, .nan)
        }
        // Twice the nominal load of F1: 2 MW and 0.6 Mvar at A; at B 1 MW, with 160 kvar for each 400 kW as now.
        #expect(at("A").watts == 2e6 && at("A").vars == 6e5)
        #expect(at("B").watts == 1e6 && at("B").vars == 4e5)
        // At C nothing is taken now: there is no proportion, and the feeder has no numbers.
        #expect(at("C").watts == 3e6 && at("C").vars == 0)
        // F3 stays as it is now: its load, less what its DER give.
        #expect(at("D").watts == 500_000 - 10_000 && at("D").vars == 100_000 - 7000)
        // What DER give brings its reactive power with it.
        let sunny = spread.moment(["F1": try quantiles("F1")], load: 0, der: 2, now)
        let place = nodes["B"] ?? 0
        #expect(abs(sunny.watts[place] - (5e5 - 8e5)) < 1 && abs(sunny.vars[place] - (2e5 - 8e4)) < 1)
    }
}
