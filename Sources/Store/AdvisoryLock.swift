/// Numbers of PostgreSQL's advisory locks, in one place: two uses of one number would wait for each other for ever.
enum AdvisoryLock: Int {
    case migrations = 7_316_000
    case partitions = 7_316_001
    case profiles = 7_316_002
    case approvals = 7_316_003
    /// Held by the one service of a database for as long as it runs.
    case service = 7_316_004
}
