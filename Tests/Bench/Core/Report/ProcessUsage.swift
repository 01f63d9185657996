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
    let pids: [Int32]
    /// Whether the processes' children, including those that have ended, belong to the server too.
    let withChildren: Bool

    init(pids: [Int32], withChildren: Bool = false) { (self.pids, self.withChildren) = (pids, withChildren) }

    init(pid: Int32, withChildren: Bool = false) { self.init(pids: [pid], withChildren: withChildren) }

    /// CPU time used so far, by all processes together.
    func cpu() throws -> CPUTime {
        var ticks = CPUTicks()
        for pid in pids {
            let usage = try usage(pid)
            ticks += usage.own
            if withChildren {
                ticks += usage.endedChildren
                // A child that ends meanwhile counts with its parent at the next reading.
                for child in children(of: pid) { ticks += (try? self.usage(child))?.own ?? CPUTicks() }
            }
        }
        return CPUTime(ticks)
    }

    /// User and system time together.
    func cpuMicroseconds() throws -> Double { try cpu().all }

    /// Resident memory of the processes themselves, in bytes; what they share counts with each.
    func residentBytes() throws -> Int64 { try pids.reduce(0) { try $0 + residentBytes(of: $1) } }

    private func residentBytes(of pid: Int32) throws -> Int64 {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kilobytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int64($0) })
        else { throw BenchFailure("process \(pid) has no resident memory") }
        return kilobytes * 1024
    }

    private func children(of pid: Int32) -> [Int32] {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    /// How many children run now.
    var childCount: Int { pids.map { children(of: $0).count }.reduce(0, +) }

    private func usage(_ pid: Int32) throws -> ProcessUsage {
        guard let usage = ProcessUsage(stat: try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) else {
            throw BenchFailure("/proc/\(pid)/stat is not as proc(5) says")
        }
        return usage
    }
}
