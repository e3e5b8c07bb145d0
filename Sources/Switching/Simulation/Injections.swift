internal import GridModel
internal import PowerFlow

/// The injections of a load case.
struct Injections {
    private let network: Network
    private let nodes: [String: Int]
    private let snapshot: GridSnapshot

    init(_ network: Network, _ snapshot: GridSnapshot) {
        self.network = network
        self.snapshot = snapshot
        nodes = Dictionary(
            network.nodes.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Net consumption by node, W and var.
    ///
    /// MASKED leaves out what DER give, on every feeder, and keeps what they take: chargers that go on are the worse
    /// case for what MASKED asks. EXPORT puts every DER that can generate at its rating, and chargers at nothing.
    ///
    /// - Parameter limits: W that some DER may give, by id. MASKED has them gone anyway.
    func consumption(
        _ loadCase: Finding.LoadCase, limits: [String: Double] = [:]
    ) -> (watts: [Double], vars: [Double]) {
        let light = loadCase == .export ? snapshot.lightLoadShare ?? 1 : 1
        let loads = loadCase == .masked ? snapshot.largestLoadWatts ?? snapshot.loadWatts : snapshot.loadWatts
        var watts = loads.map { $0 * light }
        var vars = snapshot.loadVars.map { $0 * light }
        if loadCase == .now {
            for node in vars.indices { vars[node] -= snapshot.derVars[node] }
        }
        for (place, der) in network.ders.enumerated() {
            guard let node = nodes[der.node] else { continue }
            let now = snapshot.derWatts[place]
            let given =
                switch loadCase {
                case .now: now
                case .masked: min(now, 0)
                case .export: canGive(der) ? der.ratedKW * 1000 : 0
                }
            watts[node] -= min(given, limits[der.id] ?? .infinity)
        }
        return (watts, vars)
    }

    private func canGive(_ der: Network.DER) -> Bool {
        switch der.kind {
        case .electricVehicleCharger: false
        case .photovoltaic: snapshot.hasDaylight
        default: true
        }
    }

    /// W that loads take, and that DER give, on some nodes.
    func balance(of members: Set<Int>) -> (load: Double, generation: Double, synchronous: Double, ders: [String]) {
        var (generation, synchronous, ders) = (0.0, 0.0, [String]())
        for (place, der) in network.ders.enumerated() {
            guard let node = nodes[der.node], members.contains(node) else { continue }
            ders.append(der.id)
            let watts = max(0, snapshot.derWatts[place])
            generation += watts
            if der.kind == .biomass || der.kind == .hydro { synchronous += watts }
        }
        let load = members.reduce(0) { $0 + snapshot.loadWatts[$1] }
        return (load, generation, synchronous, ders)
    }
}
