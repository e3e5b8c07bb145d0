internal import Analysis
internal import DataDirectory
internal import GridModel

/// How good the forecast is on a window of a data directory: all its DER and the true power of its heads through the
/// analyser, then its own figures of skill. The time it takes is not the point.
struct ForecastBench {
    private let network: Network
    private let window: ProfileWindow
    private let truth: TruthWindow

    init(directory: String, window name: String) throws {
        network = try NetworkReader.read(directory).network
        window = try ProfileWindow(directory: directory, name: name, network: network)
        truth = try TruthWindow(directory: directory, window: name, start: window.start, step: window.step)
    }

    /// A table of all feeders together, by horizon.
    func run(_ settings: AnalysisSettings) -> [[String]] {
        let registry = DeviceRegistry(devices: DeviceRegistry.devices(of: network, graph: NetworkGraph(network)))
        let runs = forecasts(settings, registry)
        var sums: [Int: Sum] = [:]
        for (feeder, members) in Dictionary(grouping: runs, by: \.feeder) {
            let limits = settings.limits(of: feeder, registry: registry)
            let net = Dictionary(members.map { ($0.madeAt, Double($0.net)) }, uniquingKeysWith: { first, _ in first })
            let pairs = members.flatMap { run in
                run.horizons.compactMap { item in
                    net[run.madeAt + item.seconds].map { measured in
                        ForecastSkill.Pair(
                            aheadMin: Int(item.seconds / 60), time: run.madeAt + item.seconds,
                            quantiles: item.quantiles.map(Double.init), persistence: Double(run.net),
                            reverseProbability: Double(item.reverse), measured: measured)
                    }
                }
            }
            let skill = ForecastSkill(
                feeder: feeder, from: truth.start, until: window.end, pairs: pairs, rating: limits.rating,
                threshold: limits.reverseOnThreshold, start: settings.forecastStart)
            for week in skill.weeks { for item in week.horizons { sums[item.aheadMin, default: Sum()].add(item) } }
        }
        return sums.sorted { $0.key < $1.key }.map { $1.row(ahead: $0) }
    }

    /// Heads and DER in steps of five minutes or the window's own, whichever is longer.
    private func forecasts(_ settings: AnalysisSettings, _ registry: DeviceRegistry) -> [ForecastRun] {
        var analyser = Analyser(
            model: AnalysisModel(network: network, registry: registry, revision: 1), settings: settings)
        let every = max(1, Int((300 / truth.step).rounded()))
        let width = truth.step * Double(every)
        let heads = truth.heads.compactMap { head in registry.index["FH-\(head.feeder)"].map { ($0, head) } }
        let ders = network.ders.enumerated().compactMap { place, der in registry.index[der.id].map { ($0, place) } }
        var runs: [ForecastRun] = []
        for first in stride(from: 0, to: truth.heads.first?.kilowatts.count ?? 0, by: every) {
            var samples: [Sample] = []
            let time = truth.start + Double(first) * truth.step + width
            for (number, place) in ders {
                let kilowatts = window.ders[place].kilowatts(at: Double(first) * truth.step + width / 2)
                samples.append(
                    Sample(device: number, time: time, activePower: Float(kilowatts * 1000), interval: Float(width)))
            }
            for (number, head) in heads {
                let last = min(first + every, head.kilowatts.count)
                let mean = head.kilowatts[first..<last].reduce(0, +) / Double(last - first)
                samples.append(
                    Sample(device: number, time: time, activePower: Float(mean * 1000), interval: Float(width)))
            }
            runs += analyser.absorb(samples).forecasts
        }
        return runs
    }

    private struct Sum {
        var runs = 0
        var (square, persistence, within60, within90, brier) = (0.0, 0.0, 0.0, 0.0, 0.0)
        var (reversed, expected, hits) = (0, 0, 0)

        mutating func add(_ item: ForecastSkill.Horizon) {
            let count = Double(item.runs)
            runs += item.runs
            square += item.rmseW * item.rmseW * count
            persistence += item.persistenceRmseW * item.persistenceRmseW * count
            within60 += item.within60Pct * count
            within90 += item.within90Pct * count
            brier += item.brier * count
            reversed += item.reversed
            expected += item.expected
            hits += item.hits
        }

        func row(ahead: Int) -> [String] {
            func short(_ value: Double, _ places: Double = 1000) -> String {
                value.isFinite ? "\((value * places).rounded() / places)" : "n/a"
            }
            let count = Double(runs)
            let (rmse, usual) = ((square / count).squareRoot(), (persistence / count).squareRoot())
            return [
                "\(ahead)", "\(runs)", short(rmse / 1e6), short(usual / 1e6), short(1 - rmse / usual),
                short(within60 / count, 10), short(within90 / count, 10), short(Double(hits) / Double(reversed)),
                short(Double(expected - hits) / Double(expected)), short(brier / count, 10_000),
            ]
        }
    }
}
