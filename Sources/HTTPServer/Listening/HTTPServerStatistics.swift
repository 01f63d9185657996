import EventLoops
package import Histograms

/// What the server counted since its start, and how many connections and requests it has now.
package struct HTTPServerStatistics: Sendable, Equatable {
    /// Connections open now.
    package var openConnections: Int
    /// Requests whose handlers did not answer at once and have not answered yet.
    package var requestsInFlight: Int
    /// Connections accepted since the start, those answered 503 included.
    package var acceptedConnections = 0
    /// Connections refused because too many were open.
    package var refusedConnections = 0
    /// Times that a connection could not be accepted for want of descriptors or memory.
    package var acceptFailures = 0
    /// Requests given to the handler since the start.
    package var requests = 0
    /// Requests answered 429 because too many were in flight.
    package var refusedRequests = 0
    /// Requests the server answered 4xx or 501 by itself: malformed, too large or too slow.
    package var rejectedRequests = 0
    /// Requests that are missing from the access log, because it could not be written in time.
    package var accessLogDropped = 0
    /// Nanoseconds by which the timer of an event loop was late: for so long the loop did something else.
    package var loopLag = HistogramSnapshot(.times)

    /// The numbers of two servers on the same event loops with the same access log.
    package static func + (one: Self, other: Self) -> Self {
        HTTPServerStatistics(
            openConnections: one.openConnections + other.openConnections, requestsInFlight: one.requestsInFlight + other.requestsInFlight,
            acceptedConnections: one.acceptedConnections + other.acceptedConnections,
            refusedConnections: one.refusedConnections + other.refusedConnections,
            acceptFailures: one.acceptFailures + other.acceptFailures,
            requests: one.requests + other.requests, refusedRequests: one.refusedRequests + other.refusedRequests,
            rejectedRequests: one.rejectedRequests + other.rejectedRequests,
            accessLogDropped: max(one.accessLogDropped, other.accessLogDropped), loopLag: one.loopLag + other.loopLag)
    }
}

/// What one event loop has counted.
final class LoopCounters: Sendable {
    let acceptedConnections = LoopCounter()
    let refusedConnections = LoopCounter()
    let requests = LoopCounter()
    let refusedRequests = LoopCounter()
    let rejectedRequests = LoopCounter()
    let lag = Histogram(.times)

    /// Adds the counters. Each is exact, but they are not read at one instant.
    func add(to statistics: inout HTTPServerStatistics) {
        statistics.acceptedConnections += acceptedConnections.value
        statistics.refusedConnections += refusedConnections.value
        statistics.requests += requests.value
        statistics.refusedRequests += refusedRequests.value
        statistics.rejectedRequests += rejectedRequests.value
        statistics.loopLag = statistics.loopLag + lag.snapshot
    }
}
