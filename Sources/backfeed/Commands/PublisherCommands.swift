internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit
internal import Store

/// Commands for who may speak for a device, and for streams that cannot go on. With a private cluster, run them while the
/// service runs; a service that is stopped carries them out when it starts.
enum PublisherCommands {
    static let release = Command(
        "device release", operands: "DEVICE", "let another aggregator speak for a device: whoever speaks next",
        detail: "A running service takes it over within two seconds. It stands in the audit log."
    ) { invocation in
        try hand(invocation, to: nil)
    }

    static let handOver = Command(
        "device hand-over", operands: "DEVICE AGGREGATOR", "give a device to another aggregator",
        detail: """
            For a customer who changes aggregator: the old one is refused from then on (wrong_aggregator), the new one taken. A
            running service takes it over within two seconds. It stands in the audit log.
            """
    ) { invocation in
        let name = try invocation.arguments.operand(1, "AGGREGATOR that gets the device")
        if let complaint = Identifier.complaint(name) { throw UsageError("AGGREGATOR: \(complaint)") }
        return try hand(invocation, to: name)
    }

    static let reset = Command(
        "publisher reset", operands: "AGGREGATOR", "let an aggregator's stream begin anew, from any epoch",
        detail: """
            For a publisher whose journal was started under a wrong clock, so that every right epoch is refused (old_epoch). What
            was missing is declared lost; nothing that is stored changes. A running service takes it over within two seconds. It
            stands in the audit log.
            """
    ) { invocation in
        let name = try invocation.arguments.operand(0, "AGGREGATOR whose stream begins anew")
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard case .ordered = try IngestOrder.reset(name, by: actor, database.conninfo) else {
            complain("backfeed publisher reset: nothing was ever heard of \(name)")
            return .negative
        }
        say("the stream of \(name) begins anew with its next message")
        return .done
    }

    private static func hand(_ invocation: Invocation, to aggregator: String?) throws -> ExitCode {
        let device = try invocation.arguments.operand(0, "DEVICE")
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard case .ordered(let owner) = try IngestOrder.hand(device, to: aggregator, by: actor, database.conninfo)
        else {
            complain("there is no device \(device)")
            return .negative
        }
        say(
            "\(device): \(owner.map { "was \($0)'s" } ?? "was nobody's"), \(aggregator.map { "is \($0)'s now" } ?? "will belong to whoever speaks for it next")"
        )
        return .done
    }

    private static var actor: String { getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "unknown" }
}
