extension Network.Transformer {
    /// A tap changer. Every `nil` is a value that is not known; without a step it does nothing.
    public struct Tap: Sendable, Codable, Equatable {
        public var isOnLowSide: Bool?
        /// Positions, in steps.
        public var neutral, least, most, position: Int?
        /// Percent of the rated voltage of its side, a step.
        public var stepPercent: Double?
        /// It moves by itself to hold a voltage.
        public var isAutomatic: Bool?
        /// pu, and pu to either side of it.
        public var setPoint, band: Double?

        public init(
            isOnLowSide: Bool? = nil, neutral: Int? = nil, least: Int? = nil, most: Int? = nil, position: Int? = nil,
            stepPercent: Double? = nil, isAutomatic: Bool? = nil, setPoint: Double? = nil, band: Double? = nil
        ) {
            self.isOnLowSide = isOnLowSide
            self.neutral = neutral
            self.least = least
            self.most = most
            self.position = position
            self.stepPercent = stepPercent
            self.isAutomatic = isAutomatic
            self.setPoint = setPoint
            self.band = band
        }

        /// Columns without which the ratio is not known; none where taps change nothing.
        public var missing: [String] {
            guard stepPercent ?? 0 != 0 else {
                // Without a step nothing is moved, unless the table says that it stands elsewhere than in neutral.
                return position ?? 0 == neutral ?? 0 || stepPercent == 0 ? [] : ["tap_step_percent"]
            }
            return [
                isOnLowSide == nil ? "tap_side" : nil, neutral == nil ? "tap_neutral" : nil,
                position == nil ? "tap_pos" : nil,
            ].compactMap(\.self)
        }

        /// Columns without which nobody can tell what its automatic control does.
        public var missingControl: [String] {
            guard isAutomatic == true else { return [] }
            return [
                least == nil ? "tap_min" : nil, most == nil ? "tap_max" : nil,
                stepPercent == nil ? "tap_step_percent" : nil, setPoint == nil ? "oltc_setpoint_pu" : nil,
                band == nil ? "oltc_band_pu" : nil,
            ].compactMap(\.self)
        }
    }

    /// How its windings are connected; `nil`: not known, or no vector group.
    public var vectorGroup: VectorGroup? { windings.flatMap(VectorGroup.init) }

    /// Degrees by which the low side lags the high side; `nil`: neither the data nor its vector group say.
    public var turn: Double? { shiftDegrees ?? vectorGroup?.clock.map { Double($0) * 30 } }

    private enum CodingKeys: String, CodingKey {
        case id, highNode, lowNode, ratedKVA, isSinglePhase, hasZeroSequenceProtection, highKilovolts, lowKilovolts
        case impedancePercent, resistancePercent, noLoadKilowatts, noLoadPercent, shiftDegrees, parallelUnits, tap
        case windings, tapGroup, neutral
    }

    /// Documents of before the second format: the columns by name.
    private enum OldKeys: String, CodingKey { case parameters }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func value<Value: Decodable>(_ key: CodingKeys) throws -> Value? {
            try container.decodeIfPresent(Value.self, forKey: key)
        }
        self.init(
            id: try container.decode(String.self, forKey: .id),
            highNode: try container.decode(String.self, forKey: .highNode),
            lowNode: try container.decode(String.self, forKey: .lowNode),
            ratedKVA: try container.decode(Double.self, forKey: .ratedKVA),
            isSinglePhase: try container.decode(Bool.self, forKey: .isSinglePhase),
            hasZeroSequenceProtection: try value(.hasZeroSequenceProtection), highKilovolts: try value(.highKilovolts),
            lowKilovolts: try value(.lowKilovolts), impedancePercent: try value(.impedancePercent),
            resistancePercent: try value(.resistancePercent), noLoadKilowatts: try value(.noLoadKilowatts),
            noLoadPercent: try value(.noLoadPercent), shiftDegrees: try value(.shiftDegrees),
            parallelUnits: try value(.parallelUnits), tap: try value(.tap) ?? Tap(), windings: try value(.windings),
            neutral: try value(.neutral), tapGroup: try value(.tapGroup))
        let old = try decoder.container(keyedBy: OldKeys.self)
        if let parameters = try old.decodeIfPresent([String: Double].self, forKey: .parameters) { take(parameters) }
    }

    private mutating func take(_ old: [String: Double]) {
        func whole(_ name: String) -> Int? { old[name].flatMap { Int(exactly: $0.rounded()) } }
        (highKilovolts, lowKilovolts) = (old["vn_hv_kv"], old["vn_lv_kv"])
        (impedancePercent, resistancePercent) = (old["vk_percent"], old["vkr_percent"])
        (noLoadKilowatts, noLoadPercent) = (old["pfe_kw"], old["i0_percent"])
        (shiftDegrees, parallelUnits) = (old["shift_degree"], whole("parallel"))
        tap = Tap(
            isOnLowSide: old["tap_on_lv_side"].map { $0 == 1 }, neutral: whole("tap_neutral"), least: whole("tap_min"),
            most: whole("tap_max"), position: whole("tap_pos"), stepPercent: old["tap_step_percent"],
            isAutomatic: old["oltc"].map { $0 == 1 }, setPoint: old["oltc_setpoint_pu"], band: old["oltc_band_pu"])
    }
}

/// How the windings of a transformer are connected, as `Dyn5` or `YNyn`: the first letters are the high side.
public struct VectorGroup: Sendable, Equatable {
    public enum Winding: Sendable {
        case wye, groundedWye, delta, zigzag, groundedZigzag
    }
    public let high, low: Winding
    /// By how many times 30° the low side lags; `nil`: the name does not say.
    public let clock: Int?

    /// `nil`: it is none.
    public init?(_ name: String) {
        let letters = name.prefix { $0.isLetter }
        let number = name.dropFirst(letters.count)
        guard let high = Self.winding(letters.prefix { $0.isUppercase }.lowercased()),
            let low = Self.winding(String(letters.drop { $0.isUppercase }))
        else { return nil }
        guard let clock = number.isEmpty ? .some(nil) : Int(number).map({ Int?.some($0) }),
            (0...12).contains(clock ?? 0)
        else { return nil }
        (self.high, self.low, self.clock) = (high, low, clock.map { $0 % 12 })
    }

    private static func winding(_ letters: String) -> Winding? {
        switch letters {
        case "y": .wye
        case "yn": .groundedWye
        case "d": .delta
        case "z": .zigzag
        case "zn": .groundedZigzag
        default: nil
        }
    }

    /// Equal windings, and delta with zigzag, turn by a multiple of 60°; the others by an odd multiple of 30°.
    public var hasOddClock: Bool {
        func kind(_ winding: Winding) -> Int {
            switch winding {
            case .wye, .groundedWye: 0
            case .delta: 1
            case .zigzag, .groundedZigzag: 2
            }
        }
        // A zigzag turns as a delta does.
        return (kind(high) == 0) != (kind(low) == 0)
    }
}
