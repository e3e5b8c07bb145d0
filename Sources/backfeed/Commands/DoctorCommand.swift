internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

enum DoctorCommand {
    static let command = Command(
        "doctor", "say what is wrong with the installation, and what to do",
        detail: """
            Looks at files, database, network, what is missing and what was refused; what is wrong is said with the alert that
            Prometheus raises for it (packaging/alerts.yml). --alert explains one, with where to look; --alert all explains each.
            """,
        options: [Option("alert", "NAME", "only explain this alert, as BackfeedGaps; or all")], run: examine)

    private static func explain(_ name: String) throws -> ExitCode {
        if name == "all" {
            say(AlertGuide.entries.map(AlertGuide.text).joined(separator: "\n"))
            return .done
        }
        guard let entry = AlertGuide.entry(name) else {
            throw UsageError(
                "--alert: expected all, \(AlertGuide.entries.map(\.name).joined(separator: ", ")); got \(name)")
        }
        say(AlertGuide.text(entry))
        return .done
    }

    private static func examine(_ invocation: Invocation) throws -> ExitCode {
        if let alert = invocation.arguments.text("alert") { return try explain(alert) }
        var bad = 0
        func report(_ ok: Bool, _ what: String, _ advice: String = "") {
            if !ok { bad += 1 }
            say("\(ok ? "ok " : "BAD") \(what)\(ok || advice.isEmpty ? "" : "\n    → \(advice)")")
        }
        let console = FileManager.default.fileExists(atPath: "\(Resources.root)/Dashboards/console/index.html")
        report(
            console, "files of the product at \(Resources.root)",
            "set BACKFEED_SHARE to the directory that holds Migrations/ and Dashboards/")
        let chart = FileManager.default.fileExists(atPath: "\(Resources.root)/Dashboards/console/vendor/uPlot.js")
        report(chart, "chart library of the console", "run scripts/install-dependencies")
        if let holder = DataDirectoryLock.holder(invocation.dataDirectory) {
            say("    a service runs here: \(holder)")
            for problem in HealthFile(invocation.dataDirectory).read() {
                report(false, "the service's part \(problem) (BackfeedPartFails)", "see its log")
            }
        }
        do {
            let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
            defer { database.close() }
            report(true, "database answers and is migrated")
            let stored = try NetworkStore.load(database.conninfo)
            report(
                stored != nil, stored.map { "network \($0.network.id), revision \($0.revision)" } ?? "no network",
                "backfeed network import DIR")
            var queries = Queries(conninfo: database.conninfo)
            report(
                try queries.use { connection throws(StoreError) in try AuditLog.isProtected(&connection) },
                "the audit log belongs to a role that the service cannot be",
                "as superuser: SELECT backfeed_store.protect('the role in database.url'); see docs/audit.md")
            if let open = try queries.use({ connection throws(StoreError) in
                try Restoration.unconfirmed((stored?.network.switches ?? []).map(\.id), &connection)
            }) {
                report(
                    open.switches.isEmpty,
                    open.switches.isEmpty
                        ? "the database was restored (\(open.since)); every switch position is confirmed"
                        : "the database was restored (\(open.since)): \(open.switches.count) switch positions are not confirmed, and no live verdict can be given",
                    "backfeed switches confirm lists them; declare the safety register anew, too")
            }
            if let cluster = database.cluster, !invocation.settings.text("backup.directory").isEmpty {
                let state = try queries.use { connection throws(StoreError) in
                    try BackupState(
                        invocation.settings, cluster: cluster.root, waiting: cluster.waitingSegments, &connection)
                }
                for problem in state.problems { report(false, "backup: \(problem)", "docs/installation.md, Backup") }
                let tested = state.testAge.map { "a restore was tried \(Int($0 / 86_400)) days ago" }
                report(
                    state.testAge ?? .infinity < 40 * 86_400, tested ?? "no restore was tried yet",
                    "backfeed backup test")
            } else if database.cluster != nil {
                say("    no backups are made: backup.directory is empty (docs/installation.md)")
            }
            let desks = Desk.parse(invocation.settings.text("advisories.desks"))?.map(\.name) ?? []
            var accounts = Accounts(conninfo: database.conninfo)
            for account in try accounts.list() where account.revokedAt == nil {
                for desk in account.desks where !desks.contains(desk) {
                    report(
                        false,
                        "operator \(account.name) answers for desk \(desk), which advisories.desks does not have",
                        "backfeed access set-desks \(account.name), or put the desk back")
                }
            }
            let health = try queries.health()
            report(
                health.defaultRows == 0, "\(health.defaultRows) samples in the default partition",
                "a publisher's clock is wrong, or retention.max_partitions is too small")
            for gap in health.gaps {
                report(
                    false,
                    "\(gap[0] ?? "?"): \(gap[2] ?? "?") messages missing in \(gap[1] ?? "?") gaps (BackfeedGaps)",
                    "ask the aggregator; see backfeed.data_gap")
            }
            for loss in health.losses {
                let messages =
                    loss[3].map { "messages \(loss[2] ?? "?") to \($0)" } ?? "messages from \(loss[2] ?? "?") on"
                report(
                    false,
                    "\(loss[0] ?? "?"): \(messages) lost (\(loss[1] ?? "?")), data from \(loss[4] ?? "?") to \(loss[5] ?? "?")",
                    loss[1] == "epoch_replaced"
                        ? "its publisher started without its journal; what it had not sent nobody knows"
                        : "the aggregator kept too little; see backfeed.data_gap")
            }
            for reject in health.rejects.prefix(10) {
                report(
                    false,
                    "\(reject[1] ?? "?") rejects (BackfeedRejects): \(reject[0] ?? "?"), last at \(reject[2] ?? "?")",
                    "see backfeed_store.rejected_sample for the bytes")
            }
        } catch {
            report(
                false, "database (BackfeedStoreFails): \(error)",
                "see database.url, or the log in \(invocation.dataDirectory)/postgres")
        }
        return bad == 0 ? .done : .negative
    }
}
