import Foundation

/// Waits until a process that Foundation has started has ended, without Foundation: while others are started at the same moment, its
/// `Process` can miss the end of a child, and then `waitUntilExit` never returns and takes a whole core.
func waitForEnd(ofProcess pid: Int32) {
    let start = ContinuousClock.now
    // "pid (name) state ...": Z is an ended process that its parent has not waited for (proc_pid_stat(5)).
    while let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), !status.contains(") Z "),
        start.duration(to: .now) < hangLimit
    {
        usleep(1_000)
    }
}
