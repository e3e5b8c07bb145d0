public import GridModel

/// A reading of another standard as a sample of ours: canonical quantities, units and signs. Network points are FLOW
/// (positive away from the substation), DER terminals INJ (positive into the grid).
public struct AdaptedSample: Sendable, Equatable {
    public var device: String
    public var time: Timestamp
    public var values: [Quantity: Double] = [:]
    public var quality: Quality = []
    /// A word of the telemetry protocol, such as `running`.
    public var state: String?

    init(device: String, time: Timestamp) {
        self.device = device
        self.time = time
    }

    var isEmpty: Bool { values.isEmpty && state == nil }

    /// One sample as the protocol's JSON has it, on one line.
    public var json: String {
        var fields = ["\"device\":\"\(device)\"", "\"time\":\(time.microseconds)"]
        for quantity in Quantity.allCases {
            if let value = values[quantity], Self.phases[quantity] == nil, !Self.isPhase(quantity) {
                fields.append("\"\(quantity.name)\":\(Self.text(value))")
            }
        }
        for (total, phases) in Self.phases.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let list = phases.map { values[$0].map(Self.text) ?? "null" }
            // Total and phases share a field: the phases say more, if none of them is missing.
            if !list.contains("null") || values[total] == nil && list.contains(where: { $0 != "null" }) {
                fields.append("\"\(total.name)\":[\(list.joined(separator: ","))]")
            } else if let value = values[total] {
                fields.append("\"\(total.name)\":\(Self.text(value))")
            }
        }
        if let state { fields.append("\"state\":\"\(state)\"") }
        let words = Quality.names.enumerated().filter { quality.rawValue & 1 << UInt16($0.offset) != 0 }.map {
            "\"\($0.element)\""
        }
        if !words.isEmpty { fields.append("\"quality\":[\(words.joined(separator: ","))]") }
        return "{\(fields.joined(separator: ","))}"
    }

    private static let phases: [Quantity: [Quantity]] = [
        .activePower: [.activePowerA, .activePowerB, .activePowerC],
        .reactivePower: [.reactivePowerA, .reactivePowerB, .reactivePowerC],
        .voltage: [.voltageA, .voltageB, .voltageC], .current: [.currentA, .currentB, .currentC],
    ]

    private static func isPhase(_ quantity: Quantity) -> Bool { phases.values.contains { $0.contains(quantity) } }

    /// Ten digits: what a register holds, without the tail of a binary fraction.
    private static func text(_ value: Double) -> String {
        let rounded = (value * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int64(rounded)) : String(rounded)
    }
}

/// What became of one reading.
public struct Adapted: Sendable, Equatable {
    public var samples: [AdaptedSample] = []
    /// Fields that were left out, and why: never silently.
    public var notes: [String] = []

    /// Without numbers that no sample of the protocol can carry: values travel and are stored in single precision.
    func withinTheProtocol() throws(AdapterMistake) -> Adapted {
        var result = Adapted(notes: notes)
        for var sample in samples {
            for (quantity, value) in sample.values.sorted(by: { $0.key.rawValue < $1.key.rawValue })
            where !Float(value).isFinite {
                sample.values[quantity] = nil
                sample.quality.insert(.invalid)
                result.notes.append("\(quantity.name): \(value) is more than a sample can carry: INVALID")
            }
            if !sample.isEmpty { result.samples.append(sample) }
        }
        guard !result.samples.isEmpty || samples.isEmpty else {
            throw AdapterMistake("no value left: \(result.notes.joined(separator: "; "))")
        }
        return result
    }
}

/// A reading that is no sample.
public struct AdapterMistake: Error, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// The standards that are understood.
public enum SourceStandard: String, Sendable, CaseIterable {
    case sunspec
    case ieee2030_5 = "ieee2030.5"
    case ocpp

    /// Turns one reading, a JSON object, into samples.
    public func adapt(_ json: [UInt8]) throws(AdapterMistake) -> Adapted {
        let adapted =
            switch self {
            case .sunspec: try SunSpecReading.decode(json).adapted()
            case .ieee2030_5: try IEEE20305Reading.decode(json).adapted()
            case .ocpp: try OCPPReading.decode(json).adapted()
            }
        return try adapted.withinTheProtocol()
    }
}
