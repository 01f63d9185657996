import Foundation

/// Waits until a process has ended that was started by Foundation. Not by Foundation: beside others that are started at that moment, its
/// `Process` can miss the end of a child, and then `waitUntilExit` never returns and takes a whole core.
func waitForEnd(ofProcess pid: Int32) {
    let start = ContinuousClock.now
    // "pid (name) state ...": Z is a process whose parent has not asked for its end yet (proc_pid_stat(5)).
    while let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), !status.contains(") Z "),
        start.duration(to: .now) < hangLimit
    {
        usleep(1_000)
    }
}
