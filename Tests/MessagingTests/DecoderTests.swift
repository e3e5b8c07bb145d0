import Foundation
import GridModel
import Messaging
import Testing

/// One decoded sample, or what was wrong with it.
private enum Decoded: Equatable {
    case sample(device: String, time: Int64, power: Double?, voltage: Double?, phaseB: Double?, quality: UInt16)
    case mistake(String)
}

private func decode(_ payload: [UInt8], _ encoding: TelemetryFrame.Encoding) throws(TelemetryDecoder.MessageMistake)
    -> [Decoded]
{
    var decoder = TelemetryDecoder()
    var list: [Decoded] = []
    func value(_ sample: TelemetrySample, _ quantity: Quantity) -> Double? {
        sample.has(quantity) ? sample[quantity] : nil
    }
    // The bytes must outlive the call: decoded names point into the parser's copy of them.
    let problem = payload.withUnsafeBytes { bytes -> TelemetryDecoder.MessageMistake? in
        do throws(TelemetryDecoder.MessageMistake) {
            for index in 0..<(try decoder.decode(bytes, encoding)) {
                guard let sample = decoder.sample(index) else {
                    list.append(.mistake(decoder.mistake(index).code))
                    continue
                }
                list.append(
                    .sample(
                        device: String(decoding: sample.device, as: UTF8.self), time: sample.time.microseconds,
                        power: value(sample, .activePower), voltage: value(sample, .voltage),
                        phaseB: value(sample, .activePowerB),
                        quality: sample.quality.rawValue))
            }
            return nil
        } catch { return error }
    }
    if let problem { throw problem }
    return list
}

@Suite struct SenMLDecoderTests {
    private func senml(_ text: String) throws -> [Decoded] { try decode(Array(text.utf8), .senml) }
    private let base = 1_782_039_600

    @Test func recordsOfOneDeviceAndTimeAreOneSample() throws {
        let text = """
            [{"bn":"pv-1/","bt":\(base),"bver":10,"n":"active_power","u":"kW","v":4.2},
             {"n":"voltage","u":"V","v":231.5},{"n":"quality","vs":"QUESTIONABLE"},
             {"n":"active_power","u":"W","v":4300,"t":0.25},{"n":"active_power_b","u":"W","v":-7}]
            """
        #expect(
            try senml(text) == [
                .sample(
                    device: "pv-1", time: Int64(base) * 1_000_000, power: 4200, voltage: 231.5, phaseB: -7, quality: 2),
                .sample(
                    device: "pv-1", time: Int64(base) * 1_000_000 + 250_000, power: 4300, voltage: nil, phaseB: nil,
                    quality: 0),
            ])
    }

    @Test func aDeviceWithoutQuantityIsReadByItsUnit() throws {
        #expect(
            try senml(
                "[{\"bt\":\(base),\"n\":\"site/pv:1\",\"u\":\"kW\",\"v\":-1},{\"n\":\"site/pv:1\",\"u\":\"mV\",\"v\":230000}]"
            )
                == [
                    .sample(
                        device: "site/pv:1", time: Int64(base) * 1_000_000, power: -1000, voltage: 230, phaseB: nil,
                        quality: 0)
                ])
    }

    @Test func baseUnitAndBaseValueHoldFromTheirRecordOn() throws {
        let list = try senml(
            "[{\"bn\":\"a\",\"bt\":\(base),\"bu\":\"W\",\"bv\":1000,\"v\":5},{\"t\":1},{\"t\":2,\"v\":-1000}]")
        let powers = list.map { item -> Double? in
            if case .sample(_, _, let power, _, _, _) = item { power } else { nil }
        }
        #expect(powers == [1005, 1000, 0])
    }

    @Test(arguments: [
        ("{\"n\":\"a\",\"t\":5,\"u\":\"W\",\"v\":1}", "bad_time"),
        ("{\"n\":\"a\",\"u\":\"W\",\"v\":1}", "bad_time"),
        ("{\"n\":\"a/voltage\",\"bt\":1782039600,\"u\":\"W\",\"v\":1}", "bad_value"),
        ("{\"n\":\"a\",\"bt\":1782039600,\"u\":\"furlong\",\"v\":1}", "bad_value"),
        ("{\"n\":\"a\",\"bt\":1782039600,\"v\":1}", "bad_value"),
        ("{\"n\":\"a\",\"bt\":1782039600,\"u\":\"W\",\"vb\":true}", "bad_value"),
        ("{\"n\":\"a\",\"bt\":1782039600,\"u\":\"W\",\"v\":1,\"new_\":1}", "bad_value"),
        ("{\"bver\":11,\"n\":\"a\",\"bt\":1782039600,\"u\":\"W\",\"v\":1}", "bad_value"),
        ("{\"bt\":1782039600,\"u\":\"W\",\"v\":1}", "missing_n"),
        ("7", "bad_value"),
        (
            "{\"bn\":\"a/\",\"bt\":1782039600,\"n\":\"voltage\",\"u\":\"V\",\"v\":1},{\"n\":\"voltage\",\"u\":\"mV\",\"v\":2}",
            "bad_value"
        ),
        (
            "{\"bn\":\"a/\",\"bt\":1782039600,\"n\":\"switch_position\",\"u\":\"/\",\"vs\":\"open\"},{\"n\":\"switch_position\",\"u\":\"/\",\"vs\":\"closed\"}",
            "bad_value"
        ),
    ]) func aBadRecordSpoilsItsSampleAlone(record: String, code: String) throws {
        let good = "{\"bn\":\"\",\"bt\":0,\"n\":\"b\",\"t\":1782039600,\"u\":\"W\",\"v\":2}"
        let list = try senml("[\(record),\(good)]")
        #expect(list.count == 2)
        #expect(list.first == .mistake(code))
    }

    @Test func aPackIsAnArray() {
        #expect(throws: TelemetryDecoder.MessageMistake.self) { try senml("{\"samples\":[]}") }
        #expect(throws: TelemetryDecoder.MessageMistake.self) { try senml("[]") }
    }
}

/// The sample of a message that holds one.
private func only(_ payload: [UInt8], _ encoding: TelemetryFrame.Encoding) throws -> (
    position: UInt8, quality: Quality
)? {
    var decoder = TelemetryDecoder()
    return try payload.withUnsafeBytes { bytes in
        try #require(decoder.decode(bytes, encoding) == 1)
        return decoder.sample(0).map { ($0.switchPosition, $0.quality) }
    }
}

/// Words and codes that are none of ours: a position is then not known, a quality not good, in every encoding.
@Suite struct StrangeWordTests {
    /// Batch of device "a" at 1 us, and more fields.
    private func batch(_ more: [UInt8]) -> [UInt8] { [0x0a, 1, 0x61, 0x12, 1, 0, 0x1a, 1, 1] + more }

    @Test(arguments: ["", "between", "00", "OPEN", "11", "ajar"]) func aStrangePositionIsUnknown(word: String) throws {
        let json = #"{"samples":[{"device":"a","time":1,"switch_position":"\#(word)"}]}"#
        let senml = #"[{"n":"a/switch_position","bt":1782039600,"u":"/","vs":"\#(word)"}]"#
        for (text, encoding) in [(json, TelemetryFrame.Encoding.json), (senml, .senml)] {
            #expect(try only(Array(text.utf8), encoding)?.position == SwitchPosition.unknown.rawValue, "\(text)")
        }
        let known = #"{"samples":[{"device":"a","time":1,"switch_position":"open"}]}"#
        #expect(try only(Array(known.utf8), .json)?.position == SwitchPosition.open.rawValue)
        #expect(try only(batch([0xda, 1, 3, 0x12, 1, 9]), .protobuf)?.position == SwitchPosition.unknown.rawValue)
    }

    @Test func aStrangeFlagIsQuestionable() throws {
        let json = #"{"samples":[{"device":"a","time":1,"active_power_w":1,"quality":["","good"]}]}"#
        #expect(try only(Array(json.utf8), .json)?.quality == .questionable)
        // Bit 13 is none of the flags.
        #expect(try only(batch([0xea, 1, 4, 0x12, 2, 0x80, 0x40]), .protobuf)?.quality == .questionable)
        #expect(try only(batch([0xea, 1, 3, 0x12, 1, 1]), .protobuf)?.quality == .invalid)
    }

    @Test func aColumnThatNamesASampleTwiceSpoilsIt() throws {
        let one: [UInt8] = [0, 0, 0x80, 0x3f]
        for (second, isWrong) in [([0, 0, 0, 0x40], true), (one, false)] as [([UInt8], Bool)] {
            let payload = batch([0x22, 14, 0x0a, 2, 0, 0, 0x12, 8] + one + second)
            #expect(try (only(payload, .protobuf) == nil) == isWrong)
        }
        #expect(try only(batch([0xda, 1, 8, 0x0a, 2, 0, 0, 0x12, 2, 1, 2]), .protobuf) == nil)
    }
}

@Suite struct JSONDecoderTests {
    private func json(_ text: String) throws -> [Decoded] { try decode(Array(text.utf8), .json) }

    @Test func aFullSampleIsUnderstood() throws {
        let list = try json(
            """
            {"samples":[{"device":"pv-1","time":"2026-06-21T11:00:00.250Z","active_power_w":[1,2,null],"voltage_v":241.7,
            "state_of_charge_pct":null,"quality":["QUESTIONABLE"],"unknown":{"x":[1]}},
            {"time":1782039600250000,"device":"pv-2","active_power_w":-5}]}
            """)
        #expect(
            list == [
                .sample(device: "pv-1", time: 1_782_039_600_250_000, power: nil, voltage: 241.7, phaseB: 2, quality: 2),
                .sample(device: "pv-2", time: 1_782_039_600_250_000, power: -5, voltage: nil, phaseB: nil, quality: 0),
            ])
    }

    @Test(arguments: [
        (#"{"device":"a","active_power_w":1}"#, "missing_time"), (#"{"time":1,"active_power_w":1}"#, "missing_device"),
        (#"{"device":"a","time":"noon"}"#, "bad_time"), (#"{"device":"a","time":1.5}"#, "bad_time"),
        (#"{"device":"a","time":1,"active_power_w":"much"}"#, "bad_value"), (#"{"device":7,"time":1}"#, "bad_value"),
        (#"{"device":"a","time":1,"active_power_w":[1,2]}"#, "bad_value"), ("[]", "bad_value"),
        (#"{"device":"a","time":1,"switch_position":2}"#, "bad_value"),
        (#"{"device":"a","time":1,"active_power_w":1,"active_power_w":-1}"#, "bad_value"),
        (#"{"device":"a","time":1,"voltage_v":[1,2,3],"voltage_v":[1,2,4]}"#, "bad_value"),
        (#"{"device":"a","time":1,"switch_position":"open","switch_position":"closed"}"#, "bad_value"),
        (#"{"device":"a","device":"b","time":1}"#, "bad_value"), (#"{"device":"a","time":1,"time":2}"#, "bad_value"),
    ])
    func oneBadSampleDoesNotSpoilTheOthers(text: String, code: String) throws {
        let good = #"{"device":"good","time":7,"active_power_w":1}"#
        let list = try json(#"{"samples":[\#(good),\#(text),\#(good)]}"#)
        #expect(list.count == 3)
        #expect(list[1] == .mistake(code))
        #expect(list[0] == list[2])
    }

    @Test(arguments: [
        ("", "malformed"), ("{", "malformed"), ("[1]", "malformed"), (#"{"samples":3}"#, "malformed"),
        (#"{"samples":[]}"#, "empty_batch"),
        (#"{"samples":[{"device":"a","time":1}],"samples":[{"device":"b","time":1}]}"#, "malformed"),
        (#"{"samples":[{"device":"a","time":1,"active_power_w":NaN}]}"#, "malformed"), ("\u{0}\u{1}", "malformed"),
    ])
    func anUnusableMessageIsOneMistake(text: String, code: String) {
        let error = #expect(throws: TelemetryDecoder.MessageMistake.self) { try json(text) }
        #expect(error?.code == code)
    }

    @Test func tenThousandAndOneAreTooMany() {
        let one = #"{"device":"a","time":1,"active_power_w":1}"#
        let error = #expect(throws: TelemetryDecoder.MessageMistake.self) {
            try json(#"{"samples":[\#(Array(repeating: one, count: 10_001).joined(separator: ","))]}"#)
        }
        #expect(error?.code == "too_many_samples")
    }

    @Test func theBytesOfABadSampleAreItsOwn() {
        let text = #"{"x":[{"a":"]"}],"samples":[ {"device":"a,b"}, {"device":"\"}"} ,3]}"#
        let found = Array(text.utf8).withUnsafeBytes { bytes in
            let own = TelemetryDecoder.SampleBytes(bytes, .json, count: 3)
            return (0..<3).map {
                own[$0].map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespaces) }
            }
        }
        #expect(found == [#"{"device":"a,b"}"#, #"{"device":"\"}"}"#, "3"])
    }
}

@Suite struct ProtobufDecoderTests {
    private let rows: [TelemetryEncoder.Row] = [
        .init(
            device: "pv-1", time: Timestamp(microseconds: 1_782_039_600_250_000), activePower: 4210.5, voltage: 241.75),
        .init(
            device: "FH-F1", time: Timestamp(microseconds: 1_782_039_600_000_000), activePower: -125_000,
            reactivePower: 3),
        .init(device: "pv-1", time: Timestamp(microseconds: 1_782_039_660_000_000), voltage: 240),
    ]

    @Test func allEncodingsSayTheSame() throws {
        let fromJSON = try decode(TelemetryEncoder.encode(rows, .json), .json)
        #expect(try decode(TelemetryEncoder.encode(rows, .protobuf), .protobuf) == fromJSON)
        #expect(try decode(TelemetryEncoder.encode(rows, .senml), .senml) == fromJSON)
        #expect(fromJSON.count == 3)
    }

    @Test(arguments: [TelemetryFrame.Encoding.json, .senml, .protobuf], [-0.0, -1e-50])
    func noSignIsReadFromNothing(encoding: TelemetryFrame.Encoding, zero: Double) throws {
        let payload = TelemetryEncoder.encode(
            [.init(device: "a", time: .seconds(1_782_039_600), activePower: zero)], encoding)
        let list = try decode(payload, encoding)
        guard case .sample(_, _, let power?, _, _, _) = try #require(list.first) else { throw CancellationError() }
        #expect(power == 0 && power.sign == .plus)
    }

    @Test func noSignIsReadFromNothingInAPhase() throws {
        let text = #"{"samples":[{"device":"a","time":1,"active_power_w":[1,-0.0,1]}]}"#
        guard case .sample(_, _, _, _, let phase?, _) = try #require(try decode(Array(text.utf8), .json).first) else {
            throw CancellationError()
        }
        #expect(phase.sign == .plus)
    }

    @Test(
        arguments: [[0x12, 1, 0], [0x12, 1, 0, 0x1a, 1, 1, 0x22, 2, 0x12, 0], [0xff, 0xff], [0x0a, 0x7f, 1]]
            as [[UInt8]])
    func aTruncatedOrUnevenBatchIsRefused(bytes: [UInt8]) {
        // The second is well-formed: one device index, one time, a column without values, no name.
        if let list = try? decode(bytes, .protobuf) { #expect(list == [.mistake("missing_device")]) }
    }

    @Test func anIndexOutsideTheBatchIsRefused() {
        // device [0], time [1], names ["a"], active_power_w {sample [9], value [1.0]}
        let bytes: [UInt8] = [0x0a, 1, 0x61, 0x12, 1, 0, 0x1a, 1, 1, 0x22, 9, 0x0a, 1, 9, 0x12, 4, 0, 0, 0x80, 0x3f]
        let error = #expect(throws: TelemetryDecoder.MessageMistake.self) { try decode(bytes, .protobuf) }
        #expect(error?.code == "malformed")
    }
}

/// Mutated and random payloads must end in samples or mistakes, never in a crash.
@Suite struct DecoderFuzzTests {
    @Test(arguments: TelemetryFrame.Encoding.allCases, 0..<4) func mutationsNeverCrash(
        encoding: TelemetryFrame.Encoding, seed: Int
    ) {
        var state = UInt64(seed + 1) &* 0x9e37_79b9_7f4a_7c15
        func draw(_ limit: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(limit))
        }
        let rows = (0..<20).map {
            TelemetryEncoder.Row(
                device: "pv-\($0 % 3)", time: Timestamp(microseconds: Int64($0)), activePower: Double($0),
                voltage: $0 % 2 == 0 ? 1 : .nan)
        }
        let original = TelemetryEncoder.encode(rows, encoding)
        var outcomes = (samples: 0, refused: 0)
        for _ in 0..<3000 {
            var bytes = original
            for _ in 0...draw(6) {
                switch draw(4) {
                case 0: bytes[draw(bytes.count)] = UInt8(draw(256))
                case 1: bytes.removeLast(min(bytes.count - 1, draw(40)))
                case 2: bytes.insert(UInt8(draw(256)), at: draw(bytes.count))
                default:
                    let from = draw(bytes.count)
                    bytes += bytes[from..<min(bytes.count, from + draw(30))]
                }
            }
            do throws(TelemetryDecoder.MessageMistake) {
                outcomes.samples += try decode(bytes, encoding).count
            } catch {
                outcomes.refused += 1
            }
        }
        #expect(outcomes.refused > 0)
    }
}

@Suite struct FrameTests {
    private func parse(_ topic: String, _ position: [UInt8]) throws(TelemetryFrame.Mistake) -> TelemetryFrame {
        let result = Array(topic.utf8).withUnsafeBytes { topic in
            position.withUnsafeBytes { position in
                Result { () throws(TelemetryFrame.Mistake) in try TelemetryFrame(topic: topic, position: position) }
            }
        }
        return try result.get()
    }

    @Test func roundTrips() throws {
        let frame = TelemetryFrame(aggregator: "AGG-SUN-A", encoding: .json, epoch: 1_782_039_600_250_000, sequence: 7)
        #expect(try parse(frame.topic, frame.position) == frame)
        #expect(
            frame.position == [0, 6, 0x54, 0xbe, 0x46, 0x2b, 0xb6, 0x90, 0, 0, 0, 0, 0, 0, 0, 7]
                || frame.position.count == 16)
    }

    @Test(arguments: [
        ("telemetry/1/a/json/", "unknown_encoding"), ("telemetry/2/a/json", "bad_topic"),
        ("telemetry/1//json", "bad_topic"),
        ("telemetry/1/a/xml", "unknown_encoding"), ("", "bad_topic"), ("advisory/1/a/json", "bad_topic"),
        ("telemetry/1/-a/json", "bad_topic"),
    ])
    func aWrongTopicIsNamed(topic: String, code: String) {
        let good = TelemetryFrame(aggregator: "a", encoding: .json, epoch: 1, sequence: 1).position
        #expect((#expect(throws: TelemetryFrame.Mistake.self) { try parse(topic, good) })?.rawValue == code)
    }

    @Test(arguments: [0, 8, 15, 17]) func aWrongPositionIsNamed(count: Int) {
        #expect(
            (#expect(throws: TelemetryFrame.Mistake.self) {
                try parse("telemetry/1/a/json", [UInt8](repeating: 1, count: count))
            }) == .badPosition)
    }

    @Test func sequenceZeroIsNoPosition() {
        #expect(
            (#expect(throws: TelemetryFrame.Mistake.self) {
                try parse("telemetry/1/a/json", [UInt8](repeating: 0, count: 16))
            }) == .badPosition)
    }
}
