/// One measurement of one row in one round.
package struct Sample: Codable, Sendable, Equatable {
    package var round = 0
    package var requests: Int
    package var seconds: Double
    /// Latency in microseconds, as the load generator counts it; nil where it does not.
    package var p50: Double?
    package var p99: Double?
    package var p999: Double?
    /// User and system time of the server's processes for one request, in microseconds.
    package var cpu: Double
    /// The user time in it, without system calls; nil where it was not measured separately.
    package var userCPU: Double?
    /// CPU time after the last answer for work that the requests have caused, per request; nil where there is none.
    package var lateCPU: Double?
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

    package init(requests: Int, seconds: Double, cpu: Double = 0) {
        (self.requests, self.seconds, self.cpu) = (requests, seconds, cpu)
    }
}
