public import GridModel
internal import ServiceKit

/// What the routes need from the rest of the service. `backfeed` supplies it; a test supplies its own.
///
/// Called on the server's worker threads; may block. JSON texts come ready-made, because PostgreSQL or a coder with the
/// product's one style has made them.
public protocol Backend: SwitchingBackend, AccessBackend {
    /// Items of the list, one JSON object each.
    func feeders() throws -> [String]
    func feeder(_ id: String) throws -> String?
    func devices(feeder: String?, kind: String?, offset: Int, limit: Int) throws -> [String]
    func device(_ id: String) throws -> String?
    /// - Parameter asNormal: its DER are those of the normal switching state, not those that it fed.
    func profile(
        feeder: String, from: Timestamp?, until: Timestamp?, bucket: String, asNormal: Bool
    ) throws -> TableSource
    /// One JSON object; `nil`: no such feeder.
    func statistics(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String?
    /// The newest forecast, one JSON object; `nil`: no such feeder.
    func forecast(feeder: String) throws -> String?
    /// How good forecasts were, one JSON object; `nil`: no such feeder.
    func forecastSkill(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String?
    /// What has the text in its name, one JSON object each.
    func search(_ text: String, limit: Int) throws -> [String]
    func samples(device: String, from: Timestamp, until: Timestamp) throws -> TableSource
    func advisories(_ query: AdvisoryQuery) throws -> [String]
    /// What late samples changed in what had been said, the newest first. `since`, `until`: when that was recorded.
    func amendments(feeder: String?, since: Timestamp?, until: Timestamp?, limit: Int, offset: Int) throws -> [String]
    func advisory(_ id: String) throws -> String?
    /// The advisory as it is then.
    ///
    /// - Parameter account: `nil`: there are no accounts.
    func act(_ act: AdvisoryAct, on id: String, actor: String, account: Identity?) throws -> String
    /// Desks and limits of what people do, one JSON object.
    func controlRoom() -> String
    /// By desk, one JSON object each.
    func advisoryRates(from: Timestamp?, until: Timestamp?) throws -> [String]
    /// Advisory events after a number, for a client that comes back.
    func events(after sequence: Int64) throws -> [EventFrame]
    func network() throws -> String
    /// Loading, voltage and direction of every element now.
    func networkState() throws -> String
    func setSwitch(_ id: String, position: SwitchPosition, at time: Timestamp?, actor: String, reason: String) throws
        -> String
    func readiness() -> Readiness
    func metrics() -> String
}

/// Problems of the service.
public struct Readiness: Sendable, Equatable {
    /// Empty when it does what people rely on.
    public var problems: [String] = []
    /// Work that may wait for a while.
    public var warnings: [String] = []
    public init() {}
}

/// What somebody does with an advisory: the last part of the path, and the body.
public struct AdvisoryAct: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case acknowledge, shelve, unshelve, reset, comment
        case outOfService = "out_of_service"
        case returnToService = "return_to_service"
    }

    public var kind: Kind
    public var version: Int?
    public var reason: String?
    /// How long, from now.
    public var seconds: Double?
    public var until: Timestamp?
    public init(_ kind: Kind) { self.kind = kind }
}

public struct AdvisoryQuery: Sendable, Equatable {
    public var state: String?
    public var feeder: String?
    public var kind: String?
    public var since: Timestamp?
    public var offset = 0
    public var limit = 200
    public init() {}
}
