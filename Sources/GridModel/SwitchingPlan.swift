/// A reconfiguration of the network, step by step. Names from IEC 61968-3; as JSON in `docs/switching.md`.
public struct SwitchingPlan: Sendable, Codable, Equatable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case loadTransfer = "LOAD_TRANSFER"
        case plannedOutage = "PLANNED_OUTAGE"
        case clearance = "CLEARANCE"
        case restoration = "RESTORATION"
        case emergency = "EMERGENCY"
        case normalise = "NORMALISE"
    }

    public enum Action: String, Sendable, Codable, CaseIterable {
        case close, open
        case placeTag = "place_tag"
        case removeTag = "remove_tag"
        case placeGround = "place_ground"
        case removeGround = "remove_ground"
        case issueClearance = "issue_clearance"
        case releaseClearance = "release_clearance"
        case disableReclosing = "disable_reclosing"
        case enableReclosing = "enable_reclosing"
        case control, verify, text

        public var movesSwitch: Bool { self == .open || self == .close }
    }

    public struct Policy: Sendable, Codable, Equatable {
        public var allowTransientLoop: Bool
        public var allowTransientOutage: Bool
        /// The customers who lose their supply have been told.
        public var outageNotice: Bool

        public init(
            allowTransientLoop: Bool = false, allowTransientOutage: Bool = false, outageNotice: Bool = false
        ) {
            self.allowTransientLoop = allowTransientLoop
            self.allowTransientOutage = allowTransientOutage
            self.outageNotice = outageNotice
        }
    }

    /// Only for a study: what differs from the live state.
    public struct Override: Sendable, Codable, Equatable {
        public var element: String
        public var state: SwitchPosition

        public init(element: String, state: SwitchPosition) {
            self.element = element
            self.state = state
        }
    }

    public struct Step: Sendable, Codable, Equatable {
        public var sequence: Int
        public var action: Action
        /// A switch for what is operated, tagged or reclosed; a section (line) or node for grounds and clearances.
        public var element: String
        /// `ABC` unless a pole is operated alone.
        public var phases: String
        /// Of a tag its kind (`HOLD`, `HOTLINE`), of a clearance its holder, of a control its command.
        public var value: String?
        /// Consecutive steps of one group may be done in any order; every order is then checked.
        public var freeGroup: String?

        public init(
            sequence: Int, action: Action, element: String, phases: String = "ABC", value: String? = nil,
            freeGroup: String? = nil
        ) {
            self.sequence = sequence
            self.action = action
            self.element = element
            self.phases = phases
            self.value = value
            self.freeGroup = freeGroup
        }

        public var poles: Phases { Phases(letters: phases) }
    }

    public var id: String
    public var purpose: String
    public var kind: Kind
    public var plannedStart: Timestamp?
    /// How long the final state is to stay, hours.
    public var holdHours: Double
    public var author: String
    public var policy: Policy
    public var initialSwitchStates: [Override]
    public var steps: [Step]

    public init(
        id: String, purpose: String = "", kind: Kind, plannedStart: Timestamp? = nil, holdHours: Double = 4,
        author: String = "", policy: Policy = .init(), initialSwitchStates: [Override] = [], steps: [Step]
    ) {
        self.id = id
        self.purpose = purpose
        self.kind = kind
        self.plannedStart = plannedStart
        self.holdHours = holdHours
        self.author = author
        self.policy = policy
        self.initialSwitchStates = initialSwitchStates
        self.steps = steps
    }
}
