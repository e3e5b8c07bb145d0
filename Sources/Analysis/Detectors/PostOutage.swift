internal import Foundation

/// What a feeder does when it has voltage again (`domain-rules.md` B.3.4).
public enum PostOutage {
    /// Seconds that DER wait, and then take to come back (IEEE 1547-2018 defaults).
    public static let wait = 300.0
    public static let rampTime = 300.0

    /// Seconds after which load and DER count as settled: an outage explains what happens until then (C.4).
    public static let settling = 900.0

    /// Share of the available DER power, by seconds since the feeder has voltage.
    public static func derShare(_ seconds: Double) -> Double { min(1, max(0, (seconds - wait) / rampTime)) }

    /// Cold load: native load is `factor` times its usual for `flat` s, then decays towards it with `decay` s.
    public struct ColdLoad: Sendable, Equatable {
        public var factor, flat, decay: Double

        public init(factor: Double, flat: Double, decay: Double) {
            self.factor = factor
            self.flat = flat
            self.decay = decay
        }

        /// - Parameter outage: s.
        public init(outage: Double) {
            switch outage {
            case ..<300: self.init(factor: 1, flat: 0, decay: 1)
            case ..<1800: self.init(factor: 1.3, flat: 600, decay: 1200)
            case ..<7200: self.init(factor: 1.6, flat: 1200, decay: 2700)
            case ..<21_600: self.init(factor: 2, flat: 1800, decay: 3600)
            default: self.init(factor: 2.5, flat: 3600, decay: 5400)
            }
        }

        /// Times its usual, by seconds since the feeder has voltage.
        public func multiple(_ seconds: Double) -> Double {
            seconds <= flat ? factor : 1 + (factor - 1) * exp(-(seconds - flat) / decay)
        }
    }

    /// Largest head power to expect in the first hour, in the unit of `load`; `available`: what DER could give.
    public static func peak(load: Double, available: Double, outage: Double) -> Double {
        let cold = ColdLoad(outage: outage)
        return stride(from: 0.0, through: 3600, by: 60).map {
            load * cold.multiple($0) - available * derShare($0)
        }.max() ?? load
    }
}
