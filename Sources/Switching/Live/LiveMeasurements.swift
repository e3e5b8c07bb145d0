internal import GridModel

/// Present measurements: loads are estimated from them, and the load flow of now is compared with them.
public struct LiveMeasurements: Sendable {
    /// At a point on a branch; FLOW, positive away from where the normal source is. `nil`: not measured, or not now.
    public struct Flow: Sendable, Equatable {
        /// W and var of the three phases.
        public var watts, vars: Double?
        /// A, magnitude only.
        public var amperes: Double?
        /// False: taken before the last movement of a switch had its effect, so that it says nothing of the model.
        public var isSettled: Bool

        public init(watts: Double? = nil, vars: Double? = nil, amperes: Double? = nil, isSettled: Bool = true) {
            self.watts = watts
            self.vars = vars
            self.amperes = amperes
            self.isSettled = isSettled
        }
    }

    public struct Voltage: Sendable, Equatable {
        public var device: String
        /// Place of its node in the network.
        public var node: Int
        /// Share of the node's nominal voltage.
        public var perUnit: Double

        public init(device: String, node: Int, perUnit: Double) {
            self.device = device
            self.node = node
            self.perUnit = perUnit
        }
    }

    /// INJ, positive into the grid.
    public struct DER: Sendable, Equatable {
        /// W; `nil`: silent.
        public var watts: Double?
        /// var; `nil`: not measured, the network's share of the active power counts.
        public var vars: Double?
        /// W that it may give while it is silent: its rating, or 0 in the dark.
        public var canGive: Double

        public init(watts: Double? = nil, vars: Double? = nil, canGive: Double = 0) {
            self.watts = watts
            self.vars = vars
            self.canGive = canGive
        }
    }

    /// How far a measurement may be from the model before one of the two is wrong.
    public struct Tolerance: Sendable, Equatable {
        /// Share of the larger of the two values, and of the rating of the element that is measured.
        public var share = 0.05
        public var ratingShare = 0.02
        /// W (and var, VA) below which nothing is compared.
        public var watts = 50_000.0
        /// pu
        public var voltage = 0.02
        /// Power factor of loads whose reactive power is neither measured nor in the network's data; `nil`: it is
        /// then not known.
        public var powerFactor: Double?

        public init() {}

        /// VA.
        func apparent(_ larger: Double, rating: Double) -> Double {
            max(watts, share * larger + ratingShare * rating)
        }
    }

    public let points: MeasuringPoints
    /// By point.
    public var flows: [Flow]
    public var voltages: [Voltage]
    /// By DER of the network.
    public var ders: [DER]
    /// Feeders for which everything must be known.
    public var concerned: Set<String>
    public var tolerance: Tolerance

    public init(
        points: MeasuringPoints, flows: [Flow], voltages: [Voltage], ders: [DER], concerned: Set<String>,
        tolerance: Tolerance
    ) {
        precondition(flows.count == points.all.count)
        self.points = points
        self.flows = flows
        self.voltages = voltages
        self.ders = ders
        self.concerned = concerned
        self.tolerance = tolerance
    }

    /// A doubt about these feeders stands against plans that concern one of them, and is mentioned to others.
    func severity(_ feeders: Set<String>) -> Finding.Severity {
        concerned.isDisjoint(with: feeders) ? .condition : .unknown
    }
}

/// A measurement that the load flow of now does not agree with.
public struct Contradiction: Sendable, Encodable, Equatable {
    public var device: String
    /// The line, transformer or node where it measures.
    public var element: String
    /// Feeders that cannot be assessed for it.
    public var feeders: [String]
    /// As in telemetry: `active_power_w`, `reactive_power_var`, `current_a`; `voltage_pu`.
    public var quantity: String
    public var measured, modelled, tolerance: Double
}
