enum VerifyCommand {
    static let command = Command("verify", operands: "DIR", "x") { _ in .done }
}
enum BenchCommand {
    static let command = Command("bench", "x") { _ in .done }
}
