internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// Tables that are read while they are sent: sessions of their own, because a slow client holds one as long as it reads.
final class TableDesk: Sendable {
    /// A session outside any lock belongs to whoever took it; `@unchecked` because the compiler cannot see that.
    private final class Box: @unchecked Sendable {
        var queries: Queries
        init(_ conninfo: String, seconds: Double) {
            queries = Queries(conninfo: conninfo, deadlineMilliseconds: Int(seconds * 1000))
        }
    }

    private let conninfo: String
    private let most: Int
    private let seconds: Double
    private let idle = Guarded<[Box]>([])
    private let taken = Guarded(0)

    init(conninfo: String, settings: Settings) {
        self.conninfo = conninfo
        most = Int(settings.number("http.tables"))
        seconds = settings.number("http.table_s")
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
        ) { [self] row in
            let box = idle.withLock { $0.popLast() } ?? Box(conninfo, seconds: seconds)
            defer { idle.withLock { $0.append(box) } }
            try read(&box.queries, row)
        }
    }
}
