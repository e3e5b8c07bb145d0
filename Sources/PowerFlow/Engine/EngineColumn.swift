internal import CPowerGridModel

/// A number as the engine stores it in a column.
protocol EngineNumber {
    static var engineType: PGM_Idx { get }
    /// What the engine takes for "not given".
    static var absent: Self { get }
}

extension Int32: EngineNumber {
    static var engineType: PGM_Idx { PGM_Idx(PGM_int32.rawValue) }
    static var absent: Int32 { .min }
}

extension Int8: EngineNumber {
    static var engineType: PGM_Idx { PGM_Idx(PGM_int8.rawValue) }
    static var absent: Int8 { .min }
}

extension Double: EngineNumber {
    static var engineType: PGM_Idx { PGM_Idx(PGM_double.rawValue) }
    static var absent: Double { .nan }
}

/// A value of each phase, as the engine writes it.
struct PhaseTriple: EngineNumber {
    var a, b, c: Double
    static var engineType: PGM_Idx { PGM_Idx(PGM_double3.rawValue) }
    static var absent: Self { Self(a: .nan, b: .nan, c: .nan) }
    var largest: Double { max(a, b, c) }
    var sum: Double { a + b + c }
    var list: [Double] { [a, b, c] }
}

/// One attribute of a component, a value an element, in memory of its own: the engine keeps the pointer for as long as
/// its dataset lives.
final class EngineColumn<Number: EngineNumber> {
    let values: UnsafeMutableBufferPointer<Number>

    init(count: Int) {
        values = .allocate(capacity: count)
        values.initialize(repeating: .absent)
    }

    convenience init(_ numbers: [Number]) {
        self.init(count: numbers.count)
        for (place, number) in numbers.enumerated() { values[place] = number }
    }

    deinit { values.deallocate() }

    /// Results of a calculation that failed would otherwise look like those of the one before.
    func clear() { values.update(repeating: .absent) }
}

/// Any column, with what the engine must be told of it.
struct AnyEngineColumn {
    let attribute: String
    let type: PGM_Idx
    let owner: AnyObject
    let base: UnsafeMutableRawPointer?

    init<Number>(_ attribute: String, _ column: EngineColumn<Number>) {
        self.attribute = attribute
        type = Number.engineType
        owner = column
        base = UnsafeMutableRawPointer(column.values.baseAddress)
    }
}
