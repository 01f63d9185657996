import Commerce
import HTTPServer
import Store

extension Call {
    /// How what an admin does is logged, in the transaction that does it; nil for a user, who acts for themselves.
    ///
    /// - Parameter describe: should capture nothing where users call the route too: then they do not pay for a closure.
    func adminLog<Value>(of identity: Identity, _ describe: @escaping @Sendable (Value) -> AdminAction?) -> AdminLog<Value>? {
        guard case .admin(let subject) = identity else { return nil }
        return AdminLog(actor: Self.actor(subject), requestID: "\(request.id)", at: now, describe: describe)
    }

    /// A token's subject as the log has it: PostgreSQL keeps no U+0000.
    private static func actor(_ subject: String) -> String { subject.replacing("\0", with: "\u{FFFD}") }
}
