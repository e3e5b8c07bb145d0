import GridModel
import HTTPAPI
import ServiceKit
import Testing

/// Each route × each role: what is not allowed is 403, whatever else would come of it.
@Suite struct AccessTests {
    private static let everyone = Set(Role.allCases)
    private static let acting: Set<Role> = [.operator, .supervisor]
    private static let planning: Set<Role> = [.operator, .engineer, .supervisor]
    private static let judging: Set<Role> = [.operator, .engineer, .supervisor, .machine]

    /// Method, path, body, who may.
    private static let routes: [(String, String, String, Set<Role>)] = [
        ("GET", "v1/feeders", "", everyone), ("GET", "v1/feeders/F1", "", everyone),
        ("GET", "v1/feeders/F1/profile", "", everyone), ("GET", "v1/devices", "", everyone),
        ("GET", "v1/advisories", "", everyone), ("GET", "v1/advisory-rates", "", everyone),
        ("GET", "v1/control-room", "", everyone),
        ("GET", "v1/events", "", everyone), ("GET", "v1/network", "", everyone), ("GET", "v1/audit", "", everyone),
        ("GET", "v1/switching/plans", "", everyone), ("GET", "v1/switching/due", "", everyone),
        ("GET", "v1/safety", "", everyone),
        ("POST", "v1/advisories/a/acknowledge", "{}", everyone), ("POST", "v1/advisories/a/comment", "{}", everyone),
        ("PUT", "v1/network/switches/S1", "{\"position\":\"open\"}", [.operator, .supervisor, .machine]),
        ("POST", "v1/switching/validate", "{}", judging), ("POST", "v1/switching/network", "{}", judging),
        ("POST", "v1/switching/plans", "{}", planning), ("PUT", "v1/switching/plans/P", "{}", planning),
        ("POST", "v1/switching/plans/P/validate", "{}", planning),
        ("POST", "v1/switching/plans/P/cancel", "{\"reason\":\"r\"}", planning),
        ("POST", "v1/switching/plans/P/approve", "{\"verdict\":1}", acting),
        ("POST", "v1/switching/plans/P/conditions", "{\"key\":\"k\",\"evidence\":\"e\"}", acting),
        ("POST", "v1/switching/plans/P/steps/1/issue", "{}", acting),
        ("POST", "v1/switching/plans/P/steps/1/executed", "{}", acting),
        ("POST", "v1/safety", "{\"kind\":\"tag\",\"element\":\"S\"}", acting),
        ("POST", "v1/safety/declare", "{\"reason\":\"r\"}", acting),
        ("POST", "v1/safety/1/remove", "{\"reason\":\"r\"}", acting),
        // What nobody thought of is allowed to nobody.
        ("POST", "v1/feeders", "{}", []), ("PUT", "v1/feeders/F1", "{}", []), ("DELETE", "v1/advisories/a", "", []),
        ("POST", "v1/access", "{}", []), ("POST", "v1/network", "{}", []),
    ]

    private func answer(
        _ role: Role?, _ method: String, _ path: String, _ body: String = "", _ headers: [String: String] = [:]
    ) -> Response {
        var backend = FixedBackend()
        backend.role = role
        let router = Router(backend: backend, consoleDirectory: "/nowhere", openAPIFile: "/nowhere", metrics: Metrics())
        return router.respond(
            Request(
                method: method, path: path.split(separator: "/").map(String.init),
                headers: headers.merging(["content-type": "application/json"]) { mine, _ in mine },
                body: Array(body.utf8)))
    }

    @Test func eachRouteTakesTheRolesThatItIsFor() {
        for (method, path, body, roles) in Self.routes {
            #expect(answer(.operator, method, path, body).status == 401, "\(method) \(path)")
            for role in Role.allCases {
                let status = answer(role, method, path, body, ["authorization": "Bearer t"]).status
                #expect((status == 403) == !roles.contains(role), "\(method) \(path) by \(role): \(status)")
                #expect(status != 401 && status != 503, "\(method) \(path) by \(role): \(status)")
            }
            // Without accounts everybody on this machine may.
            #expect(roles.isEmpty || ![401, 403].contains(answer(nil, method, path, body).status))
        }
    }

    @Test func aSessionNeedsMoreThanItsCookieToChangeSomething() {
        let path = "v1/advisories/a/acknowledge"
        #expect(answer(.operator, "GET", "v1/feeders", "", ["cookie": "x=1; backfeed=s"]).status == 200)
        #expect(answer(.operator, "POST", path, "{}", ["cookie": "backfeed=s"]).status == 403)
        let proof = ["cookie": "backfeed=s", "x-requested-with": "console"]
        #expect(answer(.operator, "POST", path, "{}", proof).status == 200)
        #expect(answer(.operator, "POST", path, "{\"actor\":\"bob\"}", proof).status == 403)
        // Of two cookies one is somebody else's; behind TLS only the one that no other host can set counts.
        #expect(answer(.operator, "GET", "v1/feeders", "", ["cookie": "backfeed=s; backfeed=s"]).status == 401)
        let secure = ["x-forwarded-proto": "https"]
        let with = { (cookie: String) in secure.merging(["cookie": cookie]) { $1 } }
        #expect(answer(.operator, "GET", "v1/feeders", "", with("backfeed=s")).status == 401)
        #expect(answer(.operator, "GET", "v1/feeders", "", with("__Host-backfeed=s")).status == 200)
        // A token that is wrong is not made good by a cookie.
        #expect(
            answer(.operator, "GET", "v1/feeders", "", ["cookie": "backfeed=s", "authorization": "Bearer x"]).status
                == 401)
    }

    @Test func passwordsAndSecretsAreWhatTheySay() {
        let hash = Password.hash("a long enough password")
        #expect(hash.hasPrefix("$argon2id$") && hash != Password.hash("a long enough password"))
        #expect(Password.matches("a long enough password", hash))
        for wrong in ["", "A long enough password", String(repeating: "x", count: 1000)] {
            #expect(!Password.matches(wrong, hash))
        }
        #expect(!Password.matches("", nil))
        let made = Set((0..<100).map { _ in Secret.make(prefix: "der_") })
        #expect(made.count == 100 && made.allSatisfy { $0.count == 47 && $0.hasPrefix("der_") })
    }
}
