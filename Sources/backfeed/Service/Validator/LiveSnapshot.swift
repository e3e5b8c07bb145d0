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

        init(_ settings: Settings) {
            headAge = settings.number("validator.head_age_s")
            derAge = settings.number("validator.der_age_s")
            analyserAge = settings.number("validator.analyser_age_s")
            derShare = settings.number("validator.der_share_pct") / 100
            lightLoad = settings.number("validator.light_load_pct") / 100
        }
    }

    /// - Parameters:
    ///   - concerned: feeders that the plan touches: for them everything must be known.
    ///   - clock: the wall clock.
    func make(
        _ now: LiveState.Contents, advisories: [GridSnapshot.ActiveAdvisory],
        concerned: (_ positions: [SwitchPosition]) -> Set<String>,
        holdHours: Double, clock: Timestamp
    ) -> GridSnapshot {
        let network = stored.network
        let positions = network.switches.map { now.switches[$0.id] ?? $0.normalPosition }
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
        let sunIsUp = isDay(clock, clock)
        for (place, der) in network.ders.enumerated() {
            guard let node = graph.nodeIndex[der.node], let index = stored.registry.index[der.id] else { continue }
            let feeder = Int(topology.feeder[node])
            let value = now.devices[Int(index)]
            let isFresh = value.receivedAt > 0 && age(of: value, clock) <= limits.derAge && value.power.isFinite
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
            } else if !topology.energised[node], value.power > 1000 {
                contradictions.append(der.id)
            }
        }
        if !contradictions.isEmpty {
            doubts.append(
                Finding(
                    "T1", .unknown, elements: contradictions.sorted(), value: Double(contradictions.count), unit: "DER",
                    "\(contradictions.count) DER give power where the network is dead as switched: a switch position is wrong.",
                    remedy: "Check the switch positions, correct them, then validate again."))
        }

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
            let age = head.map { self.age(of: $0, clock) }
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
        // Nobody tells the service yet, so nothing that is operated can be called free.
        doubts.append(
            Finding(
                "T4", .unknown, "Which tags, grounds and clearances are in force is not known to the service.",
                remedy: "Read them from the switching log: this verdict is no permission to switch."))
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
            loadVars[node] += load.kilovars * 1000 * scale
            largestWatts[node] += load.kilowatts * 1000 * (feeder >= 0 ? largest[feeder] : usual)
        }
        for (place, der) in network.ders.enumerated() {
            guard let node = graph.nodeIndex[der.node] else { continue }
            varsByNode[node] += derWatts[place] * (der.reactiveShare ?? 0)
        }

        var snapshot = GridSnapshot(
            time: clock, networkRevision: "\(stored.revision)", positions: positions,
            taps: network.transformers.map { $0.parameters["tap_pos"].map { Int($0) } }, loadWatts: loadWatts,
            loadVars: loadVars, derWatts: derWatts, derVars: varsByNode)
        snapshot.watermark = concerned.compactMap { now.positions[$0]?.head }.min()
        snapshot.advisories = advisories
        snapshot.doubts = doubts
        snapshot.lightLoadShare = limits.lightLoad
        snapshot.largestLoadWatts = largestWatts
        snapshot.hasDaylight = isDay(clock, clock + holdHours * 3600)
        snapshot.notRun = Self.unfed
        return snapshot
    }

    /// Seconds since a value was measured or received, whichever is longer ago: a clock that is ahead makes nothing fresh.
    private func age(of value: LiveState.Head, _ clock: Timestamp) -> Double {
        max(clock - value.time, clock - Timestamp(microseconds: value.receivedAt))
    }

    /// W by which a head may feed back more than all DER: losses and the meter's error.
    private static let tolerated = 50_000.0

    /// Whether photovoltaics can give anything; without coordinates: yes.
    private func isDay(_ start: Timestamp, _ end: Timestamp) -> Bool {
        let network = stored.network
        let place = network.nodes.lazy.compactMap { node in
            node.longitude.flatMap { x in node.latitude.map { (x, $0) } }
        }
        .first
        guard let place else { return true }
        return Sun.shines(from: start, to: end, longitude: place.0, latitude: place.1)
    }

    /// What the service is not told yet.
    private static let unfed: [Verdict.NotRun] =
        WindowSnapshot.notInNetwork
        + [
            .init(check: "H3", reason: "forecasts are not built yet: only the load of now is judged"),
            .init(check: "V", reason: "tap positions are not measured: transformers stand in their normal ones"),
            .init(check: "X3", reason: "plans are not kept yet, so other plans are not known"),
            .init(check: "X4", reason: "users are not built yet: author and approver are not checked"),
        ]
}
