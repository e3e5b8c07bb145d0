internal import Foundation

/// What a protective device is set to, and what a regulator does: data that a network may carry, for the checks that need
/// them.
extension Network {
    /// Overcurrent protection of a switch.
    public struct Relay: Sendable, Codable, Equatable {
        /// A, where phase elements start.
        public var phasePickup: Double
        /// A of residual current; `nil`: no ground element known.
        public var groundPickup: Double?
        public var curve: Curve?
        /// Time dial (IEEE) or time multiplier (IEC).
        public var timeDial: Double?
        /// s from the trip to the first reclosing; `nil`: not known, unless it does not reclose.
        public var firstReclose: Double?
        /// False: it does not reclose; `nil`: ``firstReclose`` says.
        public var recloses: Bool?
        /// It tells from which side a fault is fed; `nil`: not known.
        public var isDirectional: Bool?
        /// It has a second group of settings, for a feed from its other side; `nil`: not known.
        public var hasAlternateSettings: Bool?

        public init(
            phasePickup: Double, groundPickup: Double? = nil, curve: Curve? = nil, timeDial: Double? = nil,
            firstReclose: Double? = nil, isDirectional: Bool? = nil, hasAlternateSettings: Bool? = nil,
            recloses: Bool? = nil
        ) {
            self.recloses = recloses
            self.isDirectional = isDirectional
            self.hasAlternateSettings = hasAlternateSettings
            self.phasePickup = phasePickup
            self.groundPickup = groundPickup
            self.curve = curve
            self.timeDial = timeDial
            self.firstReclose = firstReclose
        }

        /// Inverse-time characteristics of IEEE C37.112 and IEC 60255-151.
        public enum Curve: String, Sendable, Codable, CaseIterable {
            case moderatelyInverse = "MI"
            case veryInverse = "VI"
            case extremelyInverse = "EI"
            case standardInverseIEC = "IEC_SI"
            case veryInverseIEC = "IEC_VI"
            case extremelyInverseIEC = "IEC_EI"

            /// t = dial · (a / (m^p - 1) + b), m the multiple of pickup.
            var constants: (a: Double, b: Double, p: Double) {
                switch self {
                case .moderatelyInverse: (0.0515, 0.1140, 0.02)
                case .veryInverse: (19.61, 0.491, 2)
                case .extremelyInverse: (28.2, 0.1217, 2)
                case .standardInverseIEC: (0.14, 0, 0.02)
                case .veryInverseIEC: (13.5, 0, 1)
                case .extremelyInverseIEC: (80, 0, 2)
                }
            }
        }

        /// Seconds until the phase element trips; `nil`: never, or its curve is not known.
        public func tripSeconds(amperes: Double) -> Double? {
            guard let curve, let timeDial, amperes > phasePickup else { return nil }
            let (a, b, p) = curve.constants
            return timeDial * (a / (pow(amperes / phasePickup, p) - 1) + b)
        }
    }

    /// A voltage regulator on a line. Its ratio is not part of the load flow: it stands in neutral there.
    public struct Regulator: Sendable, Codable, Equatable {
        /// What its control does when power comes from its other side.
        public enum Mode: String, Sendable, Codable, CaseIterable {
            case lockedForward = "LOCKED_FORWARD"
            case lockedReverse = "LOCKED_REVERSE"
            case bidirectional = "BIDIRECTIONAL"
            case cogeneration = "COGENERATION"
            case neutralIdle = "NEUTRAL_IDLE"
            case idle = "IDLE"
            case reactiveBidirectional = "REACTIVE_BIDIR"
            /// By hand, in neutral: it does nothing.
            case manualNeutral = "MANUAL_NEUTRAL"

            /// What it does to the voltage when power comes from its other side (`domain-rules.md` B.1.4).
            ///
            /// - Parameter isMoved: the source is on the other side; otherwise DER feed back through it.
            public func onReversal(isMoved: Bool) -> Reversal {
                switch self {
                case .lockedForward, .cogeneration: isMoved ? .unsafe : .safe
                case .lockedReverse, .bidirectional: isMoved ? .safe : .unsafe
                case .neutralIdle, .idle, .manualNeutral: .caution
                case .reactiveBidirectional: .safe
                }
            }
        }

        /// Whether a control still holds the voltage of customers when power comes from its other side.
        public enum Reversal: String, Sendable {
            case safe
            /// It does not regulate.
            case caution
            /// It runs to the end of its taps.
            case unsafe
        }

        public var id, line: String
        /// The source is normally at the line's `from` end.
        public var isForwardFrom: Bool
        public var mode: Mode

        public init(id: String, line: String, isForwardFrom: Bool = true, mode: Mode) {
            self.id = id
            self.line = line
            self.isForwardFrom = isForwardFrom
            self.mode = mode
        }
    }

    /// A capacitor or reactor between phases: it takes and gives with the square of the voltage. What switches it is a
    /// bus switch between its node and the network.
    public struct Shunt: Sendable, Codable, Equatable {
        public var id, node: String
        /// At nominal voltage, three phases: what a capacitor gives is positive, and so are losses.
        public var kilovars, kilowatts: Double

        public init(id: String, node: String, kilovars: Double, kilowatts: Double = 0) {
            self.id = id
            self.node = node
            self.kilovars = kilovars
            self.kilowatts = kilowatts
        }
    }

    /// A low-voltage grid with more DER behind its transformers than these are rated for (`XFMR_DER_OVERSIZE`,
    /// `domain-rules.md` B.1.3; Rule 21 screen D).
    public struct Oversize: Sendable, Equatable {
        public var lowVoltageArea: String
        public var transformers: [String]
        /// AC, of what can feed in.
        public var generationKW: Double
        public var ratedKVA: Double

        public init(lowVoltageArea: String, transformers: [String], generationKW: Double, ratedKVA: Double) {
            self.lowVoltageArea = lowVoltageArea
            self.transformers = transformers
            self.generationKW = generationKW
            self.ratedKVA = ratedKVA
        }
    }

    /// By grid; transformers of a grid are taken to share what comes back.
    public var oversizedGeneration: [Oversize] {
        let nodes = Dictionary(self.nodes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        func area(_ node: String) -> String? {
            nodes[node].flatMap { $0.lowVoltageArea.isEmpty ? nil : $0.lowVoltageArea }
        }
        var found: [String: Oversize] = [:]
        for item in transformers where nodes[item.lowNode]?.kind == "lv_busbar" {
            guard let name = area(item.lowNode) else { continue }
            found[name, default: .init(lowVoltageArea: name, transformers: [], generationKW: 0, ratedKVA: 0)]
                .transformers.append(item.id)
            found[name]?.ratedKVA += item.ratedKVA
        }
        for der in ders where der.kind != .electricVehicleCharger {
            guard let name = der.lowVoltageArea.isEmpty ? area(der.node) : der.lowVoltageArea else { continue }
            found[name]?.generationKW += der.ratedKW
        }
        return found.values.filter { $0.generationKW > $0.ratedKVA }.sorted { $0.lowVoltageArea < $1.lowVoltageArea }
    }
}

extension Network.Switch {
    /// Kinds that interrupt no load.
    public static let noLoadKinds: Set<String> = [
        "DS", "DISCONNECT", "SECTIONALIZER", "JUMPER", "CUT", "BYPASS", "CUTOUT",
    ]
    /// Kinds that clear a fault that they close onto.
    public static let breakerKinds: Set<String> = ["CB", "CIRCUIT_BREAKER", "RECLOSER"]
    private static let otherKinds: Set<String> = [
        "LBS", "LS", "LOAD_BREAK", "LOAD_BREAK_SWITCH", "LOAD_SWITCH", "SWITCH", "FUSE", "NETWORK_PROTECTOR",
        "ELBOW_LB", "ELBOW_NLB",
    ]

    /// A word for a kind that has a meaning to the checks.
    public static func knows(kind: String) -> Bool {
        let kind = kind.uppercased()
        return noLoadKinds.contains(kind) || breakerKinds.contains(kind) || otherKinds.contains(kind)
    }

    public var isBreaker: Bool { Self.breakerKinds.contains(kind.uppercased()) }
    /// Its kind says what it may break and make.
    public var isOfKnownKind: Bool { Self.knows(kind: kind) }
}
