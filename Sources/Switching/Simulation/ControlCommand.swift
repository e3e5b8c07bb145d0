internal import Foundation
internal import GridModel

/// What a control step does, where that is simulated or judged. What any other does is not known.
enum ControlCommand: Equatable {
    case regulatorMode(Network.Regulator.Mode)
    case groundTrip(isBlocked: Bool)
    case settings(isAlternate: Bool)
    /// W that a DER may give from now on; `nil`: the limit is lifted.
    case limit(watts: Double?)

    init?(_ step: SwitchingPlan.Step, _ network: Network, _ graph: NetworkGraph) {
        guard step.action == .control, let value = step.value else { return nil }
        if network.regulators?.contains(where: { $0.id == step.element }) ?? false {
            guard let mode = Network.Regulator.Mode(rawValue: value.uppercased()) else { return nil }
            self = .regulatorMode(mode)
        } else if let number = graph.switchIndex[step.element], network.switches[number].relay != nil {
            switch value.lowercased() {
            case "block_ground": self = .groundTrip(isBlocked: true)
            case "unblock_ground": self = .groundTrip(isBlocked: false)
            case "alternate_settings": self = .settings(isAlternate: true)
            case "normal_settings": self = .settings(isAlternate: false)
            default: return nil
            }
        } else if network.ders.contains(where: { $0.id == step.element }), let limit = Self.limit(value) {
            self = .limit(watts: limit)
        } else {
            return nil
        }
    }

    /// `limit_kw 1500`, `limit_kw off`; `nil`: another command.
    static func limit(_ value: String?) -> Double?? {
        let words = (value ?? "").lowercased().split { $0 == " " || $0 == "=" }
        guard words.count == 2, words[0] == "limit_kw" else { return nil }
        if words[1] == "off" { return .some(nil) }
        guard let kilowatts = Double(words[1]), kilowatts.isFinite, kilowatts >= 0 else { return nil }
        return kilowatts * 1000
    }
}
