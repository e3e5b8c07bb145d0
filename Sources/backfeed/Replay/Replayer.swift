internal import DataDirectory
internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit

/// Publishes a plan as its aggregators would. Blocks; everything happens on the calling thread.
final class Replayer {
    /// Where the messages go, and how sure they are to arrive.
    struct Way {
        var telemetry: String
        /// `nil`: no journal, what a fault loses stays lost.
        var control: String?
        /// Directory of the journals; `nil`: a temporary one.
        var journal: String?
        var keys: [KeyFile] = []
        /// Seconds to wait at the end for everything to be durable.
        var patience = 120.0
        /// Probability that a message is not published.
        var drop = 0.0

        init(telemetry: String) { self.telemetry = telemetry }
    }

    struct Progress: Sendable {
        var time: Timestamp
        var share: Double
        var samples: Int
        var messages: Int
        var rate: Double
        var aggregators = 0
        /// Messages that the service has not called durable, by aggregator.
        var undurable: [String: UInt64] = [:]
        var sentAgain = 0
        var rejections: [String] = []
    }

    static func run(_ plan: ReplayPlan, _ way: Way, stop: () -> Bool, _ show: (Progress) -> Void) throws -> Progress {
        let replayer = try Replayer(plan, way)
        defer { replayer.cleanUp() }
        return try replayer.run(stop, show)
    }

    private let plan: ReplayPlan
    private let way: Way
    private let context: MessagingContext
    /// One for all aggregators, so that their order is the order sent; with keys, one each.
    private var sockets: [String: Outlet] = [:]
    private var links: [String: AggregatorLink] = [:]
    private let epoch = UInt64(SystemClock.nowMicroseconds)
    private var sequences: [String: UInt64] = [:]
    private var progress: Progress
    private let journals: String
    private let drops: ReplayRandom

    /// A publishing socket, shared by reference.
    private final class Outlet {
        var socket: Socket
        init(_ endpoint: String, _ key: KeyFile?, _ context: MessagingContext) throws(MessagingError) {
            var socket = try Socket(.announcedPublish, in: context)
            if let key { try socket.present(key.own, toServer: key.serverKey) }
            try socket.limitQueues(sending: 1000)
            try socket.blockWhenFull()
            try socket.limitSending(milliseconds: 500)
            try socket.linger(milliseconds: 20_000)
            try socket.reconnect(every: 200)
            try socket.connect(endpoint)
            self.socket = socket
        }
    }

    private init(_ plan: ReplayPlan, _ way: Way) throws {
        self.plan = plan
        self.way = way
        context = try MessagingContext()
        journals = way.journal ?? "/tmp/backfeed-journal-\(UUID().uuidString)"
        drops = ReplayRandom(seed: plan.seed, stream: "drop")
        progress = Progress(time: plan.start + plan.from, share: 0, samples: 0, messages: 0, rate: 0)
    }

    private func cleanUp() {
        guard way.control != nil, way.journal == nil else { return }
        do {
            try FileManager.default.removeItem(atPath: journals)
        } catch {
            complain("\(journals) could not be removed: \(error.localizedDescription)")
        }
    }

    private func run(_ stop: () -> Bool, _ show: (Progress) -> Void) throws -> Progress {
        for name in way.keys.isEmpty ? [""] : Set(way.keys.map(\.aggregator)).sorted() {
            try open(name)
            guard try join(name, stop) else { return progress }
        }
        let duration = plan.until - plan.from
        let began = SystemClock.nowMicroseconds
        var shift = 0.0
        if plan.shiftsToNow {
            let wall = plan.speed.map { duration / $0 } ?? 0
            shift = Double(began - (plan.start + plan.until).microseconds) / 1e6 + wall
        }
        var pending: [ReplayModel.Reading] = []
        // Portions of data time: long enough to be worth a pass over all streams, short enough to pace evenly.
        let portion = 5.0
        var at = plan.from
        while at < plan.until || !pending.isEmpty {
            let end = at + portion
            if at < plan.until { pending += plan.model.readings(from: at, to: min(end, plan.until)) }
            pending.sort { ($0.sent, $0.stream, $0.instant) < ($1.sent, $1.stream, $1.instant) }
            let count = pending.firstIndex { $0.sent >= end } ?? pending.count
            var place = 0
            while place < count {
                // What leaves within the same second leaves together.
                let second = pending[place].sent.rounded(.down)
                var next = place
                while next < count, pending[next].sent.rounded(.down) == second { next += 1 }
                if let speed = plan.speed {
                    try wait(until: began + Int64((pending[next - 1].sent - plan.from) / speed * 1e6), stop)
                }
                if stop() { return progress }
                try send(pending[place..<next], shift, stop)
                try converse(milliseconds: 0)
                place = next
            }
            pending.removeFirst(count)
            at = end
            progress.time = plan.start + min(at, plan.until) + shift
            progress.share = min(1, (at - plan.from) / duration)
            let elapsed = Double(SystemClock.nowMicroseconds - began) / 1e6
            progress.rate = Double(progress.samples) / max(elapsed, 1e-3)
            progress.aggregators = sequences.count
            show(progress)
        }
        try settle(stop)
        return progress
    }

    // MARK: Connections

    private func open(_ name: String) throws {
        let key = way.keys.first { $0.aggregator == name }
        sockets[name] = try Outlet(way.telemetry, key, context)
    }

    /// Waits for the service: what is sent before it subscribes is dropped. With a journal nothing needs to wait.
    private func join(_ name: String, _ stop: () -> Bool) throws -> Bool {
        guard let outlet = sockets[name] else { return false }
        var waited = 0
        while try !outlet.socket.waitForSubscriber(milliseconds: 250) {
            waited += 1
            if stop() { return false }
            if way.control != nil, waited == 8 { return true }
            if waited == 20 { complain("waiting for a service at \(way.telemetry) …") }
        }
        return true
    }

    private func outlet(_ aggregator: String) throws -> Outlet {
        guard let outlet = sockets[way.keys.isEmpty ? "" : aggregator] else {
            throw UsageError("no --key for aggregator \(aggregator)")
        }
        return outlet
    }

    private func link(_ aggregator: String) throws -> AggregatorLink? {
        guard let control = way.control else { return nil }
        if let known = links[aggregator] { return known }
        let journal = try Journal(directory: "\(journals)/\(aggregator.replacing("/", with: "_"))")
        let key = way.keys.first { $0.aggregator == aggregator }
        let made = try AggregatorLink(
            aggregator, journal: journal, endpoint: control, key: key.map { ($0.own, $0.serverKey) }, in: context)
        links[aggregator] = made
        return made
    }

    private func converse(milliseconds: Int) throws {
        for link in links.values { try link.serve(milliseconds: milliseconds) }
    }

    private func wait(until due: Int64, _ stop: () -> Bool) throws {
        while SystemClock.nowMicroseconds < due, !stop() {
            try converse(milliseconds: 0)
            SystemClock.pause(milliseconds: UInt32(min(50, max(1, (due - SystemClock.nowMicroseconds) / 1000))))
        }
    }

    /// Until the service has stored everything, or patience ends.
    private func settle(_ stop: () -> Bool) throws {
        let until = SystemClock.nowMicroseconds + Int64(way.patience * 1e6)
        while links.values.contains(where: { !$0.isDurable }), SystemClock.nowMicroseconds < until, !stop() {
            try converse(milliseconds: 20)
        }
        for link in links.values {
            if !link.isDurable { progress.undurable[link.aggregator] = link.journal.last - link.durable }
            progress.sentAgain += link.sentAgain
            progress.rejections += link.rejections.map { "\(link.aggregator): \($0)" }
        }
    }

    // MARK: Sending

    private func send(_ readings: ArraySlice<ReplayModel.Reading>, _ shift: Double, _ stop: () -> Bool) throws {
        var batches: [String: [TelemetryEncoder.Row]] = [:]
        var order: [String] = []
        for reading in readings {
            let stream = plan.model.streams[Int(reading.stream)]
            if batches[stream.aggregator] == nil { order.append(stream.aggregator) }
            batches[stream.aggregator, default: []].append(
                TelemetryEncoder.Row(
                    device: stream.device, time: plan.start + (reading.stamped + shift),
                    activePower: reading.kilowatts * 1000, reactivePower: reading.kilovars * 1000,
                    voltage: reading.perUnit * (plan.bases[stream.device] ?? .nan)))
        }
        for aggregator in order {
            let rows = batches[aggregator] ?? []
            for from in stride(from: 0, to: rows.count, by: 2000) {
                try send(Array(rows[from..<min(from + 2000, rows.count)]), aggregator, stop)
            }
        }
    }

    private func send(_ rows: [TelemetryEncoder.Row], _ aggregator: String, _ stop: () -> Bool) throws {
        sequences[aggregator, default: 0] += 1
        let sequence = sequences[aggregator] ?? 0
        let link = try link(aggregator)
        let message: [[UInt8]]
        if let link {
            // A journal of an earlier run holds it already: the same call makes the same messages.
            if sequence <= link.journal.last { return }
            let frame = TelemetryFrame(aggregator: aggregator, encoding: plan.encoding, epoch: 0, sequence: sequence)
            message = try link.journal.append(
                topic: Array(frame.topic.utf8), payload: TelemetryEncoder.encode(rows, plan.encoding))
        } else {
            let frame = TelemetryFrame(
                aggregator: aggregator, encoding: plan.encoding, epoch: epoch, sequence: sequence)
            message = [Array(frame.topic.utf8), frame.position, TelemetryEncoder.encode(rows, plan.encoding)]
        }
        progress.samples += rows.count
        progress.messages += 1
        if way.drop > 0, drops.uniform(Int(progress.messages), 0) < way.drop { return }
        let outlet = try outlet(aggregator)
        while true {
            do throws(MessagingError) {
                return try outlet.socket.send(message)
            } catch {
                // The service is away or slower than we are: wait.
                guard error.code == .timedOut else { throw error }
                if stop() { return }
                try converse(milliseconds: 0)
            }
        }
    }
}
