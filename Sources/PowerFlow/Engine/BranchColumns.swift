/// The columns that the engine writes the flows of one component into, a number or three an element.
struct BranchColumns<Number: EngineNumber> {
    let component: String
    let count: Int
    let fromWatts, fromVars, fromAmperes, toWatts, toVars, toAmperes: EngineColumn<Number>

    init(_ component: String, _ count: Int) {
        self.component = component
        self.count = count
        (fromWatts, fromVars, fromAmperes) = (.init(count: count), .init(count: count), .init(count: count))
        (toWatts, toVars, toAmperes) = (.init(count: count), .init(count: count), .init(count: count))
    }

    private var all: [EngineColumn<Number>] { [fromWatts, fromVars, fromAmperes, toWatts, toVars, toAmperes] }

    var table: EngineTable {
        let names = ["p_from", "q_from", "i_from", "p_to", "q_to", "i_to"]
        return EngineTable(
            component: component, count: count, columns: zip(names, all).map { AnyEngineColumn($0, $1) })
    }

    func clear() { for column in all { column.clear() } }
}
