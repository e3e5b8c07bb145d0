/// What each alert of `packaging/alerts.yml` means and where to look. A test holds both lists to the same names.
enum AlertGuide {
    struct Entry {
        var name: String
        /// What somebody notices, or would without the alert.
        var means: String
        /// Where to look, in this order.
        var look: [String]
    }

    static func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }

    static let entries: [Entry] = [
        Entry(
            name: "BackfeedDown", means: "nothing is monitored, no advisory is raised, and no plan can be approved",
            look: [
                "systemctl status backfeed; journalctl -u backfeed -n 100",
                "is the port or socket of http.listen taken by something else?", "backfeed doctor",
            ]),
        Entry(
            name: "BackfeedPartHangs",
            means:
                "a thread of the service does not go round; the watchdog starts the service again within four minutes",
            look: [
                "metric backfeed_part_silence_seconds: which part",
                "the database: a lock, or a disk that stands still (pg_stat_activity)",
                "keep the log before it is rotated",
            ]),
        Entry(
            name: "BackfeedAnalyserLate",
            means: "advisories are late or missing: what the console shows as quiet may not be quiet",
            look: [
                "is telemetry coming: backfeed_messages_received_total",
                "backfeed_process_cpu_seconds_total: is a core full?",
                "samples whose clock is behind (advisories data_gap, clock_suspect)",
            ]),
        Entry(
            name: "BackfeedStoreLate", means: "nothing new is in the tables",
            look: [
                "BackfeedStoreFails first",
                "otherwise no aggregator publishes: metric backfeed_control_silence_seconds",
            ]),
        Entry(
            name: "BackfeedStoreFails",
            means: "the database takes nothing; what comes goes to the spool, and nothing is lost while it has room",
            look: [
                "backfeed doctor: what the database answers", "its disk, its log",
                "metric backfeed_spool_bytes against spool.max_bytes",
            ]),
        Entry(
            name: "BackfeedPartFails",
            means: "one part of the service cannot do its work, though the others can: /readyz names it",
            look: [
                "backfeed doctor, or /readyz: what it says", "a right that is missing, a lock, a rule of the database",
            ]),
        Entry(
            name: "BackfeedSpoolGrows", means: "more comes than the database takes",
            look: [
                "BackfeedStoreFails", "metric backfeed_store_write_seconds: a slow disk or a lock",
                "backfeed bench ingest on the same machine for what it should take",
            ]),
        Entry(
            name: "BackfeedSpoolFull",
            means:
                "nothing is read any more: aggregators keep what they publish in their journals, for as long as those last",
            look: ["bring the database back", "raise spool.max_bytes where the disk allows"]),
        Entry(
            name: "BackfeedGaps",
            means: "numbers of messages are missing, and asking for them again brought nothing for ten minutes",
            look: [
                "SELECT * FROM backfeed.data_gap ORDER BY seen_at DESC",
                "whether the aggregator's control channel answers: metric backfeed_control_silence_seconds",
                "backfeed publisher check, with its operator",
            ]),
        Entry(
            name: "BackfeedRejects", means: "samples are refused; each is kept with its reason and its bytes",
            look: [
                "backfeed doctor: how many, why, whose",
                "SELECT reason, detail, aggregator FROM backfeed_store.rejected_sample ORDER BY received_at DESC LIMIT 20",
                "docs/protocol.md: what each reason means",
            ]),
        Entry(
            name: "BackfeedHeadSilent",
            means: "reverse power of that feeder cannot be seen; there is an advisory data_gap for it",
            look: ["the meter and its gateway", "when all heads are silent: the publisher that speaks for them"]),
        Entry(
            name: "BackfeedWebhookDeadLetters", means: "somebody who is told of advisories by webhook was not told",
            look: [
                "backfeed webhook list: which, since when, what it answered",
                "backfeed webhook retry, when it works again",
            ]),
        Entry(
            name: "BackfeedBackupOld",
            means: "there is no new base backup, or WAL is not archived: a disk that fails now takes days with it",
            look: [
                "systemctl status backfeed-backup.service; backfeed doctor",
                "the disk of backup.directory, and its rights",
                "the log of PostgreSQL in the data directory: what wal-archive says",
            ]),
        Entry(
            name: "BackfeedClock", means: "ages, lateness and shelves are wrong by as much as the clocks differ",
            look: ["timedatectl, chronyc tracking on this machine", "the same on the machine of Prometheus"]),
    ]

    static func text(_ entry: Entry) -> String {
        "\(entry.name): \(entry.means)\n" + entry.look.map { "    → \($0)" }.joined(separator: "\n")
    }
}
