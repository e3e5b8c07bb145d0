public import DataDirectory
internal import Foundation
public import GridModel
internal import ServiceKit
public import Switching

/// The network at a moment of a data directory's window, as if measured then: no service, no database.
public struct WindowSnapshot: Sendable {
    private let network: Network
    private let window: ProfileWindow
    private let injections: WindowInjections
    private let taps: TransformerTaps?
    private let revision: String

    /// - Throws: every mistake of the window's tables.
    public init(directory: String, window: ProfileWindow, network: Network) throws {
        self.network = network
        self.window = window
        injections = try WindowInjections(directory: directory, window: window, network: network)
        taps = try TransformerTaps(directory: directory, window: window.name)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        revision = Digest.sha256(String(decoding: try encoder.encode(network), as: UTF8.self))
    }

    /// - Parameter holdHours: how far the outlook goes, at most to the window's end.
    public func at(_ time: Timestamp, holdHours: Double) -> GridSnapshot {
        let moment = injections.at(time)
        let known = taps?.at(time) ?? [:]
        var snapshot = GridSnapshot(
            time: time, networkRevision: revision,
            positions: network.switches.map(\.normalPosition),
            taps: network.transformers.map { known[$0.id] ?? $0.tap.position },
            loadWatts: moment.loadWatts, loadVars: moment.loadVars, derWatts: moment.ders, derVars: moment.derVars)
        snapshot.watermark = time
        snapshot.lightLoadShare = lightLoadShare(moment.loadWatts.reduce(0, +))
        snapshot.notRun = Self.unfed
        snapshot.hasMeasuredTaps = !known.isEmpty
        if known.isEmpty {
            snapshot.notRun.append(
                .init(
                    check: "V",
                    reason:
                        "no tap positions at this time: transformers stand where their control puts them, or in their normal ones"
                ))
        }
        snapshot.lacks = lacks
        if !injections.constantLoads.isEmpty {
            snapshot.doubts.append(
                Finding(
                    "LF", .condition, elements: Array(injections.constantLoads.prefix(5)),
                    limitSource: "p_profile of loads",
                    "\(injections.constantLoads.count) of \(network.loads.count) loads have no profile: they count with their p_kw at every moment.",
                    remedy: "Measure the load before the step, or give them a profile."))
        }
        let end = time + holdHours * 3600
        if let place = network.centre {
            snapshot.hasDaylight = Sun.shines(
                from: time, to: end, longitude: place.longitude, latitude: place.latitude)
        }
        var next = time.floored(toSeconds: 900) + 900
        while next <= end, next < window.end {
            let later = injections.at(next)
            snapshot.outlook.append(
                .init(
                    time: next, watts: zip(later.loadWatts, later.derWatts).map { $0 - $1 },
                    vars: zip(later.loadVars, later.derVars).map { $0 - $1 }))
            next = next + 900
        }
        if end > window.end {
            snapshot.notRun.append(
                .init(check: "H3", reason: "the window ends at \(window.end), before the \(holdHours) h are over"))
        }
        return snapshot
    }

    /// Inputs without which what flows is not known.
    private var lacks: [GridSnapshot.Lack] {
        var lacks: [GridSnapshot.Lack] = []
        func lack(_ ids: [String], _ count: Int, _ text: String) {
            guard !ids.isEmpty else { return }
            lacks.append(
                .init(
                    check: "LF", text: "\(ids.count) of \(count) \(text) (\(ids.prefix(5).joined(separator: ", ")))",
                    elements: Array(ids.prefix(5)), isOfAll: ids.count == count))
        }
        let silent = window.unknownDERs.map { network.ders[$0].id }
        lack(silent, network.ders.count, "DER have no profile in window \(window.name): what they give is not known")
        lack(
            injections.loadsWithoutVars, network.loads.count,
            "loads have no q_kvar: what they take of reactive power is not known")
        return lacks
    }

    /// 5th percentile of the whole load by quarter hour, as a share of what it is now; at most 1.
    private func lightLoadShare(_ now: Double) -> Double? {
        guard now > 0 else { return nil }
        var totals: [Double] = []
        var time = window.start
        while time < window.end {
            totals.append(injections.at(time).loadWatts.reduce(0, +))
            time = time + 900
        }
        guard !totals.isEmpty else { return nil }
        totals.sort()
        return min(1, totals[Int(Double(totals.count - 1) * 0.05)] / now)
    }

    /// What a data directory does not tell.
    private static let unfed =
        [
            ("T1", "how old the switch positions are: they are the normal ones and what the plan states"),
            ("T4", "tags, grounds and clearances in force: only those of the plan itself are known"),
            ("X2", "age of telemetry: the profiles stand for it"), ("X3", "other plans"),
            ("X4", "who may write and approve"), ("D8", "active advisories"),
            ("X7", "restrictions in force: only those of limits.restrictions are known"),
        ].map { Verdict.NotRun(check: $0.0, reason: "not in the data directory: \($0.1)") }
}
