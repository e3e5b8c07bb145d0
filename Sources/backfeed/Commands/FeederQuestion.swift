internal import GridModel
internal import ServiceKit
internal import Store

/// What every command about one feeder's past or future begins with.
enum FeederQuestion {
    /// - Parameter answer: gets the network and a way to ask about the feeder, which is there.
    static func ask(
        _ feeder: String, _ invocation: Invocation, _ answer: (StoredNetwork, inout Queries) throws -> ExitCode
    ) throws -> ExitCode {
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard let stored = try NetworkStore.load(database.conninfo),
            stored.network.feeders.contains(where: { $0.id == feeder })
        else {
            complain("there is no feeder \(feeder)")
            return .negative
        }
        var queries = Queries(conninfo: database.conninfo)
        return try answer(stored, &queries)
    }

    static func range(_ invocation: Invocation) throws -> (from: Timestamp?, until: Timestamp?) {
        let (from, until) = (try invocation.time("from"), try invocation.time("until"))
        if let from, let until, from >= until { throw UsageError("--from must be before --until") }
        return (from, until)
    }
}
