import GridModel
import HTTPAPI
import TestSupport
import Testing

@Suite struct TableEncoderTests {
    private let start = Timestamp("2026-06-21T23:59:59Z") ?? .distantPast

    private func csv(_ values: [Double], _ digits: TableSource.Digits = .few, at time: Timestamp? = nil) -> String {
        let source = TableSource(header: [], columns: values.indices.map { "c\($0)" }, digits: digits) { _ in }
        var encoder = TableEncoder(source, .csv)
        _ = encoder.take()
        values.withUnsafeBufferPointer { encoder.append(time ?? start, $0) }
        return String(decoding: encoder.take(), as: UTF8.self)
    }

    @Test func numbersAreShort() {
        #expect(
            csv([0, -0.0, 5, -5, 1_234_567, 100.04, 100.06, -250.55, 99.123456, 0.00012, -0.5, 1e-7, 12.3])
                == "2026-06-21T23:59:59Z,0,0,5,-5,1234567,100,100.1,-250.6,99.12346,0.00012,-0.5,0,12.3\n")
        #expect(csv([.nan, .infinity, 1e15, -3e20]) == "2026-06-21T23:59:59Z,,,1000000000000000.0,-3e+20\n")
        #expect(csv([Double(Float(230.43)), 50, Double(Float(0.1))], .all) == "2026-06-21T23:59:59Z,230.43,50,0.1\n")
    }

    @Test func everyNumberReadsBackAsItWasWithinItsDigits() throws {
        var random = SplitMix(seed: 20_261_126)
        for _ in 0..<20_000 {
            let value = (random.unit() - 0.5) * [1, 10, 1e3, 1e6, 1e9][Int(random.next() % 5)]
            let text = csv([value])
            let read = try #require(Double(text.dropLast().split(separator: ",")[1]), "\(text)")
            #expect(abs(read - value) <= (abs(value) >= 100 ? 0.0501 : 0.00000501), "\(value): \(text)")
        }
    }

    @Test func timesAreThoseOfTheRestOfTheInterface() {
        for seconds in [0, 1, 0.25, 86_400, -946_684_800, -60_000_000_000] {
            let time = start + seconds
            #expect(csv([], at: time) == "\(time)\n")
        }
    }
}
