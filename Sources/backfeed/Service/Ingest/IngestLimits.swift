internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

extension Ingest {
    /// Settings of the ingest role, checked.
    struct Limits: Sendable {
        var bind: [String]
        var connect: [String]
        var controlBind: String
        /// `nil`: sockets without keys.
        var serverKey: CurveKeyPair?
        var maximumMessage: Int
        var hardMessage: Int
        var receiveQueue: Int
        var receiveBuffer: Int
        var controlQueue: Int
        var messagesPerSecond: Double
        var bytesPerSecond: Double
        var maximumAggregators: Int
        var batchRows: Int
        var batchBytes: Int
        var flushMilliseconds: Int
        var batches: Int
        var oldest: Timestamp
        /// Microseconds: samples older than this are refused; `nil`: old ones are taken on purpose, or kept for ever.
        var retention: Int64?
        var future: Double
        var suspectFuture: Double
        /// s of a clock's skew, and by aggregator the latency that is expected; empty: nothing is judged.
        var suspectSkew: Double
        var trustedSkew: Double
        var latencies: [String: Double]
        /// Power of heads, line and transformer meters that cannot be, in ratings of what they measure.
        var plausibleRating: Double
        var ownershipIsChecked: Bool
        var rejectRows: Int
        var rejectBytes: Int
        var partitions: PartitionLimits
        var databaseDeadline: Int
        var indexAfter: Double
        var desk: ControlDesk.Limits
        /// Empty: no spool.
        var spoolDirectory: String
        var spoolBytes: Int
        var spoolSegmentBytes: Int
        var spoolSync: SegmentLog.Sync
        var keepsMessages: Bool { !spoolDirectory.isEmpty }

        /// - Parameter dataDirectory: where spool and server key are, unless the settings name other places.
        init(_ settings: Settings, dataDirectory: String) throws {
            bind = [settings.text("telemetry.bind")]
            connect = settings.text("telemetry.connect").split(separator: ",").map(String.init)
            controlBind = settings.text("control.bind")
            serverKey = nil
            maximumMessage = settings.integer("telemetry.max_message_bytes")
            hardMessage = settings.integer("telemetry.hard_message_bytes")
            receiveQueue = settings.integer("telemetry.receive_queue")
            receiveBuffer = settings.integer("telemetry.receive_buffer_bytes")
            controlQueue = settings.integer("control.receive_queue")
            guard receiveBuffer >= 2 * hardMessage else {
                throw UsageError(
                    "telemetry.receive_buffer_bytes: expected at least twice telemetry.hard_message_bytes (\(2 * hardMessage)), got \(receiveBuffer)"
                )
            }
            messagesPerSecond = settings.number("telemetry.max_messages_per_s")
            bytesPerSecond = settings.number("telemetry.max_bytes_per_s")
            maximumAggregators = settings.integer("telemetry.max_aggregators")
            batchRows = settings.integer("ingest.batch_rows")
            batchBytes = settings.integer("ingest.batch_bytes")
            flushMilliseconds = settings.integer("ingest.flush_ms")
            batches = settings.integer("ingest.batches")
            let oldest = settings.text("ingest.oldest")
            self.oldest = Timestamp(oldest) ?? Timestamp(microseconds: 0)
            let days = settings.integer("retention.raw_days")
            retention = oldest == "retention" && days > 0 ? Int64(days) * 86_400_000_000 : nil
            future = settings.number("ingest.future_s")
            suspectFuture = settings.number("ingest.suspect_future_s")
            suspectSkew = settings.number("clock.suspect_s")
            trustedSkew = settings.number("clock.trust_s")
            latencies = SettingForms.latencies(settings.text("clock.latency_s")) ?? [:]
            // A replay's samples are as old as they are.
            if settings.text("validator.clock") == "data" { latencies = [:] }
            plausibleRating = settings.number("ingest.plausible_rating")
            ownershipIsChecked = settings.text("ingest.ownership") == "first"
            rejectRows = settings.integer("ingest.reject_rows")
            rejectBytes = settings.integer("ingest.reject_bytes")
            partitions = PartitionLimits(
                most: settings.integer("retention.max_partitions"),
                mostOfOneAggregator: settings.integer("retention.partitions_per_aggregator"), retention: days,
                dropsLooseRows: retention != nil)
            indexAfter = settings.number("ingest.index_after_s")
            databaseDeadline = settings.integer("ingest.database_deadline_ms")
            desk = ControlDesk.Limits(
                grace: settings.number("control.grace_ms") / 1000,
                firstWait: settings.number("control.first_wait_s"),
                longestWait: settings.number("control.longest_wait_s"),
                credit: UInt64(settings.integer("control.credit")),
                durableInterval: settings.number("control.durable_interval_s"),
                giveUp: settings.number("control.give_up_s"))
            let directory = settings.text("spool.directory")
            spoolDirectory = directory == "off" ? "" : directory.isEmpty ? "\(dataDirectory)/spool" : directory
            spoolBytes = settings.integer("spool.max_bytes")
            spoolSegmentBytes = settings.integer("spool.segment_bytes")
            spoolSync =
                switch settings.text("spool.fsync") {
                case "always": .always
                case "never": .never
                default: .every(milliseconds: settings.integer("spool.fsync_ms"))
                }
        }
    }
}
