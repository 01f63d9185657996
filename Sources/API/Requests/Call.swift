import Commerce
import HTTPServer
import JSON
import Logging
import NIOCore
import Services
import Store

/// One request, with everything that its handler may need.
///
/// It is passed on without a copy; a handler that continues in a closure or a task captures one copy.
struct Call: Sendable {
    let endpoint: Endpoint
    let request: HTTPRequest
    let parameters: PathParameters
    let loop: LoopResources
    /// The service's time when the handler began, used for the whole request.
    let now: Instant
    /// The key under which this request's answer is stored; nil where it is not stored.
    var idempotencyKey: IdempotencyKey?

    /// The same call, with its answer stored under a key.
    func idempotent(under key: IdempotencyKey) -> Call {
        var call = self
        call.idempotencyKey = key
        return call
    }

    var services: CommerceServices { loop.services }
    /// What log lines about the work of this call name it by.
    var origin: Logger.Metadata { ["request": "\(request.id)"] }
    var store: TransactionalStore { loop.store }
    /// What looks rows up by key on this loop, see ``show(_:_:)``.
    var reader: PointReader { loop.context.reader }

    /// An id of the path.
    func id<Entity>(_ name: String, of: Entity.Type) throws(RequestFault) -> Identifier<Entity> {
        // Most paths have one parameter, whose name a handler need not look for.
        assert(endpoint.parameterNames.contains(name), "\(endpoint.template) has no \(name)")
        for index in 0..<parameters.count where parameters.count == 1 || endpoint.parameterNames[index] == name {
            if let value = parameters.int64(index, of: request), value > 0 { return Identifier(value) }
        }
        throw RequestFault(field: name, "must be a positive integer")
    }

    /// The user whom the path names, where the route lets only them and admins through; else `nil`.
    func pathUser() throws(RequestFault) -> UserID? {
        guard endpoint.rule == .selfOrAdmin else { return nil }
        return try id("userId", of: User.self)
    }

    /// The typed body. Throws a fault that names every invalid field.
    func body<Value>(_ read: (inout FieldReader) -> Value?) throws(RequestFault) -> Value {
        try JSONBody.decode(request, read)
    }

    /// The typed body of a PATCH, which must change something.
    ///
    /// - Parameters:
    ///   - none: the empty change, which is refused.
    ///   - members: the members that a change may have, for the text of the refusal.
    func change<Change: Equatable>(
        from none: Change, members: String, _ read: (inout FieldReader) -> Change?
    ) throws(RequestFault) -> Change {
        let change = try body(read)
        guard change != none else { throw RequestFault(.invalid("The body must have at least one of \(members).")) }
        return change
    }

    /// Refuses a body that is no JSON object on a route that needs none.
    func ignoreBody() throws(RequestFault) {
        _ = try JSONBody.object(of: request)
    }

    func query<Value>(_ read: (inout QueryReader) -> Value) throws(RequestFault) -> Value {
        try QueryReader.decode(request, read)
    }

    func refusal(_ refusal: Refusal) -> HTTPResponse {
        loop.prepared.response(to: refusal, at: now)
    }
}
