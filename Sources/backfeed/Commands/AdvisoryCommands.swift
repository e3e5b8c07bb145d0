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
            Option("kind", "K", "only this kind"), Option("follow", nil, "go on: print events as they are published"),
            Option("format", "table|json", "how to print them (default table)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let format = try arguments.choice("format", ["table", "json"], otherwise: "table")
        if arguments.has("follow") { return try follow(invocation, format) }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.closeUnlessShared() }
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

    static let acknowledge = Command(
        "acknowledge", operands: "ID", "acknowledge an advisory",
        options: [
            Option("version", "N", "the version that was seen; refused when the severity has risen since"),
            Option("actor", "NAME", "who acknowledges (default: the login name)"),
        ]
    ) { invocation in
        let id = try invocation.arguments.operand(0, "ID")
        let version = try invocation.arguments.number("version", in: 0...1e9).map { Int($0) }
        let actor = invocation.arguments.text("actor") ?? NSUserName()
        if let complaint = Identifier.complaint(actor) { throw UsageError("--actor: \(complaint)") }
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.closeUnlessShared() }
        var store = AdvisoryStore(conninfo: database.conninfo)
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        switch try store.acknowledge(id, version: version, actor: actor, now: now) {
        case .done:
            say("acknowledged \(id)")
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
