internal import Analysis
internal import GridModel
internal import ServiceKit
internal import Store
internal import Switching

/// The network as it is now, from what the service has received; whatever is missing or too old becomes a doubt.
///
/// Loads are not measured: they are estimated (``Switching/LoadEstimate``).
struct LiveSnapshot {
    let stored: StoredNetwork
    let graph: NetworkGraph
    let points: MeasuringPoints
    let limits: Limits

    /// Seconds, and a share of the DER rating.
    struct Limits {
        var headAge, derAge, analyserAge, switchAge: Double
        var derShare: Double
        /// Load of the EXPORT case beside that of now.
        var lightLoad: Double
        /// A replay is judged: the data's own time is now.
        var isReplay: Bool
        /// False: it may be day at any time.
        var followsSun: Bool
        var tolerance = LiveMeasurements.Tolerance()

        init(_ settings: Settings) {
            headAge = settings.number("validator.head_age_s")
            derAge = settings.number("validator.der_age_s")
            analyserAge = settings.number("validator.analyser_age_s")
            switchAge = settings.number("validator.switch_age_s")
            derShare = settings.number("validator.der_share_pct") / 100
            lightLoad = settings.number("validator.light_load_pct") / 100
            isReplay = settings.text("validator.clock") == "data"
            followsSun = settings.flag("site.sun")
            tolerance.share = settings.number("validator.measured_pct") / 100
            tolerance.ratingShare = settings.number("validator.measured_rating_pct") / 100
            tolerance.watts = settings.number("validator.measured_w")
            tolerance.voltage = settings.number("validator.measured_voltage_pct") / 100
            let factor = settings.number("validator.power_factor")
            tolerance.powerFactor = factor > 0 ? factor : nil
        }
    }

    /// - Parameters:
    ///   - record: what stands in the database: positions, register, advisories, other plans.
    ///   - concerned: feeders that the plan touches: for them everything must be known.
    ///   - moment: now.
    func make(
        _ now: LiveState.Contents, _ record: OperatingRecord,
        concerned: (_ positions: [SwitchPosition]) -> Set<String>,
        holdHours: Double, at moment: Moment
    ) -> GridSnapshot {
        let network = stored.network
        let wall = moment.wall
        // What is recorded, not what was heard of last: the record is read in one piece with everything else.
        let recorded = Dictionary(record.switches.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let positions = network.switches.map { recorded[$0.id]?.judged ?? $0.normalPosition }
        let newest = now.heads.values.map(\.time).max()
        let clock = limits.isReplay ? newest ?? wall : wall
        let concerned = concerned(positions)
        let topology = Topology(graph, positions: positions.map { $0 == .open ? .open : .closed })
        var doubts: [Finding] = []

        // DER, and how much of each feeder's rating has spoken.
        var ders = [LiveMeasurements.DER](repeating: .init(), count: network.ders.count)
        var known = [Double](repeating: 0, count: network.feeders.count)
        var rated = known
        var contradictions: [String] = []
        // What was heard before a switch moved says nothing of the time after it; then DER have two seconds to trip.
        let settled = record.movedAt.map { $0 + Self.tripSeconds } ?? .distantPast
        let sunIsUp = isDay(clock, clock)
        for (place, der) in network.ders.enumerated() {
            guard let node = graph.nodeIndex[der.node], let index = stored.registry.index[der.id] else { continue }
            let feeder = Int(topology.feeder[node])
            let value = now.newest[Int(index)].power
            let isFresh = value.receivedAt > 0 && age(of: value, moment) <= limits.derAge && value.power.isFinite
            if feeder >= 0 { rated[feeder] += der.ratedKW }
            guard isFresh else {
                if der.kind != .electricVehicleCharger, der.kind != .photovoltaic || sunIsUp {
                    ders[place].canGive = der.ratedKW * 1000
                }
                continue
            }
            ders[place].watts = Double(value.power)
            if value.reactive.isFinite { ders[place].vars = Double(value.reactive) }
            if feeder >= 0 {
                known[feeder] += der.ratedKW
            } else if !topology.energised[node], value.power > 1000,
                moment.wallTime(of: value.receivedAt) > settled
            {
                contradictions.append(der.id)
            }
        }
        doubts += Contradictions(
            stored: stored, graph: graph, topology: topology, settled: settled, maximumAge: limits.derAge,
            moment: moment
        ).doubts(now, record, giving: contradictions)

        for (number, feeder) in network.feeders.enumerated() {
            let head = now.heads[feeder.id]
            let age = head.map { self.age(of: $0, moment) }
            let isConcerned = concerned.contains(feeder.id)
            if !(head?.power.isFinite ?? false) || (age ?? .infinity) > limits.headAge {
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
        doubts += differences(now, record)
        if limits.isReplay {
            doubts.append(
                Finding(
                    "X2", .note, limitSource: "validator.clock",
                    "Judged by the data's clock, \(clock): a replay, not the network as it is now."))
        }
        if let restored = record.restoredAt {
            let confirmed = Set(record.confirmed)
            let open = network.switches.map(\.id).filter { !confirmed.contains($0) }
            if !open.isEmpty {
                doubts.append(
                    Finding(
                        "T1", .unknown, elements: open, value: Double(open.count), unit: "switches",
                        "The database was restored (\(restored)): where \(open.count) switches stand has not been confirmed since.",
                        remedy: "Confirm each position (console, or backfeed switches confirm), then validate again."))
            }
        }
        for problem in now.problems where problem.part.bearsOnVerdicts {
            doubts.append(
                Finding(
                    "X2", .unknown, elements: [],
                    "The service's part \"\(problem.part.rawValue)\" cannot do its work: \(problem.text).",
                    remedy: "Restore it (most often the database), then validate again."))
        }

        let measured = LiveMeasurements(
            points: points, flows: flows(now, record, moment), voltages: voltages(now, record, moment), ders: ders,
            concerned: concerned, tolerance: limits.tolerance)
        let traced: [SwitchPosition] = positions.map { $0 == .open ? .open : .closed }
        let loads = LoadEstimate(network, graph, topology, measured, positions: traced).lossless
        var snapshot = GridSnapshot(
            time: wall, networkRevision: "\(record.revision)", positions: positions,
            taps: network.transformers.map(\.tap.position), loadWatts: loads.loadWatts,
            loadVars: loads.loadVars, derWatts: loads.derWatts, derVars: loads.derVars)
        snapshot.take(loads)
        snapshot.measured = measured
        snapshot.watermark = concerned.compactMap { now.positions[$0]?.head }.min()
        snapshot.take(record)
        snapshot.activity = .init(
            moves: Dictionary(record.switches.map { ($0.id, $0.moves) }, uniquingKeysWith: max),
            advisories: Dictionary(record.advisoryActivity.map { ($0.feeder, $0.number) }, uniquingKeysWith: max),
            register: record.registerActs)
        for item in record.switches {
            snapshot.positionDoubts[item.id] = item.doubtText(at: wall, within: limits.switchAge)
        }
        for name in concerned {
            if let head = now.heads[name], head.power.isFinite { snapshot.headWatts[name] = Double(head.power) }
        }
        snapshot.doubts = doubts
        snapshot.lightLoadShare = limits.lightLoad
        snapshot.hasDaylight = isDay(clock, clock + holdHours * 3600)
        snapshot.notRun = Self.unfed(hasAccounts: record.hasAccounts)
        return snapshot
    }

    /// Switches of which the console shows something else than the record says.
    private func differences(_ now: LiveState.Contents, _ record: OperatingRecord) -> [Finding] {
        let apart = record.switches.filter { item in
            guard let number = graph.switchIndex[item.id] else { return false }
            let normal = graph.normalPositions[number]
            return (now.switches[item.id]?.judged ?? normal) != (item.judged ?? normal)
        }
        guard !apart.isEmpty else { return [] }
        return [
            Finding(
                "T1", .unknown, elements: apart.map(\.id),
                "\(apart.map(\.id).joined(separator: ", ")) moved a moment ago: what is shown is not what is recorded yet.",
                remedy: "Validate again in a moment.")
        ]
    }

    // MARK: What is measured

    /// By measuring point. Quantities of one device belong together only when they are of about the same time.
    private func flows(
        _ now: LiveState.Contents, _ record: OperatingRecord, _ moment: Moment
    ) -> [LiveMeasurements.Flow] {
        let settled = settledAt(record)
        return points.all.enumerated().map { place, point in
            let device = stored.registry.devices[Int(point.number)]
            let values = now.flows[place]
            var flow = LiveMeasurements.Flow()
            // The head as it is shown and judged everywhere else.
            let watts = device.kind == .feederHead ? now.heads[device.normalFeeder] ?? .never : values.watts
            let oldest = device.kind == .feederHead ? limits.headAge : min(limits.headAge, Self.apartSeconds)
            func fresh(_ value: LiveState.Head) -> Double? {
                guard value.receivedAt > 0, value.power.isFinite, age(of: value, moment) <= oldest else { return nil }
                return Double(value.power)
            }
            flow.watts = fresh(watts)
            let isKnown = flow.watts != nil
            func beside(_ value: LiveState.Head) -> Double? {
                guard let found = fresh(value), !isKnown || abs(value.time - watts.time) <= Self.apartSeconds else {
                    return nil
                }
                return found
            }
            func isSettled(_ value: LiveState.Head) -> Bool { moment.wallTime(of: value.receivedAt) > settled }
            flow.vars = beside(values.vars)
            // A current is only there to be compared.
            if isSettled(values.amperes) { flow.amperes = beside(values.amperes) }
            flow.isSettled =
                (flow.watts == nil || isSettled(watts)) && (flow.vars == nil || isSettled(values.vars))
            return flow
        }
    }

    private func voltages(
        _ now: LiveState.Contents, _ record: OperatingRecord, _ moment: Moment
    ) -> [LiveMeasurements.Voltage] {
        let settled = settledAt(record)
        return now.newest.indices.compactMap { number in
            let value = now.newest[number].voltage
            guard value.receivedAt > 0, value.perUnit.isFinite else { return nil }
            let device = stored.registry.devices[number]
            guard !device.kind.isDER, device.voltageBase > 1000,
                let node = graph.nodeIndex[device.node],
                age(of: LiveState.Head(power: 0, time: value.time, receivedAt: value.receivedAt), moment)
                    <= limits.headAge, moment.wallTime(of: value.receivedAt) > settled
            else { return nil }
            return .init(device: device.name, node: node, perUnit: Double(value.perUnit))
        }
    }

    /// A value received before says nothing of the network as it is switched now.
    private func settledAt(_ record: OperatingRecord) -> Timestamp {
        record.movedAt.map { $0 + Self.settleSeconds } ?? .distantPast
    }

    /// s after a switch moved until meters show it: a DER trips within 2 s (IEEE 1547).
    static let settleSeconds = 2.0

    /// s that values may be apart that are added up or taken together.
    private static let apartSeconds = 60.0

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
    private func age(of value: LiveState.Head, _ moment: Moment) -> Double {
        let received = moment.age(of: value.receivedAt)
        return limits.isReplay ? received : max(moment.wall - value.time, received)
    }

    /// From the loss of supply until DER must have tripped (IEEE 1547: 2 s), with clocks that differ.
    private static let tripSeconds = 10.0

    /// Whether photovoltaics can give anything; without coordinates: yes.
    private func isDay(_ start: Timestamp, _ end: Timestamp) -> Bool {
        guard limits.followsSun, let place = stored.network.centre else { return true }
        return Sun.shines(from: start, to: end, longitude: place.longitude, latitude: place.latitude)
    }

    /// Checks whose inputs the service does not get.
    private static func unfed(hasAccounts: Bool) -> [Verdict.NotRun] {
        [
            .init(
                check: "V",
                reason:
                    "tap positions are not measured: those under automatic control stand where measured busbar voltages, or their control, put them, others in their normal ones"
            ),
            .init(
                check: "X4",
                reason: hasAccounts
                    ? "qualifications: author and approver have signed in, what they may switch is not looked at"
                    : "there are no accounts: the names of author and approver are taken at their word, and qualifications are not looked at"
            ),
        ]
    }
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
