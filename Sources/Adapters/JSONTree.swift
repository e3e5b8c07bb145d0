internal import GridModel

/// A JSON value as it was written: what a field means is decided where it is read, so that one wrong value costs its
/// neighbours nothing.
enum JSON: Sendable, Equatable {
    case null, bool(Bool), number(Double), text(String), list([JSON]), object([String: JSON])
}

/// Reads RFC 8259, and `NaN`, `Infinity` and `-Infinity` as Python's encoder writes them for floats without a value.
///
/// A field that stands in an object twice has no value: ``notes`` says so. Depth is bounded, so that a line of brackets
/// cannot exhaust the stack.
struct JSONParser {
    static let maximumDepth = 32

    private(set) var notes: [String] = []
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The one object of a line.
    mutating func document() throws(AdapterMistake) -> [String: JSON] {
        guard case .object(let fields) = try value(depth: 0) else { throw AdapterMistake("not a JSON object") }
        skipBlanks()
        guard at == bytes.count else { throw wrong("more than one value") }
        return fields
    }

    private func wrong(_ what: String) -> AdapterMistake { AdapterMistake("not JSON: \(what) at byte \(at + 1)") }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { at += 1 }
    }

    private mutating func take(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard at + length <= bytes.count else { return false }
        let matches = word.withUTF8Buffer { expected in
            bytes[at..<at + length].elementsEqual(expected)
        }
        if matches { at += length }
        return matches
    }

    private mutating func value(depth: Int) throws(AdapterMistake) -> JSON {
        guard depth <= Self.maximumDepth else { throw wrong("nested too deep") }
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return .object(try object(depth))
        case UInt8(ascii: "["): return .list(try list(depth))
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t") where take("true"): return .bool(true)
        case UInt8(ascii: "f") where take("false"): return .bool(false)
        case UInt8(ascii: "n") where take("null"): return .null
        case UInt8(ascii: "N") where take("NaN"): return .number(.nan)
        case UInt8(ascii: "I") where take("Infinity"): return .number(.infinity)
        case UInt8(ascii: "-") where take("-Infinity"): return .number(-.infinity)
        default: return .number(try number())
        }
    }

    private mutating func object(_ depth: Int) throws(AdapterMistake) -> [String: JSON] {
        var (fields, twice): ([String: JSON], Set<String>) = ([:], [])
        at += 1
        skipBlanks()
        if take("}") { return fields }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw wrong("expected the name of a field") }
            let name = try text()
            skipBlanks()
            guard take(":") else { throw wrong("expected a colon") }
            let found = try value(depth: depth + 1)
            if let other = fields[name], other != found { twice.insert(name) }
            fields[name] = found
            skipBlanks()
            if take(",") { continue }
            guard take("}") else { throw wrong("expected a comma or the end of an object") }
            break
        }
        for name in twice.sorted() {
            fields[name] = nil
            notes.append("\(name): written twice with two values: left out")
        }
        return fields
    }

    private mutating func list(_ depth: Int) throws(AdapterMistake) -> [JSON] {
        var items: [JSON] = []
        at += 1
        skipBlanks()
        if take("]") { return items }
        while true {
            items.append(try value(depth: depth + 1))
            skipBlanks()
            if take(",") { continue }
            guard take("]") else { throw wrong("expected a comma or the end of a list") }
            return items
        }
    }

    private mutating func number() throws(AdapterMistake) -> Double {
        let first = at
        while let byte = next,
            (48...57).contains(byte) || byte == 43 || byte == 45 || byte == 46 || byte == 69 || byte == 101
        {
            at += 1
        }
        guard at > first, let number = Double(String(decoding: bytes[first..<at], as: UTF8.self)) else {
            throw wrong("expected a value")
        }
        return number
    }

    private mutating func text() throws(AdapterMistake) -> String {
        at += 1
        var (units, start) = ([UInt8](), at)
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                units += bytes[start..<at]
                at += 1
                return String(decoding: units, as: UTF8.self)
            case UInt8(ascii: "\\"):
                units += bytes[start..<at]
                at += 1
                units += Array(String(try escape()).utf8)
                start = at
            case 0..<0x20: throw wrong("a control character in a text")
            default: at += 1
            }
        }
        throw wrong("a text without an end")
    }

    private mutating func escape() throws(AdapterMistake) -> Character {
        guard let byte = next else { throw wrong("a text without an end") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Character(UnicodeScalar(byte))
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let high = try fourDigits()
            guard (0xd800..<0xdc00).contains(high) else { return Self.character(high) }
            guard take("\\u") else { return Self.character(high) }
            let low = try fourDigits()
            guard (0xdc00..<0xe000).contains(low) else { return Self.character(high) }
            return Self.character(0x10000 + (high - 0xd800) << 10 + (low - 0xdc00))
        default: throw wrong("an unknown escape")
        }
    }

    /// Half a surrogate pair is no character: U+FFFD.
    private static func character(_ scalar: UInt32) -> Character { Character(UnicodeScalar(scalar) ?? "\u{fffd}") }

    private mutating func fourDigits() throws(AdapterMistake) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
                throw wrong("expected four hexadecimal digits")
            }
            number = number << 4 + UInt32(digit)
            at += 1
        }
        return number
    }
}

/// The fields of an object. A field that is `null` is not there; a field that is not what it should be throws, and the
/// caller decides what else is lost with it.
struct Fields: Sendable {
    let all: [String: JSON]
    /// Where this object stands, for messages: `readingType.`, or nothing at the top.
    let path: String

    init(_ all: [String: JSON], path: String = "") {
        self.all = all
        self.path = path
    }

    subscript(name: String) -> JSON? {
        guard let value = all[name], value != .null else { return nil }
        return value
    }

    /// Throws where a field is none of these: it may be one of them under another name, and what it says would be lost
    /// without a word, a multiplier for instance.
    func expect(only known: Set<String>) throws(AdapterMistake) {
        let strangers = all.keys.filter { !known.contains($0) && all[$0] != .null && !$0.hasPrefix("@") }
        guard let first = strangers.min() else { return }
        throw AdapterMistake("\(path)\(first.prefix(32)): no field of it")
    }

    /// With names as the standard has them, also of a reading whose library writes `sampled_value`.
    var camelCase: Fields {
        var renamed: [String: JSON] = [:]
        for (name, value) in all.sorted(by: { $0.key < $1.key }) {
            let words = name.split(separator: "_")
            let plain =
                words.count < 2
                ? name : words.dropFirst().reduce(String(words[0])) { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
            // Where a field is there under two names, the standard's name wins.
            if renamed[plain] == nil || name == plain { renamed[plain] = value }
        }
        return Fields(renamed, path: path)
    }

    func missing(_ name: String) -> AdapterMistake { AdapterMistake("field \(path)\(name) is missing") }

    func object(_ name: String) throws(AdapterMistake) -> Fields? {
        guard let value = self[name] else { return nil }
        guard case .object(let fields) = value else { throw AdapterMistake("\(path)\(name): expected an object") }
        return Fields(fields, path: "\(path)\(name).")
    }

    func list(_ name: String) throws(AdapterMistake) -> [JSON]? {
        guard let value = self[name] else { return nil }
        guard case .list(let items) = value else { throw AdapterMistake("\(path)\(name): expected a list") }
        return items
    }

    func text(_ name: String) throws(AdapterMistake) -> String? {
        guard let value = self[name] else { return nil }
        guard case .text(let text) = value else { throw AdapterMistake("\(path)\(name): expected a text") }
        return text
    }

    func flag(_ name: String) throws(AdapterMistake) -> Bool? {
        guard let value = self[name] else { return nil }
        guard case .bool(let flag) = value else { throw AdapterMistake("\(path)\(name): expected true or false") }
        return flag
    }

    /// A finite number, also one written as text: OCPP 1.6 does so, and XML turned into JSON.
    func number(_ name: String) throws(AdapterMistake) -> Double? {
        guard let value = self[name] else { return nil }
        if let number = value.decimal, number.isFinite { return number }
        throw AdapterMistake("\(path)\(name): expected a number")
    }

    func whole(_ name: String, in range: ClosedRange<Int>) throws(AdapterMistake) -> Int? {
        guard let number = try number(name) else { return nil }
        guard let whole = Int(exactly: number), range.contains(whole) else {
            throw AdapterMistake(
                "\(path)\(name): expected a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return whole
    }

    /// +1 or -1.
    func polarity() throws(AdapterMistake) -> Double? {
        guard let number = try number("polarity") else { return nil }
        guard number == 1 || number == -1 else { throw AdapterMistake("polarity: expected 1 or -1") }
        return number
    }

    func word<Word: RawRepresentable & CaseIterable>(_ name: String, _: Word.Type) throws(AdapterMistake) -> Word?
    where Word.RawValue == String {
        guard let text = try text(name) else { return nil }
        guard let word = Word(rawValue: text) else {
            throw AdapterMistake(
                "\(path)\(name): expected \(Word.allCases.map(\.rawValue).joined(separator: " or "))")
        }
        return word
    }

    /// Hexadecimal as in the schema of IEEE 2030.5. A JSON number counts only where it is the same in both bases:
    /// 49 written for hexadecimal 49 is another set of flags, and turns the sign.
    func hexadecimal(_ name: String) throws(AdapterMistake) -> Int? {
        guard let value = self[name] else { return nil }
        switch value {
        case .number(let number) where number >= 0 && number <= 9 && number == number.rounded(): return Int(number)
        case .text(let text):
            var digits = text.drop { $0.isWhitespace }
            if digits.hasPrefix("0x") || digits.hasPrefix("0X") { digits = digits.dropFirst(2) }
            while digits.last?.isWhitespace == true { digits = digits.dropLast() }
            guard !digits.isEmpty, digits.count <= 8, digits.allSatisfy(\.isHexDigit),
                let bits = Int(digits, radix: 16)
            else { break }
            return bits
        default: break
        }
        throw AdapterMistake("\(path)\(name): expected hexadecimal text as in the schema, such as \"0049\"")
    }

    /// RFC 3339 with a zone, or whole microseconds since 1970.
    func time(_ name: String) throws(AdapterMistake) -> Timestamp? {
        switch self[name] {
        case nil: return nil
        case .number(let number)?:
            if let micros = Int64(exactly: number) { return Timestamp(microseconds: micros) }
        case .text(let text)?:
            if let time = Timestamp(String(text.trimmed)) { return time }
        default: break
        }
        throw AdapterMistake("\(path)\(name): expected RFC 3339 with a zone, or microseconds since 1970")
    }

    func device() throws(AdapterMistake) -> String {
        guard let device = try text("device") else { throw missing("device") }
        if let complaint = Identifier.complaint(device) { throw AdapterMistake("device: \(complaint)") }
        return device
    }
}

extension JSON {
    /// The number; also from text, with blanks around it. Swift's own reading of text would take `0x10` and `nan`.
    var decimal: Double? {
        switch self {
        case .number(let number): return number
        case .text(let text):
            let digits = text.trimmed
            guard !digits.isEmpty, digits.utf8.allSatisfy({ "+-.0123456789eE".utf8.contains($0) }) else { return nil }
            return Double(digits)
        default: return nil
        }
    }
}

extension String {
    var trimmed: Substring {
        var text = drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return text
    }
}
