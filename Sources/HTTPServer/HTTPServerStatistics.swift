import Synchronization

/// What the server counted since its start, and what is open now.
package struct HTTPServerStatistics: Sendable, Equatable {
    /// Connections open now.
    package var openConnections: Int
    /// Requests inside handlers now.
    package var requestsInFlight: Int
    /// Connections accepted since the start, those answered 503 included.
    package var acceptedConnections: Int
    /// Connections refused because too many were open.
    package var refusedConnections: Int
    /// Times that a connection could not be accepted for want of descriptors or memory.
    package var acceptFailures: Int
    /// Requests given to the handler since the start.
    package var requests: Int
    /// Requests answered 429 because too many were in flight.
    package var refusedRequests: Int
    /// Requests the server answered 4xx or 501 by itself: malformed, too large or too slow.
    package var rejectedRequests: Int
}

/// The counters behind ``HTTPServerStatistics``, shared by all loops of one server.
final class ServerCounters: Sendable {
    let openConnections = Atomic<Int>(0)
    /// Connections that are being answered 503.
    let openRefusals = Atomic<Int>(0)
    let requestsInFlight = Atomic<Int>(0)
    let acceptedConnections = Atomic<Int>(0)
    let refusedConnections = Atomic<Int>(0)
    let acceptFailures = Atomic<Int>(0)
    let requests = Atomic<Int>(0)
    let refusedRequests = Atomic<Int>(0)
    let rejectedRequests = Atomic<Int>(0)

    /// Each number is right by itself; together they are not one instant.
    var snapshot: HTTPServerStatistics {
        HTTPServerStatistics(
            openConnections: openConnections.load(ordering: .relaxed),
            requestsInFlight: requestsInFlight.load(ordering: .relaxed),
            acceptedConnections: acceptedConnections.load(ordering: .relaxed),
            refusedConnections: refusedConnections.load(ordering: .relaxed),
            acceptFailures: acceptFailures.load(ordering: .relaxed),
            requests: requests.load(ordering: .relaxed),
            refusedRequests: refusedRequests.load(ordering: .relaxed),
            rejectedRequests: rejectedRequests.load(ordering: .relaxed)
        )
    }

    /// Takes a place for one more, unless `limit` are taken.
    static func take(_ counter: borrowing Atomic<Int>, limit: Int) -> Bool {
        guard counter.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
            counter.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        return true
    }
}

extension Atomic<Int> {
    func increment() { wrappingAdd(1, ordering: .relaxed) }
    func decrement() { wrappingSubtract(1, ordering: .relaxed) }
}
