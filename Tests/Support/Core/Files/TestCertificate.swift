/// A self-signed certificate for `localhost` and 127.0.0.1 with its key, as PEM files in a folder.
package struct TestCertificate: Sendable {
    package let certificate: String
    package let key: String

    package init(in folder: TemporaryFolder) async throws { try await self.init(in: folder.path) }

    /// - Parameter days: how long it is valid from now on.
    package init(in folder: String, days: Int = 2) async throws {
        (certificate, key) = (folder + "/cert.pem", folder + "/key.pem")
        let openssl = try await Tool.run(program: Self.command(certificate: certificate, key: key, days: days))
        guard openssl.status == 0 else { throw Tool.Missing(description: "openssl made no certificate: \(openssl.standardError)") }
    }

    /// The command that makes the files.
    static func command(certificate: String, key: String, days: Int) -> [String] {
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "\(days)", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
    }
}
