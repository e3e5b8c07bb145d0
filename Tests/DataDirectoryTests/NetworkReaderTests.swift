import DataDirectory
import Foundation
import GridModel
import TestSupport
import Testing

@Suite struct NetworkReaderTests {
    @Test func theShippedNetworkIsRead() throws {
        let result = try NetworkReader.read("\(Repository.root)/data/semiurb")
        #expect(result.counts.map(\.count) == [417, 417, 6, 838, 11, 8, 1829, 4608, 1])
        let graph = NetworkGraph(result.network)
        let normal = Topology(graph, positions: graph.normalPositions)
        #expect(normal.isRadial)
        #expect(normal.deadNodeCount == 0)
        for (number, node) in result.network.nodes.enumerated() where !node.feeder.isEmpty {
            #expect(graph.feederIDs[Int(normal.feeder[number])] == node.feeder)
        }
    }

    @Test func everyMistakeIsNamedWithFileLineAndColumn() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(Repository.root)/data/semiurb/network", toPath: "\(folder.path)/network")
        func edit(_ file: String, _ change: (inout [String]) -> Void) throws {
            let path = "\(folder.path)/network/\(file)"
            var lines = try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n")
            change(&lines)
            try lines.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        }
        try edit("lines.csv") { $0[3] = $0[3].replacingOccurrences(of: "MV2.101_Bus", with: "nowhere") }
        try edit("nodes.csv") { $0[7] = $0[7].replacingOccurrences(of: ",20,", with: ",twenty,") }
        try edit("switches.csv") { $0[2] = $0[2].replacingOccurrences(of: "closed", with: "ajar") }
        try edit("ders.csv") { $0.append($0[1]) }
        let error = #expect(throws: DataDirectoryError.self) { try NetworkReader.read(folder.path) }
        let text = try #require(error).description
        #expect(text.contains("lines.csv:4: column from_node: there is no node \"nowhere"))
        #expect(text.contains("nodes.csv:8: column vn_kv: \"twenty\" is no number"))
        #expect(text.contains("switches.csv:3: column normal_state: \"ajar\" is none of closed, open"))
        #expect(text.contains("stands already on line 2"))
    }

    @Test func shuntsAreReadWhereThereAreSome() throws {
        let folder = try TemporaryFolder()
        let source = "\(Repository.root)/data/semiurb"
        try FileManager.default.copyItem(atPath: "\(source)/network", toPath: "\(folder.path)/network")
        let node = try #require(NetworkReader.read(source).network.nodes.last?.id)
        func read(_ node: String) throws -> [Network.Shunt]? {
            try "shunt_id,node_id,q_kvar,p_kw\nC1,\(node),600,\nL1,\(node),-50,0.5\n".write(
                toFile: "\(folder.path)/network/shunts.csv", atomically: true, encoding: .utf8)
            return try NetworkReader.read(folder.path).network.shunts
        }
        #expect(try NetworkReader.read(source).network.shunts == nil)
        #expect(
            try read(node) == [
                .init(id: "C1", node: node, kilovars: 600),
                .init(id: "L1", node: node, kilovars: -50, kilowatts: 0.5),
            ])
        let error = #expect(throws: DataDirectoryError.self) { try read("nowhere") }
        #expect(error?.description.contains("shunts.csv:2: column node_id: there is no node") ?? false)
    }

    @Test func gzipAndColumnOrderDoNotMatter() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(Repository.root)/data/semiurb/network", toPath: "\(folder.path)/network")
        let path = "\(folder.path)/network/sources.csv"
        try "extra,va_degree,vm_pu,node_id,source_id\nx,0,1.025,HV1_Bus_19,SRC1\n".write(
            toFile: path, atomically: true, encoding: .utf8)
        let zip = Process()
        zip.executableURL = URL(fileURLWithPath: "/usr/bin/gzip")
        zip.arguments = [path, "\(folder.path)/network/lines.csv"]
        try zip.run()
        zip.waitUntilExit()
        let result = try NetworkReader.read(folder.path)
        #expect(
            result.network.sources == [.init(id: "SRC1", node: "HV1_Bus_19", voltagePerUnit: 1.025, angleDegrees: 0)])
        #expect(result.ignored.contains { $0.contains("extra") })
    }

    /// A table that is not read under its name is not a table of nothing.
    @Test(arguments: [
        ("DERs.csv", "the table is called ders.csv"), ("der.csv", "the table is called ders.csv"),
        ("Switch.CSV", "is not read"), ("shunts .csv", "the table is called shunts.csv"),
        ("nodes.csv.gz", "stands beside nodes.csv"),
    ]) func aTableUnderAnotherNameIsAMistake(name: String, told: String) throws {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(Repository.root)/Tests/SwitchingTests/Cases/n1/network", toPath: "\(folder.path)/network")
        try "a,b\n".write(toFile: "\(folder.path)/network/\(name)", atomically: true, encoding: .utf8)
        let error = #expect(throws: DataDirectoryError.self) { try NetworkReader.read(folder.path) }
        #expect(error?.description.contains(told) == true, "\(String(describing: error))")
    }

    /// It is there, and what it says is not known.
    @Test func aTableThatCannotBeReadIsNotMissing() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(Repository.root)/Tests/SwitchingTests/Cases/n1/network", toPath: "\(folder.path)/network")
        try FileManager.default.removeItem(atPath: "\(folder.path)/network/ders.csv")
        let without = try NetworkReader.read(folder.path)
        #expect(without.network.saysDERs == false && without.doubts.contains { $0.hasPrefix("ders.csv is missing") })
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/network/ders.csv", withDestinationPath: "\(folder.path)/elsewhere.csv")
        let error = #expect(throws: DataDirectoryError.self) { try NetworkReader.read(folder.path) }
        #expect(error?.description.contains("ders.csv: cannot be read") == true, "\(String(describing: error))")
    }

    @Test(arguments: ["", "a,b\n1\n", "a,a\n1,2\n", "a,b\n\"1,2\n"])
    func aBrokenTableIsAnErrorThatNamesTheLine(text: String) {
        let error = #expect(throws: DataDirectoryError.self) { try CSVTable(path: "t.csv", bytes: Array(text.utf8)) }
        #expect(error?.description.contains("t.csv:") == true)
    }

    @Test func quotesAndLineEndsAreUnderstood() throws {
        let table = try CSVTable(path: "t.csv", bytes: Array("a,b\r\n\"x,\"\"y\",2\r\n\r\n,3".utf8))
        #expect(table.rowCount == 2)
        #expect(table.text(0, 0) == "x,\"y")
        #expect(table.number(1, 1) == 3)
        #expect(table.isEmpty(1, 0))
        #expect(table.line(1) == 4)
    }
}

@Suite struct ReplayModelTests {
    /// The specification's own test vectors.
    @Test(arguments: [
        (20_260_101 as UInt64, "FH-F01", 0, 0 as UInt64, 0x2602_bf02_f2eb_c1b7 as UInt64, 0.7978092768213972),
        (20_260_101, "FH-F01", 17, 14, 0x2602_bf02_f2eb_c1b7, 0.08781472488859465),
        (1, "LV3.202_SGen_1", 123_456, 15, 0x3301_3386_8b53_6c8e, 0.8655048991161716),
        (1 << 63, "", 0, 0, 0xcbf2_9ce4_8422_2325, 0.18045076148491035),
    ])
    func drawsAreBitEqual(seed: UInt64, stream: String, k: Int, channel: UInt64, hash: UInt64, expected: Double) {
        #expect(ReplayRandom.hash(stream) == hash)
        #expect(ReplayRandom(seed: seed, stream: stream).uniform(k, channel) == expected)
    }

    @Test func aWindowIsDeterministicAndItsFaultsAreAskedFor() throws {
        let directory = "\(Repository.root)/data/semiurb"
        let network = try NetworkReader.read(directory).network
        let window = try ProfileWindow(directory: directory, name: "day", network: network)
        let truth = try TruthWindow(directory: directory, window: "day", start: window.start, step: window.step)
        func model(_ faults: ReplayModel.Faults = .init()) -> ReplayModel {
            ReplayModel(network: network, window: window, truth: truth, seed: 7, feeders: ["F09"], faults: faults)
        }
        let plain = model().readings(from: 36_000, to: 36_300)
        // A DER that the window does not speak of says nothing, and least of all that it gives nothing.
        var larger = network
        let place = try #require(network.ders.first { model().streams.map(\.device).contains($0.id) }).node
        larger.ders.append(.init(id: "hydro", kind: .hydro, node: place, ratedKW: 500))
        let unknown = try ProfileWindow(directory: directory, name: "day", network: larger)
        let streams = ReplayModel(network: larger, window: unknown, truth: truth, seed: 7, feeders: ["F09"]).streams
        #expect(streams.map(\.device) == model().streams.map(\.device))
        #expect(plain.map(\.stamped) == model().readings(from: 36_000, to: 36_300).map(\.stamped))
        var faults = ReplayModel.Faults()
        faults.loss = 0.1
        let lossy = model(faults).readings(from: 36_000, to: 36_300)
        #expect(abs(Double(lossy.count) / Double(plain.count) - 0.9) < 0.03)
        faults.loss = 0
        faults.duplicate = 0.2
        #expect(abs(Double(model(faults).readings(from: 36_000, to: 36_300).count) / Double(plain.count) - 1.2) < 0.03)
    }
}
