import Commerce
import HTTPServer

/// One route: its description, and the handler that runs for those who may use it.
final class Route: Sendable {
    typealias Handler = @Sendable (Call) throws -> HTTPAnswer
    typealias UserHandler = @Sendable (Call, UserID) throws -> HTTPAnswer
    typealias ActingHandler = @Sendable (Call, UserID, Identity) throws -> HTTPAnswer
    typealias IdentityHandler = @Sendable (Call, Identity) throws -> HTTPAnswer

    /// The handler of a route, by the rule of who may use it. A handler gets the identity that its rule ensures.
    enum Access: Sendable {
        case open(Handler)
        case user(UserHandler)
        case admin(IdentityHandler)
        /// An admin alone, who sends a list: its body may be longer than others, see ``LargeBodies``.
        case adminList(IdentityHandler)
        case selfOrAdmin(UserHandler)
        /// As `selfOrAdmin`, for what is logged where an admin does it.
        case selfOrLoggedAdmin(ActingHandler)
        case ownerOrAdmin(IdentityHandler)

        var rule: Endpoint.Rule {
            switch self {
            case .open: .open
            case .user: .user
            case .admin, .adminList: .admin
            case .selfOrAdmin, .selfOrLoggedAdmin: .selfOrAdmin
            case .ownerOrAdmin: .ownerOrAdmin
            }
        }
    }

    let endpoint: Endpoint
    let access: Access

    init(
        _ method: HTTPMethod, _ template: String, _ operationID: String, _ access: Access, readsBody: Bool? = nil,
        acceptsIdempotencyKey: Bool? = nil, location: ResourceLocation? = nil, refusals: [ProblemCode] = [], isForOperators: Bool = false,
        stream: StreamKind? = nil
    ) {
        endpoint = Endpoint(
            method, template, operationID, access.rule, readsBody: readsBody, acceptsIdempotencyKey: acceptsIdempotencyKey,
            location: location, refusals: refusals, isForOperators: isForOperators, stream: stream)
        self.access = access
    }
}
