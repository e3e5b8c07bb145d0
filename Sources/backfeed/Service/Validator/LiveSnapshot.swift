internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

/// The network as it is now, from what the service has received; whatever is missing or too old becomes a doubt.
///
/// Loads are not measured: each feeder's head, with what its DER give, is spread over its loads by their nominal power
/// (losses count as load). What DER give that have not spoken for too long is between nothing and their rating: for NOW
/// it is what makes the feeder's load as usual, so that the head is as measured; for MASKED all of it hides load.
struct LiveSnapshot {
    let stored: StoredNetwork
    let graph: NetworkGraph
    let limits: Limits

    /// Seconds, and a share of the DER rating.
    struct Limits {
        var headAge, derAge, analyserAge: Double
        var derShare: Double
        /// Load of the EXPORT case beside that of now.
        var lightLoad: Double
        /// A replay is judged: the data's own time is now.
        var isReplay: Bool
        /// False: it may be day at any time.
        var followsSun: Bool

        init(_ settings: Settings) {
            headAge = settings.number("validator.head_age_s")
            derAge = settings.number("validator.der_age_s")
            analyserAge = settings.number("validator.analyser_age_s")
            derShare = settings.number("validator.der_share_pct") / 100
            lightLoad = settings.number("validator.light_load_pct") / 100
            isReplay = settings.text("validator.clock") == "data"
            followsSun = settings.flag("site.sun")
        }
    }

    /// - Parameters:
    ///   - record: what stands in the database: positions, register, advisories, other plans.
    ///   - concerned: feeders that the plan touches: for them everything must be known.
    ///   - wall: the wall clock.
    func make(
        _ now: LiveState.Contents, _ record: OperatingRecord,
        concerned: (_ positions: [SwitchPosition]) -> Set<String>,
        holdHours: Double, wall: Timestamp
    ) -> GridSnapshot {
        let network = stored.network
        // What is recorded, not what was heard of last: the record is read in one piece with everything else.
        let recorded = Dictionary(
            record.positions.map { ($0.id, $0.position) }, uniquingKeysWith: { first, _ in first })
        let positions = network.switches.map { recorded[$0.id] ?? $0.normalPosition }
        let newest = now.heads.values.map(\.time).max()
        let clock = limits.isReplay ? newest ?? wall : wall
        let concerned = concerned(positions)
        let topology = Topology(graph, positions: positions.map { $0 == .open ? .open : .closed })
        var doubts: [Finding] = []

        // DER, and how much of each feeder's rating has spoken.
        var derWatts = [Double](repeating: 0, count: network.ders.count)
        var known = [Double](repeating: 0, count: network.feeders.count)
        var rated = known
        var given = known
        // Of each feeder, W that the silent ones could give, and who they are.
        var silentCan = known
        var silent = [[Int]](repeating: [], count: network.feeders.count)
        var contradictions: [String] = []
        // What was heard before a switch moved says nothing of the time after it; then DER have two seconds to trip.
        let settled = record.movedAt.map { $0 + Self.tripSeconds } ?? .distantPast
        let sunIsUp = isDay(clock, clock)
        for (place, der) in network.ders.enumerated() {
            guard let node = graph.nodeIndex[der.node], let index = stored.registry.index[der.id] else { continue }
            let feeder = Int(topology.feeder[node])
            let value = now.newest[Int(index)].power
            let isFresh = value.receivedAt > 0 && age(of: value, wall) <= limits.derAge && value.power.isFinite
            if feeder >= 0 { rated[feeder] += der.ratedKW }
            guard isFresh else {
                if feeder >= 0, der.kind != .electricVehicleCharger, der.kind != .photovoltaic || sunIsUp {
                    silentCan[feeder] += der.ratedKW * 1000
                    silent[feeder].append(place)
                }
                continue
            }
            derWatts[place] = Double(value.power)
            if feeder >= 0 {
                known[feeder] += der.ratedKW
                given[feeder] += Double(value.power)
            } else if !topology.energised[node], value.power > 1000,
                Timestamp(microseconds: value.receivedAt) > settled
            {
                contradictions.append(der.id)
            }
        }
        doubts += Contradictions(
            stored: stored, graph: graph, topology: topology, settled: settled, maximumAge: limits.derAge, wall: wall
        ).doubts(now, record, giving: contradictions)

        // Heads, and what their feeders' loads take.
        // What a feeder's head and its known DER leave for its loads, less what silent DER give; W.
        var residual = [Double?](repeating: nil, count: network.feeders.count)
        var nominal = [Double](repeating: 0, count: network.feeders.count)
        for load in network.loads {
            guard let node = graph.nodeIndex[load.node], topology.feeder[node] >= 0 else { continue }
            nominal[Int(topology.feeder[node])] += load.kilowatts * 1000
        }
        for (number, feeder) in network.feeders.enumerated() {
            let head = now.heads[feeder.id]
            let age = head.map { self.age(of: $0, wall) }
            let isConcerned = concerned.contains(feeder.id)
            if let head, let age, age <= limits.headAge, head.power.isFinite {
                residual[number] = Double(head.power) + given[number]
            } else {
                doubts.append(
                    Finding(
                        "X2", isConcerned ? .unknown : .condition, elements: [feeder.id], value: age,
                        limit: limits.headAge,
                        unit: "s", limitSource: "validator.head_age_s",
                        age.map { "The head of \(feeder.id) was last measured \(Int($0)) s ago." }
                            ?? "The head of \(feeder.id) has never been measured.",
                        remedy: isConcerned
                            ? "Restore its telemetry, then validate again."
                            : "Watch the substation's voltage while switching."))
            }
            if isConcerned, rated[number] > 0, known[number] < limits.derShare * rated[number] {
                doubts.append(
                    Finding(
                        "X2", .condition, elements: [feeder.id], value: known[number] / rated[number] * 100,
                        limit: limits.derShare * 100, unit: "%", limitSource: "validator.der_share_pct",
                        "Only \(Int(known[number] / rated[number] * 100)) % of the DER rating on \(feeder.id) has reported: bounds (MASKED, EXPORT) stand for the rest.",
                        remedy: "Measure the load at the switches before the step."))
            }
            let analysed = now.positions[feeder.id]?.head
            // Also behind what a head with a fast clock has said.
            let lag = analysed.map { max(clock, head?.time ?? clock) - $0 }
            if isConcerned, lag ?? .infinity > limits.analyserAge {
                doubts.append(
                    Finding(
                        "X2", .unknown, elements: [feeder.id], value: lag, limit: limits.analyserAge, unit: "s",
                        limitSource: "validator.analyser_age_s",
                        lag.map { "\(feeder.id) is analysed up to \(Int($0)) s ago: newer advisories may be missing." }
                            ?? "\(feeder.id) is not analysed: its advisories are not known.",
                        remedy: "Wait for the analyser, or find out why it stands still."))
            }
        }
        doubts += Self.doubts(record, network, graph, revision: stored.revision)
        if limits.isReplay {
            doubts.append(
                Finding(
                    "X2", .note, limitSource: "validator.clock",
                    "Judged by the data's clock, \(clock): a replay, not the network as it is now."))
        }
        if let problem = now.storeProblem {
            doubts.append(
                Finding(
                    "X2", .unknown, "The store does not accept writes: \(problem).",
                    remedy: "Restore the database, then validate again."))
        }

        // As usual: the feeders that are fully measured, in the middle; else as drawn.
        let shares = network.feeders.indices.compactMap { number -> Double? in
            guard let residual = residual[number], silent[number].isEmpty, nominal[number] > 0 else { return nil }
            return max(0, residual) / nominal[number]
        }.sorted()
        let usual = shares.isEmpty ? 1 : shares[shares.count / 2]
        var share = [Double](repeating: usual, count: network.feeders.count)
        var largest = share
        for number in network.feeders.indices where nominal[number] > 0 {
            guard let residual = residual[number] else { continue }
            let most = residual + silentCan[number]
            if most < -Self.tolerated {
                doubts.append(
                    Finding(
                        "X2", concerned.contains(network.feeders[number].id) ? .unknown : .condition,
                        elements: [network.feeders[number].id], value: most, unit: "W",
                        "\(network.feeders[number].id) feeds back more than its DER can give: the head, a device or the network's data is wrong.",
                        remedy: "Find out which, then validate again."))
            }
            let native = max(0, min(max(usual * nominal[number], residual), most))
            share[number] = native / nominal[number]
            largest[number] = max(native, most) / nominal[number]
            for place in silent[number] where silentCan[number] > 0 {
                let part = network.ders[place].ratedKW * 1000 / silentCan[number]
                derWatts[place] = max(0, native - residual) * part
            }
        }
        var loadWatts = [Double](repeating: 0, count: network.nodes.count)
        var (loadVars, largestWatts, varsByNode) = (loadWatts, loadWatts, loadWatts)
        for load in network.loads {
            guard let node = graph.nodeIndex[load.node] else { continue }
            let feeder = Int(topology.feeder[node])
            let scale = feeder >= 0 ? share[feeder] : usual
            loadWatts[node] += load.kilowatts * 1000 * scale
            // Without q_kvar a load is drawn without reactive power.
            loadVars[node] += (load.kilovars ?? 0) * 1000 * scale
            largestWatts[node] += load.kilowatts * 1000 * (feeder >= 0 ? largest[feeder] : usual)
        }
        for (place, der) in network.ders.enumerated() {
            guard let node = graph.nodeIndex[der.node] else { continue }
            varsByNode[node] += derWatts[place] * (der.reactiveShare ?? 0)
        }

        var snapshot = GridSnapshot(
            time: wall, networkRevision: "\(record.revision)", positions: positions,
            taps: network.transformers.map(\.tap.position), loadWatts: loadWatts,
            loadVars: loadVars, derWatts: derWatts, derVars: varsByNode)
        snapshot.watermark = concerned.compactMap { now.positions[$0]?.head }.min()
        snapshot.take(record)
        for name in concerned {
            if let head = now.heads[name], head.power.isFinite { snapshot.headWatts[name] = Double(head.power) }
        }
        snapshot.doubts = doubts
        snapshot.lightLoadShare = limits.lightLoad
        snapshot.largestLoadWatts = largestWatts
        snapshot.hasDaylight = isDay(clock, clock + holdHours * 3600)
        snapshot.notRun = Self.unfed
        return snapshot
    }

    /// What the record itself leaves open.
    private static func doubts(
        _ record: OperatingRecord, _ network: Network, _ graph: NetworkGraph, revision: Int
    ) -> [Finding] {
        var doubts: [Finding] = []
        if record.declaredBy == nil {
            doubts.append(
                Finding(
                    "T4", .unknown, limitSource: "POST /v1/safety/declare",
                    "Nobody has declared that the register holds every tag, ground and clearance in force.",
                    remedy: "Enter what is in force, then declare the register complete."))
        }
        let known = Set(network.lines.map(\.id)).union(network.transformers.map(\.id))
        let strangers = Set(
            record.items.map(\.element).filter {
                graph.nodeIndex[$0] == nil && graph.switchIndex[$0] == nil && !known.contains($0)
            })
        if !strangers.isEmpty {
            doubts.append(
                Finding(
                    "T4", .unknown, elements: strangers.sorted(),
                    "The register names elements that this network does not have.",
                    remedy: "Find out what they are now, and enter them again."))
        }
        if record.revision != revision {
            doubts.append(
                Finding(
                    "T1", .unknown, "Network revision \(record.revision) is being taken over.",
                    remedy: "Validate again in a moment."))
        }
        return doubts
    }

    /// Seconds since a value was measured or received, whichever is longer ago: a clock that is ahead makes nothing fresh.
    /// In a replay only when it was received says anything.
    private func age(of value: LiveState.Head, _ wall: Timestamp) -> Double {
        let received = wall - Timestamp(microseconds: value.receivedAt)
        return limits.isReplay ? received : max(wall - value.time, received)
    }

    /// From the loss of supply until DER must have tripped (IEEE 1547: 2 s), with clocks that differ.
    private static let tripSeconds = 10.0

    /// W by which a head may feed back more than all DER: losses and the meter's error.
    private static let tolerated = 50_000.0

    /// Whether photovoltaics can give anything; without coordinates: yes.
    private func isDay(_ start: Timestamp, _ end: Timestamp) -> Bool {
        guard limits.followsSun, let place = stored.network.centre else { return true }
        return Sun.shines(from: start, to: end, longitude: place.longitude, latitude: place.latitude)
    }

    /// What the service is not told yet.
    private static let unfed: [Verdict.NotRun] =
        [
            .init(check: "V", reason: "tap positions are not measured: transformers stand in their normal ones"),
            .init(
                check: "X4", reason: "users are not built yet: the names of author and approver are taken at their word"
            ),
        ]
}

extension GridSnapshot {
    /// Register, advisories and other plans.
    mutating func take(_ record: OperatingRecord) {
        for item in record.items {
            switch item.kind {
            case .tag: tags.insert(.init(element: item.element, kind: item.value))
            case .ground: grounds.insert(item.element)
            case .clearance: clearances.insert(.init(element: item.element, holder: item.value))
            case .reclosingDisabled: reclosingDisabled.insert(item.element)
            case .restriction:
                let isEverywhere = item.element == SafetyRegister.wholeNetwork
                restrictions.insert(.init(feeder: isEverywhere ? nil : item.element, text: item.value))
            }
        }
        advisories = record.advisories.map {
            .init(
                id: $0.id, kind: $0.kind, severity: $0.severity, feeder: $0.feeder, element: $0.element,
                isEvaluated: $0.isEvaluated)
        }
        openPlans = record.plans.map { plan in
            let lasts = plan.state == .executing || plan.state == .hold
            return .init(
                id: plan.id, state: lasts ? "being executed" : "approved", elements: Set(plan.elements),
                feeders: Set(plan.feeders), from: lasts ? .distantPast : plan.from,
                until: lasts ? time + 10 * 365 * 86_400 : plan.until, isOpenEnded: lasts)
        }
    }
}
