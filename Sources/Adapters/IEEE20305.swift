internal import GridModel

/// Readings of IEEE 2030.5 with their `ReadingType`, or a `DERStatus`, or a `PEVInfo`: names and codes as in the schema.
///
/// `flowDirection` has two readings. Up to 2018, 1 is "delivered to the customer" and 19 "received from the customer";
/// in the edition of 2023 "Forward" is from a generator to a load, and a DER is named as such a generator. At the point
/// of delivery both say the same; at a DER they are each other's opposite, so that there the source must be described
/// by ``Forward``.
struct IEEE20305Reading {
    /// The direction in which a flowDirection of 1 counts.
    enum Forward: String, CaseIterable {
        case intoGrid = "into_grid"
        case outOfGrid = "out_of_grid"
    }

    private enum Place {
        case premises, der, vehicle, unknown

        /// Bits of `roleFlags`: 1 premises aggregation point, 2 PEV, 3 DER, 6 submeter.
        init(_ flags: Int) {
            let isPremises = flags & 1 << 1 != 0
            let isOwn = flags & (1 << 2 | 1 << 3 | 1 << 6) != 0
            if isPremises == isOwn {
                self = .unknown
            } else {
                self = isPremises ? .premises : flags & 1 << 2 != 0 ? .vehicle : .der
            }
        }
    }

    /// One value with what its type says, in W, var, V, A, Hz or Wh.
    private struct Item {
        enum Kind: Hashable { case watts, vars, volts, amperes, hertz, delta, counter }
        let kind: Kind
        /// 0 the whole, 1 to 3 the phases; voltages between lines 4 to 6.
        let phase: Int
        let direction: Int
        var number: Double
        let end: Timestamp
        /// s; 0: an instant.
        let interval: Double
        let quality: Quality
    }

    private let device: String
    private let place: Place
    private let isDirect: Bool
    private let forward: Forward?
    /// For directions 0 and 4, where the value itself is signed: +1 when positive is injected (DER) or imported (premises).
    private let polarity: Double?
    private let reference: VoltageReference?
    private let phaseCount: Int?
    /// The device can turn round, or its source sends both directions: one of them alone is not its power.
    private let isBidirectional: Bool?
    private let now: Timestamp?
    private var notes: [String] = []

    static func adapt(_ fields: Fields, now: Timestamp?) throws(AdapterMistake) -> Adapted {
        let device = try fields.device()
        if let status = try fields.object("DERStatus") {
            return try Self.status(status, device, isWhole: try fields.flag("whole_percent"))
        }
        if let vehicle = try fields.object("PEVInfo") { return try Self.vehicle(vehicle, device) }
        var reading = try IEEE20305Reading(fields, device, now)
        let items = try reading.items(fields)
        return reading.adapted(items)
    }

    private init(_ fields: Fields, _ device: String, _ now: Timestamp?) throws(AdapterMistake) {
        guard fields["reading"] != nil || fields["readings"] != nil else {
            throw AdapterMistake("expected reading with readingType, readings, DERStatus or PEVInfo")
        }
        guard let flags = try fields.hexadecimal("roleFlags") else {
            throw AdapterMistake("roleFlags is missing: it decides the sign")
        }
        self.device = device
        place = Place(flags)
        isDirect = flags & 1 << 5 != 0
        forward = try fields.word("forward", Forward.self)
        polarity = try fields.polarity()
        reference = try fields.word("voltage", VoltageReference.self)
        phaseCount = try fields.whole("phases", in: 1...3)
        isBidirectional = try fields.flag("bidirectional")
        self.now = now
    }

    // MARK: One reading

    private mutating func items(_ fields: Fields) throws(AdapterMistake) -> [Item] {
        guard let list = try fields.list("readings") else { return [try item(fields)] }
        var items: [Item] = []
        for (place, entry) in list.enumerated() {
            do throws(AdapterMistake) {
                guard case .object(let all) = entry else { throw AdapterMistake("expected an object") }
                items.append(try item(Fields(all)))
            } catch {
                notes.append("readings \(place + 1): \(error): left out")
            }
        }
        return items
    }

    private static let known: Set = [
        "accumulationBehaviour", "calorificValue", "commodity", "conversionFactor", "dataQualifier", "flowDirection",
        "intervalLength", "kind", "maxNumberOfIntervals", "numberOfConsumptionBlocks", "numberOfTouTiers", "phase",
        "powerOfTenMultiplier", "schemaVer", "subIntervalLength", "supplyLimit", "tieredConsumptionBlocks", "uom",
    ]

    private mutating func item(_ fields: Fields) throws(AdapterMistake) -> Item {
        guard let type = try fields.object("readingType") else { throw fields.missing("readingType") }
        try type.expect(only: Self.known)
        guard let reading = try fields.object("reading") else { throw fields.missing("reading") }
        guard let period = try reading.object("timePeriod") else { throw reading.missing("timePeriod") }
        guard let value = try reading.number("value") else { throw reading.missing("value") }
        guard let start = try period.number("start") else { throw period.missing("start") }
        guard let duration = try period.number("duration") else { throw period.missing("duration") }
        guard duration >= 0, abs(start + duration) < 1e11 else { throw AdapterMistake("timePeriod: no moment in time") }

        switch try type.whole("commodity", in: 0...255) ?? 0 {
        case 0, 1, 2: break
        case let other: throw AdapterMistake("commodity \(other): not electricity")
        }
        let qualifier = try type.whole("dataQualifier", in: 0...255) ?? 0
        switch qualifier {
        case 0, 2, 12: break
        case 8, 9: throw AdapterMistake("dataQualifier \(qualifier): a maximum or minimum is a statistic, not a sample")
        case 29, 30: throw AdapterMistake("dataQualifier \(qualifier): a standard deviation, not a sample")
        default: throw AdapterMistake("dataQualifier \(qualifier): reserved")
        }
        switch try type.whole("kind", in: 0...255) ?? 0 {
        case 0, 12, 37: break
        case 8 where duration > 0: break
        case 8: throw AdapterMistake("kind 8: a demand without an interval")
        case let other: throw AdapterMistake("kind \(other): neither power nor energy")
        }
        let multiplier = try type.whole("powerOfTenMultiplier", in: -9...9) ?? 0
        var number = shifted(value, Double(multiplier))
        let direction = try type.whole("flowDirection", in: 0...255) ?? 0
        let phase = try phase(type)
        var quality = try flags(reading)
        guard let unit = try type.whole("uom", in: 0...255) else { throw type.missing("uom") }
        let accumulation = try type.whole("accumulationBehaviour", in: 0...255) ?? 0
        var interval = qualifier == 2 ? duration : 0
        let kind: Item.Kind
        switch (unit, accumulation) {
        case (38, 0), (38, 6), (38, 12): kind = .watts
        case (63, 0), (63, 6), (63, 12): kind = .vars
        case (29, 0), (29, 6), (29, 12): kind = .volts
        case (5, 0), (5, 6), (5, 12): kind = .amperes
        case (33, 0), (33, 6), (33, 12): kind = .hertz
        case (72, 9): kind = .counter
        case (72, 4):
            kind = .delta
            let length = try type.number("intervalLength")
            if let length, duration > 0, length != duration {
                throw AdapterMistake(
                    "intervalLength \(length) is not the timePeriod's \(duration): the power is not known")
            }
            interval = length ?? duration
            guard interval > 0 else { throw AdapterMistake("intervalLength: needed to turn energy into power") }
            if duration == 0 {
                quality.insert(.questionable)
                notes.append("timePeriod: without a duration it is not said when the interval ended: QUESTIONABLE")
            }
            number *= 3600 / interval
        default:
            throw AdapterMistake("uom \(unit) with accumulationBehaviour \(accumulation): no quantity of a sample")
        }
        guard phase < 4 || kind == .volts else { throw AdapterMistake("between lines, which only a voltage is") }
        guard interval <= AdaptedSample.longestInterval else {
            throw AdapterMistake("an interval of \(interval) s: longer than a day")
        }
        guard !isDirect || kind != .volts && kind != .amperes && kind != .hertz && kind != .vars else {
            throw AdapterMistake("roleFlags: of direct current (bit 5)")
        }
        var end = start + duration
        if duration > 0, let now {
            let seconds = Double(now.microseconds) / 1e6
            if end > seconds + 5, start <= seconds + 5 {
                // A client that states the moment of the reading as the start of its period, and a mean that is none yet.
                end = start
                interval = 0
                quality.insert(.questionable)
                notes.append("timePeriod: it ends in the future: its start is taken as the time: QUESTIONABLE")
            }
        }
        return Item(
            kind: kind, phase: phase, direction: direction, number: number, end: .seconds(end), interval: interval,
            quality: quality)
    }

    private func phase(_ type: Fields) throws(AdapterMistake) -> Int {
        switch try type.whole("phase", in: 0...1023) ?? 0 {
        case 0, 224, 225: return 0
        case 128, 129: return 1
        case 64, 65: return 2
        case 32, 33: return 3
        case 132: return 4
        case 66: return 5
        case 40: return 6
        case let other: throw AdapterMistake("phase \(other): no place for it in a sample")
        }
    }

    private func flags(_ reading: Fields) throws(AdapterMistake) -> Quality {
        guard let bits = try reading.hexadecimal("qualityFlags") else { return [] }
        if bits & 1 << 6 != 0 { throw AdapterMistake("qualityFlags: projected, not measured") }
        var quality: Quality = []
        if bits & 1 << 1 != 0 { quality.insert(.substituted) }
        if bits & (1 << 2 | 1 << 3 | 1 << 5) != 0 { quality.insert(.estimated) }
        if bits & 1 << 4 != 0 { quality.insert(.questionable) }
        return quality
    }

    // MARK: Readings of one moment

    private struct Moment: Hashable {
        let end: Timestamp
        let interval: Double
    }

    private mutating func adapted(_ items: [Item]) -> Adapted {
        var adapted = Adapted()
        let moments = Dictionary(grouping: items) { Moment(end: $0.end, interval: $0.interval) }
        for (moment, items) in moments.sorted(by: { ($0.key.end, $0.key.interval) < ($1.key.end, $1.key.interval) }) {
            var sample = AdaptedSample(device: device, time: moment.end)
            sample.quality = items.reduce([]) { $0.union($1.quality) }
            let kinds = Set(items.map(\.kind))
            for (kind, total) in [
                (Item.Kind.watts, Quantity.activePower), (.delta, .activePower), (.vars, .reactivePower),
            ] {
                // A mean from energy is the power only where no power was sent.
                guard kinds.contains(kind), kind != .delta || !kinds.contains(.watts) else { continue }
                power(items.filter { $0.kind == kind }, total, &sample)
            }
            counters(items.filter { $0.kind == .counter }, &sample)
            magnitudes(items, &sample)
            if moment.interval > 0, !sample.values.isEmpty { sample.values[.interval] = moment.interval }
            adapted.samples.append(sample)
        }
        adapted.notes = notes
        return adapted
    }

    /// One number of each; `nil` where several differ.
    private mutating func only(_ items: [Item], _ label: String) -> Double? {
        guard let first = items.first else { return nil }
        guard items.allSatisfy({ $0.number == first.number }) else {
            notes.append("\(label): several values at one moment: left out")
            return nil
        }
        return first.number
    }

    private mutating func power(_ items: [Item], _ total: Quantity, _ sample: inout AdaptedSample) {
        let quantities = [total] + (AdaptedSample.phases[total] ?? [])
        for (phase, quantity) in quantities.enumerated() {
            let here = items.filter { $0.phase == phase }
            guard !here.isEmpty else { continue }
            sample.values[quantity] = signed(here, quantity, &sample)
        }
        if isDirect, !items.isEmpty {
            sample.quality.insert(.estimated)
            notes.append("\(total.name): of direct current (roleFlags bit 5): ESTIMATED")
        }
        let parts = quantities.dropFirst().compactMap { sample.values[$0] }
        guard sample.values[total] == nil, !parts.isEmpty, parts.count < 3 else { return }
        if let phaseCount, parts.count == phaseCount {
            sample.values[total] = parts.reduce(0, +)
        } else {
            notes.append(
                "\(total.name): \(parts.count) of three phases and no whole: no power of the device; send them together in readings, or say how many \"phases\" it has"
            )
        }
    }

    /// The readings of one phase, in our sign.
    private mutating func signed(_ items: [Item], _ quantity: Quantity, _ sample: inout AdaptedSample) -> Double? {
        let ahead = only(items.filter { $0.direction == 1 }, "\(quantity.name), flowDirection 1")
        let back = only(items.filter { $0.direction == 19 }, "\(quantity.name), flowDirection 19")
        let net = only(items.filter { $0.direction == 4 }, "\(quantity.name), flowDirection 4")
        let plain = only(items.filter { $0.direction == 0 }, "\(quantity.name), flowDirection 0")
        for other in items where ![0, 1, 4, 19].contains(other.direction) {
            notes.append("\(quantity.name): flowDirection \(other.direction) is no direction: left out")
        }
        if let net { return net * (forward == nil ? polarity ?? forwardSign(&sample) : forwardSign(&sample)) }
        if let ahead, let back { return (ahead - back) * forwardSign(&sample) }
        if let plain {
            if polarity == nil {
                sample.quality.insert(.signUnverified)
                notes.append("flowDirection: none, and no polarity was given: SIGN_UNVERIFIED")
            }
            return plain * (polarity ?? 1)
        }
        guard let one = ahead ?? back.map({ -$0 }) else { return nil }
        if isBidirectional == true {
            notes.append("\(quantity.name): one direction only, of a source that has two: left out")
            return nil
        }
        if (ahead ?? back ?? 0) < 0 {
            sample.quality.insert(.signUnverified)
            notes.append("\(quantity.name): negative, though flowDirection 1 and 19 have magnitudes: SIGN_UNVERIFIED")
        } else if one == 0, isBidirectional == nil {
            sample.quality.insert(.questionable)
            notes.append(
                "\(quantity.name): 0 in one direction, and the other was not sent: QUESTIONABLE until \"bidirectional\" says whether there is one"
            )
        }
        return one * forwardSign(&sample)
    }

    /// The sign of a forward watt here: premises are FLOW, positive towards the customer; DER are INJ, positive into
    /// the grid.
    private mutating func forwardSign(_ sample: inout AdaptedSample) -> Double {
        let intoGrid: Bool
        switch (place, forward) {
        case (.premises, nil): intoGrid = false
        case (_, let stated?): intoGrid = stated == .intoGrid
        case (_, nil):
            // As in the editions up to 2018.
            intoGrid = false
            sample.quality.insert(.signUnverified)
            notes.append(
                place == .unknown
                    ? "roleFlags: neither the premises nor a DER, and \"forward\" was not given: SIGN_UNVERIFIED"
                    : "flowDirection: editions of the standard differ on what is forward at a DER, and \"forward\" was not given: SIGN_UNVERIFIED"
            )
        }
        switch place {
        case .premises, .unknown: return intoGrid ? -1 : 1
        case .der, .vehicle: return intoGrid ? 1 : -1
        }
    }

    /// A counter has no sign: which one it is, is said by the direction.
    private mutating func counters(_ items: [Item], _ sample: inout AdaptedSample) {
        guard !items.isEmpty else { return }
        let whole = items.filter { $0.phase == 0 }
        if whole.count < items.count { notes.append("energy: counters of one phase are left out") }
        for other in whole where other.direction != 1 && other.direction != 19 {
            notes.append("energy: a counter needs flowDirection 1 or 19, not \(other.direction): left out")
        }
        let ahead = only(whole.filter { $0.direction == 1 }, "energy, flowDirection 1")
        let back = only(whole.filter { $0.direction == 19 }, "energy, flowDirection 19")
        guard ahead != nil || back != nil else { return }
        // Imported is what the customer or the DER took.
        let isImport = place == .premises || place == .unknown ? forwardSign(&sample) > 0 : forwardSign(&sample) < 0
        sample.values[.energyImported] = isImport ? ahead : back
        sample.values[.energyExported] = isImport ? back : ahead
    }

    private mutating func magnitudes(_ items: [Item], _ sample: inout AdaptedSample) {
        func of(_ kind: Item.Kind, _ phase: Int) -> [Item] { items.filter { $0.kind == kind && $0.phase == phase } }
        if let number = only(of(.hertz, 0), "frequency_hz") { sample.values[.frequency] = number }
        for (phase, quantity) in [Quantity.current, .currentA, .currentB, .currentC].enumerated() {
            if let number = only(of(.amperes, phase), quantity.name) { sample.values[quantity] = abs(number) }
        }
        var volts: [Double?] = []
        for phase in 0...6 { volts.append(only(of(.volts, phase), "voltage_v")) }
        guard volts.contains(where: { $0 != nil }) else { return }
        if volts[0] != nil, reference == nil, volts[1...].allSatisfy({ $0 == nil }) {
            notes.append(
                "voltage_v: without a phase it may be between lines: left out until \"voltage\" says line_to_neutral or line_to_line"
            )
        }
        sample.setVoltage(
            neutral: Array(volts[1...3]), lines: Array(volts[4...6]),
            neutralMean: reference == .lineToNeutral ? volts[0] : nil,
            lineMean: reference == .lineToLine ? volts[0] : nil,
            phaseCount == 1 ? .one : phaseCount == 2 ? .split : .three, &notes)
    }

    // MARK: Status

    private static func status(_ status: Fields, _ device: String, isWhole: Bool?) throws(AdapterMistake) -> Adapted {
        var (adapted, notes) = (Adapted(), [String]())
        guard let time = try status.number("readingTime") else { throw status.missing("readingTime") }
        guard abs(time) < 1e11 else { throw AdapterMistake("readingTime: no moment in time") }
        var sample = AdaptedSample(device: device, time: .seconds(time))
        do throws(AdapterMistake) {
            // 0 is "not applicable".
            if let code = try status.object("inverterStatus")?.whole("value", in: 0...255), code != 0 {
                sample.state = operatingStates[code] ?? "unknown"
                if sample.state == "test" { sample.quality.insert(.test) }
                if sample.state == "unknown" { notes.append("inverterStatus: \(code) is no state: unknown") }
            }
        } catch {
            notes.append("\(error): left out")
        }
        do throws(AdapterMistake) {
            if let charge = try status.object("stateOfChargeStatus")?.number("value") {
                sample.values[.stateOfCharge] = charge / (isWhole == true ? 1 : 100)
                if isWhole == nil, charge <= 100 {
                    sample.quality.insert(.questionable)
                    notes.append(
                        "stateOfChargeStatus: at most 1 % in hundredths; if the source writes whole percent, say whole_percent"
                    )
                }
            }
        } catch {
            notes.append("\(error): left out")
        }
        guard !sample.isEmpty else {
            throw AdapterMistake(
                (["DERStatus: neither inverterStatus nor stateOfChargeStatus"] + notes).joined(separator: "; "))
        }
        adapted.samples = [sample]
        adapted.notes = notes
        return adapted
    }

    private static func vehicle(_ vehicle: Fields, _ device: String) throws(AdapterMistake) -> Adapted {
        guard let power = try vehicle.object("chargingPowerNow") else { throw vehicle.missing("chargingPowerNow") }
        guard let time = try vehicle.number("timeChargingStatusPEV") else {
            throw vehicle.missing("timeChargingStatusPEV")
        }
        guard abs(time) < 1e11 else { throw AdapterMistake("timeChargingStatusPEV: no moment in time") }
        guard let value = try power.number("value") else { throw power.missing("value") }
        // Mandatory in ActivePower, unlike in ReadingType.
        guard let multiplier = try power.whole("multiplier", in: -9...9) else { throw power.missing("multiplier") }
        var sample = AdaptedSample(device: device, time: .seconds(time))
        // Positive is charging; ours is injection.
        sample.values[.activePower] = -shifted(value, Double(multiplier))
        return Adapted(samples: [sample])
    }
}

extension IEEE20305Reading {
    /// Fields of a reading and its type: value, and what becomes of the reading.
    private static let fields: [(field: String, value: String, meaning: String)] = [
        ("roleFlags", "text", "hexadecimal, as in the schema; a JSON number only up to 9, where both bases agree"),
        (
            "roleFlags", "bit 1",
            "premises: positive away from the substation; forward is towards the customer in all editions"
        ),
        ("roleFlags", "bit 2, 3 or 6", "vehicle, DER, submeter: positive into the grid, by `forward`"),
        ("roleFlags", "none of them, or bit 1 with another", "SIGN_UNVERIFIED unless `forward` is given"),
        ("roleFlags", "bit 5", "direct current: power is ESTIMATED, voltage, current, frequency and var are left out"),
        ("roleFlags", "absent", "refused"),
        ("uom", "38 W, 63 var, 29 V, 5 A, 33 Hz, 72 Wh", "taken"),
        ("uom", "another, absent", "left out"),
        ("powerOfTenMultiplier", "-9 to 9; absent is 0", "power of ten"),
        ("powerOfTenMultiplier", "another", "left out"),
        ("chargingPowerNow.multiplier", "absent", "refused: mandatory there"),
        ("accumulationBehaviour", "0, 6, 12, absent", "taken, of W, var, V, A, Hz"),
        ("accumulationBehaviour", "4 with Wh", "mean power over the interval"),
        ("accumulationBehaviour", "9 with Wh", "a counter, chosen by the direction"),
        ("accumulationBehaviour", "another", "left out"),
        ("intervalLength", "other than `timePeriod.duration`", "left out: the mean is not known"),
        ("commodity", "0, 1, 2, absent", "taken"),
        ("commodity", "another", "left out: gas has Wh, too"),
        ("kind", "0, 12, 37, absent; 8 with a duration", "taken"),
        ("kind", "another", "left out"),
        ("dataQualifier", "0, 12, absent", "taken"),
        ("dataQualifier", "2", "taken, with `timePeriod.duration` as `interval_s`"),
        ("dataQualifier", "8, 9, 29, 30", "left out: a statistic"),
        ("flowDirection", "1, 19", "forward, reverse; both in one `readings`: the difference"),
        (
            "flowDirection", "1 or 19 alone",
            "that power; 0 is QUESTIONABLE, negative SIGN_UNVERIFIED; left out with `\"bidirectional\":true`"
        ),
        ("flowDirection", "4", "net, signed: positive is forward"),
        ("flowDirection", "0, absent", "signed by `polarity`, without it SIGN_UNVERIFIED"),
        ("flowDirection", "another", "left out: 20 and 21 add both directions up"),
        ("phase", "0, 224, 225, absent", "the whole; of a voltage only with `\"voltage\"`"),
        ("phase", "128, 129; 64, 65; 32, 33", "A, B, C"),
        ("phase", "132, 66, 40", "voltage between lines"),
        ("phase", "another", "left out"),
        ("qualityFlags", "bit 1", "SUBSTITUTED"),
        ("qualityFlags", "bit 2, 3 or 5", "ESTIMATED"),
        ("qualityFlags", "bit 4", "QUESTIONABLE"),
        ("qualityFlags", "bit 6", "left out: projected"),
        ("qualityFlags", "absent, or bit 0 clear", "taken: not yet validated"),
        (
            "readingType", "has a field that the schema has not",
            "left out: it may be a multiplier or direction under another name"
        ),
        ("timePeriod", "ends after the time of reading", "its start is the time, no `interval_s`, QUESTIONABLE"),
    ]

    static var fieldTable: String {
        (["| field | is | what becomes of the reading |", "|---|---|---|"]
            + fields.map { "| `\($0.field)` | \($0.value) | \($0.meaning) |" }).joined(separator: "\n")
    }
}
