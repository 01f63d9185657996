import Foundation

/// What the kernel says a process has used (proc(5)).
struct ProcessUsage: Equatable {
    /// Time of the process itself.
    var own: CPUTicks
    /// The same of its children that have ended and were waited for.
    var endedChildren: CPUTicks

    /// Clock ticks in a second: USER_HZ, which the kernel keeps at 100 for every program.
    static let ticksPerSecond: Int64 = 100

    /// - Parameter stat: the text of `/proc/PID/stat`.
    init?(stat: String) {
        // "pid (name) state ...", where the name may contain any character.
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 14, let user = Int64(fields[11]), let system = Int64(fields[12]),
            let childrenUser = Int64(fields[13]), let childrenSystem = Int64(fields[14])
        else { return nil }
        own = CPUTicks(user: user, system: system)
        endedChildren = CPUTicks(user: childrenUser, system: childrenSystem)
    }
}

/// Processor time in clock ticks.
struct CPUTicks: Equatable {
    var user: Int64 = 0
    var system: Int64 = 0

    static func += (left: inout CPUTicks, right: CPUTicks) {
        left.user += right.user
        left.system += right.system
    }
}

/// Processor time in microseconds.
struct CPUTime: Equatable {
    var user: Double
    var system: Double

    init(_ ticks: CPUTicks) {
        let tick = 1e6 / Double(ProcessUsage.ticksPerSecond)
        (user, system) = (Double(ticks.user) * tick, Double(ticks.system) * tick)
    }

    var all: Double { user + system }
}

/// The server processes whose CPU time is counted.
struct Watched: Sendable {
    let pid: Int32
    /// Whether the process's children, including those that have ended, belong to the server too.
    var withChildren = false

    /// CPU time used so far.
    func cpu() throws -> CPUTime {
        let usage = try usage(pid)
        var ticks = usage.own
        if withChildren {
            ticks += usage.endedChildren
            // A child that ends meanwhile counts with its parent at the next reading.
            for child in children { ticks += (try? self.usage(child))?.own ?? CPUTicks() }
        }
        return CPUTime(ticks)
    }

    /// User and system time together.
    func cpuMicroseconds() throws -> Double { try cpu().all }

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
