import EventLoops

/// Counts the requests of one event loop that were refused because of their token, by reason.
package final class TokenRefusals: Sendable {
    /// Why a request has no identity.
    package enum Reason: Int, CaseIterable, Sendable {
        /// No credentials at all.
        case missing
        /// Credentials that are not a token of a form that this service takes.
        case malformed
        /// A header whose algorithm, type or extensions this service does not take, or that is not the algorithm of the key.
        case algorithm
        /// A key that this service does not know, or a token without `kid` where several keys fit.
        case unknownKey
        /// A signature that is not of the key.
        case signature
        /// Claims that are missing or have no meaning here.
        case claims
        /// Another `iss` than `--issuer`.
        case issuer
        /// An `aud` without `--audience`.
        case audience
        /// A token that has expired (`exp`), or whose key has ended.
        case expired
        /// A token that is not valid yet (`nbf`).
        case premature
        /// Not refused for good: too many unknown tokens wait for their check.
        case busy

        /// The reason as the label of a metric.
        package var label: String {
            switch self {
            case .missing: "missing"
            case .malformed: "malformed"
            case .algorithm: "algorithm"
            case .unknownKey: "unknown_key"
            case .signature: "signature"
            case .claims: "claims"
            case .issuer: "issuer"
            case .audience: "audience"
            case .expired: "expired"
            case .premature: "not_yet_valid"
            case .busy: "busy"
            }
        }
    }

    private let counters = InlineArray<11, LoopCounter> { _ in LoopCounter() }

    init() { precondition(counters.count == Reason.allCases.count, "one counter for each reason") }

    /// Counts one refusal. Only the loop that owns this may call it.
    func count(_ reason: Reason) { counters[reason.rawValue].add() }

    /// How many requests were refused for a reason; readable from any thread.
    package func count(of reason: Reason) -> Int { counters[reason.rawValue].value }
}
