import GridModel
import PowerFlow
import Switching
import TestSupport

/// A network with meters, and what really happens on it: two stretches of time in each of which everything stands still,
/// drawn from a seed. What the meters see comes from a load flow.
struct LiveWorld {
    /// F1: MV-A-B with PV at B and a low-voltage grid at A; F2: MV-C; F3: MV-D; ties B-C and C-D.
    static let network: Network = {
        var network = Network(id: "world")
        network.nodes = [
            .init(id: "HV", nominalKilovolts: 110, kind: "hv_busbar", substation: "S"),
            .init(id: "MV", nominalKilovolts: 20, kind: "mv_busbar", substation: "S"),
            .init(id: "A", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "B", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "C", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "D", nominalKilovolts: 20, kind: "mv_node"),
            .init(id: "LV", nominalKilovolts: 0.4, kind: "lv_busbar", lowVoltageArea: "LVA"),
        ]
        func line(_ id: String, _ from: String, _ to: String, _ kilometres: Double) -> Network.Line {
            .init(
                id: id, from: from, to: to, resistance: 0.125 * kilometres, reactance: 0.115 * kilometres,
                capacitance: 250 * kilometres, ratedAmperes: 300, kilometres: kilometres)
        }
        network.lines = [
            line("L-MV-A", "MV", "A", 2), line("L-A-B", "A", "B", 2), line("L-MV-C", "MV", "C", 3),
            line("L-MV-D", "MV", "D", 2), line("L-B-C", "B", "C", 1), line("L-C-D", "C", "D", 1),
        ]
        network.transformers = [
            .init(
                id: "T1", highNode: "HV", lowNode: "MV", ratedKVA: 25_000, hasZeroSequenceProtection: true,
                highKilovolts: 110, lowKilovolts: 20, impedancePercent: 12, resistancePercent: 0.4, noLoadKilowatts: 14,
                noLoadPercent: 0.07, shiftDegrees: 150),
            .init(
                id: "TL", highNode: "A", lowNode: "LV", ratedKVA: 630, highKilovolts: 20, lowKilovolts: 0.4,
                impedancePercent: 6, resistancePercent: 1.2, noLoadKilowatts: 1, noLoadPercent: 0.2, shiftDegrees: 150),
        ]
        func breaker(_ id: String, _ line: String) -> Network.Switch {
            .init(id: id, kind: "CB", connects: .line, node: "MV", element: line, role: "feeder_head")
        }
        func tie(_ id: String, _ node: String, _ line: String) -> Network.Switch {
            .init(id: id, connects: .line, node: node, element: line, normalPosition: .open, role: "tie")
        }
        network.switches = [
            breaker("CB-F1", "L-MV-A"), breaker("CB-F2", "L-MV-C"), breaker("CB-F3", "L-MV-D"),
            .init(id: "S-A", connects: .line, node: "A", element: "L-A-B", role: "sectionalizer"),
            tie("TIE", "C", "L-B-C"), tie("TIE-2", "D", "L-C-D"),
        ]
        network.feeders = [("F1", "CB-F1", "L-MV-A"), ("F2", "CB-F2", "L-MV-C"), ("F3", "CB-F3", "L-MV-D")].map {
            .init(id: $0.0, substation: "S", busbar: "MV", headSwitch: $0.1, headLine: $0.2, ratedAmperes: 300)
        }
        network.ties = [
            .init(
                id: "T01", switchID: "TIE", line: "L-B-C", openAtNode: "C", farNode: "B", feederA: "F2", feederB: "F1"),
            .init(
                id: "T02", switchID: "TIE-2", line: "L-C-D", openAtNode: "D", farNode: "C", feederA: "F3", feederB: "F2"
            ),
        ]
        network.loads = [("A", 2000.0), ("B", 1500), ("C", 3000), ("D", 2000), ("LV", 200)].map {
            .init(id: "LD-\($0.0)", node: $0.0, kilowatts: $0.1, kilovars: $0.1 / 4)
        }
        network.ders = [
            .init(id: "F1-der-pv", kind: .photovoltaic, node: "B", ratedKW: 4000),
            .init(id: "F1-der-lv", kind: .photovoltaic, node: "LV", lowVoltageArea: "LVA", ratedKW: 200),
            .init(id: "F2-der-bat", kind: .battery, node: "C", ratedKW: 1000),
            .init(id: "F3-der-ev", kind: .electricVehicleCharger, node: "D", ratedKW: 500),
            .init(id: "F3-der-hydro", kind: .hydro, node: "D", ratedKW: 800),
        ]
        network.sources = [.init(id: "SRC", node: "HV", voltagePerUnit: 1.02)]
        return network
    }()

    /// What is, from a second on.
    struct Stretch {
        var from: Double
        /// kW and kvar by node.
        var taken: [String: (kilowatts: Double, kilovars: Double)] = [:]
        /// kW by DER.
        var given: [String: Double] = [:]
        var positions: [String: SwitchPosition] = [:]
        /// pu, of the source.
        var voltage = 1.02
        fileprivate var solution: FlowSolution?
    }

    var stretches: [Stretch] = []
    /// By device, by what its values are wrong; and switches whose movement is not reported.
    var wrong: [String: Double] = [:]
    var unreported: Set<String> = []
    /// For how long, s.
    static let seconds = 1320

    /// - Parameter isWild: also what contradicts itself: wrong meters, unreported movements.
    init(seed: UInt64, isWild: Bool = true) throws {
        var dice = SplitMix(seed: seed &* 2 &+ 1)
        func draw(_ range: ClosedRange<Double>) -> Double {
            range.lowerBound + dice.unit() * (range.upperBound - range.lowerBound)
        }
        var now = Stretch(from: 0)
        func drawLoads() {
            for load in Self.network.loads {
                let kilowatts = load.kilowatts * draw(0.3...1.8)
                now.taken[load.node] = (kilowatts, kilowatts * draw(0.1...0.4))
            }
        }
        func drawDERs() {
            for der in Self.network.ders {
                let share = dice.unit() < 0.3 ? 0 : draw(0...0.95)
                now.given[der.id] = (der.kind == .electricVehicleCharger ? -1 : 1) * der.ratedKW * share
            }
            if dice.unit() < 0.3 { now.given["F2-der-bat"] = -600 }
        }
        drawLoads()
        drawDERs()
        stretches = [now]
        now.from = draw(120...300).rounded()
        if dice.unit() < 0.5 { drawLoads() }
        if dice.unit() < 0.7 { drawDERs() }
        if dice.unit() < 0.25 { (now.positions["TIE"], now.positions["S-A"]) = (.closed, .open) }
        if isWild, dice.unit() < 0.1 { now.voltage = 1.07 }
        stretches.append(now)
        if isWild, dice.unit() < 0.1 { wrong[["FH-F1", "FH-F2", "F1-der-pv", "TM-T1"][Int(dice.next() % 4)]] = 1.4 }
        if isWild, dice.unit() < 0.1 { unreported = ["TIE", "S-A"] }
        try solve()
    }

    mutating func solve() throws {
        var network = Self.network
        for place in stretches.indices {
            network.sources[0].voltagePerUnit = stretches[place].voltage
            var model = try FlowModel(network)
            var state = model.normalState
            state.isClosed = network.switches.map {
                (stretches[place].positions[$0.id] ?? $0.normalPosition) == .closed
            }
            for (number, node) in network.nodes.enumerated() {
                let taken = stretches[place].taken[node.id]
                // Nodes without loads take nothing.
                state.watts[number] = (taken?.kilowatts ?? 0) * 1000
                state.vars[number] = (taken?.kilovars ?? 0) * 1000
            }
            for der in network.ders {
                guard let node = network.nodes.firstIndex(where: { $0.id == der.node }) else { continue }
                state.watts[node] -= (stretches[place].given[der.id] ?? 0) * 1000
            }
            stretches[place].solution = try model.solve(state)
        }
    }

    // MARK: What is said of it

    /// What a device measures at a time, without the noise; `nil`: it says nothing of its own.
    private func reading(_ device: Device, _ time: Double) -> Reading? {
        guard let now = stretches.last(where: { $0.from <= time }), let flow = now.solution else { return nil }
        let network = Self.network
        var reading = Reading(device.name, at: time)
        func take(_ branch: BranchFlow, atFrom: Bool, sign: Double) {
            reading.watts = sign * (atFrom ? branch.fromWatts : branch.toWatts)
            reading.vars = sign * (atFrom ? branch.fromVars : branch.toVars)
            reading.amperes = atFrom ? branch.fromAmperes : branch.toAmperes
        }
        if let node = network.nodes.firstIndex(where: { $0.id == device.node }), device.kind != .switchStatus {
            reading.volts = flow.perUnit[node] * device.voltageBase
        }
        switch device.kind {
        case .feederHead:
            guard let feeder = network.feeders.first(where: { "FH-\($0.id)" == device.name }),
                let line = network.lines.firstIndex(where: { $0.id == feeder.headLine })
            else { return nil }
            take(flow.lines[line], atFrom: true, sign: 1)
        case .transformerMeter:
            guard let unit = network.transformers.firstIndex(where: { "TM-\($0.id)" == device.name }) else {
                return nil
            }
            take(flow.transformers[unit], atFrom: false, sign: -1)
        case .voltageMeter:
            guard ["VM-B", "VM-MV", "VM-LV"].contains(device.name) else { return nil }
        case .switchStatus:
            let normal = network.switches.first { $0.id == device.name }?.normalPosition
            reading.position = unreported.contains(device.name) ? normal : now.positions[device.name] ?? normal
        default:
            reading.watts = (now.given[device.name] ?? 0) * 1000
            reading.vars = 0
        }
        return reading
    }

    private static func period(_ kind: DeviceKind) -> Int {
        switch kind {
        case .feederHead: 10
        case .transformerMeter: 20
        case .switchStatus: 300
        default: 60
        }
    }

    /// Everything that is sent, in the order in which it comes in: half a second after it was measured.
    func stream(headPeriod: Int = 10) -> [Sent] {
        let devices = DeviceRegistry.devices(of: Self.network, graph: NetworkGraph(Self.network))
        var sent: [Sent] = []
        for (place, device) in devices.enumerated() {
            let period = device.kind == .feederHead ? headPeriod : Self.period(device.kind)
            var times = stride(from: place % period, to: Self.seconds, by: period).map(Double.init)
            // A switch speaks when it moves.
            if device.kind == .switchStatus { times = (times + stretches.map(\.from)).sorted() }
            for time in times {
                guard var reading = self.reading(device, time) else { break }
                // So little that no verdict hangs on it, and no meter stands still.
                let noise = 1 + Double((Int(time) * 7919 + place * 104_729) % 101 - 50) / 50 * 2e-4
                let factor = noise * (wrong[device.name] ?? 1)
                reading.watts = reading.watts.map { ($0 * factor * 10).rounded() / 10 }
                reading.vars = reading.vars.map { ($0 * factor * 10).rounded() / 10 }
                reading.amperes = reading.amperes.map { ($0 * factor * 100).rounded() / 100 }
                reading.volts = reading.volts.map { ($0 * noise * 100).rounded() / 100 }
                sent.append(Sent(reading: reading, arrival: time + 0.5, number: 0))
            }
        }
        sent.sort { ($0.arrival, $0.reading.device) < ($1.arrival, $1.reading.device) }
        for place in sent.indices { sent[place].number = place }
        return sent
    }

    /// Plans of every kind of outcome.
    static let plans: [SwitchingPlan] = {
        func plan(
            _ id: String, _ kind: SwitchingPlan.Kind, _ steps: (SwitchingPlan.Action, String)..., loop: Bool = true
        ) -> SwitchingPlan {
            .init(
                id: id, kind: kind, holdHours: 1,
                policy: .init(allowTransientLoop: loop, allowTransientOutage: !loop),
                steps: steps.enumerated().map { .init(sequence: $0 + 1, action: $1.0, element: $1.1) })
        }
        return [
            // F2 takes all of F1 over, or what is behind S-A; F3 takes F2 over; the way back; without a loop.
            plan("all", .loadTransfer, (.close, "TIE"), (.open, "CB-F1")),
            plan("part", .loadTransfer, (.close, "TIE"), (.open, "S-A")),
            plan("third", .loadTransfer, (.close, "TIE-2"), (.open, "CB-F2")),
            plan("dark", .loadTransfer, (.open, "S-A"), (.close, "TIE"), loop: false),
        ]
    }()
}

/// One thing that goes wrong on the way from a device to the service.
struct Degradation: CustomStringConvertible {
    enum Kind {
        /// Each sample of the time with this probability.
        case flagged(Quality, Double)
        case silent
        /// s by which its clock is ahead.
        case skewed(Double)
        /// s at most that its samples take; with `false` each as long.
        case delayed(Double, isRandom: Bool)
        /// Comes again, s later at most.
        case doubled(Double)
        /// Its values times this.
        case scaled(Double)
        /// s by which the service's clock is set ahead, from the start of the time on.
        case clock(Double)
    }

    var kind: Kind
    /// Beginning of the names of devices.
    var devices: String
    var time: ClosedRange<Double>

    var description: String { "\(devices)* \(kind) \(Int(time.lowerBound))..\(Int(time.upperBound))" }

    static let places = [
        "FH-F1", "FH-F2", "FH-F3", "FH-", "F1-der", "F2-der", "F3-der", "F", "TM-", "VM-", "VM-B", "TM-T1",
    ]

    /// - Parameter kinds: those that may come.
    static func draw(_ dice: inout SplitMix, clock: Bool, values: Bool, until end: Double) -> [Self] {
        func chance(_ probability: Double) -> Bool { dice.unit() < probability }
        func pick<Item>(_ items: [Item]) -> Item { items[Int(dice.next() % UInt64(items.count))] }
        return (0..<Int(1 + dice.next() % 4)).map { _ in
            let from = chance(0.2) ? 0 : (dice.unit() * end).rounded()
            // Half of them last until the end.
            let until = chance(0.5) ? end : from + (dice.unit() * 600).rounded()
            let kind: Kind
            switch dice.next() % (clock ? 7 : 6) {
            case 0:
                let flags = (0..<12).map { Quality(rawValue: 1 << UInt16($0)) }
                kind = .flagged(chance(0.2) ? [pick(flags), pick(flags)] : pick(flags), chance(0.5) ? 1 : dice.unit())
            case 1: kind = .silent
            case 2:
                kind = .skewed(pick([-86_400, -3600, -600, -200, -60, -20, -3, 2, 4, 6, 20, 100, 700, 4000, 100_000]))
            case 3: kind = .delayed(pick([3, 20, 40, 100, 200, 400, 800]), isRandom: chance(0.5))
            case 4: kind = .doubled(pick([1, 20, 100, 500, 900]))
            case 5: kind = values ? .scaled(pick([100, 1000, -100, 0.001])) : .silent
            default: kind = .clock(pick([-7200, -900, -300, -60, -10, -2, 2, 10, 60, 300, 900, 7200]))
            }
            return Self(kind: kind, devices: pick(places), time: from...max(from, until))
        }
    }

    private func concerns(_ reading: Reading) -> Bool {
        reading.position == nil && reading.device.hasPrefix(devices) && time.contains(reading.time)
    }

    /// The stream as it comes in with it; positions of switches are left alone, unless `positions`.
    func apply(_ sent: [Sent], _ dice: inout SplitMix, positions: Bool = false) -> [Sent] {
        var result: [Sent] = []
        for var item in sent {
            guard concerns(item.reading) || positions && item.reading.position != nil && time.contains(item.arrival)
            else {
                result.append(item)
                continue
            }
            switch kind {
            case .flagged(let quality, let probability):
                if dice.unit() < probability { item.reading.quality.formUnion(quality) }
            case .silent: if item.reading.position == nil { continue }
            case .skewed(let seconds): item.reading.time += seconds
            case .delayed(let seconds, let isRandom): item.arrival += isRandom ? dice.unit() * seconds : seconds
            case .doubled(let seconds):
                var copy = item
                copy.arrival += dice.unit() * seconds
                result.append(copy)
            case .scaled(let factor):
                item.reading.watts = item.reading.watts.map { $0 * factor }
                item.reading.volts = item.reading.volts.map { $0 * factor }
            case .clock: break
            }
            result.append(item)
        }
        return result
    }

    /// s by which the service's clock is wrong then.
    static func clockStep(_ all: [Self], at second: Int) -> Double {
        all.reduce(0) { sum, item in
            guard case .clock(let seconds) = item.kind, Double(second) >= item.time.lowerBound else { return sum }
            return sum + seconds
        }
    }

    static func apply(_ all: [Self], to sent: [Sent], seed: UInt64, positions: Bool = false) -> [Sent] {
        var dice = SplitMix(seed: seed)
        var sent = sent
        for item in all { sent = item.apply(sent, &dice, positions: positions) }
        // Who came in at the same time keeps the order.
        for place in sent.indices { sent[place].number = place }
        sent.sort { ($0.arrival, $0.number) < ($1.arrival, $1.number) }
        return sent
    }
}

extension ServiceRig {
    /// Runs a stream, and looks at it at some seconds.
    func run(
        _ sent: [Sent], _ degradations: [Degradation] = [], until end: Int = LiveWorld.seconds,
        looks: [Int] = [LiveWorld.seconds], _ look: (Int) throws -> Void
    ) rethrows {
        var next = 0
        for second in 0...end {
            let first = next
            while next < sent.count, sent[next].arrival <= Double(second) { next += 1 }
            pass(second, sent[first..<next], clockOff: Degradation.clockStep(degradations, at: second))
            if looks.contains(second) { try look(second) }
        }
    }
}
