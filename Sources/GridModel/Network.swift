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
        /// Ω and nF, totals of the line; `nil`: not known. Zero is a value: a link without impedance, a line without charge.
        public var resistance, reactance, capacitance: Double?
        /// A, thermal rating; `nil`: not known.
        public var ratedAmperes: Double?
        /// A, for some hours; `nil`: not known, see `limits.line_emergency_pct`.
        public var emergencyAmperes: Double?
        /// `nil`: not known.
        public var kilometres: Double?
        /// Ω of the zero sequence, totals of the line; `nil`: not known.
        public var zeroResistance, zeroReactance: Double?
        /// `cable` or `overhead`; `nil`: not known.
        public var construction: String?

        public init(
            id: String, from: String, to: String, resistance: Double? = nil, reactance: Double? = nil,
            capacitance: Double? = nil, ratedAmperes: Double? = nil, emergencyAmperes: Double? = nil,
            kilometres: Double? = nil,
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
        /// kV, rated voltages of the windings: their ratio is the transformer's; `nil`: not known.
        public var highKilovolts, lowKilovolts: Double?
        /// Percent, short-circuit voltage and its resistive part; negative in the star of three windings. `nil`: not known.
        public var impedancePercent, resistancePercent: Double?
        /// kW and percent of the rated current without load; `nil`: neglected.
        public var noLoadKilowatts, noLoadPercent: Double?
        /// Degrees by which the low side lags the high side, a multiple of 30; `nil`: not known.
        public var shiftDegrees: Double?
        /// Equal units in parallel under this name; `nil`: one.
        public var parallelUnits: Int?
        public var tap = Tap()
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
            hasZeroSequenceProtection: Bool? = nil, highKilovolts: Double? = nil, lowKilovolts: Double? = nil,
            impedancePercent: Double? = nil, resistancePercent: Double? = nil, noLoadKilowatts: Double? = nil,
            noLoadPercent: Double? = nil, shiftDegrees: Double? = nil, parallelUnits: Int? = nil, tap: Tap = Tap(),
            windings: String? = nil, neutral: Neutral? = nil, tapGroup: String? = nil
        ) {
            self.highKilovolts = highKilovolts
            self.lowKilovolts = lowKilovolts
            self.impedancePercent = impedancePercent
            self.resistancePercent = resistancePercent
            self.noLoadKilowatts = noLoadKilowatts
            self.noLoadPercent = noLoadPercent
            self.shiftDegrees = shiftDegrees
            self.parallelUnits = parallelUnits
            self.tap = tap
            self.tapGroup = tapGroup
            self.windings = windings
            self.neutral = neutral
            self.id = id
            self.highNode = highNode
            self.lowNode = lowNode
            self.ratedKVA = ratedKVA
            self.isSinglePhase = isSinglePhase
            self.hasZeroSequenceProtection = hasZeroSequenceProtection
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
        /// A; `nil`: not known.
        public var ratedAmperes: Double?

        public init(
            id: String, substation: String = "", busbar: String, headSwitch: String = "", headLine: String,
            ratedAmperes: Double? = nil
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
        public var kilowatts: Double
        /// kvar; `nil`: not known.
        public var kilovars: Double?
        /// Factors on both in a window; empty: the active power is the same at every moment, and the reactive follows the
        /// active.
        public var activeProfile, reactiveProfile: String
        /// `nil`: not known, so there may be some.
        public var customers: Int?

        public init(
            id: String, node: String, kilowatts: Double, kilovars: Double? = nil, activeProfile: String = "",
            reactiveProfile: String = "", customers: Int? = nil
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
        public var ratedKW: Double
        /// `nil`: not known.
        public var ratedKVA: Double?
        public var profile: String
        /// kW at which the profile is 1; `nil`: not known.
        public var scaleKW: Double?
        /// Reactive for active power, both into the grid; `nil`: it gives none.
        public var reactiveShare: Double?

        public init(
            id: String, kind: DeviceKind, node: String, lowVoltageArea: String = "", site: String = "",
            ratedKW: Double, ratedKVA: Double? = nil, profile: String = "", scaleKW: Double? = nil,
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
        /// `nil`: not known. An angle is relative: a single source needs none.
        public var voltagePerUnit, angleDegrees: Double?
        /// Short-circuit power of the network behind it; `nil`: not known. In the load flow the source then holds its voltage.
        public var shortCircuitMVA: Double?
        /// The data say that it holds its voltage whatever it gives.
        public var isStiff: Bool?

        public init(
            id: String, node: String, voltagePerUnit: Double? = nil, angleDegrees: Double? = nil,
            shortCircuitMVA: Double? = nil, isStiff: Bool? = nil
        ) {
            self.isStiff = isStiff
            self.id = id
            self.node = node
            self.voltagePerUnit = voltagePerUnit
            self.angleDegrees = angleDegrees
            self.shortCircuitMVA = shortCircuitMVA
        }
    }

    /// Format of the stored document. Before the second, zeros stood for what was not known.
    private var format: Int?
    private static let newestFormat = 2

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
    /// False: the data say nothing of loads, which is not to say that there are none.
    public var saysLoads: Bool?
    public var ders: [DER] = []
    /// False: the data say nothing of DER, which is not to say that there are none.
    public var saysDERs: Bool?
    public var sources: [Source] = []
    /// `nil`: the network's data say nothing of regulators.
    public var regulators: [Regulator]?
    /// `nil`: the network's data say nothing of capacitors and reactors.
    public var shunts: [Shunt]?

    public init(id: String, attribution: String = "", nominalFrequency: Double = 50) {
        format = Self.newestFormat
        self.id = id
        self.attribution = attribution
        self.nominalFrequency = nominalFrequency
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        format = try container.decodeIfPresent(Int.self, forKey: .format)
        id = try container.decode(String.self, forKey: .id)
        attribution = try container.decode(String.self, forKey: .attribution)
        nominalFrequency = try container.decode(Double.self, forKey: .nominalFrequency)
        nodes = try container.decode([Node].self, forKey: .nodes)
        lines = try container.decode([Line].self, forKey: .lines)
        transformers = try container.decode([Transformer].self, forKey: .transformers)
        switches = try container.decode([Switch].self, forKey: .switches)
        feeders = try container.decode([Feeder].self, forKey: .feeders)
        ties = try container.decode([Tie].self, forKey: .ties)
        loads = try container.decode([Load].self, forKey: .loads)
        saysLoads = try container.decodeIfPresent(Bool.self, forKey: .saysLoads)
        ders = try container.decode([DER].self, forKey: .ders)
        saysDERs = try container.decodeIfPresent(Bool.self, forKey: .saysDERs)
        sources = try container.decode([Source].self, forKey: .sources)
        regulators = try container.decodeIfPresent([Regulator].self, forKey: .regulators)
        shunts = try container.decodeIfPresent([Shunt].self, forKey: .shunts)
        if format == nil { forgetZeros() }
        format = Self.newestFormat
    }

    /// A document of before the second format has zeros for what was not known: nobody can tell which are meant, so none is
    /// believed until the network is imported again.
    private mutating func forgetZeros() {
        func known(_ value: Double?) -> Double? { value == 0 ? nil : value }
        for place in lines.indices {
            if lines[place].resistance == 0, lines[place].reactance == 0 {
                (lines[place].resistance, lines[place].reactance) = (nil, nil)
            }
            lines[place].capacitance = known(lines[place].capacitance)
            lines[place].ratedAmperes = known(lines[place].ratedAmperes)
            lines[place].kilometres = known(lines[place].kilometres)
        }
        for place in feeders.indices { feeders[place].ratedAmperes = known(feeders[place].ratedAmperes) }
        for place in loads.indices {
            loads[place].kilovars = known(loads[place].kilovars)
            if loads[place].customers == 0 { loads[place].customers = nil }
        }
        for place in ders.indices {
            ders[place].ratedKVA = known(ders[place].ratedKVA)
            ders[place].scaleKW = known(ders[place].scaleKW)
        }
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

    /// VA a feeder head may carry, from its current rating and the busbar's nominal voltage; `nil`: not known.
    public func ratingVA(of feeder: Feeder, nominalKilovolts: Double) -> Double? {
        feeder.ratedAmperes.map { 3.0.squareRoot() * $0 * nominalKilovolts * 1000 }
    }
}
