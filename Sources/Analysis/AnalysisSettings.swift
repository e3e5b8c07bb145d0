internal import Foundation
public import GridModel

/// Limits of one feeder, as resolved from the settings. Powers W and VA, times s, voltages pu.
public struct FeederLimits: Sendable, Equatable {
    /// VA, where neither network nor settings know the head's rating.
    public static let assumedRating = 10e6

    /// VA the head may carry; 0: from the network.
    public var rating = 0.0
    /// Nobody knows the rating: it is ``assumedRating``, and what is told by it says so.
    public var isRatingAssumed = false
    public var emergencyRating: Double?
    public var reversePermission = ReversePower.Permission.unknown
    /// W; `nil`: half the rating.
    public var reverseLimit: Double?
    public var reverseMinimum = 50_000.0
    public var reverseShare = 0.01
    public var reverseOn = 60.0
    public var reverseOff = 300.0
    /// Multiplies both ramp gates: 2 makes the detector half as sensitive.
    public var rampScale = 1.0
    /// pu; `nil`: by the standard.
    public var warnHigh, high, warnLow, low: Double?
    /// `nil`: metered as soon as its head meter has spoken.
    public var isMetered: Bool?

    public init() {}

    public var effectiveReverseLimit: Double { reverseLimit ?? 0.5 * rating }
    public var reverseOnThreshold: Double {
        ReversePower.onThreshold(ratingVA: rating, minimumW: reverseMinimum, share: reverseShare)
    }
}

/// Everything the analyser is told besides samples. Two runs with equal settings and samples give equal advisories.
public struct AnalysisSettings: Sendable {
    /// Seconds a sample may come late before its bin is final: utility telemetry, and everything behind a gateway.
    public var scadaLateness = 30.0
    public var gatewayLateness = 90.0
    /// Seconds by which a DER's clock may be ahead of the feeder head's before it moves the feeder's clock.
    public var derClockGuard = 120.0
    /// Seconds a DER's last value stands for it in sums.
    public var derHold = 330.0
    /// Seconds a head or voltage sample stands (A.8).
    public var meterHold = 90.0
    public var rearm = 900.0
    public var gap = 120.0
    /// Silence before `data_gap`: head meters, DER; and the share of DER capacity that makes it the feeder's.
    public var headGap = 30.0
    public var derGap = 900.0
    /// Regulators and reclosers, which are part of the control system.
    public var lineGap = 180.0
    public var fleetGapShare = 0.2
    public var perDeviceGaps = true
    public var standard = Voltage.Standard.eu
    public var limits = FeederLimits()
    /// %, ten-minute mean of half an hour.
    public var unbalanceLimit = 2.0
    /// Share of the larger side, and error of the meters as a share of the bank's rating, by which a bank's sums may differ.
    public var balanceShare = 0.05
    public var meterError = 0.01
    public var feederLimits: [String: FeederLimits] = [:]
    /// Per substation: 3V0 protection, reverse limit in W.
    public var bankHasZeroSequence: Bool?
    public var bankReverseLimit = 0.0
    /// Minutes of the local day at which a tariff changes, and the zone that says what is local.
    public var tariffBoundaries: [Int] = []
    public var timeZone = "UTC"
    /// Whether the sun where the network lies is that of the data's times. It is not where a recorded day is played at
    /// another season: then nothing is night.
    public var followsSun = true
    /// Probabilities at which a forecast of reverse power, or of overload, becomes an advisory, and stops being one.
    public var forecastStart = 0.6
    public var forecastOverload = 0.5
    public var forecastClear = 0.35
    /// Of the settings above, for the evidence.
    public var hash = "default"

    public init() {}

    /// A feeder's limits, with the rating of its head where no setting gives one.
    public func limits(of feeder: String, registry: DeviceRegistry) -> FeederLimits {
        var limits = feederLimits[feeder] ?? self.limits
        if limits.rating == 0, let head = registry.index["FH-\(feeder)"] {
            limits.rating = registry.devices[Int(head)].rating
        }
        if limits.rating == 0 { (limits.rating, limits.isRatingAssumed) = (FeederLimits.assumedRating, true) }
        return limits
    }

    /// Whether a tariff changes within five minutes of a time between the two (B.3.3).
    func isNearTariffBoundary(_ start: Timestamp, _ end: Timestamp) -> Bool {
        guard !tariffBoundaries.isEmpty, let zone = TimeZone(identifier: timeZone) else { return false }
        let at = Double(start.microseconds) / 1e6
        let local = at + Double(zone.secondsFromGMT(for: Date(timeIntervalSince1970: at)))
        let from = (local / 60).truncatingRemainder(dividingBy: 1440)
        let length = (end - start) / 60
        return tariffBoundaries.contains { boundary in
            [-1440, 0, 1440].contains { shift in
                let minute = Double(boundary + shift)
                return minute >= from - 5 && minute <= from + length + 5
            }
        }
    }
}

/// The network as the analyser uses it: measuring points by number.
public struct AnalysisModel: Sendable {
    public let network: Network
    public let graph: NetworkGraph
    public let registry: DeviceRegistry
    public let revision: Int
    public var positions: [SwitchPosition]

    public init(network: Network, registry: DeviceRegistry, revision: Int, live: [String: SwitchPosition] = [:]) {
        self.network = network
        graph = NetworkGraph(network)
        self.registry = registry
        self.revision = revision
        positions = graph.positions(live: live)
    }
}

/// The clock of one feeder's data: how far its newest trustworthy sample has come, and what is too late to matter.
///
/// Decided where samples are stored, and stored with them (``Quality/late``), so that a replay from the store makes the
/// same bins as live running.
public struct FeederClock: Sendable, Equatable {
    public private(set) var now = Timestamp.distantPast

    public init(now: Timestamp = .distantPast) { self.now = now }

    /// What a device's samples mean for its feeder's clock; made once a device.
    public struct Rule: Sendable, Equatable {
        /// Microseconds that a sample may be behind the clock.
        let lateness: Int64
        /// Microseconds that the clock stays behind a sample.
        let guarding: Int64
        /// A sample that is only usable moves the clock too.
        let trustsUsable: Bool

        public init(_ kind: DeviceKind, _ settings: AnalysisSettings) {
            let isHead = kind == .feederHead
            lateness = Int64((isHead ? settings.scadaLateness : settings.gatewayLateness) * 1e6)
            guarding = isHead ? 0 : Int64(settings.derClockGuard * 1e6)
            trustsUsable = isHead
        }
    }

    /// Takes a sample's time into account; returns true when the sample is late.
    ///
    /// Advances the feeder's time. The time of a sample with an impossible value is believed; that of other bad samples is
    /// not, except the first: a feeder that never sends a good sample must be able to fall silent, too.
    public mutating func observe(_ time: Timestamp, _ rule: Rule, _ quality: Quality) -> Bool {
        if now != .distantPast, time.microseconds < now.microseconds - rule.lateness { return true }
        if Self.moves(rule, quality) || now == .distantPast && !quality.contains(.clockSuspect) {
            now = max(now, Timestamp(microseconds: time.microseconds - rule.guarding))
        }
        return false
    }

    /// Whether a sample moves the clock on.
    public static func moves(_ rule: Rule, _ quality: Quality) -> Bool {
        if quality.isEmpty { return true }
        let grade = quality.subtracting(.outOfRange).grade
        return grade == .good || grade == .usable && rule.trustsUsable
    }

    /// Moves on without data: silence must show as silence.
    public mutating func tick(to time: Timestamp) { now = max(now, time) }
}
