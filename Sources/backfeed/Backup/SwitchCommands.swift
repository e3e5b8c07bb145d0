internal import Foundation
internal import GridModel
internal import ServiceKit
internal import Store

/// Where switches stand, by a person's word.
enum SwitchCommands {
    static let confirm = Command(
        "switches confirm", operands: "[SWITCH…]",
        "say that switches stand where the database has them, after a restore",
        detail: """
            Without names lists those whose position nobody has confirmed since the database was restored. With --all confirms all of them:
            only after somebody has compared them with the control system or the log book. One that stands elsewhere is entered in the
            console or by PUT /v1/network/switches/SWITCH.
            """,
        options: [
            Option("all", nil, "all that are listed"),
            Option("reason", "TEXT", "how that is known; goes to the audit log"),
        ]
    ) { invocation in
        let database = try Service.Database.open(invocation.settings, dataDirectory: invocation.dataDirectory)
        defer { database.close() }
        guard let stored = try NetworkStore.load(database.conninfo) else {
            complain("no network is imported")
            return .negative
        }
        var connection = try PostgresConnection(database.conninfo)
        let all = stored.network.switches.map(\.id)
        guard let open = try Restoration.unconfirmed(all, &connection) else {
            say("the database was never restored: there is nothing to confirm")
            return .done
        }
        let normal = Dictionary(
            stored.network.switches.map { ($0.id, $0.normalPosition) }, uniquingKeysWith: { first, _ in first })
        let position = { (id: String) in stored.livePositions[id] ?? normal[id] ?? .unknown }
        let names = invocation.arguments.has("all") ? open.switches : invocation.arguments.operands
        guard !names.isEmpty else {
            say(
                open.switches.isEmpty
                    ? "every position is confirmed"
                    : table(["switch", "position in the database"], open.switches.map { [$0, position($0).name] }))
            return open.switches.isEmpty ? .done : .negative
        }
        for name in names where !all.contains(name) { throw UsageError("there is no switch \(name)") }
        if let unknown = names.first(where: { !position($0).isSettled }) {
            throw UsageError("\(unknown) is \(position(unknown).name): read it on site and enter where it stands")
        }
        guard let reason = invocation.arguments.text("reason"), !reason.isEmpty else {
            throw UsageError("--reason is missing")
        }
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        try connection.transaction("confirm positions") { connection throws(StoreError) in
            for name in names {
                let area = stored.registry.index[name].map { stored.areaIDs[Int($0)] } ?? 0
                _ = try SwitchStore.state(
                    name, area: area, position: position(name), at: nil, now: now, actor: NSUserName(), reason: reason,
                    &connection)
            }
        }
        say("\(names.count) positions confirmed")
        return .done
    }
}
