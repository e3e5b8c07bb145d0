import CFuzzer
import Glibc

/// The target is named by the environment: the arguments are libFuzzer's.
enum Fuzzing {
    static let target = getenv("FUZZ_TARGET").flatMap { FuzzTarget(rawValue: String(cString: $0)) }

    static func run() -> CInt {
        guard target != nil else {
            print("FUZZ_TARGET must be one of: \(FuzzTarget.allCases.map(\.rawValue).joined(separator: " "))")
            return 2
        }
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        return LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            Fuzzing.target?.take(UnsafeRawBufferPointer(start: data, count: size))
            return 0
        }
    }
}

exit(Fuzzing.run())
