internal import Analysis
internal import GridModel
internal import ServiceKit

extension SettingsCatalogue {
    /// Settings that decide what is detected: their fingerprint stands in each advisory's evidence.
    static let deciding = [
        "analysis.", "reverse.", "head.", "bank.", "voltage.", "ramp.", "data_gap.", "site.", "forecast.", "topology.",
    ]
}

extension Settings {
    /// The analyser's settings, each feeder's own resolved.
    func analysis(nominalFrequency: Double) -> AnalysisSettings {
        var made = AnalysisSettings()
        made.scadaLateness = number("analysis.scada_lateness_s")
        made.gatewayLateness = number("analysis.gateway_lateness_s")
        made.derClockGuard = number("analysis.der_clock_guard_s")
        made.derHold = number("analysis.der_hold_s")
        made.gap = number("analysis.gap_s")
        made.rearm = number("analysis.rearm_s")
        made.headGap = number("data_gap.head_s")
        made.derGap = number("data_gap.der_s")
        made.lineGap = number("data_gap.line_s")
        made.fleetGapShare = number("data_gap.fleet_share_pct") / 100
        made.perDeviceGaps = flag("data_gap.per_device")
        made.timeZone = text("site.time_zone")
        made.followsSun = flag("site.sun")
        made.forecastStart = number("forecast.start_probability")
        made.forecastOverload = number("forecast.overload_probability")
        made.forecastClear = number("forecast.clear_probability")
        made.tariffBoundaries = SettingForms.times(text("ramp.tariff_times")) ?? []
        let standard = text("voltage.standard")
        made.standard = Voltage.Standard(rawValue: standard) ?? (nominalFrequency > 55 ? .us : .eu)
        let unbalance = number("voltage.unbalance_pct")
        made.unbalanceLimit = unbalance > 0 ? unbalance : made.standard == .us ? 3 : 2
        made.balanceShare = number("topology.balance_pct") / 100
        made.meterError = number("topology.meter_error_pct") / 100
        made.bankHasZeroSequence = ["true": true, "false": false][text("bank.has_3v0")]
        made.bankReverseLimit = number("bank.reverse_limit_w")
        made.limits = limits(of: nil)
        for feeder in feedersWithOwn { made.feederLimits[feeder] = limits(of: feeder) }
        made.hash = StableHash(fingerprint(prefixes: SettingsCatalogue.deciding)).hexadecimal
        return made
    }

    private func limits(of feeder: String?) -> FeederLimits {
        func given(_ key: String, unless absent: Double) -> Double? {
            let value = number(key, feeder: feeder)
            return value == absent ? nil : value
        }
        var limits = FeederLimits()
        limits.rating = given("head.rating_va", unless: 0) ?? 0
        limits.emergencyRating = given("head.emergency_rating_va", unless: 0)
        limits.reversePermission =
            ReversePower.Permission(rawValue: text("reverse.permitted", feeder: feeder)) ?? .unknown
        limits.reverseLimit = given("reverse.limit_w", unless: -1)
        limits.reverseMinimum = number("reverse.on_min_w", feeder: feeder)
        limits.reverseShare = number("reverse.on_share_pct", feeder: feeder) / 100
        limits.reverseOn = number("reverse.on_s", feeder: feeder)
        limits.reverseOff = number("reverse.off_s", feeder: feeder)
        limits.rampScale = number("ramp.scale", feeder: feeder)
        limits.warnHigh = given("voltage.warn_high_pu", unless: 0)
        limits.high = given("voltage.high_pu", unless: 0)
        limits.warnLow = given("voltage.warn_low_pu", unless: 0)
        limits.low = given("voltage.low_pu", unless: 0)
        limits.isMetered = ["true": true, "false": false][text("head.metered", feeder: feeder)]
        return limits
    }
}
