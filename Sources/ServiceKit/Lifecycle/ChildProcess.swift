internal import Glibc

/// A program started by us, with a clean signal mask. Arguments are passed as they are: no shell.
public struct ChildProcess: Sendable {
    public let processID: Int32

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameters:
    ///   - outputPath: file that takes standard output and error (appended), or `nil` to inherit ours.
    ///   - endsWithUs: SIGTERM when the thread that starts it ends, whatever ends it.
    public init(
        _ program: [String], outputPath: String? = nil, environment extra: [String: String] = [:],
        endsWithUs: Bool = false
    ) throws {
        let arguments = (endsWithUs ? ["setpriv", "--pdeathsig=TERM", "--"] : []) + program
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // We block SIGTERM and SIGINT and ignore SIGPIPE; a child must not inherit that.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        // A group of its own: Ctrl-C in the terminal reaches us, and we stop our children in order.
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if let outputPath {
            posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o640)
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        // What systemd tells its service is not for a server that the service starts.
        let ours = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"]
        var variables: [String] = []
        var entry = environ
        while let pointer = entry.pointee {
            let text = String(cString: pointer)
            let name = String(text.prefix { $0 != "=" })
            if extra[name] == nil, !ours.contains(name) { variables.append(text) }
            entry += 1
        }
        variables += extra.map { "\($0)=\($1)" }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer {
            argv.forEach { free($0) }
            envp.forEach { free($0) }
        }
        var child: pid_t = 0
        let code = posix_spawnp(&child, arguments[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else {
            throw Failure(description: "\(arguments[0]): cannot be started: \(String(cString: strerror(code)))")
        }
        processID = child
    }

    /// Waits for the end and returns the exit code; 128 + signal when a signal ended it.
    @discardableResult
    public func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
        return Self.exitCode(status)
    }

    /// The exit code if it has ended, else `nil`.
    public func poll() -> Int32? {
        var status: Int32 = 0
        return waitpid(processID, &status, WNOHANG) == processID ? Self.exitCode(status) : nil
    }

    public func send(signal: Int32) { kill(processID, signal) }

    private static func exitCode(_ status: Int32) -> Int32 {
        status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}
