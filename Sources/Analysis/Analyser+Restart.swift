public import GridModel

/// How the analysis goes on where it had stopped.
extension Analyser {
    /// How far the analysis has come, by feeder id and `bank/<id>`: what the heartbeat says, and what the store keeps.
    public var positions: [String: Position] {
        var found: [String: Position] = [:]
        for feeder in feeders where feeder.nextHead != .distantPast {
            found[feeder.id] = Position(head: feeder.nextHead, minute: feeder.nextMinute)
        }
        if front.next != .distantPast { found[Front.name] = Position(head: front.next, minute: front.next) }
        for bank in banks where bank.nextMinute != .distantPast {
            found["bank/\(bank.id)"] = Position(head: bank.nextMinute, minute: bank.nextMinute)
        }
        return found
    }

    /// Feeders' clocks, for the ticks of silence.
    public var clocks: [String: Timestamp] {
        Dictionary(uniqueKeysWithValues: feeders.filter { $0.clock != .distantPast }.map { ($0.id, $0.clock) })
    }

    /// Call before the first sample after a restart.
    /// - Parameters:
    ///   - positions: as stored with the last output.
    ///   - latest: of each kind and element the newest advisory: open, or cleared within the re-arm time.
    ///   Call ``recall(_:warmFrom:)`` too, so that forecasts go on with what they had learned.
    public mutating func restore(positions: [String: Position], latest: [AdvisoryFacts]) {
        quiet = positions
        for facts in latest { stored["\(facts.kind.rawValue)|\(facts.element)"] = facts }
        restoreLinePoints(latest)
        let known = stored
        for number in feeders.indices {
            feeders[number].withHeadTrackers { $0.prepare(known[$0.key]) }
            feeders[number].withMinuteTrackers { $0.prepare(known[$0.key]) }
        }
        for place in banks.indices { banks[place].withTrackers { $0.prepare(known[$0.key]) } }
        front.tracker.prepare(known[front.tracker.key])
        for facts in latest where facts.kind == .fastRamp { front.restore(facts) }
        for facts in latest where facts.kind == .chatter {
            let parts = facts.element.split(separator: "/")
            let element = parts.dropLast().joined(separator: "/")
            chatters.restore(facts, of: stored["\(parts.last ?? "")|\(element)"], rearm: settings.rearm)
        }
    }

    /// Takes the stored forecasts of the last weeks, oldest first. In portions, or at once; before the first sample.
    ///
    /// - Parameter warmFrom: begin of the samples that will be taken again: runs from then on are taken again with them.
    public mutating func recall(_ runs: [ForecastRun], warmFrom: Timestamp) {
        for run in runs {
            guard let number = model.graph.feederIndex[run.feeder] else { continue }
            if run.madeAt < warmFrom {
                feeders[number].forecaster.learn(
                    run, context.calendar, clear: context.clearSky(run.madeAt - 900))
            } else {
                storedRuns[run.feeder, default: [:]][run.madeAt] = run
            }
        }
    }

    /// Seconds of stored runs that ``recall(_:warmFrom:)`` can use.
    public static let forecastMemory = Forecaster.loadDays * 86_400

    func isLoud(_ name: String, _ end: Timestamp, head: Bool) -> Bool {
        guard let position = quiet[name] else { return true }
        return end > (head ? position.head : position.minute)
    }

    /// Before the first bin that is said again, the trackers become what the store says they were.
    mutating func settle(_ number: Int, head: Bool) {
        let id = feeders[number].id
        guard let position = quiet[id] else { return }
        let known = stored
        if head {
            guard !settledHead.contains(id), feeders[number].nextHead + FeederState.headBin > position.head else {
                return
            }
            settledHead.insert(id)
            feeders[number].withHeadTrackers { Self.take(&$0, known) }
        } else {
            guard !settledMinute.contains(id), feeders[number].nextMinute + FeederState.minute > position.minute else {
                return
            }
            settledMinute.insert(id)
            feeders[number].withMinuteTrackers { Self.take(&$0, known) }
            feeders[number].restoreFaults(known, &devices, model)
            for place in feeders[number].groups.indices { settleGroup(number, place) }
            for device in feeders[number].ders + feeders[number].linePoints.map(\.device) {
                settleGap(device, feeder: id, known)
            }
        }
    }

    mutating func settleGap(_ device: Int, feeder: String, _ known: [String: AdvisoryFacts]) {
        let name = model.registry.devices[device].name
        if stored["\(AdvisoryKind.dataGap.rawValue)|\(name)"] != nil, devices[device].gap == nil {
            devices[device].gap = AdvisoryTracker(
                .dataGap, feeder: feeder, element: name, timing: .init(on: 0, off: 0), rearm: settings.rearm)
        }
        if var tracker = devices[device].gap {
            Self.take(&tracker, known)
            devices[device].gap = tracker
        }
    }

    mutating func settleGroup(_ feeder: Int, _ place: Int) {
        let known = stored
        feeders[feeder].groups[place].withTrackers { Self.take(&$0, known) }
    }

    mutating func settleBank(_ place: Int) {
        let name = "bank/\(banks[place].id)"
        guard let position = quiet[name], !settledMinute.contains(name), banks[place].nextMinute + 60 > position.minute
        else { return }
        settledMinute.insert(name)
        let known = stored
        banks[place].withTrackers { Self.take(&$0, known) }
    }

    /// Once, before the first bin that is said again.
    mutating func settleFront() {
        guard quiet[Front.name] != nil, settledHead.insert(Front.name).inserted else { return }
        Self.take(&front.tracker, stored)
    }

    static func take(_ tracker: inout AdvisoryTracker, _ stored: [String: AdvisoryFacts]) {
        if let facts = stored[tracker.key] { tracker.restore(facts) } else { tracker.forget() }
    }
}
