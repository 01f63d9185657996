import App
import ArgumentParser
import HTTPServer

/// The options `--tls-cert` and `--tls-key`.
struct TLSOptions: ParsableArguments {
    @Option(
        name: .customLong("tls-cert"),
        help: ArgumentHelp(
            "The certificate for HTTPS and its chain, in PEM; read again on SIGHUP. Without it, the service speaks plain HTTP.",
            valueName: "file"))
    var certificate: String?

    @Option(name: .customLong("tls-key"), help: ArgumentHelp("The certificate's private key, in PEM.", valueName: "file"))
    var key: String?

    func validate() throws {
        guard (certificate == nil) == (key == nil) else { throw ValidationError("--tls-cert and --tls-key need each other") }
    }

    func apply(to configuration: inout RunConfiguration) {
        guard let certificate, let key else { return }
        configuration.certificate = ServerCertificate.Files(certificate: certificate, key: key)
    }
}
