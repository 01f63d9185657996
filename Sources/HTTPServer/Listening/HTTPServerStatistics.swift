import Synchronization

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
}

/// What one event loop has counted.
///
/// Only its loop writes it, so a plain load and store suffice where several writers would need an atomic addition. Any thread may
/// read it.
final class LoopCounters: Sendable {
    private let acceptedConnections = Atomic<Int>(0)
    private let refusedConnections = Atomic<Int>(0)
    private let requests = Atomic<Int>(0)
    private let refusedRequests = Atomic<Int>(0)
    private let rejectedRequests = Atomic<Int>(0)

    func countAccepted() { LoopCounters.count(acceptedConnections) }
    func countRefusedConnection() { LoopCounters.count(refusedConnections) }
    func countRequest() { LoopCounters.count(requests) }
    func countRefused() { LoopCounters.count(refusedRequests) }
    func countRejected() { LoopCounters.count(rejectedRequests) }

    private static func count(_ counter: borrowing Atomic<Int>) {
        counter.store(counter.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    /// Adds the counters. Each is exact, but they are not read at one instant.
    func add(to statistics: inout HTTPServerStatistics) {
        statistics.acceptedConnections += acceptedConnections.load(ordering: .relaxed)
        statistics.refusedConnections += refusedConnections.load(ordering: .relaxed)
        statistics.requests += requests.load(ordering: .relaxed)
        statistics.refusedRequests += refusedRequests.load(ordering: .relaxed)
        statistics.rejectedRequests += rejectedRequests.load(ordering: .relaxed)
    }
}
