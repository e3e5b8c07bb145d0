/// A moment in UTC, microseconds since 1970-01-01T00:00:00Z (leap seconds not counted). RFC 3339 with `Z` in text.
@frozen
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible, Codable {
    public var microseconds: Int64

    @inlinable public init(microseconds: Int64) { self.microseconds = microseconds }

    public static func seconds(_ seconds: Double) -> Self { Self(microseconds: Int64((seconds * 1e6).rounded())) }

    /// The earliest time the product knows; used where "never" needs a value.
    @inlinable public static var distantPast: Self { Self(microseconds: .min / 4) }
    @inlinable public static var distantFuture: Self { Self(microseconds: .max / 4) }

    /// Parses RFC 3339 with a zone: `2026-06-21T11:00:00.250Z`, `…+02:00`. `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        var digits = Array(text.utf8)
        guard digits.count >= 20 else { return nil }
        func number(_ from: Int, _ count: Int) -> Int64? {
            var value: Int64 = 0
            for byte in digits[from..<from + count] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        guard digits[4] == 45, digits[7] == 45, digits[10] == 84 || digits[10] == 32 || digits[10] == 116,
            digits[13] == 58, digits[16] == 58, let year = number(0, 4), let month = number(5, 2),
            let day = number(8, 2), let hour = number(11, 2), let minute = number(14, 2), let second = number(17, 2),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var at = 19
        var fraction: Int64 = 0
        if digits[at] == 46 {
            at += 1
            var unit: Int64 = 100_000
            let first = at
            while at < digits.count, digits[at] >= 48, digits[at] <= 57 {
                fraction += Int64(digits[at] - 48) * unit
                unit /= 10
                at += 1
            }
            guard at > first else { return nil }
        }
        digits.removeFirst(at)
        var offset: Int64 = 0
        if digits == [90] || digits == [122] {
            offset = 0
        } else if digits.count == 6, digits[0] == 43 || digits[0] == 45, digits[3] == 58, let hours = number(1, 2),
            let minutes = number(4, 2), hours < 24, minutes < 60
        {
            offset = (hours * 3600 + minutes * 60) * (digits[0] == 45 ? -1 : 1)
        } else {
            return nil
        }
        let civil = CivilDate(year: year, month: month, day: day)
        guard CivilDate(daysSince1970: civil.daysSince1970) == civil else { return nil }
        let seconds = civil.daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second - offset
        microseconds = seconds * 1_000_000 + fraction
    }

    @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.microseconds < rhs.microseconds }
    /// What lies beyond ``distantPast`` and ``distantFuture`` is taken for them: no number that comes from outside may end
    /// the process. `NaN` moves nothing.
    @inlinable public static func + (lhs: Self, seconds: Double) -> Self {
        let shift = (seconds * 1e6).rounded()
        guard abs(shift) < 0x1p62 else { return shift.isNaN ? lhs : shift < 0 ? .distantPast : .distantFuture }
        let sum = lhs.microseconds.addingReportingOverflow(Int64(shift))
        return sum.overflow ? shift < 0 ? .distantPast : .distantFuture : Self(microseconds: sum.partialValue)
    }
    @inlinable public static func - (lhs: Self, seconds: Double) -> Self { lhs + -seconds }
    /// Seconds from `rhs` to `lhs`.
    @inlinable public static func - (lhs: Self, rhs: Self) -> Double {
        Double(lhs.microseconds - rhs.microseconds) / 1e6
    }

    /// The start of the clock-aligned bin of `seconds` that holds this moment.
    public func floored(toSeconds seconds: Int64) -> Self {
        let width = seconds * 1_000_000
        let remainder = microseconds % width
        return Self(microseconds: microseconds - (remainder < 0 ? remainder + width : remainder))
    }

    /// RFC 3339, UTC, with as many decimals as needed: none, milliseconds or microseconds.
    public var description: String {
        var seconds = microseconds / 1_000_000
        var micros = microseconds % 1_000_000
        if micros < 0 {
            micros += 1_000_000
            seconds -= 1
        }
        var day = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            day -= 1
        }
        let date = CivilDate(daysSince1970: day)
        func pad(_ value: Int64, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        var text = "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))"
        text += "T\(pad(rest / 3600, 2)):\(pad(rest / 60 % 60, 2)):\(pad(rest % 60, 2))"
        if micros != 0 { text += micros % 1000 == 0 ? ".\(pad(micros / 1000, 3))" : ".\(pad(micros, 6))" }
        return text + "Z"
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Self(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "expected an RFC 3339 time, got \"\(text)\""))
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A day of the proleptic Gregorian calendar (Howard Hinnant's algorithms, chrono-Compatible Low-Level Date Algorithms).
struct CivilDate: Equatable {
    var year, month, day: Int64

    init(year: Int64, month: Int64, day: Int64) {
        self.year = year
        self.month = month
        self.day = day
    }

    init(daysSince1970 days: Int64) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shifted + 2) / 5 + 1
        month = shifted < 10 ? shifted + 3 : shifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    var daysSince1970: Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
