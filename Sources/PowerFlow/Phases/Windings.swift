internal import GridModel

/// How the windings of a transformer are connected, with the engine's numbers.
struct Windings {
    enum Kind: Int8 {
        case wye, groundedWye, delta, zigzag, groundedZigzag

        init(_ winding: VectorGroup.Winding) {
            self =
                switch winding {
                case .wye: .wye
                case .groundedWye: .groundedWye
                case .delta: .delta
                case .zigzag: .zigzag
                case .groundedZigzag: .groundedZigzag
                }
        }
    }
    let high, low: Kind

    init(_ group: VectorGroup) { (high, low) = (Kind(group.high), Kind(group.low)) }

    /// Where only the clock is known and the phases are alike: an odd one needs a delta on one side.
    init(clock: Int8) {
        (high, low) = (clock % 2 == 0 ? .groundedWye : .delta, .groundedWye)
    }

    /// A phase of one side is a phase of the other, whatever the other two do.
    var keepsPhases: Bool { high == .groundedWye && low == .groundedWye }
}
