import Foundation

/// What the kernel says a process has used (proc(5)).
struct ProcessUsage: Equatable {
    /// User and system time of the process itself, in clock ticks.
    var ticks: Int64
    /// The same of its children that have ended and were waited for.
    var endedChildrenTicks: Int64

    /// Clock ticks in a second: USER_HZ, which the kernel keeps at 100 for every program.
    static let ticksPerSecond: Int64 = 100

    /// - Parameter stat: the text of `/proc/PID/stat`.
    init?(stat: String) {
        // "pid (name) state ...", and the name may hold anything.
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 14, let user = Int64(fields[11]), let system = Int64(fields[12]),
            let childrenUser = Int64(fields[13]), let childrenSystem = Int64(fields[14])
        else { return nil }
        (ticks, endedChildrenTicks) = (user + system, childrenUser + childrenSystem)
    }
}

/// The server processes whose CPU time is counted.
struct Watched: Sendable {
    let pid: Int32
    /// Whether the process' children belong to the server too, those that have ended included.
    var withChildren = false

    /// CPU time used so far.
    func cpuMicroseconds() throws -> Double {
        var ticks: Int64 = 0
        let own = try usage(pid)
        ticks += own.ticks
        if withChildren {
            ticks += own.endedChildrenTicks
            // A child that ends meanwhile is counted with its parent the next time.
            for child in children { ticks += (try? usage(child))?.ticks ?? 0 }
        }
        return Double(ticks) * 1e6 / Double(ProcessUsage.ticksPerSecond)
    }

    /// Resident memory of the process itself, in bytes.
    func residentBytes() throws -> Int64 {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kilobytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int64($0) })
        else { throw BenchFailure("process \(pid) has no resident memory") }
        return kilobytes * 1024
    }

    private var children: [Int32] {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    /// How many children run now.
    var childCount: Int { children.count }

    private func usage(_ pid: Int32) throws -> ProcessUsage {
        guard let usage = ProcessUsage(stat: try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) else {
            throw BenchFailure("/proc/\(pid)/stat is not as proc(5) says")
        }
        return usage
    }
}
