/// One measurement of one row in one round.
package struct Sample: Codable, Sendable, Equatable {
    package var round = 0
    package var requests: Int
    package var seconds: Double
    /// Latency in microseconds, as the load generator counts it; nil where it does not.
    package var p50: Double?
    package var p99: Double?
    package var p999: Double?
    /// User and system time of the server's processes for one request, in microseconds; its database is one of them.
    package var cpu: Double
    /// The database's part of it, where the server has one in a process of its own.
    package var databaseCPU: Double?
    /// The same of the load generator, in microseconds per request; nil in files of earlier runs.
    package var generatorCPU: Double?
    /// The user time in it, without system calls; nil where it was not measured separately.
    package var userCPU: Double?
    /// CPU time after the last answer for work that the requests have caused, per request; nil where there is none.
    package var lateCPU: Double?
    /// How long that work took after the last answer.
    package var lateSeconds: Double?
    /// How many writes the store committed together, as a mean; nil where it was not measured.
    package var groupSize: Double?
    /// The same of Redis, where the server asks it.
    package var redisCPU: Double?
    /// The share of the machine's CPU time that processes took that do not belong to the row.
    package var foreignShare = 0.0
    /// Unexpected answers, and requests without an answer.
    package var unexpected = 0
    /// The answers that the service counted meanwhile, by status class such as `4xx`.
    package var statuses: [String: Int] = [:]
    /// What was wrong; one problem fails the row.
    package var problems: [String] = []
    /// The command that made the load.
    package var command = ""

    package var perSecond: Double { seconds > 0 ? Double(requests) / seconds : 0 }

    /// Requests per second until the work that they have caused was done too.
    package var finishedPerSecond: Double { seconds > 0 ? Double(requests) / (seconds + (lateSeconds ?? 0)) : 0 }

    /// CPU of the server and of the load generator for one request, with the work after the last answer; nil where the generator's was not
    /// measured.
    package var cpuWithGenerator: Double? { generatorCPU.map { $0 + finishedCPU } }

    /// CPU of the server for one request, with the work after the last answer.
    package var finishedCPU: Double { cpu + (lateCPU ?? 0) }

    /// Requests for one second of CPU time of the service and its Redis. The database is left out: for requests that do not need it.
    package var perSecondOfCPU: Double? {
        let used = cpu - (databaseCPU ?? 0) + (redisCPU ?? 0)
        return used > 0 ? 1e6 / used : nil
    }

    package init(requests: Int, seconds: Double, cpu: Double = 0) {
        (self.requests, self.seconds, self.cpu) = (requests, seconds, cpu)
    }
}
