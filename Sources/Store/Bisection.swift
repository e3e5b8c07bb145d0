/// Finds the rows that PostgreSQL refuses for what they are (a constraint or trigger of the database's owner, say), so
/// that they do not hold up the others: COPY is all or nothing.
struct Bisection {
    /// Rows that were refused, with the server's words, and their bytes in COPY's binary format.
    private(set) var refused: [SampleBatch.Reject] = []
    /// Tries that are left: each costs a round trip, and the database's deadline is not far.
    private var budget = 2000

    /// Stores what can be stored of `rows`, within the transaction that is open.
    mutating func store(_ rows: borrowing CopyBuffer, _ statement: String, _ connection: inout PostgresConnection)
        throws(StoreError)
    {
        let offsets = rows.rowOffsets()
        // Halves still to be tried, the first on top: rows are stored in their order.
        var open = [0..<offsets.count - 1]
        while let range = open.popLast() {
            guard !range.isEmpty else { continue }
            var part = rows.copy(from: offsets[range.lowerBound], to: offsets[range.upperBound], rows: range.count)
            guard let problem = try tryStoring(&part, statement, &connection) else { continue }
            if range.count == 1 || budget <= 0 {
                for row in range {
                    refused.append(
                        .init(
                            aggregator: "?", reason: "refused_by_database", detail: problem.description,
                            bytes: Array(rows.bytes(from: offsets[row], to: offsets[row + 1]))))
                }
            } else {
                let middle = range.lowerBound + range.count / 2
                open.append(middle..<range.upperBound)
                open.append(range.lowerBound..<middle)
            }
        }
    }

    /// What the server has against the rows; `nil`: they are stored.
    private mutating func tryStoring(
        _ rows: inout CopyBuffer, _ statement: String, _ connection: inout PostgresConnection
    ) throws(StoreError) -> StoreError? {
        budget -= 1
        try connection.query("SAVEPOINT part", as: "bisect")
        do throws(StoreError) {
            try connection.copy(statement, rows.finished(), as: "COPY part of a batch")
            try connection.query("RELEASE SAVEPOINT part", as: "bisect")
            return nil
        } catch {
            guard error.isAboutContent else { throw error }
            try connection.query("ROLLBACK TO SAVEPOINT part", as: "bisect")
            try connection.query("RELEASE SAVEPOINT part", as: "bisect")
            return error
        }
    }
}
