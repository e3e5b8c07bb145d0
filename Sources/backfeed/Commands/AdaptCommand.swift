internal import Adapters
internal import Foundation
internal import Glibc
internal import GridModel
internal import ServiceKit

enum AdaptCommand {
    static let command = Command(
        "adapt", operands: "sunspec|ieee2030.5|ocpp [FILE|fields]",
        "turn readings of another standard into samples, with the right sign",
        detail: """
            Reads one reading a line, a JSON object as docs/adapters.md describes, from FILE or standard input, and writes
            one sample a line, as docs/publisher.py takes them. What is left out of a reading is said on standard error;
            exit code 1 when a line gave no sample. `fields` in place of FILE shows what becomes of each field.
            """
    ) { invocation in
        let name = try invocation.arguments.operand(0, "sunspec, ieee2030.5 or ocpp")
        guard let standard = SourceStandard(rawValue: name) else {
            throw UsageError(
                "expected \(SourceStandard.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(name)\"")
        }
        let file = invocation.arguments.operands.count > 1 ? invocation.arguments.operands[1] : nil
        if file == "fields" {
            say(standard.fieldTable)
            return .done
        }
        if let file {
            let descriptor = open(file, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0, dup2(descriptor, 0) == 0 else {
                throw UsageError("\(file): cannot be read: \(String(cString: strerror(errno)))")
            }
            close(descriptor)
        }
        let place = file ?? "standard input"
        var (number, refused) = (0, 0)
        while let line = readLine() {
            number += 1
            guard !line.allSatisfy(\.isWhitespace) else { continue }
            do throws(AdapterMistake) {
                let adapted = try standard.adapt(
                    Array(line.utf8), now: Timestamp(microseconds: SystemClock.nowMicroseconds))
                for sample in adapted.samples { say(sample.json) }
                for note in adapted.notes { complain("\(place), line \(number): \(note)") }
            } catch {
                refused += 1
                complain("\(place), line \(number): no sample: \(error)")
            }
        }
        return refused == 0 ? .done : .negative
    }
}
