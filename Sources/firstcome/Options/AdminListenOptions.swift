import App
import ArgumentParser

/// The option `--admin-listen`.
struct AdminListenOptions: ParsableArguments {
    @Option(
        name: .customLong("admin-listen"),
        help: ArgumentHelp(
            """
            A second address, for operators: metrics, readiness and the routes of admins, which the first address then does not serve. \
            With --tls-cert it uses TLS too, unless it is a unix socket or a loopback address.
            """, valueName: "host:port or unix:/path"))
    var address: String?

    /// Nil without the option.
    private func parsed() throws -> ListenAddress? {
        do {
            return try address.map { text throws(CommandError) in try ListenAddress(text, flag: "--admin-listen") }
        } catch {
            throw ValidationError(error.description)
        }
    }

    func validate() throws { _ = try parsed() }

    func apply(to configuration: inout RunConfiguration) throws {
        configuration.operators = try parsed()?.operatorsConfiguration
    }
}
