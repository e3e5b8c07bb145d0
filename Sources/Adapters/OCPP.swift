internal import GridModel

/// How the voltage of a reading without a phase was measured.
enum VoltageReference: String, CaseIterable {
    case lineToNeutral = "line_to_neutral"
    case lineToLine = "line_to_line"
}

/// `MeterValues`, or what else carries `meterValue`, of OCPP 1.6, 2.0.1 or 2.1 of one charging point. What becomes of
/// each field stands in ``OCPPMeasurand`` and in `fieldTable`.
struct OCPPReading {
    /// The outlet is direct current; `nil`: it is not known.
    private let isDirect: Bool?
    private let reference: VoltageReference?
    /// How many phases the charging point has; `nil`: it is not known.
    private let phaseCount: Int?
    private var notes: [String] = []

    static func adapt(_ fields: Fields) throws(AdapterMistake) -> Adapted {
        let fields = fields.camelCase
        let device = try fields.device()
        guard let entries = try fields.list("meterValue") else { throw fields.missing("meterValue") }
        var reading = OCPPReading(
            isDirect: try fields.flag("dc"), reference: try fields.word("voltage", VoltageReference.self),
            phaseCount: try fields.whole("phases", in: 1...3))
        var adapted = Adapted()
        for (place, entry) in entries.enumerated() {
            let name = "meterValue \(place + 1)"
            do throws(AdapterMistake) {
                guard case .object(let all) = entry else { throw AdapterMistake("\(name): expected an object") }
                let fields = Fields(all, path: "\(name).").camelCase
                guard let time = try fields.time("timestamp") else { throw fields.missing("timestamp") }
                guard let values = try fields.list("sampledValue") else { throw fields.missing("sampledValue") }
                var sample = AdaptedSample(device: device, time: time)
                reading.take(values, name, &sample)
                adapted.samples.append(sample)
            } catch {
                reading.notes.append("\(error): left out")
            }
        }
        adapted.notes = reading.notes
        return adapted
    }

    private init(isDirect: Bool?, reference: VoltageReference?, phaseCount: Int?) {
        (self.isDirect, self.reference, self.phaseCount) = (isDirect, reference, phaseCount)
    }

    // MARK: One value

    private enum Location: Int { case inlet, outlet, vehicle }

    /// In order of preference: where a reading is there twice, the earlier context is taken.
    private enum Context: Int {
        case periodic, clock, trigger, end, other, interruption, stranger, begin

        init(_ text: String?) {
            self =
                switch text {
                case nil, "Sample.Periodic": .periodic
                case "Sample.Clock": .clock
                case "Trigger": .trigger
                case "Transaction.End": .end
                case "Other": .other
                case "Transaction.Begin": .begin
                case let text? where text.hasPrefix("Interruption."): .interruption
                default: .stranger
                }
        }
    }

    private struct Item {
        let measurand: OCPPMeasurand
        /// 0 the whole, 1 to 3 the phases.
        let phase: Int
        let location: Location
        let context: Context
        /// W, var, Wh, V, A, Hz or %.
        let number: Double
    }

    private static let known: Set = [
        "value", "context", "format", "measurand", "phase", "location", "unit", "unitOfMeasure", "signedMeterValue",
        "customData",
    ]

    private func item(_ json: JSON) throws(AdapterMistake) -> Item {
        guard case .object(let all) = json else { throw AdapterMistake("expected an object") }
        let fields = Fields(all).camelCase
        let name = try fields.text("measurand") ?? "Energy.Active.Import.Register"
        func left(_ why: String) -> AdapterMistake { AdapterMistake("\(name.prefix(64)): \(why)") }
        guard let measurand = OCPPMeasurand.of(name) else { throw left(OCPPMeasurand.whyNot(name)) }
        do throws(AdapterMistake) {
            try fields.expect(only: Self.known)
            switch try fields.text("format") {
            case nil, "Raw": break
            case "SignedData": throw AdapterMistake("signed data, not a number")
            case let other?: throw AdapterMistake("format \(other.prefix(32))")
            }
            let location: Location
            switch try fields.text("location") {
            case nil, "Outlet": location = .outlet
            case "Inlet": location = .inlet
            case "EV": location = .vehicle
            case let place?: throw AdapterMistake("measured at \(place.prefix(32)), not at the terminal")
            }
            guard location != .vehicle || name == "SoC" else {
                throw AdapterMistake("measured in the vehicle, not at the terminal")
            }
            let phase: Int
            switch try fields.text("phase") {
            case nil: phase = 0
            case "L1", "L1-N": phase = 1
            case "L2", "L2-N": phase = 2
            case "L3", "L3-N": phase = 3
            case "N": throw AdapterMistake("phase N is no phase")
            case let text?: throw AdapterMistake("phase \(text.prefix(32)) has no place in a sample")
            }
            if case .plain = measurand.place, phase != 0 {
                throw AdapterMistake("of phase L\(phase) only, and a sample has the whole")
            }
            guard let value = try fields.number("value") else { throw fields.missing("value") }
            return Item(
                measurand: measurand, phase: phase, location: location, context: Context(try fields.text("context")),
                number: try canonical(value, fields, measurand))
        } catch {
            throw left(error.description)
        }
    }

    /// To W, var, Wh, V, A, Hz or %.
    private func canonical(_ value: Double, _ fields: Fields, _ measurand: OCPPMeasurand) throws(AdapterMistake)
        -> Double
    {
        let measure = try fields.object("unitOfMeasure")?.camelCase
        try measure?.expect(only: ["unit", "multiplier", "customData"])
        let (old, new) = (try fields.text("unit"), try measure?.text("unit"))
        guard old == nil || new == nil || old == new else { throw AdapterMistake("two units") }
        let multiplier = try measure?.whole("multiplier", in: -12...12) ?? 0
        guard let unit = old ?? new else { return shifted(value, Double(multiplier)) }
        guard let known = measurand.units.first(where: { $0.name == unit }) else {
            throw AdapterMistake("unit \(unit.prefix(20)) is not one of it")
        }
        return shifted(value * known.factor, Double(multiplier))
    }

    // MARK: Values of one moment

    private mutating func take(_ values: [JSON], _ name: String, _ sample: inout AdaptedSample) {
        var items: [Item] = []
        for (place, value) in values.enumerated() {
            do throws(AdapterMistake) {
                items.append(try item(value))
            } catch {
                notes.append("\(name), value \(place + 1): \(error): left out")
            }
        }
        let chosen = chosen(items, &sample)
        let active = power(chosen, .activeImport, .activeExport, .activePower, &sample)
        power(chosen, .reactiveImport, .reactiveExport, .reactivePower, &sample)
        for item in chosen {
            guard case .plain(let quantity) = item.measurand.place else { continue }
            sample.values[quantity] = item.number
        }
        voltageAndCurrent(chosen, power: active, &sample)
    }

    /// One reading of each measurand and phase, all of a family at one place of the station.
    private mutating func chosen(_ items: [Item], _ sample: inout AdaptedSample) -> [Item] {
        var result: [Item] = []
        for family in Set(items.map(\.measurand.family)).sorted() {
            let all = items.filter { $0.measurand.family == family }
            guard let best = all.map(\.location.rawValue).min() else { continue }
            let here = all.filter { $0.location.rawValue == best }
            if here.count < all.count {
                notes.append("\(family): measured at the Inlet, too: the other places are left out")
            }
            for measurand in OCPPMeasurand.all where measurand.family == family {
                for phase in 0...3 {
                    let same = here.filter { $0.measurand.name == measurand.name && $0.phase == phase }
                    guard let context = same.map(\.context.rawValue).min() else { continue }
                    let first = same.filter { $0.context.rawValue == context }
                    let label = phase == 0 ? measurand.name : "\(measurand.name) L\(phase)"
                    guard first.allSatisfy({ $0.number == first[0].number }) else {
                        notes.append("\(label): several values at one moment: left out")
                        if measurand.family == "Power.Active" { sample.distrust(.activePower) }
                        continue
                    }
                    if same.count > first.count { notes.append("\(label): readings of older contexts are left out") }
                    if first[0].context == .interruption || first[0].context == .stranger {
                        sample.quality.insert(.questionable)
                        notes.append("\(label): its context makes it QUESTIONABLE")
                    }
                    result.append(first[0])
                }
            }
        }
        return result
    }

    /// Export less import, by phase and as a whole. Phases that a reading does not name are not there: a charging point
    /// of one phase names one.
    ///
    /// - Returns: W or var of the whole; `nil` when there is none.
    @discardableResult
    private mutating func power(
        _ items: [Item], _ importing: OCPPMeasurand.Place, _ exporting: OCPPMeasurand.Place, _ total: Quantity,
        _ sample: inout AdaptedSample
    ) -> Double? {
        func phases(_ place: OCPPMeasurand.Place) -> [Double?] {
            (0...3).map { phase in items.first { $0.measurand.place == place && $0.phase == phase }?.number }
        }
        let (imported, exported) = (phases(importing), phases(exporting))
        /// The whole of one direction, and how many phases stand for it; `nil`: nothing of it was sent.
        func whole(_ flow: [Double?]) -> (number: Double, phases: Int)? {
            if let number = flow[0] { return (number, 0) }
            let parts = flow[1...].compactMap { $0 }
            return parts.isEmpty ? nil : (parts.reduce(0, +), parts.count)
        }
        let (into, out) = (whole(imported), whole(exported))
        guard into != nil || out != nil else { return nil }
        if let into, let out, into.number * out.number < 0 {
            // A negative import is an export: told twice, it must not count twice.
            guard abs(into.number + out.number) <= 0.01 * abs(out.number) else {
                notes.append(
                    "\(total.name): import \(into.number) and export \(out.number) contradict each other: left out")
                sample.distrust(total)
                return nil
            }
            notes.append("\(total.name): the export stands there again as a negative import: counted once")
            sample.values[total] = out.number
            return out.number
        }
        let fewest = [into?.phases, out?.phases].compactMap { $0 }.filter { $0 > 0 }.min() ?? 3
        if let phaseCount, fewest < phaseCount {
            notes.append("\(total.name): \(fewest) of \(phaseCount) phases and no whole: left out")
            sample.distrust(total)
            return nil
        }
        // A direction that was not sent carries nothing: at least one of the two was sent.
        let number = (out?.number ?? 0) - (into?.number ?? 0)
        sample.values[total] = number
        if fewest < 3, phaseCount == nil {
            sample.quality.insert(.estimated)
            notes.append(
                "\(total.name): \(fewest) of three phases and no whole: their sum, ESTIMATED; exact where \"phases\" says how many there are"
            )
        }
        // By phase only where each direction that flows is known by phase.
        let isByPhase = [imported, exported].allSatisfy { flow in
            flow[1...].allSatisfy { $0 != nil } || flow[1...].allSatisfy { $0 == nil } && (flow[0] ?? 0) == 0
        }
        if isByPhase, let quantities = AdaptedSample.phases[total] {
            for (phase, quantity) in quantities.enumerated() {
                sample.values[quantity] = (exported[phase + 1] ?? 0) - (imported[phase + 1] ?? 0)
            }
        }
        return number
    }

    /// A station of direct current sends the battery's voltage and current. By a phase they are the grid's; without one,
    /// only what P / (V·I) proves: 3 is three phases to neutral, √3 three between lines; 1 may be the battery.
    private mutating func voltageAndCurrent(_ items: [Item], power: Double?, _ sample: inout AdaptedSample) {
        var voltage: [Double?] = [nil, nil, nil, nil]
        var current: [Double?] = [nil, nil, nil, nil]
        for item in items {
            switch item.measurand.place {
            case .voltage: voltage[item.phase] = item.number
            // Magnitudes: of the two, the one that flows.
            case .current: current[item.phase] = max(abs(item.number), current[item.phase] ?? 0)
            default: continue
            }
        }
        func location(_ family: String) -> Location? { items.first { $0.measurand.family == family }?.location }
        let places = (power: location("Power.Active"), voltage: location("Voltage"), current: location("Current"))
        var ratio = 0.0
        if places.power == places.voltage, places.voltage == places.current, let power, abs(power) >= 100,
            let volts = voltage[0], let amperes = current[0], volts * amperes > 0
        {
            ratio = abs(power) / (volts * amperes)
        }
        func isNear(_ number: Double) -> Bool { abs(ratio - number) < 0.08 * number }
        let isThree = isNear(3) || isNear(3.0.squareRoot())
        if isDirect == true {
            if places.voltage == .outlet || places.current == .outlet {
                notes.append("Voltage, Current: of the direct current: left out")
            }
            if places.voltage == .outlet { voltage = [nil, nil, nil, nil] }
            if places.current == .outlet { current = [nil, nil, nil, nil] }
        }
        let known = reference ?? (isNear(3) ? .lineToNeutral : isNear(3.0.squareRoot()) ? .lineToLine : nil)
        if let volts = voltage[0], known == nil {
            notes.append(
                "Voltage: without a phase it may be a battery's, or between lines: left out until \"voltage\" says line_to_neutral or line_to_line"
            )
            voltage[0] = nil
            if isDirect == nil, isNear(1), volts >= Self.directVoltage { directPower(places.power, &sample) }
        }
        sample.setVoltage(
            neutral: Array(voltage[1...]), lines: [nil, nil, nil],
            neutralMean: known == .lineToNeutral ? voltage[0] : nil, lineMean: known == .lineToLine ? voltage[0] : nil,
            phaseCount == 1 ? .one : phaseCount == 2 ? .split : .three, &notes)
        (sample.values[.currentA], sample.values[.currentB], sample.values[.currentC]) = (
            current[1], current[2], current[3]
        )
        if let amperes = current[0], current[1...].allSatisfy({ $0 == nil }) {
            let isAlternating = places.current == .inlet || isDirect == false
            if isThree || isNear(1) && isAlternating {
                sample.values[.current] = amperes
            } else {
                notes.append("Current: without a phase it may be a battery's, or the sum of the phases: left out")
            }
        }
        if isDirect == true { directPower(places.power, &sample) }
    }

    /// V: P = V·I above this is no single phase of a grid.
    private static let directVoltage = 300.0

    private mutating func directPower(_ place: Location?, _ sample: inout AdaptedSample) {
        guard place == .outlet, sample.values[.activePower] != nil else { return }
        sample.quality.insert(.estimated)
        notes.append("Power: of the direct current, without the station's losses: ESTIMATED")
    }
}
