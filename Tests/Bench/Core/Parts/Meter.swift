import Foundation

/// Measures the CPU time that a server, its database, its Redis and all other processes use between two moments.
struct Meter {
    private let server: Watched
    private let database: Watched?
    private let redis: Watched?
    private let serverBefore: CPUTime
    private let databaseBefore: CPUTime?
    private let redisBefore: Double
    private let childrenBefore: Double
    private let machineBefore: MachineTime

    /// Begins a measurement.
    ///
    /// - Parameter database: belongs to the server, but is a process of its own.
    init(server: Watched, database: Watched? = nil, redis: Watched? = nil) throws {
        (self.server, self.database, self.redis) = (server, database, redis)
        serverBefore = try server.cpu()
        databaseBefore = try database?.cpu()
        redisBefore = try redis?.cpuMicroseconds() ?? 0
        childrenBefore = Self.endedChildren()
        machineBefore = try MachineTime()
    }

    /// Ends the measurement, after the load generator has ended, and writes the use per request into the sample.
    func read(into sample: inout Sample) throws {
        let requests = Double(max(sample.requests, 1))
        let now = try server.cpu()
        var (used, user) = (now.all - serverBefore.all, now.user - serverBefore.user)
        if let now = try database?.cpu(), let databaseBefore {
            let usedByDatabase = now.all - databaseBefore.all
            sample.databaseCPU = usedByDatabase / requests
            used += usedByDatabase
            user += now.user - databaseBefore.user
        }
        sample.cpu = used / requests
        sample.userCPU = user / requests
        let redisUsed = (try redis?.cpuMicroseconds() ?? 0) - redisBefore
        if redis != nil { sample.redisCPU = redisUsed / requests }
        let machine = try MachineTime()
        let generator = Self.endedChildren() - childrenBefore
        sample.generatorCPU = generator / requests
        let ours = used + redisUsed + generator
        let share = (machine.busy - machineBefore.busy - ours) / max(machine.all - machineBefore.all, 1)
        sample.foreignShare = min(max(share, 0), 1)
    }

    /// CPU time of this process's children that have ended, including the load generator.
    private static func endedChildren() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_CHILDREN.rawValue, &usage)
        func microseconds(_ time: timeval) -> Double { Double(time.tv_sec) * 1e6 + Double(time.tv_usec) }
        return microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
    }
}

/// Time of all processors together, in microseconds since the machine started (proc_stat(5)).
struct MachineTime: Equatable {
    let busy: Double
    let all: Double

    init() throws {
        guard let time = MachineTime(stat: try String(contentsOfFile: "/proc/stat", encoding: .utf8)) else {
            throw BenchFailure("/proc/stat is not as proc_stat(5) says")
        }
        self = time
    }

    /// - Parameter stat: the text of `/proc/stat`.
    init?(stat: String) {
        guard let line = stat.split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }) else { return nil }
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        guard ticks.count == 8 else { return nil }
        let tick = 1e6 / Double(ProcessUsage.ticksPerSecond)
        let sum = ticks.reduce(0, +)
        (busy, all) = ((sum - ticks[3] - ticks[4]) * tick, sum * tick)
    }
}
