internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

/// Problems with the backups of a private cluster, for `backfeed doctor` and the running service.
struct BackupState {
    /// Seconds since the newest base backup, the last restore that was tried, and the last archived segment; `nil`: none.
    var baseAge, testAge, archivedAge: Double?
    /// Segments of WAL that wait; `nil`: that cannot be seen.
    var waiting: Int?
    var problems: [String] = []

    /// So many segments wait only when something is wrong.
    private static let mostWaiting = 10

    init(_ settings: Settings, cluster root: String, waiting: Int?, _ connection: inout PostgresConnection)
        throws(StoreError)
    {
        let set = BackupSet(directory: settings.text("backup.directory"))
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        self.waiting = waiting
        baseAge = set.bases().last.map { now - $0.endedAt }
        testAge = set.lastTest().map { now - $0.at }
        let row = try connection.query(
            """
            SELECT extract(epoch FROM now() - last_archived_time), last_failed_wal, \
            last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver
            """, as: "look at the archiver"
        ).first
        archivedAge = row?[0].flatMap(Double.init)
        if ((try? EmbeddedCluster.archive(ofClusterIn: root)) ?? "") != set.directory {
            problems.append("WAL does not go to \(set.directory): it could not be made when the service started")
        }
        if row?[2] == "t" { problems.append("\(row?[1] ?? "WAL") could not be archived: see the log of PostgreSQL") }
        if let waiting, waiting >= Self.mostWaiting {
            problems.append("\(waiting) segments of WAL wait to be archived")
        }
        let limit = settings.number("backup.max_age_h")
        if let age = baseAge {
            if age > limit * 3600 { problems.append("the newest base backup is \(Int(age / 3600)) h old") }
        } else {
            problems.append("there is no base backup: backfeed backup")
        }
        let gaps = (try? String(contentsOfFile: "\(root)/archive-gap", encoding: .utf8)) ?? ""
        if let last = gaps.split(separator: "\n").last?.prefix(27),
            let at = Timestamp(String(last.split(separator: " ").first ?? "")),
            baseAge.map({ now - at < $0 }) ?? true
        {
            problems.append("the archive has a gap since \(at): make a base backup")
        }
    }
}

/// Looks at the backups once a minute, on a thread of its own.
final class BackupWatch: Sendable {
    private let ending = BoundedQueue<Bool>(capacity: 1)
    private let thread = Guarded<WorkerThread?>(nil)

    /// - Parameter cluster: `nil`: the database is somebody else's, and so are its backups.
    init(cluster: EmbeddedCluster?, settings: Settings, metrics: Metrics, health: PartHealth) {
        guard let cluster, !settings.text("backup.directory").isEmpty else { return }
        let ending = ending
        let worker = WorkerThread(name: "backup") {
            var session = DatabaseSession(cluster.serviceConninfo, deadlineMilliseconds: 5000)
            repeat {
                do throws(StoreError) {
                    let state = try session.use { connection throws(StoreError) in
                        try BackupState(settings, cluster: cluster.root, waiting: cluster.waitingSegments, &connection)
                    }
                    health.say(state.problems)
                    for (name, age, help) in [
                        ("backfeed_backup_base_age_seconds", state.baseAge, "newest base backup"),
                        ("backfeed_backup_test_age_seconds", state.testAge, "last restore that was tried"),
                        ("backfeed_backup_wal_age_seconds", state.archivedAge, "last archived segment of WAL"),
                    ] {
                        guard let age else { continue }
                        metrics.set(name, age, help: "Since the \(help)")
                    }
                    if let waiting = state.waiting {
                        metrics.set(
                            "backfeed_backup_wal_waiting", Double(waiting),
                            help: "Segments of WAL that are not archived yet")
                    }
                } catch {
                    health.failed(error.description)
                }
            } while Self.isOpen(ending)
        }
        thread.withLock { $0 = worker }
    }

    private static func isOpen(_ ending: BoundedQueue<Bool>) -> Bool {
        if case .closed = ending.take(within: 60_000) { return false }
        return true
    }

    func stop() {
        ending.close()
        thread.withLock { $0.take() }?.join()
    }
}
