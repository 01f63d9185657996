/// Whom a listener serves, which decides its routes.
package enum ListenerRole: Sendable {
    /// Everybody: the only listener of a service has every route.
    case everybody
    /// Clients, where operators have a listener of their own: no route of admins alone, no `/metrics`, no `/readyz`.
    case clients
    /// Operators: every route that admits an admin.
    case operators
}
