import Commerce
import HTTPServer

/// One route: its description, and the handler that runs for those who may use it.
final class Route: Sendable {
    typealias Handler = @Sendable (Call) throws -> HTTPAnswer
    typealias UserHandler = @Sendable (Call, UserID) throws -> HTTPAnswer
    typealias IdentityHandler = @Sendable (Call, Identity) throws -> HTTPAnswer

    /// The handler of a route, by the rule of who may use it. A handler gets the identity that its rule ensures.
    enum Access: Sendable {
        case open(Handler)
        case user(UserHandler)
        case admin(Handler)
        /// An admin alone, who sends a list: its body may be longer than others, see ``LargeBodies``.
        case adminList(IdentityHandler)
        case selfOrAdmin(UserHandler)
        case ownerOrAdmin(IdentityHandler)

        var rule: Endpoint.Rule {
            switch self {
            case .open: .open
            case .user: .user
            case .admin, .adminList: .admin
            case .selfOrAdmin: .selfOrAdmin
            case .ownerOrAdmin: .ownerOrAdmin
            }
        }
    }

    let endpoint: Endpoint
    let access: Access

    init(
        _ method: HTTPMethod, _ template: String, _ operationID: String, _ access: Access, readsBody: Bool? = nil,
        acceptsIdempotencyKey: Bool? = nil, location: ResourceLocation? = nil, refusals: [ProblemCode] = [], isForOperators: Bool = false
    ) {
        endpoint = Endpoint(
            method, template, operationID, access.rule, readsBody: readsBody, acceptsIdempotencyKey: acceptsIdempotencyKey,
            location: location, refusals: refusals, isForOperators: isForOperators)
        self.access = access
    }
}
