internal import Foundation
internal import FoundationNetworking
internal import GridModel
internal import ServiceKit
internal import Store

/// Tells webhooks of advisory events: each in the order of the events, at least once, by a thread of its own, so that one
/// that is slow or down holds up no other.
final class WebhookSender: Sendable {
    private let conninfo: String
    private let metrics: Metrics
    private let timeout: Double
    private let giveUpAfter: Double
    private let ending = BoundedQueue<Bool>(capacity: 1)
    private struct Running {
        let hook: Webhooks.Hook
        let thread: WorkerThread
        let session: URLSession
        let ending: BoundedQueue<Bool>

        /// A request that is under way ends, too.
        func end() {
            ending.close()
            session.invalidateAndCancel()
        }
    }
    private let running = Guarded<[String: Running]>([:])
    private let manager = Guarded<WorkerThread?>(nil)
    private let health: PartHealth
    private let log = Log("webhooks")

    /// Seconds between two attempts: the first, doubled up to the most.
    private static let firstPause = 1.0
    private static let longestPause = 300.0
    private static let most = 32

    init(conninfo: String, metrics: Metrics, settings: Settings, health: PartHealth) {
        self.health = health
        self.conninfo = conninfo
        self.metrics = metrics
        timeout = settings.number("webhooks.timeout_s")
        giveUpAfter = settings.number("webhooks.give_up_after_s")
    }

    func start() {
        let worker = WorkerThread(name: "webhooks") { [self] in
            var webhooks = Webhooks(conninfo: conninfo)
            repeat {
                do throws(StoreError) {
                    try arrange(try webhooks.list())
                    health.works()
                } catch {
                    health.failed(error.description)
                    log.error("webhooks cannot be read, trying again", ["error": "\(error)"])
                }
            } while Self.isOpen(ending, seconds: 2)
        }
        manager.withLock { $0 = worker }
    }

    func stop() {
        ending.close()
        manager.withLock { $0 }?.join()
        let ended = running.withLock { Array($0.values) }
        for item in ended { item.end() }
        for item in ended { item.thread.join() }
    }

    /// Waits; false: it is time to end.
    private static func isOpen(_ ending: BoundedQueue<Bool>, seconds: Double) -> Bool {
        if case .closed = ending.take(within: Int(seconds * 1000)) { return false }
        return true
    }

    /// One thread for each webhook there is; one that was changed or removed ends.
    private func arrange(_ entries: [Webhooks.Entry]) throws(StoreError) {
        for entry in entries {
            let hook = ["webhook": entry.hook.name]
            metrics.set(
                "backfeed_webhook_waiting", Double(entry.waiting), hook, help: "Events that a webhook has not got yet")
            metrics.set(
                "backfeed_webhook_dead_letters", Double(entry.deadLetters), hook,
                help: "Events that a webhook did not take for as long as it was tried")
        }
        let wanted = Dictionary(
            entries.prefix(Self.most).map { ($0.hook.name, $0.hook) }, uniquingKeysWith: { first, _ in first })
        running.withLock { running in
            for (name, item) in running where wanted[name] != item.hook {
                item.end()
                running[name] = nil
            }
            for (name, hook) in wanted where running[name] == nil {
                let ending = BoundedQueue<Bool>(capacity: 1)
                let session = URLSession(configuration: .ephemeral, delegate: NoRedirects(), delegateQueue: nil)
                let thread = WorkerThread(name: "webhook") { [self] in send(hook, session, ending) }
                running[name] = Running(hook: hook, thread: thread, session: session, ending: ending)
            }
        }
    }

    private func send(_ hook: Webhooks.Hook, _ session: URLSession, _ ending: BoundedQueue<Bool>) {
        var webhooks = Webhooks(conninfo: conninfo)
        var pause = 0.0
        while Self.isOpen(ending, seconds: pause) {
            do throws(StoreError) {
                guard let delivery = try webhooks.next(hook.name) else {
                    pause = 0.5
                    continue
                }
                let problem = post(delivery.event, hook, session)
                guard let problem else {
                    try webhooks.delivered(hook.name, delivery)
                    count("delivered", hook)
                    pause = 0
                    continue
                }
                count("failed", hook)
                let failing = delivery.failingSince.map {
                    Timestamp(microseconds: SystemClock.nowMicroseconds) - $0
                }
                let givesUp = failing.map { $0 >= giveUpAfter } ?? false
                try webhooks.failed(hook.name, delivery, problem: problem, givesUp: givesUp)
                log.error(
                    givesUp ? "webhook given up for one event" : "webhook failed",
                    ["webhook": hook.name, "event": "\(delivery.event.sequence)", "problem": problem])
                pause =
                    givesUp || delivery.isAgain
                    ? Self.firstPause
                    : min(Self.longestPause, Self.firstPause * Double(1 << min(delivery.attempts, 20)))
            } catch {
                log.error("events for a webhook cannot be read, trying again", ["error": "\(error)"])
                pause = 1
            }
        }
    }

    private func count(_ what: String, _ hook: Webhooks.Hook) {
        metrics.add(
            "backfeed_webhook_\(what)_total", 1, ["webhook": hook.name],
            help: what == "failed" ? "Attempts that a webhook did not take" : "Events that a webhook took")
    }

    /// - Returns: what went wrong; `nil`: it was taken (2xx).
    private func post(_ event: StoredEvent, _ hook: Webhooks.Hook, _ session: URLSession) -> String? {
        guard let url = URL(string: hook.url) else { return "the URL is none" }
        let seconds = SystemClock.nowMicroseconds / 1_000_000
        // The same for each attempt: the receiver knows what it has.
        let id = "advisory-event-\(event.sequence)"
        guard let signature = WebhookSignature.sign(event.json, id: id, seconds: seconds, secret: hook.secret) else {
            return "the secret is none"
        }
        var request = URLRequest(url: url, timeoutInterval: timeout)
        request.httpMethod = "POST"
        request.httpBody = Data(event.json.utf8)
        request.setValue("application/cloudevents+json; charset=utf-8", forHTTPHeaderField: "Content-Type")
        request.setValue(id, forHTTPHeaderField: "webhook-id")
        request.setValue("\(seconds)", forHTTPHeaderField: "webhook-timestamp")
        request.setValue(signature, forHTTPHeaderField: "webhook-signature")
        request.setValue("backfeed/\(Program.version)", forHTTPHeaderField: "User-Agent")
        let answer = Guarded<String?>(nil)
        let done = Gate()
        session.dataTask(with: request) { _, response, error in
            let status = (response as? HTTPURLResponse)?.statusCode
            let problem =
                error.map { "no answer: \($0.localizedDescription)" }
                ?? (status.map { (200..<300).contains($0) } ?? false ? nil : "answered \(status ?? 0)")
            answer.withLock { $0 = problem }
            done.open()
        }.resume()
        done.wait()
        return answer.withLock { $0 }
    }
}

/// An event goes to where somebody wanted it, and nowhere else.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }
}
