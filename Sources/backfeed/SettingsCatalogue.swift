internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

/// Every setting of the product: name, default, unit, source. `backfeed settings` prints it; docs/configuration.md is
/// that output.
enum SettingsCatalogue {
    private static let judgement = "engineering judgement"

    static let all = service + switching

    private static let service: [SettingDefinition] = [
        .init(
            "database.url", .text, default: "", source: "-",
            "libpq connection string or URI of your own PostgreSQL; empty: a private cluster below the data directory"),
        .init(
            "backup.directory", .text, default: "", source: "-",
            "where base backups and WAL of the private cluster go, on another disk; empty: nowhere (docs/installation.md)"
        ),
        .init(
            "backup.keep_days", .number(1...36_500), default: "14", unit: "d", source: judgement,
            "base backups older than this, and WAL that only they need, are removed; the newest stays"),
        .init(
            "backup.max_age_h", .number(1...8760), default: "50", unit: "h", source: "one a day, and one that failed",
            "without a newer base backup for so long something is wrong"),
        .init(
            "telemetry.bind", .text, default: "tcp://127.0.0.1:5560", source: "interface",
            "SUB endpoint that aggregators connect to; loopback only unless telemetry.security is curve"),
        .init(
            "telemetry.connect", .text, default: "", source: "interface",
            "endpoints of aggregators that bind, separated by commas"),
        .init(
            "telemetry.max_message_bytes", .number(1024...268_435_456), default: "3145728", unit: "B",
            source: "10,000 samples of JSON with every field take 2.6 MB; decoding takes 14 times as much memory",
            "larger messages are refused and counted"),
        .init(
            "telemetry.hard_message_bytes", .number(1024...2_147_483_647), default: "4194304", unit: "B",
            source: "a third more than the largest message that is taken",
            "larger messages end their connection before they are read into memory"),
        .init(
            "telemetry.receive_queue", .number(1...1_000_000), default: "1000", unit: "messages",
            source: "libzmq's own; a short one stops and starts the connection all the time",
            "messages of an aggregator that libzmq holds until the inlet takes them, within a millisecond"),
        .init(
            "telemetry.receive_buffer_bytes", .number(2_097_152...1e11), default: "16777216", unit: "B",
            source: "memory; a second of 80,000 samples/s in JSON",
            "messages that wait for the receiving thread, less, down to a quarter, what libzmq's full queue takes of messages of their size; when it is full reading stops, and when what libzmq then holds exceeds three times as much, it is dropped and asked for again"
        ),
        .init(
            "telemetry.security", .choice(["plain", "curve"]), default: "plain",
            source: "interface: without keys only loopback",
            "curve: only publishers with a key (backfeed access add-publisher) are let in; plain: anybody on this machine"
        ),
        .init(
            "telemetry.server_key_file", .text, default: "", source: "-",
            "file with the service's CURVE secret key; empty: curve-server.key in the data directory, made when missing"
        ),
        .init(
            "telemetry.max_messages_per_s", .number(0...1e9), default: "20000", unit: "messages/s", source: judgement,
            "of each aggregator, with bursts of twice as many; more are refused as rate_limited and asked for again; 0: any"
        ),
        .init(
            "telemetry.max_bytes_per_s", .number(0...1e12), default: "50000000", unit: "B/s", source: judgement,
            "the same for payload bytes"),
        .init(
            "telemetry.max_aggregators", .number(1...100_000), default: "1000", source: judgement,
            "different names that may publish; more are refused"),
        .init(
            "control.bind", .text, default: "tcp://127.0.0.1:5561", source: "interface",
            "ROUTER endpoint of the control channel; loopback only unless telemetry.security is curve"),
        .init(
            "control.receive_queue", .number(1...1_000_000), default: "8", unit: "messages",
            source: "memory: libzmq counts messages, not their bytes",
            "messages of an aggregator that libzmq holds on the control channel; more wait at the aggregator"),
        .init(
            "control.grace_ms", .number(0...60_000), default: "500", unit: "ms", source: judgement,
            "after a hello that names messages which have not come, until they count as missing"),
        .init(
            "control.credit", .number(1...100_000), default: "512", unit: "messages", source: "interface",
            "messages asked for at a time"),
        .init(
            "control.first_wait_s", .number(0.1...3600), default: "1", unit: "s", source: judgement,
            "until a request that brought nothing is repeated; doubled each time"),
        .init(
            "control.longest_wait_s", .number(0.1...86_400), default: "60", unit: "s", source: judgement,
            "longest wait between two requests"),
        .init(
            "control.durable_interval_s", .number(0.01...60), default: "1", unit: "s", source: "interface",
            "between two durable messages to one aggregator"),
        .init(
            "control.give_up_s", .number(0...31_536_000), default: "86400", unit: "s", source: judgement,
            "after which a gap that nobody fills is declared lost; 0: never"),
        .init(
            "advisories.bind", .text, default: "tcp://127.0.0.1:5562", source: "interface",
            "PUB endpoint for advisories"),
        .init(
            "advisories.desks", .text, default: "", source: "-",
            "who looks at which feeders, as \"north: F01 F02; south: F03\"; what no desk names counts at each; empty: one desk, all"
        ),
        .init(
            "advisories.shelf_h", .number(0.1...24), default: "8", unit: "h", source: "domain rules C.2.16",
            "longest shelf of an advisory of severity 3 or 4; severity 1 cannot be shelved"),
        .init(
            "advisories.shelf_high_h", .number(0.1...8), default: "1", unit: "h", source: "domain rules C.2.16",
            "longest shelf of severity 2, by a supervisor"),
        .init(
            "advisories.out_of_service_days", .number(0.1...366), default: "30", unit: "d",
            source: "domain rules C.2.21", "longest time out of service"),
        .init(
            "advisories.proposal_h", .number(0.1...168), default: "8", unit: "h", source: "one shift",
            "a proposal to take an advisory out of service waits so long for somebody to agree"),
        .init(
            "advisories.re_alarm_min", .number(1...1440), default: "60", unit: "min", source: "domain rules C.2.8",
            "severity 1 or 2, acknowledged and unresolved: annunciated again after this"),
        .init(
            "advisories.auto_close_h", .number(0.1...168), default: "8", unit: "h", source: "domain rules C.2.11",
            "severity 3 or 4, over and not acknowledged: closed after this"),
        .init(
            "advisories.flood_begins", .number(1...1000), default: "10", unit: "1", source: "domain rules C.4",
            "a desk with more new advisories in 10 minutes is in a flood"),
        .init(
            "advisories.flood_ends", .number(1...1000), default: "5", unit: "1", source: "domain rules C.4",
            "with fewer the flood is over; not above advisories.flood_begins"),
        .init(
            "webhooks.timeout_s", .number(1...300), default: "10", unit: "s", source: judgement,
            "a webhook must answer within this time"),
        .init(
            "webhooks.give_up_after_s", .number(1...2_592_000), default: "86400", unit: "s", source: judgement,
            "an event that a webhook has not taken for so long becomes a dead letter, and the next has its turn"),
        .init(
            "validator.bind", .text, default: "tcp://127.0.0.1:5563", source: "interface",
            "ROUTER endpoint of the validator, loopback only; empty: not served"),
        .init(
            "http.listen", .text, default: "127.0.0.1:8080", source: "interface",
            "address and port of API and console, port 0: any free one; or unix:/PATH of a socket for a proxy; beyond loopback only with http.tls_certificate"
        ),
        .init(
            "http.tls_certificate", .text, default: "", source: "RFC 8446",
            "file with the certificate (chain) in PEM: the service speaks TLS 1.2 and 1.3 itself; read at the start"),
        .init(
            "http.tls_key", .text, default: "", source: "RFC 8446", "file with its key in PEM, without a password"),
        .init(
            "http.hosts", .text, default: "127.0.0.1,localhost,[::1]", source: "DNS rebinding",
            "host names that requests may name, separated by commas"),
        .init(
            "http.proxies", .text, default: "", source: "who comes directly may claim any address",
            "IPv4 addresses of proxies whose X-Real-IP and X-Forwarded-Proto are believed, separated by commas; with a Unix socket the proxy's always are"
        ),
        .init(
            "http.request_timeout_s", .number(1...600), default: "10", unit: "s",
            source: "measured: slow heads otherwise hold connections for ever",
            "time a whole request may take to arrive"),
        .init(
            "http.max_body_bytes", .number(1024...67_108_864), default: "1048576", unit: "B", source: judgement,
            "largest request body"),
        .init(
            "http.tables", .number(1...48), default: "16", source: "a session of the database each, of 60",
            "profiles and samples that are read at one time; more are answered with 503"),
        .init(
            "http.table_s", .number(1...86_400), default: "3600", unit: "s", source: judgement,
            "a client may take to read one of them"),
        .init(
            "access.session_s", .number(60...604_800), default: "43200", unit: "s", source: "one shift",
            "a console session ends after this, however much it is used"),
        .init(
            "access.idle_s", .number(60...604_800), default: "1800", unit: "s", source: judgement,
            "and after so long without a request or a stream of events"),
        .init(
            "access.failures_per_account", .number(1...1000), default: "5", source: "domain rules G.4",
            "wrong passwords for an account from one address, within access.failure_window_s, until it must wait"),
        .init(
            "access.failures_per_address", .number(1...10_000), default: "20", source: judgement,
            "wrong passwords from one address, for whatever account, likewise"),
        .init(
            "access.failure_window_s", .number(1...86_400), default: "300", unit: "s", source: judgement,
            "time within which wrong passwords are counted"),
        .init(
            "http.workers", .number(1...64), default: "4", source: "2 cores",
            "threads that answer requests, each with its own database connection"),
        .init(
            "ingest.batch_rows", .number(100...1_000_000), default: "20000", unit: "rows",
            source: "measured: COPY reaches its plateau there",
            "rows in one batch at most; batches that wait go in one transaction, up to half of ingest.batches"),
        .init(
            "ingest.batch_bytes", .number(65_536...1e9), default: "8388608", unit: "B",
            source: "20,000 rows come in 1 to 3 MB of messages",
            "bytes of messages in one batch, and one message more, at most; half as many of rejects"),
        .init(
            "ingest.flush_ms", .number(1...10_000), default: "100", unit: "ms",
            source: "measured: latency to commit is the flush interval",
            "time after which a batch is written however small it is"),
        .init(
            "ingest.batches", .number(2...64), default: "4", source: "memory: rows × 300 B each",
            "batches in circulation; when all are in use, reading stops"),
        .init(
            "ingest.database_deadline_ms", .number(100...600_000), default: "5000", unit: "ms",
            source: "measured: a frozen backend is never noticed otherwise",
            "after which a transaction that does not end is given up, and tried again on a new connection"),
        .init(
            "ingest.index_after_s", .number(0...31_536_000), default: "3600", unit: "s",
            source: "measured: half the cost of an index that is kept up for each row",
            "after the end of a partition, until its index by device and time is built"),
        .init(
            "spool.directory", .text, default: "", source: "-",
            "where messages go while the database is away; empty: spool in the data directory; off: nowhere, reading stops"
        ),
        .init(
            "spool.max_bytes", .number(1_000_000...1e15), default: "10000000000", unit: "B",
            source: "measured: 230 M samples of 42 B", "when it is full, reading stops"),
        .init(
            "spool.segment_bytes", .number(65_536...1_073_741_824), default: "67108864", unit: "B",
            source: "measured", "size of one file; room is given back file by file"),
        .init(
            "spool.fsync", .choice(["always", "interval", "never"]), default: "interval",
            source: "measured: each message 130 k samples/s, each 100 ms 21 M samples/s",
            "when spooled messages are forced to the disk: each, every spool.fsync_ms, or when the kernel likes"),
        .init(
            "spool.fsync_ms", .number(1...60_000), default: "100", unit: "ms", source: "measured",
            "for spool.fsync = interval"),
        .init(
            "profile.amend_after_s", .number(0...86_400), default: "5", unit: "s", source: judgement,
            "without another late sample, until its time is analysed again for profiles and advisories"),
        .init(
            "late.peak_pct", .number(0...100), default: "1", unit: "%", source: judgement,
            "by which late samples must change the peak of an advisory to be an amendment"),
        .init(
            "ingest.oldest",
            .form("retention, or a time as 2000-01-01T00:00:00Z") { $0 == "retention" || Timestamp($0) != nil },
            default: "retention", source: "what would be dropped at once is better refused and said",
            "samples before this time are refused; retention: those older than retention.raw_days. Give a time where recorded history is replayed"
        ),
        .init(
            "ingest.future_s", .number(1...604_800), default: "86400", unit: "s", source: judgement,
            "samples further ahead of our clock are refused"),
        .init(
            "ingest.suspect_future_s", .number(0...86_400), default: "5", unit: "s", source: "domain rules A.7.3",
            "samples further ahead are stored as CLOCK_SUSPECT and not used"),
        .init(
            "ingest.plausible_rating", .number(1...1000), default: "3", unit: "× rating",
            source: "above what cold load takes (domain rules, CLPU); a factor of a thousand is far beyond",
            "power of a head, line or transformer meter beyond it cannot be (OUT_OF_RANGE); DER: 1.2"),
        .init(
            "clock.latency_s",
            .form("latencies as \"AGG-A: 2; AGG-B: 30\", 0 to 3600 s") { SettingForms.latencies($0) != nil },
            default: "",
            unit: "s", source: "domain rules A.7.2",
            "what an aggregator's samples take to arrive, as \"AGG-A: 2; AGG-B: 30\"; those of the others are only judged when they are ahead"
        ),
        .init(
            "clock.suspect_s", .number(0.1...3600), default: "10", unit: "s", source: "domain rules A.7.2",
            "median of 30 samples beyond the latency, from which on a clock is not believed: CLOCK_SUSPECT, not used"),
        .init(
            "clock.trust_s", .number(0.1...3600), default: "2", unit: "s", source: "domain rules A.7.2",
            "median of 10 samples below which it is believed again"),
        .init(
            "site.time_zone",
            .form("the name of a time zone, as Europe/Berlin") { TimeZone(identifier: $0) != nil }, default: "UTC",
            source: "domain rules B.1: windows are local civil time",
            "time zone of the network, by its IANA name, as Europe/Berlin"),
        .init(
            "site.sun", .flag, default: "true", source: "domain rules B.4.6, B.5",
            "whether the sun where the network lies is that of the data's times; false for a recorded day that is played at another season: then nothing is night, and no sky is clear"
        ),
        .init(
            "ramp.tariff_times", .form("times as \"06:00, 22:00\"") { SettingForms.times($0) != nil }, default: "",
            source: "domain rules B.3.3",
            "local times at which a tariff changes, as \"06:00, 22:00\": a rise of load then is taken for chargers"),
        .init(
            "ingest.ownership", .choice(["first", "any"]), default: "first",
            source: "interface: an aggregator speaks only for its own devices",
            "first: a device belongs to the aggregator that first spoke for it; any: not checked"),
        .init(
            "ingest.reject_rows", .number(0...1_000_000), default: "10000", unit: "rows", source: judgement,
            "rejects kept of one batch; more are only counted"),
        .init(
            "ingest.reject_bytes", .number(0...1_048_576), default: "4096", unit: "B", source: judgement,
            "bytes kept of one reject"),
        .init(
            "retention.raw_days", .number(0...36_500), default: "400", unit: "d", source: "domain rules G.1: 13 months",
            "partitions older than this, and made longer ago than this, are dropped; 0: never"),
        .init(
            "retention.max_partitions", .number(1...100_000), default: "800", unit: "d", source: judgement,
            "days for which partitions are made on demand; samples of other days go to the default partition"),
        .init(
            "retention.partitions_per_aggregator", .number(1...100_000), default: "100", unit: "d", source: judgement,
            "of them, days that the samples of one aggregator may open; its samples of more days go to the default partition"
        ),
        .init(
            "analysis.scada_lateness_s", .number(0...3600), default: "30", unit: "s", source: "domain rules A.7.1",
            "how late a head meter's sample may come before its bin is final"),
        .init(
            "analysis.gateway_lateness_s", .number(0...3600), default: "90", unit: "s", source: "domain rules A.7.1",
            "the same for everything behind a gateway"),
        .init(
            "analysis.der_clock_guard_s", .number(0...3600), default: "120", unit: "s",
            source: "clock errors of ±90 s occur in the replay specification",
            "by how much a DER's clock must be ahead before it moves the feeder's"),
        .init(
            "analysis.der_hold_s", .number(10...3600), default: "330", unit: "s",
            source: "IEEE 2030.5 default post rate 300 s plus 10 %", "how long a DER's last value stands for it in sums"
        ),
        .init(
            "analysis.gap_s", .number(10...3600), default: "120", unit: "s", source: "domain rules B.0",
            "missing data after which an advisory becomes uncertain"),
        .init(
            "analysis.rearm_s", .number(0...86_400), default: "900", unit: "s", source: "domain rules B.0.6",
            "a new onset within this opens the same advisory again"),
        .init(
            "voltage.unbalance_pct", .number(0...100), default: "0", unit: "%",
            source: "domain rules B.2.4: EN 50160 2 %, ANSI C84.1 3 %",
            "unbalance of three voltages of a point that is an advisory after half an hour; 0: by voltage.standard"),
        .init(
            "topology.balance_pct", .number(0.1...100), default: "5", unit: "%", source: "domain rules B.4.8 c",
            "of the larger of what a bank's transformers and its feeders carry: more apart for a quarter hour is an advisory"
        ),
        .init(
            "topology.meter_error_pct", .number(0...100), default: "1", unit: "%",
            source: "IEC 62053: class 1, of the bank's rating", "added to it for the error of the meters"),
        .init(
            "forecast.start_probability", .number(0.36...1), default: "0.6", source: "domain rules B.5",
            "probability from which expected reverse power is an advisory"),
        .init(
            "forecast.overload_probability", .number(0.36...1), default: "0.5", source: "domain rules B.5",
            "probability from which expected overload is an advisory; of the emergency rating it is 0.3"),
        .init(
            "forecast.clear_probability", .number(0...0.35), default: "0.35", source: "domain rules B.5",
            "probability below which it is none any more, in three runs of five minutes"),
        .init(
            "reverse.permitted", .choice(["true", "false", "unknown"]), default: "unknown",
            source: "domain rules B.1.1", "whether reverse flow is agreed", perFeeder: true),
        .init(
            "reverse.limit_w", .number(-1...1e10), default: "-1", unit: "W",
            source: "domain rules B.1.1: half of the head's rating", "agreed reverse power; -1: half of the rating",
            perFeeder: true),
        .init(
            "reverse.on_min_w", .number(0...1e9), default: "50000", unit: "W", source: "domain rules B.1.1",
            "reverse power that counts: this, or the share of the rating, whichever is more", perFeeder: true),
        .init(
            "reverse.on_share_pct", .number(0...100), default: "1", unit: "%", source: "domain rules B.1.1",
            "share of the head's rating", perFeeder: true),
        .init(
            "reverse.on_s", .number(0...86_400), default: "60", unit: "s",
            source: "domain rules B.1.1, OpenDSS RegControl", "how long it must last", perFeeder: true),
        .init(
            "reverse.off_s", .number(0...86_400), default: "300", unit: "s", source: "domain rules B.1.1",
            "how long its end must last", perFeeder: true),
        .init(
            "head.rating_va", .number(0...1e10), default: "0", unit: "VA", source: "network: head_rating_a",
            "what the head may carry; 0: from the network", perFeeder: true),
        .init(
            "head.emergency_rating_va", .number(0...1e10), default: "0", unit: "VA", source: "-",
            "emergency rating; 0: none known", perFeeder: true),
        .init(
            "head.metered", .choice(["auto", "true", "false"]), default: "auto", source: "domain rules B.1.2",
            "auto: as soon as its head meter has spoken; false: always estimated", perFeeder: true),
        .init(
            "bank.has_3v0", .choice(["true", "false", "unknown"]), default: "unknown", source: "domain rules B.1.5",
            "zero-sequence overvoltage protection at the banks; unknown counts as none"),
        .init(
            "bank.reverse_limit_w", .number(0...1e11), default: "0", unit: "W", source: "domain rules B.1.1",
            "agreed reverse power of a bank"),
        .init(
            "voltage.standard", .choice(["auto", "EU", "US"]), default: "auto", source: "domain rules B.2.1",
            "bands and windows; auto: EU at 50 Hz, US at 60 Hz"),
        .init(
            "voltage.warn_high_pu", .number(0...2), default: "0", unit: "pu", source: "domain rules B.2.1",
            "severity 3 above; 0: by the standard", perFeeder: true),
        .init(
            "voltage.high_pu", .number(0...2), default: "0", unit: "pu", source: "domain rules B.2.1",
            "severity 2 above; 0: by the standard", perFeeder: true),
        .init(
            "voltage.warn_low_pu", .number(0...2), default: "0", unit: "pu", source: "domain rules B.2.1",
            "severity 3 below; 0: by the standard", perFeeder: true),
        .init(
            "voltage.low_pu", .number(0...2), default: "0", unit: "pu", source: "domain rules B.2.1",
            "severity 2 below; 0: by the standard", perFeeder: true),
        .init(
            "ramp.scale", .number(0.05...100), default: "1", source: "domain rules B.3.2",
            "multiplies the slopes and changes that make a ramp", perFeeder: true),
        .init(
            "data_gap.head_s", .number(1...86_400), default: "30", unit: "s", source: "domain rules B.4.1",
            "silence of a head meter"),
        .init(
            "data_gap.der_s", .number(1...86_400), default: "900", unit: "s", source: "domain rules B.4.1",
            "silence of a DER"),
        .init(
            "data_gap.line_s", .number(1...86_400), default: "180", unit: "s",
            source: "domain rules B.4.1: three of their minutes", "silence of a regulator or recloser"),
        .init(
            "data_gap.fleet_share_pct", .number(0...100), default: "20", unit: "%", source: "domain rules B.4.1",
            "share of silent DER rating that makes it the feeder's"),
        .init(
            "data_gap.per_device", .flag, default: "true", source: "domain rules B.4.1",
            "an advisory (severity 4) for each silent DER, or meter of a transformer"),
    ]
}

/// Settings that are lists in one text.
enum SettingForms {
    /// `06:00, 22:00` as minutes of the day; `nil` for anything else.
    static func times(_ text: String) -> [Int]? {
        var found: [Int] = []
        for part in text.split(separator: ",") {
            let digits = part.filter { $0 != " " }.split(separator: ":").map { Int($0) ?? -1 }
            guard digits.count == 2, (0..<24).contains(digits[0]), (0..<60).contains(digits[1]) else { return nil }
            found.append(digits[0] * 60 + digits[1])
        }
        return found
    }

    /// `AGG-A: 2; AGG-B: 30` by name; `nil` for anything else.
    static func latencies(_ text: String) -> [String: Double]? {
        var found: [String: Double] = [:]
        for part in text.split(separator: ";") {
            let words = part.split(separator: ":").map { $0.filter { $0 != " " } }
            guard words.count == 2, let seconds = Double(words[1]), (0...3600).contains(seconds) else { return nil }
            found[words[0]] = seconds
        }
        return found
    }
}

extension Settings {
    var lifecycleLimits: AdvisoryLifecycle.Limits {
        var limits = AdvisoryLifecycle.Limits()
        limits.shelf = number("advisories.shelf_h") * 3600
        limits.shelfOfHigh = number("advisories.shelf_high_h") * 3600
        limits.outOfService = number("advisories.out_of_service_days") * 86_400
        limits.proposal = number("advisories.proposal_h") * 3600
        limits.reAlarm = number("advisories.re_alarm_min") * 60
        limits.autoClose = number("advisories.auto_close_h") * 3600
        return limits
    }

    var accountLimits: Accounts.Limits {
        Accounts.Limits(session: number("access.session_s"), idle: number("access.idle_s"))
    }
}
