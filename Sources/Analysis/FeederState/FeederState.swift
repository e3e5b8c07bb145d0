internal import GridModel

/// One 10-s bin of the head.
struct HeadBin: Sendable {
    var start: Timestamp
    /// W, var, pu; NaN where missing.
    var power: Double
    var reactive: Double
    var voltage: Double
    var coverage: Double
    var usable: Bool
    /// W of the least phase, and % by which three voltages differ; NaN where they are not sent.
    var leastPhase = Double.nan
    var unbalance = Double.nan
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
    var slack = 0.0 {
        didSet { setWaits() }
    }
    /// Longest interval mean of the head, s: once it has spoken its bins wait for that alone; `nil`: it has not.
    private(set) var headInterval: Double? {
        didSet { setWaits() }
    }
    var headSlack: Double { headInterval ?? slack }
    /// How late samples may come, s.
    private let lateness: (scada: Double, gateway: Double)
    /// Microseconds from the beginning of a head bin, or a minute, until it is final: asked for with each sample.
    private var headWait: Int64 = 0
    private var minuteWait: Int64 = 0
    var nextHead = Timestamp.distantPast
    var nextMinute = Timestamp.distantPast
    var head = HeldSignal()
    var hasSeenHead = false
    var silence = SilenceWatch()
    /// Samples that had come of it when it fell silent.
    var countAtGap = 0
    var headBins = Ring<HeadBin>(capacity: 480)
    var minutes = Ring<FleetMinute>(capacity: 70)
    /// DER now fed by this feeder.
    var ders: [Int] = []
    var groups: [VoltageGroup] = []
    var groupOfDevice: [Int: Int] = [:]
    /// Regulators, reclosers and service transformers that have spoken, in device order.
    var linePoints: [LinePoint] = []
    /// Meters at home here that have sent something wrong, in device order.
    var suspects: [Int] = []
    /// Missing head bins in a row, to jump over long silence.
    var silentBins = 0

    var reverse: AdvisoryTracker
    var estimated: AdvisoryTracker
    var near: AdvisoryTracker
    var ramp: AdvisoryTracker
    var fleetRamp: AdvisoryTracker
    var headGap: AdvisoryTracker
    var fleetGap: AdvisoryTracker
    var signs: DeviceFault
    var frozen: DeviceFault
    var clocks: DeviceFault
    var ranges: DeviceFault
    var unusables: DeviceFault
    var headSigns: AdvisoryTracker
    var headStands: AdvisoryTracker
    var headClock: AdvisoryTracker
    var spikes: AdvisoryTracker
    var steps: AdvisoryTracker
    var model: AdvisoryTracker
    var mismatch: AdvisoryTracker
    /// Devices without voltage where the network is live, as they were named last.
    var withoutVoltage: [Int] = []
    var outage: AdvisoryTracker
    var manyHigh: AdvisoryTracker
    var manyLow: AdvisoryTracker
    var headFrozen = FrozenWatch()
    /// Changes of value of all devices so far: what stands still beside them is frozen.
    var variations = 0
    var headSign = HeadSignWatch()
    var headUnusable = UnusableSamples()
    /// When the head was first heard, with whatever.
    var headFirst = Timestamp.distantPast
    /// Of its samples that came too late to count, the newest time.
    var headLate = Timestamp.distantPast
    /// W of all DER in the newest minute, when it was night and enough of them reported.
    var fleetByNight = Double.nan
    /// Newest steps of the head's voltage, pu.
    var voltageSteps: [(at: Timestamp, size: Double)] = []
    /// |residual| of the newest minutes, W; NaN unknown.
    var residuals = Ring<Double>(capacity: 15)
    /// DER at home here that no feeder feeds now, and whether most of the feeder is dead by the switch positions.
    var darkDevices: [Int] = []
    var isSwitchedOff = false
    /// No voltage at the head, or switched off, and nothing flows.
    var isOut = false
    var outageEnded: Timestamp?
    /// W of native load and of DER before an outage.
    var beforeOutage: (native: Double, fleet: Double) = (.nan, .nan)
    /// W·s that flowed back since the reverse advisory's onset; and its part in a clearing that may not last.
    var reverseEnergy = 0.0
    var rampStarted: (start: Timestamp, end: Timestamp, change: Double)?
    var lastRampSign = 0.0
    var lastRampAt = Timestamp.distantPast
    /// Turns from one direction to the other, each within ten minutes of the last.
    var rampSwings = 0
    var switchedAt = Timestamp.distantPast
    var phase: AdvisoryTracker
    var unbalance: AdvisoryTracker
    /// The head has sent power by phase.
    var hasPhases = false
    /// By device that has sent three voltages, their unbalance in the newest minutes, %.
    var unbalances: [Int: Ring<Float>] = [:]
    /// Those among them that were beyond the limit and have not been seen within it since.
    var unequal: Set<Int> = []
    /// Load or DER are here that are not in the normal state, or the other way round.
    var isSwitched = false
    var forecaster = Forecaster()
    var reverseForecast: AdvisoryTracker
    var overloadForecast: AdvisoryTracker
    var reverseExpectedAt = Timestamp.distantPast
    var overloadExpectedAt = Timestamp.distantPast
    var voltageForecast: AdvisoryTracker
    var voltageExpectedAt = Timestamp.distantPast

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
        lateness = (settings.scadaLateness, settings.gatewayLateness)
        func tracker(_ kind: AdvisoryKind, _ element: String, on: Double, off: Double) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: id, element: element, timing: .init(on: on, off: off, gap: settings.gap),
                rearm: settings.rearm)
        }
        reverse = tracker(.reversePower, "FH-\(id)", on: limits.reverseOn, off: limits.reverseOff)
        estimated = tracker(.reversePower, "\(id)/estimated", on: 300, off: 900)
        near = tracker(.reversePower, "\(id)/near", on: 300, off: 900)
        ramp = tracker(.fastRamp, "FH-\(id)", on: 60, off: 300)
        fleetRamp = tracker(.fleetRamp, "\(id)/fleet-ramp", on: 60, off: 300)
        headGap = tracker(.dataGap, "FH-\(id)", on: 0, off: 0)
        fleetGap = tracker(.dataGap, "\(id)/fleet", on: 0, off: 0)
        func fault(_ kind: AdvisoryKind, _ name: String) -> DeviceFault {
            DeviceFault(tracker: tracker(kind, "\(id)/\(name)", on: 0, off: 0))
        }
        signs = fault(.signSuspect, "sign")
        frozen = fault(.dataFrozen, "frozen")
        clocks = fault(.clockSuspect, "clock")
        ranges = fault(.dataImplausible, "range")
        unusables = fault(.dataImplausible, "unusable")
        headSigns = tracker(.signSuspect, "FH-\(id)", on: 0, off: 0)
        headStands = tracker(.dataFrozen, "FH-\(id)", on: 0, off: 0)
        headClock = tracker(.clockSuspect, "FH-\(id)", on: 0, off: 0)
        spikes = tracker(.dataImplausible, "FH-\(id)", on: 0, off: 600)
        steps = tracker(.voltageStep, "FH-\(id)", on: 0, off: 600)
        model = tracker(.modelMismatch, "\(id)/model", on: 3600, off: 7200)
        mismatch = tracker(.topologyMismatch, "\(id)/topology", on: 0, off: 3600)
        outage = tracker(.outage, "FH-\(id)", on: 20, off: PostOutage.settling)
        manyHigh = tracker(.voltageHigh, "\(id)/voltage", on: 0, off: 0)
        manyLow = tracker(.voltageLow, "\(id)/voltage", on: 0, off: 0)
        phase = tracker(.reversePower, "\(id)/phase", on: limits.reverseOn, off: limits.reverseOff)
        unbalance = tracker(.voltageUnbalance, "\(id)/unbalance", on: 1800, off: 1200)
        // Two runs to start, three to clear (B.5).
        func forecast(_ kind: AdvisoryKind, _ element: String) -> AdvisoryTracker {
            AdvisoryTracker(
                kind, feeder: id, element: element,
                timing: .init(on: 2 * ForecastRun.cadence, off: 3 * ForecastRun.cadence, gap: 2 * ForecastRun.cadence),
                rearm: settings.rearm)
        }
        reverseForecast = forecast(.reversePowerForecast, "\(id)/reverse-forecast")
        overloadForecast = forecast(.overloadForecast, "\(id)/overload-forecast")
        voltageForecast = forecast(.voltageForecast, "\(id)/voltage-forecast")
        setWaits()
    }

    /// Trackers that live on head bins, and those that live on minutes: for a restart.
    mutating func withHeadTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        body(&reverse)
        body(&ramp)
        body(&headGap)
        body(&spikes)
        body(&steps)
        body(&outage)
        body(&phase)
    }

    mutating func withMinuteTrackers(_ body: (inout AdvisoryTracker) -> Void) {
        eachMinuteTracker(body)
        headSign.restore(isWrong: headSigns.isActive)
    }

    /// Worst values that have become worse, of what is looked at by head bins or by minutes.
    mutating func worsened(_ end: Timestamp, head: Bool) -> [AdvisoryReport] {
        guard end == end.floored(toSeconds: AdvisoryTracker.worstEvery) else { return [] }
        var reports: [AdvisoryReport] = []
        func look(_ tracker: inout AdvisoryTracker) { if let report = tracker.worsened(end) { reports.append(report) } }
        if head {
            withHeadTrackers(look)
        } else {
            eachMinuteTracker(look)
            for place in groups.indices { groups[place].withTrackers(look) }
        }
        return reports
    }

    private mutating func eachMinuteTracker(_ body: (inout AdvisoryTracker) -> Void) {
        body(&fleetGap)
        body(&signs.tracker)
        body(&frozen.tracker)
        body(&clocks.tracker)
        body(&ranges.tracker)
        body(&unusables.tracker)
        body(&headSigns)
        body(&headStands)
        body(&headClock)
        body(&model)
        body(&mismatch)
        body(&manyHigh)
        body(&manyLow)
        body(&estimated)
        body(&near)
        body(&unbalance)
        body(&fleetRamp)
        body(&reverseForecast)
        body(&overloadForecast)
        body(&voltageForecast)
        for place in linePoints.indices { linePoints[place].withTrackers(body) }
    }

    /// Head bins end this much, minutes that much, before the clock when they become final.
    var headDue: Timestamp { Timestamp(microseconds: nextHead.microseconds + headWait) }
    var minuteDue: Timestamp { Timestamp(microseconds: nextMinute.microseconds + minuteWait) }

    private mutating func setWaits() {
        headWait = Int64(((Self.headBin + lateness.scada + headSlack) * 1e6).rounded())
        minuteWait = Int64(((Self.minute + lateness.gateway + slack) * 1e6).rounded())
    }

    /// The head has spoken, with a mean over so many seconds, or 0.
    mutating func noteHead(interval: Double) {
        guard headInterval.map({ interval > $0 }) ?? true else { return }
        headInterval = min(3600, interval)
    }

    /// Starts the bins at the first sample.
    mutating func begin(at time: Timestamp, _ context: Context) {
        guard nextHead == .distantPast else { return }
        let first = (time - context.given.settings.scadaLateness - slack).floored(toSeconds: 60)
        nextHead = first
        nextMinute = first
    }

    // MARK: What the parts share

    /// What a detector may look at besides its own bins.
    struct Context: Sendable {
        /// What does not change. Behind a reference, because a context is handed to each detector of each bin.
        final class Given: Sendable {
            let settings: AnalysisSettings
            let model: AnalysisModel
            let calendar: LocalCalendar
            /// By device.
            let traits: [DeviceTraits]

            init(_ settings: AnalysisSettings, _ model: AnalysisModel) {
                self.settings = settings
                self.model = model
                calendar = LocalCalendar(zone: settings.timeZone)
                traits = model.registry.devices.map { device in
                    DeviceTraits(kind: device.kind, rating: device.rating, voltageBase: device.voltageBase)
                }
            }
        }

        let given: Given
        var settings: AnalysisSettings { given.settings }
        var model: AnalysisModel { given.model }
        var calendar: LocalCalendar { given.calendar }
        /// Banks that flow back and are not known to have 3V0 protection.
        var reversedBanks: Set<String> = []
        /// By device: mean W in the newest finished minute, NaN where it is not known.
        var injections: [Double]
        /// Where the network is, to know when the sun is down; `nil`: not known.
        var place: Network.Place?
        /// Banks known to have no 3V0 protection.
        var banksWithoutZeroSequence: Set<String> = []

        /// Part of a level plane's rating that a clear sky gives; `NaN` where the place is not known.
        func clearSky(_ time: Timestamp) -> Double {
            guard let place else { return .nan }
            return ForecastRules.clearSky(
                elevation: Sun.elevation(at: time, longitude: place.longitude, latitude: place.latitude))
        }

        /// W, 0 where it is not known.
        func injection(of device: Int) -> Double {
            let power = injections[device]
            return power.isNaN ? 0 : power
        }
    }

    /// The DER that inject most, by the newest finished minute; at most ten.
    func contributors(_ context: Context) -> [AdvisoryFacts.Contributor] {
        let injecting = ders.compactMap { number -> (Int, Double)? in
            let power = context.injections[number]
            return power > 0 ? (number, power) : nil
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
        unit: String, bins: Int, _ end: Timestamp, _ context: Context, steps: Double = 1, _ value: (HeadBin) -> Double
    ) -> AdvisoryFacts.Evidence {
        let window = headBins.newest(min(bins, 200))
        let missing = window.filter { value($0).isNaN }.count
        let usable = window.filter { !value($0).isNaN && $0.usable }.count
        let all = Double(max(1, window.count))
        return AdvisoryFacts.Evidence(
            series: window.map {
                .init(time: $0.start, value: value($0).isNaN ? nil : (value($0) * steps).rounded() / steps)
            },
            unit: unit,
            binS: Self.headBin, goodPct: (Double(window.count - missing - usable) / all * 1000).rounded() / 10,
            usablePct: (Double(usable) / all * 1000).rounded() / 10,
            missingPct: (Double(missing) / all * 1000).rounded() / 10, settingsHash: context.settings.hash,
            topologyRevision: context.model.revision)
    }
}
