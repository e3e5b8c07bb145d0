public import GridModel

/// Analysers one after the other, each with the network of its time: what is analysed again, or for the first time after an
/// import, is analysed with the revision that was in force then.
///
/// Mostly there is one. Where the time that is looked at has imports in it, each stage hears everything, says what it has
/// to say of its own time, and is then given up; the next one, warm by then, goes on at the same moment.
public struct Succession: Sendable {
    /// A network and the time that it was in force.
    public struct Stage: Sendable {
        public var model: AnalysisModel
        /// Data from here on, on a full minute; the first stage's does not count.
        public var from: Timestamp
        /// By the number that samples carry, the number in this model's registry, -1 for devices that it does not have;
        /// `nil`: they are the same.
        public var numbers: [Int32]?

        public init(model: AnalysisModel, from: Timestamp, numbers: [Int32]? = nil) {
            self.model = model
            self.from = from
            self.numbers = numbers
        }
    }

    private struct Running: Sendable {
        var analyser: Analyser
        let from, until: Timestamp
        let numbers: [Int32]?

        func number(_ device: Int32) -> Int32 {
            guard let numbers else { return device }
            return numbers.indices.contains(Int(device)) ? numbers[Int(device)] : -1
        }
    }

    private var stages: [Running]
    /// A feeder that stands still does not keep a stage for longer than this behind the others, s.
    private static let patience = 86_400.0

    /// - Parameter stages: at least one, the oldest first.
    public init(_ stages: [Stage], settings: AnalysisSettings) {
        precondition(!stages.isEmpty, "no network")
        self.stages = stages.enumerated().map { place, stage in
            Running(
                analyser: Analyser(model: stage.model, settings: settings),
                from: place == 0 ? .distantPast : stage.from,
                until: place + 1 < stages.count ? stages[place + 1].from : .distantFuture, numbers: stage.numbers)
        }
        if stages.count > 1 { restore(positions: [:], latest: []) }
    }

    private var newest: Analyser { stages[stages.count - 1].analyser }

    // MARK: Restart

    /// As ``Analyser/restore(positions:latest:)``; the later stages begin with their time.
    public mutating func restore(positions: [String: Analyser.Position], latest: [AdvisoryFacts]) {
        for place in stages.indices {
            let stage = stages[place]
            var known = positions
            if place > 0 {
                let begin = Analyser.Position(head: stage.from, minute: stage.from)
                for name in stage.analyser.names {
                    let reached = positions[name] ?? begin
                    known[name] = .init(head: max(reached.head, stage.from), minute: max(reached.minute, stage.from))
                }
            }
            stages[place].analyser.restore(
                positions: known, latest: latest.filter { $0.raisedAt <= stage.until })
        }
    }

    /// As ``Analyser/recall(_:warmFrom:)``.
    public mutating func recall(_ runs: [ForecastRun], warmFrom: Timestamp) {
        for place in stages.indices { stages[place].analyser.recall(runs, warmFrom: warmFrom) }
    }

    // MARK: Input

    public mutating func absorb(_ samples: [Sample]) -> AnalysisOutput {
        if stages.count == 1, stages[0].numbers == nil { return stages[0].analyser.absorb(samples) }
        var output = AnalysisOutput()
        for sample in samples {
            for place in stages.indices {
                var sample = sample
                sample.device = stages[place].number(sample.device)
                guard sample.device >= 0 else { continue }
                var said = AnalysisOutput()
                stages[place].analyser.absorb(sample, &said)
                if !said.isEmpty { say(said, of: place, &output) }
            }
        }
        giveUpStages()
        return output
    }

    public mutating func tick(feeder: String, to time: Timestamp) -> AnalysisOutput {
        var output = AnalysisOutput()
        for place in stages.indices { say(stages[place].analyser.tick(feeder: feeder, to: time), of: place, &output) }
        giveUpStages()
        return output
    }

    /// As ``Analyser/headIsSilent(feeder:until:)``.
    public mutating func headIsSilent(feeder: String, until time: Timestamp) -> AnalysisOutput {
        var output = AnalysisOutput()
        for place in stages.indices {
            say(stages[place].analyser.headIsSilent(feeder: feeder, until: time), of: place, &output)
        }
        return output
    }

    public mutating func switchMoved(_ id: String, to position: SwitchPosition, at time: Timestamp) {
        for place in stages.indices { stages[place].analyser.switchMoved(id, to: position, at: time) }
    }

    /// Passes on what a stage reports for its own time; later stages start from it as history.
    private mutating func say(_ said: AnalysisOutput, of place: Int, _ output: inout AnalysisOutput) {
        let until = stages[place].until
        guard until != .distantFuture else {
            output.reports += said.reports
            output.minutes += said.minutes
            output.forecasts += said.forecasts
            return
        }
        for report in said.reports where report.facts.watermark <= until {
            output.reports.append(report)
            for later in stages.indices where later > place { stages[later].analyser.learn(report.facts) }
        }
        output.minutes += said.minutes.filter { $0.time + FeederState.minute <= until }
        output.forecasts += said.forecasts.filter { $0.madeAt <= until }
    }

    private mutating func giveUpStages() {
        while stages.count > 1 {
            let (positions, until) = (stages[0].analyser.positions.values, stages[0].until)
            let reached = positions.map { min($0.head, $0.minute) }
            guard let slowest = reached.min(), let fastest = reached.max(),
                slowest >= until || fastest - until > Self.patience
            else { return }
            stages.removeFirst()
        }
    }

    // MARK: What there is

    /// How far the analysis has come, by feeder id and `bank/<id>`: of each as far as its own stage has said everything.
    public var positions: [String: Analyser.Position] {
        guard stages.count > 1 else { return stages[0].analyser.positions }
        var found: [String: Analyser.Position] = [:]
        for stage in stages {
            for (name, position) in stage.analyser.positions {
                if let earlier = found[name], min(earlier.head, earlier.minute) < stage.from { continue }
                // Before its time it only warms up.
                let begins = stage.from != .distantPast
                found[name] = .init(
                    head: min(begins ? max(position.head, stage.from) : position.head, stage.until),
                    minute: min(begins ? max(position.minute, stage.from) : position.minute, stage.until))
            }
        }
        return found
    }

    public var banksByFeeder: [String: Set<String>] { newest.banksByFeeder }

    /// Whether the network still has what an advisory is about.
    public func knows(_ facts: AdvisoryFacts) -> Bool { newest.knows(facts) }

    /// Everything that has a position of its own: feeders, banks, the region.
    var names: Set<String> { Set(stages.flatMap(\.analyser.names)) }

    /// Feeders of all stages.
    public var feeders: [String] { Array(Set(stages.flatMap(\.analyser.feederIDs))).sorted() }

    /// The feeder at home of which a device was at a time; empty where it was not there.
    func feeder(of device: Int32, at time: Timestamp) -> String {
        guard let stage = stages.last(where: { $0.from <= time }) ?? stages.first else { return "" }
        let number = Int(stage.number(device))
        let devices = stage.analyser.model.registry.devices
        return devices.indices.contains(number) ? devices[number].normalFeeder : ""
    }
}

extension Analyser {
    /// Everything that has a position of its own.
    var names: [String] { feederIDs + banks.map { "bank/\($0.id)" } + [Front.name] }
    var feederIDs: [String] { feeders.map(\.id) }

    /// Remembers an advisory from before this analyser's time, while it is warming up.
    mutating func learn(_ facts: AdvisoryFacts) { stored["\(facts.kind.rawValue)|\(facts.element)"] = facts }
}
