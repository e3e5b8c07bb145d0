internal import Glibc
public import GridModel

/// The measuring points of a data directory as their aggregators would report them: periods, clocks, noise, delays and
/// faults by the replay specification (`docs/data-directory.md`), bit-equal in its draws.
public struct ReplayModel: Sendable {
    /// Faults on top of the specification's clock and noise; probabilities a sample.
    public struct Faults: Sendable {
        public var loss = 0.0
        public var duplicate = 0.0
        public var late = 0.0
        /// Largest clock error of a device, seconds; `nil`: the specification's 2 s.
        public var skew: Double?
        public init() {}
    }

    /// What one stream sends at one moment.
    public struct Reading: Sendable {
        public var stream: Int32
        /// Seconds since the window's start: when the value was taken, what the device's clock said, when it leaves.
        public var instant: Double
        public var stamped: Double
        public var sent: Double
        /// kW and kvar in the stream's frame, pu; NaN where absent.
        public var kilowatts: Double
        public var kilovars: Double
        public var perUnit: Double
    }

    public struct Stream: Sendable {
        public var device: String
        public var kind: DeviceKind
        public var aggregator: String
        public var period: Double
        var phase: Double
        var flush: Double
        var skew: Double
        var rating: Double
        var random: ReplayRandom
        var source: Source
    }

    enum Source: Sendable {
        case der(Int)
        case head(Int)
        case voltage(Int)
    }

    private enum Channel {
        static let period: UInt64 = 0
        static let phase: UInt64 = 1
        static let skew: UInt64 = 2
        static let jitter: UInt64 = 10
        static let noise: UInt64 = 12
        static let loss: UInt64 = 14
        static let late: UInt64 = 15
        static let lateSize: UInt64 = 16
        static let duplicate: UInt64 = 17
        static let duplicateDelay: UInt64 = 18
        static let delay: UInt64 = 20
        static let aggregator: UInt64 = 50
        static let meter: UInt64 = 60
    }

    public let streams: [Stream]
    private let window: ProfileWindow
    private let truth: TruthWindow
    private let faults: Faults

    static let aggregators: [DeviceKind: [(String, Double)]] = [
        .photovoltaic: [("AGG-SUN-A", 0.5), ("AGG-SUN-B", 0.3), ("AGG-HOME-C", 0.2)],
        .battery: [("AGG-HOME-C", 0.6), ("AGG-SUN-A", 0.4)],
        .electricVehicleCharger: [("AGG-EV-D", 0.7), ("AGG-EV-E", 0.3)],
        .voltageMeter: [("UTIL-AMI", 1)],
    ]
    static let flushSeconds: [String: Double] = [
        "AGG-SUN-A": 5, "AGG-SUN-B": 15, "AGG-HOME-C": 10, "AGG-EV-D": 5, "AGG-EV-E": 30, "UTIL-AMI": 60,
    ]

    public init(
        network: Network, window: ProfileWindow, truth: TruthWindow, seed: UInt64, feeders: Set<String>? = nil,
        faults: Faults = Faults()
    ) {
        self.window = window
        self.truth = truth
        self.faults = faults
        let graph = NetworkGraph(network)
        let devices = DeviceRegistry.devices(of: network, graph: graph)
        let registry = DeviceRegistry(devices: devices)
        var streams: [Stream] = []
        func add(
            _ device: String, _ kind: DeviceKind, _ periods: [(Double, Double)], _ rating: Double, _ source: Source
        ) {
            let random = ReplayRandom(seed: seed, stream: device)
            let aggregator = Self.choose(
                Self.aggregators[kind] ?? [("UTIL-SCADA", 1)], random.uniform(0, Channel.aggregator))
            let period = Self.choose(periods, random.uniform(0, Channel.period))
            streams.append(
                Stream(
                    device: device, kind: kind, aggregator: aggregator, period: period,
                    phase: random.uniform(0, Channel.phase) * period, flush: Self.flushSeconds[aggregator] ?? 0,
                    skew: (2 * random.uniform(0, Channel.skew) - 1) * (faults.skew ?? 2), rating: rating,
                    random: random, source: source))
        }
        func wanted(_ device: String) -> Bool {
            guard let feeders else { return true }
            return registry.index[device].map { feeders.contains(devices[Int($0)].normalFeeder) } ?? false
        }
        // What a window does not speak of says nothing: 0 would be a measurement.
        let unknown = Set(window.unknownDERs)
        for (number, der) in network.ders.enumerated() where wanted(der.id) && !unknown.contains(number) {
            let periods: [(Double, Double)] =
                switch der.kind {
                case .photovoltaic where der.ratedKW < 100: [(60, 0.7), (300, 0.2), (30, 0.1)]
                case .battery: [(10, 0.5), (30, 0.5)]
                case .electricVehicleCharger: [(60, 1)]
                default: [(5, 1)]
                }
            add(der.id, der.kind, periods, der.ratedKW, .der(number))
        }
        for (number, head) in truth.heads.enumerated() where wanted("FH-\(head.feeder)") {
            add("FH-\(head.feeder)", .feederHead, [(5, 1)], 1000, .head(number))
        }
        for (number, node) in truth.voltageNodes.enumerated() where wanted("VM-\(node)") {
            let random = ReplayRandom(seed: seed, stream: "VM-\(node)")
            // Voltage meters stand on 15 % of the nodes.
            guard random.uniform(0, Channel.meter) < 0.15 else { continue }
            add("VM-\(node)", .voltageMeter, [(60, 1)], 0, .voltage(number))
        }
        self.streams = streams
    }

    private static func choose<Value>(_ table: [(Value, Double)], _ draw: Double) -> Value {
        var sum = 0.0
        for (value, weight) in table {
            sum += weight
            if draw < sum { return value }
        }
        return table[table.count - 1].0
    }

    /// Everything that leaves for the service because of instants in [from, to), sorted by departure. Seconds since the
    /// window's start. Readings of one interval may leave later than the next interval's: the caller merges.
    public func readings(from: Double, to: Double) -> [Reading] {
        var list: [Reading] = []
        for (number, stream) in streams.enumerated() {
            let first = max(0, Int(((from - stream.phase) / stream.period).rounded(.up)))
            let end = Int(((to - stream.phase) / stream.period).rounded(.up))
            guard first < end else { continue }
            for k in first..<end { reading(stream, number, k).map { append($0, stream, k, to: &list) } }
        }
        list.sort { ($0.sent, $0.stream, $0.instant) < ($1.sent, $1.stream, $1.instant) }
        return list
    }

    private func reading(_ stream: Stream, _ number: Int, _ k: Int) -> Reading? {
        let instant = stream.phase + Double(k) * stream.period
        var reading = Reading(
            stream: Int32(number), instant: instant, stamped: 0, sent: 0, kilowatts: .nan, kilovars: .nan, perUnit: .nan
        )
        var noiseScale = stream.rating
        switch stream.source {
        case .der(let place):
            reading.kilowatts = window.ders[place].kilowatts(at: instant)
            // A charger that does nothing says so every fifth time only.
            if stream.kind == .electricVehicleCharger, abs(reading.kilowatts) <= 1e-3, k % 5 != 0 { return nil }
        case .head(let place):
            let head = truth.heads[place]
            let row = min(max(Int(instant / truth.step), 0), head.kilowatts.count - 1)
            reading.kilowatts = head.kilowatts[row]
            reading.kilovars = head.kilovars[row]
            reading.perUnit = head.busbarPerUnit[row]
            noiseScale = 1000
        case .voltage(let place):
            let column = truth.voltages[place]
            reading.perUnit = Double(column[min(max(Int(instant / truth.voltageStep), 0), column.count - 1)])
        }
        let random = stream.random
        if !reading.kilowatts.isNaN {
            let noisy = reading.kilowatts + random.normal(k, Channel.noise) * 0.002 * noiseScale
            reading.kilowatts = (noisy / 0.001).rounded() * 0.001
        }
        if !reading.perUnit.isNaN {
            reading.perUnit = ((reading.perUnit + random.normal(k, Channel.noise + 100) * 0.0005) * 1e5).rounded() / 1e5
        }
        reading.stamped = instant + stream.skew + random.normal(k, Channel.jitter) * 0.05
        let ready = instant + 0.05
        let flushed = stream.flush > 0 ? (ready / stream.flush).rounded(.up) * stream.flush : ready
        reading.sent = flushed + exp(log(0.4) + 0.6 * random.normal(k, Channel.delay))
        return reading
    }

    private func append(_ reading: Reading, _ stream: Stream, _ k: Int, to list: inout [Reading]) {
        let random = stream.random
        guard random.uniform(k, Channel.loss) >= faults.loss else { return }
        var reading = reading
        if random.uniform(k, Channel.late) < faults.late {
            reading.sent += min(3600, -120 * log1p(-random.uniform(k, Channel.lateSize)))
        }
        list.append(reading)
        if random.uniform(k, Channel.duplicate) < faults.duplicate {
            reading.sent += 1 + random.uniform(k, Channel.duplicateDelay) * 29
            list.append(reading)
        }
    }
}
