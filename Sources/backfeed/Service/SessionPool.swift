internal import ServiceKit
internal import Store

/// Database sessions for the API's workers: one is taken for a query and given back.
final class SessionPool: Sendable {
    /// A session outside any lock belongs to whoever took it; `@unchecked` because the compiler cannot see that.
    private final class Box: @unchecked Sendable {
        var queries: Queries
        var accounts: Accounts
        init(_ conninfo: String, _ limits: Accounts.Limits, _ deadline: Int) {
            queries = Queries(conninfo: conninfo, deadlineMilliseconds: deadline)
            accounts = Accounts(conninfo: conninfo, limits: limits)
        }
    }

    let conninfo: String
    private let idle = Guarded<[Box]>([])

    private let limits: Accounts.Limits
    private let deadline: Int

    /// - Parameter deadlineMilliseconds: for each use for queries; a server that stands still is cut off then.
    init(_ conninfo: String, _ limits: Accounts.Limits, deadlineMilliseconds: Int = 60_000) {
        self.conninfo = conninfo
        self.limits = limits
        deadline = deadlineMilliseconds
    }

    func use<R, Failure: Error>(_ body: (inout Queries) throws(Failure) -> R) throws(Failure) -> R {
        let box = idle.withLock { $0.popLast() } ?? Box(conninfo, limits, deadline)
        defer { idle.withLock { $0.append(box) } }
        return try body(&box.queries)
    }

    func useAccounts<R, Failure: Error>(_ body: (inout Accounts) throws(Failure) -> R) throws(Failure) -> R {
        let box = idle.withLock { $0.popLast() } ?? Box(conninfo, limits, deadline)
        defer { idle.withLock { $0.append(box) } }
        return try body(&box.accounts)
    }

    /// The bare connection, for statements that belong to a store of their own.
    func connected<R>(_ body: (inout PostgresConnection) throws(StoreError) -> R) throws(StoreError) -> R {
        try use { queries throws(StoreError) in try queries.use(body) }
    }
}
