import Commerce
import HTTPServer

/// One route of the contract: what it is called, who may use it, what it can refuse, and what runs.
final class Route: Sendable {
    typealias Handler = @Sendable (Call) throws -> HTTPAnswer
    typealias UserHandler = @Sendable (Call, UserID) throws -> HTTPAnswer
    typealias IdentityHandler = @Sendable (Call, Identity) throws -> HTTPAnswer

    /// Who may use a route, with the code that runs for them. Handlers get the identity their rule promises.
    enum Access: Sendable {
        /// Everybody; a token is not looked at.
        case open(Handler)
        /// A user, for themselves; not an admin.
        case user(UserHandler)
        /// An admin alone.
        case admin(Handler)
        /// The user whom the path's `{userId}` names, or an admin. The user exists.
        case selfOrAdmin(UserHandler)
        /// The user who owns what the path names, which the handler finds out, or an admin.
        case ownerOrAdmin(IdentityHandler)
    }

    let method: HTTPMethod
    let template: String
    /// The names of the path's parameters, in the order of the template.
    let parameterNames: [String]
    /// The name of the operation in the OpenAPI document.
    let operationID: String
    let access: Access
    /// Where the thing that a success makes can be read; `nil` where it has no path of its own.
    let location: ResourceLocation?
    /// What this route refuses beyond what any route of its kind does; see ``allRefusals``.
    let refusals: [ProblemCode]
    /// Whether an `Idempotency-Key` has the answer to this request stored.
    let acceptsIdempotencyKey: Bool
    /// Whether a JSON body is looked at.
    let readsBody: Bool

    init(
        _ method: HTTPMethod, _ template: String, _ operationID: String, _ access: Access, readsBody: Bool? = nil,
        acceptsIdempotencyKey: Bool? = nil, location: ResourceLocation? = nil, refusals: [ProblemCode] = []
    ) {
        self.method = method
        self.template = template
        parameterNames = Router.parameterNames(of: template)
        self.operationID = operationID
        self.access = access
        self.location = location
        self.refusals = refusals
        self.readsBody = readsBody ?? (method == .post || method == .patch)
        self.acceptsIdempotencyKey = acceptsIdempotencyKey ?? (method == .post)
    }

    /// Every code an answer of this route may carry.
    var allRefusals: Set<ProblemCode> {
        var codes: Set<ProblemCode> = [
            .invalidRequest, .payloadTooLarge, .tooManyRequests, .headersTooLarge, .internal, .temporarilyUnavailable,
        ]
        codes.formUnion(refusals)
        if readsBody { codes.insert(.unsupportedMediaType) }
        if acceptsIdempotencyKey { codes.formUnion([.idempotencyKeyInUse, .idempotencyKeyReused]) }
        switch access {
        case .open: break
        case .admin: codes.formUnion([.unauthenticated, .forbidden])
        // A valid token may name a user whom the store does not have.
        case .user, .selfOrAdmin, .ownerOrAdmin: codes.formUnion([.unauthenticated, .forbidden, .userNotFound])
        }
        return codes
    }
}
