import Commerce
import HTTPServer

/// The decision whether an authenticated request may reach its handler: who may use a route.
enum Admission: Sendable {
    case plain(Route.Handler)
    case user(Route.UserHandler, UserID)
    case identity(Route.IdentityHandler, Identity)
    case refused(HTTPResponse)

    /// - Parameters:
    ///   - pathUser: the user whom the path names, where the route's rule depends on it.
    ///   - prepared: the refusals of the request's loop.
    ///   - userExists: whether the store has a user; a valid token may name one it does not have.
    init(
        _ access: Route.Access, _ identity: Identity, pathUser: UserID?, prepared: PreparedAnswers, userExists: (UserID) -> Bool
    ) {
        switch (access, identity) {
        case (.open(let handler), _), (.admin(let handler), .admin):
            self = .plain(handler)
        case (.admin, .user):
            self = .refused(prepared.adminOnly)
        case (.user(let handler), .user(let id)):
            self = userExists(id) ? .user(handler, id) : .refused(prepared.userNotFound)
        case (.user, .admin):
            self = .refused(prepared.userOnly)
        case (.selfOrAdmin(let handler), _):
            guard let pathUser, identity.mayRead(whatBelongsTo: pathUser) else {
                self = .refused(prepared.notYours)
                return
            }
            self = userExists(pathUser) ? .user(handler, pathUser) : .refused(prepared.userNotFound)
        case (.ownerOrAdmin(let handler), _):
            let isGone = identity.userID.map { !userExists($0) } ?? false
            self = isGone ? .refused(prepared.userNotFound) : .identity(handler, identity)
        }
    }

    /// Runs the handler, or answers the refusal.
    func reply(to call: Call) throws -> HTTPAnswer {
        switch self {
        case .plain(let handler): try handler(call)
        case .user(let handler, let id): try handler(call, id)
        case .identity(let handler, let identity): try handler(call, identity)
        case .refused(let response): .now(response)
        }
    }
}
