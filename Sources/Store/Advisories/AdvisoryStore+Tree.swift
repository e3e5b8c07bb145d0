internal import GridModel

/// Which advisory is part of which, kept with each change. Whoever calls this holds the lock of the numbers, so that nothing
/// else changes an advisory meanwhile.
extension AdvisoryStore {
    /// What the tree needs of an advisory that is open, and what it has made of it so far. Its facts stay in the table: with some
    /// hundreds of open advisories, reading these for each new one would take longer than all else.
    private struct Standing {
        var node: AdvisoryTree.Node
        var spell: String
        var state: AdvisoryState
        var isActive: Bool
        /// Its own, or the worst of what is part of it.
        var severity: Severity
        var parent: String?

        init?(_ row: [String?]) {
            guard row.count == 12, let id = row[0], let spell = row[1],
                let state = row[2].flatMap(AdvisoryState.init(rawValue:)),
                let severity = row[4].flatMap(Int.init).flatMap(Severity.init(rawValue:)),
                let own = row[5].flatMap(Int.init).flatMap(Severity.init(rawValue:)),
                let kind = row[6].flatMap(AdvisoryKind.init(rawValue:)), let feeder = row[7], let element = row[8],
                let detector = row[9]
            else { return nil }
            node = .init(
                id: id, kind: kind, detector: detector, feeder: feeder, element: element, severity: own, cause: row[10])
            self.spell = spell
            self.state = state
            isActive = row[3] == "t"
            self.severity = severity
            parent = row[11]
        }
    }

    private static func standing(_ connection: inout PostgresConnection) throws(StoreError) -> [Standing] {
        let rows = try connection.query(
            """
            SELECT id, spell, state, is_active, severity, own_severity, kind, feeder, element, detector, cause, parent \
            FROM backfeed_store.advisory WHERE state <> 'closed' ORDER BY id
            """, as: "read the tree of advisories")
        var found: [Standing] = []
        for row in rows {
            guard let item = Standing(row) else {
                throw StoreError(
                    .conflict, "read the tree of advisories", message: "\((row.first ?? nil) ?? "a row") cannot be read"
                )
            }
            found.append(item)
        }
        return found
    }

    /// The advisory that another one is part of, and whether the part still asks for attention by itself.
    struct Part {
        var parent: String
        var calls: Bool
    }

    /// For advisories that start as part of an active one, or together with one: the advisory that each belongs to.
    static func parts(
        among commit: Commit, _ connection: inout PostgresConnection
    ) throws(StoreError) -> [String: Part] {
        let started = commit.reports.filter { $0.change == .start }.map(\.facts)
        guard !started.isEmpty else { return [:] }
        var nodes: [String: AdvisoryTree.Node] = [:]
        var rows: [String: String] = [:]
        for item in try standing(&connection) where item.isActive && item.state != .outOfService {
            nodes[item.spell] = item.node
            nodes[item.spell]?.id = item.spell
            rows[item.spell] = item.node.id
        }
        for facts in started { nodes[facts.id] = AdvisoryTree.Node(facts) }
        let tree = AdvisoryTree(nodes.values.sorted { $0.id < $1.id }, banks: commit.banks)
        var found: [String: Part] = [:]
        for facts in started {
            guard let parent = tree.parents[facts.id] else { continue }
            found[facts.id] = Part(parent: rows[parent] ?? parent, calls: tree.stands(facts.id))
        }
        return found
    }

    /// Brings parents, and what they are worth, up to what is active now.
    static func correlate(
        banks: [String: Set<String>], _ connection: inout PostgresConnection
    ) throws(StoreError) -> [StoredEvent] {
        let all = try standing(&connection)
        let tree = AdvisoryTree(
            all.filter { $0.isActive && $0.state != .outOfService }.map(\.node), banks: banks)
        var events: [StoredEvent] = []
        for item in all {
            let parent = item.state == .shelved ? nil : tree.parents[item.node.id]
            let stands = parent == nil || tree.stands(item.node.id)
            let severity = tree.severities[item.node.id] ?? item.node.severity
            // A parent shows the severity of its parts, but does not call a second time for parts that call by
            // themselves.
            let rises = (tree.calls[item.node.id] ?? item.node.severity) > item.severity
            let isShown = [.unacknowledgedActive, .acknowledgedActive].contains(item.state)
            let event: AdvisoryLifecycle.Event
            if !stands, isShown {
                event = .suppress
            } else if stands, item.state == .suppressed {
                event = .unsuppress
            } else if severity != item.severity {
                event = rises ? .severityRose(to: severity) : severity > item.severity ? .amended : .severityFell
            } else if parent != item.parent, isShown || item.state == .suppressed {
                event = .amended
            } else {
                continue
            }
            guard var row = try AdvisoryRow.read(where: "id = $1", [item.node.id], &connection).first else { continue }
            row.severity = severity
            guard case .moved(let move) = AdvisoryLifecycle.outcome(of: event, in: row.situation) else { continue }
            row.parent = parent
            events.append(
                try row.take(
                    move, rises: rises && move.state == .unacknowledgedActive, actor: "analyser",
                    note: parent == item.parent && isShown && stands ? nil : parent.map { "part of \($0)" },
                    at: row.facts.watermark,
                    &connection))
        }
        return events
    }
}
