import Synchronization

/// What the server counted since its start, and what is open now.
package struct HTTPServerStatistics: Sendable, Equatable {
    /// Connections open now.
    package var openConnections: Int
    /// Requests whose handlers have not answered at once and have not answered yet.
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
/// Written by its loop alone, so that a plain load and store do where several writers would need a locked addition; read from any
/// thread.
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

    /// Adds what was counted. Each number is right by itself; together they are not one instant.
    func add(to statistics: inout HTTPServerStatistics) {
        statistics.acceptedConnections += acceptedConnections.load(ordering: .relaxed)
        statistics.refusedConnections += refusedConnections.load(ordering: .relaxed)
        statistics.requests += requests.load(ordering: .relaxed)
        statistics.refusedRequests += refusedRequests.load(ordering: .relaxed)
        statistics.rejectedRequests += rejectedRequests.load(ordering: .relaxed)
    }
}
