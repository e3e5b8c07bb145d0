internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit
internal import Store

enum AdvisoryCommands {
    static let list = Command(
        "advisories", "list or follow advisories",
        options: [
            Option("active", nil, "only those whose condition holds"), Option("feeder", "F", "only this feeder"),
            Option("kind", "K", "only this kind"),
            Option("amended", nil, "instead: what samples that came late have changed in what had been said"),
            Option("follow", nil, "go on: print events as they are published"),
            Option("format", "table|json", "how to print them (default table)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let format = try arguments.choice("format", ["table", "json"], otherwise: "table")
        if arguments.has("amended"), let other = ["active", "kind", "follow"].first(where: arguments.has) {
            throw UsageError("--\(other) does not go with --amended: only --feeder does")
        }
        if arguments.has("follow") { return try follow(invocation, format) }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        if arguments.has("amended") { return try amended(database, feeder: arguments.text("feeder"), format) }
        var filter = Queries.AdvisoryFilter()
        filter.activeOnly = arguments.has("active")
        filter.feeder = arguments.text("feeder")
        filter.kind = arguments.text("kind")
        filter.limit = 100_000
        var queries = Queries(conninfo: database.conninfo)
        let items = try queries.advisories(filter)
        if format == "json" {
            say("{\"items\":[\(items.joined(separator: ",\n"))]}")
        } else {
            say(table(["sev", "kind", "feeder", "element", "onset", "cleared", "state", "id"], try items.map(row)))
            say("\(items.count) advisories")
        }
        return .done
    }

    private struct Shown: Decodable {
        var id: String
        var kind: String
        var feeder: String
        var element: String
        var severity: Int
        var state: String
        var onset: Timestamp
        var clearedAt: Timestamp?
        var message: String
    }

    private static func row(_ json: String) throws -> [String] {
        let item = try JSONCoding.decode(Shown.self, json)
        return [
            "\(item.severity)", item.kind, item.feeder, item.element, "\(item.onset)",
            item.clearedAt.map { "\($0)" } ?? "-",
            item.state, item.id,
        ]
    }

    private struct Amendment: Decodable {
        struct Said: Decodable {
            var raisedAt: Timestamp
        }
        struct Late: Decodable {
            var samples: Int
        }
        var change: String
        var kind: String
        var feeder: String
        var element: String
        var said: [String]
        var before: Said?
        var after: Said?
        var recordedAt: Timestamp
        var late: Late
    }

    private static func amended(
        _ database: Service.Database, feeder: String?, _ format: String
    ) throws -> ExitCode {
        var queries = Queries(conninfo: database.conninfo)
        let items = try queries.amendments(feeder: feeder, since: nil, until: nil, limit: 100_000, offset: 0)
        if format == "json" {
            say("{\"items\":[\(items.joined(separator: ",\n"))]}")
            return .done
        }
        let rows = try items.map { json in
            let item = try JSONCoding.decode(Amendment.self, json)
            let raised = { (said: Amendment.Said?) in said.map { "\($0.raisedAt)" } ?? "-" }
            return [
                item.change, item.kind, item.feeder, item.element, raised(item.before), raised(item.after),
                "\(item.late.samples)", "\(item.recordedAt)", item.said.joined(separator: "; "),
            ]
        }
        say(
            table(
                ["change", "kind", "feeder", "element", "raised", "would be", "late samples", "recorded", "moved"], rows
            ))
        say("\(items.count) amendments")
        return .done
    }

    private static func follow(_ invocation: Invocation, _ format: String) throws -> ExitCode {
        let context = try MessagingContext()
        var socket = try Socket(.subscribe, in: context)
        let feeder = invocation.arguments.text("feeder")
        try socket.subscribe(feeder.map { "advisory/1/\($0)/" } ?? "advisory/1/")
        try socket.subscribe("heartbeat/1")
        try socket.linger(milliseconds: 0)
        try socket.connect(invocation.settings.text("advisories.bind"))
        let wake = WakeDescriptor()
        let ended = Guarded(false)
        _ = WorkerThread(name: "signals") {
            _ = ShutdownSignal.wait()
            ended.withLock { $0 = true }
            wake.wake()
        }
        struct Event: Decodable { var type: String; var sequence: Int; var data: Shown }
        var message = MessageBuffer()
        var heardAt = SystemClock.monotonicNanoseconds
        var isSilent = false
        while !ended.withLock({ $0 }) {
            _ = try socket.wait(alsoFor: wake.rawValue, milliseconds: 1000)
            while try socket.receive(into: &message) {
                heardAt = SystemClock.monotonicNanoseconds
                if isSilent { complain("the service is heard again") }
                isSilent = false
                let topic = String(decoding: message.bytes(0), as: UTF8.self)
                guard topic.hasPrefix("advisory/"), message.count == 2 else { continue }
                let json = String(decoding: message.bytes(1), as: UTF8.self)
                if format == "json" {
                    say(json)
                } else {
                    let event = try JSONCoding.decode(Event.self, json)
                    let type = event.type.split(separator: ".").last ?? ""
                    say("\(event.sequence)  \(type)  severity \(event.data.severity)  \(event.data.message)")
                }
            }
            if !isSilent, SystemClock.monotonicNanoseconds - heardAt > 3_000_000_000 {
                isSilent = true
                complain("no heartbeat for 3 s: nothing is known of the feeders")
            }
        }
        return .done
    }

    /// What people do with an advisory, under the same rules as the API.
    static let acts: [Command] = [
        act("acknowledge", "acknowledge an advisory", [version]) { .acknowledge(version: try number($0)) },
        act("shelve", "silence an advisory for a while; it goes on counting for switching", [howLong, why]) {
            .shelve(seconds: try seconds($0))
        },
        act("unshelve", "end the shelving of an advisory", []) { _ in .unshelve },
        act("reset", "close a latched advisory whose condition is over", []) { _ in .reset },
        act("comment", "write something into an advisory's history", [why]) { _ in .comment },
        act(
            "out-of-service",
            "stop looking at an advisory; it counts as unknown for switching, and a second person agrees",
            [howLong, why]
        ) { .takeOutOfService(seconds: try seconds($0)) },
        act("return-to-service", "look at an advisory again", []) { _ in .returnToService },
    ]

    private static let version = Option(
        "version", "N", "the version that was seen; refused when the severity has risen since")
    private static let howLong = Option("for", "TIME", "how long, as 90s, 30m, 8h or 2d")
    private static let why = Option("reason", "TEXT", "why, or what is said")

    private static func number(_ arguments: Arguments) throws -> Int? {
        try arguments.number("version", in: 0...1e9).map { Int($0) }
    }

    private static func seconds(_ arguments: Arguments) throws -> Double {
        let units = ["s": 1.0, "m": 60, "h": 3600, "d": 86_400]
        let text = arguments.text("for") ?? ""
        guard let unit = text.last.flatMap({ units[String($0)] }), let count = Double(text.dropLast()), count > 0 else {
            throw UsageError("--for: expected a time as 90s, 30m, 8h or 2d, got \"\(text)\"")
        }
        return count * unit
    }

    private static func act(
        _ name: String, _ summary: String, _ options: [Option],
        _ make: @escaping @Sendable (Arguments) throws -> AdvisoryStore.Act
    ) -> Command {
        let actor = Option("actor", "NAME", "who does it (default: the login name)")
        return Command(name, operands: "ID", summary, options: options + [actor]) { invocation in
            let id = try invocation.arguments.operand(0, "ID")
            let act = try make(invocation.arguments)
            let actor = invocation.arguments.text("actor") ?? NSUserName()
            if let complaint = Identifier.complaint(actor) { throw UsageError("--actor: \(complaint)") }
            let reason = options.contains { $0.name == "reason" } ? invocation.arguments.text("reason") : nil
            let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
            defer { database.close() }
            var store = AdvisoryStore(
                conninfo: database.conninfo, limits: invocation.settings.lifecycleLimits)
            let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
            switch try store.act(act, on: id, by: actor, role: nil, reason: reason, now: now) {
            case .done:
                var queries = Queries(conninfo: database.conninfo)
                let shown = try queries.advisory(id).map { try JSONCoding.decode(Shown.self, $0) }
                say("\(id) is \(shown?.state ?? "stored")")
                return .done
            case .unknown:
                complain("there is no advisory \(id)")
                return .negative
            case .refused(let reason):
                complain("refused: \(reason)")
                return .negative
            }
        }
    }
}
