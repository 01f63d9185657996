import API
import App
import ArgumentParser
import Logging
import Services

/// The options of `serve` about tokens.
struct TokenOptions: ParsableArguments {
    private static let standard = TokenConfiguration()

    @Option(
        help: ArgumentHelp(
            """
            Takes tokens that are signed with a key of this JSON Web Key Set (RS256, ES256 or EdDSA). It is read again on SIGHUP, at \
            --jwks-refresh, and when a token names a key that is not known.
            """, valueName: "file|url"))
    var jwks: String?

    @Option(help: "How often the key set is read again when nothing seems to have changed.")
    var jwksRefresh = DurationArgument(standard.keySetInterval)

    @Option(help: "With --jwks: the only issuer (iss) whose tokens are taken.")
    var issuer: String?

    @Option(help: "With --jwks: the audience (aud) that a token must name.")
    var audience: String?

    @Option(help: "With --jwks: the claim with the user's id, or with the name of an operator; a.b is the member b of the claim a.")
    var userClaim = standard.rules.userClaim

    @Option(help: "With --jwks: the claim with the role, or a list of roles; a.b is the member b of the claim a.")
    var roleClaim = standard.rules.roleClaim

    @Option(help: "With --jwks: the role of users; * makes a user of everybody without the role of operators.")
    var userRole = standard.rules.userRole

    @Option(help: "With --jwks: the role of operators. It wins where a token has both.")
    var adminRole = standard.rules.adminRole

    @Flag(help: "With --jwks: refuses tokens of the data folder's own keys, so that the service holds no key that can sign.")
    var noLocalTokens = false

    func validate() throws {
        guard let jwks else {
            let standard = Self.standard.rules
            let isGiven =
                issuer != nil || audience != nil || noLocalTokens || userClaim != standard.userClaim || roleClaim != standard.roleClaim
                || userRole != standard.userRole || adminRole != standard.adminRole
            guard !isGiven else { throw ValidationError("--issuer, --audience, --no-local-tokens and the claims and roles need --jwks") }
            return
        }
        do { _ = try KeySetSource(jwks) } catch { throw ValidationError("--jwks \(jwks): \(error.message)") }
        for (flag, value) in [
            ("issuer", issuer), ("audience", audience), ("user-claim", userClaim), ("role-claim", roleClaim), ("user-role", userRole),
            ("admin-role", adminRole),
        ] where value?.isEmpty == true {
            throw ValidationError("--\(flag) must not be empty")
        }
        guard jwksRefresh.milliseconds >= 10_000 else { throw ValidationError("--jwks-refresh takes 10s or more") }
        guard adminRole != userRole else { throw ValidationError("--user-role and --admin-role must differ") }
    }

    /// Applies the options to a configuration, and warns of those that let more in than may be meant.
    func apply(to configuration: inout RunConfiguration, logger: Logger) throws {
        guard let jwks else { return }
        let source = try KeySetSource(jwks)
        configuration.tokens.keySet = source
        configuration.tokens.keySetInterval = jwksRefresh.duration
        configuration.tokens.takesLocalTokens = !noLocalTokens
        configuration.tokens.rules.issuer = issuer
        configuration.tokens.rules.audience = audience
        configuration.tokens.rules.userClaim = userClaim
        configuration.tokens.rules.roleClaim = roleClaim
        configuration.tokens.rules.userRole = userRole
        configuration.tokens.rules.adminRole = adminRole
        if source.isUnprotected {
            logger.warning("the key set is read without TLS: whoever controls the network decides who is let in; use https")
        }
        if audience == nil { logger.warning("without --audience, tokens that the issuer made for other services are taken too") }
    }
}
