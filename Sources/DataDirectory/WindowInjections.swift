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
    /// Ids of loads whose reactive power is not known: they stand here with none.
    public let loadsWithoutVars: [String]
    /// Ids of loads without a profile: they take their `p_kw` at every moment.
    public let constantLoads: [String]

    /// - Throws: profiles that a load names and the window does not have, and every field of theirs that is no number.
    public init(directory: String, window: ProfileWindow, network: Network) throws(DataDirectoryError) {
        self.window = window
        nodeCount = network.nodes.count
        let nodes = Dictionary(
            network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        var factors = Factors(
            try CSVTable(path: "\(directory)/profiles/\(window.name)/factors.csv"), start: window.start,
            end: window.end,
            step: window.isHighResolution ? 900 : window.step, areKnots: window.isHighResolution)
        var places: [String: Int] = [:]
        // Without a profile it is the same at every moment.
        var profiles: [ProfileWindow.Series] = [.stepped([1], step: window.end - window.start)]
        func place(_ profile: String, isTaken: Bool) -> Int {
            guard !profile.isEmpty else { return 0 }
            if let known = places[profile], !isTaken { return known }
            let values = factors.values(profile, isTaken: isTaken)
            if let known = places[profile] { return known }
            profiles.append(
                window.isHighResolution ? .interpolated(values, step: 900) : .stepped(values, step: window.step))
            places[profile] = profiles.count - 1
            return profiles.count - 1
        }
        loads = network.loads.compactMap { load in
            nodes[load.node].map {
                (
                    $0, place(load.activeProfile, isTaken: true),
                    place(load.reactiveProfile.isEmpty ? load.activeProfile : load.reactiveProfile, isTaken: false),
                    load.kilowatts,
                    // Those that do not say are listed: whoever asks must not take this for all of it.
                    load.kilovars ?? 0
                )
            }
        }
        try factors.end("loads.csv")
        ders = network.ders.map { (nodes[$0.node] ?? 0, $0.reactiveShare ?? 0) }
        self.profiles = profiles
        loadsWithoutVars = network.loads.filter { $0.kilovars == nil && $0.kilowatts != 0 }.map(\.id)
        constantLoads = network.loads.filter { $0.activeProfile.isEmpty && $0.kilowatts != 0 }.map(\.id)
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
