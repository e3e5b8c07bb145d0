internal import ServiceKit

/// What came of the messages of one aggregator since it was last told to the metrics.
struct SourceCounts {
    var messages = 0
    var samples = 0
    var duplicates = 0
    var missing = 0
    var filled = 0

    /// Name of the metric, its help, and where it is counted: the one list of them.
    private static let metrics: [(name: String, help: String, count: any KeyPath<Self, Int> & Sendable)] = [
        ("backfeed_messages_received_total", "Messages received, refused ones included", \.messages),
        ("backfeed_samples_accepted_total", "Samples accepted", \.samples),
        ("backfeed_messages_duplicate_total", "Messages that had come before", \.duplicates),
        ("backfeed_sequence_gap_messages_total", "Messages found missing when a later one came", \.missing),
        ("backfeed_messages_filled_total", "Missing messages that came after all", \.filled),
    ]

    func report(_ aggregator: String, to metrics: Metrics) {
        for metric in Self.metrics where self[keyPath: metric.count] > 0 {
            metrics.add(
                metric.name, Double(self[keyPath: metric.count]), ["aggregator": aggregator], help: metric.help)
        }
    }
}

/// What was refused, by aggregator and reason.
struct RejectCounts {
    private struct Key: Hashable {
        var aggregator, reason: String
    }

    private var counts: [Key: Int] = [:]
    var notKept = 0

    mutating func add(_ aggregator: String, _ reason: String) {
        counts[Key(aggregator: aggregator, reason: reason), default: 0] += 1
    }

    mutating func report(to metrics: Metrics) {
        for (key, count) in counts {
            metrics.add(
                "backfeed_rejects_total", Double(count), ["aggregator": key.aggregator, "reason": key.reason],
                help: "Messages and samples refused, by reason")
        }
        if notKept > 0 {
            metrics.add("backfeed_rejects_not_kept_total", Double(notKept), help: "Rejects counted but not stored")
        }
        self = Self()
    }
}
