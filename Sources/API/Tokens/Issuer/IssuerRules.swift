import Commerce
import JSON

/// Which values the claims of an issuer's tokens must have, and which claims hold the user's id and the role.
package struct IssuerRules: Sendable, Equatable {
    /// The only `iss` that is taken; nil for any.
    package var issuer: String?
    /// What `aud` must be or contain; nil for any.
    package var audience: String?
    /// The claim with the user's id, or an operator's name.
    package var userClaim = "sub"
    /// The claim with the role or the roles.
    package var roleClaim = "role"
    /// The role of users; `*` makes a user of everybody without the role of operators.
    package var userRole = "user"
    /// The role of operators. It wins where a token has both.
    package var adminRole = "admin"

    package init() {}
}

/// What the claims of a verified token are worth.
enum IssuerVerdict: Equatable, Sendable {
    case verified(VerifiedToken)
    case refused(TokenRefusals.Reason)
}

extension IssuerRules {
    /// Reads the claims of a token whose signature is valid (RFC 7519 section 4.1). Its times are judged later, each time it is used.
    func read(_ claims: JSONValue, keyNumber: UInt8) -> IssuerVerdict {
        guard case .object(let members) = claims else { return .refused(.claims) }
        if let issuer {
            guard case .string(let given)? = members["iss"], given.utf8.elementsEqual(issuer.utf8) else { return .refused(.issuer) }
        }
        if let audience, !Self.names(members["aud"]).contains(where: { $0.utf8.elementsEqual(audience.utf8) }) {
            return .refused(.audience)
        }
        guard let identity = identity(members), let expiry = members["exp"], let expiresAt = VerifiedToken.milliseconds(expiry),
            let validFrom = VerifiedToken.milliseconds(optional: members["nbf"]),
            VerifiedToken.milliseconds(optional: members["iat"]) != nil
        else { return .refused(.claims) }
        return .verified(VerifiedToken(identity: identity, expiresAt: expiresAt, validFrom: validFrom, keyNumber: keyNumber))
    }

    private func identity(_ members: JSONObject) -> Identity? {
        let subject: String
        switch Self.value(of: userClaim, in: members) {
        case .string(let text): subject = text
        case .integer(let number): subject = String(number)
        default: return nil
        }
        // A text may list several roles, as `scope` does.
        let roles = Self.names(Self.value(of: roleClaim, in: members)).flatMap { $0.utf8.split(separator: UInt8(ascii: " ")) }
        func has(_ role: String) -> Bool { roles.contains { $0.elementsEqual(role.utf8) } }
        if has(adminRole) { return Identity(role: "admin", subject: subject) }
        return userRole == "*" || has(userRole) ? Identity(role: "user", subject: subject) : nil
    }

    /// The text or the texts of a claim.
    private static func names(_ value: JSONValue?) -> [String] {
        switch value {
        case .string(let name): [name]
        case .array(let list):
            list.compactMap { element in
                guard case .string(let name) = element else { return nil }
                return name
            }
        default: []
        }
    }

    /// The claim of this name, or else the one at this path: `realm_access.roles` is the member `roles` of the member `realm_access`. Names
    /// may have dots, as addresses do.
    private static func value(of claim: String, in members: JSONObject) -> JSONValue? {
        if let value = members[claim] { return value }
        let path = claim.split(separator: ".", omittingEmptySubsequences: false)
        guard path.count > 1 else { return nil }
        return path.reduce(JSONValue.object(members)) { value, name in value?[String(name)] }
    }
}
