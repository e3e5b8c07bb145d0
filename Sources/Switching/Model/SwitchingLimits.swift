internal import ServiceKit

/// What the checks judge by. Every value is a setting; the defaults' sources stand in `docs/configuration.md`.
public struct SwitchingLimits: Sendable, Equatable {
    /// pu of nominal: beyond them a plan is refused.
    public var mvMinimum = 0.95
    public var mvMaximum = 1.07
    public var lvMinimum = 0.90
    public var lvMaximum = 1.10
    /// pu inside the limits within which there is a condition; 0: none.
    public var voltageMargin = 0.0
    /// Change of a node's voltage from one state to the next, pu: a condition, and refused.
    public var voltageStepCondition = 0.03
    public var voltageStepMaximum = 0.05
    /// Percent of the rating: normal, and what may be carried for hours.
    public var lineLoading = 100.0
    public var lineEmergency = 100.0
    public var transformerLoading = 100.0
    public var transformerEmergency = 120.0
    /// Percent of a head's rating that may flow back before there is a condition.
    public var headReverse = 80.0
    /// W of reverse flow at a head that had none before.
    public var newReverse = 50_000.0
    /// W of reverse flow at a bank in the EXPORT case, or a share of its rating, whichever is more.
    public var bankReverse = 100_000.0
    public var bankReverseShare = 0.01
    /// By how much something that was broken before must get worse to count: percent of rating, pu, W.
    public var worseLoading = 0.5
    public var worseVoltage = 0.0005
    public var worseReverse = 50_000.0
    public var worseReverseShare = 0.01
    /// A that a switch without load-break rating may interrupt: charging current.
    public var noLoadAmperes = 2.0
    /// Parts per unit of the emergency rating beyond which nobody can override.
    public var neverBeyond = 1.2
    /// Across a switch that closes between two live parts: pu and degrees, condition and refused.
    public var parallelVoltageCondition = 0.03
    public var parallelVoltageMaximum = 0.05
    public var parallelAngleCondition = 5.0
    public var parallelAngleMaximum = 10.0
    /// Percent of a loop device's phase pickup that load and circulating current may reach together.
    public var parallelPickup = 75.0
    /// Fault current at the end of a zone in multiples of pickup, phases and ground: wanted, and refused below.
    public var phaseReach = 2.0
    public var phaseReachMinimum = 1.5
    public var groundReach = 3.0
    public var groundReachMinimum = 2.0
    /// Share of the pickup that load may reach: a condition beyond, and refused.
    public var encroachment = 0.8
    public var encroachmentMaximum = 0.9
    /// s that a device waits for the one behind it.
    public var coordinationSeconds = 0.3
    /// Of what cold load takes more than usual; 0: none.
    public var coldLoadScale = 1.0
    /// Generation to load of a part without utility source: not sustainable below, condition above, curtail above.
    public var islandSustainable = 0.67
    public var islandOvervoltage = 1.5
    /// Share of synchronous machines, and the ratio, from which an island holds.
    public var islandSynchronousShare = 0.25
    public var islandSynchronousRatio = 0.33
    /// What is in force for the whole network: fire days, lightning.
    public var restrictions: [String] = []
    /// Checks that are left out, by name (`P5`) or group (`P`).
    public var omitted: Set<String> = []
    /// Checks that every plan rests on and that may be not run for want of data: each is then a condition of the verdict.
    public var acceptedNotRun: Set<String> = []

    public init() {}

    /// pu that a voltage may be, and the setting that says so.
    func voltage(_ nominalKilovolts: Double, isHigh: Bool) -> (limit: Double, setting: String) {
        let isLow = nominalKilovolts < 1
        let limit = isHigh ? (isLow ? lvMaximum : mvMaximum) : (isLow ? lvMinimum : mvMinimum)
        return (limit, "limits.\(isLow ? "lv" : "mv")_\(isHigh ? "max" : "min")_pu")
    }

    public func isOmitted(_ check: String) -> Bool {
        omitted.contains(check) || omitted.contains(String(check.prefix(1)))
    }

    /// Of everything that decides.
    public var hash: String {
        var copy = self
        (copy.omitted, copy.acceptedNotRun) = ([], [])
        return Digest.sha256("\(copy) \(omitted.sorted()) \(acceptedNotRun.sorted())")
    }
}
