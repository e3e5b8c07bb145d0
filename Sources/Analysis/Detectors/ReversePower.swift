internal import Foundation
public import GridModel

/// Rules for power that flows back (`domain-rules.md` B.1). Watts; negative at a network point is reverse.
public enum ReversePower {
    public enum Permission: String, Sendable { case yes = "true", no = "false", unknown }

    /// Power below which (negated) reverse counts: max(50 kW, 1 % of the rating). W, positive.
    public static func onThreshold(ratingVA: Double, minimumW: Double = 50_000, share: Double = 0.01) -> Double {
        max(minimumW, share * ratingVA)
    }

    /// The severity ladder of B.1.1; the worst matching row wins.
    ///
    /// - Parameters:
    ///   - reverseW: W, positive: how much flows back.
    ///   - limitW: agreed reverse limit; 0 makes any reverse flow a violation.
    ///   - feedsReversedBank: the feeder's bank flows back too and is not known to have 3V0 protection.
    ///   - passesUnsafeRegulator: a regulator that it comes back through drives the voltage off (B.1.4).
    public static func severity(
        reverseW: Double, limitW: Double, permission: Permission, feedsReversedBank: Bool,
        passesUnsafeRegulator: Bool = false
    ) -> Severity {
        let ratio = limitW > 0 ? reverseW / limitW : .infinity
        if ratio >= 1.2 || feedsReversedBank || passesUnsafeRegulator { return .urgent }
        if permission == .no || ratio >= 1 { return .high }
        if permission == .unknown || ratio >= 0.8 { return .medium }
        return .note
    }

    /// Head power of a feeder without a head meter (B.1.2). All powers in one unit.
    public struct Estimate: Sendable, Equatable {
        public var capacityFactor: Double
        public var photovoltaic: Double
        public var head: Double
        public var sigma: Double

        /// - Parameters:
        ///   - nativeLoad: expected native load and its standard deviation.
        ///   - monitored, monitoredRating: measured PV and the rating behind it.
        ///   - totalRating: all PV.
        ///   - otherInjection: batteries, chargers and the rest, INJ.
        public init(
            nativeLoad: Double, loadSigma: Double, monitored: Double, monitoredRating: Double, totalRating: Double,
            sites: Int, otherInjection: Double = 0
        ) {
            capacityFactor = monitoredRating > 0 ? monitored / monitoredRating : 0
            photovoltaic = capacityFactor * totalRating
            head = nativeLoad - photovoltaic - otherInjection
            let photovoltaicSigma = 0.08 * (totalRating - monitoredRating)
            let combined = (loadSigma * loadSigma + photovoltaicSigma * photovoltaicSigma).squareRoot()
            let isThin = sites < 3 || monitoredRating < 0.2 * totalRating
            sigma = isThin ? 2 * combined : combined
        }

        /// 90 % sure that the head is below -threshold.
        public func isSurelyBelow(_ threshold: Double) -> Bool { head + 1.28 * sigma <= -threshold }

        /// Probability that the head is below -threshold, errors taken as normal.
        public func probabilityBelow(_ threshold: Double) -> Double {
            guard sigma > 0 else { return head < -threshold ? 1 : 0 }
            return 0.5 * erfc(-(-threshold - head) / sigma / 2.0.squareRoot())
        }
    }

    /// Generation-to-load ratio of a bank (B.1.5): ΣP_inj / L_native, L_native = P_bank + ΣP_inj; `nil` without load.
    public static func generationLoadRatio(injection: Double, bank: Double) -> Double? {
        let native = bank + injection
        return native > 0 ? injection / native : nil
    }
}
