internal import GridModel

/// What several feeders do together: banks, and ramps of a whole region.
extension Analyser {
    static func banks(_ model: AnalysisModel) -> [String: String] {
        let busbars = model.network.nodes.filter { $0.kind == "mv_busbar" }
        var group = Dictionary(uniqueKeysWithValues: busbars.map { ($0.id, $0.id) })
        for item in model.network.switches where item.connects == .bus && item.normalPosition == .closed {
            guard let a = group[item.node], let b = group[item.element], a != b else { continue }
            for (key, value) in group where value == b { group[key] = a }
        }
        let substations = Dictionary(grouping: busbars, by: \.substation)
        return group.reduce(into: [:]) { result, entry in
            let node = busbars.first { $0.id == entry.key }
            let substation = node?.substation ?? ""
            let groups = Set((substations[substation] ?? []).compactMap { group[$0.id] })
            result[entry.key] =
                groups.count <= 1 && !substation.isEmpty
                ? substation : "\(substation.isEmpty ? "BANK" : substation)/\(entry.value)"
        }
    }

    /// W, AC, of all DER of a bank that can feed in, in the normal state; busbar DER included.
    public func ratedGeneration(ofBank id: String) -> Double {
        guard let bank = banks.first(where: { $0.id == id }) else { return 0 }
        let members = Set(bank.feeders)
        let busbar = Set(bank.busbarDevices)
        return model.registry.devices.enumerated().reduce(0) { sum, item in
            let (number, device) = item
            let isHere = members.contains(homeFeeder[number]) || busbar.contains(number)
            return isHere && device.kind.isDER && device.kind != .electricVehicleCharger ? sum + device.rating : sum
        }
    }

    mutating func advanceBank(of feeder: Int, _ output: inout AnalysisOutput) {
        let place = bankOfFeeder[feeder]
        guard place >= 0 else { return }
        if banks[place].nextMinute == .distantPast {
            banks[place].nextMinute = feeders[feeder].nextMinute - 60
        }
        banks[place].newestMinute = max(banks[place].newestMinute, feeders[feeder].nextMinute)
        while true {
            let (start, newest) = (banks[place].nextMinute, banks[place].newestMinute)
            guard newest > start else { return }
            // Wait for the slower feeders, but not for ever: after five minutes theirs is missing. One that is waited
            // for is enough to know: with a thousand feeders on a bank, not all are asked each time.
            if feeders[banks[place].awaited].nextMinute <= start, newest - start <= 300 { return }
            let members = banks[place].feeders
            if let slow = members.last(where: { feeders[$0].nextMinute <= start }) {
                banks[place].awaited = slow
                guard newest - start > 300 else { return }
            }
            if newest - start > 7200 { banks[place].nextMinute = newest - 3600 }
            let minute = banks[place].nextMinute
            var (heads, injection) = (0.0, 0.0)
            for number in members {
                let found = feeders[number].minutes.newest(70).last { $0.start == minute }
                heads += found?.net ?? .nan
                injection += found?.fleet.total ?? 0
            }
            var (busbar, isBusbarKnown) = (0.0, true)
            for number in banks[place].busbarDevices {
                let window = devices[number].signal.discard(before: minute)
                inspectAtBusbar(number, window, minute, place)
                let power = window.held(at: minute + 60, hold: settings.derHold, .activePower)
                // A meter that has never spoken is as little known as a customer's plant; one that has fallen silent is
                // not at zero.
                busbar += power ?? (devices[number].isUseful ? .nan : 0)
                isBusbarKnown = isBusbarKnown && power != nil
            }
            settleBank(place)
            let reports = banks[place].step(
                minute, heads: heads, injection: injection + busbar, busbar: busbar, settings: settings,
                revision: model.revision)
            let strange =
                banks[place].stepFaults(minute, devices, context) + matchSteps(place, minute)
                + stepBalance(place, minute, power: isBusbarKnown ? heads - busbar : .nan)
            if isLoud("bank/\(banks[place].id)", minute + 60, head: false) {
                output.reports += reports + strange + banks[place].worsened(minute + 60)
            }
            if banks[place].reverse.isActive, banks[place].hasZeroSequence != true {
                context.reversedBanks.insert(banks[place].id)
            } else {
                context.reversedBanks.remove(banks[place].id)
            }
        }
    }

    /// Native load per nominal load of the other feeders now, for those without a head meter.
    func nativeRatio(_ number: Int) -> (median: Double, sigma: Double)? {
        // By place: a feeder's whole state would be copied for each.
        var ratios = feeders.indices.compactMap { place -> Double? in
            guard place != number, feeders[place].nominalLoad > 0, let last = feeders[place].minutes.last,
                !last.net.isNaN, last.derCoverage >= 0.2
            else { return nil }
            return max(0, last.net + last.fleet.total) / feeders[place].nominalLoad
        }
        guard ratios.count >= 2, let median = Slope.median(&ratios) else { return nil }
        var deviations = ratios.map { abs($0 - median) }
        return (median, 1.25 * (Slope.median(&deviations) ?? 0))
    }

    private mutating func inspectAtBusbar(_ number: Int, _ window: SignalWindow, _ minute: Timestamp, _ place: Int) {
        devices[number].inspect(
            window, minute, minute + 60, context.given.traits[number], &banks[place].variations)
    }

    /// What the transformers' meters say against the heads'.
    private mutating func stepBalance(_ place: Int, _ minute: Timestamp, power: Double) -> [AdvisoryReport] {
        guard let balance = banks[place].balance else { return [] }
        // With a coupler moved, other feeders hang on these transformers.
        let isNormal = balance.couplers.allSatisfy { model.positions[$0] == model.graph.normalPositions[$0] }
        var measured = isNormal ? 0.0 : .nan
        for number in balance.meters {
            let window = devices[number].signal.discard(before: minute + 60)
            inspectAtBusbar(number, window, minute, place)
            measured += window.bin(minute, width: 60, hold: settings.derHold, .activePower).mean
        }
        let bank = banks[place].id
        return banks[place].balance?.step(
            minute, bank: bank, measured: measured, power: power, settings: settings,
            revision: model.revision) ?? []
    }

    /// Devices whose steps another head of the bank shows.
    private mutating func matchSteps(_ place: Int, _ minute: Timestamp) -> [AdvisoryReport] {
        let members = banks[place].feeders
        func change(_ number: Int) -> Double {
            let window = feeders[number].minutes.newest(70)
            guard let at = window.lastIndex(where: { $0.start == minute }), at > window.startIndex else { return .nan }
            return window[at].net - window[at - 1].net
        }
        let changes = members.map { (feeder: feeders[$0].id, change: change($0)) }
        for (index, number) in members.enumerated() where !changes[index].change.isNaN {
            let ahead = Int((feeders[number].nextMinute - (minute + 60)) / 60)
            for device in feeders[number].ders where model.registry.devices[device].rating >= StepMatch.smallest {
                let powers = devices[device].minutes.newest(8)
                let at = powers.endIndex - 1 - ahead
                guard at > powers.startIndex else { continue }
                let step = Double(powers[at] - powers[at - 1])
                guard
                    let other = StepMatch.stranger(
                        step, own: changes[index].change, others: changes.filter { $0.feeder != feeders[number].id })
                else { continue }
                banks[place].steps.note(
                    .init(device: device, home: feeders[number].id, other: other, at: minute + 60))
            }
        }
        return banks[place].steps.step(minute, model, settings)
    }

    /// Ramps of several feeders at a time have one cause, mostly the sky.
    /// - Parameter feeder: whose head has just moved on.
    mutating func advanceFront(by feeder: Int, _ output: inout AnalysisOutput) {
        // As long as the one that is waited for has not moved, and is not given up, nothing changes.
        let awaited = headTimes[awaitedHead]
        if awaitedHead != feeder, awaited != .distantPast, awaited <= front.next, headTimes[feeder] - awaited <= 60 {
            return
        }
        var (newest, until) = (Timestamp.distantPast, Timestamp.distantFuture)
        for time in headTimes { newest = max(newest, time) }
        guard newest != .distantPast else { return }
        // A head that is silent for a minute is not waited for.
        for (number, time) in headTimes.enumerated() where newest - time <= 60 && time <= until {
            (until, awaitedHead) = (time, number)
        }
        if front.next == .distantPast { front.skip(to: until - FeederState.headBin) }
        let position = quiet[Front.name]?.head
        while front.next < until {
            let isQuiet = position.map { front.next < $0 } ?? false
            if !isQuiet { settleFront() }
            if front.isIdle {
                front.skip(to: isQuiet ? min(until, position ?? until) : until)
                continue
            }
            let reports = front.advance(settings, revision: model.revision)
            if !isQuiet { output.reports += reports }
        }
    }
}
