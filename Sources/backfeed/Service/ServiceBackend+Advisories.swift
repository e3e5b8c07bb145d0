internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

extension ServiceBackend {
    func advisories(_ query: AdvisoryQuery) throws -> [String] {
        var filter = Queries.AdvisoryFilter()
        filter.activeOnly = query.state == "active"
        filter.openOnly = query.state == "open"
        filter.state = filter.activeOnly || filter.openOnly ? nil : query.state
        filter.feeder = query.feeder
        filter.kind = query.kind
        filter.since = query.since
        filter.limit = query.limit
        filter.offset = query.offset
        let wanted = filter
        return try sessions.use { queries throws(StoreError) in try queries.advisories(wanted) }
    }

    func amendments(
        feeder: String?, since: Timestamp?, until: Timestamp?, limit: Int, offset: Int
    ) throws -> [String] {
        try sessions.use { queries throws(StoreError) in
            try queries.amendments(feeder: feeder, since: since, until: until, limit: limit, offset: offset)
        }
    }

    func advisory(_ id: String) throws -> String? {
        try sessions.use { queries throws(StoreError) in try queries.advisory(id) }
    }

    func act(_ asked: AdvisoryAct, on id: String, actor: String, account: Identity?) throws -> String {
        var store = AdvisoryStore(conninfo: sessions.conninfo, limits: settings.lifecycleLimits)
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        let act = try Self.act(asked, now: now)
        if let reason = asked.reason, reason.utf8.count > 400 {
            throw APIError.badRequest("reason: at most 400 bytes")
        }
        // A supervisor answers for all of them (C.2).
        let mine = account?.role == .operator ? account?.desks ?? [] : []
        let outcome = try store.act(
            act, on: id, by: actor, role: account?.role, answersFor: { Desk.covers(mine, $0, among: desks) },
            reason: asked.reason, now: now)
        switch outcome {
        case .done:
            log.info("advisory act", ["act": act.name, "advisory": id, "actor": actor])
            announce()
            return try advisory(id) ?? "{}"
        case .unknown: throw APIError.notFound("there is no advisory \(id)")
        case .refused(let reason):
            log.info("advisory act refused", ["act": act.name, "advisory": id, "actor": actor, "reason": reason])
            throw APIError(409, "Conflict", reason)
        }
    }

    private static func act(_ asked: AdvisoryAct, now: Timestamp) throws -> AdvisoryStore.Act {
        func seconds() throws -> Double {
            guard let seconds = asked.seconds ?? asked.until.map({ $0 - now }), seconds.isFinite else {
                throw APIError.badRequest("for_s: say how long, in seconds, or until when (until)")
            }
            // How long is allowed, the lifecycle says; this is what can be a time at all.
            guard seconds > 0, seconds <= 366 * 86_400 else {
                throw APIError.badRequest("for_s: expected above 0 and at most a year, got \(seconds) s")
            }
            return seconds
        }
        switch asked.kind {
        case .acknowledge: return .acknowledge(version: asked.version)
        case .shelve: return .shelve(seconds: try seconds())
        case .outOfService: return .takeOutOfService(seconds: try seconds())
        case .unshelve: return .unshelve
        case .reset: return .reset
        case .comment: return .comment
        case .returnToService: return .returnToService
        }
    }

    func events(after sequence: Int64) throws -> [EventFrame] {
        var store = AdvisoryStore(conninfo: sessions.conninfo)
        return try store.events(after: sequence, limit: EventFrame.backlogLimit).map {
            EventFrame(event: $0.kind, sequence: $0.sequence, data: $0.json)
        }
    }

    private struct ControlRoom: Encodable {
        struct Place: Encodable {
            var name: String
            var feeders: [String]?
        }
        var timeZone: String
        var desks: [Place]
        var shelfS, shelfHighS, outOfServiceS, proposalS, reAlarmS, autoCloseS: Double
    }

    func controlRoom() -> String {
        let limits = settings.lifecycleLimits
        return JSONCoding.encode(
            ControlRoom(
                timeZone: settings.text("site.time_zone"),
                desks: desks.map { .init(name: $0.name, feeders: $0.feeders?.sorted()) }, shelfS: limits.shelf,
                shelfHighS: limits.shelfOfHigh, outOfServiceS: limits.outOfService, proposalS: limits.proposal,
                reAlarmS: limits.reAlarm, autoCloseS: limits.autoClose))
    }

    /// What each desk is asked to look at; the last day when no time is named.
    func advisoryRates(from: Timestamp?, until: Timestamp?) throws -> [String] {
        var store = AdvisoryStore(conninfo: sessions.conninfo, deadlineMilliseconds: 60_000)
        let until = until ?? Timestamp(microseconds: SystemClock.nowMicroseconds)
        return try store.deskLoads(desks, from: from ?? until - 86_400, until: until).map(JSONCoding.encode)
    }
}
