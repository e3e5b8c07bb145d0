import GridModel
import Testing

@Suite struct SunTests {
    /// NOAA's solar calculator: Greenwich at the equinox and the solstices, Sydney at noon.
    @Test(arguments: [
        ("2024-03-20T12:07:00Z", 0.0, 51.48, 38.5), ("2024-06-20T12:02:00Z", 0.0, 51.48, 61.96),
        ("2024-12-21T12:00:00Z", 0.0, 51.48, 15.1), ("2024-12-21T01:53:00Z", 151.2, -33.87, 79.57),
    ])
    func noonIsWhereTheAlmanacPutsIt(time: String, longitude: Double, latitude: Double, degrees: Double) throws {
        let found = Sun.elevation(at: try #require(Timestamp(time)), longitude: longitude, latitude: latitude)
        #expect(abs(found - degrees) < 0.2, "\(found)")
    }

    @Test func aNightIsDarkAndTwilightIsNot() throws {
        func time(_ text: String) throws -> Timestamp { try #require(Timestamp(text)) }
        func shines(_ from: String, _ to: String) throws -> Bool {
            Sun.shines(from: try time(from), to: try time(to), longitude: 10, latitude: 51)
        }
        #expect(try !shines("2024-12-20T20:00:00Z", "2024-12-21T04:00:00Z"))
        #expect(try shines("2024-12-20T20:00:00Z", "2024-12-21T08:00:00Z"))
        // A hold that ends between two quarter hours, at first light.
        #expect(try shines("2024-12-21T05:50:00Z", "2024-12-21T06:55:00Z"))
    }
}
