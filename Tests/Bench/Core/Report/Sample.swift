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
    /// The user time in it: what the server itself does, without its system calls; nil where it was not told apart.
    package var userCPU: Double?
    /// What the server still used after its last answer, for one request: work that follows from it; nil where there is none.
    package var lateCPU: Double?
    /// The same of Redis, where the server asks it.
    package var redisCPU: Double?
    /// The part of the machine's time that went to processes that have nothing to do with the row.
    package var foreignShare = 0.0
    /// Answers that were not the expected ones, and requests that got none.
    package var unexpected = 0
    /// What the service itself counted meanwhile, by status class such as `4xx`.
    package var statuses: [String: Int] = [:]
    /// What was wrong, in words; one is enough to fail the row.
    package var problems: [String] = []
    /// How the load was made.
    package var command = ""

    package var perSecond: Double { seconds > 0 ? Double(requests) / seconds : 0 }

    package init(requests: Int, seconds: Double, cpu: Double = 0) {
        (self.requests, self.seconds, self.cpu) = (requests, seconds, cpu)
    }
}
