internal import Foundation
public import GridModel

/// The formulas of the forecast (`domain-rules.md` B.5), without memory.
public enum ForecastRules {
    /// How much of today's distance from the usual load is left after a quarter of an hour.
    public static let loadPersistence = 0.9
    static let cloudPersistence = 0.8

    /// Load at a later time: as usual, and a part of what is unusual now.
    ///
    /// - Parameters:
    ///   - now: load now; `usualNow`, `usualThen`: medians of the profile. Any one unit.
    public static func load(_ now: Double, usualNow: Double, usualThen: Double, after seconds: Double) -> Double {
        usualThen + pow(loadPersistence, seconds / 900) * (now - usualNow)
    }

    /// What is left of PV's distance from its half hour after a time. Not in B.5, which is late by a quarter of an hour;
    /// `backfeed bench forecast` shows what it brings.
    public static func persisting(_ difference: Double, after seconds: Double) -> Double {
        difference * pow(cloudPersistence, seconds / 900)
    }

    /// PV over what a clear sky would give, 0 to 1.2; `nil` where there is too little sun to tell.
    public static func clearness(_ power: Double, clear: Double, rating: Double) -> Double? {
        guard clear >= 0.1 * rating, clear > 0, !power.isNaN else { return nil }
        return min(1.2, max(0, power / clear))
    }

    public static func sky(_ clearness: Double, clearThen: Double, rating: Double) -> ForecastRun.Sky {
        guard rating > 0, clearThen >= 0.1 * rating else { return .dark }
        return clearness > 0.9 ? .clear : clearness < 0.4 ? .overcast : .mixed
    }

    /// Part of the rating of level PV that the sun gives through a clear sky (Haurwitz, 1945), before the plant's losses.
    public static func clearSky(elevation degrees: Double) -> Double {
        let sine = sin(degrees * .pi / 180)
        return sine > 0 ? 1.098 * sine * exp(-0.057 / sine) : 0
    }

    /// Standard deviation where too few errors are known: 15 % of the PV's rating, and never less than 2 % of the head's,
    /// because load is never known exactly either.
    public static func assumedSigma(photovoltaicRating: Double, headRating: Double) -> Double {
        max(0.15 * photovoltaicRating, 0.02 * headRating)
    }
}

/// What errors are expected: those that were made, or a normal distribution while few are known.
public enum ErrorSpread {
    /// W, ascending.
    case known([Double])
    case assumed(sigma: Double)

    public func quantile(_ level: Double) -> Double {
        switch self {
        case .known(let errors):
            let place = level * Double(errors.count - 1)
            let (low, part) = (Int(place), place - place.rounded(.down))
            return errors[low] + part * (errors[min(low + 1, errors.count - 1)] - errors[low])
        case .assumed(let sigma): return sigma * Self.normalQuantiles[level, default: 0]
        }
    }

    /// Probability that the error is below a value.
    public func below(_ value: Double) -> Double {
        switch self {
        case .known(let errors):
            var (low, high) = (0, errors.count)
            while low < high {
                let middle = (low + high) / 2
                if errors[middle] < value { low = middle + 1 } else { high = middle }
            }
            return Double(low) / Double(errors.count)
        case .assumed(let sigma): return 0.5 * erfc(-value / sigma / 2.0.squareRoot())
        }
    }

    /// Of the standard normal distribution, at ``ForecastRun/levels``.
    private static let normalQuantiles = [
        0.05: -1.644_854, 0.20: -0.841_621, 0.50: 0, 0.80: 0.841_621, 0.95: 1.644_854,
    ]
}
