internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// Tables that are read while they are sent: sessions of their own, because a slow client holds one as long as it reads.
final class TableDesk: Sendable {
    private let sessions: SessionPool
    private let most: Int
    private let taken = Guarded(0)

    init(conninfo: String, settings: Settings) {
        sessions = SessionPool(
            conninfo, settings.accountLimits, deadlineMilliseconds: Int(settings.number("http.table_s") * 1000))
        most = Int(settings.number("http.tables"))
    }

    /// - Throws: 503 while too many are being read.
    func source(
        header: [(name: String, value: String)], columns: [String], digits: TableSource.Digits = .few,
        _ read: @escaping @Sendable (inout Queries, Queries.NumberRow) throws(StoreError) -> Void
    ) throws -> TableSource {
        let most = most
        let isFree = taken.withLock { taken in
            guard taken < most else { return false }
            taken += 1
            return true
        }
        guard isFree else {
            throw APIError(503, "Service unavailable", "\(most) tables are being read: try again (http.tables)")
        }
        return TableSource(
            header: header, columns: columns, digits: digits, ended: { [taken] in taken.withLock { $0 -= 1 } }
        ) { [sessions] row in
            try sessions.use { queries throws(StoreError) in try read(&queries, row) }
        }
    }
}
