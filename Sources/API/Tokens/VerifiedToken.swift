import Commerce
import JSON

/// The content of a token whose signature is valid.
struct VerifiedToken: Equatable, Sendable {
    let identity: Identity
    /// The first instant, in milliseconds since 1970, at which the token is no longer valid.
    let expiresAt: Int64
    /// The first instant, in milliseconds since 1970, at which the token is valid.
    let validFrom: Int64
    /// Which key verified it; see ``KeyNumbers``.
    var keyNumber: UInt8 = 0
}

extension VerifiedToken {
    /// Reads the claims of a token (RFC 7519 section 4.1); `nil` where one that this service reads is missing or invalid. `nbf` and `iat`
    /// may be missing or `null`.
    init?(claims: JSONValue) {
        guard case .object(let object) = claims else { return nil }
        var (role, subject): (String?, String?)
        var (expiry, start, issue): (JSONValue?, JSONValue?, JSONValue?)
        for (name, value) in object.members {
            switch name {
            case "role": if case .string(let text) = value { role = text }
            case "sub": if case .string(let text) = value { subject = text }
            case "exp": expiry = value
            case "nbf": start = value
            case "iat": issue = value
            default: break
            }
        }
        guard let role, let subject, let identity = Identity(role: role, subject: subject), let expiry,
            let expiresAt = Self.milliseconds(expiry), let validFrom = Self.milliseconds(optional: start),
            Self.milliseconds(optional: issue) != nil
        else { return nil }
        self.init(identity: identity, expiresAt: expiresAt, validFrom: validFrom)
    }

    static func milliseconds(optional date: JSONValue?) -> Int64? {
        switch date {
        case nil, .null: 0
        case let date?: milliseconds(date)
        }
    }

    /// Whether a number is 0 as written, such as `0.0e5`: all its digits before the exponent are 0. `1e-400` is not, although `Double`
    /// rounds it to 0.
    private static func isZero(_ text: String) -> Bool {
        text.utf8.prefix { $0 | 0x20 != UInt8(ascii: "e") }.allSatisfy { !(UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) }
    }

    /// A NumericDate in milliseconds, rounded down and clamped to the range of ``Instant``; nil for anything but a number, and for a number
    /// that only `Double`'s bounds make infinite or 0.
    static func milliseconds(_ date: JSONValue) -> Int64? {
        let range = Instant.representable
        switch date {
        case .integer(let seconds):
            let (value, overflows) = seconds.multipliedReportingOverflow(by: 1000)
            if overflows { return seconds < 0 ? range.lowerBound : range.upperBound }
            return min(max(value, range.lowerBound), range.upperBound)
        case .hugeInteger(let text), .number(let text):
            // `Double` makes infinity of a number that is too great for it, and 0 of one that is too close to 0. Both are refused.
            guard let seconds = Double(text), seconds.isFinite, seconds != 0 || Self.isZero(text) else { return nil }
            return Int64(min(max((seconds * 1000).rounded(.down), Double(range.lowerBound)), Double(range.upperBound)))
        case .null, .bool, .string, .array, .object:
            return nil
        }
    }
}
