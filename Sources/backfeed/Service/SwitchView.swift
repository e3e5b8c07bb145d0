internal import GridModel

/// The statements about a switch's position, for people.
struct SwitchView: Encodable {
    struct Saying: Encodable {
        var position: SwitchPosition
        var time, recordedAt: Timestamp
        /// The person who stated it; `nil`: telemetry.
        var actor: String?
    }

    var telemetry, statement: Saying?
    /// Why the position cannot be relied on; `nil`: nothing speaks against it.
    var doubt: String?

    init(_ record: SwitchRecord, _ now: Timestamp, _ age: Double) {
        telemetry = record.telemetry.map { Saying(position: $0.position, time: $0.time, recordedAt: $0.recordedAt) }
        statement = record.statement.map {
            Saying(position: $0.position, time: $0.time, recordedAt: $0.recordedAt, actor: record.statedBy)
        }
        doubt = record.doubtText(at: now, within: age)
    }
}
