public import GridModel

/// What every node of a network takes and gives at a moment of a window: the loads and DER of its profiles.
public struct WindowInjections: Sendable {
    /// One moment, by node of `Network.nodes`. W and var; loads positive when they take, DER positive when they give.
    public struct Moment: Sendable {
        public var loadWatts, loadVars, derWatts, derVars: [Double]
        /// By DER of `Network.ders`, W, INJ.
        public var ders: [Double]
    }

    private let window: ProfileWindow
    private let nodeCount: Int
    private let loads: [(node: Int, active: Int, reactive: Int, kilowatts: Double, kilovars: Double)]
    private let ders: [(node: Int, reactiveShare: Double)]
    private let profiles: [ProfileWindow.Series]

    /// - Throws: profiles that a load names and the window does not have.
    public init(directory: String, window: ProfileWindow, network: Network) throws(DataDirectoryError) {
        self.window = window
        nodeCount = network.nodes.count
        let nodes = Dictionary(
            network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let table = try CSVTable(path: "\(directory)/profiles/\(window.name)/factors.csv")
        var places: [String: Int] = [:]
        var profiles: [ProfileWindow.Series] = [.zero]
        var missing: Set<String> = []
        func place(_ profile: String) -> Int {
            guard !profile.isEmpty else { return 0 }
            if let known = places[profile] { return known }
            guard let column = table.column(profile) else {
                missing.insert(profile)
                return 0
            }
            let values = (0..<table.rowCount).map { Float(table.number($0, column) ?? 0) }
            profiles.append(
                window.isHighResolution ? .interpolated(values, step: 900) : .stepped(values, step: window.step))
            places[profile] = profiles.count - 1
            return profiles.count - 1
        }
        loads = network.loads.compactMap { load in
            nodes[load.node].map {
                ($0, place(load.activeProfile), place(load.reactiveProfile), load.kilowatts, load.kilovars)
            }
        }
        ders = network.ders.map { (nodes[$0.node] ?? 0, $0.reactiveShare ?? 0) }
        self.profiles = profiles
        if !missing.isEmpty {
            throw DataDirectoryError(
                "\(table.path):1: profiles named in loads.csv have no column: \(missing.sorted().joined(separator: ", "))"
            )
        }
    }

    public func at(_ time: Timestamp) -> Moment {
        let seconds = time - window.start
        let factors = profiles.map { $0.kilowatts(at: seconds) }
        var moment = Moment(
            loadWatts: Array(repeating: 0, count: nodeCount), loadVars: Array(repeating: 0, count: nodeCount),
            derWatts: Array(repeating: 0, count: nodeCount), derVars: Array(repeating: 0, count: nodeCount), ders: [])
        for load in loads {
            moment.loadWatts[load.node] += load.kilowatts * factors[load.active] * 1000
            moment.loadVars[load.node] += load.kilovars * factors[load.reactive] * 1000
        }
        moment.ders = window.ders.map { $0.kilowatts(at: seconds) * 1000 }
        for (der, watts) in zip(ders, moment.ders) {
            moment.derWatts[der.node] += watts
            moment.derVars[der.node] += watts * der.reactiveShare
        }
        return moment
    }
}
