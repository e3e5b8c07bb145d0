public import GridModel

/// Whether a device counts its power the right way round (`domain-rules.md` B.4.6): INJ, positive into the grid.
///
/// Fed with minutes. What a device of its kind cannot do for half an hour is a wrong sign; what it must do, the right one.
/// Both thresholds are far above what an inverter takes at night.
public struct SignWatch: Sendable, Equatable {
    /// Share of the rating below which power says nothing.
    public static let quiet = 0.02
    /// The same for a battery, whose state of charge must be seen to move.
    public static let batteryQuiet = 0.05
    /// Minutes of the mean, and how many of them must be there.
    static let window = 30
    static let needed = 20
    /// Seconds that a battery keeps its direction before its state of charge is asked, and at most.
    static let shortestRun = 900.0
    static let longestRun = 3600.0
    /// Percent of charge that are no rounding.
    static let chargeStep = 0.5

    private var powers: [Float] = []
    private var run: Run?
    /// `nil`: nothing was seen that tells.
    public private(set) var isWrong: Bool?

    private struct Run: Equatable {
        var start: Timestamp
        /// %.
        var charge: Double
        /// It gives into the grid.
        var isGiving: Bool
    }

    public init() {}

    /// - Parameters:
    ///   - power: mean W of the minute, INJ; NaN missing.
    ///   - charge: state of charge at the minute's end, %.
    ///   - end: of the minute.
    public mutating func step(kind: DeviceKind, rating: Double, power: Double, charge: Double?, end: Timestamp) {
        guard rating > 0 else { return }
        switch kind {
        case .photovoltaic: judge(mean(power), -1, rating)
        // A charger that gives back has charged before: only one that never takes is wrong.
        case .electricVehicleCharger: judge(mean(power), 1, rating)
        case .battery: follow(power / rating, charge, end)
        default: return
        }
    }

    private mutating func mean(_ power: Double) -> Double? {
        if powers.count == Self.window { powers.removeFirst() }
        // Of many devices nothing is ever heard: what is not known need not be kept until something is.
        guard !powers.isEmpty || !power.isNaN else { return nil }
        powers.append(Float(power))
        var (sum, known) = (Float(0), 0)
        for power in powers where !power.isNaN {
            sum += power
            known += 1
        }
        return known >= Self.needed ? Double(sum) / Double(known) : nil
    }

    /// - Parameter wrong: the direction that the device cannot have for so long.
    private mutating func judge(_ mean: Double?, _ wrong: Double, _ rating: Double) {
        guard let mean, abs(mean) > Self.quiet * rating else { return }
        let isAgainst = mean * wrong > 0
        // Within the window it has also gone the right way: both are true of it.
        let hasGoneRight = powers.contains { Double($0) * wrong < -Self.quiet * rating }
        if !isAgainst { isWrong = false } else if !hasGoneRight { isWrong = true }
    }

    private mutating func follow(_ share: Double, _ charge: Double?, _ end: Timestamp) {
        guard let charge, abs(share) > Self.batteryQuiet else {
            run = nil
            return
        }
        let isGiving = share >= 0
        guard let open = run, open.isGiving == isGiving, end - open.start <= Self.longestRun else {
            run = Run(start: end, charge: charge, isGiving: isGiving)
            return
        }
        guard end - open.start >= Self.shortestRun, abs(charge - open.charge) >= Self.chargeStep else { return }
        // Giving must empty it.
        isWrong = isGiving == (charge > open.charge)
        run = Run(start: end, charge: charge, isGiving: isGiving)
    }
}
