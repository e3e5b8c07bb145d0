internal import GridModel

/// Switches, tags, grounds, clearances and reclosing between two steps of a plan.
struct GridState: Equatable {
    /// A switch whose poles stand apart counts as closed.
    var positions: [SwitchPosition]
    /// Poles that stand open in a switch that is closed otherwise, by its place.
    var openPoles: [Int: Phases] = [:]
    var tags: Set<GridSnapshot.Tag>
    var grounds: Set<String>
    var clearances: Set<GridSnapshot.Clearance>
    var reclosingDisabled: Set<String>
    /// Elements that were tested dead while dead, and have not been live since.
    var testedDead: Set<String> = []
    /// W that a DER may give, by its id, where a step has limited it.
    var derLimits: [String: Double] = [:]

    init(_ snapshot: GridSnapshot) {
        positions = snapshot.positions
        tags = snapshot.tags
        grounds = snapshot.grounds
        clearances = snapshot.clearances
        reclosingDisabled = snapshot.reclosingDisabled
    }

    /// Positions for tracing. What is not known counts as closed: more is live, and nothing is called dead that might
    /// not be.
    var traced: [SwitchPosition] { positions.map { $0 == .open ? .open : .closed } }

    /// What a control room calls the position of a switch: with its poles apart it is neither open nor closed.
    func reported(_ number: Int) -> SwitchPosition { openPoles[number] == nil ? positions[number] : .intermediate }

    /// Poles of a switch that are open.
    func open(_ number: Int, _ graph: NetworkGraph) -> Phases {
        positions[number] == .open ? graph.switchPoles[number] : openPoles[number] ?? []
    }

    private mutating func move(_ number: Int, _ step: SwitchingPlan.Step, _ graph: NetworkGraph) {
        let all = graph.switchPoles[number]
        let moved = step.poles.intersection(all)
        guard moved != all else {
            positions[number] = step.action == .open ? .open : .closed
            openPoles[number] = nil
            return
        }
        // Where the others stand is not known: nor is what one pole makes of it.
        guard positions[number] == .open || positions[number] == .closed else { return }
        let before = open(number, graph)
        let after = step.action == .open ? before.union(moved) : before.subtracting(moved)
        positions[number] = after == all ? .open : .closed
        openPoles[number] = after == all || after.isEmpty ? nil : after
    }

    /// Currents and voltages are those of another state: no pole stands otherwise, and no DER is limited otherwise.
    func carriesAs(_ other: Self) -> Bool {
        positions == other.positions && openPoles == other.openPoles && derLimits == other.derLimits
    }

    func isTagged(_ element: String, _ kind: String? = nil) -> Bool {
        tags.contains { $0.element == element && (kind == nil || $0.kind == kind) }
    }

    /// Does what the step says, whether or not it is right: what is wrong is for the checks to tell.
    mutating func apply(_ step: SwitchingPlan.Step, _ graph: NetworkGraph) {
        switch step.action {
        case .open, .close:
            if let number = graph.switchIndex[step.element] { move(number, step, graph) }
        case .placeTag: tags.insert(.init(element: step.element, kind: step.value ?? "HOLD"))
        case .removeTag:
            tags = tags.filter { $0.element != step.element || step.value != nil && $0.kind != step.value }
        case .placeGround: grounds.insert(step.element)
        case .removeGround: grounds.remove(step.element)
        case .issueClearance: clearances.insert(.init(element: step.element, holder: step.value ?? ""))
        case .releaseClearance:
            // Each crew releases its own; without a name only where there is but one.
            let here = clearances.filter { $0.element == step.element }
            if let holder = step.value {
                clearances.remove(.init(element: step.element, holder: holder))
            } else if here.count == 1 {
                clearances.subtract(here)
            }
        case .disableReclosing: reclosingDisabled.insert(step.element)
        case .enableReclosing: reclosingDisabled.remove(step.element)
        case .verify: testedDead.insert(step.element)
        case .control:
            if let limit = ControlCommand.limit(step.value) { derLimits[step.element] = limit }
        case .text: break
        }
    }

    /// Takes a step back that was done before.
    ///
    /// - Parameter before: where the switch stood then.
    mutating func undo(_ step: SwitchingPlan.Step, before: SwitchPosition?, _ graph: NetworkGraph) {
        switch step.action {
        case .open, .close:
            if let number = graph.switchIndex[step.element] {
                positions[number] = before ?? (step.action == .open ? .closed : .open)
                openPoles[number] = nil
            }
        case .placeTag: tags.remove(.init(element: step.element, kind: step.value ?? "HOLD"))
        case .removeTag: tags.insert(.init(element: step.element, kind: step.value ?? "HOLD"))
        case .placeGround: grounds.remove(step.element)
        case .removeGround: grounds.insert(step.element)
        case .issueClearance: clearances.remove(.init(element: step.element, holder: step.value ?? ""))
        case .releaseClearance: clearances.insert(.init(element: step.element, holder: step.value ?? ""))
        case .disableReclosing: reclosingDisabled.remove(step.element)
        case .enableReclosing: reclosingDisabled.insert(step.element)
        // A snapshot knows of no limits: those of the steps that were done come back with them.
        case .control: derLimits[step.element] = nil
        case .verify, .text: break
        }
    }
}
