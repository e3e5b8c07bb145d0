internal import Foundation
internal import GridModel
internal import HTTPAPI
internal import Messaging
internal import ServiceKit
internal import Store

/// The whole service in one process: its parts, wired; started in order, stopped in reverse.
final class Service {
    /// Where a service or a command finds its database.
    struct Database {
        /// As the role of the service, which may not touch the audit log.
        let conninfo: String
        let cluster: EmbeddedCluster?

        /// The configured database, or the private one below the data directory, started if need be; migrated.
        static func open(_ settings: Settings, dataDirectory: String) throws -> Self {
            let url = settings.text("database.url")
            let migrations = "\(Resources.root)/Migrations"
            guard url.isEmpty else {
                try Migrator.migrate(url, directory: migrations)
                return Self(conninfo: url, cluster: nil)
            }
            // A segment each minute is worth nothing where it goes nowhere.
            let timeout = settings.text("backup.directory").isEmpty ? ["archive_timeout": "0"] : [:]
            let cluster = try EmbeddedCluster(
                directory: "\(dataDirectory)/postgres", settings: timeout, archiver: Resources.program)
            do {
                try Migrator.migrate(cluster.conninfo, directory: migrations, protecting: true)
            } catch {
                cluster.stop()
                throw error
            }
            return Self(conninfo: cluster.serviceConninfo, cluster: cluster)
        }

        /// - Parameter isOwner: the service ends, and its private cluster with it.
        func close(isOwner: Bool = false) { cluster?.stop(isOwner: isOwner) }
    }

    struct Endpoints: Sendable {
        var http = ""
        var telemetry = ""
        var control = ""
        var advisories = ""
        /// Empty: not served.
        var validator = ""
    }

    private let settings: Settings
    private let conninfo: String
    private let log = Log("service")

    let endpoints: Endpoints
    let revision: Int
    private let server: HTTPServer
    private let ingest: Ingest
    private let analyser: AnalyserService
    private let amender: LateAmender
    private let daily: DailyReport
    private let feed: AdvisoryFeed
    private let outlook: ProfileOutlook
    private let watch: ApprovalWatch
    private let webhooks: WebhookSender
    private let backups: BackupWatch
    private let validator: ValidatorEndpoint
    private let input: BoundedQueue<AnalyserInput>
    private let metrics: Metrics
    private let pulse: Pulse
    private let hub: EventHub
    private let live: LiveState

    /// Loads the network and starts every part; returns when all accept work.
    ///
    /// - Parameters:
    ///   - cluster: the private one; `nil`: the database is somebody else's.
    ///   - dataDirectory: for the spool and the server's key.
    init(settings: Settings, conninfo: String, cluster: EmbeddedCluster? = nil, dataDirectory: String) throws {
        self.settings = settings
        self.conninfo = conninfo
        try Self.checkEndpoints(settings)
        let listening = try Self.listen(settings)
        var limits = try Ingest.Limits(settings, dataDirectory: dataDirectory)
        if settings.text("telemetry.security") == "curve" {
            limits.serverKey = try ServerKey.load(settings, dataDirectory: dataDirectory)
        }
        let stored =
            try NetworkStore.load(conninfo)
            ?? StoredNetwork.none
        revision = stored.revision
        let metrics = Metrics()
        self.metrics = metrics
        let pulse = Pulse()
        self.pulse = pulse
        let live = LiveState(stored)
        self.live = live
        let context = try MessagingContext()
        let analysis = settings.analysis(nominalFrequency: stored.network.nominalFrequency)
        let input = BoundedQueue<AnalyserInput>(capacity: 16)
        self.input = input
        let hub = EventHub()
        self.hub = hub
        let feedBox = Guarded<AdvisoryFeed?>(nil)
        let announce: @Sendable () -> Void = { feedBox.withLock { $0 }?.announce() }
        outlook = ProfileOutlook(live: live, conninfo: conninfo, settings: settings)
        guard let desks = Desk.parse(settings.text("advisories.desks")) else {
            throw UsageError(
                "advisories.desks: expected as \"north: F01 F02; south: F03\", got \"\(settings.text("advisories.desks"))\""
            )
        }
        let flood = (
            begins: settings.integer("advisories.flood_begins"), ends: settings.integer("advisories.flood_ends")
        )
        guard flood.ends <= flood.begins else {
            throw UsageError(
                "advisories.flood_ends: expected at most advisories.flood_begins (\(flood.begins)), got \(flood.ends)")
        }
        let backend = ServiceBackend(
            live: live, outlook: outlook, metrics: metrics, settings: settings, conninfo: conninfo, hub: hub,
            desks: desks, announce: announce
        ) { _ = input.put(.switches($0)) }
        // Known before the first request: the database may go away at any time.
        _ = try backend.hasAccounts()
        let name = ProcessInfo.processInfo.hostName
        let feed = AdvisoryFeed(
            conninfo: conninfo, context: context, live: live, hub: hub, analyserID: "\(name)-\(getpid())",
            pulse: pulse, health: live.health.report(.feed)
        ) { backend.feederEvent() }
        feedBox.withLock { $0 = feed }
        self.feed = feed
        let ingest = Ingest(
            limits: limits, analysis: analysis, stored: stored, conninfo: conninfo, context: context, metrics: metrics,
            live: live, output: input, pulse: pulse)
        self.ingest = ingest
        analyser = AnalyserService(
            stored: stored, settings: analysis, conninfo: conninfo, live: live, metrics: metrics, input: input,
            desks: desks, limits: settings.lifecycleLimits, flood: flood, pulse: pulse, announce: announce)
        amender = LateAmender(
            stored: stored, settings: analysis, conninfo: conninfo, metrics: metrics,
            quiet: settings.number("profile.amend_after_s"),
            peakTolerance: settings.number("late.peak_pct") / 100, health: live.health.report(.amendments),
            announce: announce)
        daily = DailyReport(
            stored: stored, settings: analysis, conninfo: conninfo, health: live.health.report(.daily),
            announce: announce)
        watch = ApprovalWatch(
            desk: backend.desk, conninfo: conninfo, metrics: metrics, settings: settings,
            health: live.health.report(.approvals))
        webhooks = WebhookSender(
            conninfo: conninfo, metrics: metrics, settings: settings, health: live.health.report(.webhooks))
        validator = ValidatorEndpoint(
            context: context, metrics: metrics, maximumBytes: settings.integer("http.max_body_bytes"),
            health: live.health.report(.validator)
        ) { try backend.judge(plan: $0, actor: "zeromq") }
        var configuration = HTTPServer.Configuration()
        switch listening {
        case .socket(let path): configuration.socketPath = path
        case .address(let address, let port): (configuration.address, configuration.port) = (address, port)
        }
        configuration.tls = try Self.tls(settings)
        configuration.workers = settings.integer("http.workers")
        configuration.requestTimeout = settings.number("http.request_timeout_s")
        configuration.maximumBody = settings.integer("http.max_body_bytes")
        configuration.proxies = Set(
            settings.text("http.proxies").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
        configuration.hosts = Set(settings.text("http.hosts").split(separator: ",").map { $0.lowercased() })
        let router = Router(
            backend: backend, consoleDirectory: "\(Resources.root)/Dashboards/console",
            openAPIFile: "\(Resources.root)/Dashboards/openapi.json", metrics: metrics)
        server = HTTPServer(configuration, hub: hub) { router.respond($0) }

        // Readers before writers: nothing is received before somebody takes it.
        var made = Endpoints()
        made.advisories = try feed.start(bind: settings.text("advisories.bind"))
        do {
            try analyser.start()
            let received = try ingest.start()
            (made.telemetry, made.control) = (received.telemetry, received.control)
            let bind = settings.text("validator.bind")
            if !bind.isEmpty { made.validator = try validator.start(bind: bind) }
            let bound = try server.start()
            made.http =
                configuration.socketPath.map { "unix:\($0)" }
                ?? "\(configuration.tls == nil ? "http" : "https")://\(configuration.address):\(bound)"
        } catch {
            input.close()
            validator.stop()
            ingest.stop()
            analyser.stop()
            feed.stop()
            throw error
        }
        endpoints = made
        backups = BackupWatch(
            cluster: cluster, settings: settings, metrics: metrics, health: live.health.report(.backup))
        amender.start()
        daily.start()
        webhooks.start()
        outlook.start()
        watch.start()
        log.info(
            "started",
            [
                "network": stored.network.id, "revision": "\(stored.revision)",
                "devices": "\(stored.registry.devices.count)",
            ])
    }

    var readyLine: String {
        "ready http=\(endpoints.http) telemetry=\(endpoints.telemetry) control=\(endpoints.control) advisories=\(endpoints.advisories) validator=\(endpoints.validator.isEmpty ? "-" : endpoints.validator)"
    }

    func stop() {
        log.info("stopping")
        analyser.prepareToStop()
        validator.stop()
        backups.stop()
        watch.stop()
        webhooks.stop()
        outlook.stop()
        amender.stop()
        daily.stop()
        ingest.stop()
        input.close()
        analyser.stop()
        feed.stop()
        server.stop()
    }

    /// Problems of its parts.
    var problems: [Health.Problem] { live.health.problems }

    /// Parts that hang.
    var stalledParts: [String] {
        for (part, age) in pulse.ages {
            metrics.set(
                "backfeed_part_silence_seconds", age, ["part": part],
                help: "Since this part of the service last went round")
        }
        return pulse.stalled(after: Self.patience)
    }

    /// Seconds that a part may be silent: above the longest deadline of the database (60 s), below systemd's watchdog.
    private static let patience = 90.0

    /// Ends the event streams of those whose token or session is over. While the database cannot be asked they go on: an
    /// outage must not blind whoever watches.
    func endStreamsOfStrangers(_ accounts: inout Accounts) {
        let readers = hub.digests
        guard !readers.isEmpty else { return }
        do throws(StoreError) {
            guard try accounts.areConfigured() else { return }
            hub.end(readers.subtracting(try accounts.valid(readers)))
        } catch {
            log.warning("who reads events could not be looked up", ["error": "\(error)"])
        }
    }

    /// True when another network revision has been imported since the start.
    func isOutdated(_ queries: inout Queries) -> Bool {
        let newest = try? queries.use { connection throws(StoreError) in
            try connection.query(
                "SELECT coalesce(max(id), 0) FROM backfeed_store.network_revision", as: "look for revision")
        }
        guard let number = newest?.first?[0].flatMap(Int.init) else { return false }
        return number != revision
    }

    private enum Listening {
        case address(String, UInt16)
        case socket(String)
    }

    private static func listen(_ settings: Settings) throws -> Listening {
        let text = settings.text("http.listen")
        let isSecure = !settings.text("http.tls_certificate").isEmpty
        if text.hasPrefix("unix:/") {
            guard !isSecure else {
                throw UsageError(
                    "http.tls_certificate: a socket for a proxy has no TLS of its own: leave one of them out")
            }
            return .socket(String(text.dropFirst(5)))
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw UsageError("http.listen: expected ADDRESS:PORT or unix:/PATH, got \"\(text)\"")
        }
        let address = text[..<colon] == "localhost" ? "127.0.0.1" : String(text[..<colon])
        guard address.hasPrefix("127.") || isSecure else {
            throw UsageError(
                "http.listen: \(address): beyond loopback only with http.tls_certificate, or with a TLS proxy in front, see docs/access.md"
            )
        }
        return .address(address, port)
    }

    /// The texts of certificate and key; `nil`: no TLS of its own.
    private static func tls(_ settings: Settings) throws -> (certificate: String, key: String)? {
        func read(_ key: String) throws -> String? {
            let path = settings.text(key)
            guard !path.isEmpty else { return nil }
            do {
                return try String(contentsOfFile: path, encoding: .utf8)
            } catch {
                throw UsageError("\(key): \(path) cannot be read: \(error.localizedDescription)")
            }
        }
        switch (try read("http.tls_certificate"), try read("http.tls_key")) {
        case (nil, nil): return nil
        case (let certificate?, let key?): return (certificate, key)
        case (nil, _): throw UsageError("http.tls_certificate: expected a file beside http.tls_key")
        case (_, nil): throw UsageError("http.tls_key: expected a file beside http.tls_certificate")
        }
    }

    /// Before anything is locked or started: what no service may listen on.
    static func checkEndpoints(_ settings: Settings) throws {
        _ = try listen(settings)
        let open = settings.text("telemetry.security") == "curve" ? [] : ["telemetry.bind", "control.bind"]
        for key in open + ["advisories.bind", "validator.bind"] where !settings.text(key).isEmpty {
            try refuseOpen(settings.text(key), key)
        }
    }

    private static func refuseOpen(_ endpoint: String, _ key: String) throws {
        let isLocal = ["tcp://127.", "tcp://localhost", "tcp://[::1]", "ipc://", "inproc://"].contains {
            endpoint.hasPrefix($0)
        }
        let canHaveKeys = key == "telemetry.bind" || key == "control.bind"
        guard isLocal else {
            throw UsageError(
                "\(key): \(endpoint): only loopback is accepted"
                    + (canHaveKeys ? " without keys: set telemetry.security = curve" : ""))
        }
    }
}
