internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

/// Verdicts on the live network, from the newest values and what stands in the database.
struct ServiceValidator: Sendable {
    private let live: LiveState
    private let validator: PlanValidator
    private let limits: LiveSnapshot.Limits
    private let validMinutes, clearanceMinutes: Double
    private let headShare: Double
    /// W by feeder.
    private let ratings: [String: Double]
    private let outlook: ProfileOutlook

    init(live: LiveState, outlook: ProfileOutlook, settings: Settings) {
        self.live = live
        self.outlook = outlook
        limits = .init(settings)
        validMinutes = settings.number("validator.validity_min")
        clearanceMinutes = settings.number("validator.clearance_validity_min")
        headShare = settings.number("validator.head_change_pct") / 100
        validator = PlanValidator(
            live.stored.network, limits: settings.switchingLimits, software: "backfeed \(Program.version)")
        let network = live.stored.network
        let levels = Dictionary(network.nodes.map { ($0.id, $0.nominalKilovolts) }, uniquingKeysWith: { a, _ in a })
        ratings = Dictionary(
            network.feeders.compactMap { feeder in
                network.ratingVA(of: feeder, nominalKilovolts: levels[feeder.busbar] ?? 0).map { (feeder.id, $0) }
            },
            uniquingKeysWith: { a, _ in a })
    }

    var network: Network { live.stored.network }

    /// - Throws: with every mistake; also for a plan that states positions, which only a study may.
    static func decode(_ text: [UInt8]) throws -> SwitchingPlan {
        let plan: SwitchingPlan
        do {
            plan = try PlanDocument.decode(text)
        } catch {
            throw APIError.badRequest(error.mistakes.joined(separator: "; "))
        }
        guard plan.initialSwitchStates.isEmpty else {
            throw APIError.badRequest(
                "initial_switch_states: only for a study; the live network is judged as it is switched")
        }
        return plan
    }

    func snapshot(
        _ plan: SwitchingPlan, _ record: OperatingRecord, executed: [ExecutedStep] = []
    ) -> GridSnapshot {
        LiveSnapshot(stored: live.stored, graph: live.graph, points: live.points, limits: limits).make(
            live.now, record, concerned: { validator.feeders(touchedBy: plan, positions: $0, executed: executed) },
            holdHours: plan.holdHours, at: .now)
    }

    /// On the live network every load case is judged: none may be left out.
    ///
    /// - Parameter overrides: what people have taken on themselves; their end is the verdict's, too.
    func verdict(
        _ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = [], overrides: [Override] = []
    ) -> Verdict {
        var snapshot = snapshot
        outlook.foresee(
            &snapshot, from: outlook.clock, hours: plan.holdHours,
            concerned: validator.feeders(touchedBy: plan, positions: snapshot.positions, executed: executed))
        // Where nothing is switched nothing moves by itself either.
        let isQuiet = plan.kind == .clearance && !plan.steps.contains { $0.action.movesSwitch }
        var verdict = validator.validate(
            plan, snapshot, executed: executed, validMinutes: isQuiet ? clearanceMinutes : validMinutes)
        guard !overrides.isEmpty else { return verdict }
        let now = snapshot.time
        verdict = verdict.with(findings: Override.apply(overrides, to: verdict.findings, at: now))
        let ends = overrides.filter { now < $0.expiresAt }.map { override in
            override.role == .field
                ? min(override.expiresAt, override.givenAt + Override.verificationSeconds) : override.expiresAt
        }
        verdict.validUntil = ends.reduce(verdict.validUntil ?? now) { min($0, $1) }
        return verdict
    }

    func picture(_ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = []) -> PlanPicture {
        validator.picture(plan, snapshot, executed: executed)
    }

    /// Feeders whose head has not been heard since a moment had its effect.
    func unheard(_ feeders: [String], since moment: Timestamp) -> [String] {
        let heads = live.read(\.heads)
        let now = Moment.now
        let settled = moment + LiveSnapshot.settleSeconds
        return feeders.filter { heads[$0].map { now.wallTime(of: $0.receivedAt) <= settled } ?? true }
    }

    func evidence(_ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep]) -> Verdict.Evidence {
        validator.evidence(plan, snapshot, executed: executed)
    }

    /// Why a verdict no longer holds; empty: it does.
    ///
    /// - Parameters:
    ///   - isSwitching: loads move because a step is being done.
    ///   - issued: switches that may be moving because of it.
    func changes(
        since old: Verdict.Evidence, _ plan: SwitchingPlan, _ snapshot: GridSnapshot, executed: [ExecutedStep] = [],
        isSwitching: Bool = false, issued: Set<String> = []
    ) -> [String] {
        EvidenceChange.reasons(
            from: old, to: evidence(plan, snapshot, executed: executed), ratings: ratings, share: headShare,
            isSwitching: isSwitching, issued: issued)
            + snapshot.allDoubts.filter { $0.severity >= .unknown }.map(\.message)
    }
}
