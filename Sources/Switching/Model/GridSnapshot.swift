public import GridModel
internal import ServiceKit

/// Everything that a plan is judged against, of one moment. Values only: who makes it says how fresh its parts are.
public struct GridSnapshot: Sendable {
    /// What is in force beside the equipment: a fire day, lightning, a crew on a line.
    public struct Restriction: Sendable, Hashable {
        /// `nil`: in force for the whole network.
        public var feeder: String?
        public var text: String
        public init(feeder: String?, text: String) {
            self.feeder = feeder
            self.text = text
        }
    }

    public struct Tag: Sendable, Codable, Hashable {
        /// The switch that bears it.
        public var element: String
        /// `HOLD`: do not operate; `HOTLINE`: people work on live lines behind it.
        public var kind: String
        public init(element: String, kind: String) {
            self.element = element
            self.kind = kind
        }
    }

    public struct Clearance: Sendable, Codable, Hashable {
        public var element: String
        public var holder: String
        public init(element: String, holder: String) {
            self.element = element
            self.holder = holder
        }
    }

    /// An advisory whose condition holds now, or has left something to be looked at; shelved or not.
    public struct ActiveAdvisory: Sendable, Equatable {
        public var id: String
        public var kind: AdvisoryKind
        public var severity: Severity
        public var feeder: String
        public var element: String
        /// False: taken out of service, so nothing is known of its condition.
        public var isEvaluated: Bool

        public init(
            id: String, kind: AdvisoryKind, severity: Severity, feeder: String, element: String,
            isEvaluated: Bool = true
        ) {
            self.isEvaluated = isEvaluated
            self.id = id
            self.kind = kind
            self.severity = severity
            self.feeder = feeder
            self.element = element
        }
    }

    /// Another plan that is approved or being executed: what it touches is reserved.
    public struct OpenPlan: Sendable, Equatable {
        public var id: String
        /// As people say it: "approved", "being executed".
        public var state: String
        public var elements: Set<String>
        public var feeders: Set<String>
        public var from, until: Timestamp
        /// It lasts until it is done, whatever its hours say.
        public var isOpenEnded: Bool

        public init(
            id: String, state: String, elements: Set<String>, feeders: Set<String>, from: Timestamp, until: Timestamp,
            isOpenEnded: Bool
        ) {
            self.id = id
            self.state = state
            self.elements = elements
            self.feeders = feeders
            self.from = from
            self.until = until
            self.isOpenEnded = isOpenEnded
        }
    }

    /// Counters of what has happened on the live network so far.
    public struct Activity: Sendable, Equatable {
        /// By switch.
        public var moves: [String: Int64]
        /// By feeder or bank: changes of advisories of severity 1 to 3.
        public var advisories: [String: Int64]
        /// Acts of the safety register.
        public var register: Int64

        public init(moves: [String: Int64], advisories: [String: Int64], register: Int64) {
            self.moves = moves
            self.advisories = advisories
            self.register = register
        }
    }

    /// Loads and DER of a later moment, as ``loadWatts`` and ``derWatts`` are of this one.
    public struct Outlook: Sendable {
        public var time: Timestamp
        /// By node, W and var, net consumption.
        public var watts, vars: [Double]
        public init(time: Timestamp, watts: [Double], vars: [Double]) {
            self.time = time
            self.watts = watts
            self.vars = vars
        }
    }

    public var time: Timestamp
    public var networkRevision: String
    /// By switch; `.unknown` and `.intermediate` are just that.
    public var positions: [SwitchPosition]
    /// By switch id, why its position cannot be relied on, in a sentence.
    public var positionDoubts: [String: String] = [:]
    public var taps: [Int?]
    /// False: ``taps`` are where an automatic control starts from, and it has its way before the plan.
    public var hasMeasuredTaps = false
    /// By node, W and var that loads take.
    public var loadWatts, loadVars: [Double]
    /// By node, W: loads as they may be at most, when some of what DER give is not measured and hides load; `nil`: as
    /// ``loadWatts``. MASKED takes these.
    public var largestLoadWatts: [Double]?
    /// By DER, W that it gives, and by node the var that DER give.
    public var derWatts, derVars: [Double]
    /// Share of the present load that is left when it is lowest (5th percentile); `nil` not known.
    public var lightLoadShare: Double?
    /// False only when it is dark for as long as the final state stays: photovoltaics then give nothing in EXPORT.
    public var hasDaylight = true
    /// By node without supply, since when; nothing: not known.
    public var deadSince: [Int: Timestamp] = [:]
    public var tags: Set<Tag> = []
    /// Nodes and lines.
    public var grounds: Set<String> = []
    public var clearances: Set<Clearance> = []
    public var reclosingDisabled: Set<String> = []
    public var restrictions: Set<Restriction> = []
    public var watermark: Timestamp?
    /// `nil`: a study.
    public var activity: Activity?
    public var advisories: [ActiveAdvisory] = []
    public var openPlans: [OpenPlan] = []
    /// By feeder that the plan concerns, W at its head: what an approval rests on.
    public var headWatts: [String: Double] = [:]
    /// What whoever made this found wrong with its parts: too old, missing, contradicting each other.
    public var doubts: [Finding] = []
    /// The measurements that loads and DER were estimated from; `nil`: a study, whose loads are given.
    public var measured: LiveMeasurements?
    /// Doubts about the estimate. Before a verdict the estimate is made again with losses, and the doubts with it.
    public var modelDoubts: [Finding] = []
    /// What loads and DER are expected to do while the final state stays, by quarter hour; empty: nothing is known.
    public var outlook: [Outlook] = []
    /// Inputs that whoever made this does not have, and a check needs.
    public struct Lack: Sendable, Hashable {
        public var check: String
        /// A sentence without its full stop.
        public var text: String
        public var elements: [String]
        /// Nobody has it, so that the check is not run; otherwise some have it and these have not.
        public var isOfAll: Bool

        public init(check: String, text: String, elements: [String], isOfAll: Bool) {
            self.check = check
            self.text = text
            self.elements = elements
            self.isOfAll = isOfAll
        }
    }

    public var lacks: [Lack] = []
    /// Checks that this snapshot cannot feed, with what is missing: listed, and not judged.
    public var notRun: [Verdict.NotRun] = []

    public init(
        time: Timestamp, networkRevision: String, positions: [SwitchPosition], taps: [Int?], loadWatts: [Double],
        loadVars: [Double], derWatts: [Double], derVars: [Double]
    ) {
        self.time = time
        self.networkRevision = networkRevision
        self.positions = positions
        self.taps = taps
        self.loadWatts = loadWatts
        self.loadVars = loadVars
        self.derWatts = derWatts
        self.derVars = derVars
    }

    /// What is measured of the feeders concerned is missing or too old.
    public var lacksValues: Bool { allDoubts.contains { $0.check == "X2" && $0.severity == .unknown } }

    public var allDoubts: [Finding] { doubts + modelDoubts }

    public mutating func take(_ loads: LoadEstimate.Loads) {
        loadWatts = loads.loadWatts
        loadVars = loads.loadVars
        largestLoadWatts = loads.largestWatts
        derWatts = loads.derWatts
        derVars = loads.derVars
        modelDoubts = loads.doubts
    }

    /// Of all positions in order.
    public var switchStateHash: String { Digest.sha256(positions.map(\.name)) }

    /// Of everything in force that people's safety rests on.
    public var safetyHash: String {
        Digest.sha256(
            tags.map { "tag \($0.element) \($0.kind)" }.sorted() + grounds.sorted().map { "ground \($0)" }
                + clearances.map { "clearance \($0.element) \($0.holder)" }.sorted()
                + reclosingDisabled.sorted().map { "reclosing \($0)" }
                + restrictions.map { "restriction \($0.feeder ?? "") \($0.text)" }.sorted())
    }
}
