internal import CPopt
internal import Glibc

/// A mistake in how the program was called or configured: exit code 2.
struct UsageError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// One option of a command.
struct Option: Sendable {
    let name: String
    /// What its value is called in the help; `nil`: a flag.
    let value: String?
    let help: String

    init(_ name: String, _ value: String? = nil, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }
}

/// The options and operands of one call, parsed by libpopt.
struct Arguments {
    private(set) var values: [String: [String]] = [:]
    private(set) var operands: [String] = []

    /// - Parameter arguments: without the program's and the command's name.
    init(_ arguments: [String], options: [Option], command: String) throws {
        var table: [cpopt_option] = []
        var names: [UnsafeMutablePointer<CChar>] = []
        defer { names.forEach { free($0) } }
        for (number, option) in options.enumerated() {
            guard let name = strdup(option.name) else { continue }
            names.append(name)
            table.append(
                cpopt_option(
                    longName: UnsafePointer(name), shortName: 0,
                    argInfo: option.value == nil ? UInt32(POPT_ARG_NONE) : UInt32(POPT_ARG_STRING), arg: nil,
                    val: Int32(number + 1), descrip: nil, argDescrip: nil))
        }
        table.append(cpopt_option())
        var argv: [UnsafePointer<CChar>?] = ([command] + arguments).map { UnsafePointer(strdup($0)) } + [nil]
        defer { for pointer in argv { free(UnsafeMutableRawPointer(mutating: pointer)) } }
        try table.withUnsafeMutableBufferPointer { table in
            try argv.withUnsafeMutableBufferPointer { argv in
                let context = poptGetContext("backfeed", Int32(argv.count - 1), argv.baseAddress, table.baseAddress, 0)
                defer { poptFreeContext(context) }
                while true {
                    let code = poptGetNextOpt(context)
                    if code == -1 { break }
                    guard code > 0 else {
                        let option = String(cString: poptBadOption(context, 0))
                        let near = options.map { "--\($0.name)" }.joined(separator: " ")
                        throw UsageError(
                            "\(command): \(option): \(String(cString: poptStrerror(code))); it takes \(near)")
                    }
                    let option = options[Int(code) - 1]
                    let text = poptGetOptArg(context)
                    defer { free(text) }
                    values[option.name, default: []].append(text.map { String(cString: $0) } ?? "")
                }
                while let operand = poptGetArg(context) { operands.append(String(cString: operand)) }
            }
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }
    func text(_ name: String) -> String? { values[name]?.last }
    func all(_ name: String) -> [String] { values[name] ?? [] }

    func number(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
        guard let text = text(name) else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError(
                "--\(name): expected a number from \(range.lowerBound) to \(range.upperBound), got \"\(text)\"")
        }
        return value
    }

    func choice(_ name: String, _ words: [String], otherwise: String) throws -> String {
        guard let text = text(name) else { return otherwise }
        guard words.contains(text) else {
            throw UsageError("--\(name): expected \(words.joined(separator: ", ")), got \"\(text)\"")
        }
        return text
    }

    func operand(_ place: Int, _ what: String) throws -> String {
        guard place < operands.count else { throw UsageError("\(what) is missing") }
        return operands[place]
    }
}
