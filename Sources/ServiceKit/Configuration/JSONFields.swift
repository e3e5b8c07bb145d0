internal import Foundation

/// What a decoder of JSON does not tell: it takes the last of two values of one name, and a person may have read the first.
public enum JSONFields {
    /// The first name that stands twice in one object, with its path (`steps[0].element`); `nil`: none does.
    ///
    /// - Parameter bytes: JSON that a decoder has taken; of anything else the answer means nothing.
    public static func repeated(_ bytes: [UInt8]) -> String? {
        /// Names so far of an object, or how many values of a list; and the name that the next value has.
        struct Level {
            var names: Set<String>?
            var index = 0
            var name = ""
        }
        var levels: [Level] = []
        var isName = false
        var at = 0
        func path(_ last: String) -> String {
            levels.dropLast().map { $0.names == nil ? "[\($0.index)]" : ".\($0.name)" }.joined().drop { $0 == "." }
                + (levels.count > 1 ? "." : "") + last
        }
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "{"):
                levels.append(Level(names: []))
                isName = true
            case UInt8(ascii: "["):
                levels.append(Level())
                isName = false
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                _ = levels.popLast()
                isName = false
            case UInt8(ascii: ","):
                guard let last = levels.indices.last else { break }
                levels[last].index += 1
                isName = levels[last].names != nil
            case UInt8(ascii: "\""):
                let first = at
                at += 1
                while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
                    at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
                }
                guard isName, let last = levels.indices.last else { break }
                isName = false
                let name = text(bytes[first...min(at, bytes.count - 1)])
                levels[last].name = name
                if levels[last].names?.insert(name).inserted == false { return path(name) }
            default: break
            }
            at += 1
        }
        return nil
    }

    /// A text without its quotes, its escapes resolved: `elem\u0065nt` is `element`.
    private static func text(_ quoted: ArraySlice<UInt8>) -> String {
        if quoted.contains(UInt8(ascii: "\\")),
            let plain = try? JSONSerialization.jsonObject(with: Data(quoted), options: [.fragmentsAllowed]) as? String
        {
            return plain
        }
        return String(decoding: quoted.dropFirst().dropLast(), as: UTF8.self)
    }
}
