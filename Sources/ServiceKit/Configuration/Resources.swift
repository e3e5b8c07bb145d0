internal import Foundation

/// Where the files are that ship beside the program: migrations, console, data.
public enum Resources {
    /// The file of this program.
    public static let program =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]

    /// The directory that holds `Migrations/`: `BACKFEED_SHARE`, or the nearest one above the program or its
    /// `share/backfeed`, or `/usr/share/backfeed`.
    public static let root: String = {
        let files = FileManager.default
        if let set = ProcessInfo.processInfo.environment["BACKFEED_SHARE"] { return set }
        var folder = URL(fileURLWithPath: program).deletingLastPathComponent()
        while folder.path != "/" {
            for root in [folder, folder.appendingPathComponent("share/backfeed")]
            where files.fileExists(atPath: root.appendingPathComponent("Migrations/0001_spine.sql").path) {
                return root.path
            }
            folder.deleteLastPathComponent()
        }
        return "/usr/share/backfeed"
    }()
}
