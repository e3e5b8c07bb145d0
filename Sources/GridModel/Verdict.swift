/// The answer on a switching plan, with everything it rests on.
public struct Verdict: Sendable, Codable, Equatable {
    /// From good to bad; the worst finding decides.
    public enum Decision: String, Sendable, Codable, CaseIterable, Comparable {
        case approve = "APPROVE"
        case approveWithConditions = "APPROVE_WITH_CONDITIONS"
        case cannotAssess = "CANNOT_ASSESS"
        case reject = "REJECT"

        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rank < rhs.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

        /// The join of all findings: adding one never makes it better, and their order does not matter.
        public init(_ findings: some Sequence<Finding.Severity>) {
            self =
                switch findings.max() ?? .pass {
                case .pass, .note: .approve
                case .condition: .approveWithConditions
                case .unknown: .cannotAssess
                case .blockSoft, .blockHard: .reject
                }
        }
    }

    /// What the verdict rests on: when any of it changes, the verdict is worth nothing. Hashes are SHA-256.
    public struct Evidence: Sendable, Codable, Equatable {
        public var networkRevision: String
        public var switchStateHash: String
        /// Of tags, grounds, clearances, reclosing and restrictions in force.
        public var safetyHash: String
        /// That the plan concerns.
        public var feeders: [String]
        /// W at their heads.
        public var heads: [String: Double]
        public var telemetryWatermark: Timestamp?
        /// Active on those feeders, of severity 1 to 3.
        public var advisories: [String]
        /// Of the same, with their severities.
        public var advisorySetHash: String
        /// Of the other plans that reserve something there.
        public var plansHash: String
        public var limitsHash: String
        public var software: String
        /// How much had happened by then; `nil`: a study, or a verdict of before this was counted.
        public var activity: Activity?

        /// Counters that only go up: what came and went between two looks has changed them.
        public struct Activity: Sendable, Codable, Equatable {
            /// Movements of switches that the plan does not operate.
            public var moves: Int64
            /// Movements of the switches that the plan itself operates, by switch.
            public var ownMoves: [String: Int64]
            /// Changes of advisories of severity 1 to 3 that concern the plan.
            public var advisories: Int64
            /// Acts of the safety register.
            public var register: Int64

            public init(moves: Int64, ownMoves: [String: Int64], advisories: Int64, register: Int64) {
                self.moves = moves
                self.ownMoves = ownMoves
                self.advisories = advisories
                self.register = register
            }
        }

        public init(
            networkRevision: String, switchStateHash: String, safetyHash: String, feeders: [String],
            heads: [String: Double], telemetryWatermark: Timestamp?, advisories: [String], advisorySetHash: String,
            plansHash: String, limitsHash: String, software: String, activity: Activity? = nil
        ) {
            self.activity = activity
            self.networkRevision = networkRevision
            self.switchStateHash = switchStateHash
            self.safetyHash = safetyHash
            self.feeders = feeders
            self.heads = heads
            self.telemetryWatermark = telemetryWatermark
            self.advisories = advisories
            self.advisorySetHash = advisorySetHash
            self.plansHash = plansHash
            self.limitsHash = limitsHash
            self.software = software
        }
    }

    /// The network after a step (0: before the first), as measured loads and DER would have it.
    public struct StepState: Sendable, Codable, Equatable {
        public struct Head: Sendable, Codable, Equatable {
            public var activePowerW: Double
            public init(activePowerW: Double) { self.activePowerW = activePowerW }
        }

        public var sequence: Int
        public var radial: Bool
        public var loops: Int
        public var parallelSources: Int
        public var deEnergisedNodes: Int
        public var deEnergisedCustomers: Int
        /// `nil`: the load flow has no solution there, or what it needs is not known.
        public var worstLoadingPct: Double?
        public var worstLoadingElement: String?
        public var minVoltagePu: Double?
        public var minVoltageNode: String?
        public var maxVoltagePu: Double?
        public var maxVoltageNode: String?
        public var heads: [String: Head]
        /// Execution may rest here: nothing in parallel, nobody without supply who has it before and after the plan, no
        /// isolation half placed; `nil`: not said (verdicts of before this was judged).
        public var safeToStop: Bool?

        public init(sequence: Int, topology: Topology, deEnergisedCustomers: Int) {
            self.sequence = sequence
            radial = topology.isRadial
            loops = topology.loops
            parallelSources = topology.parallelSources
            deEnergisedNodes = topology.deadNodeCount
            self.deEnergisedCustomers = deEnergisedCustomers
            heads = [:]
        }
    }

    /// An improvement by a plan: something was beyond a limit before it, and no longer is, or is by less.
    ///
    /// It weighs nothing in the decision: whoever reads a REJECT must see what staying as it is means.
    public struct Heal: Sendable, Codable, Hashable {
        /// The check that judges it, as in a finding.
        public var check: String
        public var loadCase: Finding.LoadCase?
        /// Those that get better, the worst before the plan first.
        public var elements: [String]
        /// The worst of these elements, before the first step and after the last.
        public var before: Double
        public var after: Double
        public var limit: Double
        public var unit: String
        public var limitSource: String?
        /// How many of them are still beyond the limit.
        public var remaining: Int
        /// The same as a sentence.
        public var message: String

        public init(
            _ check: String, loadCase: Finding.LoadCase? = nil, elements: [String], before: Double, after: Double,
            limit: Double, unit: String, limitSource: String? = nil, remaining: Int, _ message: String
        ) {
            self.check = check
            self.loadCase = loadCase
            self.elements = elements
            self.before = before
            self.after = after
            self.limit = limit
            self.unit = unit
            self.limitSource = limitSource
            self.remaining = remaining
            self.message = message
        }

        enum CodingKeys: String, CodingKey {
            case check
            case loadCase = "case"
            case elements, before, after, limit, unit, limitSource, remaining, message
        }
    }

    /// A check that was left out, and why. Never silently.
    public struct NotRun: Sendable, Codable, Hashable {
        public var check: String
        public var reason: String
        public init(check: String, reason: String) {
            self.check = check
            self.reason = reason
        }
    }

    public var plan: String
    /// SHA-256 of the whole plan.
    public var planHash: String
    public var verdict: Decision
    public var assessedAt: Timestamp
    public var validUntil: Timestamp?
    public var evidence: Evidence
    /// Worst first, then by step.
    public var findings: [Finding]
    /// Improvements by the whole plan, by check; `nil`: not assessed (older verdicts).
    public var heals: [Heal]?
    public var notRun: [NotRun]
    public var steps: [StepState]

    public init(
        plan: String, planHash: String, assessedAt: Timestamp, validUntil: Timestamp?, evidence: Evidence,
        findings: [Finding], heals: [Heal]? = nil, notRun: [NotRun], steps: [StepState]
    ) {
        self.plan = plan
        self.planHash = planHash
        self.assessedAt = assessedAt
        self.validUntil = validUntil
        self.evidence = evidence
        verdict = Decision(findings.map(\.severity))
        self.findings = Self.sorted(findings)
        self.heals = heals
        self.notRun = notRun.sorted { ($0.check, $0.reason) < ($1.check, $1.reason) }
        self.steps = steps
    }

    /// The same verdict with other findings, and what follows from them.
    public func with(findings: [Finding]) -> Self {
        var copy = self
        copy.verdict = Decision(findings.map(\.severity))
        copy.findings = Self.sorted(findings)
        return copy
    }

    private static func sorted(_ findings: [Finding]) -> [Finding] {
        findings.sorted {
            ($1.severity, $0.step ?? 0, $0.check, $0.message) < ($0.severity, $1.step ?? 0, $1.check, $1.message)
        }
    }
}
