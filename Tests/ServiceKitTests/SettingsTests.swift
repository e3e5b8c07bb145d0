import Foundation
import ServiceKit
import Testing

@Suite struct SettingsTests {
    static let definitions: [SettingDefinition] = [
        .init("http.listen", .text, default: "127.0.0.1:8080", source: "test", "where"),
        .init("reverse.limit_w", .number(-1...1e9), default: "-1", unit: "W", source: "test", "limit", perFeeder: true),
        .init("data_gap.per_device", .flag, default: "true", source: "test", "gaps"),
        .init("voltage.standard", .choice(["EU", "US"]), default: "EU", source: "test", "bands"),
    ]

    private func file(_ text: String) throws -> String {
        let path = NSTemporaryDirectory() + "/settings-\(UUID().uuidString).toml"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test func theNearerSourceWins() throws {
        let path = try file("[reverse]\nlimit_w = 1\n[voltage]\nstandard = \"US\"\n")
        let settings = try Settings(
            definitions: Self.definitions, file: path, environment: ["BACKFEED_REVERSE_LIMIT_W": "2"],
            assignments: ["reverse.limit_w=3"])
        #expect(settings.number("reverse.limit_w") == 3)
        #expect(settings.text("voltage.standard") == "US")
        #expect(settings.text("http.listen") == "127.0.0.1:8080")
        let without = try Settings(
            definitions: Self.definitions, file: path, environment: ["BACKFEED_REVERSE_LIMIT_W": "2"])
        #expect(without.number("reverse.limit_w") == 2)
    }

    @Test func aFeederHasItsOwn() throws {
        let path = try file("[feeder.\"F.01\"]\nlimit_w = 500\n[data_gap]\nper_device = false\n")
        let settings = try Settings(definitions: Self.definitions, file: path)
        #expect(settings.number("reverse.limit_w", feeder: "F.01") == 500)
        #expect(settings.number("reverse.limit_w", feeder: "F02") == -1)
        #expect(!settings.flag("data_gap.per_device"))
    }

    @Test func everyMistakeIsReportedAtOnce() throws {
        let path = try file("[reverse]\nlimit_w = \"much\"\n[voltage]\nstandrad = \"EU\"\n")
        let error = #expect(throws: SettingsError.self) {
            try Settings(
                definitions: Self.definitions, file: path,
                assignments: ["data_gap.per_device=maybe", "nonsense", "feeder.F1.listen=x"])
        }
        let mistakes = try #require(error).mistakes
        #expect(mistakes.count == 5)
        #expect(mistakes.contains { $0.contains("did you mean voltage.standard?") })
    }

    @Test func aSyntaxErrorNamesLineAndColumn() throws {
        let path = try file("[reverse]\nlimit_w = = 3\n")
        let error = #expect(throws: SettingsError.self) { try Settings(definitions: Self.definitions, file: path) }
        #expect(try #require(error).description.contains("\(path):2:"))
    }

    @Test func theFingerprintFollowsWhatDecides() throws {
        let plain = try Settings(definitions: Self.definitions)
        let own = try Settings(definitions: Self.definitions, assignments: ["feeder.F1.limit_w=5"])
        #expect(plain.fingerprint(prefixes: ["reverse."]) != own.fingerprint(prefixes: ["reverse."]))
        #expect(plain.fingerprint(prefixes: ["voltage."]) == own.fingerprint(prefixes: ["voltage."]))
    }
}

@Suite(.timeLimit(.minutes(1))) struct BoundedQueueTests {
    @Test func theProducerIsPausedAndAskedAgain() {
        let demands = Guarded(0)
        let queue = BoundedQueue<Int>(capacity: 2) { demands.withLock { $0 += 1 } }
        #expect(queue.offer(1) == .produceMore)
        #expect(queue.offer(2) == .pause)
        _ = queue.take()
        #expect(demands.withLock { $0 } == 1)
        queue.close()
        #expect(queue.offer(3) == .closed)
        guard case .element(2) = queue.take() else { return #expect(Bool(false), "what waits is drained") }
        guard case .closed = queue.take() else { return #expect(Bool(false), "then it is closed") }
    }

    @Test func everythingArrivesOnceAndInOrderAcrossThreads() {
        let queue = BoundedQueue<Int>(capacity: 8)
        let thread = WorkerThread(name: "producer") {
            for value in 0..<20_000 where !queue.put(value) { return }
            queue.close()
        }
        var next = 0
        while case .element(let value) = queue.take() {
            if value != next { break }
            next += 1
        }
        #expect(next == 20_000)
        thread.join()
    }

    @Test func waitingHasAnEnd() {
        guard case .timedOut = BoundedQueue<Int>(capacity: 1).take(within: 20) else {
            return #expect(Bool(false), "nothing came")
        }
    }
}

@Suite struct MetricsTests {
    @Test func labelsAndHistogramsAreWrittenAsPrometheusReadsThem() {
        let metrics = Metrics()
        metrics.add("a_total", 2, ["why": "a \"quote\"\n"], help: "A")
        metrics.observe("b_seconds", 0.3, bounds: [0.1, 0.5], help: "B")
        #expect(metrics.text.contains("a_total{why=\"a \\\"quote\\\"\\n\"} 2\n"))
        #expect(metrics.text.contains("b_seconds_bucket{le=\"0.1\"} 0\n"))
        #expect(metrics.text.contains("b_seconds_bucket{le=\"+Inf\"} 1\n"))
        #expect(metrics.value("a_total", ["why": "a \"quote\"\n"]) == 2)
    }
}
