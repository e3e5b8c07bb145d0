import Foundation
import Glibc
import GridModel
import HTTPAPI
import ServiceKit
import TestSupport
import Testing

/// Answers with fixed values, so that the server and the router are what is tested.
struct FixedBackend: Backend {
    /// Of the account whose token is `t`; `nil`: there are no accounts.
    var role: Role?
    func feeders() throws -> [String] { ["{\"id\":\"F1\"}"] }
    func feeder(_ id: String) throws -> String? { id == "F1" ? "{\"id\":\"F1\"}" : nil }
    func devices(feeder: String?, kind: String?, offset: Int, limit: Int) throws -> [String] {
        Array((0..<7).map { "{\"id\":\"d\($0)\"}" }.dropFirst(offset).prefix(limit))
    }
    func device(_ id: String) throws -> String? { nil }
    func search(_ text: String, limit: Int) throws -> [String] { [] }
    func forecast(feeder: String) throws -> String? { "{\"feeder\":\"\(feeder)\"}" }
    func forecastSkill(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String? {
        "{\"feeder\":\"\(feeder)\"}"
    }
    func statistics(feeder: String, from: Timestamp?, until: Timestamp?) throws -> String? {
        feeder == "F01" ? "{\"feeder\":\"F01\"}" : nil
    }
    func profile(
        feeder: String, from: Timestamp?, until: Timestamp?, bucket: String, asNormal: Bool
    ) throws -> TableSource {
        // Of a million minutes, when asked for them.
        let rows = bucket == "1m" ? 1_000_000 : 2
        return TableSource(
            header: [("feeder", feeder)], columns: ["net_w", "pv_w"], ended: { Self.ended.withLock { $0 += 1 } }
        ) { each in
            let start = Timestamp("2026-06-21T11:00:00Z") ?? .distantPast
            for row in 0..<rows {
                let values = row == 0 ? [-5, Double.nan] : [7, 3]
                guard values.withUnsafeBufferPointer({ each(start + Double(row) * 900, $0) }) else { return }
                if feeder == "BROKEN" { throw StoreGone() }
            }
        }
    }
    struct StoreGone: Error {}
    static let ended = Guarded(0)
    func samples(device: String, from: Timestamp, until: Timestamp) throws -> TableSource {
        TableSource(header: [], columns: []) { _ in }
    }
    func advisories(_ query: AdvisoryQuery) throws -> [String] { [] }
    func amendments(feeder: String?, since: Timestamp?, until: Timestamp?, limit: Int, offset: Int) -> [String] { [] }
    func advisory(_ id: String) throws -> String? { nil }
    func act(_ act: AdvisoryAct, on id: String, actor: String, account: Identity?) throws -> String {
        if id == "gone" { throw APIError(409, "Conflict", "the advisory is closed") }
        let more = act.seconds.map { ",\"for_s\":\($0)" } ?? ""
        return "{\"id\":\"\(id)\",\"version\":\(act.version ?? -1),\"actor\":\"\(actor)\"\(more)}"
    }
    func hasAccounts() throws -> Bool { role != nil }
    func identity(of credential: Credential) throws -> Identity? {
        guard let role else { return nil }
        switch credential {
        case .token("t"): return Identity(name: "ann", role: role, isSession: false)
        case .session("s"): return Identity(name: "ann", role: role, isSession: true)
        default: return nil
        }
    }
    func logIn(_ name: String, password: String, from address: String, replacing old: String?) throws -> String { "" }
    func logOut(_ session: String) throws {}
    func controlRoom() -> String { "{\"desks\":[]}" }
    func advisoryRates(from: Timestamp?, until: Timestamp?) throws -> [String] { ["{\"desk\":\"all\"}"] }
    func events(after sequence: Int64) throws -> [EventFrame] {
        (sequence + 1...sequence + 2).map { EventFrame(event: "advisory", sequence: $0, data: "{\"n\":\($0)}") }
    }
    func network() throws -> String { "{}" }
    func networkState() throws -> String { "{}" }
    func setSwitch(_ id: String, position: SwitchPosition, at time: Timestamp?, actor: String, reason: String) throws
        -> String
    {
        "{\"id\":\"\(id)\",\"position\":\"\(position.name)\",\"actor\":\"\(actor)\"}"
    }
    func judge(plan: [UInt8], actor: String) throws -> String { "{\"bytes\":\(plan.count)}" }
    func picture(plan: [UInt8]) throws -> String { "{\"bytes\":\(plan.count)}" }
    func picture(ofKept id: String) throws -> String { "{\"id\":\"\(id)\"}" }
    func keep(plan: [UInt8], id: String?, actor: String?, account: String?) throws -> String {
        "{\"id\":\"\(id ?? "new")\"}"
    }
    func plans(state: String?, offset: Int, limit: Int) throws -> [String] { [] }
    func plan(_ id: String) throws -> String? { nil }
    func due() throws -> [String] { [] }
    func act(_ action: PlanAction, on id: String, actor: String) throws -> String {
        "{\"plan\":\"\(id)\",\"actor\":\"\(actor)\"}"
    }
    func safetyItems() throws -> String { "{}" }
    func act(_ action: SafetyAction, actor: String) throws -> String { "{}" }
    func audit(from: Timestamp?, until: Timestamp?, subject: String?, after: Int64, limit: Int) throws -> [String] {
        (after + 1...after + Int64(limit)).map { "{\"number\":\($0)}" }
    }
    func readiness() -> Readiness { Readiness() }
    func metrics() -> String { "up 1\n" }
}

/// A TCP connection that says exactly what it is told, well-formed or not.
private final class RawConnection {
    let descriptor: CInt

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func say(_ text: String) { _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

    /// Everything until the peer closes, `enough` has come, or ten seconds are over.
    func hear(until enough: String? = nil) -> String {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return text }
            text += String(decoding: buffer[..<count], as: UTF8.self)
            if let enough, text.contains(enough) { return text }
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(2))) struct ServerTests {
    let server: HTTPServer
    let hub = EventHub()
    let port: Int

    init() throws {
        let router = Router(
            backend: FixedBackend(), consoleDirectory: "\(Repository.root)/Dashboards/console",
            openAPIFile: "\(Repository.root)/Dashboards/openapi.json", metrics: Metrics())
        var configuration = HTTPServer.Configuration()
        configuration.requestTimeout = 2
        configuration.maximumBody = 10_000
        server = HTTPServer(configuration, hub: hub) { router.respond($0) }
        port = try server.start()
    }

    private func exchange(_ request: String) throws -> String {
        let connection = try RawConnection(port: port)
        connection.say(request)
        return connection.hear()
    }

    private func get(_ target: String, _ headers: String = "") throws -> String {
        try exchange("GET \(target) HTTP/1.1\r\nHost: localhost:\(port)\r\nConnection: close\r\n\(headers)\r\n")
    }

    private func post(
        _ target: String, _ body: String, _ headers: String = "Content-Type: application/json\r\n",
        method: String = "POST"
    ) throws -> String {
        try exchange(
            "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
        )
    }

    private func status(_ answer: String) -> String { String(answer.dropFirst(9).prefix(3)) }

    /// A chunked body without its chunks' sizes; `nil`: it was cut off.
    private func body(_ answer: String) -> String? {
        guard let head = answer.range(of: "\r\n\r\n") else { return nil }
        var rest = Array(answer[head.upperBound...].utf8)[...]
        var whole: [UInt8] = []
        while let end = rest.firstIndex(of: 0x0D) {
            guard let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16) else { return nil }
            if size == 0 { return String(decoding: whole, as: UTF8.self) }
            guard rest.count >= end - rest.startIndex + 2 + size + 2 else { return nil }
            whole += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + 2 + size + 2)...]
        }
        return nil
    }

    private func waitForStreams(_ count: Int) throws {
        for _ in 0..<500 where FixedBackend.ended.withLock({ $0 }) < count { usleep(10_000) }
        #expect(FixedBackend.ended.withLock { $0 } == count)
    }

    @Test func aMillionRowsAreSentWhileTheyAreMade() throws {
        defer { server.stop() }
        let before = FixedBackend.ended.withLock { $0 }
        let json = try #require(body(try get("/v1/feeders/F1/profile?bucket=1m")))
        #expect(
            json.hasPrefix(
                "{\"feeder\":\"F1\",\"items\":[{\"time\":\"2026-06-21T11:00:00Z\",\"net_w\":-5,\"pv_w\":null},"))
        #expect(json.hasSuffix(",\"net_w\":7,\"pv_w\":3}],\"next\":null}"))
        let csv = try #require(body(try get("/v1/feeders/F1/profile?bucket=1m&format=csv")))
        #expect(csv.utf8.count { $0 == 0x0A } == 1_000_001)
        try waitForStreams(before + 2)

        // A store that breaks on the way: the client sees that it has not got everything.
        #expect(body(try get("/v1/feeders/BROKEN/profile?bucket=1m")) == nil)
        try waitForStreams(before + 3)
        // A client that leaves: the rows are no longer made. One that only asks for the head never has them made.
        do {
            let connection = try RawConnection(port: port)
            connection.say("GET /v1/feeders/F1/profile?bucket=1m HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(connection.hear(until: "2026").contains("Transfer-Encoding: chunked"))
        }
        try waitForStreams(before + 4)
        let head = try exchange("HEAD /v1/feeders/F1/profile HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(status(head) == "200" && head.hasSuffix("\r\n\r\n"))
        try waitForStreams(before + 5)
        // Refused after the rows were promised: they are given back.
        #expect(status(try get("/v1/feeders/F1/profile?quantity=none")) == "400")
        try waitForStreams(before + 6)
    }

    @Test func aStopCutsOffWhatIsBeingSent() throws {
        let connection = try RawConnection(port: port)
        connection.say("GET /v1/feeders/F1/profile?bucket=1m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let begun = connection.hear(until: "2026")
        server.stop()
        #expect(body(begun + connection.hear()) == nil)
    }

    @Test func routesAnswer() throws {
        defer { server.stop() }
        #expect(try get("/v1/feeders").hasSuffix("{\"items\":[{\"id\":\"F1\"}],\"next\":null}"))
        #expect(status(try get("/v1/feeders/F2")) == "404")
        #expect(try get("/v1/devices?limit=3").hasSuffix("],\"next\":\"3\"}"))
        #expect(try get("/v1/devices?limit=3&cursor=6").hasSuffix("{\"items\":[{\"id\":\"d6\"}],\"next\":null}"))
        #expect(
            try get("/v1/feeders/F1/profile?format=csv").contains(
                "time,net_w,pv_w\n2026-06-21T11:00:00Z,-5,\n2026-06-21T11:15:00Z,7,3\n"))
        #expect(
            try get("/v1/feeders/F1/profile?quantity=pv_w").contains(
                "{\"time\":\"2026-06-21T11:00:00Z\",\"pv_w\":null}"))
        #expect(try get("/").contains("Content-Security-Policy: default-src 'self'"))
        #expect(try get("/metrics").hasSuffix("up 1\n"))
        #expect(status(try get("/readyz")) == "200")
        #expect(
            try post("/v1/advisories/a/acknowledge", "{\"version\":3,\"actor\":\"ann\"}").hasSuffix(
                "{\"id\":\"a\",\"version\":3,\"actor\":\"ann\"}"))
        #expect(status(try post("/v1/advisories/gone/acknowledge", "{}")) == "409")
        let shelved = try post("/v1/advisories/a/shelve", "{\"for_s\":90}")
        #expect(shelved.contains("\"for_s\":90"), "\(shelved)")
        #expect(status(try post("/v1/advisories/a/forget", "{}")) == "404")
        #expect(
            try post("/v1/network/switches/S1", "{\"position\":\"open\"}", method: "PUT").contains(
                "\"position\":\"open\""))
    }

    @Test func mistakesAreProblemDetailsThatNameThem() throws {
        defer { server.stop() }
        for (target, word) in [
            ("/v1/feeders/F1/profile?bucket=2m", "bucket"), ("/v1/feeders/F1/profile?from=noon", "from"),
            ("/v1/advisories?state=odd", "state"),
            ("/v1/advisories?kind=odd", "kind"), ("/v1/devices?limit=0", "limit"),
            ("/v1/feeders/F1/profile?quantity=x", "quantity"),
            ("/v1/feeders/F1/profile?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
            ("/v1/devices/d/samples", "from"),
        ] {
            let answer = try get(target)
            #expect(status(answer) == "400", "\(target)")
            #expect(answer.contains("application/problem+json") && answer.contains(word), "\(target)")
        }
        // An id may hold a slash: the path is split before it is decoded.
        #expect(
            try post("/v1/network/switches/N3%2FTIE", "{\"position\":\"open\"}", method: "PUT").contains(
                "\"id\":\"N3/TIE\""))
        #expect(
            try post("/v1/network/switches/N3%20TIE", "{\"position\":\"open\"}", method: "PUT").contains(
                "\"id\":\"N3 TIE\""))
        #expect(status(try post("/v1/network/switches/N3/TIE", "{\"position\":\"open\"}", method: "PUT")) == "404")
        #expect(status(try get("/v1/devices/%ff")) == "400")
        #expect(try post("/v1/network/switches/S1", "{\"position\":\"ajar\"}", method: "PUT").contains("ajar"))
        // A body with two positions means neither.
        let both = try post(
            "/v1/network/switches/S1", "{\"position\":\"open\",\"position\":\"closed\"}", method: "PUT")
        #expect(status(both) == "400" && both.contains("position: stands twice"))
        // A misspelt time would count from now, a step whose `found` is misspelt as done.
        for (path, method, body) in [
            ("/v1/network/switches/S1", "PUT", "{\"position\":\"open\",\"tme\":\"2026-06-21T11:00:00Z\"}"),
            ("/v1/switching/plans/P/steps/1/executed", "POST", "{\"fuond\":\"open\"}"),
            ("/v1/advisories/a/shelve", "POST", "{\"forS\":60}"),
        ] {
            let answer = try post(path, body, method: method)
            #expect(status(answer) == "400" && answer.contains("not known here"), "\(path) \(answer)")
        }
        #expect(try post("/v1/safety/declare", "{\"reason\":\" \"}").contains("field reason is empty"))
        #expect(status(try post("/v1/advisories/a/acknowledge", "{\"actor\":\"not a name\"}")) == "400")
        #expect(status(try post("/v1/feeders", "{}")) == "405")
        // What a path takes is said; what changes nothing is not asked where it comes from.
        #expect(try post("/v1/feeders", "{}").contains("Allow: GET, HEAD\r\n"))
        #expect(try post("/v1/advisories/a", "{}").contains("Allow: GET, HEAD\r\n"))
        let trace = try exchange(
            "TRACE /v1/switching/validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(status(trace) == "405" && trace.contains("Allow: POST\r\n"))
        #expect(status(try get("/v1/nothing")) == "404")
        #expect(status(try get("/../Package.swift")) == "404")
        #expect(status(try get("/%2e%2e/Package.swift")) == "404")
    }

    /// What two servers could read differently is refused and the connection closed.
    @Test(arguments: [
        "Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Content-Length: +2\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: 0x2\r\n", "Content-Length: 2 2\r\n", "Content-Length : 2\r\n", "Host: other\r\n",
        "Bad Name: x\r\n",
        "X-A: a\u{1}b\r\n",
    ])
    func ambiguousHeadsAreRefused(headers: String) throws {
        defer { server.stop() }
        let answer = try exchange(
            "POST /v1/advisories/a/acknowledge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\(headers)\r\n{}GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        #expect(answer.hasPrefix("HTTP/1.1 4") || answer.isEmpty, "\(answer.prefix(60))")
        #expect(!answer.contains("up 1"))
    }

    @Test func foreignHostsOriginsTypesAndSizesAreRefused() throws {
        defer { server.stop() }
        #expect(status(try exchange("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")) == "421")
        #expect(status(try exchange("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")) == "400")
        let json = "Content-Type: application/json\r\n"
        #expect(
            status(try post("/v1/advisories/a/acknowledge", "{}", json + "Origin: http://evil.example\r\n")) == "403")
        #expect(
            status(try post("/v1/advisories/a/acknowledge", "{}", json + "Sec-Fetch-Site: cross-site\r\n")) == "403")
        #expect(status(try post("/v1/advisories/a/acknowledge", "{}", json + "Origin: http://localhost\r\n")) == "200")
        #expect(status(try post("/v1/advisories/a/acknowledge", "{}", "Content-Type: text/plain\r\n")) == "415")
        #expect(status(try post("/v1/advisories/a/acknowledge", String(repeating: " ", count: 10_001))) == "413")
        #expect(status(try exchange("BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")) == "501")
    }

    /// One byte now and then keeps libmicrohttpd's own timeout away for ever; ours counts from the start.
    @Test(arguments: [
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "POST /v1/advisories/a/acknowledge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    ])
    func aRequestThatDripsIsCutOff(head: String) throws {
        defer { server.stop() }
        let connection = try RawConnection(port: port)
        connection.say(head)
        let stop = Gate()
        let descriptor = connection.descriptor
        let dripping = WorkerThread(name: "drip") {
            while !stop.wait(milliseconds: 200) { _ = send(descriptor, "a", 1, Int32(MSG_NOSIGNAL)) }
        }
        let started = SystemClock.monotonicNanoseconds
        let answer = connection.hear()
        let seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
        stop.open()
        dripping.join()
        #expect(!answer.hasPrefix("HTTP/1.1 200"))
        // Limit 2 s, looked at every 250 ms; the receive timeout of the test is 10 s.
        #expect(seconds < 8)
    }

    @Test func eventsComeFromTheStoreAndThenLiveWithoutRepeats() throws {
        defer { server.stop() }
        let connection = try RawConnection(port: port)
        connection.say("GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 5\r\n\r\n")
        let backlog = connection.hear(until: "\"n\":7")
        #expect(backlog.contains("id: 6\nevent: advisory\ndata: {\"n\":6}\n\n"))
        hub.publish([
            EventFrame(event: "advisory", sequence: 7, data: "{\"n\":7}"),
            EventFrame(event: "advisory", sequence: 8, data: "{\"n\":8}"),
        ])
        let live = connection.hear(until: "\"n\":8")
        #expect(!live.contains("\"n\":7"))
        #expect(status(try get("/v1/events", "Last-Event-ID: x\r\n")) == "400")
    }

    /// Between the reading of the store and the joining of the stream an event may be published: it must not be missed.
    @Test func anEventPublishedBeforeAResumingClientJoinedIsNotLost() throws {
        defer { server.stop() }
        hub.publish([
            EventFrame(event: "heartbeat", data: "{\"old\":1}"),
            EventFrame(event: "advisory", sequence: 6, data: "{\"n\":6}"),
            EventFrame(event: "advisory", sequence: 8, data: "{\"n\":8}"),
        ])
        let connection = try RawConnection(port: port)
        connection.say("GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 5\r\n\r\n")
        let heard = connection.hear(until: "\"n\":8")
        #expect(heard.contains("\"n\":8"))
        #expect(heard.components(separatedBy: "\"n\":6").count == 2)
        #expect(!heard.contains("old"))
    }

    /// The list of feeders comes every second: who is behind wants the newest, and the rest must not be kept for anybody.
    @Test func ofWhatIsNotReplayedOnlyTheNewestIsKept() throws {
        defer { server.stop() }
        let padding = String(repeating: "x", count: 100_000)
        let connection = try RawConnection(port: port)
        connection.say("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = connection.hear(until: "retry: 1000")
        for number in 1...200 {
            hub.publish([
                EventFrame(event: "heartbeat", data: "{\"beat\":\(number)}"),
                EventFrame(event: "feeders", data: "{\"list\":\(number),\"p\":\"\(padding)\"}"),
            ])
        }
        hub.publish([EventFrame(event: "advisory", sequence: 9, data: "{\"n\":9}")])
        #expect(hub.keptBytes < 110_000)
        let heard = connection.hear(until: "\"n\":9")
        #expect(heard.contains("\"list\":200") && heard.contains("\"beat\":200"))
        #expect(heard.components(separatedBy: "\"list\"").count - 1 < 150)
    }

    /// Events are kept for those who come back, and no more of them than there is room for: the store has the rest.
    @Test func eventsAreKeptUpToTheirRoom() throws {
        defer { server.stop() }
        let padding = String(repeating: "x", count: 100_000)
        for number in 1...500 {
            hub.publish([
                EventFrame(event: "advisory", sequence: Int64(number), data: "{\"n\":\(number),\"p\":\"\(padding)\"}")
            ])
        }
        #expect(hub.keptBytes > 1 << 22 && hub.keptBytes <= 1 << 24)
    }

    @Test func aHundredStreamsAllHearAndTheServerStops() throws {
        let connections = try (0..<100).map { _ in try RawConnection(port: port) }
        for connection in connections { connection.say("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n") }
        for connection in connections { _ = connection.hear(until: "retry: 1000") }
        hub.publish([EventFrame(event: "heartbeat", data: "{\"beat\":1}")])
        for connection in connections { #expect(connection.hear(until: "beat").contains("beat")) }
        server.stop()
        for connection in connections { #expect(!connection.hear().contains("beat")) }
    }
}

/// The published description says the same words as the code.
@Suite struct DescriptionTests {
    @Test func itsListsAreThoseOfTheModel() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(Repository.root)/Dashboards/openapi.json"))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let paths = try #require(root["paths"] as? [String: [String: [String: Any]]])
        func choices(_ path: String, _ name: String) throws -> [String] {
            let parameters = try #require(paths[path]?["get"]?["parameters"] as? [[String: Any]])
            let schema = try #require(parameters.first { $0["name"] as? String == name }?["schema"] as? [String: Any])
            return try #require(schema["enum"] as? [String])
        }
        #expect(try Set(choices("/v1/advisories", "kind")) == Set(AdvisoryKind.allCases.map(\.rawValue)))
        #expect(
            try Set(choices("/v1/advisories", "state"))
                == Set(["active", "open"] + AdvisoryState.allCases.map(\.rawValue)))
        #expect(try Set(choices("/v1/devices", "kind")) == Set(DeviceKind.allCases.map(\.rawValue)))
    }
}
