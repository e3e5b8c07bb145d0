internal import GridModel

/// What one device has sent lately, and its minutes. Kept per device, because switching moves devices between feeders.
struct DeviceState: Sendable {
    var signal = HeldSignal()
    /// Mean W of the newest minutes, NaN where unknown.
    var minutes = Ring<Float>(capacity: 8)
    /// Per-unit voltage of the newest minutes.
    var voltages = Ring<Float>(capacity: 60)
    var gap: AdvisoryTracker?
    var sign = SignWatch()
    var samplesAtGapEnd = 0
    var hasVoltage = false
}

/// One 10-s bin of the head.
struct HeadBin: Sendable {
    var start: Timestamp
    /// W, var, pu; NaN where missing.
    var power: Double
    var reactive: Double
    var voltage: Double
    var coverage: Double
    var usable: Bool
}

/// One minute of a feeder's fleet, for causes, attribution and estimates.
struct FleetMinute: Sendable {
    var start: Timestamp
    var fleet: FleetPower
    var reporting: Int
    var derCoverage: Double
    /// W of PV that reports and its rating, for estimates.
    var monitored: Double
    var monitoredRating: Double
    var sites: Int
    /// Head mean, W; NaN missing.
    var net: Double
    var sourceVoltage: Double
}

/// One feeder: its clock, bins and detectors. Fed with samples and time by ``Analyser``, which owns the devices.
struct FeederState: Sendable {
    static let headBin = 10.0
    static let minute = 60.0

    let number: Int
    let id: String
    let area: String
    let limits: FeederLimits
    let headDevice: Int
    let headVoltageBase: Double
    /// kW of nominal load, to share out native load where no head is measured.
    let nominalLoad: Double
    /// Name of the bank that feeds it.
    let bank: String

    var clock = Timestamp.distantPast
    /// Longest interval mean seen, s: bins wait for it.
    var slack = 0.0
    var nextHead = Timestamp.distantPast
    var nextMinute = Timestamp.distantPast
    var head = HeldSignal()
    var hasSeenHead = false
    var headCountAtGap = 0
    var headBins = Ring<HeadBin>(capacity: 480)
    var minutes = Ring<FleetMinute>(capacity: 70)
    /// DER now fed by this feeder.
    var ders: [Int] = []
    var groups: [VoltageGroup] = []
    var groupOfDevice: [Int: Int] = [:]
    /// Missing head bins in a row, to jump over long silence.
    var silentBins = 0

    var reverse: AdvisoryTracker
    var estimated: AdvisoryTracker
    var near: AdvisoryTracker
    var ramp: AdvisoryTracker
    var headGap: AdvisoryTracker
    var fleetGap: AdvisoryTracker
    var signs: AdvisoryTracker
    /// Devices that ``signs`` names.
    var wrongSigns: [Int] = []
    /// W·s that flowed back since the reverse advisory's onset; and its part in a clearing that may not last.
    var reverseEnergy = 0.0
    var rampStarted: (start: Timestamp, end: Timestamp, change: Double)?
    var lastRampSign = 0.0
    var switchedAt = Timestamp.distantPast

    init(
        number: Int, id: String, area: String, limits: FeederLimits, headDevice: Int, headVoltageBase: Double,
        nominalLoad: Double, bank: String, settings: AnalysisSettings
    ) {
        self.number = number
        self.id = id
        self.area = area
        self.limits = limits
        self.headDevice = headDevice
        self.headVoltageBase = headVoltageBase
        self.nominalLoad = nominalLoad
        self.bank = bank
        func tracker(_ kind: AdvisoryKind, _ element: String, on: Double, off: Double) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: id, element: element, timing: .init(on: on, off: off, gap: settings.gap),
                rearm: settings.rearm)
        }
        reverse = tracker(.reversePower, "FH-\(id)", on: limits.reverseOn, off: limits.reverseOff)
        estimated = tracker(.reversePower, "\(id)/estimated", on: 300, off: 900)
        near = tracker(.reversePower, "\(id)/near", on: 300, off: 900)
        ramp = tracker(.fastRamp, "FH-\(id)", on: 60, off: 300)
        headGap = tracker(.dataGap, "FH-\(id)", on: 0, off: 0)
        fleetGap = tracker(.dataGap, "\(id)/fleet", on: 0, off: 0)
        signs = tracker(.signSuspect, "\(id)/sign", on: 0, off: 0)
    }

    /// Head bins end this much, minutes that much, before the clock when they become final.
    func headDue(_ settings: AnalysisSettings) -> Timestamp {
        nextHead + (Self.headBin + settings.scadaLateness + slack)
    }
    func minuteDue(_ settings: AnalysisSettings) -> Timestamp {
        nextMinute + (Self.minute + settings.gatewayLateness + slack)
    }

    /// Starts the bins at the first sample.
    mutating func begin(at time: Timestamp, _ settings: AnalysisSettings) {
        guard nextHead == .distantPast else { return }
        let first = (time - settings.scadaLateness - slack).floored(toSeconds: 60)
        nextHead = first
        nextMinute = first
    }

    // MARK: Head bins

    /// Finishes the next head bin and runs the detectors that live on it.
    mutating func finishHeadBin(_ context: Context) -> [AdvisoryReport] {
        let start = nextHead
        nextHead = start + Self.headBin
        let end = nextHead
        let power = head.bin(start, width: Self.headBin, hold: context.settings.meterHold, .activePower)
        let reactive = head.bin(start, width: Self.headBin, hold: context.settings.meterHold, .reactivePower)
        let voltage = head.bin(start, width: Self.headBin, hold: context.settings.meterHold, .voltage)
        let bin = HeadBin(
            start: start, power: power.mean, reactive: reactive.mean,
            voltage: headVoltageBase > 0 ? voltage.mean / headVoltageBase : .nan, coverage: power.coverage,
            usable: power.usable)
        headBins.append(bin)
        head.discard(before: end)
        silentBins = power.mean.isNaN ? silentBins + 1 : 0
        guard hasSeenHead else { return [] }
        return stepHeadGap(bin, end, context) + stepReverse(bin, end, context) + stepRamp(bin, end, context)
    }

    private mutating func stepHeadGap(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let age = end - max(head.last, bin.start - 86_400 * 366)
        let isSilent = age > context.settings.headGap + slack
        if !headGap.isActive || isSilent { headCountAtGap = head.count }
        let silentFor = age
        var tracker = headGap
        defer { headGap = tracker }
        return tracker.step(
            bin.start, width: Self.headBin,
            .bin(
                on: isSilent, off: head.count - headCountAtGap >= 3, value: silentFor, badness: silentFor,
                severity: .medium),
            unit: "s", watermark: end
        ) { facts in
            facts.detector = "DQ_GAP"
            facts.limit = .init(
                value: context.settings.headGap, unit: "s",
                source: "setting data_gap.head_s (B.4.1, 3 × 5 s, at least 30 s)")
            facts.message =
                facts.clearedAt == nil
                ? "Feeder \(id): the head meter FH-\(id) has been silent since \(head.last); reverse power cannot be seen."
                : "Feeder \(id): the head meter FH-\(id) reports again."
            facts.response =
                "Treat the feeder's power as unknown. Check the meter, its gateway and the publisher UTIL-SCADA."
            facts.evidence = evidence(unit: "W", bins: 30, end, context) { $0.power }
        }
    }

    private mutating func stepReverse(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let threshold = limits.reverseOnThreshold
        let limit = limits.effectiveReverseLimit
        let wasIdle = reverse.detector.phase == .idle
        var input = ThresholdDetector.Input.missing
        if !bin.power.isNaN {
            let severity = ReversePower.severity(
                reverseW: max(0, -bin.power), limitW: limit, permission: limits.reversePermission,
                feedsReversedBank: context.reversedBanks.contains(bank))
            input = .bin(
                on: bin.power <= -threshold, off: bin.power >= -0.5 * threshold, value: bin.power, badness: -bin.power,
                severity: severity)
        }
        // Energy from onset to clear-onset: what flows while clearing counts only if it goes on.
        var tracker = reverse
        let reports = tracker.step(bin.start, width: Self.headBin, input, unit: "W", watermark: end) { facts in
            facts.detector = "RPF_HEAD"
            facts.limit = .init(
                value: -limit, unit: "W",
                source: limits.reverseLimit == nil ? "default: half of the head's rating" : "setting reverse.limit_w")
            facts.confidence = bin.usable ? .low : .high
            facts.contributors = contributors(context)
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.evidence.notes["threshold_w"] = -threshold
            facts.evidence.notes["reverse_energy_wh"] = (reverseEnergy / 3600).rounded()
            let now = bin.power.isNaN ? facts.peak.value : bin.power
            facts.message = Words.reverse(id, now: now, peak: facts.peak.value, limit: limit, facts: facts)
            facts.response = Words.reverseResponse(facts.severity)
        }
        reverse = tracker
        if reverse.detector.phase != .idle, !bin.power.isNaN {
            if wasIdle { reverseEnergy = 0 }
            reverseEnergy += max(0, -bin.power) * Self.headBin
        }
        return reports
    }

    private mutating func stepRamp(_ bin: HeadBin, _ end: Timestamp, _ context: Context) -> [AdvisoryReport] {
        let window = headBins.newest(31)
        let rating = limits.rating
        var input = ThresholdDetector.Input.missing
        var measure: Ramp.Measure?
        if !bin.power.isNaN {
            var (minutes, power): ([Double], [Double]) = ([], [])
            var (low, high) = (Double.infinity, -Double.infinity)
            var shortFrom: Int?
            for item in window where !item.power.isNaN {
                if shortFrom == nil, end - item.start <= 70 { shortFrom = minutes.count }
                minutes.append((item.start - (end - 310)) / 60)
                power.append(item.power)
                low = min(low, item.power)
                high = max(high, item.power)
            }
            // Theil–Sen is the costly part: a window that never leaves 8 % of the rating cannot open the second gate.
            let isCalm = high - low < 0.01 * rating && ramp.isActive || high - low < 0.08 * rating * limits.rampScale
            if isCalm, !ramp.isActive || high - low < 0.01 * rating {
                measure = Ramp.Measure(slope: 0, change: power.last.map { ($0 - power[0]) / rating * 100 } ?? 0)
            } else {
                measure = Ramp.Measure(minutes: minutes, power: power, rating: rating, shortFrom: shortFrom)
            }
            if let measure {
                let level = Ramp.level(measure, scale: limits.rampScale)
                let perMinute = measure.slope / 100 * rating
                let severity = level.map {
                    Ramp.escalated(
                        $0.severity, power: bin.power, slope: perMinute, rating: rating,
                        emergencyRating: limits.emergencyRating)
                }
                if level != nil { lastRampSign = measure.change < 0 ? -1 : 1 }
                input = .bin(
                    on: level != nil, off: abs(measure.slope) < 1 && level == nil, value: perMinute,
                    badness: abs(perMinute), severity: severity ?? .note)
            }
        }
        var tracker = ramp
        let reports = tracker.step(bin.start, width: Self.headBin, input, unit: "W/min", watermark: end) { facts in
            let measure = measure ?? Ramp.Measure(slope: 0, change: 0)
            let level = Ramp.level(measure, scale: limits.rampScale) ?? .one
            if facts.clearedAt == nil, facts.detector.isEmpty {
                facts.detector = lastRampSign < 0 ? "RAMP_DOWN" : "RAMP_UP"
            }
            facts.limit = .init(
                value: [0.02, 0.04, 0.08][level.rawValue - 1] * rating * limits.rampScale, unit: "W/min",
                source: "B.3.2 level L\(level.rawValue), in % of the head's rating")
            facts.confidence = bin.usable ? .low : .high
            facts.evidence = evidence(unit: "W", bins: 60, end, context) { $0.power }
            facts.evidence.notes["slope_pct_per_min"] = measure.slope
            facts.evidence.notes["change_pct"] = measure.change
            facts.message = Words.ramp(id, measure, rating: rating, facts: facts)
            facts.response = Words.rampResponse(facts)
        }
        ramp = tracker
        for report in reports where report.change == .start {
            let change = (measure?.change ?? 0) / 100 * rating
            rampStarted = (bin.start - 300, end, change)
        }
        return reports
    }

    // MARK: What the parts share

    /// What a detector may look at besides its own bins.
    struct Context: Sendable {
        let settings: AnalysisSettings
        let model: AnalysisModel
        /// Banks that flow back and are not known to have 3V0 protection.
        var reversedBanks: Set<String> = []
        /// Mean W of each device in the newest finished minute, with its share of the feeder's injection: on demand.
        var injections: [Int: Double] = [:]
    }

    /// The DER that inject most, by the newest finished minute; at most ten.
    func contributors(_ context: Context) -> [AdvisoryFacts.Contributor] {
        let injecting = ders.compactMap { number -> (Int, Double)? in
            guard let power = context.injections[number], power > 0 else { return nil }
            return (number, power)
        }
        let total = injecting.reduce(0) { $0 + $1.1 }
        guard total > 0 else { return [] }
        return injecting.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(10).map { number, power in
            let device = context.model.registry.devices[number]
            return AdvisoryFacts.Contributor(
                device: device.name, kind: device.kind, activePowerW: power.rounded(),
                share: (power / total * 1e4).rounded() / 1e4)
        }
    }

    func evidence(
        unit: String, bins: Int, _ end: Timestamp, _ context: Context, _ value: (HeadBin) -> Double
    ) -> AdvisoryFacts.Evidence {
        let window = headBins.newest(min(bins, 200))
        let missing = window.filter { value($0).isNaN }.count
        let usable = window.filter { !value($0).isNaN && $0.usable }.count
        let all = Double(max(1, window.count))
        return AdvisoryFacts.Evidence(
            series: window.map { .init(time: $0.start, value: value($0).isNaN ? nil : value($0).rounded()) },
            unit: unit,
            binS: Self.headBin, goodPct: (Double(window.count - missing - usable) / all * 1000).rounded() / 10,
            usablePct: (Double(usable) / all * 1000).rounded() / 10,
            missingPct: (Double(missing) / all * 1000).rounded() / 10, settingsHash: context.settings.hash,
            topologyRevision: context.model.revision)
    }
}
