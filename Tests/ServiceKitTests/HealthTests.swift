import ServiceKit
import Testing

@Suite struct HealthTests {
    @Test func aPartClearsNoProblemButItsOwn() {
        let health = Health()
        let reports = Health.Part.allCases.map { health.report($0) }
        for report in reports { report.failed("broken") }
        let since = health.problems.map(\.since)
        for (place, report) in reports.enumerated() {
            report.works()
            #expect(health.problems.map(\.part) == Array(Health.Part.allCases.dropFirst(place + 1)))
        }
        reports[0].failed("a")
        reports[0].failed("b")
        #expect(health.problems.map(\.line) == ["ingest: b"] && health.problems[0].since >= since[0])
        reports[0].say([])
        #expect(health.problems.isEmpty)
    }
}

@Suite struct MaskingTests {
    @Test(arguments: [
        ("postgresql://bf:geheim@db/backfeed", "postgresql://bf:***@db/backfeed"),
        (
            "postgresql://bf:ge@h/e:im@db,other/backfeed?sslmode=require",
            "postgresql://bf:***@db,other/backfeed?sslmode=require"
        ),
        (
            "postgresql://db/backfeed?user=bf&password=geheim&sslmode=require",
            "postgresql://db/backfeed?user=bf&password=***&sslmode=require"
        ),
        ("host=db password = geheim user=bf", "host=db password = *** user=bf"),
        (#"host=db password='ge he\'im' user=bf"#, "host=db password='***' user=bf"),
        ("sslpassword=geheim sslkey=/etc/key", "sslpassword=*** sslkey=/etc/key"),
        ("database.url=host=db password=geheim", "database.url=host=db password=***"),
        ("https://u:geheim@hook.example/x?token=abc", "https://u:***@hook.example/x?token=***"),
        ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5560"), ("127.0.0.1,localhost,[::1]", "127.0.0.1,localhost,[::1]"),
        ("host=db user=bf passfile=/etc/pass", "host=db user=bf passfile=/etc/pass"), ("", ""),
    ])
    func passwordsAreMasked(_ text: String, _ expected: String) { #expect(Masking.text(text) == expected) }

    @Test func ofAnAddressOnlyWhereItLeadsIsTold() {
        #expect(
            Masking.origin(ofURL: "https://hooks.example:8443/services/T1/B2/secret?x=y")
                == "https://hooks.example:8443/…")
        #expect(Masking.origin(ofURL: "nonsense secret") == "***")
    }

    @Test func aMistakeDoesNotRepeatAPassword() {
        let definition = SettingDefinition("a.b", .number(0...1), default: "0", source: "-", "")
        let error = #expect(throws: SettingsError.self) {
            _ = try Settings(
                definitions: [definition],
                assignments: [
                    "a.b=postgresql://u:geheim@h/d", "postgresql://u:geheim@h/d", "a.b.url=host=h password=geheim",
                ])
        }
        #expect(error?.mistakes.count == 3 && error?.description.contains("geheim") == false)
    }
}
