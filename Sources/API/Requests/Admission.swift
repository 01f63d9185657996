import Commerce
import HTTPServer

/// The decision whether an authenticated request may reach its handler: who may use a route.
enum Admission: Sendable {
    case plain(Route.Handler)
    case user(Route.UserHandler, UserID)
    case acting(Route.ActingHandler, UserID, Identity)
    case identity(Route.IdentityHandler, Identity)
    /// A request whose body may be a long list.
    case list(Route.IdentityHandler, Identity)
    case refused(HTTPResponse)
    /// The store is not known to have the user whom the token or the path names.
    case unknownUser(UserID)

    /// - Parameters:
    ///   - pathUser: the user whom the path names, where the route's rule depends on it.
    ///   - prepared: the refusals of the request's loop.
    ///   - userExists: whether the store is known to have a user; a valid token may name one it does not have.
    init(
        _ access: Route.Access, _ identity: Identity, pathUser: UserID?, prepared: PreparedAnswers, userExists: (UserID) -> Bool
    ) {
        switch (access, identity) {
        case (.open(let handler), _):
            self = .plain(handler)
        case (.admin(let handler), .admin):
            self = .identity(handler, identity)
        case (.adminList(let handler), .admin):
            self = .list(handler, identity)
        case (.admin, .user), (.adminList, .user):
            self = .refused(prepared.adminOnly)
        case (.user(let handler), .user(let id)):
            self = userExists(id) ? .user(handler, id) : .unknownUser(id)
        case (.user, .admin):
            self = .refused(prepared.userOnly)
        case (.selfOrAdmin(let handler), _):
            guard let pathUser, identity.mayRead(whatBelongsTo: pathUser) else {
                self = .refused(prepared.notYours)
                return
            }
            self = userExists(pathUser) ? .user(handler, pathUser) : .unknownUser(pathUser)
        case (.selfOrLoggedAdmin(let handler), _):
            guard let pathUser, identity.mayRead(whatBelongsTo: pathUser) else {
                self = .refused(prepared.notYours)
                return
            }
            self = userExists(pathUser) ? .acting(handler, pathUser, identity) : .unknownUser(pathUser)
        case (.ownerOrAdmin(let handler), _):
            guard let user = identity.userID, !userExists(user) else {
                self = .identity(handler, identity)
                return
            }
            self = .unknownUser(user)
        }
    }

    /// Runs the handler, or answers the refusal.
    func reply(to call: Call) throws -> HTTPAnswer {
        switch self {
        case .plain(let handler): try handler(call)
        case .user(let handler, let id): try handler(call, id)
        case .acting(let handler, let id, let identity): try handler(call, id, identity)
        case .identity(let handler, let identity), .list(let handler, let identity): try handler(call, identity)
        case .refused(let response): .now(response)
        case .unknownUser: .now(call.loop.prepared.userNotFound)
        }
    }
}
