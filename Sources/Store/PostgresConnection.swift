internal import CLibPQ
internal import Glibc
internal import ServiceKit

/// One `PGconn *`. Used by one thread at a time; every call blocks, so never on Swift's cooperative pool.
public struct PostgresConnection: ~Copyable {
    private let handle: OpaquePointer
    /// Names of the statements that the server has prepared for this connection, by their text.
    private var prepared: [String: String] = [:]

    public init(_ conninfo: String) throws(StoreError) {
        // Ours first: what the connection string says wins. A server that has vanished is noticed, and of several hosts
        // the one that takes writes is chosen.
        let settings = [
            ("connect_timeout", "3"), ("tcp_user_timeout", "5000"), ("keepalives_idle", "5"),
            ("keepalives_interval", "2"), ("keepalives_count", "3"), ("target_session_attrs", "read-write"),
            ("dbname", conninfo),
        ]
        var keywords: [UnsafePointer<CChar>?] = settings.map { UnsafePointer(strdup($0.0)) } + [nil]
        var values: [UnsafePointer<CChar>?] = settings.map { UnsafePointer(strdup($0.1)) } + [nil]
        defer {
            for pointer in keywords + values { free(UnsafeMutableRawPointer(mutating: pointer)) }
        }
        guard let handle = PQconnectdbParams(&keywords, &values, 1) else {
            throw StoreError(.connectionFailed, "connect", message: "out of memory")
        }
        guard PQstatus(handle) == CONNECTION_OK else {
            let message = String(cString: PQerrorMessage(handle))
            PQfinish(handle)
            throw StoreError(.connectionFailed, "connect", message: Self.harmless(message, conninfo))
        }
        // Notices (IF NOT EXISTS …) would go to standard error past our log.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        self.handle = handle
    }

    /// An error without the password: libpq quotes what it cannot parse, and what it takes for a host.
    private static func harmless(_ message: String, _ conninfo: String) -> String {
        let secrets = Masking.secrets(in: conninfo)
        if secrets.contains(where: { $0.contains { "@/?#:".contains($0) } }), conninfo.contains("://") {
            return
                "no connection; the password holds one that a URI must have as %40 (@), %2F (/), %3F (?), %23 (#) or %3A (:)"
        }
        return Masking.hide(message.replacing("\n", with: " "), secrets)
    }

    deinit { PQfinish(handle) }

    /// The connection's socket, for the ``Watchdog``.
    var descriptor: CInt { PQsocket(handle) }

    public var isUsable: Bool { PQstatus(handle) == CONNECTION_OK && PQpipelineStatus(handle) == PQ_PIPELINE_OFF }

    /// Rows as text; `nil` is NULL.
    public typealias Row = [String?]

    /// A statement with text parameters `$1`, `$2`, ….
    struct Statement {
        var sql: String
        var parameters: [String?] = []
        var operation: String
    }

    /// Runs statements that are sent together: one way to the server and back for all of them, and each is parsed once
    /// for the connection. After one that fails none is run, and its error is thrown.
    ///
    /// - Returns: the rows of each.
    @discardableResult
    mutating func query(_ statements: [Statement]) throws(StoreError) -> [[Row]] {
        guard let first = statements.first else { return [] }
        // Left in the middle, the connection is not usable any more.
        let broken = { (handle: OpaquePointer) in
            StoreError(.connectionFailed, first.operation, message: String(cString: PQerrorMessage(handle)))
        }
        guard PQenterPipelineMode(handle) == 1 else { throw broken(handle) }
        // What the server answers, in this order: to preparing a statement, and to running one.
        var expected: [(place: Int, newName: String?)] = []
        for (place, statement) in statements.enumerated() {
            var name = prepared[statement.sql]
            if name == nil {
                let made = "backfeed_\(prepared.count)_\(place)"
                guard PQsendPrepare(handle, made, statement.sql, 0, nil) == 1 else { throw broken(handle) }
                expected.append((place, made))
                name = made
            }
            let isSent = Self.withPointers(statement.parameters) { pointers in
                PQsendQueryPrepared(handle, name, Int32(statement.parameters.count), pointers, nil, nil, 0) == 1
            }
            guard isSent else { throw broken(handle) }
            expected.append((place, nil))
        }
        guard PQpipelineSync(handle) == 1 else { throw broken(handle) }
        var answers: [[Row]] = []
        var problem: StoreError?
        for (place, newName) in expected {
            while let result = PQgetResult(handle) {
                defer { PQclear(result) }
                let status = PQresultStatus(result)
                if status != PGRES_TUPLES_OK, status != PGRES_COMMAND_OK {
                    problem = problem ?? failure(result, .statementFailed, statements[place].operation)
                } else if let newName {
                    prepared[statements[place].sql] = newName
                } else {
                    answers.append(Self.rows(of: result))
                }
            }
        }
        // The end of them all.
        PQclear(PQgetResult(handle))
        guard PQexitPipelineMode(handle) == 1 else { throw problem ?? broken(handle) }
        // An answer that did not come is no success: the last may be to a commit.
        guard problem == nil, answers.count == statements.count else { throw problem ?? broken(handle) }
        return answers
    }

    /// Parameters as libpq takes them, for as long as `body` runs.
    private static func withPointers<R>(
        _ parameters: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> R
    ) -> R {
        let pointers = parameters.map { text in text.flatMap { UnsafePointer(strdup($0)) } }
        defer { for pointer in pointers { free(UnsafeMutableRawPointer(mutating: pointer)) } }
        return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }

    private static func rows(of result: OpaquePointer?) -> [Row] {
        let (rows, columns) = (PQntuples(result), PQnfields(result))
        return (0..<rows).map { row in
            (0..<columns).map { column in
                PQgetisnull(result, row, column) != 0 ? nil : String(cString: PQgetvalue(result, row, column))
            }
        }
    }

    /// Runs one statement with text parameters `$1`, `$2`, ….
    @discardableResult
    public mutating func query(_ sql: String, _ parameters: [String?] = [], as operation: String) throws(StoreError)
        -> [Row]
    {
        let result: OpaquePointer?
        if parameters.isEmpty {
            result = PQexec(handle, sql)
        } else {
            result = Self.withPointers(parameters) { pointers in
                PQexecParams(handle, sql, Int32(parameters.count), nil, pointers, nil, nil, 0)
            }
        }
        defer { PQclear(result) }
        let status = PQresultStatus(result)
        guard status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK else {
            throw failure(result, .statementFailed, operation)
        }
        return Self.rows(of: result)
    }

    /// Calls `body` with each row as it arrives: a million rows in the memory of one.
    public mutating func stream(
        _ sql: String, _ parameters: [String?], as operation: String, _ body: (Row) -> Bool
    ) throws(StoreError) {
        let isSent = Self.withPointers(parameters) { pointers in
            PQsendQueryParams(handle, sql, Int32(parameters.count), nil, pointers, nil, nil, 0) == 1
        }
        guard isSent else { throw failure(nil, .statementFailed, operation) }
        PQsetSingleRowMode(handle)
        var problem: StoreError?
        var goesOn = true
        while let result = PQgetResult(handle) {
            let status = PQresultStatus(result)
            if status == PGRES_SINGLE_TUPLE, goesOn {
                let row: Row = (0..<PQnfields(result)).map { column in
                    PQgetisnull(result, 0, column) != 0 ? nil : String(cString: PQgetvalue(result, 0, column))
                }
                goesOn = body(row)
                if !goesOn { cancel() }
            } else if status != PGRES_TUPLES_OK, status != PGRES_SINGLE_TUPLE, goesOn {
                problem = problem ?? failure(result, .statementFailed, operation)
            }
            PQclear(result)
        }
        if let problem { throw problem }
    }

    private func cancel() {
        guard let cancel = PQgetCancel(handle) else { return }
        var text = [CChar](repeating: 0, count: 256)
        PQcancel(cancel, &text, 256)
        PQfreeCancel(cancel)
    }

    /// Runs `body` in a transaction; rolls back when it throws.
    public mutating func transaction<R>(_ operation: String, _ body: (inout Self) throws(StoreError) -> R)
        throws(StoreError) -> R
    {
        try query("BEGIN", as: operation)
        return try orRollBack(operation) { connection throws(StoreError) in
            let value = try body(&connection)
            try connection.query("COMMIT", as: operation)
            return value
        }
    }

    private mutating func orRollBack<R>(_ operation: String, _ body: (inout Self) throws(StoreError) -> R)
        throws(StoreError) -> R
    {
        do throws(StoreError) {
            return try body(&self)
        } catch {
            // The first error is the one to report; a rollback fails only when the connection is gone.
            _ = try? query("ROLLBACK", as: operation)
            throw error
        }
    }

    /// Runs `body` in a transaction, whose beginning is sent together with the statements of `opening`, and whose end with
    /// those that `body` returns; rolls back when anything of it fails.
    ///
    /// - Parameter body: gets the rows of each statement of `opening`.
    mutating func transaction(
        _ operation: String, opening: [Statement],
        _ body: (inout Self, [[Row]]) throws(StoreError) -> [Statement]
    ) throws(StoreError) {
        try orRollBack(operation) { connection throws(StoreError) in
            let begun = try connection.query([Statement(sql: "BEGIN", operation: operation)] + opening)
            let closing = try body(&connection, Array(begun.dropFirst()))
            try connection.query(closing + [Statement(sql: "COMMIT", operation: operation)])
        }
    }

    /// Calls `body` with each row that a statement gives, in COPY's binary format: quicker than text where there are many.
    ///
    /// - Parameter body: gets the fields of a row behind their count; false ends it.
    public mutating func copyOut(
        _ select: String, as operation: String, _ body: (UnsafeRawBufferPointer) -> Bool
    ) throws(StoreError) {
        let begun = PQexec(handle, "COPY (\(select)) TO STDOUT (FORMAT binary)")
        let status = PQresultStatus(begun)
        guard status == PGRES_COPY_OUT else {
            defer { PQclear(begun) }
            throw failure(begun, .statementFailed, operation)
        }
        PQclear(begun)
        var goesOn = true
        var isFirst = true
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = Int(PQgetCopyData(handle, &buffer, 0))
            guard count >= 0, let buffer else { break }
            defer { PQfreemem(buffer) }
            guard goesOn else { continue }
            // Before the first row stand signature, flags and extension: 19 bytes. The trailer is a count of -1.
            let bytes = UnsafeRawBufferPointer(start: buffer, count: count)
            let row = UnsafeRawBufferPointer(rebasing: bytes[(isFirst ? 19 : 0)...])
            isFirst = false
            guard row.count > 2, row.loadUnaligned(as: Int16.self) != -1 else { continue }
            goesOn = body(UnsafeRawBufferPointer(rebasing: row[2...]))
            if !goesOn { cancel() }
        }
        var problem: StoreError?
        while let result = PQgetResult(handle) {
            if PQresultStatus(result) == PGRES_FATAL_ERROR, goesOn {
                problem = problem ?? failure(result, .statementFailed, operation)
            }
            PQclear(result)
        }
        if let problem { throw problem }
        if PQstatus(handle) != CONNECTION_OK { throw failure(nil, .connectionFailed, operation) }
    }

    /// Sends bytes that are in COPY's binary format, header and trailer included.
    public mutating func copy(_ sql: String, _ bytes: UnsafeRawBufferPointer, as operation: String) throws(StoreError) {
        try copy(sql, [bytes], as: operation)
    }

    /// Sends bytes that are one after the other in COPY's binary format, header and trailer included.
    mutating func copy(_ sql: String, _ parts: [UnsafeRawBufferPointer], as operation: String) throws(StoreError) {
        let begun = PQexec(handle, sql)
        let status = PQresultStatus(begun)
        guard status == PGRES_COPY_IN else {
            defer { PQclear(begun) }
            throw failure(begun, .copyFailed, operation)
        }
        PQclear(begun)
        for bytes in parts {
            var offset = 0
            while offset < bytes.count {
                // In pieces: libpq copies each into its own buffer, which must not grow to the size of the batch.
                let count = min(65_536, bytes.count - offset)
                let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
                guard PQputCopyData(handle, piece.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(count)) == 1
                else {
                    throw failure(nil, .copyFailed, operation)
                }
                offset += count
            }
        }
        guard PQputCopyEnd(handle, nil) == 1 else { throw failure(nil, .copyFailed, operation) }
        var problem: StoreError?
        while let result = PQgetResult(handle) {
            if PQresultStatus(result) != PGRES_COMMAND_OK {
                problem = problem ?? failure(result, .copyFailed, operation)
            }
            PQclear(result)
        }
        if let problem { throw problem }
    }

    private func failure(_ result: OpaquePointer?, _ code: StoreError.Code, _ operation: String) -> StoreError {
        let isLost = PQstatus(handle) != CONNECTION_OK
        // PG_DIAG_SQLSTATE is the character 'C', a macro that Swift does not see.
        let state = PQresultErrorField(result, 67).map { String(cString: $0) }
        let own = result.map { String(cString: PQresultErrorMessage($0)) } ?? ""
        let message = own.isEmpty ? String(cString: PQerrorMessage(handle)) : own
        return StoreError(isLost ? .connectionFailed : code, operation, sqlState: state, message: message)
    }
}

/// A connection that is opened when first needed and again after it was lost. One owner, one thread at a time.
public struct DatabaseSession: ~Copyable {
    public let conninfo: String
    private var connection: PostgresConnection?
    private let deadline, lockTimeout: Int?

    /// - Parameters:
    ///   - deadlineMilliseconds: for each ``use(_:)``; a server that stands still is cut off then. `nil`: none.
    ///   - lockMilliseconds: to wait for a lock; `nil`: two thirds of the deadline.
    public init(_ conninfo: String, deadlineMilliseconds: Int? = nil, lockMilliseconds: Int? = nil) {
        self.conninfo = conninfo
        deadline = deadlineMilliseconds
        lockTimeout = lockMilliseconds ?? deadlineMilliseconds.map { max(1, $0 * 2 / 3) }
    }

    public mutating func use<R>(_ body: (inout PostgresConnection) throws(StoreError) -> R) throws(StoreError) -> R {
        if connection == nil || connection?.isUsable == false {
            var opened = try PostgresConnection(conninfo)
            if let lockTimeout {
                // A lock that a frozen backend holds must not make us look frozen too.
                try opened.query("SET lock_timeout = \(lockTimeout)", as: "prepare session")
            }
            connection = consume opened
        }
        guard var taken = connection.take() else { preconditionFailure("just opened") }
        let guarding = deadline.map { Watchdog.shared.guardDescriptor(taken.descriptor, milliseconds: $0) }
        do throws(StoreError) {
            let value = try body(&taken)
            if let guarding { Watchdog.shared.release(guarding) }
            connection = consume taken
            return value
        } catch {
            if let guarding { Watchdog.shared.release(guarding) }
            connection = taken.isUsable ? consume taken : nil
            throw error
        }
    }
}
