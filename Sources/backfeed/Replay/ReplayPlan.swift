internal import DataDirectory
internal import GridModel
internal import Messaging

/// What is to be replayed, and how.
struct ReplayPlan: Sendable {
    let model: ReplayModel
    let start: Timestamp
    let seed: UInt64
    /// Registry of the directory, for the voltage bases.
    let bases: [String: Double]
    /// Seconds since the window's start.
    var from = 0.0
    var until: Double
    /// `nil`: as fast as it is taken.
    var speed: Double?
    var shiftsToNow = false
    var encoding = TelemetryFrame.Encoding.protobuf

    init(
        directory: String, window: String, seed: UInt64, feeders: Set<String>? = nil,
        faults: ReplayModel.Faults = .init()
    ) throws {
        let network = try NetworkReader.read(directory).network
        let profile = try ProfileWindow(directory: directory, name: window, network: network)
        guard TruthWindow.exists(in: directory, window: window) else {
            throw UsageError(
                "\(directory)/truth/\(window): head meters and voltage meters need the truth tables, and they are not there"
            )
        }
        let truth = try TruthWindow(directory: directory, window: window, start: profile.start, step: profile.step)
        model = ReplayModel(
            network: network, window: profile, truth: truth, seed: seed, feeders: feeders, faults: faults)
        start = profile.start
        self.seed = seed
        until = profile.end - profile.start
        let devices = DeviceRegistry.devices(of: network, graph: NetworkGraph(network))
        bases = Dictionary(devices.map { ($0.name, $0.voltageBase) }, uniquingKeysWith: { first, _ in first })
    }
}
