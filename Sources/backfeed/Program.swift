internal import Foundation
internal import ServiceKit
internal import Store

/// Finds the command, reads options and settings, runs it, and turns errors into exit codes.
enum Program {
    static let version = "0.1.0"

    static let commands: [Command] =
        [
            RunCommand.run, RunCommand.demo, MigrateCommand.command, BackupCommands.make, BackupCommands.test,
            RestoreCommand.command, RestoreCommand.declare, SwitchCommands.confirm, BackupCommands.archive,
            NetworkCommand.importer, NetworkCommand.checker,
            NetworkCommand.show, ReplayCommand.command, AdvisoryCommands.list,
        ] + AdvisoryCommands.acts + [
            ProfileCommand.command, StatisticsCommand.command, ForecastCommand.command,
            BacktestCommand.command, AccessCommands.addPublisher,
            AccessCommands.addUser,
            AccessCommands.setDesks, AccessCommands.setPassword,
            AccessCommands.addToken, AccessCommands.list, AccessCommands.revoke, WebhookCommands.add,
            WebhookCommands.list, WebhookCommands.remove, WebhookCommands.retry,
            PublisherCommands.release, PublisherCommands.handOver, PublisherCommands.reset,
            PublisherCheckCommand.command, AdaptCommand.command,
            ValidateCommand.command, VerifyCommand.command, AuditCommand.verify, BenchCommand.command,
            DoctorCommand.command,
            SettingsCommand.command,
        ]

    static func main() -> Never {
        Heaps.limit()
        ShutdownSignal.block()
        let words = Array(CommandLine.arguments.dropFirst())
        Masking.scrubArguments()
        exit(run(words).rawValue)
    }

    private static var overview: String {
        let width = (commands.map(\.name.count).max() ?? 0) + 2
        let list = commands.map { "  \($0.name.padding(toLength: width, withPad: " ", startingAt: 0))\($0.summary)" }
        return """
            Backfeed \(version): DER monitoring and reverse-power analytics for distribution feeders.

            Usage: backfeed COMMAND [options]; backfeed COMMAND --help for each.

            \(list.joined(separator: "\n"))
            """
    }

    private static func run(_ words: [String]) -> ExitCode {
        guard let first = words.first, !["--help", "-h", "help"].contains(first) else {
            say(overview)
            return .done
        }
        if first == "--version" {
            say("backfeed \(version)")
            return .done
        }
        let pair = words.prefix(2).joined(separator: " ")
        guard let command = commands.first(where: { $0.name == pair }) ?? commands.first(where: { $0.name == first })
        else {
            let group = commands.filter { $0.name.hasPrefix("\(first) ") }.map(\.name)
            complain(
                group.isEmpty
                    ? "backfeed: there is no command \"\(first)\"; backfeed --help lists them"
                    : "backfeed \(first): expected one of: \(group.joined(separator: ", "))")
            return .usage
        }
        let rest = Array(words.dropFirst(command.name.split(separator: " ").count))
        do {
            let arguments = try Arguments(rest, options: command.options + Command.common, command: command.name)
            if arguments.has("help") {
                say(command.help)
                return .done
            }
            if let most = command.mostOperands, arguments.operands.count > most {
                throw UsageError(
                    "\"\(arguments.operands[most])\" is not understood; usage: backfeed \(command.name)\(command.operands.isEmpty ? "" : " \(command.operands)")"
                )
            }
            let format = try arguments.choice("log-format", ["text", "json"], otherwise: "text")
            let level = try arguments.choice("log-level", ["debug", "info", "warning", "error"], otherwise: "info")
            Log.configure(
                format: format == "json" ? .json : .text,
                minimum: ["debug": .debug, "info": .info, "warning": .warning, "error": .error][level] ?? .info)
            let environment = ProcessInfo.processInfo.environment
            // PostgreSQL's user, who calls it, may not be able to read the settings, and it needs none.
            let isBare = command.name == BackupCommands.archive.name
            let given = isBare ? nil : arguments.text("config") ?? environment["BACKFEED_CONFIG"]
            let settings = try Settings(
                definitions: SettingsCatalogue.all,
                file: given ?? command.standardConfiguration.map { "\(Resources.root)/\($0)" },
                environment: isBare ? [:] : environment, assignments: arguments.all("set"))
            return try command.run(Invocation(arguments: arguments, settings: settings))
        } catch let error as UsageError {
            complain("backfeed \(command.name): \(error)")
            return .usage
        } catch let error as SettingsError {
            complain(error.description)
            return .usage
        } catch let error as StoreError {
            complain("backfeed \(command.name): \(error)")
            return .unavailable
        } catch {
            complain("backfeed \(command.name): \(error)")
            return .unavailable
        }
    }
}
