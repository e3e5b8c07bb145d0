/// A distribution network as imported: elements by name, in the normal switching state. Values only.
///
/// The columns and their units are those of the data directory (`docs/data-directory.md`).
public struct Network: Sendable, Codable, Equatable {
    public struct Node: Sendable, Codable, Equatable {
        public var id, name: String
        public var nominalKilovolts: Double
        /// `hv_busbar`, `mv_busbar`, `mv_node`, `lv_busbar`, `lv_node`.
        public var kind: String
        public var substation, lowVoltageArea, feeder: String
        public var longitude, latitude: Double?
        /// `ABC`, or the phases that a lateral has; `nil`: not known.
        public var phases: String?

        public init(
            id: String, name: String = "", nominalKilovolts: Double, kind: String, substation: String = "",
            lowVoltageArea: String = "", feeder: String = "", longitude: Double? = nil, latitude: Double? = nil,
            phases: String? = nil
        ) {
            self.phases = phases
            self.id = id
            self.name = name
            self.nominalKilovolts = nominalKilovolts
            self.kind = kind
            self.substation = substation
            self.lowVoltageArea = lowVoltageArea
            self.feeder = feeder
            self.longitude = longitude
            self.latitude = latitude
        }

        public var isBusbar: Bool { kind == "hv_busbar" || kind == "mv_busbar" }
    }

    public struct Line: Sendable, Codable, Equatable {
        public var id, from, to: String
        /// Ω and nF, totals of the line.
        public var resistance, reactance, capacitance: Double
        /// A, thermal rating.
        public var ratedAmperes: Double
        /// A, for some hours; `nil`: not known, see `limits.line_emergency_pct`.
        public var emergencyAmperes: Double?
        public var kilometres: Double
        /// Ω of the zero sequence, totals of the line; `nil`: not known.
        public var zeroResistance, zeroReactance: Double?
        /// `cable` or `overhead`; `nil`: not known.
        public var construction: String?

        public init(
            id: String, from: String, to: String, resistance: Double = 0, reactance: Double = 0,
            capacitance: Double = 0, ratedAmperes: Double = 0, emergencyAmperes: Double? = nil, kilometres: Double = 0,
            zeroResistance: Double? = nil, zeroReactance: Double? = nil, construction: String? = nil
        ) {
            self.zeroResistance = zeroResistance
            self.zeroReactance = zeroReactance
            self.construction = construction
            self.emergencyAmperes = emergencyAmperes
            self.id = id
            self.from = from
            self.to = to
            self.resistance = resistance
            self.reactance = reactance
            self.capacitance = capacitance
            self.ratedAmperes = ratedAmperes
            self.kilometres = kilometres
        }
    }

    public struct Transformer: Sendable, Codable, Equatable {
        public var id, highNode, lowNode: String
        public var ratedKVA: Double
        /// True for a unit of a bank of single-phase transformers: parallel units are one edge of the graph.
        public var isSinglePhase: Bool
        /// Zero-sequence overvoltage protection on the high-voltage side; `nil` unknown.
        public var hasZeroSequenceProtection: Bool?
        /// Electrical data kept for load flow, by column name.
        public var parameters: [String: Double]
        /// Vector group, as `Dyn` or `YNyn`; `nil`: not known.
        public var windings: String?
        /// Units of one name change their taps together; `nil`: alone.
        public var tapGroup: String?
        public enum Neutral: String, Sendable, Codable, CaseIterable {
            case grounded, isolated, compensated
            /// A fault to ground is signalled, and not tripped by its current.
            public var isOnlySignalled: Bool { self != .grounded }
        }
        /// Of its low-voltage side; `nil`: not known.
        public var neutral: Neutral?

        public init(
            id: String, highNode: String, lowNode: String, ratedKVA: Double, isSinglePhase: Bool = false,
            hasZeroSequenceProtection: Bool? = nil, parameters: [String: Double] = [:], windings: String? = nil,
            neutral: Neutral? = nil, tapGroup: String? = nil
        ) {
            self.tapGroup = tapGroup
            self.windings = windings
            self.neutral = neutral
            self.id = id
            self.highNode = highNode
            self.lowNode = lowNode
            self.ratedKVA = ratedKVA
            self.isSinglePhase = isSinglePhase
            self.hasZeroSequenceProtection = hasZeroSequenceProtection
            self.parameters = parameters
        }
    }

    public struct Switch: Sendable, Codable, Equatable {
        public enum Connection: String, Sendable, Codable { case line, transformer, bus }

        public var id, kind: String
        public var connects: Connection
        public var node: String
        /// The line or transformer switched at `node`, or the other node of a bus switch.
        public var element: String
        public var normalPosition: SwitchPosition
        public var role, feeder, phases: String
        /// A of load that it may interrupt; `nil`: not known.
        public var loadBreakAmperes: Double?
        /// kA, peak, that it may close onto; 0: none. `nil`: not known.
        public var faultMakeKiloamperes: Double?
        /// kA that it may interrupt; `nil`: not known.
        public var interruptKiloamperes: Double?
        /// `nil`: it does not protect, or that is not known.
        public var relay: Relay?
        public enum Remote: String, Sendable, Codable, CaseIterable {
            /// Worked by hand only.
            case none
            case healthy
            /// Its battery, gas or communication is not as it should be, or it is blocked on site.
            case faulty
        }
        /// Its remote control; `nil`: not known.
        public var remote: Remote?

        public init(
            id: String, kind: String = "LBS", connects: Connection, node: String, element: String,
            normalPosition: SwitchPosition = .closed, role: String = "", feeder: String = "", phases: String = "ABC",
            loadBreakAmperes: Double? = nil, faultMakeKiloamperes: Double? = nil, interruptKiloamperes: Double? = nil,
            relay: Relay? = nil, remote: Remote? = nil
        ) {
            self.remote = remote
            self.loadBreakAmperes = loadBreakAmperes
            self.faultMakeKiloamperes = faultMakeKiloamperes
            self.interruptKiloamperes = interruptKiloamperes
            self.relay = relay
            self.id = id
            self.kind = kind
            self.connects = connects
            self.node = node
            self.element = element
            self.normalPosition = normalPosition
            self.role = role
            self.feeder = feeder
            self.phases = phases
        }
    }

    public struct Feeder: Sendable, Codable, Equatable {
        public var id, substation, busbar: String
        /// Empty where the feeder has no breaker of its own.
        public var headSwitch: String
        public var headLine: String
        /// A; 0 unknown.
        public var ratedAmperes: Double

        public init(
            id: String, substation: String = "", busbar: String, headSwitch: String = "", headLine: String,
            ratedAmperes: Double = 0
        ) {
            self.id = id
            self.substation = substation
            self.busbar = busbar
            self.headSwitch = headSwitch
            self.headLine = headLine
            self.ratedAmperes = ratedAmperes
        }
    }

    public struct Tie: Sendable, Codable, Equatable {
        public var id, switchID, line, openAtNode, farNode, feederA, feederB: String

        public init(
            id: String, switchID: String, line: String, openAtNode: String, farNode: String, feederA: String,
            feederB: String
        ) {
            self.id = id
            self.switchID = switchID
            self.line = line
            self.openAtNode = openAtNode
            self.farNode = farNode
            self.feederA = feederA
            self.feederB = feederB
        }
    }

    public struct Load: Sendable, Codable, Equatable {
        public var id, node: String
        public var kilowatts, kilovars: Double
        public var activeProfile, reactiveProfile: String
        public var customers: Int

        public init(
            id: String, node: String, kilowatts: Double, kilovars: Double = 0, activeProfile: String = "",
            reactiveProfile: String = "", customers: Int = 0
        ) {
            self.id = id
            self.node = node
            self.kilowatts = kilowatts
            self.kilovars = kilovars
            self.activeProfile = activeProfile
            self.reactiveProfile = reactiveProfile
            self.customers = customers
        }
    }

    public struct DER: Sendable, Codable, Equatable {
        public var id: String
        public var kind: DeviceKind
        public var node, lowVoltageArea, site: String
        public var ratedKW, ratedKVA: Double
        public var profile: String
        public var scaleKW: Double
        /// Reactive for active power, both into the grid; `nil`: none.
        public var reactiveShare: Double?

        public init(
            id: String, kind: DeviceKind, node: String, lowVoltageArea: String = "", site: String = "",
            ratedKW: Double, ratedKVA: Double = 0, profile: String = "", scaleKW: Double = 0,
            reactiveShare: Double? = nil
        ) {
            self.reactiveShare = reactiveShare
            self.id = id
            self.kind = kind
            self.node = node
            self.lowVoltageArea = lowVoltageArea
            self.site = site
            self.ratedKW = ratedKW
            self.ratedKVA = ratedKVA
            self.profile = profile
            self.scaleKW = scaleKW
        }
    }

    public struct Source: Sendable, Codable, Equatable {
        public var id, node: String
        public var voltagePerUnit, angleDegrees: Double
        /// Of the network behind it; `nil`: the source holds its voltage whatever it gives.
        public var shortCircuitMVA: Double?

        public init(
            id: String, node: String, voltagePerUnit: Double = 1, angleDegrees: Double = 0,
            shortCircuitMVA: Double? = nil
        ) {
            self.id = id
            self.node = node
            self.voltagePerUnit = voltagePerUnit
            self.angleDegrees = angleDegrees
            self.shortCircuitMVA = shortCircuitMVA
        }
    }

    public var id: String
    public var attribution: String
    /// Hz; 50 or 60.
    public var nominalFrequency: Double
    public var nodes: [Node] = []
    public var lines: [Line] = []
    public var transformers: [Transformer] = []
    public var switches: [Switch] = []
    public var feeders: [Feeder] = []
    public var ties: [Tie] = []
    public var loads: [Load] = []
    public var ders: [DER] = []
    public var sources: [Source] = []
    /// `nil`: the network's data say nothing of regulators.
    public var regulators: [Regulator]?
    /// `nil`: the network's data say nothing of capacitors and reactors.
    public var shunts: [Shunt]?

    public init(id: String, attribution: String = "", nominalFrequency: Double = 50) {
        self.id = id
        self.attribution = attribution
        self.nominalFrequency = nominalFrequency
    }

    public struct Place: Sendable, Equatable {
        /// Degrees; east and north positive.
        public var longitude, latitude: Double
        public init(longitude: Double, latitude: Double) {
            self.longitude = longitude
            self.latitude = latitude
        }
    }

    /// The middle of the nodes whose place is known: a network is small beside the terminator. `nil`: none is.
    public var centre: Place? {
        let places = nodes.compactMap { node in node.longitude.flatMap { x in node.latitude.map { (x, $0) } } }
        guard !places.isEmpty else { return nil }
        return Place(
            longitude: places.reduce(0) { $0 + $1.0 } / Double(places.count),
            latitude: places.reduce(0) { $0 + $1.1 } / Double(places.count))
    }

    /// VA a feeder head may carry, from its current rating and the busbar's nominal voltage; 0 unknown.
    public func ratingVA(of feeder: Feeder, nominalKilovolts: Double) -> Double {
        3.0.squareRoot() * feeder.ratedAmperes * nominalKilovolts * 1000
    }
}
