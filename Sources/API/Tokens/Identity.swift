package import Commerce

/// Who a verified token speaks for.
package enum Identity: Hashable, Sendable {
    /// A customer, who reads and changes only what is theirs.
    case user(UserID)
    /// An operator; the subject is the name that the token was made with.
    case admin(subject: String)

    /// The identity of a token that is made for no particular operator.
    package static let anyAdmin = Identity.admin(subject: "admin")

    /// The `role` claim.
    var role: String {
        switch self {
        case .user: "user"
        case .admin: "admin"
        }
    }

    /// The `sub` claim.
    var subject: String {
        switch self {
        case .user(let id): id.description
        case .admin(let subject): subject
        }
    }

    /// The user's id; `nil` for an admin.
    var userID: UserID? {
        switch self {
        case .user(let id): id
        case .admin: nil
        }
    }

    /// Whether what belongs to this owner may be read by this identity.
    func mayRead(whatBelongsTo owner: UserID) -> Bool {
        switch self {
        case .user(let id): id == owner
        case .admin: true
        }
    }

    /// Reads the claims of a verified token; `nil` for a role this service does not know or a subject that cannot be one.
    init?(role: String, subject: String) {
        switch role {
        case "user":
            guard let id = DecimalID.parse(subject) else { return nil }
            self = .user(UserID(id))
        case "admin":
            guard (1...255).contains(subject.utf8.count) else { return nil }
            self = .admin(subject: subject)
        default:
            return nil
        }
    }
}

/// The one spelling an id has in paths and tokens: decimal digits without sign or leading zero, 1 to `Int64.max`.
enum DecimalID {
    static func parse(_ text: some StringProtocol) -> Int64? {
        guard let first = text.utf8.first, (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(first),
            text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return Int64(text)
    }
}
