internal import GridModel

/// How the windings of a transformer are connected, with the engine's numbers.
struct Windings {
    enum Kind: Int8 {
        case wye, groundedWye, delta, zigzag, groundedZigzag
    }
    let high, low: Kind

    /// Of a vector group, as `Dyn` or `YNyn0`; `nil`: it is none.
    init?(_ group: String?) {
        let letters = (group ?? "").prefix { $0.isLetter }
        guard let high = Self.kind(letters.prefix { $0.isUppercase }.lowercased()),
            let low = Self.kind(String(letters.drop { $0.isUppercase }))
        else { return nil }
        (self.high, self.low) = (high, low)
    }

    /// Where only the clock is known and the phases are alike: an odd one needs a delta on one side.
    init(clock: Int8) {
        (high, low) = (clock % 2 == 0 ? .groundedWye : .delta, .groundedWye)
    }

    private static func kind(_ letters: String) -> Kind? {
        switch letters {
        case "y": .wye
        case "yn": .groundedWye
        case "d": .delta
        case "z": .zigzag
        case "zn": .groundedZigzag
        default: nil
        }
    }

    /// A phase of one side is a phase of the other, whatever the other two do.
    var keepsPhases: Bool { high == .groundedWye && low == .groundedWye }
}
