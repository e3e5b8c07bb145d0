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
