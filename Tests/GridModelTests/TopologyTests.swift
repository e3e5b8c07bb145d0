import GridModel
import TestSupport
import Testing

@Suite struct TopologyTests {
    let graph = NetworkGraph(SmallNetwork.make())

    private func trace(_ live: [String: SwitchPosition] = [:]) -> Topology {
        Topology(graph, positions: graph.positions(live: live))
    }
    private func feeder(_ node: String, _ topology: Topology) -> String? {
        let number = topology.feeder[graph.nodeIndex[node] ?? 0]
        return number < 0 ? nil : graph.feederIDs[Int(number)]
    }

    @Test func theNormalStateIsRadialAndWhole() {
        let normal = trace()
        #expect(normal.isRadial)
        #expect(normal.deadNodeCount == 0)
        #expect(feeder("A2", normal) == "F1")
        #expect(feeder("LV2", normal) == "F1")
        #expect(feeder("B1", normal) == "F2")
        #expect(feeder("MV", normal) == nil)
    }

    @Test func anOpenSectionaliserLeavesAnIslandDead() {
        let state = trace(["S-mid": .open])
        #expect(state.deadIslands.map { $0.map { graph.nodeIDs[$0] } } == [["A2", "LV1", "LV2"]])
        #expect(feeder("A2", state) == nil)
    }

    @Test func aTieFeedsTheSectionFromTheOtherSide() {
        let state = trace(["S-mid": .open, "S-tie": .closed])
        #expect(state.isRadial)
        #expect(feeder("A2", state) == "F2")
        #expect(feeder("A1", state) == "F1")
    }

    @Test func aClosedTieIsALoopAndDevicesStayWithTheirFeeder() {
        let state = trace(["S-tie": .closed])
        #expect(state.loops == 1)
        #expect(feeder("A2", state) == "F1")
        #expect(feeder("B1", state) == "F2")
    }

    @Test func transformersInParallelInsideASubstationAreNoLoop() {
        var network = SmallNetwork.make()
        network.transformers.append(.init(id: "T2", highNode: "HV", lowNode: "MV", ratedKVA: 40_000))
        let graph = NetworkGraph(network)
        #expect(Topology(graph, positions: graph.normalPositions).isRadial)
    }

    @Test func aSecondSourceIsCounted() {
        var network = SmallNetwork.make()
        network.sources.append(.init(id: "SRC2", node: "B1"))
        let graph = NetworkGraph(network)
        #expect(Topology(graph, positions: graph.normalPositions).parallelSources == 1)
    }

    @Test func anUnknownPositionDoesNotMoveAnything() {
        #expect(feeder("A2", trace(["S-mid": .unknown])) == "F1")
    }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-06-21T11:00:00.250Z", 1_782_039_600_250_000),
        ("2026-06-21T13:00:00.250+02:00", 1_782_039_600_250_000),
        ("2016-02-29T23:59:59.999999Z", 1_456_790_399_999_999), ("1969-12-31T23:59:59Z", -1_000_000),
    ])
    func parses(text: String, expected: Int64) throws {
        #expect(try #require(Timestamp(text)).microseconds == expected)
    }

    @Test(arguments: [
        "", "2026-06-21", "2026-06-21T11:00:00", "2026-02-30T11:00:00Z", "2026-13-01T11:00:00Z", "2026-06-21T24:00:00Z",
        "2026-06-21T11:00:00.Z", "2026-06-21T11:00:00ZZ", "2026-06-21T11:00:00+2:00", "not a time at all ....",
    ])
    func refuses(text: String) { #expect(Timestamp(text) == nil) }

    @Test func roundTrips() throws {
        for k in 0..<2000 {
            let time = Timestamp(microseconds: Int64(k) * 86_399_123_456_7 - 10_000_000_000_000_00)
            #expect(try #require(Timestamp(time.description)) == time)
        }
    }

    @Test func binsAlignBeforeAndAfterTheEpoch() {
        #expect(Timestamp.seconds(-1).floored(toSeconds: 60) == .seconds(-60))
        #expect(Timestamp.seconds(61).floored(toSeconds: 60) == .seconds(60))
    }
}

@Suite struct IdentifierTests {
    @Test(arguments: ["a", "MV2.101_Bus_4", "A:b/c-d_e", String(repeating: "x", count: 64)])
    func good(text: String) { #expect(Identifier.isValid(text)) }
    @Test(arguments: ["", "-a", ".a", "a b", "ä", "a\n", String(repeating: "x", count: 65)])
    func bad(text: String) { #expect(!Identifier.isValid(text)) }
}
