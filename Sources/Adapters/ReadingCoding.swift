internal import Foundation
internal import GridModel

/// What the readings of all standards share in their JSON.
protocol Reading: Decodable {}

extension Reading {
    static func decode(_ json: [UInt8]) throws(AdapterMistake) -> Self {
        do {
            return try JSONDecoder().decode(Self.self, from: Data(json))
        } catch DecodingError.keyNotFound(let key, _) {
            throw AdapterMistake("field \(key.stringValue) is missing")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            throw AdapterMistake("\(context.codingPath.map(\.stringValue).joined(separator: ".")): wrong type")
        } catch DecodingError.dataCorrupted(let context) {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw AdapterMistake(path.isEmpty ? "not a JSON object" : "\(path): \(context.debugDescription)")
        } catch {
            throw AdapterMistake("not a JSON object: \(error.localizedDescription)")
        }
    }
}

/// RFC 3339 text, or whole microseconds since 1970.
struct ReadingTime: Decodable, Sendable {
    let value: Timestamp

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let micros = try? container.decode(Int64.self) {
            value = Timestamp(microseconds: micros)
        } else if let time = Timestamp(try container.decode(String.self)) {
            value = time
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "expected RFC 3339 with a zone, or microseconds since 1970")
        }
    }
}

/// A number that some versions of a standard write as text.
struct ReadingNumber: Decodable, Sendable {
    let value: Double

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Double.self) {
            value = number
        } else if let number = Double(try container.decode(String.self)), number.isFinite {
            value = number
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected a number")
        }
    }
}

/// Words of the protocol for operating states, in the order of SunSpec 101–103 from 1, which IEEE 2030.5 shares.
let operatingStates = [
    1: "off", 2: "sleeping", 3: "starting", 4: "running", 5: "throttled", 6: "shutting_down", 7: "fault",
    8: "standby", 9: "test",
]

func checkName(_ device: String) throws(AdapterMistake) {
    if let complaint = Identifier.complaint(device) { throw AdapterMistake("device: \(complaint)") }
}
