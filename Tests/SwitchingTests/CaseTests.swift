import DataDirectory
import Foundation
import GridModel
import Switching
import Testing

/// The worked cases of the rules: `Cases/<case>/plan.json` against `Cases/n1`, with its state and what must come out.
struct WorkedCase: Decodable {
    struct State: Decodable {
        /// Factors on native load and on the PV output of now.
        var load, pv: Double?
        /// Load of the EXPORT case, as a factor on native load.
        var light: Double?
        var positions: [String: SwitchPosition]?
        var tags, clearances: [[String]]?
        var grounds: [String]?
        var switch_kinds: [String: String]?
        var has_3v0: [String: Bool?]?
        var shift_degree: [String: Double]?
        var sources: [Source]?
        var ders: [DER]?
        var advisories: [Active]?
        /// How long what is dead has been dead; missing: nobody knows.
        var dead_hours: Double?
        /// Load and PV factors of the quarter hours that follow.
        var outlook: [[Double]]?
    }
    struct Active: Decodable {
        var id, feeder, element: String
        var kind: AdvisoryKind
        var severity: Severity
    }
    struct Source: Decodable {
        var node: String
        var perUnit, degrees: Double
        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            (node, perUnit, degrees) = (
                try list.decode(String.self), try list.decode(Double.self), try list.decode(Double.self)
            )
        }
    }
    struct DER: Decodable {
        var id, kind, node: String
        var ratedKW, nowKW: Double
        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            (id, kind, node) = (
                try list.decode(String.self), try list.decode(String.self), try list.decode(String.self)
            )
            (ratedKW, nowKW) = (try list.decode(Double.self), try list.decode(Double.self))
        }
    }
    struct Expectation: Decodable {
        var check: String
        var severity: Finding.Severity
        var step: Int?
        var element: String?
        var value, tolerance: Double?
    }
    var state: State
    var verdict: Verdict.Decision
    var findings: [Expectation]

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Cases")
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        .filter { $0 != "n1" }.sorted()
    static let start = Timestamp("2026-06-21T11:00:00Z")!
    /// kW of PV now, of the rules' table.
    static let photovoltaics = ["PV-A1a": 500.0, "PV-A1b": 1500, "PV-B1b": 200, "PV-B1a": 300]

    static func network() throws -> Network { try NetworkReader.read(folder.appending(path: "n1").path).network }

    /// N1, with the files that a case has of its own in the place of N1's.
    static func network(of name: String) throws -> Network {
        let own = folder.appending(path: "\(name)/network")
        let files = FileManager.default
        guard files.fileExists(atPath: own.path) else { return try network() }
        let made = files.temporaryDirectory.appending(path: "backfeed-\(name)-\(UUID().uuidString)")
        defer { try? files.removeItem(at: made) }
        try files.createDirectory(at: made, withIntermediateDirectories: true)
        try files.copyItem(at: folder.appending(path: "n1/network"), to: made.appending(path: "network"))
        for file in try files.contentsOfDirectory(atPath: own.path) {
            let target = made.appending(path: "network/\(file)")
            try? files.removeItem(at: target)
            try files.copyItem(at: own.appending(path: file), to: target)
        }
        return try NetworkReader.read(made.path).network
    }

    static func limits() -> SwitchingLimits {
        var limits = SwitchingLimits()
        (limits.mvMaximum, limits.voltageMargin) = (1.0583, 0.0083)
        return limits
    }

    static func snapshot(_ network: Network, load: Double = 1, pv: Double = 1) -> GridSnapshot {
        let nodes = Dictionary(uniqueKeysWithValues: network.nodes.enumerated().map { ($1.id, $0) })
        var (watts, vars) = ([Double](repeating: 0, count: nodes.count), [Double](repeating: 0, count: nodes.count))
        for item in network.loads {
            watts[nodes[item.node]!] += item.kilowatts * 1000 * load
            vars[nodes[item.node]!] += item.kilovars! * 1000 * load
        }
        var snapshot = GridSnapshot(
            time: start, networkRevision: "1", positions: network.switches.map(\.normalPosition),
            taps: network.transformers.map { _ in nil }, loadWatts: watts, loadVars: vars,
            derWatts: network.ders.map { (photovoltaics[$0.id] ?? 0) * 1000 * pv },
            derVars: [Double](repeating: 0, count: nodes.count))
        snapshot.lightLoadShare = 1
        return snapshot
    }

    func run(_ name: String) throws -> (plan: SwitchingPlan, verdict: Verdict, picture: PlanPicture) {
        var network = try Self.network(of: name)
        for (id, kind) in state.switch_kinds ?? [:] {
            network.switches[network.switches.firstIndex { $0.id == id }!].kind = kind
        }
        for (id, value) in state.has_3v0 ?? [:] {
            network.transformers[network.transformers.firstIndex { $0.id == id }!].hasZeroSequenceProtection = value
        }
        for (id, value) in state.shift_degree ?? [:] {
            network.transformers[network.transformers.firstIndex { $0.id == id }!].shiftDegrees = value
        }
        if let sources = state.sources {
            network.sources = sources.map {
                .init(id: $0.node, node: $0.node, voltagePerUnit: $0.perUnit, angleDegrees: $0.degrees, isStiff: true)
            }
        }
        for der in state.ders ?? [] {
            network.ders.append(
                .init(id: der.id, kind: DeviceKind(rawValue: der.kind)!, node: der.node, ratedKW: der.ratedKW))
        }
        var snapshot = Self.snapshot(network, load: state.load ?? 1, pv: state.pv ?? 1)
        for der in state.ders ?? [] {
            snapshot.derWatts[network.ders.firstIndex { $0.id == der.id }!] = der.nowKW * 1000
        }
        for (id, position) in state.positions ?? [:] {
            snapshot.positions[network.switches.firstIndex { $0.id == id }!] = position
        }
        snapshot.tags = Set((state.tags ?? []).map { .init(element: $0[0], kind: $0[1]) })
        snapshot.clearances = Set((state.clearances ?? []).map { .init(element: $0[0], holder: $0[1]) })
        snapshot.grounds = Set(state.grounds ?? [])
        snapshot.advisories = (state.advisories ?? []).map {
            .init(id: $0.id, kind: $0.kind, severity: $0.severity, feeder: $0.feeder, element: $0.element)
        }
        if let light = state.light { snapshot.lightLoadShare = light / (state.load ?? 1) }
        if let hours = state.dead_hours {
            for node in network.nodes.indices { snapshot.deadSince[node] = Self.start - hours * 3600 }
        }
        for (number, factors) in (state.outlook ?? []).enumerated() {
            let later = Self.snapshot(network, load: factors[0], pv: factors[1])
            var watts = later.loadWatts
            for (place, der) in network.ders.enumerated() {
                watts[network.nodes.firstIndex { $0.id == der.node }!] -= later.derWatts[place]
            }
            snapshot.outlook.append(
                .init(time: Self.start + Double(number + 1) * 900, watts: watts, vars: later.loadVars))
        }
        let plan = try PlanDocument.decode(
            Array(Data(contentsOf: Self.folder.appending(path: "\(name)/plan.json"))))
        let validator = PlanValidator(network, limits: Self.limits(), software: "test")
        return (plan, validator.validate(plan, snapshot), validator.picture(plan, snapshot))
    }
}

@Suite struct CaseTests {
    @Test func theCasesAreThere() { #expect(WorkedCase.names.count >= 23) }

    @Test(arguments: WorkedCase.names)
    func theRulesWorkedCaseComesOut(name: String) throws {
        let path = WorkedCase.folder.appending(path: "\(name)/case.json")
        let item = try JSONDecoder().decode(WorkedCase.self, from: Data(contentsOf: path))
        let (plan, verdict, picture) = try item.run(name)
        let all = verdict.findings.map { "\($0.severity.rawValue) \($0.check) step \($0.step ?? 0): \($0.message)" }
        #expect(verdict.verdict == item.verdict, "\(all.joined(separator: "\n"))")
        #expect(verdict.steps.count == plan.steps.count + 1)
        for wanted in item.findings {
            let found = verdict.findings.first {
                $0.check == wanted.check && $0.severity == wanted.severity && $0.step == wanted.step
                    && (wanted.element.map($0.elements.contains) ?? true)
            }
            #expect(found != nil, "\(wanted): \(all.joined(separator: "\n"))")
            if let found, let value = wanted.value {
                #expect(abs((found.value ?? .nan) - value) <= wanted.tolerance ?? 0, "\(found)")
            }
        }
        // Element by element, the picture is what the states sum up.
        for (state, stage) in zip(verdict.steps, picture.stages) where stage.problem == nil {
            #expect(state.deEnergisedNodes == stage.energised.filter { !$0 }.count)
            let known = zip(picture.branches, stage.loadingPct).filter { $0.0 == state.worstLoadingElement }
            #expect(abs((known.first?.1 ?? .nan) - (state.worstLoadingPct ?? .nan)) <= 0.05)
            #expect(stage.loadingPct.compactMap { $0 }.max().map { $0 <= state.worstLoadingPct! + 0.05 } ?? false)
            let lowest = zip(picture.nodes, stage.voltagePu).first { $0.0 == state.minVoltageNode }?.1
            #expect(abs((lowest ?? .nan) - (state.minVoltagePu ?? .nan)) <= 0.00005)
        }
        // What refuses or blocks comes with what would help.
        for finding in verdict.findings where finding.severity > .condition {
            #expect(finding.remedy != nil, "\(finding)")
        }
    }

    /// What the most loaded line carries, by the rules' table, which neglects losses and takes the nominal voltage.
    @Test(arguments: [
        (false, 1.0, 1.0, "B1a", 195.5), (false, 1.0, 0.0, "A1a", 265.9), (true, 1.0, 1.0, "B1a", 251.1),
        (true, 1.0, 0.0, "B1a", 338.4), (true, 0.6, 0.0, "B1a", 203.0),
    ])
    func loadingIsTheTables(isTransferred: Bool, load: Double, pv: Double, line: String, amperes: Double) throws {
        let network = try WorkedCase.network()
        let plan = SwitchingPlan(
            id: "x", kind: .loadTransfer, policy: .init(allowTransientLoop: true),
            steps: isTransferred
                ? [.init(sequence: 1, action: .close, element: "T"), .init(sequence: 2, action: .open, element: "R-A")]
                : [.init(sequence: 1, action: .text, element: "")])
        let verdict = PlanValidator(network, limits: WorkedCase.limits(), software: "test").validate(
            plan, WorkedCase.snapshot(network, load: load, pv: pv), cases: [.now])
        let state = try #require(verdict.steps.last)
        #expect(state.worstLoadingElement == line)
        let rated = try #require(network.lines.first { $0.id == line }?.ratedAmperes)
        let found = try #require(state.worstLoadingPct) / 100 * rated
        #expect(abs(found - amperes) < 0.03 * amperes, "\(found)")
        #expect(state.radial && state.deEnergisedNodes == 0)
    }
}
