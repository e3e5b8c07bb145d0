internal import Foundation

/// What the kernel says of a process, from `/proc/PID`. Zero where it cannot be read.
public enum ProcessFigures {
    /// CPU seconds of each live thread, summed by thread name. A thread that has ended is not in it.
    public static func cpuSeconds(ofThreadsOf process: Int32) -> [String: Double] {
        let tasks = "/proc/\(process)/task"
        var seconds: [String: Double] = [:]
        for task in (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? [] {
            // First field: nanoseconds on a CPU. `stat` counts in hundredths of a second, too coarse here.
            let name = text("\(tasks)/\(task)/comm").trimmingCharacters(in: .whitespacesAndNewlines)
            let field = text("\(tasks)/\(task)/schedstat").split(separator: " ").first
            seconds[name, default: 0] += (field.flatMap { Double($0) } ?? 0) / 1e9
        }
        return seconds
    }

    /// Most resident memory so far, in bytes.
    public static func peakResidentBytes(of process: Int32) -> Int {
        let line = text("/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0)
            * 1024
    }

    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}
