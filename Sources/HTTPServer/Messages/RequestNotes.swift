/// What a handler says about the request that it is called for, beside its answer. One object for each event loop.
///
/// The server clears it, calls the handler and reads it, all in one call on the loop; what a handler's task or callback would write
/// later belongs to another request. Everything is optional: a handler that knows nothing of notes writes none.
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

    package init() {}

    func clear() {
        route = nil
        sender = .unknown
    }
}
