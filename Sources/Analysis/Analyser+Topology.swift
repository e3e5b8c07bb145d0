internal import GridModel

/// Which feeder feeds what, and where voltage is watched.
extension Analyser {
    mutating func addTopology(at time: Timestamp) {
        let topology = Topology(model.graph, positions: model.positions)
        let feeder = model.registry.devices.map { device in
            device.kind.isDER ? model.graph.nodeIndex[device.node].map { topology.feeder[$0] } ?? -1 : -1
        }
        topologies.append((time, feeder))
        var (nodes, dead) = ([Int](repeating: 0, count: feeders.count), [Int](repeating: 0, count: feeders.count))
        var isSwitched = [Bool](repeating: false, count: feeders.count)
        for (node, home) in normalFeederOfNode.enumerated() {
            let now = topology.feeder[node]
            if now != home {
                for feeder in [now, home] where feeder >= 0 { isSwitched[Int(feeder)] = true }
            }
            guard home >= 0 else { continue }
            nodes[Int(home)] += 1
            if now < 0 { dead[Int(home)] += 1 }
        }
        isFeederSwitched.append(isSwitched)
        isFedFrom.append(
            lineRoles.values.reduce(into: [:]) { fed, role in
                if let edge = role.edge { fed[edge] = topology.isFedFrom(edge: edge, of: model.graph) }
            })
        isFeederOff.append(zip(nodes, dead).map { $0 > 0 && 2 * $1 >= $0 })
    }

    /// Gives a feeder the DER that it feeds in its next minute.
    mutating func assignDevices(_ number: Int) {
        let start = feeders[number].nextMinute
        guard
            let newest = topologies.lastIndex(where: { $0.time <= max(start, .distantPast) })
                ?? topologies.indices.first
        else { return }
        guard topologyOfFeeder[number] != newest + 1 else { return }
        let isFirst = topologyOfFeeder[number] == 0
        topologyOfFeeder[number] = newest + 1
        let list = topologies[newest].feeder
        feeders[number].ders = list.indices.filter { list[$0] == Int32(number) }
        feeders[number].darkDevices = list.indices.filter {
            list[$0] < 0 && homeFeeder[$0] == number && model.registry.devices[$0].kind.isDER
        }
        feeders[number].isSwitchedOff = isFeederOff[newest][number]
        feeders[number].isSwitched = isFeederSwitched[newest][number]
        if !isFirst { feeders[number].switchedAt = topologies[newest].time }
        for place in feeders[number].groups.indices { fillGroup(number, place) }
        for place in feeders[number].linePoints.indices { orient(number, place) }
    }

    mutating func addVoltagePoint(_ number: Int, to feeder: Int) {
        let device = model.registry.devices[number]
        let isLow = !device.lowVoltageArea.isEmpty && device.voltageBase < 1000
        let id = isLow ? device.lowVoltageArea : "\(feeders[feeder].id)/MV"
        if let place = feeders[feeder].groups.firstIndex(where: { $0.id == id }) {
            let points = feeders[feeder].groups[place].points
            feeders[feeder].groups[place].points.insert(number, at: points.firstIndex { $0 > number } ?? points.count)
            return
        }
        var bands = Voltage.Bands(settings.standard, isLowVoltage: isLow)
        let limits = feeders[feeder].limits
        bands.warnHigh = limits.warnHigh ?? bands.warnHigh
        bands.high = limits.high ?? bands.high
        bands.warnLow = limits.warnLow ?? bands.warnLow
        bands.low = limits.low ?? bands.low
        func tracker(_ kind: AdvisoryKind) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: feeders[feeder].id, element: id,
                timing: .init(on: 60, off: 1200, gap: settings.gap), rearm: settings.rearm)
        }
        var group = VoltageGroup(
            id: id, isLowVoltage: isLow, bands: bands, points: [number], high: tracker(.voltageHigh),
            low: tracker(.voltageLow), rise: tracker(.voltageRise),
            extreme: AdvisoryTracker(
                .voltageExtreme, feeder: feeders[feeder].id, element: id,
                timing: .init(on: 0, off: 300, gap: settings.gap), rearm: settings.rearm))
        let known = stored
        group.withTrackers { $0.prepare(known[$0.key]) }
        let groups = feeders[feeder].groups
        let place = groups.firstIndex { $0.id > id } ?? groups.count
        feeders[feeder].groups.insert(group, at: place)
        fillGroup(feeder, place)
        // Found after the warm-up had begun: it takes over its stored advisories at once.
        if settledMinute.contains(feeders[feeder].id) { settleGroup(feeder, place) }
    }

    mutating func fillGroup(_ feeder: Int, _ place: Int) {
        let group = feeders[feeder].groups[place]
        let ders = feeders[feeder].ders.filter {
            !group.isLowVoltage || model.registry.devices[$0].lowVoltageArea == group.id
        }
        feeders[feeder].groups[place].ders = ders
        feeders[feeder].groups[place].rating = ders.reduce(0) { $0 + model.registry.devices[$1].rating }
    }
}
