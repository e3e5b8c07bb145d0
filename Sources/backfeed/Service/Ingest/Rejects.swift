internal import ServiceKit
internal import Store

/// What was refused and why, until a batch takes it to the table. All of it is counted; what is kept with its bytes is
/// bounded, so that a flood of wrong messages costs no more memory than right ones.
struct Rejects {
    private struct Key: Hashable {
        var aggregator, reason: String
    }

    /// Of rows, of all their bytes, and of the bytes of one.
    private let limits: (rows: Int, bytes: Int, each: Int)
    private var kept: [SampleBatch.Reject] = []
    private var keptBytes = 0
    private var counts: [Key: Int] = [:]
    private var notKept = 0

    init(rows: Int, bytes: Int, each: Int) { limits = (rows, bytes, each) }

    /// Something waits for a batch.
    var isEmpty: Bool { kept.isEmpty }

    /// Only counts: for what comes so often that keeping it would be the sender's weapon.
    mutating func count(_ aggregator: String, _ reason: String) {
        counts[Key(aggregator: aggregator, reason: reason), default: 0] += 1
    }

    mutating func add(_ aggregator: String, _ reason: String, _ detail: String, _ bytes: UnsafeRawBufferPointer?) {
        count(aggregator, reason)
        let part = bytes?.prefix(limits.each)
        // A row costs about as much as its texts, however few bytes it keeps.
        let cost = (part?.count ?? 0) + detail.utf8.count + 128
        guard kept.count < limits.rows, keptBytes + cost <= limits.bytes else {
            notKept += 1
            return
        }
        keptBytes += cost
        kept.append(
            .init(
                aggregator: aggregator, reason: reason, detail: String(detail.prefix(500)),
                bytes: part.map(Array.init) ?? []))
    }

    mutating func move(to batch: SampleBatch) {
        batch.rejects = kept
        kept.removeAll()
        keptBytes = 0
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
        counts.removeAll(keepingCapacity: true)
        notKept = 0
    }
}
