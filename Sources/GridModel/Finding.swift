/// What one check says of one step of a plan.
public struct Finding: Sendable, Codable, Hashable {
    /// From harmless to never overridable. What is not known is never a pass.
    public enum Severity: String, Sendable, Codable, CaseIterable, Comparable {
        case pass = "PASS"
        case note = "NOTE"
        case condition = "CONDITION"
        case unknown = "UNKNOWN"
        case blockSoft = "BLOCK_SOFT"
        case blockHard = "BLOCK_HARD"

        public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rank < rhs.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// Which injections a value belongs to.
    public enum LoadCase: String, Sendable, Codable, CaseIterable {
        /// As measured.
        case now = "NOW"
        /// Without what DER give: they have tripped, or wait to come back.
        case masked = "MASKED"
        /// Little load, DER at their rating.
        case export = "EXPORT"
    }

    /// Of the check catalogue: `H1`, `T7`.
    public var check: String
    /// The step after which, or at which, it holds; `nil`: of the plan as a whole.
    public var step: Int?
    public var severity: Severity
    public var elements: [String]
    public var value: Double?
    public var limit: Double?
    public var unit: String?
    /// Setting, rule or data that the limit comes from.
    public var limitSource: String?
    public var loadCase: LoadCase?
    /// One sentence that says what is wrong.
    public var message: String
    /// What would help.
    public var remedy: String?
    /// The advisory that it rests on.
    public var advisory: String?
    /// Of a condition that is due afterwards: hours from the plan's completion.
    public var dueHours: Double?

    public init(
        _ check: String, step: Int? = nil, _ severity: Severity, elements: [String] = [], value: Double? = nil,
        limit: Double? = nil, unit: String? = nil, limitSource: String? = nil, loadCase: LoadCase? = nil,
        _ message: String, remedy: String? = nil, advisory: String? = nil,
        dueHours: Double? = nil
    ) {
        self.dueHours = dueHours
        self.check = check
        self.step = step
        self.severity = severity
        self.elements = elements
        self.value = value
        self.limit = limit
        self.unit = unit
        self.limitSource = limitSource
        self.loadCase = loadCase
        self.message = message
        self.remedy = remedy
        self.advisory = advisory
    }

    enum CodingKeys: String, CodingKey {
        case check, step, severity, elements, value, limit, unit
        case limitSource
        case loadCase = "case"
        case message, remedy, advisory, dueHours
    }
}
