/// What an advisory is about. Raw values are the `kind` of the interface.
public enum AdvisoryKind: String, Sendable, Codable, CaseIterable {
    case reversePower = "reverse_power"
    case reversePowerBank = "reverse_power_bank"
    case reversePowerDevice = "reverse_power_device"
    case transformerExport = "transformer_export"
    case regulatorRunaway = "regulator_runaway"
    case regulatorHunting = "regulator_hunting"
    case generationLoadRatio = "generation_load_ratio"
    case voltageHigh = "voltage_high"
    case voltageLow = "voltage_low"
    case voltageRise = "voltage_rise"
    case fastRamp = "fast_ramp"
    case fleetRamp = "fleet_ramp"
    case dataGap = "data_gap"
    case signSuspect = "sign_suspect"
    case clockSuspect = "clock_suspect"
    case dataFrozen = "data_frozen"
    case dataImplausible = "data_implausible"
    case modelMismatch = "model_mismatch"
    case topologyMismatch = "topology_mismatch"
    case voltageExtreme = "voltage_extreme"
    case voltageStep = "voltage_step"
    case voltageUnbalance = "voltage_unbalance"
    case outage
    case chatter
    case reversePowerForecast = "reverse_power_forecast"
    case overloadForecast = "overload_forecast"
    case voltageForecast = "voltage_forecast"
}

/// 1 urgent (act within 5 min), 2 high (15 min), 3 medium (this shift), 4 note.
public enum Severity: Int, Sendable, Codable, Comparable, CaseIterable {
    case urgent = 1
    case high, medium, note

    /// Worse is smaller in number, hence greater here.
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue > rhs.rawValue }
    public func worsened(by steps: Int) -> Self { Self(rawValue: max(1, rawValue - steps)) ?? .urgent }
    public func milder(by steps: Int) -> Self { Self(rawValue: min(4, rawValue + steps)) ?? .note }
}

/// What the analyser knows of one advisory: everything but what people did with it.
public struct AdvisoryFacts: Sendable, Codable, Equatable {
    public struct Peak: Sendable, Codable, Equatable {
        public var value: Double
        public var unit: String
        public var at: Timestamp
        /// Larger is worse: what a later value must exceed to become the peak, after a restart too.
        public var badness: Double?
        public init(value: Double, unit: String, at: Timestamp, badness: Double? = nil) {
            self.value = value
            self.unit = unit
            self.at = at
            self.badness = badness
        }
    }

    public struct Limit: Sendable, Codable, Equatable {
        public var value: Double
        public var unit: String
        /// Which setting or standard the limit comes from.
        public var source: String
        public init(value: Double, unit: String, source: String) {
            self.value = value
            self.unit = unit
            self.source = source
        }
    }

    public struct Contributor: Sendable, Codable, Equatable {
        public var device: String
        public var kind: DeviceKind
        /// W, positive into the grid.
        public var activePowerW: Double
        /// Share of all injection on the element at that time, 0 to 1.
        public var share: Double
        public init(device: String, kind: DeviceKind, activePowerW: Double, share: Double) {
            self.device = device
            self.kind = kind
            self.activePowerW = activePowerW
            self.share = share
        }
    }

    public struct Evidence: Sendable, Codable, Equatable {
        public struct Point: Sendable, Codable, Equatable {
            public var time: Timestamp
            /// `nil` where the bin had no data.
            public var value: Double?
            public init(time: Timestamp, value: Double?) {
                self.time = time
                self.value = value
            }
        }
        /// Bins of the deciding window, at most 200.
        public var series: [Point]
        public var unit: String
        public var binS: Double
        public var goodPct: Double
        public var usablePct: Double
        public var missingPct: Double
        public var settingsHash: String
        public var topologyRevision: Int
        public var notes: [String: Double]
        public init(
            series: [Point], unit: String, binS: Double, goodPct: Double, usablePct: Double, missingPct: Double,
            settingsHash: String, topologyRevision: Int, notes: [String: Double] = [:]
        ) {
            self.series = series
            self.unit = unit
            self.binS = binS
            self.goodPct = goodPct
            self.usablePct = usablePct
            self.missingPct = missingPct
            self.settingsHash = settingsHash
            self.topologyRevision = topologyRevision
            self.notes = notes
        }
    }

    public enum Confidence: String, Sendable, Codable { case high, low }

    public var id: String
    public var kind: AdvisoryKind
    /// Detector and level of the domain rules, for example `RPF_HEAD`, `V_HIGH_B`.
    public var detector: String
    public var feeder: String
    public var element: String
    public var severity: Severity
    public var onset: Timestamp
    public var raisedAt: Timestamp
    /// When the condition itself ended (the clear-onset); `clearedAt` is when that had lasted long enough.
    public var endedAt: Timestamp?
    public var clearedAt: Timestamp?
    public var peak: Peak
    public var limit: Limit
    public var cause: String?
    public var confidence: Confidence
    public var uncertain: Bool
    public var message: String
    public var response: String
    public var contributors: [Contributor]
    public var evidence: Evidence
    public var occurrence: Int
    /// When it last started and cleared, oldest first, at most six: whether it chatters (C.3).
    public var turns: [Timestamp]?
    /// Event time up to which the analyser had seen everything when it wrote this.
    public var watermark: Timestamp

    public init(
        id: String, kind: AdvisoryKind, detector: String, feeder: String, element: String, severity: Severity,
        onset: Timestamp, raisedAt: Timestamp, clearedAt: Timestamp? = nil, peak: Peak, limit: Limit,
        cause: String? = nil, confidence: Confidence = .high, uncertain: Bool = false, message: String,
        response: String, contributors: [Contributor] = [], evidence: Evidence, occurrence: Int = 1,
        watermark: Timestamp
    ) {
        self.id = id
        self.kind = kind
        self.detector = detector
        self.feeder = feeder
        self.element = element
        self.severity = severity
        self.onset = onset
        self.raisedAt = raisedAt
        self.clearedAt = clearedAt
        self.peak = peak
        self.limit = limit
        self.cause = cause
        self.confidence = confidence
        self.uncertain = uncertain
        self.message = message
        self.response = response
        self.contributors = contributors
        self.evidence = evidence
        self.occurrence = occurrence
        self.watermark = watermark
    }
}

extension AdvisoryFacts {
    /// Like the synthesised one, but what is not known yet is `null` and not left out: readers see that it exists.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(kind, forKey: .kind)
        try container.encode(detector, forKey: .detector)
        try container.encode(feeder, forKey: .feeder)
        try container.encode(element, forKey: .element)
        try container.encode(severity, forKey: .severity)
        try container.encode(onset, forKey: .onset)
        try container.encode(raisedAt, forKey: .raisedAt)
        try container.encode(endedAt, forKey: .endedAt)
        try container.encode(clearedAt, forKey: .clearedAt)
        try container.encode(peak, forKey: .peak)
        try container.encode(limit, forKey: .limit)
        try container.encode(cause, forKey: .cause)
        try container.encode(confidence, forKey: .confidence)
        try container.encode(uncertain, forKey: .uncertain)
        try container.encode(message, forKey: .message)
        try container.encode(response, forKey: .response)
        try container.encode(contributors, forKey: .contributors)
        try container.encode(evidence, forKey: .evidence)
        try container.encode(occurrence, forKey: .occurrence)
        try container.encode(turns, forKey: .turns)
        try container.encode(watermark, forKey: .watermark)
    }
}

/// What the analyser found, in the order it found it. The lifecycle decides what that means for the advisory.
public struct AdvisoryReport: Sendable, Codable, Equatable {
    public enum Change: String, Sendable, Codable {
        case start, severity, cause, uncertain, certain, clear
        /// Its worst value has become worse: kept, and nobody is told.
        case peak
    }

    public var change: Change
    public var facts: AdvisoryFacts

    public init(change: Change, facts: AdvisoryFacts) {
        self.change = change
        self.facts = facts
    }
}
