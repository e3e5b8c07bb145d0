internal import DataDirectory
internal import Foundation
internal import GridModel
internal import Messaging
internal import ServiceKit

enum PublisherCheckCommand {
    static let command = Command(
        "publisher check", "listen to a publisher as the service would, and say rule by rule whether it may join",
        detail: """
            Connect the publisher to the two endpoints; nothing is stored. Rules: encoding, identity, sequence, clock, rate,
            replay, ranges, sign. Identity, ranges and sign need the network (--network). Exit code 0: all passed; 1: one
            failed; 4: none failed, and one could not be checked.
            With --key only that key is let in; the server key to use meanwhile is printed, because this is not the service.
            """,
        options: [
            Option("plain", nil, "without keys, on loopback"),
            Option("key", "FILE", "key file of the aggregator, from access add-publisher"),
            Option("network", "DIR", "data directory with the network: devices, kinds, ratings"),
            Option("telemetry", "ENDPOINT", "where to listen (default tcp://127.0.0.1:5560)"),
            Option("control", "ENDPOINT", "where to listen for the control channel (default tcp://127.0.0.1:5561)"),
            Option("for", "S", "seconds to listen from the first message on (default 60)"),
            Option("patience", "S", "seconds to wait for the first message (default 60)"),
            Option("format", "table|json", "how to print it (default table)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let key = try arguments.text("key").map { try KeyFile(path: $0) }
        guard (key == nil) == arguments.has("plain") else { throw UsageError("expected either --plain or --key FILE") }
        let network = try arguments.text("network").map { try NetworkReader.read($0).network }
        let registry = network.map { DeviceRegistry(devices: DeviceRegistry.devices(of: $0, graph: NetworkGraph($0))) }
        let settings = invocation.settings
        var conformance = Conformance(
            limits: .init(
                messagesPerSecond: settings.number("telemetry.max_messages_per_s"),
                bytesPerSecond: settings.number("telemetry.max_bytes_per_s"),
                maximumMessage: settings.integer("telemetry.max_message_bytes"),
                plausibleRating: settings.number("ingest.plausible_rating"),
                // Without a network there is no registry, and nothing is judged by it.
                nominalFrequency: network?.nominalFrequency ?? 50),
            registry: registry, owner: key?.aggregator)
        var listener = try PublisherListener(
            telemetry: arguments.text("telemetry") ?? "tcp://127.0.0.1:5560",
            control: arguments.text("control") ?? "tcp://127.0.0.1:5561", key: key,
            hardMessage: settings.integer("telemetry.hard_message_bytes"))
        complain(
            "listening: telemetry=\(listener.endpoints.telemetry) control=\(listener.endpoints.control)"
                + (listener.serverKey.map { " server_key=\($0)" } ?? ""))
        try listener.listen(
            seconds: try arguments.number("for", in: 1...86_400) ?? 60,
            patience: try arguments.number("patience", in: 1...86_400) ?? 60, &conformance)
        let findings = conformance.findings()
        if try arguments.choice("format", ["table", "json"], otherwise: "table") == "json" {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let rows = findings.map {
                ["rule": $0.rule, "result": $0.result.rawValue, "seen": $0.seen, "advice": $0.advice]
            }
            say(String(decoding: try encoder.encode(rows), as: UTF8.self))
        } else {
            for finding in findings {
                let mark = ["pass": "ok  ", "fail": "FAIL"][finding.result.rawValue] ?? "?   "
                say("\(mark) \(finding.rule.padding(toLength: 9, withPad: " ", startingAt: 0)) \(finding.seen)")
                if !finding.advice.isEmpty { say("               → \(finding.advice)") }
            }
        }
        if findings.contains(where: { $0.result == .fail }) { return .negative }
        return findings.contains(where: { $0.result == .unchecked }) ? .cannotAssess : .done
    }
}
