import Foundation
import NIOSSL
import TestSupport
import Testing

@testable import Redis

/// `rediss://` against a server with a certificate made for the test.
@Suite(.serialized) struct TLSTests {
    @Test("commands go through TLS where the certificate is trusted, and nowhere else")
    func trusted() async throws {
        let folder = "/tmp/fc-tls-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (key, certificate) = (folder + "/key.pem", folder + "/cert.pem")
        try makeCertificate(key: key, certificate: certificate)
        let port = try TemporaryRedis.freePort()
        let arguments = [
            "--tls-port", "\(port)", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate,
            "--tls-auth-clients", "no",
        ]
        try await withTemporaryRedis(arguments: arguments) { redis in
            for host in ["127.0.0.1", "localhost"] {
                let endpoint = try RedisEndpoint(url: "rediss://\(host):\(port)/2")
                try await withClient(endpoint, configure: { $0.tls.trustRoots = .file(certificate) }) { client in
                    let long = String(repeating: "x", count: 100_000)
                    let echo = try await client.send(RedisCommand("ECHO", .string(long)))
                    #expect(echo.string == long)
                    let info = try await client.send(RedisCommand("CLIENT", "INFO"))
                    #expect(info.string?.contains(" db=2 ") == true)
                }
                try await withClient(endpoint, waitsForConnection: false) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .notConnected)
                    let clients = try redis.cli("CLIENT", "LIST")
                    #expect(!clients.contains("name=firstcome"))
                }
            }
        }
    }

    private func makeCertificate(key: String, certificate: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl makes the certificate")
    }
}
