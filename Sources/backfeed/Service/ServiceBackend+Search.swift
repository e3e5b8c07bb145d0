internal import Foundation
internal import GridModel
internal import Store

/// Finding what one knows by a part of its name.
extension ServiceBackend {
    private struct Found: Encodable {
        var kind: String
        var id: String
        /// That feeds it now.
        var feeder: String?
    }

    /// What the network has whose name holds the text, whatever the case: names that begin with it first, feeders before
    /// switches, devices and nodes.
    func search(_ text: String, limit: Int) -> [String] {
        let wanted = text.lowercased()
        let now = live.now
        var (first, second): ([Found], [Found]) = ([], [])
        // Enough of both to fill the answer: the rest would not be shown.
        func look(_ kind: String, _ names: some Sequence<String>, _ feeder: (String) -> String?) {
            for name in names {
                let lower = name.lowercased()
                if lower.hasPrefix(wanted) {
                    guard first.count < limit else { return }
                    first.append(Found(kind: kind, id: name, feeder: feeder(name)))
                } else if second.count < limit, lower.contains(wanted) {
                    second.append(Found(kind: kind, id: name, feeder: feeder(name)))
                }
            }
        }
        func feeder(ofNode name: String) -> String? {
            guard let node = live.graph.nodeIndex[name], now.topology.feeder[node] >= 0 else { return nil }
            return live.graph.feederIDs[Int(now.topology.feeder[node])]
        }
        let registry = live.stored.registry
        look("feeder", live.stored.network.feeders.map(\.id)) { $0 }
        look("switch", live.stored.network.switches.map(\.id)) { _ in nil }
        look("device", registry.devices.lazy.filter { $0.kind != .switchStatus }.map(\.name)) { name in
            registry.index[name].flatMap { self.feeder(of: registry.devices[Int($0)], now) }
        }
        look("node", live.stored.network.nodes.map(\.id), feeder(ofNode:))
        return (first + second).prefix(limit).map(JSONCoding.encode)
    }
}
