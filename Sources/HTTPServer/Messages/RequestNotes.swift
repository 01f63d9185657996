/// What a handler says about the request that it is called for, beside its answer. One object for each event loop.
///
/// The server clears it, calls the handler and reads it, all in one call on the loop. What a handler's task or callback learns later
/// is noted by ``noteLate(_:of:)``. Everything is optional: a handler that knows nothing of notes writes none.
///
/// Safety of `@unchecked Sendable`: touched on its event loop only.
package final class RequestNotes: @unchecked Sendable {
    /// Who sent the request, as far as its token says.
    package enum Sender: Equatable {
        case unknown
        case user(Int64)
        case admin(subject: String)
    }

    /// The index of the route among those that the access log was made with; nil where no route has this path and method.
    package var route: Int?
    package var sender = Sender.unknown
    /// The client's address, where the peer is a proxy that names it; nil where the peer is the client.
    package var client: IPAddress?

    /// The senders that were learned after the handler's call, until the requests' lines are written. Few requests are here.
    private var lateSenders: [LateKey: Sender] = [:]
    /// Whether an access log reads the notes. Where none does, what costs something need not be noted, and late senders are not kept.
    package internal(set) var isRead = false

    private struct LateKey: Hashable {
        let connection: UInt64
        let number: UInt32
    }

    package init() {}

    /// Notes the sender of a request whose handler has gone on after its call. Call it before the request is answered.
    package func noteLate(_ sender: Sender, of request: RequestID) {
        guard isRead else { return }
        lateSenders[LateKey(connection: request.connection, number: request.number)] = sender
    }

    /// The sender that was noted late, once; nil for most requests.
    func takeLateSender(connection: UInt64, number: UInt32) -> Sender? {
        guard !lateSenders.isEmpty else { return nil }
        return lateSenders.removeValue(forKey: LateKey(connection: connection, number: number))
    }

    func clear() {
        route = nil
        sender = .unknown
        client = nil
    }
}
