internal import GridModel

/// A regulator, recloser or service transformer that reports power, with what is watched there.
struct LinePoint: Sendable {
    enum Role: Sendable {
        case regulator(Network.Regulator.Mode)
        /// A at which its phase elements start.
        case recloser(pickup: Double)
        case transformer
    }

    /// One minute.
    struct Bin: Sendable {
        var start: Timestamp
        /// W and var, FLOW as the device looks; pu. NaN unknown.
        var power, reactive, voltage: Double
        var usable: Bool
    }

    /// What a transformer's meter said of a time.
    struct Reading: Sendable {
        var start, end: Timestamp
        /// W, FLOW, and VA that came back.
        var power, back: Double
    }

    let device: Int
    let name: String
    let role: Role
    /// The line it is on; `nil` for transformers.
    let edge: Int?
    /// The line's `from` end is where the source normally is.
    let isForwardFrom: Bool
    /// VA, 0 unknown; V of 1 pu.
    let rating, voltageBase: Double
    /// The source is on its other side now; `nil`: nothing feeds it, or a loop does.
    var isMoved: Bool?
    var taps = TapWatch()
    /// Silence of regulators and reclosers, and how long it had lasted in the newest minute, s, where that is too long;
    /// `nil`: it is not.
    var silence = SilenceWatch()
    var silentFor: Double?
    var bins = Ring<Bin>(capacity: 60)
    /// Of transformers: means as they were sent, or by the minute.
    var readings = Ring<Reading>(capacity: 60)
    var reverse: AdvisoryTracker
    var runaway: AdvisoryTracker
    var hunting: AdvisoryTracker

    init(
        device: Int, _ model: AnalysisModel, feeder: String, role: Role, edge: Int?, isForwardFrom: Bool,
        settings: AnalysisSettings
    ) {
        let item = model.registry.devices[device]
        self.device = device
        name = item.name
        self.role = role
        self.edge = edge
        self.isForwardFrom = isForwardFrom
        rating = item.rating
        voltageBase = item.voltageBase
        func tracker(_ kind: AdvisoryKind, on: Double, off: Double) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: feeder, element: item.name, timing: .init(on: on, off: off, gap: settings.gap),
                rearm: settings.rearm)
        }
        if case .transformer = role {
            // The half hour is in the mean.
            reverse = tracker(.transformerExport, on: 60, off: 1200)
        } else {
            reverse = tracker(.reversePowerDevice, on: 60, off: 300)
        }
        runaway = tracker(.regulatorRunaway, on: 0, off: 900)
        hunting = tracker(.regulatorHunting, on: 0, off: 900)
    }

    mutating func withTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        body(&reverse)
        guard case .regulator = role else { return }
        body(&runaway)
        body(&hunting)
    }

    /// W that must come back: max(25 kW, 2 % of the rating) (B.1.4).
    var threshold: Double { max(25_000, 0.02 * rating) }

    /// What a regulator's control makes of power that comes back now. One whose source side is not known is not trusted.
    func onReversal(_ bin: Bin) -> Network.Regulator.Reversal? {
        guard case .regulator(let mode) = role else { return nil }
        guard let isMoved else { return mode.onReversal(isMoved: false) == .safe ? .caution : .unsafe }
        let outcome = mode.onReversal(isMoved: isMoved)
        // One that goes by the vars is only right as long as these do not come back, too.
        if mode == .reactiveBidirectional, !isMoved, !(bin.reactive > -0.1 * abs(bin.power)) { return .caution }
        return outcome
    }

    /// A regulator that power comes back through in a mode that drives the voltage off.
    var isUnsafe: Bool {
        guard reverse.isActive, let bin = bins.last else { return false }
        return onReversal(bin) == .unsafe
    }
}
