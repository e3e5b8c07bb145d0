/// Counters, gauges and histograms of the process, written in Prometheus' text format (version 0.0.4).
///
/// Names follow Prometheus' rules: `backfeed_<part>_<what>_<unit>[_total]`. Updates take a lock: once a batch, never once
/// a sample.
public final class Metrics: Sendable {
    public typealias Labels = [String: String]

    fileprivate enum Kind: String { case counter, gauge, histogram }
    fileprivate struct Series: Sendable {
        var value = 0.0
        var buckets: [Double] = []
        var count = 0.0
    }
    fileprivate struct Family: Sendable {
        var kind: Kind
        var help: String
        var bounds: [Double] = []
        var series: [String: Series] = [:]
    }

    private let families = Guarded<[String: Family]>([:])

    public init() {}

    public func add(_ name: String, _ amount: Double = 1, _ labels: Labels = [:], help: String) {
        update(name, .counter, labels, help) { $0.value += amount }
    }

    public func set(_ name: String, _ value: Double, _ labels: Labels = [:], help: String) {
        update(name, .gauge, labels, help) { $0.value = value }
    }

    /// - Parameter bounds: upper bounds of the buckets, ascending; fixed at the first call.
    public func observe(_ name: String, _ value: Double, _ labels: Labels = [:], bounds: [Double], help: String) {
        update(name, .histogram, labels, help, bounds: bounds) { series in
            if series.buckets.isEmpty { series.buckets = Array(repeating: 0, count: bounds.count) }
            for (place, bound) in bounds.enumerated() where value <= bound { series.buckets[place] += 1 }
            series.count += 1
            series.value += value
        }
    }

    /// The current value of a counter or gauge; 0 when nothing was recorded.
    public func value(_ name: String, _ labels: Labels = [:]) -> Double {
        families.withLock { $0[name]?.series[Self.key(labels)]?.value ?? 0 }
    }

    /// Every series of a family, by its label text: for `/readyz` and the tests.
    public func values(_ name: String) -> [String: Double] {
        families.withLock { $0[name]?.series.mapValues(\.value) ?? [:] }
    }

    public var text: String {
        let families = families.withLock { $0 }
        var out = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            out += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                guard family.kind == .histogram else {
                    out += "\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(Self.number(series.value))\n"
                    continue
                }
                let joined = labels.isEmpty ? "" : "\(labels),"
                for (bound, count) in zip(family.bounds, series.buckets) {
                    out += "\(name)_bucket{\(joined)le=\"\(Self.number(bound))\"} \(Self.number(count))\n"
                }
                out += "\(name)_bucket{\(joined)le=\"+Inf\"} \(Self.number(series.count))\n"
                out += "\(name)_sum\(labels.isEmpty ? "" : "{\(labels)}") \(Self.number(series.value))\n"
                out += "\(name)_count\(labels.isEmpty ? "" : "{\(labels)}") \(Self.number(series.count))\n"
            }
        }
        return out
    }

    private func update(
        _ name: String, _ kind: Kind, _ labels: Labels, _ help: String, bounds: [Double] = [],
        _ change: (inout Series) -> Void
    ) {
        let key = Self.key(labels)
        families.withLock { families in
            families[name, default: Family(kind: kind, help: help, bounds: bounds)].series[key, default: Series()]
                .apply(change)
        }
    }

    private static func key(_ labels: Labels) -> String {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\(JSONText.quoted($0.value))" }.joined(separator: ",")
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}

extension Metrics.Series {
    fileprivate mutating func apply(_ change: (inout Self) -> Void) { change(&self) }
}
