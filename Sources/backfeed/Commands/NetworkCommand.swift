internal import DataDirectory
internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

enum NetworkCommand {
    static let importer = Command(
        "network import", operands: "DIR", "load a network directory as a new revision",
        detail: "All or nothing: when anything is wrong, every mistake is named and the revision in force stays."
    ) { invocation in
        let directory = try invocation.arguments.operand(0, "DIR")
        guard let result = try read(directory) else { return .negative }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        let imported = try NetworkStore.importRevision(result.network, by: NSUserName(), database.conninfo)
        describe(result)
        say(
            imported.isNew
                ? "imported as revision \(imported.revision)"
                : "unchanged: this is revision \(imported.revision) already")
        describe(imported.changes, revision: imported.revision)
        return .done
    }

    static let checker = Command(
        "network check", operands: "DIR", "say what an import would read and change, and write nothing"
    ) { invocation in
        guard let result = try read(try invocation.arguments.operand(0, "DIR")) else { return .negative }
        describe(result)
        guard
            !invocation.settings.text("database.url").isEmpty
                || FileManager.default.fileExists(atPath: "\(invocation.dataDirectory)/postgres/data")
        else {
            say("nothing is imported yet: no changes to show")
            return .done
        }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        if let stored = try NetworkStore.load(database.conninfo) {
            describe(NetworkStore.changes(from: stored.network, to: result.network), revision: stored.revision + 1)
        }
        return .done
    }

    static let show = Command(
        "network show", "show the network in force: feeders as switched now, loops, dead parts",
        options: [Option("feeder", "F", "only this feeder, with its devices by kind")]
    ) { invocation in
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard let stored = try NetworkStore.load(database.conninfo) else {
            say("no network is imported: backfeed network import DIR")
            return .negative
        }
        let graph = NetworkGraph(stored.network)
        let live = Topology(graph, positions: graph.positions(live: stored.livePositions))
        let wanted = invocation.arguments.text("feeder")
        if let wanted, graph.feederIndex[wanted] == nil {
            throw UsageError("there is no feeder \(wanted); there are \(graph.feederIDs.joined(separator: ", "))")
        }
        say(
            "network \(stored.network.id), revision \(stored.revision): \(live.loops) loops, \(live.parallelSources) parallel sources, \(live.deadNodeCount) dead nodes"
        )
        let moved = stored.livePositions.filter { id, position in
            graph.switchIndex[id].map { graph.normalPositions[$0] != position } ?? false
        }
        for (id, position) in moved.sorted(by: { $0.key < $1.key }) {
            say("switch \(id) is \(position.name), normally not")
        }
        let rows = stored.network.feeders.enumerated().filter { wanted == nil || $1.id == wanted }.map {
            number, feeder in
            let nodes = live.feeder.filter { $0 == Int32(number) }.count
            let ders = stored.registry.devices.filter { device in
                device.kind.isDER && graph.nodeIndex[device.node].map { live.feeder[$0] == Int32(number) } ?? false
            }
            let rated = ders.reduce(0) { $0 + $1.rating } / 1000
            return [
                feeder.id, feeder.substation, feeder.busbar, feeder.ratedAmperes.map { "\(Int($0))" } ?? "not known",
                "\(nodes)", "\(ders.count)",
                "\(Int(rated))",
            ]
        }
        say(table(["feeder", "substation", "busbar", "rating A", "nodes", "DER", "DER kW"], rows))
        if let wanted, let number = graph.feederIndex[wanted] {
            var kinds: [DeviceKind: (count: Int, kilowatts: Double)] = [:]
            for device in stored.registry.devices where device.kind.isDER {
                guard let node = graph.nodeIndex[device.node], live.feeder[node] == Int32(number) else { continue }
                kinds[device.kind, default: (0, 0)].count += 1
                kinds[device.kind, default: (0, 0)].kilowatts += device.rating / 1000
            }
            say(
                table(
                    ["kind", "count", "kW"],
                    kinds.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                        [$0.key.rawValue, "\($0.value.count)", "\(Int($0.value.kilowatts))"]
                    }))
        }
        return .done
    }

    /// Reads a directory; prints every mistake and returns `nil` when there are any.
    private static func read(_ directory: String) throws -> NetworkReader.Result? {
        do {
            return try NetworkReader.read(directory)
        } catch {
            complain(error.description)
            complain("\(error.mistakes.count) mistake\(error.mistakes.count == 1 ? "" : "s"); nothing was written")
            return nil
        }
    }

    static func importDirectory(_ directory: String, conninfo: String, isQuiet: Bool) throws
        -> NetworkStore.ImportResult
    {
        let result = try NetworkReader.read(directory)
        return try NetworkStore.importRevision(result.network, by: NSUserName(), conninfo)
    }

    private static func describe(_ result: NetworkReader.Result) {
        say("network \(result.network.id)")
        say(result.counts.map { "  \($0.count) \($0.what)" }.joined(separator: "\n"))
        for line in result.ignored { say("ignored: \(line)") }
        for line in result.doubts { say("doubtful: \(line)") }
        let notRun = Dictionary(grouping: DataNeeds.notRun(result.network), by: \.reason)
        for (reason, checks) in notRun.sorted(by: { $0.key < $1.key }) {
            say("not run: \(Set(checks.map(\.check)).sorted().joined(separator: ", ")): \(reason)")
        }
        for item in result.network.oversizedGeneration {
            say(
                "XFMR_DER_OVERSIZE: \(item.lowVoltageArea) has \(Int(item.generationKW.rounded())) kW of DER behind "
                    + "\(item.transformers.joined(separator: ", ")) of \(Int(item.ratedKVA.rounded())) kVA (Rule 21 screen D)"
            )
        }
    }

    private static func describe(_ changes: [NetworkStore.SwitchChange], revision: Int) {
        guard revision > 1 else { return }
        say(changes.isEmpty ? "no switch has changed" : "\(changes.count) switches have changed:")
        for change in changes { say("  \(change.id): \(change.what)") }
    }
}
