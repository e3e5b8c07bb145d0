internal import DataDirectory
internal import Foundation
internal import GridModel
internal import Store
internal import Study
internal import Switching

enum ValidateCommand {
    static let command = Command(
        "validate", operands: "PLAN.json", "the verdict on a switching plan",
        detail: """
            On the live network, by the running service; or with --snapshot stand-alone on a data directory: network, switch
            positions and injections of a moment come from it, without service or database. Checks that have no data are
            listed as not run. PLAN.json is described in docs/switching.md; - reads standard input.
            Exit code 0: approved, or approved with conditions (the output says so); 1: rejected; 4: cannot be assessed.
            """,
        options: [
            Option("url", "URL", "the running service (default http://127.0.0.1:8080)"),
            Option("snapshot", "DIR", "data directory with network/ and profiles/"),
            Option("window", "W", "window of its profiles"),
            Option("at", "T", "moment of the window (default: planned_start, else the window's start)"),
            Option("cases", "now|all", "load cases: as measured, or also MASKED and EXPORT (default all)"),
            Option("format", "text|json", "how to print it (default text)"),
        ]
    ) { invocation in
        let arguments = invocation.arguments
        let format = try arguments.choice("format", ["text", "json"], otherwise: "text")
        let cases = try arguments.choice("cases", ["now", "all"], otherwise: "all")
        let file = try arguments.operand(0, "PLAN.json")
        let plan: SwitchingPlan
        let text = try read(file)
        do {
            plan = try PlanDocument.decode(text)
        } catch let error as PlanDocumentError {
            for mistake in error.mistakes { complain("\(file): \(mistake)") }
            return .usage
        }
        guard let directory = arguments.text("snapshot") else {
            for name in ["window", "at", "cases"] where arguments.has(name) {
                throw UsageError(
                    "--\(name) belongs to --snapshot: the live network is judged as it is now, for all load cases")
            }
            let url = arguments.text("url") ?? "http://127.0.0.1:8080"
            switch ValidationClient.ask(url, plan: text) {
            case .success(let verdict): return show(verdict, plan, format)
            case .failure(let problem):
                complain("\(url): \(problem.description)")
                return .unavailable
            }
        }
        let network: Network
        let window: ProfileWindow
        let source: WindowSnapshot
        do {
            network = try NetworkReader.read(directory).network
            let names = ProfileWindow.names(in: directory)
            guard let name = arguments.text("window") ?? (names.count == 1 ? names[0] : nil) else {
                throw UsageError("--window is missing; there are: \(names.joined(separator: ", "))")
            }
            window = try ProfileWindow(directory: directory, name: name, network: network)
            source = try WindowSnapshot(directory: directory, window: window, network: network)
        } catch let error as UsageError {
            throw error
        } catch {
            complain("\(error)")
            return .cannotAssess
        }
        let time = try invocation.time("at") ?? plan.plannedStart ?? window.start
        guard time >= window.start, time < window.end else {
            throw UsageError("\(time) is not in window \(window.name): \(window.start) to \(window.end)")
        }
        let validator = PlanValidator(
            network, limits: invocation.settings.switchingLimits, software: "backfeed \(Program.version)")
        let verdict = validator.validate(
            plan, source.at(time, holdHours: plan.holdHours), cases: cases == "now" ? [.now] : Finding.LoadCase.allCases
        )
        return show(verdict, plan, format)
    }

    private static func show(_ verdict: Verdict, _ plan: SwitchingPlan, _ format: String) -> ExitCode {
        say(format == "json" ? JSONCoding.encode(verdict) : VerdictText(verdict: verdict, plan: plan).text)
        return switch verdict.verdict {
        case .approve, .approveWithConditions: .done
        case .cannotAssess: .cannotAssess
        case .reject: .negative
        }
    }

    private static func read(_ file: String) throws -> [UInt8] {
        let handle = file == "-" ? FileHandle.standardInput : FileHandle(forReadingAtPath: file)
        guard let handle else { throw UsageError("\(file): there is no such file, or it cannot be read") }
        // One byte more than is taken, so that what is too long is seen.
        return try Array(handle.read(upToCount: PlanDocument.maximumBytes + 1) ?? Data())
    }
}
