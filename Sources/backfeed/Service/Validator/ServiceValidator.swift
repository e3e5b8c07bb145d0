internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store
internal import Switching

/// Verdicts on the live network.
struct ServiceValidator: Sendable {
    private let live: LiveState
    private let validator: PlanValidator
    private let settings: Settings
    private let log = Log("validator")

    init(live: LiveState, settings: Settings) {
        self.live = live
        self.settings = settings
        validator = PlanValidator(
            live.stored.network, limits: settings.switchingLimits, software: "backfeed \(Program.version)")
    }

    /// - Parameter advisories: active now; throws when they cannot be read, and then there is no verdict.
    func validate(_ text: [UInt8], advisories: () throws -> [GridSnapshot.ActiveAdvisory]) throws -> String {
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
        let active = try advisories()
        let clock = Timestamp(microseconds: SystemClock.nowMicroseconds)
        let source = LiveSnapshot(stored: live.stored, graph: live.graph, limits: .init(settings))
        let snapshot = source.make(
            live.now, advisories: active, concerned: { validator.feeders(touchedBy: plan, positions: $0) },
            holdHours: plan.holdHours, clock: clock)
        // On the live network every load case is judged: none may be left out.
        let verdict = validator.validate(plan, snapshot)
        log.info(
            "verdict",
            ["plan": plan.id, "hash": verdict.planHash, "verdict": verdict.verdict.rawValue, "author": plan.author])
        return JSONCoding.encode(verdict)
    }
}
